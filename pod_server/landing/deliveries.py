"""Deliveries: items in, a verdict on each out, the data and its verdict in one append.

Called by web/deliveries.py with a partner's stream of items.  Heavy work is
in workers; what is written is decided in pod.py from the link.  An item is
idempotent by (link, data set, period, version): its key and verdict are in
the pod's own file, in the transaction of the data.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from pod_server.errors import Busy, Conflict, Forbidden, LimitReached, PodError, Unauthenticated
from pod_server.landing.catalogue import DATA_SETS
from pod_server.landing.items import Item, Outcome, Transformed
from pod_server.landing.work import Placed, Result, merge_round, transform_batch
from pod_server.pod import Pods, delivered_by
from pod_server.store.contract import Clock, DeliveryRow, Moved, Snapshot
from pod_server.store.host import HostDatabase, PodRow
from pod_server.terms import PUBLIC, Caller, Link, Path, Position
from pod_server.workers import Workers

BATCH = 16
"""Items of one batch; those of one link among them share one append."""
ROUNDS = 4
"""Levels of coarser siblings, at most."""
ATTEMPTS = 5
TRANSFORM_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict on one item.  sentence: for people, in English and French; content: hash of what landed."""

    item: Item
    outcome: Outcome
    english: str = ""
    french: str = ""
    faults: tuple[Mapping[str, str], ...] = ()
    repaired: int = 0
    left_out: int = 0
    content: str = ""


@dataclass(slots=True)
class _Work:
    """One item on its way through a batch."""

    item: Item
    link: Link
    result: Result
    decided: Decided | None = None


@dataclass(slots=True)
class _Plan:
    """What one pod gets from a batch: documents by path, and the versions that merging rested on."""

    documents: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, Position | None] = field(default_factory=dict)


