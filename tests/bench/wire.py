"""A load of requests over plain sockets: kept-alive connections, requests written beforehand, answers counted.

An HTTP library would take longer for a request than the host does, and the
figure would be the library's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

_NO_BODY = (204, 304)
_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.  head: status line and header lines, in lower case."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        """A header's value."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key == name.encode():
                return value.strip().decode("latin-1")
        return None


class Line(asyncio.Protocol):
    """One connection: one request at a time, one answer."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._head: bytes | None = None
        self._asked: asyncio.Future[Answer] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        """Take a piece; hand out the answer when it is whole."""
        self._held += data
        if self._head is None:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head = bytes(self._held[:end]).lower()
            del self._held[: end + 4]
        body = _whole(self._head, self._held)
        if body is not None and self._asked is not None and not self._asked.done():
            self._asked.set_result(Answer(int(self._head[9:12]), self._head, body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns of it."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(ConnectionResetError("the host closed the connection"))
        self._transport = None

    @property
    def is_open(self) -> bool:
        """Whether it can still be asked."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> Answer:
        """One request, whole; its answer.  Raises ConnectionError, TimeoutError."""
        if self._transport is None:
            raise ConnectionResetError("the connection is closed")
        self._asked, self._head = asyncio.get_running_loop().create_future(), None
        self._held.clear()
        self._transport.write(request)
        async with asyncio.timeout(_LIMIT):
            answer = await self._asked
        if b"connection: close" in answer.head:
            self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def _whole(head: bytes, held: bytearray) -> bytes | None:
    """The body when all of it is there."""
    if int(head[9:12]) in _NO_BODY:
        return b""
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        return bytes(held[:length]) if len(held) >= length else None
    return _unchunked(held) if held.endswith(b"0\r\n\r\n") else None


def _unchunked(held: bytearray) -> bytes:
    pieces, at = list[bytes](), 0
    while True:
        line = held.index(b"\r\n", at)
        size = int(held[at:line], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(bytes(held[line + 2 : line + 2 + size]))
        at = line + 4 + size


async def connect(base: str) -> Line:
    """A connection to a host."""
    port = urlsplit(base).port or 80
    _, line = await asyncio.get_running_loop().create_connection(Line, "127.0.0.1", port)
    return line


def request(method: str, url: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; underscores in header names are hyphens."""
    address = urlsplit(url)
    target = address.path + (f"?{address.query}" if address.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method in ("PUT", "POST", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Load:
    """What a load gave.  statuses: how many answers of each."""

    seconds: float
    statuses: Counter[int]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.statuses.total() / self.seconds


def load(base: str, lanes: Sequence[Iterable[bytes]]) -> Load:
    """Send each lane's requests one after the other on a connection of its own, all lanes at once."""
    return uvloop.run(_load(base, lanes))


async def _load(base: str, lanes: Sequence[Iterable[bytes]]) -> Load:
    lines = [await connect(base) for _ in lanes]
    statuses: Counter[int] = Counter()
    began = time.perf_counter()
    await asyncio.gather(*(_drive(line, lane, statuses) for line, lane in zip(lines, lanes, strict=True)))
    seconds = time.perf_counter() - began
    for line in lines:
        line.close()
    return Load(seconds, statuses)


async def _drive(line: Line, lane: Iterable[bytes], statuses: Counter[int]) -> None:
    for each in lane:
        answer = await line.ask(each)
        statuses[answer.status] += 1


async def hang_up_midway(base: str, data: bytes) -> None:
    """Send something that is no whole request, wait a moment for a complaint, and go away."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(base).port)
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(data)
        await writer.drain()
        async with asyncio.timeout(0.05):
            await reader.read(4096)
    writer.close()


def one_by_one(base: str, requests: Iterable[bytes]) -> list[tuple[float, Answer]]:
    """Ask one after the other on one connection; seconds and answer of each."""
    return uvloop.run(_one_by_one(base, requests))


async def _one_by_one(base: str, requests: Iterable[bytes]) -> list[tuple[float, Answer]]:
    line, found = await connect(base), []
    for each in requests:
        began = time.perf_counter()
        answer = await line.ask(each)
        found.append((time.perf_counter() - began, answer))
    line.close()
    return found
