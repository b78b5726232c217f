"""Jobs for the tests of the worker pool: module-level functions, as a worker needs them."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pyoxigraph

from pod_server.errors import Malformed
from pod_server.rdf import Syntax, parse

_warmed: list[int] = []


def warm() -> None:
    """What the pool calls before it confines a worker."""
    _warmed.append(os.getpid())


def was_warmed() -> bool:
    """True in a worker that called warm() itself."""
    return _warmed == [os.getpid()]


def statements(data: bytes) -> int:
    """A parsing job: the number of statements of a Turtle document."""
    return len(parse(data, Syntax.TURTLE, "http://h/"))


def echo(data: bytes) -> bytes:
    """The same bytes."""
    return data


def process() -> int:
    """The worker's process id."""
    return os.getpid()


def defect() -> None:
    """A defect of a job, not a refusal."""
    raise KeyError("defect")


def refuse() -> None:
    """A refusal with fields."""
    raise Malformed("no", line=3, column=4)


def sleep(seconds: float) -> None:
    """Time without CPU."""
    time.sleep(seconds)


def product() -> int:
    """A join in the engine that ends in no one's lifetime, outside of Python's reach."""
    rows = "".join(f"VALUES ?v{n} {{ 1 2 3 4 5 6 7 8 9 10 }}" for n in range(12))
    return len(list(pyoxigraph.Store().query(f"SELECT (COUNT(*) AS ?n) {{ {rows} }}")))


def overflow() -> bool:
    """A query that overflows the engine's stack."""
    return bool(pyoxigraph.Store().query(f"ASK {{ FILTER({'||'.join(['?a'] * 40_000)}) }}"))


def hog(size: int) -> int:
    """A buffer of so many bytes."""
    return len(bytearray(size))


def die() -> None:
    """What the system does when it has no memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def forbidden() -> list[str]:
    """The names of the things that work although a confined process must not do them."""
    attempts = {
        "open": lambda: Path(__file__).read_bytes(),
        "create": lambda: Path("created-by-a-worker").touch(),
        "unlink": lambda: Path("does-not-exist").unlink(),
        "socket": socket.socket,
        "socket pair": socket.socketpair,
        "execute": lambda: os.execv(sys.executable, [sys.executable, "-V"]),
        "fork": os.fork,
        "signal": lambda: os.kill(os.getppid(), 0),
    }
    return [name for name, attempt in attempts.items() if not _is_refused(attempt)]


def _is_refused(attempt: object) -> bool:
    try:
        attempt()  # type: ignore[operator]
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def environment() -> dict[str, str]:
    """What the worker knows of the host's environment."""
    return dict(os.environ)


def loaded(module: str) -> bool:
    """True when a module is loaded in the worker."""
    return module in sys.modules
