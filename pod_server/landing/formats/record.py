"""A walk over a JSON value that loses nothing: each leaf ends mapped, left out, or at fault.

Called by the readers.  Findings is the one mutable thing of a transformation
and lives as long as it; it never decides whether an item is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pod_server.landing.formats.sayings import fault
from pod_server.landing.formats.values import Bad, Converter
from pod_server.landing.items import Fault

T = TypeVar("T")
_ABSENT = object()
_INDEX = re.compile(r"\[\d+\]")
_PLAIN_KEY = re.compile(r"\w+")
_SHOWN_FAULTS = 50


def leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar of a JSON value (null included) with its path, such as ``[3].address.city``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, step_into(where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, f"{where}[{index}]")
    else:
        yield where, value


def step_into(where: str, key: str) -> str:
    """The path of a field; an odd key is quoted, so that no two leaves share a path."""
    if not _PLAIN_KEY.fullmatch(key):
        return f"{where}[{json.dumps(key)}]"
    return f"{where}.{key}" if where else key


class Findings:
    """What was found on the way through one payload; counts are of leaf values."""

    def __init__(self, value: Any) -> None:
        self._untouched = dict(leaves(value))
        self._at_fault: set[str] = set()
        self._left: dict[str, tuple[str, Any]] = {}
        self._repaired: dict[tuple[str, str], tuple[Fault, int]] = {}
        self._faults: list[Fault] = []
        self._leaves = len(self._untouched)

    @property
    def faults(self) -> list[Fault]:
        """At most 50 of the faults found, in the order of the file."""
        return self._faults[:_SHOWN_FAULTS]

    @property
    def refused(self) -> bool:
        """True when anything at all is wrong."""
        return bool(self._faults)

    def mapped(self, where: str) -> None:
        """The leaf has a place in the documents."""
        self._untouched.pop(where, None)

    def mend(self, code: str, where: str, value: object, words: Mapping[str, object] | None = None) -> None:
        """The value was repaired; alike repairs share one line."""
        key = (code, _INDEX.sub("[*]", where))
        first, count = self._repaired.get(key, (None, 0))
        self._repaired[key] = (first or fault(code, where, value, **(words or {})), count + 1)

    def leave(self, code: str, where: str, value: object) -> None:
        """The leaf has no place; code says why."""
        self._untouched.pop(where, None)
        self._left[where] = (code, value)

    def blame(self, code: str, where: str, value: object, words: Mapping[str, object] | None = None) -> None:
        """The value is wrong and the item will be refused; a container takes all its leaves with it."""
        self._faults.append(fault(code, where, _shown(value), **(words or {})))
        for path, _ in leaves(value, where):
            self._untouched.pop(path, None)
            self._left.pop(path, None)
            self._at_fault.add(path)

    def blame_shape(self, where: str, value: str, english: str, french: str) -> None:
        """A shape was not kept; no leaf is blamed, since a statement may come from several."""
        self._faults.append(fault("shape", where, value, english=english, french=french))

    def close(self) -> None:
        """Whatever no reader asked for is left out as unknown, so that nothing is lost in silence."""
        for where, value in self._untouched.items():
            self._left[where] = ("empty" if value is None else "unknown-field", value)
        self._untouched = {}

    @property
    def repaired(self) -> tuple[Fault, ...]:
        """One line for each kind of repair and key path, with its count."""
        return tuple(_line(first, path, count) for (_, path), (first, count) in self._repaired.items())

    @property
    def left_out(self) -> tuple[Fault, ...]:
        """One line for each reason and key path, with its count."""
        groups: dict[tuple[str, str], tuple[Fault, int]] = {}
        for where, (code, value) in self._left.items():
            key = (code, _INDEX.sub("[*]", where))
            first, count = groups.get(key, (None, 0))
            groups[key] = (first or fault(code, where, value), count + 1)
        return tuple(_line(first, path, count) for (_, path), (first, count) in groups.items())

    @property
    def coverage(self) -> dict[str, int]:
        """Leaf values by what became of them; the three add up to all of them."""
        left, faulted = len(self._left), len(self._at_fault)
        counts = {"mapped": self._leaves - left - faulted, "left_out": left, "faulted": faulted}
        return {**counts, "leaves": self._leaves, "faults": len(self._faults)}


def _line(first: Fault, path: str, count: int) -> Fault:
    where = first.where if count == 1 else path
    return Fault(first.code, where, first.value, first.english, first.french, count)


def _shown(value: object) -> object:
    return "" if isinstance(value, dict | list) else value


class Record:
    """One JSON object at a place; its fields are asked for by name and converted.

    A missing or wrong field returns None and is found at fault, so that a
    reader goes on and every fault of a file is told at once.
    """

    __slots__ = ("_fields", "findings", "where")

    def __init__(self, fields: Mapping[str, Any], where: str, findings: Findings) -> None:
        self._fields = fields
        self.where = where
        self.findings = findings

    def at(self, key: str) -> str:
        """The path of a field."""
        return step_into(self.where, key)

    def has(self, key: str) -> bool:
        """True when the field is there and is not null."""
        return self._fields.get(key) is not None

    def raw(self, key: str) -> Any:
        """The value as it stands, None when absent; nothing is counted."""
        return self._fields.get(key)

    def need(self, key: str, convert: Converter[T]) -> T | None:
        """The converted value of a field that must be there; None after a fault was noted."""
        return self._read(key, convert, needed=True)

    def may(self, key: str, convert: Converter[T]) -> T | None:
        """The converted value of a field that may be absent or null; None then, or after a fault."""
        return self._read(key, convert, needed=False)

    def leave(self, code: str, *keys: str) -> None:
        """Leave fields (and all below them) out for one reason."""
        for key in keys:
            if key in self._fields:
                for path, value in leaves(self._fields[key], self.at(key)):
                    self.findings.leave("empty" if value is None else code, path, value)

    def child(self, key: str, *, needed: bool = False) -> Record | None:
        """The object in a field; None when absent, or after a fault."""
        value = self._fields.get(key)
        if isinstance(value, dict):
            return Record(value, self.at(key), self.findings)
        if value is not None or needed:
            self._blame("wrong-kind" if value is not None else "missing-field", key, {"expected": "object"})
        return None

    def children(self, key: str, *, needed: bool = False) -> list[Record]:
        """The objects in a list field; empty when absent, entries that are no objects are at fault."""
        value = self._fields.get(key)
        if not isinstance(value, list):
            if value is not None or needed:
                self._blame("wrong-kind" if value is not None else "missing-field", key, {"expected": "list"})
            return []
        return records(value, self.at(key), self.findings)

    def blame(self, code: str, key: str, **words: object) -> None:
        """Note that a field is wrong, for a reason that only its reader can see."""
        self._blame(code, key, words)

    def mend(self, code: str, key: str) -> None:
        """Note that a field was repaired."""
        self.findings.mend(code, self.at(key), self._fields.get(key))

    def _blame(self, code: str, key: str, words: Mapping[str, object] | None = None) -> None:
        value = self._fields.get(key, _ABSENT)
        if value is _ABSENT:
            self.findings.blame(code, self.at(key), {}, words)
        else:
            self.findings.blame(code, self.at(key), value, words)

    def _read(self, key: str, convert: Converter[T], *, needed: bool) -> T | None:
        value = self._fields.get(key, _ABSENT)
        if value is _ABSENT or value is None or value == "":
            self._read_nothing(key, value, needed=needed)
            return None
        taken = convert(value)
        if isinstance(taken, Bad):
            self._blame(taken.code, key, taken.words)
            return None
        where = self.at(key)
        if taken.repaired is not None:
            self.findings.mend(taken.repaired, where, value, taken.words)
        self.findings.mapped(where)
        return taken.value

    def _read_nothing(self, key: str, value: Any, *, needed: bool) -> None:
        if needed:
            self._blame("missing-field" if value is _ABSENT else "missing-value", key)
        elif value is not _ABSENT:
            self.findings.leave("empty", self.at(key), value)


def records(value: list[Any], where: str, findings: Findings) -> list[Record]:
    """The objects of a list; an entry that is no object is at fault."""
    found = []
    for index, entry in enumerate(value):
        place = f"{where}[{index}]"
        if isinstance(entry, dict):
            found.append(Record(entry, place, findings))
        else:
            findings.blame("wrong-kind", place, entry, {"expected": "object"})
    return found
