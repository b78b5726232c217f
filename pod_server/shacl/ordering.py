"""The order of values: what sh:minInclusive and its siblings compare (SPARQL 1.1, section 17.3; XPath functions).

Called by the range and pair constraints.  Numbers are compared exactly, as
Decimal; dates and times on the line of UTC, where a value without a zone and
one with a zone have no order.  Values of different families have no order.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from pyoxigraph import Literal

from pod_server.rdf.vocabulary import XSD
from pod_server.shacl.index import Term
from pod_server.shacl.lexical import INTEGERS, MAX_DIGITS, well_formed


class Comparable(NamedTuple):
    """A value on the line of its family; two values of one family compare by key."""

    family: str
    key: Decimal | float | str


_FLOATS: Final = frozenset({f"{XSD}double", f"{XSD}float"})
_EXACT: Final = INTEGERS | {f"{XSD}decimal"}
_DATES: Final = frozenset(
    f"{XSD}{name}" for name in ("dateTime", "dateTimeStamp", "date", "time", "gYear", "gYearMonth")
)
_DURATIONS: Final = frozenset({f"{XSD}dayTimeDuration", f"{XSD}yearMonthDuration"})
_MOMENT: Final = re.compile(
    r"(?:(?P<year>-?[0-9]{4,})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2}))?)?T?)?"
    r"(?:(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9.]+))?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})?"
)
_DURATION: Final = re.compile(
    r"(-?)P(?:([0-9]+)Y)?(?:([0-9]+)M)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9.]+)S)?)?"
)


def comparable(term: Term) -> Comparable | None:
    """The place of a term on the line of its family; None for what has no order: IRIs, ill-formed literals, NaN."""
    if not isinstance(term, Literal) or term.language is not None:
        return None
    return _comparable(term.value, term.datatype.value)


def _comparable(text: str, datatype: str) -> Comparable | None:
    if datatype == f"{XSD}string":
        return Comparable("string", text)
    if len(text) > MAX_DIGITS or not well_formed(text, datatype):
        return None
    if datatype in _EXACT:
        return Comparable("number", Decimal(text))
    if datatype in _FLOATS:
        return _float(text)
    if datatype == f"{XSD}boolean":
        return Comparable("boolean", Decimal(text in ("true", "1")))
    if datatype in _DATES:
        return _moment(text, datatype)
    return _duration(text, datatype) if datatype in _DURATIONS else None


def _float(text: str) -> Comparable | None:
    """Its decimal text, read exactly: "0.1"^^xsd:double equals 0.1, whatever the nearest binary fraction."""
    if text == "NaN":
        return None
    try:
        return Comparable("number", Decimal(text.replace("INF", "Infinity")))
    except InvalidOperation:  # an exponent of more than 18 digits
        return None


def _moment(text: str, datatype: str) -> Comparable:
    parts = _MOMENT.fullmatch(text)
    assert parts is not None, text  # noqa: S101 - the lexical test before admits only what this pattern takes
    days = _days(int(parts["year"] or 1970), int(parts["month"] or 1), int(parts["day"] or 1))
    clock = int(parts["hour"] or 0) * 3600 + int(parts["minute"] or 0) * 60 - _offset(parts["zone"])
    family = "dateTime" if datatype == f"{XSD}dateTimeStamp" else datatype.removeprefix(XSD)
    zoned = "with zone" if parts["zone"] else "without zone"
    return Comparable(f"{family} {zoned}", days * 86400 + clock + Decimal(parts["second"] or 0))


def _offset(zone: str | None) -> int:
    """Seconds east of UTC."""
    if zone is None or zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds


def _days(year: int, month: int, day: int) -> int:
    """Days since 1 March of year 0 of the proleptic Gregorian calendar; any year, unlike datetime."""
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 1


def _duration(text: str, datatype: str) -> Comparable:
    parts = _DURATION.fullmatch(text)
    assert parts is not None, text  # noqa: S101 - the lexical test before admits only what this pattern takes
    sign, years, months, days, hours, minutes, seconds = parts.groups("0")
    length = int(years) * 12 + int(months) if datatype.endswith("yearMonthDuration") else None
    if length is None:
        length = int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60
    key = length + Decimal(seconds)
    return Comparable(datatype.removeprefix(XSD), -key if sign == "-" else key)
