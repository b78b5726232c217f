"""A minute of eight clients at once, one request in a hundred garbage: no failure of the host's own, no growth."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import uvloop
from bench.processes import MIB, pss, view_workers, weight
from bench.rows import Row, claim
from bench.wire import Answer, Line, connect, hang_up_midway, request
from killing import clear
from solid import UNION, TestHost, running

CLIENTS = 8
NAMES = 150
WARM_UP = 25.0
SECONDS = 60.0
QUIET = 3.0
GROWTH = 1.25
FEWEST = 3_000
GARBAGE = 0.01
ALLOWED = (503, 507)
_TURTLE = "text/turtle"


@dataclass
class Toll:
    """What came back.  own: answers that blame the host (5xx but 503 and 507), with what was asked."""

    statuses: Counter[int] = field(default_factory=Counter)
    own: list[str] = field(default_factory=list)
    garbage: int = 0
    cut: int = 0
    wrong: list[str] = field(default_factory=list)


def run(random_seed: int) -> list[Row]:
    """Flood, rest, weigh; flood longer, rest, weigh again."""
    folder = Path(tempfile.mkdtemp(prefix="soak-flood-"))
    try:
        with running(folder) as host:
            uvloop.run(_flood(host, random_seed, WARM_UP))
            time.sleep(QUIET)
            before, split = weight(host.process.pid), _split(host)
            toll = uvloop.run(_flood(host, random_seed + 1, SECONDS))
            time.sleep(QUIET)
            after, alive = weight(host.process.pid), host.process.poll() is None
            rows = _rows(toll, before, after, f"{split} before, {_split(host)} after")
            return [*rows, claim("it is the same process, and answers", alive and _answers(host))]
    finally:
        clear(folder)


def _answers(host: TestHost) -> bool:
    return host.http.get(f"{host.base}.host/health").status_code == 200


def _split(host: TestHost) -> str:
    own, views = pss(host.process.pid), sum(map(pss, view_workers(host.process.pid)))
    return f"{own / MIB:.0f} + {views / MIB:.0f}"


def _rows(toll: Toll, before: int, after: int, split: str) -> list[Row]:
    statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(toll.statuses.items()))
    growth, count = after / before, toll.statuses.total()
    for each in toll.own[:5] + toll.wrong[:5]:
        print(each)
    return [
        Row("answers", f"{count:,} in {SECONDS:.0f} s ({statuses})", f"> {FEWEST:,}", count > FEWEST),
        Row("garbage sent; connections cut by it", f"{toll.garbage:,}; {toll.cut:,}", "> 50", toll.garbage > 50),
        Row("5xx other than 503 and 507", str(len(toll.own)), "0", not toll.own),
        Row("answers that are not what was written", str(len(toll.wrong)), "0", not toll.wrong),
        Row(
            "PSS of the host and its workers, after / after warm-up",
            f"{after / MIB:.0f} / {before / MIB:.0f} MiB = {growth:.2f}",
            f"<= {GROWTH}",
            growth <= GROWTH,
        ),
        Row("of that, host + view workers (MiB)", split),
    ]


async def _flood(host: TestHost, seed: int, seconds: float) -> Toll:
    toll, end = Toll(), time.monotonic() + seconds
    clients = [_Client(host, number, random.Random(seed * 100 + number), toll) for number in range(CLIENTS)]
    await asyncio.gather(*(client.drive(end) for client in clients))
    return toll


class _Client:
    """One client with names of its own: the owner with proofs, or the public in the open folder."""

    def __init__(self, host: TestHost, number: int, dice: random.Random, toll: Toll) -> None:
        self._host, self._dice, self._toll = host, dice, toll
        pod = host.pod("alice")
        is_owner = number % 2 == 0
        self._agent = host.agent("alice") if is_owner else host.public
        self._home = f"{pod}{'flood' if is_owner else 'open/flood'}/{number}/"
        self._pod = pod
        self._kept: dict[str, int] = {}
        self._line: Line | None = None

    async def drive(self, end: float) -> None:
        """Ask until the end, a new connection after each cut."""
        while time.monotonic() < end:
            if self._dice.random() < GARBAGE:
                await self._garbage()
                continue
            async with self._connected() as line:
                await self._dice.choices((self._get, self._put, self._patch, self._query), (10, 5, 4, 1))[0](line)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Line]:
        if self._line is None or not self._line.is_open:
            self._line = await connect(self._host.base)
        try:
            yield self._line
        except ConnectionError:
            self._toll.cut += 1
            self._line = None

    async def _ask(self, line: Line, method: str, url: str, body: bytes = b"", **headers: str) -> Answer:
        signed = self._agent.headers(method, url)
        answer = await line.ask(request(method, url, body, **headers, **signed))
        self._note(answer, f"{method} {url}")
        return answer

    def _note(self, answer: Answer, asked: str) -> None:
        self._toll.statuses[answer.status] += 1
        if answer.status >= 500 and answer.status not in ALLOWED:
            self._toll.own.append(f"{asked}: {answer.status} {answer.body[:300]!r}")

    async def _get(self, line: Line) -> None:
        name = f"d{self._dice.randrange(NAMES)}"
        accept = self._dice.choice((_TURTLE, _TURTLE, "application/ld+json"))
        answer = await self._ask(line, "GET", self._home + name, Accept=accept)
        kept = self._kept.get(name)
        if kept is not None and answer.status == 200 and str(kept).encode() not in answer.body:
            self._toll.wrong.append(f"{name} is {answer.body[:200]!r}, not {kept}")

    async def _put(self, line: Line) -> None:
        name, number = f"d{self._dice.randrange(NAMES)}", self._dice.randrange(10**9)
        filler = "é" * self._dice.randrange(2000)
        body = f"<#v> <#is> {number} ; <#pad> {json.dumps(filler, ensure_ascii=False)} .".encode()
        answer = await self._ask(line, "PUT", self._home + name, body, Content_Type=_TURTLE)
        if answer.status in (201, 204):
            self._kept[name] = number
        else:
            self._kept.pop(name, None)

    async def _patch(self, line: Line) -> None:
        if not self._kept:
            return
        name = self._dice.choice(sorted(self._kept))
        old, new = self._kept[name], self._dice.randrange(10**9)
        body = (
            "@prefix solid: <http://www.w3.org/ns/solid/terms#>. <> a solid:InsertDeletePatch;"
            f" solid:deletes {{ <#v> <#is> {old} . }}; solid:inserts {{ <#v> <#is> {new} . }} ."
        )
        answer = await self._ask(line, "PATCH", self._home + name, body.encode(), Content_Type="text/n3")
        if answer.status < 300:
            self._kept[name] = new
        else:
            self._toll.wrong.append(f"patch of {name}: {answer.status} {answer.body[:200]!r}")
            del self._kept[name]

    async def _query(self, line: Line) -> None:
        query = f"SELECT (COUNT(*) AS ?n) {{ ?s <{self._home}d1#is> ?v }}"
        if self._dice.random() < 0.5:
            query = "SELECT ?s ?p ?o { ?s ?p ?o } LIMIT 50"
        form = urlencode({"query": query, "default-graph-uri": UNION}).encode()
        kind = "application/x-www-form-urlencoded"
        await self._ask(line, "POST", f"{self._pod}.pod/sparql", form, Content_Type=kind)

    async def _garbage(self) -> None:
        self._toll.garbage += 1
        data, whole = self._dice.choice(_GARBAGE)(self._dice, self._home, self._pod)
        if not whole:
            await hang_up_midway(self._host.base, data)
            self._toll.cut += 1
            return
        async with self._connected() as line:
            self._note(await line.ask(data), repr(data[:200]))


def _noise(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    return dice.randbytes(dice.randrange(1, 3000)), False


def _half(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    whole = request("PUT", home + "half", b"<#a> <#b> 1 ." * 200, Content_Type=_TURTLE)
    return whole[: dice.randrange(1, len(whole))], False


def _no_turtle(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    body = dice.choice((dice.randbytes(500), b"<#a> <#b> (" * 5000, b"[" * 26_000, b'<#a> <#b> "\xff\xfe" .'))
    kind = dice.choice((_TURTLE, "application/ld+json", "text/n3", "x", ""))
    return request(dice.choice(("PUT", "PATCH", "POST")), f"{pod}open/garbage", body, Content_Type=kind), True


def _no_query(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    deep = b"SELECT * { " + b"{ " * 3000 + b"} " * 3000 + b"}"
    union = b"SELECT * { " + b"?a ?b ?c . ?d ?e ?f . " * 20 + b"}"
    body = dice.choice((b"SELECT", dice.randbytes(300), deep, union, b'ASK { FILTER regex("a", "(a+)+$") }'))
    return request("POST", f"{pod}.pod/sparql", body, Content_Type="application/sparql-query"), True


def _no_place(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    path = dice.choice(("%00", "..%2f..%2fetc", "a//b", "%ff%fe", "x" * 6000, ".acl.acl", "%c0%ae", "a;b=c?d#e", "*"))
    return request("GET", pod + path), True


def _no_proof(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    token = dice.choice(("DPoP x.y.z", "Bearer", "DPoP " + "A" * 4000, "Basic !!!", "DPoP e30.e30.e30"))
    return request("GET", f"{pod}secret", Authorization=token, DPoP="e30.e30." + "A" * dice.randrange(200)), True


def _no_terms(dice: random.Random, home: str, pod: str) -> tuple[bytes, bool]:
    headers = {"Range": "bytes=9-1,-,a", "If_Match": '"', "Accept": ";q=x,,/" * 50, "Link": "<" * 100, "Slug": "../é"}
    wild = {name: headers[name] for name in dice.sample(sorted(headers), 2)}
    return request(dice.choice(("GET", "BREW", "DELETE", "OPTIONS")), f"{pod}open/none", b"", **wild), True


_Garbage = Callable[[random.Random, str, str], tuple[bytes, bool]]
_GARBAGE: tuple[_Garbage, ...] = (_noise, _half, _no_turtle, _no_query, _no_place, _no_proof, _no_terms)
