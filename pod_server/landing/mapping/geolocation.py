"""Points to documents: a day of exact points, and beside it a day of hours in cells of about one kilometre.

Called by ../transform.py.  The coarse document holds no telephone number and
no minute: it is what an app gets that asks where, not where exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import groupby

from pod_server.landing.formats.records import Point
from pod_server.landing.items import Document
from pod_server.landing.mapping import paths, turtle

SHAPE = "geolocation"
CELL = Decimal("0.01")
"""Degrees: 1.1 km from south to north, 0.7 km from west to east in France."""
_PREFIXES = ("geo", "prov", "schema", "sd-location", "sosa", "xsd")


def documents(points: Iterable[Point]) -> tuple[Document, ...]:
    """For each day (as the timestamps write it) an exact document and a coarse one."""
    found = []
    for of, listed in groupby(sorted(points, key=_when), key=lambda point: point.at.date()):
        day = tuple(listed)
        found += [_exact(of, day), _area(of, day)]
    return tuple(found)


def days_of(points: Iterable[Point]) -> list[date]:
    """The days that the points speak of, in order."""
    return sorted({point.at.date() for point in points})


def _when(point: Point) -> tuple[date, datetime]:
    return point.at.date(), point.at


def _exact(of: date, points: Sequence[Point]) -> Document:
    iris = [f"#p{number}" for number in range(1, len(points) + 1)]
    phones = sorted({point.phone for point in points})
    head = turtle.subject(
        "#it",
        [
            ("a", "sd-location:Trace"),
            ("sd-location:day", turtle.day(of)),
            ("sd-location:points", turtle.integer(len(points))),
            ("schema:telephone", ", ".join(f'"{phone}"' for phone in phones)),
            ("sosa:hasMember", turtle.links(iris)),
        ],
    )
    body = turtle.document(_PREFIXES, [head, *(_point(iri, point) for iri, point in zip(iris, points, strict=True))])
    return Document(paths.in_month("exact", of), body, SHAPE)


def _point(iri: str, point: Point) -> str:
    where = f"geo:lat {turtle.decimal(point.latitude)} ; geo:long {turtle.decimal(point.longitude)}"
    radius = turtle.decimal(point.radius)
    return f"<{iri}> sosa:resultTime {turtle.stamp(point.at)} ; {where} ; sd-location:radius {radius} ."


def _area(of: date, points: Sequence[Point]) -> Document:
    path = paths.in_month("area", of)
    cells = sorted({(_hour(point.at), _cell(point.latitude), _cell(point.longitude)) for point in points})
    iris = [f"#c{number}" for number in range(1, len(cells) + 1)]
    head = turtle.subject(
        "#it",
        [
            ("a", "sd-location:AreaTrace"),
            ("sd-location:day", turtle.day(of)),
            ("sd-location:cell", turtle.decimal(CELL)),
            ("prov:wasDerivedFrom", f"<{paths.from_to(path, paths.in_month('exact', of))}>"),
            ("sosa:hasMember", turtle.links(iris)),
        ],
    )
    lines = [_visit(iri, *cell) for iri, cell in zip(iris, cells, strict=True)]
    return Document(path, turtle.document(_PREFIXES, [head, *lines]), SHAPE)


def _visit(iri: str, hour: datetime, latitude: Decimal, longitude: Decimal) -> str:
    where = f"geo:lat {turtle.decimal(latitude)} ; geo:long {turtle.decimal(longitude)}"
    return f"<{iri}> sd-location:hour {turtle.stamp(hour)} ; {where} ."


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _cell(degrees: Decimal) -> Decimal:
    return degrees.quantize(CELL, ROUND_HALF_EVEN) + Decimal(0)
