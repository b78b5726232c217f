"""sh:pattern: regular expressions written by strangers, matched against values written by strangers.

Called by the string constraints.  A backtracking engine can be made to run
for hours by a pattern of eight characters, so Python's matches only patterns
whose shape bounds its work; every other pattern goes to the linear-time
engine behind SPARQL's REGEX (slower by some 50 microseconds a value).
Patterns and values are bounded in length; longer values match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pyoxigraph import Literal, QuerySolutions, Store, Variable

from pod_server.errors import Invalid

MAX_PATTERN: Final = 1_000
MAX_VALUE: Final = 10_000
MAX_FAST_VALUE: Final = 1_000
MAX_WAYS: Final = 64

Matches = Callable[[str], bool]

_FLAGS: Final = frozenset("ismxq")
_REFUSED: Final = re.compile(r"\\(?:\\)|(\\[1-9]|\\[iIcC]|\\p\{Is|\(\?(?!:)|-\[)")
"""Not in SPARQL's engine, or with another meaning there; an escaped backslash is stepped over."""
_ATOM: Final = re.compile(
    r"(?P<class>\[\^?(?:[^\[\]\\&~]|\\[dswDSW.\-\\/+*?()\[\]{}|^$])+\])"
    r"|(?P<one>\\[dswDSW.\-\\/+*?()\[\]{}|^$]|[^\\\[\](){}*+?|^$])"
    r"|(?P<edge>[\^$])|(?P<open>\((?:\?:)?)|(?P<close>\))|(?P<or>\|)"
)
_QUANTIFIER: Final = re.compile(
    r"(?P<any>[*+]|\{\d{1,3},\})|(?P<maybe>\?)|\{(?P<least>\d{1,3})(?:,(?P<most>\d{1,3}))?\}"
)
_EXTENDED_EDGE: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\$")


def matcher(pattern: str, flags: str = "") -> Matches:
    """A function that tells whether a value matches, as SPARQL's REGEX does (XPath functions, section 5.6).

    Raises Invalid for a pattern that is too long, ill-formed, or uses
    back-references, look-around, XML name classes or class subtraction.
    """
    if len(pattern) > MAX_PATTERN:
        raise Invalid(f"A pattern may have at most {MAX_PATTERN} characters.", limit=MAX_PATTERN)
    if not _FLAGS.issuperset(flags):
        raise Invalid(f"The flags {flags!r} are not among {''.join(sorted(_FLAGS))}.", flags=flags)
    refused = next((found for found in _REFUSED.finditer(pattern) if found.group(1)), None)
    if refused and "q" not in flags:
        raise Invalid(f"The pattern uses {refused.group()!r}, which is not taken here.", pattern=pattern)
    linear = _linear(pattern, flags)
    if flags in ("", "i") and is_cheap(pattern):
        return _fast(pattern, flags, linear)
    return linear


@dataclass(slots=True)
class _Cost:
    """What has been read so far: atoms that take a character, ways through, open repetitions."""

    atoms: int = 0
    ways: int = 1
    unbounded: int = 0


def is_cheap(pattern: str) -> bool:
    """True when backtracking is provably bounded.

    At most one open repetition and at most MAX_WAYS ways through the rest; a
    group that repeats has neither inside it, and takes at least a character.
    """
    cost, position = _Cost(), 0
    opened: list[_Cost] = []
    while position < len(pattern):
        atom = _ATOM.match(pattern, position)
        if atom is None or (atom["close"] and not opened):
            return False
        before = opened.pop() if atom["close"] else replace(cost)
        if atom["open"]:
            opened.append(before)
        cost.atoms += bool(atom["class"] or atom["one"])
        cost.ways *= 2 if atom["or"] else 1
        quantifier = _QUANTIFIER.match(pattern, atom.end())
        position = quantifier.end() if quantifier else atom.end()
        if quantifier and not _repeats_cheaply(quantifier, before, cost):
            return False
    return not opened and cost.unbounded <= 1 and cost.ways <= MAX_WAYS


def _repeats_cheaply(quantifier: re.Match[str], before: _Cost, cost: _Cost) -> bool:
    """Count a repetition; False where what it repeats may be empty or has several ways of its own.

    A second quantifier (lazy, possessive) is no atom, and so refused by the caller.
    """
    ways = _ways(quantifier)
    settled = cost.atoms > before.atoms and (cost.ways, cost.unbounded) == (before.ways, before.unbounded)
    cost.unbounded += bool(quantifier["any"])
    cost.ways *= ways
    return settled and ways > 0


def _ways(quantifier: re.Match[str]) -> int:
    """How many counts it allows; 0 where it allows none but zero."""
    if quantifier["maybe"]:
        return 2
    if quantifier["any"]:
        return 1
    least, most = int(quantifier["least"]), int(quantifier["most"] or quantifier["least"])
    return most - least + 1 if most else 0


def _fast(pattern: str, flags: str, linear: Matches) -> Matches:
    """Python's "$" also matches before a last line break; XPath's does not."""
    exact = _EXTENDED_EDGE.sub(lambda found: r"\Z" if found.group() == "$" else found.group(), pattern)
    try:
        search = re.compile(exact, re.IGNORECASE if flags else 0).search
    except re.error:
        return linear

    def matches(text: str) -> bool:
        return search(text) is not None if len(text) <= MAX_FAST_VALUE else linear(text)

    return matches


def _linear(pattern: str, flags: str) -> Matches:
    store, value = Store(), Variable("value")
    call = f"REGEX(?value, {Literal(pattern)}, {Literal(flags)})"
    accepted = f"SELECT ?value {{ BIND({call} AS ?matched) FILTER(BOUND(?matched)) }}"
    query = f"SELECT ?value {{ FILTER({call}) }}"

    def asked(text: str, question: str = query) -> bool:
        if len(text) > MAX_VALUE:
            return False
        found = store.query(question, substitutions={value: Literal(text)})
        return isinstance(found, QuerySolutions) and next(found, None) is not None

    if not asked("", accepted):
        raise Invalid("The pattern is not a regular expression that is taken here.", pattern=pattern)
    return asked
