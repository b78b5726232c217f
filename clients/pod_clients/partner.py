"""A partner's side of a host: deliver what it holds about its customers, and know what became of it.

Used by the command line and by partners' own programs.  Deliveries are
idempotent, so whatever has no verdict is simply sent again; an item is given
up only with a verdict that says why.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from pod_clients.errors import ClientError, HostError
from pod_clients.items import BYTES_A_LINE, Item, Split, Verdict, batches
from pod_clients.receipts import check_receipt
from pod_clients.session import ATTEMPTS, Session, pause_before

NDJSON = "application/x-ndjson"
_TRY_AGAIN = ("busy", "conflict", "limit-reached")

Progress = Callable[[Verdict], None]


class Sink(Protocol):
    """Where dead letters go: anything that takes bytes."""

    def write(self, data: bytes, /) -> object:
        """Take some bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a delivery.

    refused: the verdicts that are not good.  receipts: the statements that
    the host signed, one a request, proven.  unsigned: requests whose answer
    was cut after verdicts had come, so that no receipt covers those.
    """

    counts: Mapping[str, int]
    refused: Sequence[Verdict]
    receipts: Sequence[Mapping[str, Any]]
    unsigned: int = 0

    @property
    def items(self) -> int:
        """How many items have a verdict."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Status:
    """Who this client is to the host.  version: of the host.  ready: it takes requests."""

    partner: str
    client: str
    issuer: str
    host: str
    version: str
    ready: bool
    data_sets: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Host:
    deliveries: str
    catalogue: str
    receipt_key: str
    version: str


@dataclass(slots=True)
class _Tally:
    progress: Progress | None
    dead_letters: Sink | None
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[Verdict] = field(default_factory=list)
    receipts: list[Mapping[str, Any]] = field(default_factory=list)
    unsigned: int = 0

    def take(self, verdict: Verdict) -> None:
        self.counts[verdict.outcome] += 1
        if not verdict.is_good:
            self.refused.append(verdict)
            if self.dead_letters is not None:
                self.dead_letters.write(verdict.dead_letter())
        if self.progress is not None:
            self.progress(verdict)


@dataclass(frozen=True, slots=True)
class _Answer:
    """One request's answer: how many verdicts came, the problem that ended it, and what ended the connection."""

    verdicts: int
    problem: Mapping[str, Any] | None = None
    cut: httpx.TransportError | None = None


