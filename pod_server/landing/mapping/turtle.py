"""Turtle by hand: sorted out once, written fast, the same bytes for the same facts.

Called by the mappings and ../siblings.py.  Text here is data, never markup:
every literal goes through ``string``.  It knows no path and no data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from pod_server.rdf.vocabulary import DCT, PROV, SELF_DATA, XSD

SOSA: Final = "http://www.w3.org/ns/sosa/"
QUDT: Final = "http://qudt.org/schema/qudt/"
UNIT: Final = "http://qudt.org/vocab/unit/"
SCHEMA: Final = "https://schema.org/"
GEO: Final = "http://www.w3.org/2003/01/geo/wgs84_pos#"
SAREF: Final = "https://saref.etsi.org/core/"
ENERGY: Final = SELF_DATA + "energy#"
BILLING: Final = SELF_DATA + "billing#"
LOCATION: Final = SELF_DATA + "location#"
INSURANCE: Final = SELF_DATA + "insurance#"

PREFIXES: Final = {
    "dct": DCT,
    "geo": GEO,
    "prov": PROV,
    "qudt": QUDT,
    "saref": SAREF,
    "schema": SCHEMA,
    "sd-billing": BILLING,
    "sd-energy": ENERGY,
    "sd-insurance": INSURANCE,
    "sd-location": LOCATION,
    "sosa": SOSA,
    "unit": UNIT,
    "xsd": XSD,
}
_ESCAPES = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}

Pair = tuple[str, str | None]
"""A predicate and an object in Turtle; None says nothing and is skipped."""


def document(prefixes: Iterable[str], subjects: Iterable[str]) -> bytes:
    """A Turtle document of ready subjects under the prefixes it uses."""
    head = [f"@prefix {name}: <{PREFIXES[name]}> ." for name in prefixes]
    return "\n".join([*head, "", *subjects, ""]).encode()


def subject(iri: str, pairs: Iterable[Pair]) -> str:
    """One subject with its predicates in the order given; the empty text when there is nothing to say."""
    said = [f"{predicate} {value}" for predicate, value in pairs if value is not None]
    return f"<{iri}> " + " ;\n    ".join(said) + " ." if said else ""


def string(value: str | None) -> str | None:
    """A plain literal."""
    return None if value is None else f'"{value.translate(_ESCAPES)}"'


def decimal(value: Decimal | None) -> str | None:
    """An xsd:decimal without needless zeros, exact."""
    if value is None:
        return None
    written = f"{value:f}"
    if "." not in written:
        return written + ".0"
    whole = written.rstrip("0")
    return whole + "0" if whole.endswith(".") else whole


def integer(value: int | None) -> str | None:
    """An xsd:integer."""
    return None if value is None else str(value)


def boolean(value: bool | None) -> str | None:
    """An xsd:boolean."""
    return None if value is None else str(value).lower()


def day(value: date | None) -> str | None:
    """An xsd:date."""
    return None if value is None else f'"{value.isoformat()}"^^xsd:date'


def month(value: date) -> str:
    """An xsd:gYearMonth."""
    return f'"{value.isoformat()[:7]}"^^xsd:gYearMonth'


def stamp(value: datetime) -> str:
    """An xsd:dateTimeStamp with the zone it came with; UTC is written Z, whole seconds without a fraction."""
    written = value.replace(tzinfo=None).isoformat()
    zone = "Z" if value.tzinfo is UTC else value.isoformat()[len(written) :]
    return f'"{written}{"Z" if zone == "+00:00" else zone}"^^xsd:dateTimeStamp'


def links(iris: Sequence[str]) -> str | None:
    """A list of objects, one IRI each; None when there is none."""
    return ", ".join(f"<{iri}>" for iri in iris) if iris else None