class Deliveries:
    """Takes what partners deliver."""

    def __init__(self, pods: Pods, host: HostDatabase, workers: Workers, clock: Clock) -> None:
        self._pods = pods
        self._host = host
        self._workers = workers
        self._clock = clock

    async def deliver(self, caller: Caller, items: AsyncIterator[Item]) -> AsyncIterator[Decided]:
        """Verdicts, in the order of the items, each durable before it is given.

        Raises Forbidden when the caller is no partner, or a suspended one.
        """
        self.check(caller)
        async for batch, failure in _batches(items):
            for decided in await self._batch(caller, batch) if batch else ():
                yield decided
            if failure is not None:
                raise failure

    async def rehearse(self, caller: Caller, items: AsyncIterator[Item]) -> AsyncIterator[Decided]:
        """What transforming and validating says of items, in their order; no link is looked at, nothing is written.

        Raises as deliver does.
        """
        self.check(caller)
        async for batch, failure in _batches(items):
            for decided in await self._rehearsed(batch):
                yield decided
            if failure is not None:
                raise failure

    async def _rehearsed(self, items: Sequence[Item]) -> list[Decided]:
        results = await self._transformed(items)
        return [
            _refused(item, made) if isinstance(made, PodError) else _landed(item, made, Outcome.WOULD_LAND)
            for item, made in zip(items, results, strict=True)
        ]

    def check(self, caller: Caller) -> None:
        """Raises Unauthenticated or Forbidden unless the caller is a partner in good standing."""
        if caller == PUBLIC:
            raise Unauthenticated("A delivery needs a proof of which partner it comes from.")
        partner = self._host.partner(caller.partner) if caller.partner else None
        if partner is None:
            raise Forbidden("Only a registered partner delivers.")
        if partner.suspended is not None:
            raise Forbidden("This partner is suspended.")

    async def _batch(self, caller: Caller, items: Sequence[Item]) -> list[Decided]:
        verdicts: dict[int, Decided] = {}
        works: dict[int, _Work] = {}
        tied = [(number, item, self._tie(caller, item)) for number, item in enumerate(items)]
        wanted = [(number, item, tie) for number, item, tie in tied if isinstance(tie, Link)]
        results = await self._transformed([item for _, item, _ in wanted])
        for (number, item, link), result in zip(wanted, results, strict=True):
            works[number] = _Work(item, link, result)
        by_link: dict[str, list[_Work]] = {}
        for work in works.values():
            by_link.setdefault(work.link.id, []).append(work)
        for group in by_link.values():
            pod = self._host.pod_of_id(group[0].link.pod)
            if pod is not None:
                await self._land(caller, pod, group)
        for number, item, tie in tied:
            decided = tie if isinstance(tie, Decided) else works[number].decided
            verdicts[number] = decided or Decided(
                item, Outcome.MOVED, "The pod is no longer here.", "Le pod n'est plus ici."
            )
        return [verdicts[number] for number in range(len(items))]

    def _tie(self, caller: Caller, item: Item) -> Link | Decided:
        """The link of an item, or why there is none to land by.  An unknown link and another's look alike."""
        if item.data_set not in DATA_SETS or not DATA_SETS[item.data_set].enabled:
            return Decided(
                item,
                Outcome.QUARANTINED,
                f"There is no data set {item.data_set!r} here.",
                f"Il n'y a pas ici de jeu de données {item.data_set!r}.",
            )
        link = self._host.link(item.link)
        if link is None or link.partner != caller.partner:
            return Decided(item, Outcome.UNKNOWN_LINK, "No link has this id.", "Aucun lien ne porte cet identifiant.")
        if not link.holds_at(self._clock()):
            return Decided(item, Outcome.REVOKED, "The link has ended.", "Le lien a pris fin.")
        return link if _covers(link, item.period) else _outside(item)

    async def _transformed(self, items: Sequence[Item]) -> Sequence[Result]:
        """All items transformed in workers; when a job dies, its items are tried alone, so that one hurts no other."""
        if not items:
            return []
        half = (len(items) + 1) // 2
        parts = [part for part in (items[:half], items[half:]) if part]
        done = await asyncio.gather(*(self._part(part) for part in parts))
        return [result for part in done for result in part]

    async def _part(self, items: Sequence[Item]) -> Sequence[Result]:
        try:
            return await self._workers.run(transform_batch, items, seconds=TRANSFORM_SECONDS)
        except Busy:
            raise
        except LimitReached as limit:
            if len(items) == 1:
                return [limit]
        return [result for item in items for result in await self._part([item])]

    async def _land(self, caller: Caller, pod: PodRow, group: Sequence[_Work]) -> None:
        for _ in range(ATTEMPTS):
            plan = await self._plan(pod, group)
            try:
                await self._write(caller, pod, group, plan)
            except Moved:
                continue
            return
        raise Conflict("This pod is being written by others all the time; deliver again.", retry_after=1)

    async def _plan(self, pod: PodRow, group: Sequence[_Work]) -> _Plan:
        """The documents of the items that are new, and their coarser siblings merged with what the pod holds."""
        plan = _Plan()
        siblings: list[Placed] = []
        with self._pods.landing_view(pod) as snapshot:
            for work in group:
                made = work.result
                known = snapshot.delivery(key_of(work.item)) is not None
                if isinstance(made, PodError) or known or _obstacle(work, snapshot) is not None:
                    continue
                for path, body in _placed(work, made[0]):
                    entry = snapshot.entry(path)
                    plan.versions[path] = None if entry is None else entry.version
                    plan.documents[path] = body
                siblings += [(_folder(work), sibling) for sibling in made[0].siblings]
        for _ in range(ROUNDS):
            if not siblings:
                break
            existing = self._existing(pod, plan, siblings)
            documents, siblings = await self._workers.run(merge_round, siblings, existing, seconds=TRANSFORM_SECONDS)
            plan.documents.update(documents)
        return plan

    def _existing(self, pod: PodRow, plan: _Plan, siblings: Iterable[Placed]) -> dict[str, bytes]:
        existing: dict[str, bytes] = {}
        with self._pods.landing_view(pod) as snapshot:
            for folder, sibling in siblings:
                path = Path(folder + sibling.path)
                if path in plan.documents:
                    existing[path] = plan.documents[path]
                    continue
                entry = snapshot.entry(path)
                plan.versions[path] = None if entry is None else entry.version
                if entry is not None:
                    existing[path] = snapshot.body(entry)
        return existing

    async def _write(self, caller: Caller, pod: PodRow, group: Sequence[_Work], plan: _Plan) -> None:
        now = self._clock()

        def planned(snapshot: Snapshot) -> tuple[Sequence[tuple[Path, bytes]], Sequence[DeliveryRow]]:
            for path, version in plan.versions.items():
                entry = snapshot.entry(Path(path))
                if (None if entry is None else entry.version) != version:
                    raise Moved("A coarser document changed while it was merged.")
            rows = []
            for work in group:
                work.decided, row = _verdict(work, snapshot, now)
                rows += [row] if row is not None else []
            return [(Path(path), body) for path, body in sorted(plan.documents.items())] if rows else [], rows

        await self._pods.land(caller, pod, group[0].link, planned)


async def _batches(items: AsyncIterator[Item]) -> AsyncIterator[tuple[list[Item], PodError | None]]:
    """Items in batches, never two of one subject in one; the failure of the stream comes with what was before it."""
    batch: list[Item] = []
    subjects: set[tuple[str, str, str]] = set()
    try:
        async for item in items:
            subject = (item.link, item.data_set, item.period)
            if len(batch) >= BATCH or subject in subjects:
                yield batch, None
                batch, subjects = [], set()
            batch.append(item)
            subjects.add(subject)
    except PodError as failure:
        yield batch, failure
        return
    yield batch, None


