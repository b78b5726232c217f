"""A host that serves in a thread of its own, while the story of demo.py is told in another.

Called by demo.py alone.  What the story does as the operator or as a citizen
runs on the host's own loop, as the command line's and the console's calls do;
nothing here reaches around it.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import uvicorn

from pod_server.composition import Host, compose
from pod_server.config import Config
from pod_server.errors import Conflict

_Result = TypeVar("_Result")


class _Server(uvicorn.Server):
    """A server in a thread of its own that says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind, then tell."""
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.up.set()


class House:
    """A host that serves while the story is told; ``do`` and ``wait_for`` run on its loop, where it lives."""

    def __init__(self, config: Config) -> None:
        self.base = config.base
        self.folder = config.data
        self.host: Host = compose(config)
        settings = uvicorn.Config(
            self.host.application,
            host=config.bind,
            port=config.port,
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=2,
        )
        self._server = _Server(settings)
        self._thread = threading.Thread(target=self._server.run, name="host")

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.up.wait(0.05):
            if not self._thread.is_alive():
                raise Conflict(f"The host cannot listen at {self.base}; another program does, perhaps.")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def do(self, work: Callable[..., _Result], *given: Any, **named: Any) -> _Result:
        """The result of a call, made where the host's own code runs."""

        async def called() -> _Result:
            return work(*given, **named)

        return self.wait_for(called())

    def wait_for(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """The result of a coroutine of the host."""
        assert self._server.loop is not None  # noqa: S101 - set before the server is up
        return asyncio.run_coroutine_threadsafe(work, self._server.loop).result()


@contextmanager
def empty_folder(data: Path | None) -> Iterator[Path]:
    """A folder without anything in it; None makes one here that is removed at the end.  Raises Conflict."""
    if data is not None:
        if data.exists() and any(data.iterdir()):
            raise Conflict(f"{data} is not empty; the demo needs a folder of its own.")
        yield data
        return
    fresh = Path(tempfile.mkdtemp(prefix=".demo-", dir=Path.cwd()))
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does, so that a fresh folder is removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port() -> int:
    """A port of this machine that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
