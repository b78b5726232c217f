"""Coarser documents kept up to date: a finer period changes, its totals follow.

Called by the landing engine inside the append that writes the finer document.
``merge`` is pure and deterministic: the same existing bytes and the same
contributions give the same bytes, so a re-delivery changes nothing.  Energies
are exact decimals throughout; it never adds floats and never opens a file.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pyoxigraph import Literal, NamedNode, Quad

from pod_server.errors import Corrupt
from pod_server.landing.items import Document, Sibling
from pod_server.landing.mapping import paths, turtle
from pod_server.landing.mapping.load_curve import DAY_TOTALS
from pod_server.landing.mapping.turtle import ENERGY, SOSA
from pod_server.rdf import Syntax, parse
from pod_server.rdf.vocabulary import PROV

MONTH_TOTALS = "energy-months-of-year"
_BASE = "https://pod.invalid/landed/"
_PREFIXES = ("prov", "qudt", "sd-energy", "sosa", "unit", "xsd")


def months_of_year(year: int) -> str:
    """The path of a year's monthly totals."""
    return f"month/{year:04}.ttl"


def month_row(month: str) -> str:
    """The relative IRI of a month in its year's document."""
    return f"#m{month}"


def paths_of(sibling: Sibling) -> tuple[str, ...]:
    """The documents that a sibling changes: its own, and the one that its totals go up to."""
    if sibling.kind != DAY_TOTALS:
        return (sibling.path,)
    return sibling.path, months_of_year(int(sibling.path[-11:-7]))


@dataclass(frozen=True, slots=True)
class Merged:
    """The document to write, and what goes further up."""

    document: Document
    upward: tuple[Sibling, ...] = ()


def merge(sibling: Sibling, existing: bytes | None) -> Merged:
    """Put a sibling's contributions into the document that stands at its path.

    existing: the bytes of that document, None when there is none.  Raises
    Corrupt when it is Turtle but not a document that this function wrote.
    """
    own = dict(_contribution(sibling.kind, key, value) for key, value in sibling.contributions)
    held = parse(existing, Syntax.TURTLE, _BASE + sibling.path) if existing is not None else []
    merged = {**_held_totals(sibling, held), **own}
    sources = _held_sources(held) | set(sibling.derived_from)
    if sibling.kind == DAY_TOTALS:
        return _days(sibling, merged, sorted(sources))
    return Merged(_months(sibling, merged, sorted(sources)))


@dataclass(frozen=True, slots=True)
class _Total:
    """An energy (Wh) over a period, with how much of the period it covers.

    parts, whole: readings there are and readings there should be for a day;
    days there are and days that are complete for a month.
    """

    watt_hours: Decimal
    parts: int
    whole: int


def _contribution(kind: str, key: str, value: str) -> tuple[str, _Total]:
    if kind not in (DAY_TOTALS, MONTH_TOTALS):
        raise Corrupt(f"No merge is known for {kind}.")
    watt_hours, parts, whole = value.split(" ")
    return key, _Total(Decimal(watt_hours), int(parts), int(whole))


# What the pod already holds.


def _held_totals(sibling: Sibling, held: Iterable[Quad]) -> dict[str, _Total]:
    said: dict[str, dict[str, str]] = {}
    for quad in held:
        if isinstance(quad.subject, NamedNode) and isinstance(quad.object, Literal):
            said.setdefault(quad.subject.value, {})[quad.predicate.value] = quad.object.value
    head = f"{_BASE}{sibling.path}#it"
    try:
        return dict(_read_total(sibling.kind, fields) for subject, fields in said.items() if subject != head)
    except (KeyError, ArithmeticError, ValueError):
        raise Corrupt(f"{sibling.path} is not a document of totals.") from None


def _read_total(kind: str, fields: Mapping[str, str]) -> tuple[str, _Total]:
    watt_hours = Decimal(fields[SOSA + "hasSimpleResult"]) * 1000
    if kind == DAY_TOTALS:
        counts = fields[ENERGY + "readings"], fields[ENERGY + "expectedReadings"]
        return fields[ENERGY + "day"], _Total(watt_hours, int(counts[0]), int(counts[1]))
    counts = fields[ENERGY + "days"], fields[ENERGY + "completeDays"]
    return fields[ENERGY + "month"], _Total(watt_hours, int(counts[0]), int(counts[1]))


