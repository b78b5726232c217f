"""JSON as partners send it, read without mercy: the only reader of payload bytes in landing.

Called by ../transform.py.  It never repairs: whatever is not plain JSON of a
sane size is refused with a fault that names line and column where known.
"""

from __future__ import annotations

import codecs
import json
from collections import Counter
from decimal import Decimal
from typing import Any

from pod_server.errors import Malformed
from pod_server.landing.formats.sayings import fault
from pod_server.landing.items import Fault
from pod_server.rdf import guard_json

MAX_PAYLOAD = 4 * 1024 * 1024
"""Bytes of one item; a year of half-hours is about 3 MB, and items are cut by day."""


def load(payload: bytes) -> tuple[Any, Fault | None]:
    """The value of a JSON text with its decimals exact, or the fault that stops the reading.

    Refused: over 4 MiB, over 64 levels, invalid UTF-8, a key said twice, NaN
    and Infinity (RFC 8259 with the "names SHOULD be unique" of section 4 as a
    must).  A byte order mark is taken (section 8.1 allows that).
    """
    if len(payload) > MAX_PAYLOAD:
        return None, fault("too-large", "", f"{len(payload)}", limit=MAX_PAYLOAD)
    try:
        guard_json(payload)
        return _decoder(payload.removeprefix(codecs.BOM_UTF8).decode()), None
    except UnicodeDecodeError as error:
        return None, fault("not-utf8", f"byte {error.start}", "")
    except Malformed as error:
        return None, fault("too-deep", _place(error.fields.get("line"), error.fields.get("column")), "")
    except _Refused as error:
        return None, error.fault
    except json.JSONDecodeError as error:
        return None, fault("not-json", _place(error.lineno, error.colno), "")
    except (ValueError, ArithmeticError):
        return None, fault("number-out-of-bounds", "", "")


class _Refused(Exception):
    """Carries a fault out of the JSON decoder's callbacks; never leaves this module."""

    def __init__(self, found: Fault) -> None:
        super().__init__(found.code)
        self.fault = found


def _decoder(text: str) -> Any:
    return json.loads(text, parse_float=_number, parse_constant=_constant, object_pairs_hook=_unique)


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if abs(value.adjusted()) > 30:
        raise _Refused(fault("number-out-of-bounds", "", text))
    return value


def _constant(name: str) -> Any:
    raise _Refused(fault("not-a-number", "", name))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise _Refused(fault("key-twice", counts.most_common(1)[0][0], ""))
    return found


def _place(line: Any, column: Any) -> str:
    return f"line {line}, column {column}" if line else ""
