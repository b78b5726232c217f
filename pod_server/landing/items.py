"""The nouns of landing: what a partner delivers, and what becomes of it.

Everything in landing/ speaks in these; none of them does I/O.  The journey is
Item -> (formats, mapping, shapes; in a worker) -> Transformed, or a
Quarantine -> (siblings merged with what the pod holds) -> documents to write.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """The verdict on one item of a delivery; WOULD_LAND is said in a rehearsal alone, and is never stored."""

    LANDED = "landed"
    UNCHANGED = "unchanged"
    RECTIFIED = "rectified"
    QUARANTINED = "quarantined"
    OUTSIDE_LINK = "outside-link"
    UNKNOWN_LINK = "unknown-link"
    REVOKED = "revoked"
    MOVED = "moved"
    WOULD_LAND = "would-land"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing delivered: for a link, of a data set, for a period, in a version.

    data_set: the id of a catalogue row.  period: "2017-08-17" (a day),
    "2017-08" (a month), "2017" (a year), "2017-08-17/2017-08-18" (from, until),
    or any short token for an event such as a bill's number.  version: the
    partner's own, opaque; link, data_set, period and version together are the
    idempotency key.  payload: the partner's real file bytes.
    """

    link: str
    data_set: str
    period: str
    version: str
    media_type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong (or repaired, or left out) in a payload, in words for a citizen.

    code: stable and short, such as "impossible-date".  where: a path into the
    payload, such as "[3].timestamp" or "line 12, column Valeur".  value: what
    stood there, cut at 80 characters.  count: how many leaf values of the
    payload this line stands for; alike ones share a line, where ``[*]`` says so.
    """

    code: str
    where: str
    value: str
    english: str
    french: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """One document to write, below ``landed/{partner}/{data set}/``.

    path: relative, its first segment is the precision, such as
    "half-hour/2017-08/2017-08-17.ttl".  body: Turtle with relative IRIs and
    no blank nodes.  shape: base name of the shapes file it was checked by.
    """

    path: str
    body: bytes
    shape: str


@dataclass(frozen=True, slots=True)
class Sibling:
    """A coarser document to be merged with what the pod already holds at its path.

    path: as in Document.  kind: which merge to apply.  contributions: key of
    the finer period -> value, as ready text; a contribution replaces what an
    earlier version of the same finer period gave.
    """

    path: str
    kind: str
    contributions: tuple[tuple[str, str], ...]
    shape: str
    derived_from: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transformed:
    """A payload turned into RDF and found good.

    repaired: what was mended on the way (a postcode, a phone notation).
    left_out: every value that has no place in the vocabulary, so that nothing
    is lost in silence.  mapped: how many leaf values found a place.
    first_day, last_day: the days (ISO 8601) that the data speaks of, so that
    a link can be checked against the data itself and not only against the
    announced period; None where a data set has no time of its own.
    """

    documents: tuple[Document, ...]
    siblings: tuple[Sibling, ...] = ()
    repaired: tuple[Fault, ...] = ()
    left_out: tuple[Fault, ...] = ()
    mapped: int = 0
    first_day: str | None = None
    last_day: str | None = None
