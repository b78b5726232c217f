"""A host in this process, served over real HTTP from a thread: for tests that speak to its rooms as well."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from solid import Agent, free_port

from pod_server.composition import Host, compose
from pod_server.config import Config
from pod_server.consent.grants import Grant, Wish
from pod_server.store.host import PodRow
from pod_server.terms import Caller

_Result = TypeVar("_Result")


@dataclass
class Clock:
    """Time that a test may move."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Inside:
    """A served host, its rooms, and the people who know it."""

    host: Host
    base: str
    loop: asyncio.AbstractEventLoop
    http: httpx.Client
    clock: Clock
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    partners: dict[str, Agent] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run something on the host's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=60)

    def call(self, work: Any, *arguments: Any, **named: Any) -> Any:
        """Call something that is not async on the host's own loop."""

        async def once() -> Any:
            return work(*arguments, **named)

        return self.run(once())

    def add_pod(self, name: str) -> str:
        """A pod with an open/ container; its root."""
        self.secrets[name] = self.call(self.host.operator.add_pod, name, name.title(), open_folder=True)
        return str(self.secrets[name]["pod"])

    def owner(self, name: str) -> Agent:
        """The owner through a script's credentials."""
        return Agent(self.http, self.base, self.secrets[name]["clientId"], self.secrets[name]["clientSecret"])

    def app(self, webid: str, name: str = "app", id_: str = "") -> Agent:
        """A client that signs in as an agent: an app itself, or a citizen's further app."""
        made = self.call(self.host.operator.add_client, webid=webid, name=name, id_=id_)
        return Agent(self.http, self.base, made["clientId"], made["clientSecret"])

    @property
    def public(self) -> Agent:
        """Somebody without credentials."""
        return Agent(self.http, self.base)

    def row(self, name: str) -> PodRow:
        """A pod's row."""
        row = self.host.database.pod(name)
        assert row is not None
        return row

    def citizen(self, name: str) -> Caller:
        """The owner at the console."""
        return self.host.consent.citizen(self.row(name))

    def grant(self, name: str, wish: Wish) -> Grant:
        """A grant by the citizen."""
        return self.run(self.host.consent.grant(self.citizen(name), self.row(name), wish))

    def revoke(self, name: str, grant: Grant) -> None:
        """Take it back."""
        self.run(self.host.consent.revoke(self.citizen(name), self.row(name), grant.id))

    def partner(self, partner_id: str) -> Agent:
        """A registered data holder."""
        made = self.call(self.host.operator.add_partner, partner_id, partner_id.title(), "a holder")
        return Agent(self.http, self.base, made["clientId"], made["clientSecret"])

    def link(self, partner: str, pod: str, starts: float = 0.0, ends: float | None = None) -> str:
        """A link's pseudonym."""
        return str(self.call(self.host.operator.add_link, partner, pod, starts, ends)["link"])


@contextmanager
def inside(folder: Path, **settings: Any) -> Iterator[Inside]:
    """A host over a folder, served until the block ends."""
    port = free_port()
    config = Config(data=folder, port=port, **settings)
    clock = Clock()
    host = compose(config, clock)
    server = uvicorn.Server(
        uvicorn.Config(host.application, port=port, log_level="error", access_log=False, lifespan="on")
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()), daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the host did not start"
        assert time.monotonic() < deadline, "the host did not start in time"
        time.sleep(0.005)
    try:
        with httpx.Client(timeout=60) as http:
            yield Inside(host, config.base, loop, http, clock)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        loop.close()
