"""The path a request travels: how many of our files and functions a warm GET and a warm PUT enter.

Counted with the profiler hook, never timed: a longer path is a decision, not
an accident.
"""

from __future__ import annotations

import asyncio
import base64
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from solid import Key

import pod_server
from pod_server.composition import Host, compose
from pod_server.config import Config
from pod_server.identity import OAuthError

HOME = str(Path(pod_server.__file__).parent)
BASE = "http://localhost:8999/"


class Paths:
    """The code of ours that ran while it was on."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()
        """On the request's own thread."""
        self.by_writer: set[tuple[str, str]] = set()
        """On the writer's thread, which commits a group of requests."""
        self.on = False

    def __call__(self, frame: Any, event: str, _: Any) -> None:
        if not self.on:
            return
        code = frame.f_code
        inner = code.co_name.startswith("<") and code.co_name != "<lambda>"
        if event == "call" and code.co_filename.startswith(HOME) and not inner:
            is_writer = threading.current_thread() is not threading.main_thread()
            (self.by_writer if is_writer else self.functions).add(
                (code.co_filename.removeprefix(HOME), code.co_qualname)
            )

    @property
    def files(self) -> list[str]:
        """The files that those functions are in."""
        return sorted({file for file, _ in self.functions})


async def answered(host: Host, method: str, path: str, headers: dict[str, str], body: bytes) -> int:
    """One request through the whole application; its status."""
    status = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 8999),
    }
    await host.application(scope, receive, send)  # type: ignore[arg-type]
    return status


Sender = Callable[[str, bytes], Awaitable[int]]


async def walked(folder: Path, method: str) -> Paths:
    """A warm request of one method, with a DPoP proof, walked with the profiler on."""
    walk = Paths()
    threading.setprofile(walk)
    host = compose(Config(data=folder, port=8999))
    threading.setprofile(None)  # type: ignore[arg-type]
    made = host.operator.add_pod("ana", "Ana")
    key, token_url = Key(), f"{BASE}.host/oidc/token"
    basic = base64.b64encode(f"{made['clientId']}:{made['clientSecret']}".encode()).decode()
    provider = host.provider
    granted = provider.token(
        {"grant_type": "client_credentials"}, f"Basic {basic}", key.proof("POST", token_url), token_url
    )
    assert not isinstance(granted, OAuthError)
    token = granted["access_token"]

    async def one(method: str, number: int) -> int:
        headers = {
            "Host": "localhost:8999",
            "Authorization": f"DPoP {token}",
            "DPoP": key.proof(method, f"{BASE}ana/doc", token),
            "Accept": "text/turtle",
            **({"Content-Type": "text/turtle"} if method == "PUT" else {}),
        }
        return await answered(host, method, "/ana/doc", headers, b"<> <#n> %d ." % number)

    assert await one("PUT", 0) == 201
    for number in range(3):
        assert await one(method, number) in (200, 204)
    headers = {
        "Host": "localhost:8999",
        "Authorization": f"DPoP {token}",
        "DPoP": key.proof(method, f"{BASE}ana/doc", token),
        "Accept": "text/turtle",
        **({"Content-Type": "text/turtle"} if method == "PUT" else {}),
    }
    sys.setprofile(walk)
    walk.on = True
    status = await answered(host, method, "/ana/doc", headers, b"<> <#n> 9 .")
    walk.on = False
    sys.setprofile(None)
    assert status in (200, 204)
    await host.store.close()
    host.database.close()
    return walk


@pytest.mark.parametrize(("method", "files", "functions"), [("GET", 10, 40), ("PUT", 12, 60)])
def test_a_request_travels_few_rooms(tmp_path: Path, method: str, files: int, functions: int) -> None:
    """A warm GET enters at most 10 of our files and 40 of our functions, a warm PUT 12 and 60.

    The writer's thread, which a PUT wakes and which serves a whole group at
    once, is counted apart: 4 files and 28 functions at most.
    """
    paths = asyncio.run(walked(tmp_path, method))
    print(method, len(paths.files), len(paths.functions), "and the writer", len(paths.by_writer))
    assert len({file for file, _ in paths.by_writer}) <= 4
    assert len(paths.by_writer) <= 28, sorted(paths.by_writer)
    assert len(paths.files) <= files, "\n".join(map(str, sorted(paths.functions)))
    assert len(paths.functions) <= functions, sorted(paths.functions)
