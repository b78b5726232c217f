"""Requests a second over HTTP, each beside a bare server that gives as many bytes, in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from bench.rows import Row, number, spread
from bench.wire import load, request
from killing import clear
from solid import Agent, TestHost, free_port, running

CONNECTIONS = 8
ROUNDS = 5
MEMBERS = 1_000
LARGE = 10 * 1024 * 1024
SMALL = (
    '@prefix schema: <https://schema.org/> .\n<#note> a schema:Note ; schema:name "Été à La Rochelle" ;\n'
    '    schema:dateCreated "2024-03-12T10:00:00+01:00" ; schema:text "'.encode()
    + b"x" * 250
    + b'" .\n'
)
Lanes = list[list[bytes]]


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of request.  lanes: fresh requests for each round; beside: the bare server's; count: of each lane."""

    what: str
    lanes: Callable[[int], Lanes]
    beside: Callable[[int], Lanes]
    count: int


def run(random_seed: int) -> list[Row]:
    """Rounds of every task, the bare server's turn right after the host's.  Nothing here is drawn."""
    folder = Path(tempfile.mkdtemp(prefix="bench-serving-"))
    try:
        with running(folder) as host, bare(folder) as other:
            _prepare(host)
            rows = [row for task in _tasks(host, other) for row in _measured(task, host.base, other)]
            return [*rows, *_large(host)]
    finally:
        clear(folder)


@contextmanager
def bare(folder: Path) -> Iterator[str]:
    """The yardstick in a child process; its address."""
    port = free_port()
    command = [sys.executable, "-m", "bench.yardstick", str(port), str(folder / "sink")]
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1])
    base = f"http://localhost:{port}/"
    try:
        while True:
            try:
                httpx.get(f"{base}1")
                break
            except httpx.TransportError:
                time.sleep(0.02)
        yield base
    finally:
        process.terminate()
        process.wait(timeout=10)


def _prepare(host: TestHost) -> None:
    agent, pod = host.agent("alice"), host.pod("alice")
    assert agent.put(f"{pod}open/small", SMALL).status_code == 201
    assert agent.put(f"{pod}private/small", SMALL).status_code == 201
    members = [request("PUT", f"{pod}open/many/m{n}", SMALL, Content_Type="text/turtle") for n in range(MEMBERS)]
    patched = [
        request("PUT", f"{pod}open/n{n}", b"<#v> <#is> 0 .", Content_Type="text/turtle") for n in range(CONNECTIONS)
    ]
    assert set(load(host.base, [members, patched]).statuses) == {201}


def _tasks(host: TestHost, other: str) -> list[Task]:
    pod, agent = host.pod("alice"), host.agent("alice")
    small, members = host.http.get(f"{pod}open/small"), host.http.get(f"{pod}open/many/")
    as_json = host.http.get(f"{pod}open/small", headers={"Accept": "application/ld+json"})

    def same(answer: httpx.Response) -> Callable[[int], Lanes]:
        return lambda count: [[request("GET", f"{other}{len(answer.content)}")] * count] * CONNECTIONS

    def get(url: str, accept: str = "text/turtle") -> Callable[[int], Lanes]:
        return lambda count: [[request("GET", url, Accept=accept)] * count] * CONNECTIONS

    return [
        Task("GET, small", get(f"{pod}open/small"), same(small), 400),
        Task("GET as JSON-LD", get(f"{pod}open/small", "application/ld+json"), same(as_json), 200),
        Task("GET with DPoP", lambda count: _proven(agent, f"{pod}private/small", count), same(small), 150),
        Task("PUT, durable (the bare one syncs too)", _puts(f"{pod}open/put/"), _puts(other), 100),
        Task("N3 Patch, durable", _patches(f"{pod}open/"), _puts(other), 60),
        Task(f"GET of a container of {MEMBERS:,}", get(f"{pod}open/many/"), same(members), 20),
    ]


def _proven(agent: Agent, url: str, count: int) -> Lanes:
    """Requests with a proof each; proofs are good once."""
    return [[request("GET", url, b"", **agent.headers("GET", url)) for _ in range(count)] for _ in range(CONNECTIONS)]


def _puts(folder: str) -> Callable[[int], Lanes]:
    numbers = iter(range(10**9))
    return lambda count: [
        [request("PUT", f"{folder}p{next(numbers)}", SMALL, Content_Type="text/turtle") for _ in range(count)]
        for _ in range(CONNECTIONS)
    ]


def _patches(folder: str) -> Callable[[int], Lanes]:
    """Each connection counts up in a document of its own."""
    at = 0

    def lanes(count: int) -> Lanes:
        nonlocal at
        at += count
        return [
            [_patch(f"{folder}n{lane}", at - count + number) for number in range(count)] for lane in range(CONNECTIONS)
        ]

    return lanes


def _patch(url: str, number: int) -> bytes:
    body = (
        "@prefix solid: <http://www.w3.org/ns/solid/terms#>. <> a solid:InsertDeletePatch;"
        f" solid:deletes {{ <#v> <#is> {number} . }}; solid:inserts {{ <#v> <#is> {number + 1} . }} ."
    )
    return request("PATCH", url, body.encode(), Content_Type="text/n3")


def _measured(task: Task, base: str, other: str) -> list[Row]:
    load(base, task.lanes(max(1, task.count // 5)))
    ours, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        mine = load(base, task.lanes(task.count))
        assert all(status < 300 for status in mine.statuses), (task.what, mine.statuses)
        ours.append(mine.rate)
        theirs.append(load(other, task.beside(task.count)).rate)
    ratio = statistics.median(theirs) / statistics.median(ours)
    return [
        Row(
            f"{task.what}, a second",
            f"{spread(ours)}; bare: {number(statistics.median(theirs))}, {ratio:.1f} times as many",
        )
    ]


def _large(host: TestHost) -> list[Row]:
    agent, url, body = host.agent("alice"), f"{host.pod('alice')}large", bytes(LARGE)
    up, down = list[float](), list[float]()
    for turn in range(ROUNDS):
        began = time.perf_counter()
        answer = agent.put(url, turn.to_bytes(8, "big") + body[8:], "application/octet-stream")
        up.append(LARGE / 1e6 / (time.perf_counter() - began))
        assert answer.status_code in (201, 204)
        began = time.perf_counter()
        assert len(agent.get(url).content) == LARGE
        down.append(LARGE / 1e6 / (time.perf_counter() - began))
    return [
        Row("10 MiB up, durable", f"{spread(up)} MB/s"),
        Row("10 MiB down", f"{spread(down)} MB/s"),
    ]
