"""The telecom operator's points: where the telephone was, each with its radius of uncertainty (pilot layout).

Called by ../transform.py through LAYOUTS.
"""

from __future__ import annotations

from typing import Any

from pod_server.landing.formats.record import Findings, Record, records
from pod_server.landing.formats.records import Format, Point, has_keys
from pod_server.landing.formats.values import between, documented, instant, one_of, phone

_LATITUDE = between("-90", "90")
_LONGITUDE = between("-180", "180")
_RADIUS = between("0", "200000")
_TYPE = one_of("fr.orange.geopoint")


def _read(value: Any, findings: Findings) -> tuple[Point, ...]:
    points = (_point(row) for row in records(value, "", findings))
    return tuple(point for point in points if point is not None)


def _point(row: Record) -> Point | None:
    row.may("docType", _TYPE)
    row.leave("about-the-software", "docTypeVersion")
    at, phone_ = row.need("timestamp", instant), row.need("msisdn", documented(phone))
    latitude, longitude = row.need("latitude", _LATITUDE), row.need("longitude", _LONGITUDE)
    radius = row.need("radius", _RADIUS)
    if at is None or phone_ is None or latitude is None or longitude is None or radius is None:
        return None
    return Point(at, latitude, longitude, radius, phone_)


def _is_points(value: Any) -> bool:
    return isinstance(value, list) and has_keys(value, "msisdn", "latitude", "longitude")


LAYOUTS = (Format("telecom-points", _is_points, _read),)