class Partner:
    """A partner at one host.  host_url: the host's address."""

    def __init__(self, session: Session, host_url: str) -> None:
        self._session = session
        self._url = host_url.rstrip("/") + "/"
        self._host: _Host | None = None
        self._splits: dict[str, Split | None] | None = None

    def split_of(self, data_set: str) -> Split | None:
        """How files of a data set are cut, from the host's catalogue.  Raises ClientError when it has no such row."""
        rows = self._catalogue()
        if data_set not in rows:
            raise ClientError(f"The host has no data set {data_set}; it has {', '.join(sorted(rows))}.")
        return rows[data_set]

    def status(self) -> Status:
        """Who we are, as the host proves it by an empty delivery.  Raises HostError when it will not have us."""
        host = self._found()
        ready = self._session.exchange("GET", self._url + ".host/ready").status_code == 200
        partner = str(self._sent_empty(host)["partner"])
        claims = self._session.claims()
        client, issuer = str(claims.get("client_id", "")), str(claims.get("iss", ""))
        return Status(partner, client, issuer, self._url, host.version, ready, sorted(self._catalogue()))

    def deliver(
        self, items: Iterable[Item], *, progress: Progress | None = None, dead_letters: Sink | None = None
    ) -> Report:
        """Deliver items; each has a verdict that is durable at the host, or is one of the refused.

        progress: called with each verdict as it comes.  dead_letters: takes
        the refused ones as lines that can be mended and delivered again.
        Raises HostError when the host will not have the delivery at all,
        ReceiptError, httpx.TransportError after several cuts in a row.
        """
        return self._run(items, _Tally(progress, dead_letters), check=False)

    def check(self, items: Iterable[Item], *, progress: Progress | None = None) -> Report:
        """What the host would say of items; it writes nothing, asks for no link and signs nothing."""
        return self._run(items, _Tally(progress, None), check=True)

    def _run(self, items: Iterable[Item], tally: _Tally, *, check: bool) -> Report:
        for batch in batches(_sendable(items, tally)):
            self._send(batch, tally, check=check)
        return Report(dict(tally.counts), tally.refused, tally.receipts, tally.unsigned)

    def _catalogue(self) -> Mapping[str, Split | None]:
        if self._splits is None:
            answer = self._session.request("GET", self._found().catalogue, headers={"Accept": "application/json"})
            self._splits = {row["id"]: _split(row.get("split")) for row in answer.json()["data_sets"]}
        return self._splits

    def _found(self) -> _Host:
        if self._host is None:
            document = self._session.request("GET", self._url + ".well-known/pod-server").json()
            self._host = _Host(
                document["deliveries"], document["catalogue"], document["receipt_key"]["x"], document["version"]
            )
        return self._host

    def _post(self, batch: Sequence[Item], *, check: bool) -> AbstractContextManager[httpx.Response]:
        return self._session.stream(
            "POST",
            self._found().deliveries,
            params={"check": ""} if check else None,
            content=b"".join(item.line() for item in batch),
            headers={"Content-Type": NDJSON, "Accept": NDJSON},
        )

    def _sent_empty(self, host: _Host) -> Mapping[str, Any]:
        answer = self._session.request("POST", host.deliveries, content=b"", headers={"Content-Type": NDJSON})
        receipt = json.loads(answer.content.splitlines()[-1])
        return self._proven(receipt, hashlib.sha256().hexdigest(), 0)

    def _send(self, batch: Sequence[Item], tally: _Tally, *, check: bool) -> None:
        """Send a batch until each of its items has a verdict."""
        pending, stalled = list(batch), 0
        while pending:
            answer = self._exchange(pending, tally, check=check)
            pending = pending[answer.verdicts :]
            if not pending:
                return
            line = _at_fault(answer.problem)
            if line is not None:
                item = pending.pop(max(0, min(line - 1 - answer.verdicts, len(pending) - 1)))
                tally.take(_refused(item, answer.problem or {}))
                continue
            stalled = 0 if answer.verdicts else stalled + 1
            if stalled >= ATTEMPTS or not _is_passing(answer):
                raise _given_up(answer)
            self._session.sleep(pause_before(stalled))

    def _exchange(self, pending: Sequence[Item], tally: _Tally, *, check: bool) -> _Answer:
        """One request: verdicts are taken as they come, and the receipt is held against them."""
        whole, count = hashlib.sha256(), 0
        problem: Mapping[str, Any] | None = None
        cut: httpx.TransportError | None = None
        try:
            with self._post(pending, check=check) as response:
                for line in _lines(response):
                    document = json.loads(line)
                    if "outcome" in document and count < len(pending):
                        whole.update(line + b"\n")
                        tally.take(_verdict(pending[count], document))
                        count += 1
                    elif "problem" in document:
                        problem = document["problem"]
                    elif "receipt" in document:
                        tally.receipts.append(self._proven(document, whole.hexdigest(), count))
                        return _Answer(count, problem)
        except httpx.TransportError as error:
            cut = error
        tally.unsigned += 1 if count and not check else 0
        return _Answer(count, problem, cut)

    def _proven(self, document: Mapping[str, Any], verdicts: str, items: int) -> Mapping[str, Any]:
        return check_receipt(document, self._found().receipt_key, verdicts, items)


def _split(row: Mapping[str, Any] | None) -> Split | None:
    return None if row is None else Split(str(row["field"]), int(row["length"]))


def _sendable(items: Iterable[Item], tally: _Tally) -> Iterator[Item]:
    """The items that the host would read at all; the others get their verdict here."""
    for item in items:
        if len(item.payload) <= BYTES_A_LINE * 3 // 4 or len(item.line()) <= BYTES_A_LINE:
            yield item
        else:
            tally.take(_refused(item, {"detail": f"An item may have at most {BYTES_A_LINE} bytes; split the file."}))


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """The whole lines of an answer; what a cut leaves without its line end is no line."""
    held = b""
    for piece in response.iter_bytes():
        *whole, held = (held + piece).split(b"\n")
        yield from whole


def _verdict(item: Item, line: Mapping[str, Any]) -> Verdict:
    return Verdict(
        item,
        str(line["outcome"]),
        str(line.get("english", "")),
        str(line.get("french", "")),
        tuple(line.get("faults", ())),
        _count(line.get("repaired")),
        _count(line.get("left_out")),
        str(line.get("content", "")),
    )


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _refused(item: Item, problem: Mapping[str, Any]) -> Verdict:
    sentence = str(problem.get("detail", "The host would not read this line."))
    return Verdict(item, "refused", sentence, str(problem.get("french", sentence)))


def _at_fault(problem: Mapping[str, Any] | None) -> int | None:
    """The line (from 1) that a problem blames; None when it blames none."""
    line = problem.get("line") if problem is not None and problem.get("kind") not in _TRY_AGAIN else None
    return line if isinstance(line, int) else None


def _is_passing(answer: _Answer) -> bool:
    """Whether sending again may help: the connection was cut, or the host said that it is busy."""
    return answer.problem is None or answer.problem.get("kind") in _TRY_AGAIN


def _given_up(answer: _Answer) -> Exception:
    if answer.problem is not None:
        kind, detail = str(answer.problem.get("kind", "")), str(answer.problem.get("detail", ""))
        return HostError(200, type_=kind, title="The host ended the delivery", detail=detail, fields=answer.problem)
    return answer.cut or ClientError("The host ends its answers before there is a verdict.")
