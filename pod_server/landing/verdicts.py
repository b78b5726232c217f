"""What becomes of one item, in words and as a row: pure, over a snapshot of the pod.

Called by deliveries.py, in planning and again inside the append.  It decides
whether an item may stand where its documents would go; whether the partner
may write at all is decided in pod.py.  It must never write, nor ask the clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from pod_server.errors import PodError
from pod_server.landing.items import Item, Outcome, Transformed
from pod_server.landing.siblings import paths_of
from pod_server.landing.work import Result
from pod_server.pod import delivered_by
from pod_server.store.contract import DeliveryRow, Entry, Snapshot
from pod_server.terms import Link, Path

HasEnded = Callable[[str], bool]
"""Whether what wrote a document, by its cause in the log, is a link that has ended."""


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


@dataclass(slots=True, eq=False)
class Work:
    """One item on its way through a batch."""

    item: Item
    link: Link
    result: Result
    decided: Decided | None = None


def lands(work: Work, snapshot: Snapshot, has_ended: HasEnded) -> bool:
    """Whether an item is good, new, and nothing stands in its way: only then anything of it is written."""
    if isinstance(work.result, PodError) or snapshot.delivery(key_of(work.item)) is not None:
        return False
    return _obstacle(work, snapshot, has_ended) is None


def verdict(work: Work, snapshot: Snapshot, now: float, has_ended: HasEnded) -> tuple[Decided, DeliveryRow | None]:
    """The verdict on an item, and the row that keeps it; no row for what changes nothing."""
    item, key, source = work.item, key_of(work.item), hashlib.sha256(work.item.payload).hexdigest()
    before = snapshot.delivery(key)
    if before is not None:
        return _again(item, before, source), None
    made, obstacle = work.result, _obstacle(work, snapshot, has_ended)
    if isinstance(made, PodError):
        decided = refused(item, made)
    elif obstacle is not None:
        decided = obstacle
    else:
        decided = landed(item, made, Outcome.RECTIFIED if _replaces(work, made[0], snapshot) else Outcome.LANDED)
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


def _replaces(work: Work, made: Transformed, snapshot: Snapshot) -> bool:
    """Whether the period was delivered before: by this link, or by one that has ended since."""
    if snapshot.delivered(work.item.link, work.item.data_set, work.item.period) is not None:
        return True
    entries = (snapshot.entry(path) for path, _ in placed(work, made))
    return any(entry is not None and entry.cause != delivered_by(work.link) for entry in entries)


def _obstacle(work: Work, snapshot: Snapshot, has_ended: HasEnded) -> Decided | None:
    """Why a good item may not land here: outside its link's dates, or in the place of another link's data."""
    made = work.result
    if isinstance(made, PodError):
        return None
    if not covers(work.link, work.item.period, made[0].first_day, made[0].last_day):
        return outside(work.item)
    totals = [Path(folder_of(work) + path) for sibling in made[0].siblings for path in paths_of(sibling)]
    for path in [*(path for path, _ in placed(work, made[0])), *totals]:
        if is_anothers(snapshot.entry(path), work.link, has_ended):
            return Decided(
                work.item,
                Outcome.QUARANTINED,
                "Another link of this partner has delivered the same period; two meters are not kept apart yet.",
                "Un autre lien de ce partenaire a livré cette période ; deux compteurs ne sont pas encore séparés.",
            )
    return None


def is_anothers(entry: Entry | None, link: Link, has_ended: HasEnded) -> bool:
    """Whether a document was written over another link that still holds; an ended one's series may be continued."""
    return entry is not None and entry.cause != delivered_by(link) and not has_ended(entry.cause)


def folder_of(work: Work) -> str:
    """Where the documents of an item go."""
    return f"/landed/{work.link.partner}/{work.item.data_set}/"


def placed(work: Work, made: Transformed) -> list[tuple[Path, bytes]]:
    """The documents of an item, by their paths in the pod."""
    return [(Path(folder_of(work) + document.path), document.body) for document in made.documents]


def refused(item: Item, refusal: PodError) -> Decided:
    """The verdict on an item that is not good."""
    return Decided(
        item,
        Outcome.QUARANTINED,
        refusal.detail,
        str(refusal.fields.get("french", refusal.detail)),
        tuple(refusal.fields.get("report", ())),
    )


def landed(item: Item, made: tuple[Transformed, str], outcome: Outcome) -> Decided:
    """The verdict on a good item."""
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


def outside(item: Item) -> Decided:
    """The verdict on data of other days than the link's."""
    return Decided(
        item,
        Outcome.OUTSIDE_LINK,
        "The data lies outside the dates of the link.",
        "Les données sont en dehors des dates du lien.",
    )


def covers(link: Link, *days: str | None) -> bool:
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
