"""A pod's logs in plain words: what came in, who may read, who read, what happened; in English and French.

Called by the citizen's console with the owner's own caller.  All of it is read
from one snapshot that pod.py opens only for whoever controls ``landed/``.  It
changes nothing, decides nothing, and keeps nothing; whether the logs' chains
are whole is checked by ``verify``.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final, TypeVar

from pod_server.access import RuleText, read_rules
from pod_server.identity.clients import console_client
from pod_server.pod import Pods, Target
from pod_server.rdf import parse, syntax_of
from pod_server.store.contract import ChangeRow, DeliveryRow, Reading, Snapshot
from pod_server.store.host import PodRow
from pod_server.terms import FOREVER, LANDED, Caller, Mode, Path, Position, acl_of, is_container

ROWS: Final = 5000
"""The newest rows of a log that are told; older ones stay in the log."""
HELD: Final = 50
"""Refused items that are shown for each data set, the newest."""
_TAKEN = ("landed", "rectified")
_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that was wrong in a delivered file: where, what stood there, and a sentence in each language."""

    where: str
    value: str
    english: str
    french: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Held:
    """An item that was refused whole.

    at: seconds since 1970.  mended: the same period arrived well later.
    """

    period: str
    version: str
    at: float
    english: str
    french: str
    mistakes: tuple[Mistake, ...]
    mended: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """How many documents the pod holds of one precision, and the container they are in."""

    precision: str
    documents: int
    container: Path


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one partner delivered of one data set.

    last: of the newest verdict, seconds since 1970.  taken: items that
    landed, corrections among them.  refused: items refused.  held: the newest
    of the refused, newest first.
    """

    partner: str
    data_set: str
    last: float
    taken: int
    corrected: int
    refused: int
    held: tuple[Held, ...]
    kept: tuple[Kept, ...] = ()


class Audience(enum.StrEnum):
    """Whom a rule lets in."""

    PUBLIC = "public"
    SIGNED_IN = "signed-in"
    GROUP = "group"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Opening:
    """One rule that lets somebody besides the owner's console in.

    path: what it opens; own, below: the resource itself, what is below it.
    who: WebID or group, "" for the public.  client: the app through which
    the agent must come.  until: seconds since 1970, None for no end.  name:
    the rule's id in its document.
    """

    path: Path
    audience: Audience
    who: str
    client: str | None
    modes: Mode
    own: bool
    below: bool
    until: float | None
    name: str

    def holds_at(self, instant: float) -> bool:
        """Whether the rule is not yet past its end."""
        return self.until is None or instant < self.until


@dataclass(frozen=True, slots=True)
class ReadBy:
    """What somebody else read: one reader, one way, one target.

    agent, client: None when not told.  act: "read" or "query".  target: a
    container of ``landed/`` (``landed/{partner}/{data set}/{precision}``), the
    data sets that a query could see, or a path.  first, last: seconds since
    1970.  rows: results given, None for plain reads.
    """

    agent: str | None
    client: str | None
    act: str
    target: str
    first: float
    last: float
    times: int
    rows: int | None


class Deed(enum.StrEnum):
    """What a run of changes was."""

    MADE = "made"
    DELIVERY = "delivery"
    GRANT = "grant"
    REVOKE = "revoke"
    WRITE = "write"
    DELETE = "delete"


DEEDS: Final = {
    Deed.MADE: ("The pod was made.", "L'espace a été créé."),
    Deed.DELIVERY: ("{partner} delivered (changes: {count}).", "{partner} a livré (modifications : {count})."),
    Deed.GRANT: ("You let an app read {path}.", "Vous avez laissé une application lire {path}."),
    Deed.REVOKE: ("You took back an app's access to {path}.", "Vous avez retiré à une application l'accès à {path}."),
    Deed.WRITE: ("{who} wrote {path}.", "{who} écrit {path}."),
    Deed.DELETE: ("{who} deleted {path}.", "{who} supprimé {path}."),
}
_OWNER = ("You", "Vous avez")
_NOBODY = ("Somebody without a name", "Quelqu'un sans nom a")


@dataclass(frozen=True, slots=True)
class Event:
    """A run of changes that belong together, as one sentence in each language.

    at: of the newest, seconds since 1970.  first, last: positions in the log.
    client: the app that did it, None when not told.
    """

    deed: Deed
    at: float
    first: Position
    last: Position
    client: str | None
    english: str
    french: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that the console's first page tells.

    days: reads by others as (day since 1970 in UTC, count), in order.  whole:
    no log was longer than what is told.
    """

    arrivals: tuple[Arrival, ...]
    openings: tuple[Opening, ...]
    readers: tuple[ReadBy, ...]
    days: tuple[tuple[int, int], ...]
    whole: bool


