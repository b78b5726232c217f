"""The results of a query as Python values (SPARQL 1.1 Query Results JSON Format).

Used by pod.py.  A literal whose text does not fit its datatype stays a text:
a strange value in a pod must not stop a program that reads the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

_XSD: Final = "http://www.w3.org/2001/XMLSchema#"

Value = str | int | float | bool | Decimal | datetime | date


class Iri(str):
    """An IRI, apart from a text."""

    __slots__ = ()


class Blank(str):
    """A blank node's label; it means something in one answer only."""

    __slots__ = ()


class Rows(list[dict[str, Value]]):
    """Solutions in order, each a dict without the variables that are unbound; variables: all of the query's."""

    def __init__(self, rows: Sequence[dict[str, Value]], variables: Sequence[str]) -> None:
        super().__init__(rows)
        self.variables = list(variables)


def _boolean(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text]


def _date(text: str) -> date:
    return date.fromisoformat(text)


_WHOLE = (
    "integer long int short byte nonNegativeInteger positiveInteger nonPositiveInteger negativeInteger"
    " unsignedLong unsignedInt unsignedShort unsignedByte"
)
_READERS: Final[Mapping[str, Callable[[str], Value]]] = {
    **{_XSD + name: int for name in _WHOLE.split()},
    _XSD + "decimal": Decimal,
    _XSD + "double": float,
    _XSD + "float": float,
    _XSD + "boolean": _boolean,
    _XSD + "date": _date,
    _XSD + "dateTime": datetime.fromisoformat,
    _XSD + "dateTimeStamp": datetime.fromisoformat,
}


def rows_of(document: Mapping[str, Any]) -> Rows:
    """The solutions of a SELECT's JSON."""
    solutions = [
        {name: value_of(term) for name, term in binding.items()} for binding in document["results"]["bindings"]
    ]
    return Rows(solutions, document["head"].get("vars", []))


def value_of(term: Mapping[str, str]) -> Value:
    """A term as a Python value: IRIs and blank nodes as their kinds of str, literals by their datatype."""
    if term["type"] == "uri":
        return Iri(term["value"])
    if term["type"] == "bnode":
        return Blank(term["value"])
    try:
        return _READERS.get(term.get("datatype", ""), str)(term["value"])
    except (ValueError, KeyError, InvalidOperation):
        return term["value"]
