"""One value at a time: what a partner wrote, to what is meant, or the code of what is wrong.

Called by the readers through record.py.  Converters are pure functions of a
JSON scalar; sentences are in sayings.py, places in record.py.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from stdnum import iban as stdnum_iban
from stdnum.exceptions import ValidationError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Good(Generic[T]):
    """A value that is understood; repaired is the code of what was mended, None when it came well."""

    value: T
    repaired: str | None = None
    words: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bad:
    """A value that is not; code is a key of sayings.REFUSED."""

    code: str
    words: Mapping[str, object] = field(default_factory=dict)


Converter = Callable[[Any], "Good[T] | Bad"]

MAX_TEXT = 2000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2,3}", re.ASCII)
_DOUBLED = re.compile(r"\d{4}-\d{2}-\d{2}\D?\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2,3})[T ](?P<time>\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(?P<zone>Z|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:\.\d{1,12})?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d{1,18},\d{1,12}", re.ASCII)
_POWER = re.compile(r"(\d{1,4}(?:[.,]\d)?)\s*kVA", re.ASCII | re.IGNORECASE)
_DISTRICT = re.compile(r"(PARIS|LYON|MARSEILLE)\s+0?(\d{1,2})(?:\s*(?:ER|E|EME|ÈME))?", re.ASCII | re.IGNORECASE)
_DISTRICTS = {"PARIS": ("750", 20), "LYON": ("690", 9), "MARSEILLE": ("130", 16)}


def text(raw: Any) -> Good[str] | Bad:
    """A line of text, trimmed; control characters and half characters are refused."""
    if isinstance(raw, bool) or not isinstance(raw, str):
        return Bad("wrong-kind", {"expected": "text"})
    if len(raw) > MAX_TEXT:
        return Bad("too-long")
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t" for letter in raw):
        return Bad("not-text")
    stripped = raw.strip()
    return Good(stripped) if stripped else Bad("missing-value")


def code(pattern: str, shown: str) -> Converter[str]:
    """A converter for codes of a fixed form (numbers given as JSON integers are taken as their digits)."""
    compiled = re.compile(pattern, re.ASCII)

    def convert(raw: Any) -> Good[str] | Bad:
        written = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
        if isinstance(written, str) and compiled.fullmatch(written.strip()):
            return Good(written.strip())
        return Bad("not-a-code", {"expected": shown})

    return convert


def day(raw: Any) -> Good[date] | Bad:
    """A calendar day, given as a date or as a date-time whose day is taken as written."""
    if not isinstance(raw, str):
        return Bad("not-a-date")
    if _DATE.fullmatch(raw):
        return _calendar_day(raw)
    if _DOUBLED.fullmatch(raw):
        return Bad("doubled-date")
    if (found := _INSTANT.fullmatch(raw)) is None:
        return Bad("not-a-date")
    taken = _calendar_day(found["day"])
    if isinstance(taken, Good) and not found["zone"]:
        midnight = found["time"].strip("0:.") == ""
        return Good(taken.value, "midnight-without-zone") if midnight else Bad("no-zone")
    return taken


def _calendar_day(written: str) -> Good[date] | Bad:
    try:
        value = date.fromisoformat(written)
    except ValueError:
        return Bad("impossible-date")
    return Good(value) if 1900 <= value.year <= 2100 else Bad("implausible-date")


def instant(raw: Any) -> Good[datetime] | Bad:
    """A date-time with its zone (xsd:dateTimeStamp); seconds may be absent, a zone may not."""
    if not isinstance(raw, str):
        return Bad("not-a-time")
    if _DOUBLED.match(raw):
        return Bad("doubled-date")
    if (found := _INSTANT.fullmatch(raw)) is None:
        return Bad("not-a-time")
    taken = _calendar_day(found["day"])
    if isinstance(taken, Bad):
        return taken
    if not found["zone"]:
        return Bad("no-zone")
    return _composed(found)


def local(raw: Any) -> Good[datetime] | Bad:
    """A date-time without a zone, for formats whose documentation names the zone."""
    if not isinstance(raw, str) or (found := _INSTANT.fullmatch(raw)) is None:
        return Bad("not-a-time")
    taken = _calendar_day(found["day"])
    if isinstance(taken, Bad):
        return taken
    return _composed(found)


def _composed(found: re.Match[str]) -> Good[datetime] | Bad:
    seconds, _, fraction = found["time"].partition(".")
    written = f"{found['day']}T{seconds}{'.' + fraction[:6].ljust(6, '0') if fraction else ''}{found['zone'] or ''}"
    try:
        value = datetime.fromisoformat(written)
        value.utctimetuple()
    except (ValueError, OverflowError):
        return Bad("impossible-time")
    offset = value.utcoffset()
    if offset is not None and abs(offset.total_seconds()) > 14 * 3600:
        return Bad("impossible-time")
    return Good(value)


def number(raw: Any) -> Good[Decimal] | Bad:
    """An exact decimal; digits written as text are taken and told."""
    if isinstance(raw, bool):
        return Bad("not-a-number")
    if isinstance(raw, int | Decimal):
        return _bounded(Decimal(raw), None)
    if not isinstance(raw, str):
        return Bad("not-a-number")
    if _NUMBER.fullmatch(raw.strip()):
        return _bounded(Decimal(raw.strip()), "number-as-text")
    if _COMMA.fullmatch(raw.strip()):
        return _bounded(Decimal(raw.strip().replace(",", ".")), "decimal-comma")
    return Bad("not-a-number")


def _bounded(value: Decimal, repaired: str | None) -> Good[Decimal] | Bad:
    exponent = value.as_tuple().exponent
    if abs(value) >= 10**12 or (isinstance(exponent, int) and exponent < -12):
        return Bad("number-out-of-bounds")
    return Good(value, repaired)


def amount(raw: Any) -> Good[Decimal] | Bad:
    """An amount in euros with at most two decimals."""
    taken = number(raw)
    if isinstance(taken, Bad):
        return Bad("not-an-amount")
    if taken.value != round(taken.value, 2):
        return Bad("not-an-amount")
    return Good(taken.value.quantize(Decimal("0.01")), taken.repaired)


def between(least: str, most: str, inner: Converter[Decimal] = number) -> Converter[Decimal]:
    """A converter that takes a number only inside [least, most]."""
    low, high = Decimal(least), Decimal(most)

    def convert(raw: Any) -> Good[Decimal] | Bad:
        taken = inner(raw)
        if isinstance(taken, Good) and not low <= taken.value <= high:
            return Bad("out-of-range", {"expected": f"{least} .. {most}"})
        return taken

    return convert


def documented(inner: Converter[T]) -> Converter[T]:
    """The same converter for a format that documents its notation: what it mends is not told as a repair."""

    def convert(raw: Any) -> Good[T] | Bad:
        taken = inner(raw)
        return Good(taken.value) if isinstance(taken, Good) else taken

    return convert


def power(raw: Any) -> Good[Decimal] | Bad:
    """A subscribed power in kVA, with or without its unit."""
    if isinstance(raw, str) and (found := _POWER.fullmatch(raw.strip())):
        return Good(Decimal(found[1].replace(",", ".")), "unit-in-text")
    return documented(between("0.1", "1000"))(raw)


def yes_or_no(raw: Any) -> Good[bool] | Bad:
    """True or false; the words "true" and "false" are taken and told."""
    if isinstance(raw, bool):
        return Good(raw)
    meant = {"true": True, "false": False, "oui": True, "non": False}.get(raw.lower() if isinstance(raw, str) else "")
    return Bad("not-yes-or-no") if meant is None else Good(meant, "yes-or-no-as-text")


def plain(written: str) -> str:
    """Lower case without accents, for comparing names."""
    split = unicodedata.normalize("NFKD", written.casefold())
    return "".join(letter for letter in split if not unicodedata.combining(letter))


def one_of(*known: str) -> Converter[str]:
    """A type name among the known ones; capitals and accents do not count, a small slip is mended and told."""
    by_plain = {plain(name): name for name in known}

    def convert(raw: Any) -> Good[str] | Bad:
        if not isinstance(raw, str):
            return Bad("unknown-type", {"expected": ", ".join(known)})
        if (exact := by_plain.get(plain(raw))) is not None:
            return Good(exact)
        near = difflib.get_close_matches(plain(raw)[:200], by_plain, n=1, cutoff=0.85)
        if near:
            return Good(by_plain[near[0]], "type-misspelt", {"expected": by_plain[near[0]]})
        return Bad("unknown-type", {"expected": ", ".join(known)})

    return convert


def usage_point(raw: Any) -> Good[str] | Bad:
    """The 14 digits of a French electricity usage point; 11 are kept and told."""
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) in (11, 14):
        return Good(raw, "usage-point-short" if len(raw) == 11 else None)
    return Bad("not-a-code", {"expected": "14 digits"})


_LENGTHS = {"FR": 27, "MC": 27, "BE": 16, "DE": 22, "LU": 20, "ES": 24, "IT": 27, "CH": 21, "PT": 25, "NL": 18}


def iban(raw: Any) -> Good[str] | Bad:
    """An IBAN in its electronic form (ISO 13616), length and check digits verified."""
    if not isinstance(raw, str):
        return Bad("wrong-kind", {"expected": "text"})
    written = "".join(raw.split()).upper()
    expected = _LENGTHS.get(written[:2])
    if expected is not None and len(written) < expected:
        return Bad("iban-too-short", {"length": len(written), "expected": expected})
    try:
        return Good(str(stdnum_iban.validate(written, check_country=False)))
    except ValidationError:
        return Bad("iban-wrong")


def postcode(city: str | None) -> Converter[str]:
    """A converter for French postcodes; of an incomplete one the city's district may tell the rest."""

    def convert(raw: Any) -> Good[str] | Bad:
        written = str(raw).strip()
        if re.fullmatch(r"\d{5}", written, re.ASCII):
            return Good(written)
        found = _DISTRICT.fullmatch((city or "").strip())
        if found and re.fullmatch(r"\d{2,4}", written, re.ASCII):
            prefix, districts = _DISTRICTS[found[1].upper()]
            whole = f"{prefix}{int(found[2]):02}"
            if 1 <= int(found[2]) <= districts and whole.startswith(written[:3]):
                return Good(whole, "postcode-by-city")
        return Bad("postcode-wrong")

    return convert


def phone(raw: Any) -> Good[str] | Bad:
    """A telephone number in the international notation (E.164), French national ones rewritten."""
    if not isinstance(raw, str):
        return Bad("phone-wrong")
    digits = re.sub(r"[\s.\-()]", "", raw)
    if re.fullmatch(r"0[1-9]\d{8}", digits, re.ASCII):
        return Good("+33" + digits[1:], "phone-notation")
    if re.fullmatch(r"(?:\+|00)?33[1-9]\d{8}", digits, re.ASCII):
        return Good("+33" + digits[-9:], None if digits == raw and raw.startswith("+") else "phone-notation")
    if re.fullmatch(r"\+(?!33)[1-9]\d{6,14}", digits, re.ASCII):
        return Good(digits)
    return Bad("phone-wrong")
