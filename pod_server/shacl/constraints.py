"""The constraint components of SHACL Core that look at values alone (SHACL, sections 4.1 to 4.5 and 4.8).

Called by the compiler through PLAIN.  Each builder turns one parameter of one
shape into a check: a closure that appends results for one focus node and its
value nodes.  What can be decided from the shape is decided when it is built,
and refused then.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, TypeAlias

from pyoxigraph import BlankNode, Literal, NamedNode

from pod_server.errors import Invalid
from pod_server.rdf.vocabulary import SH
from pod_server.shacl.index import Index, Term, Terms
from pod_server.shacl.lexical import INTEGERS, lexical_test
from pod_server.shacl.messages import default_message, short
from pod_server.shacl.ordering import Comparable, comparable
from pod_server.shacl.paths import PropertyPath
from pod_server.shacl.patterns import matcher
from pod_server.shacl.reading import Outline, iri
from pod_server.shacl.report import Result

Check: TypeAlias = Callable[[Index, Term, Collection[Term], list[Result]], None]
"""(the data, a focus node, its value nodes, where results go)"""
Test: TypeAlias = Callable[[Index, Term], bool]
Found: TypeAlias = Callable[..., Result]
Holds: TypeAlias = Callable[[Any, Any], bool]
"""An order between two values of one family."""
Builder: TypeAlias = Callable[[Index, Outline, Term], Check | None]
"""(the shapes graph, the shape, the value of the parameter): None where that value asks for nothing"""

MAX_NUMBER: Final = 10**9
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    "IRI": (NamedNode,),
    "BlankNode": (BlankNode,),
    "Literal": (Literal,),
    "BlankNodeOrIRI": (BlankNode, NamedNode),
    "BlankNodeOrLiteral": (BlankNode, Literal),
    "IRIOrLiteral": (NamedNode, Literal),
}


def finding(outline: Outline, component: str, parameter: str = "") -> Found:
    """A function (focus, value=None, path=the shape's) that makes the results of one component of one shape."""
    message = outline.messages or default_message(component, parameter)
    name = NamedNode(f"{SH}{component}ConstraintComponent")
    severity, source, own_path = outline.severity, outline.node, outline.path

    def found(focus: Term, value: Term | None = None, path: PropertyPath | None = own_path) -> Result:
        return Result(focus, path, value, message, severity, name, source)

    return found


def each(found: Found, test: Test) -> Check:
    """A check that every value node passes a test; the result carries the value."""

    def check(index: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        for value in values:
            if not test(index, value):
                results.append(found(focus, value))  # noqa: PERF401 - a generator costs a frame when nothing fails

    return check


def number(term: Term, what: str) -> int:
    """A count or a length, as a non-negative integer; raises Invalid for anything else."""
    if isinstance(term, Literal) and term.datatype.value in INTEGERS:
        place = comparable(term)
        if place is not None and 0 <= int(place.key) <= MAX_NUMBER:
            return int(place.key)
    raise Invalid(f"sh:{what} takes a non-negative integer, not {term}.", subject=str(term))


def _class(_: Index, outline: Outline, kind: Term) -> Check:
    kind = iri(kind, "sh:class")

    def test(index: Index, value: Term) -> bool:
        return value in index.instances(kind)

    return each(finding(outline, "Class", short(kind)), test)


def _datatype(_: Index, outline: Outline, datatype: Term) -> Check:
    datatype = iri(datatype, "sh:datatype")
    fits = lexical_test(datatype.value)

    def test(_: Index, value: Term) -> bool:
        return isinstance(value, Literal) and value.datatype == datatype and bool(fits(value.value))

    return each(finding(outline, "Datatype", short(datatype)), test)


def _node_kind(_: Index, outline: Outline, kind: Term) -> Check:
    types = _KINDS.get(iri(kind, "sh:nodeKind").value.removeprefix(SH))
    if types is None:
        raise Invalid(f"{kind} is not a node kind.", subject=str(kind))
    return each(finding(outline, "NodeKind", short(kind)), lambda _, value: isinstance(value, types))


def _min_count(_: Index, outline: Outline, value: Term) -> Check | None:
    least = number(value, "minCount")
    found = finding(outline, "MinCount", str(least))

    def check(_: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        if len(values) < least:
            results.append(found(focus))

    return check if least else None


def _max_count(_: Index, outline: Outline, value: Term) -> Check:
    most = number(value, "maxCount")
    found = finding(outline, "MaxCount", str(most))

    def check(_: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        if len(values) > most:
            results.append(found(focus))

    return check


def _bound(component: str, holds: Holds) -> Builder:
    def build(_: Index, outline: Outline, limit: Term) -> Check:
        bound = comparable(limit)
        if bound is None:
            raise Invalid(f"{limit} has no order, so it cannot be a limit.", subject=str(limit))
        family, key = bound

        def test(_: Index, value: Term) -> bool:
            place = comparable(value)
            return place is not None and place[0] == family and holds(place[1], key)

        return each(finding(outline, component, short(limit)), test)

    return build


def _text_of(term: Term) -> str | None:
    """What string constraints look at (SPARQL's STR): None for a blank node."""
    return term.value if isinstance(term, (Literal, NamedNode)) else None


def _length(component: str, what: str, holds: Holds) -> Builder:
    def build(_: Index, outline: Outline, value: Term) -> Check:
        limit = number(value, what)

        def test(_: Index, value: Term) -> bool:
            text = _text_of(value)
            return text is not None and holds(len(text), limit)

        return each(finding(outline, component, str(limit)), test)

    return build


def _pattern(_: Index, outline: Outline, pattern: Term) -> Check:
    flags = outline.one("flags")
    matches = matcher(_plain_text(pattern, "pattern"), "" if flags is None else _plain_text(flags, "flags"))

    def test(_: Index, value: Term) -> bool:
        text = _text_of(value)
        return text is not None and matches(text)

    return each(finding(outline, "Pattern", short(pattern)), test)


def _plain_text(term: Term, what: str) -> str:
    if not isinstance(term, Literal) or term.language is not None:
        raise Invalid(f"sh:{what} takes a string, not {term}.", subject=str(term))
    return term.value


def _language_in(shapes: Index, outline: Outline, head: Term) -> Check:
    ranges = tuple(_plain_text(item, "languageIn").lower() for item in shapes.items(head))

    def test(_: Index, value: Term) -> bool:
        """Basic filtering (RFC 4647, section 3.3.1), as SPARQL's langMatches."""
        language = value.language if isinstance(value, Literal) else None
        if not language:
            return False
        tag = language.lower()
        return any(wanted in (tag, "*") or tag.startswith(f"{wanted}-") for wanted in ranges)

    return each(finding(outline, "LanguageIn", ", ".join(ranges)), test)


def _unique_language(_: Index, outline: Outline, __: Term) -> Check | None:
    def check(_: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        counts: dict[str, int] = {}
        for value in values:
            if isinstance(value, Literal) and value.language:
                tag = value.language.lower()
                counts[tag] = counts.get(tag, 0) + 1
        results.extend(finding(outline, "UniqueLang", tag)(focus) for tag, count in counts.items() if count > 1)

    return check if outline.holds("uniqueLang") else None


def _equals(_: Index, outline: Outline, other: Term) -> Check:
    other = iri(other, "sh:equals")
    found = finding(outline, "Equals", short(other))

    def check(index: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        others = index.objects(focus, other)
        results.extend(found(focus, value) for value in values if value not in others)
        present = values if len(values) < 2 else dict.fromkeys(values)
        results.extend(found(focus, value) for value in others if value not in present)

    return check


def _disjoint(_: Index, outline: Outline, other: Term) -> Check:
    other = iri(other, "sh:disjoint")
    found = finding(outline, "Disjoint", short(other))

    def check(index: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        others = index.objects(focus, other)
        results.extend(found(focus, value) for value in values if value in others)

    return check


def _less(component: str, holds: Holds) -> Builder:
    def build(_: Index, outline: Outline, other: Term) -> Check:
        other = iri(other, f"sh:{component[0].lower()}{component[1:]}")
        found = finding(outline, component, short(other))

        def check(index: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
            places = [comparable(value) for value in index.objects(focus, other)]
            index.spend(len(places) * len(values))
            for value in values:
                place = comparable(value)
                failures = sum(not _ordered(place, above, holds) for above in places)
                results.extend(found(focus, value) for _ in range(failures))

        return check

    return build


def _ordered(place: Comparable | None, above: Comparable | None, holds: Holds) -> bool:
    return place is not None and above is not None and place[0] == above[0] and holds(place[1], above[1])


def _has_value(_: Index, outline: Outline, wanted: Term) -> Check:
    found = finding(outline, "HasValue", short(wanted))

    def check(_: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        if wanted not in values:
            results.append(found(focus))

    return check


def _in(shapes: Index, outline: Outline, head: Term) -> Check:
    allowed = frozenset(shapes.items(head))
    return each(finding(outline, "In"), lambda _, value: value in allowed)


def _closed(shapes: Index, outline: Outline, _: Term) -> Check | None:
    if not outline.holds("closed"):
        return None
    allowed: Terms = {}
    for child in outline.parameters.get("property", ()):
        allowed.update(dict.fromkeys(shapes.objects(child, NamedNode(f"{SH}path"))))
    ignored = outline.one("ignoredProperties")
    if ignored is not None:
        allowed.update(dict.fromkeys(iri(item, "sh:ignoredProperties") for item in shapes.items(ignored)))

    def check(index: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
        for value in values:
            for predicate, objects in index.nodes.get(value, {}).items():
                if predicate not in allowed:
                    found = finding(outline, "Closed", short(predicate))
                    results.extend(found(focus, unwanted, predicate) for unwanted in objects)

    return check


PLAIN: Final[Mapping[str, Builder]] = {
    "class": _class,
    "datatype": _datatype,
    "nodeKind": _node_kind,
    "minCount": _min_count,
    "maxCount": _max_count,
    "minExclusive": _bound("MinExclusive", operator.gt),
    "minInclusive": _bound("MinInclusive", operator.ge),
    "maxExclusive": _bound("MaxExclusive", operator.lt),
    "maxInclusive": _bound("MaxInclusive", operator.le),
    "minLength": _length("MinLength", "minLength", operator.ge),
    "maxLength": _length("MaxLength", "maxLength", operator.le),
    "pattern": _pattern,
    "languageIn": _language_in,
    "uniqueLang": _unique_language,
    "equals": _equals,
    "disjoint": _disjoint,
    "lessThan": _less("LessThan", operator.lt),
    "lessThanOrEquals": _less("LessThanOrEquals", operator.le),
    "hasValue": _has_value,
    "in": _in,
    "closed": _closed,
}
