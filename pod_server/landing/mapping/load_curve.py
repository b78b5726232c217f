"""Load curves to documents: a day of half-hours each, and what it adds to the day and month totals.

Called by ../transform.py.  One unit and one step for all: average power in
watts over half an hour, four statements a reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import groupby

from pod_server.landing.formats.paris import half_hours
from pod_server.landing.formats.records import Curve, Reading
from pod_server.landing.items import Document, Sibling
from pod_server.landing.mapping import paths, turtle

SHAPE = "load-curve"
DAY_TOTALS = "energy-days-of-month"
_PREFIXES = ("qudt", "sd-energy", "sosa", "unit", "xsd")


def documents(curves: Iterable[Curve]) -> tuple[tuple[Document, ...], tuple[Sibling, ...]]:
    """A document for each day of each curve, and a contribution to each month's daily totals."""
    days = [
        (of, tuple(readings), curve)
        for curve in curves
        for of, readings in groupby(curve.readings, key=lambda reading: reading.start.date())
    ]
    return tuple(_day(*entry) for entry in days), tuple(_totals(days))


def days_of(curves: Iterable[Curve]) -> list[date]:
    """The days that the readings speak of, in order."""
    return sorted({reading.start.date() for curve in curves for reading in curve.readings})


def _day(of: date, readings: Sequence[Reading], curve: Curve) -> Document:
    points = [(f"#p{number}", reading) for number, reading in enumerate(readings, 1)]
    day = turtle.day(of)
    head = turtle.subject(
        "#it",
        [
            ("a", "sd-energy:LoadCurve"),
            ("sosa:observedProperty", "sd-energy:averagePower"),
            ("qudt:hasUnit", "unit:W"),
            ("sd-energy:step", '"PT30M"^^xsd:dayTimeDuration'),
            ("sd-energy:day", day),
            ("sd-energy:month", turtle.month(of)),
            ("sd-energy:readings", turtle.integer(len(points))),
            ("sd-energy:expectedReadings", turtle.integer(half_hours(of))),
            ("sd-energy:usagePoint", turtle.string(curve.usage_point)),
            ("sd-energy:contractNumber", turtle.string(curve.contract)),
            ("sd-energy:commune", turtle.string(curve.commune)),
            ("sd-energy:subscribedPower", turtle.decimal(curve.power)),
            ("sd-energy:tariffOption", turtle.string(curve.tariff)),
            ("sd-energy:processing", turtle.string(curve.processing)),
            ("sosa:hasMember", turtle.links([iri for iri, _ in points])),
        ],
    )
    body = turtle.document(_PREFIXES, [head, *(_point(iri, reading, day) for iri, reading in points)])
    return Document(paths.in_month("half-hour", of), body, SHAPE)


def _point(iri: str, reading: Reading, day: str | None) -> str:
    corrected = " ; sd-energy:corrected true" if reading.corrected else ""
    start, watts = turtle.stamp(reading.start), turtle.decimal(reading.watts)
    return f"<{iri}> sd-energy:start {start} ; sd-energy:day {day} ; sosa:hasSimpleResult {watts}{corrected} ."


def _totals(days: Iterable[tuple[date, Sequence[Reading], Curve]]) -> Iterable[Sibling]:
    for (year, month), entries in groupby(sorted(days, key=_when), key=lambda entry: (entry[0].year, entry[0].month)):
        listed = list(entries)
        yield Sibling(
            path=paths.in_year("day", year, f"{year:04}-{month:02}"),
            kind=DAY_TOTALS,
            contributions=tuple((of.isoformat(), contribution(of, readings)) for of, readings, _ in listed),
            shape=SHAPE,
            derived_from=tuple(paths.in_month("half-hour", of) for of, _, _ in listed),
        )


def _when(entry: tuple[date, Sequence[Reading], Curve]) -> date:
    return entry[0]


def contribution(of: date, readings: Sequence[Reading]) -> str:
    """Watt-hours, readings and expected readings of a day, as three numbers in a row."""
    watt_hours = sum((reading.watts for reading in readings), Decimal(0)) / 2
    return f"{watt_hours:f} {len(readings)} {half_hours(of)}"