def _verdict(work: _Work, snapshot: Snapshot, now: float) -> tuple[Decided, DeliveryRow | None]:
    """The verdict on an item, and the row that keeps it; no row for what changes nothing."""
    item, key, source = work.item, key_of(work.item), hashlib.sha256(work.item.payload).hexdigest()
    before = snapshot.delivery(key)
    if before is not None:
        return _again(item, before, source), None
    made, obstacle = work.result, _obstacle(work, snapshot)
    if isinstance(made, PodError):
        decided = _refused(item, made)
    elif obstacle is not None:
        decided = obstacle
    else:
        earlier = snapshot.delivered(item.link, item.data_set, item.period)
        decided = _landed(item, made, Outcome.LANDED if earlier is None else Outcome.RECTIFIED)
    row = DeliveryRow(
        key,
        item.link,
        work.link.partner,
        item.data_set,
        item.period,
        item.version,
        source,
        decided.outcome,
        now,
        report=_report(decided, made),
    )
    return decided, row


def _obstacle(work: _Work, snapshot: Snapshot) -> Decided | None:
    """Why a good item may not land here: outside its link's dates, or in the place of another link's data."""
    made = work.result
    if isinstance(made, PodError):
        return None
    if not _covers(work.link, made[0].first_day, made[0].last_day):
        return _outside(work.item)
    for path, _ in _placed(work, made[0]):
        entry = snapshot.entry(path)
        if entry is not None and entry.cause != delivered_by(work.link):
            return Decided(
                work.item,
                Outcome.QUARANTINED,
                "Another link of this partner has delivered the same period; two meters are not kept apart yet.",
                "Un autre lien de ce partenaire a livré cette période ; deux compteurs ne sont pas encore séparés.",
            )
    return None


def _folder(work: _Work) -> str:
    return f"/landed/{work.link.partner}/{work.item.data_set}/"


def _placed(work: _Work, made: Transformed) -> list[tuple[Path, bytes]]:
    """The documents of an item, by their paths in the pod."""
    return [(Path(_folder(work) + document.path), document.body) for document in made.documents]


def _refused(item: Item, refusal: PodError) -> Decided:
    return Decided(
        item,
        Outcome.QUARANTINED,
        refusal.detail,
        str(refusal.fields.get("french", refusal.detail)),
        tuple(refusal.fields.get("report", ())),
    )


def _landed(item: Item, made: tuple[Transformed, str], outcome: Outcome) -> Decided:
    transformed, content = made
    return Decided(
        item,
        outcome,
        repaired=len(transformed.repaired),
        left_out=len(transformed.left_out),
        content=content,
    )


def _again(item: Item, before: DeliveryRow, source: str) -> Decided:
    """An idempotency key that was used before: the same content changes nothing, another content is refused."""
    if before.source != source:
        return Decided(
            item,
            Outcome.QUARANTINED,
            "This version was delivered before with other content; a correction needs a new version.",
            "Cette version a déjà été livrée avec un autre contenu ; une correction demande une nouvelle version.",
        )
    if before.outcome == Outcome.QUARANTINED:
        kept = json.loads(before.report)
        return Decided(
            item, Outcome.QUARANTINED, kept.get("english", ""), kept.get("french", ""), tuple(kept.get("faults", ()))
        )
    return Decided(item, Outcome.UNCHANGED)


def _report(decided: Decided, made: Result) -> str:
    report: dict[str, object] = {"english": decided.english, "french": decided.french, "faults": list(decided.faults)}
    if not isinstance(made, PodError):
        report["repaired"] = [asdict(fault) for fault in made[0].repaired[:50]]
        report["left_out"] = [asdict(fault) for fault in made[0].left_out[:50]]
        report["content"] = made[1]
    return json.dumps(report, ensure_ascii=False, separators=(",", ":"))


def key_of(item: Item) -> str:
    """The idempotency key: link, data set, period and version, unambiguously joined."""
    return json.dumps([item.link, item.data_set, item.period, item.version], ensure_ascii=False)


def _outside(item: Item) -> Decided:
    return Decided(
        item,
        Outcome.OUTSIDE_LINK,
        "The data lies outside the dates of the link.",
        "Les données sont en dehors des dates du lien.",
    )


def _covers(link: Link, *days: str | None) -> bool:
    """Whether every dated one of these periods begins while the link holds; a name has no date."""
    starts = [_start_of(day) for day in days if day is not None]
    return all(link.holds_at(start) for start in starts if start is not None)


def _start_of(period: str) -> float | None:
    """The first instant of a dated period (UTC); None for a period that is a name."""
    text = period.split("/", maxsplit=1)[0]
    for layout in ("%Y-%m-%d", "%Y-%m", "%Y"):
        try:
            return datetime.strptime(text, layout).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None
