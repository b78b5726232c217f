"""Deliveries: items in, a verdict on each out, the data and its verdict in one append.

Called by web/deliveries.py with a partner's stream of items.  Heavy work is
in workers; what is written is decided in pod.py from the link.  An item is
idempotent by (link, data set, period, version): its key and verdict are in
the pod's own file, in the transaction of the data.

Verdicts are told in the order of the items, without gaps: receivers pair
them by their number.  So what has no verdict ends the stream at its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeGuard
from weakref import WeakValueDictionary

from pod_server.errors import Conflict, Forbidden, LimitReached, PodError, Unauthenticated
from pod_server.landing.catalogue import DATA_SETS
from pod_server.landing.formats.paris import PARIS
from pod_server.landing.items import Item, Outcome, Sibling
from pod_server.landing.months import held_back
from pod_server.landing.siblings import paths_of
from pod_server.landing.verdicts import (
    Decided,
    Work,
    covers,
    folder_of,
    is_anothers,
    landed,
    lands,
    outside,
    placed,
    refused,
    verdict,
)
from pod_server.landing.work import Placed, Result, merge_round, transform_batch
from pod_server.pod import Pods, delivered_by
from pod_server.store.contract import Clock, DeliveryRow, Moved, Snapshot
from pod_server.store.host import HostDatabase, PodRow
from pod_server.terms import PUBLIC, Caller, Link, Path, PodId, Position
from pod_server.workers import Workers

__all__ = ["Decided", "Deliveries"]

BATCH = 16
"""Items of one batch; those of one link among them share one append."""
ROUNDS = 4
"""Levels of coarser siblings, at most."""
ATTEMPTS = 5
TRANSFORM_SECONDS = 20.0
_ENDED = "The link has ended.", "Le lien a pris fin."
_SUSPENDED = "This partner is suspended.", "Ce partenaire est suspendu."
_TOO_HEAVY = "Le traitement de ce fichier a dépassé deux fois sa limite de temps ou de mémoire."


@dataclass(slots=True)
class _Plan:
    """What one pod gets from a batch.

    works: whose documents these are; the coarser ones hold the sums of all of
    them, so they are written together or planned again.  documents by path;
    versions: of what the merging rested on.
    """

    works: list[Work] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, Position | None] = field(default_factory=dict)


_Told = tuple[list[Decided], PodError | None]
"""Verdicts on the first items of a batch; when these are not all, why there is none on the next one."""


class Deliveries:
    """Takes what partners deliver."""

    def __init__(self, pods: Pods, host: HostDatabase, workers: Workers, clock: Clock) -> None:
        self._pods = pods
        self._host = host
        self._workers = workers
        self._clock = clock
        self._landing: WeakValueDictionary[PodId, asyncio.Lock] = WeakValueDictionary()
        """Landings in one pod wait for each other, from planning to the append, so that none is planned in vain."""

    async def deliver(self, caller: Caller, items: AsyncIterator[Item]) -> AsyncIterator[Decided]:
        """Verdicts, in the order of the items, each durable before it is given.

        Raises Forbidden when the caller is no partner, or a suspended one;
        LimitReached (link, data_set, period, version) for an item whose worker
        died twice: nothing of it and of what follows it is stored.
        """
        self.check(caller)
        async for batch, broken in _batches(items):
            told, ended = await self._batch(caller, batch)
            for decided in told:
                yield decided
            failure = ended or broken
            if failure is not None:
                raise failure

    async def rehearse(self, caller: Caller, items: AsyncIterator[Item]) -> AsyncIterator[Decided]:
        """What transforming and validating says of items, in their order; no link is looked at, nothing is written.

        Raises as deliver does.
        """
        self.check(caller)
        async for batch, broken in _batches(items):
            told, ended = await self._rehearsed(batch)
            for decided in told:
                yield decided
            failure = ended or broken
            if failure is not None:
                raise failure

    async def _rehearsed(self, items: Sequence[Item]) -> _Told:
        results = await self._transformed(items)
        told: list[Decided] = []
        for item, made in zip(items, results, strict=True):
            if _is_undecided(made):
                return told, _unfinished(item, made)
            told.append(refused(item, made) if isinstance(made, PodError) else landed(item, made, Outcome.WOULD_LAND))
        return told, None

    def check(self, caller: Caller) -> None:
        """Raises Unauthenticated or Forbidden unless the caller is a partner in good standing."""
        if caller == PUBLIC:
            raise Unauthenticated("A delivery needs a proof of which partner it comes from.")
        partner = self._host.partner(caller.partner) if caller.partner else None
        if partner is None:
            raise Forbidden("Only a registered partner delivers.")
        if partner.suspended is not None:
            raise Forbidden("This partner is suspended.")

    async def _batch(self, caller: Caller, items: Sequence[Item]) -> _Told:
        tied = [(item, self._tie(caller, item)) for item in items]
        results = iter(await self._transformed([item for item, tie in tied if isinstance(tie, Link)]))
        taken: list[Work | Decided] = []
        ended: PodError | None = None
        for item, tie in tied:
            if isinstance(tie, Decided):
                taken.append(tie)
                continue
            result = next(results)
            if _is_undecided(result):
                ended = _unfinished(item, result)
                break
            taken.append(Work(item, tie, result))
        failure = await self._land_all(caller, [each for each in taken if isinstance(each, Work)])
        return _told(taken, failure, ended)

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
        why_not = self._why_not(link)
        if why_not is not None:
            return Decided(item, Outcome.REVOKED, *why_not)
        return link if covers(link, item.period) else outside(item)

    def _why_not(self, link: Link | None) -> tuple[str, str] | None:
        """Why nothing may land over a link now, in English and French; None when it may."""
        if link is None or not link.holds_at(self._clock()):
            return _ENDED
        partner = self._host.partner(link.partner)
        return _SUSPENDED if partner is None or partner.suspended is not None else None

    def _has_ended(self, cause: str) -> bool:
        link = self._host.link(cause.rpartition(":")[2])
        if link is None or delivered_by(link) != cause:
            return False
        return link.ends is not None and link.ends <= self._clock()

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
        except LimitReached:
            if len(items) == 1:
                return [await self._once_more(items[0])]
        return [result for item in items for result in await self._part([item])]

    async def _once_more(self, item: Item) -> Result:
        """The last try of an item that was alone when its worker ended: that may have been the machine's fault."""
        try:
            [result] = await self._workers.run(transform_batch, [item], seconds=TRANSFORM_SECONDS)
        except LimitReached as limit:
            limit.fields["french"] = _TOO_HEAVY
            return limit
        return result

    async def _land_all(self, caller: Caller, works: Sequence[Work]) -> PodError | None:
        """Land works link by link; a link whose append fails keeps its works undecided and stops no other."""
        by_link: dict[str, list[Work]] = {}
        failure: PodError | None = None
        for work in works:
            by_link.setdefault(work.link.id, []).append(work)
        for group in by_link.values():
            pod = self._host.pod_of_id(group[0].link.pod)
            if pod is None:
                _decide_all(group, Outcome.MOVED, ("The pod is no longer here.", "Le pod n'est plus ici."))
                continue
            try:
                await self._land(caller, pod, group)
            except PodError as error:
                failure = failure or error
        return failure

    async def _land(self, caller: Caller, pod: PodRow, group: Sequence[Work]) -> None:
        lock = self._landing.setdefault(pod.id, asyncio.Lock())
        async with lock:
            for _ in range(ATTEMPTS):
                plan = await self._plan(pod, group)
                try:
                    await self._write(caller, pod, group, plan)
                except Moved:
                    continue
                except Forbidden:
                    _decide_all(group, Outcome.REVOKED, _ENDED)
                return
        raise Conflict("This pod is being written by others all the time; deliver again.", retry_after=1)

    async def _plan(self, pod: PodRow, group: Sequence[Work]) -> _Plan:
        """The documents of the items that are new, and their coarser siblings merged with what the pod holds."""
        plan = _Plan()
        siblings: list[Placed] = []
        today = datetime.fromtimestamp(self._clock(), PARIS).date()
        with self._pods.landing_view(pod) as snapshot:
            plan.works = [work for work in group if lands(work, snapshot, self._has_ended)]
            for work in plan.works:
                if isinstance(work.result, PodError):
                    continue
                for path, body in placed(work, work.result[0]):
                    entry = snapshot.entry(path)
                    plan.versions[path] = None if entry is None else entry.version
                    plan.documents[path] = body
                siblings += [(folder_of(work), sibling) for sibling in work.result[0].siblings]
            siblings += self._held_back(snapshot, plan.works, siblings, today)
        for _ in range(ROUNDS):
            if not siblings:
                break
            documents, siblings = await self._merged(siblings, self._existing(pod, plan, siblings), today)
            plan.documents.update(documents)
        return plan

    def _held_back(
        self, snapshot: Snapshot, works: Sequence[Work], siblings: Sequence[Placed], today: date
    ) -> list[Placed]:
        """Months that are over since their last day came, told now; never another link's."""
        if not works:
            return []
        known = {folder + sibling.path for folder, sibling in siblings}
        found: dict[str, Placed] = {}
        for folder, sibling in siblings:
            for entry, late in held_back(snapshot, folder, sibling, today):
                if entry.path not in known and not self._is_blocked(snapshot, works[0].link, folder, late):
                    found[entry.path] = folder, late
        return list(found.values())

    def _is_blocked(self, snapshot: Snapshot, link: Link, folder: str, sibling: Sibling) -> bool:
        entries = (snapshot.entry(Path(folder + path)) for path in paths_of(sibling))
        return any(is_anothers(entry, link, self._has_ended) for entry in entries)

    async def _merged(
        self, siblings: Sequence[Placed], existing: dict[str, bytes], today: date
    ) -> tuple[dict[str, bytes], list[Placed]]:
        work = siblings, existing, today
        try:
            return await self._workers.run(merge_round, *work, seconds=TRANSFORM_SECONDS)
        except LimitReached:  # these are our own documents: a worker that ended was not ended by them
            return await self._workers.run(merge_round, *work, seconds=TRANSFORM_SECONDS)

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

    async def _write(self, caller: Caller, pod: PodRow, group: Sequence[Work], plan: _Plan) -> None:
        now = self._clock()
        decided: list[Decided] = []

        def planned(
            snapshot: Snapshot,
        ) -> tuple[Link | None, Sequence[tuple[Path, bytes]], Sequence[DeliveryRow]]:
            link = self._host.link(group[0].link.id)
            why_not = self._why_not(link)
            if link is None or why_not is not None:
                decided[:] = [Decided(work.item, Outcome.REVOKED, *(why_not or _ENDED)) for work in group]
                return None, (), ()
            for work in group:
                work.link = link
            self._require_unmoved(snapshot, group, plan)
            found = [verdict(work, snapshot, now, self._has_ended) for work in group]
            decided[:] = [each for each, _ in found]
            documents = [(Path(path), body) for path, body in sorted(plan.documents.items())]
            return link, documents, [row for _, row in found if row is not None]

        await self._pods.land(caller, pod, planned)
        for work, each in zip(group, decided, strict=True):
            work.decided = each

    def _require_unmoved(self, snapshot: Snapshot, group: Sequence[Work], plan: _Plan) -> None:
        """What is written is what was planned, of the same items over the same documents.  Raises Moved."""
        for path, version in plan.versions.items():
            entry = snapshot.entry(Path(path))
            if (None if entry is None else entry.version) != version:
                raise Moved("A document changed while coarser ones were merged.")
        if [work for work in group if lands(work, snapshot, self._has_ended)] != plan.works:
            raise Moved("What may land changed while it was planned.")


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


def _told(taken: Sequence[Work | Decided], failure: PodError | None, ended: PodError | None) -> _Told:
    """Verdicts up to the first item that has none."""
    told: list[Decided] = []
    for each in taken:
        decided = each.decided if isinstance(each, Work) else each
        if decided is None:
            return told, failure
        told.append(decided)
    return told, ended


def _decide_all(group: Sequence[Work], outcome: Outcome, sentences: tuple[str, str]) -> None:
    for work in group:
        work.decided = Decided(work.item, outcome, *sentences)


def _is_undecided(result: Result) -> TypeGuard[LimitReached]:
    """Whether an item's worker died twice of neither time nor memory: that says nothing about the item."""
    return isinstance(result, LimitReached) and result.fields.get("limit") not in ("time", "memory")


def _unfinished(item: Item, limit: LimitReached) -> LimitReached:
    named = {"link": item.link, "data_set": item.data_set, "period": item.period, "version": item.version}
    return LimitReached(limit.detail, **{**limit.fields, **named})
