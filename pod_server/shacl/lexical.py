"""Is a lexical form in the lexical space of its datatype?  (XML Schema 1.1 Datatypes, section 3; RDF 1.1, section 3.3)

Called by the check of sh:datatype and by the comparison of values.  Strict:
white space is not collapsed, and a date must be in the calendar.  It knows
the datatypes that RDF 1.1 lists; any other datatype has no ill-formed literal.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from pod_server.rdf.vocabulary import XSD

_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_DAY = r"-?(?:[1-9][0-9]{3,}|0[0-9]{3})-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?|24:00:00(?:\.0+)?)"
_YEAR = r"-?(?:[1-9][0-9]{3,}|0[0-9]{3})"
_TIME_OF_DURATION = (
    r"T(?:[0-9]+H(?:[0-9]+M)?(?:[0-9]+(?:\.[0-9]+)?S)?|[0-9]+M(?:[0-9]+(?:\.[0-9]+)?S)?|[0-9]+(?:\.[0-9]+)?S)"
)
_NAME = r"[^\W\d][\w.\-·]*"

_PATTERNS: Final[dict[str, str]] = {
    "boolean": "true|false|0|1",
    "decimal": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)",
    "integer": r"[+-]?[0-9]+",
    "double": r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[+-]?INF|NaN",
    "dateTime": f"{_DAY}T{_CLOCK}{_ZONE}?",
    "dateTimeStamp": f"{_DAY}T{_CLOCK}{_ZONE}",
    "date": f"{_DAY}{_ZONE}?",
    "time": f"{_CLOCK}{_ZONE}?",
    "gYear": f"{_YEAR}{_ZONE}?",
    "gYearMonth": f"{_YEAR}-(?:0[1-9]|1[0-2]){_ZONE}?",
    "gMonth": f"--(?:0[1-9]|1[0-2]){_ZONE}?",
    "gDay": f"---(?:0[1-9]|[12][0-9]|3[01]){_ZONE}?",
    "gMonthDay": f"--(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|[12][0-9])){_ZONE}?",
    "duration": f"-?P(?:(?:[0-9]+Y(?:[0-9]+M)?(?:[0-9]+D)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)(?:{_TIME_OF_DURATION})?"
    f"|{_TIME_OF_DURATION})",
    "dayTimeDuration": f"-?P(?:[0-9]+D(?:{_TIME_OF_DURATION})?|{_TIME_OF_DURATION})",
    "yearMonthDuration": "-?P(?:[0-9]+Y(?:[0-9]+M)?|[0-9]+M)",
    "hexBinary": "(?:[0-9a-fA-F]{2})*",
    "base64Binary": "(?:(?:[A-Za-z0-9+/] ?){4})*(?:(?:[A-Za-z0-9+/] ?){2}[AEIMQUYcgkosw048] ?="
    "|(?:[A-Za-z0-9+/] ?)[AQgw] ?= ?=)?",
    "language": "[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8})*",
    "normalizedString": r"[^\t\n\r]*",
    "token": r"(?:[^\t\n\r ]+(?: [^\t\n\r ]+)*)?",
    "Name": r"[^\W\d][\w.\-·:]*|:[\w.\-·:]*",
    "NCName": _NAME,
    "NMTOKEN": r"[\w.\-·:]+",
}
_PATTERNS["float"] = _PATTERNS["double"]

_RANGES: Final[dict[str, tuple[int | None, int | None]]] = {
    "nonNegativeInteger": (0, None),
    "positiveInteger": (1, None),
    "nonPositiveInteger": (None, 0),
    "negativeInteger": (None, -1),
    "long": (-(2**63), 2**63 - 1),
    "int": (-(2**31), 2**31 - 1),
    "short": (-(2**15), 2**15 - 1),
    "byte": (-128, 127),
    "unsignedLong": (0, 2**64 - 1),
    "unsignedInt": (0, 2**32 - 1),
    "unsignedShort": (0, 2**16 - 1),
    "unsignedByte": (0, 255),
}
_CALENDAR: Final = frozenset({"dateTime", "dateTimeStamp", "date"})

INTEGERS: Final = frozenset(f"{XSD}{name}" for name in ("integer", *_RANGES))
MAX_DIGITS: Final = 4000
"""Longer integers are compared neither by Python nor by us: their conversion takes quadratic time."""

Test = Callable[[str], object]


def well_formed(text: str, datatype: str) -> bool:
    """True when the text is in the lexical space of a datatype IRI, or when the datatype is unknown here."""
    return bool(lexical_test(datatype)(text))


@lru_cache(maxsize=256)
def lexical_test(datatype: str) -> Test:
    """A function that is truthy for the well-formed lexical forms of a datatype IRI."""
    name = datatype.removeprefix(XSD)
    if name in _CALENDAR:
        return _calendar_test(re.compile(_PATTERNS[name]))
    if name in _RANGES:
        return _range_test(*_RANGES[name])
    if name in _PATTERNS:
        return re.compile(_PATTERNS[name]).fullmatch
    return _anything


def _anything(text: str) -> bool:
    return text is not None


def _calendar_test(pattern: re.Pattern[str]) -> Test:
    def test(text: str) -> bool:
        if not text.isascii() or pattern.fullmatch(text) is None:
            return False
        year_end = text.index("-", 1)
        day = int(text[year_end + 4 : year_end + 6])
        return day <= 28 or day <= days_in_month(text[:year_end], int(text[year_end + 1 : year_end + 3]))

    return test


def days_in_month(year: str, month: int) -> int:
    """The days of a month of the proleptic Gregorian calendar; the year as text, since it may have any length."""
    sign = -1 if year.startswith("-") else 1
    return monthrange(2000 + sign * int(year.lstrip("-")[-4:]) % 400, month)[1]


def _range_test(lowest: int | None, highest: int | None) -> Test:
    pattern = re.compile(_PATTERNS["integer"])

    def test(text: str) -> bool:
        if len(text) > MAX_DIGITS or pattern.fullmatch(text) is None:
            return False
        number = int(text)
        return (lowest is None or lowest <= number) and (highest is None or number <= highest)

    return test