class Audit:
    """Tells what happened in one host's pods.  base: the host's address with its final slash."""

    def __init__(self, pods: Pods, base: str) -> None:
        self._pods = pods
        self._console = console_client(base)

    def story(self, caller: Caller, pod: PodRow) -> Story:
        """What came in, who may read and who read.  Raises Forbidden unless the caller controls ``landed/``."""
        with self._pods.owner_view(caller, pod) as snapshot:
            verdicts, all_verdicts = newest(snapshot.deliveries)
            readings, all_readings = newest(snapshot.readings)
            return Story(
                tuple(_with_documents(snapshot, arrival) for arrival in arrivals(verdicts)),
                tuple(self._openings(snapshot, pod)),
                tuple(readers(readings)),
                reads_by_day(readings),
                whole=all_verdicts and all_readings,
            )

    def events(self, caller: Caller, pod: PodRow, partners: Mapping[str, str]) -> Sequence[Event]:
        """The pod's own log, newest first, runs of one cause told once.  partners: their names by id."""
        with self._pods.owner_view(caller, pod) as snapshot:
            rows, _ = newest(lambda after, limit: snapshot.changes(Position(after), limit))
        return list(reversed(list(events(rows, pod.owner, partners))))

    def _openings(self, snapshot: Snapshot, pod: PodRow) -> Iterator[Opening]:
        for entry in snapshot.policies():
            subject = Path(entry.path.removesuffix(".acl"))
            syntax = syntax_of(entry.media_type)
            if syntax is None:
                continue
            document = self._pods.iri(Target(pod, acl_of(subject)))
            rules = read_rules(parse(snapshot.body(entry), syntax, document), self._pods.iri(Target(pod, subject)))
            for text in rules:
                yield from openings(subject, text, pod.owner, self._console)


def newest(page: Callable[[int, int], Sequence[_Row]]) -> tuple[Sequence[_Row], bool]:
    """The last rows of a log, in order, and whether those are all.

    page: rows after a number, at most so many.  The end is found by asking
    for single rows at doubling distances, so that a long log costs no more.
    """
    high = 1
    while page(high, 1):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if page(middle, 1) else (low, middle)
    start = max(0, high - ROWS)
    return page(start, ROWS), start == 0


def arrivals(rows: Sequence[DeliveryRow]) -> Iterator[Arrival]:
    """Verdicts, oldest first, told by partner and data set."""
    ordered = sorted(rows, key=_subject)
    for (partner, data_set), group in groupby(ordered, key=_subject):
        yield _arrival(partner, data_set, list(group))


def _subject(row: DeliveryRow) -> tuple[str, str]:
    return row.partner, row.data_set


def _arrival(partner: str, data_set: str, rows: Sequence[DeliveryRow]) -> Arrival:
    landed = {(row.link, row.period): row.at for row in rows if row.outcome in _TAKEN}
    refused = [row for row in rows if row.outcome == "quarantined"]
    return Arrival(
        partner,
        data_set,
        max(row.at for row in rows),
        taken=sum(row.outcome in _TAKEN for row in rows),
        corrected=sum(row.outcome == "rectified" for row in rows),
        refused=len(refused),
        held=tuple(_held(row, landed.get((row.link, row.period))) for row in reversed(refused[-HELD:])),
    )


def _held(row: DeliveryRow, landed: float | None) -> Held:
    report = json.loads(row.report)
    mistakes = tuple(_mistake(each) for each in report.get("faults", ()))
    mended = landed is not None and landed >= row.at
    english = str(report.get("english", ""))
    return Held(row.period, row.version, row.at, english, str(report.get("french", english)), mistakes, mended)


def _mistake(fault: dict[str, Any]) -> Mistake:
    english = str(fault.get("english", ""))
    return Mistake(
        str(fault.get("where", "")),
        str(fault.get("value", "")),
        english,
        str(fault.get("french", english)),
        int(fault.get("count", 1)),
    )