def _held_sources(held: Iterable[Quad]) -> set[str]:
    derived = PROV + "wasDerivedFrom"
    found = (quad.object for quad in held if quad.predicate.value == derived)
    return {term.value.removeprefix(_BASE) for term in found if isinstance(term, NamedNode)}


# What is written.


def _days(sibling: Sibling, totals: Mapping[str, _Total], sources: list[str]) -> Merged:
    month = date.fromisoformat(f"{sibling.path[-11:-4]}-01")
    about = [
        ("a", "sd-energy:DailyTotals"),
        ("sd-energy:month", turtle.month(month)),
        *_coverage(month, len(totals), sum(total.parts >= total.whole for total in totals.values())),
    ]
    rows = {f"#d{day}": _day_row(day, total) for day, total in sorted(totals.items())}
    document = _document(sibling, about, rows, sources, "P1D")
    return Merged(document, (_upward(sibling, month, totals),))


def _day_row(day: str, total: _Total) -> list[turtle.Pair]:
    return [
        ("sd-energy:day", f'"{day}"^^xsd:date'),
        _energy(total),
        ("sd-energy:readings", str(total.parts)),
        ("sd-energy:expectedReadings", str(total.whole)),
    ]


def _upward(sibling: Sibling, month: date, totals: Mapping[str, _Total]) -> Sibling:
    watt_hours = sum((total.watt_hours for total in totals.values()), Decimal(0))
    complete = sum(total.parts >= total.whole for total in totals.values())
    return Sibling(
        path=months_of_year(month.year),
        kind=MONTH_TOTALS,
        contributions=((month.isoformat()[:7], f"{watt_hours:f} {len(totals)} {complete}"),),
        shape=sibling.shape,
        derived_from=(sibling.path,),
    )


def _months(sibling: Sibling, totals: Mapping[str, _Total], sources: list[str]) -> Document:
    about: list[turtle.Pair] = [
        ("a", "sd-energy:MonthlyTotals"),
        ("sd-energy:year", f'"{sibling.path[-8:-4]}"^^xsd:gYear'),
    ]
    rows = {month_row(month): _month_row(month, total) for month, total in sorted(totals.items())}
    return _document(sibling, about, rows, sources, "P1M")


def _month_row(month: str, total: _Total) -> list[turtle.Pair]:
    first = date.fromisoformat(f"{month}-01")
    return [
        ("sd-energy:month", turtle.month(first)),
        _energy(total),
        *_coverage(first, total.parts, total.whole),
    ]


def _coverage(month: date, days: int, complete: int) -> list[turtle.Pair]:
    return [
        ("sd-energy:days", str(days)),
        ("sd-energy:completeDays", str(complete)),
        ("sd-energy:daysInMonth", str(calendar.monthrange(month.year, month.month)[1])),
    ]


def _energy(total: _Total) -> turtle.Pair:
    return "sosa:hasSimpleResult", turtle.decimal(total.watt_hours / 1000)


def _document(
    sibling: Sibling,
    about: list[turtle.Pair],
    rows: Mapping[str, Iterable[turtle.Pair]],
    sources: list[str],
    step: str,
) -> Document:
    duration = "xsd:dayTimeDuration" if step == "P1D" else "xsd:yearMonthDuration"
    head = turtle.subject(
        "#it",
        [
            *about,
            ("sosa:observedProperty", "sd-energy:activeEnergy"),
            ("qudt:hasUnit", "unit:KiloW-HR"),
            ("sd-energy:step", f'"{step}"^^{duration}'),
            ("prov:wasDerivedFrom", turtle.links([paths.from_to(sibling.path, source) for source in sources])),
            ("sosa:hasMember", turtle.links(list(rows))),
        ],
    )
    body = turtle.document(_PREFIXES, [head, *(turtle.subject(iri, row) for iri, row in rows.items())])
    return Document(sibling.path, body, sibling.shape)