def _with_documents(snapshot: Snapshot, arrival: Arrival) -> Arrival:
    folder = Path(f"{LANDED}{arrival.partner}/{arrival.data_set}/")
    kept = [
        Kept(child.path.strip("/").rsplit("/", 1)[-1], _documents(snapshot, child.path), child.path)
        for child in snapshot.children(folder)
        if is_container(child.path)
    ]
    return replace(arrival, kept=tuple(kept))


def _documents(snapshot: Snapshot, container: Path) -> int:
    return sum(
        _documents(snapshot, child.path) if is_container(child.path) else 1 for child in snapshot.children(container)
    )


def openings(subject: Path, text: RuleText, owner: str, console: str) -> Iterator[Opening]:
    """Whom one rule lets in besides the owner as such: the owner alone, or at the console, is no opening."""
    rule = text.rule
    clients = sorted(frozenset.intersection(*rule.clients)) if rule.clients else [None]
    until = None if rule.until == FOREVER else rule.until
    parties = [(Audience.PUBLIC, "")] if rule.public else []
    parties += [(Audience.SIGNED_IN, "")] if rule.authenticated else []
    parties += [(Audience.GROUP, group) for group in sorted(rule.groups)]
    parties += [(Audience.AGENT, agent) for agent in sorted(rule.agents)]
    for audience, who in parties:
        for client in clients:
            if who == owner and client in (None, console):
                continue
            yield Opening(subject, audience, who, client, rule.modes, rule.own, rule.members, until, text.name)


def readers(rows: Iterable[Reading]) -> list[ReadBy]:
    """The read log by reader and target, the most recent first."""
    found: dict[tuple[str | None, str | None, str, str], ReadBy] = {}
    for row in rows:
        target = place_of(row.target)
        key = (row.agent, row.client, row.act, target)
        before = found.get(key) or ReadBy(row.agent, row.client, row.act, target, row.at, row.at, 0, None)
        rows_given = before.rows if row.rows is None else (before.rows or 0) + row.rows
        found[key] = replace(
            before,
            first=min(before.first, row.at),
            last=max(before.last, row.at),
            times=before.times + row.count,
            rows=rows_given,
        )
    return sorted(found.values(), key=_recent)


def _recent(row: ReadBy) -> float:
    return -row.last


def place_of(target: str) -> str:
    """Where a read was: documents of partners' data by their precision, everything else by its path."""
    if not target.startswith(LANDED):
        return target
    return "/".join(target.strip("/").split("/")[:4])


def reads_by_day(rows: Iterable[Reading]) -> tuple[tuple[int, int], ...]:
    """How many reads there were on each day that had any: (day since 1970 in UTC, count), in order."""
    days: dict[int, int] = {}
    for row in rows:
        day = int(row.at // 86400)
        days[day] = days.get(day, 0) + row.count
    return tuple(sorted(days.items()))


def events(rows: Sequence[ChangeRow], owner: str, partners: Mapping[str, str]) -> Iterator[Event]:
    """The log as sentences, oldest first; neighbours with one cause and one author are one event."""
    for _, group in groupby(rows, key=_run):
        yield _event(list(group), owner, partners)


def _run(row: ChangeRow) -> tuple[object, ...]:
    """What makes neighbours one event; a write without a cause stands alone."""
    minute = int(row.at // 60) if row.cause.startswith("delivery:") else row.at
    return row.cause, row.agent, row.client, minute, None if row.cause else row.position


def _event(rows: Sequence[ChangeRow], owner: str, partners: Mapping[str, str]) -> Event:
    last = rows[-1]
    deed = _deed(last)
    subject = last.path.removesuffix(".acl") if deed in (Deed.GRANT, Deed.REVOKE) else last.path
    partner = last.cause.partition(":")[2].partition(":")[0]
    authors = _OWNER if last.agent == owner else (last.agent, f"{last.agent} a") if last.agent else _NOBODY
    said = [
        sentence.format(who=who, path=subject, partner=partners.get(partner, partner), count=len(rows))
        for sentence, who in zip(DEEDS[deed], authors, strict=True)
    ]
    return Event(deed, last.at, rows[0].position, last.position, last.client, said[0], said[1])


def _deed(row: ChangeRow) -> Deed:
    kind = row.cause.partition(":")[0]
    if kind == "new pod":
        return Deed.MADE
    if kind in (Deed.DELIVERY, Deed.GRANT, Deed.REVOKE):
        return Deed(kind)
    return Deed.DELETE if row.act == "delete" else Deed.WRITE
