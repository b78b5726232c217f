"""Shapes as they are written: finds them in a graph, reads what they say, and refuses what cannot be checked.

Called by the compiler, once for each shapes graph.  Recursive shapes are
refused (SHACL, section 3.4.3, leaves them undefined), and so is every term of
the SHACL namespace that neither the compiler nor the fall-back would check:
a rule that is silently skipped looks like data that was checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pyoxigraph import BlankNode, Literal, NamedNode, Triple

from pod_server.errors import Invalid
from pod_server.rdf.vocabulary import RDFS, SH, XSD
from pod_server.shacl.index import TYPE, Index, Term
from pod_server.shacl.paths import PropertyPath, read_path
from pod_server.shacl.report import VIOLATION, read_messages

MAX_SHAPES: Final = 10_000
MAX_SHAPE_DEPTH: Final = 32


def sh(name: str) -> NamedNode:
    """A term of the SHACL namespace."""
    return NamedNode(SH + name)


PATH: Final = sh("path")
_TRUE: Final = Literal("true", datatype=NamedNode(f"{XSD}boolean"))
_TARGETS: Final = ("targetClass", "targetNode", "targetObjectsOf", "targetSubjectsOf")
_SHAPE_VALUED: Final = ("node", "not", "property", "qualifiedValueShape")
_SHAPE_LISTS: Final = ("and", "or", "xone")
_ONE_VALUE: Final = (
    *("closed", "datatype", "flags", "ignoredProperties", "in", "languageIn", "maxCount", "maxExclusive"),
    *("maxInclusive", "maxLength", "minCount", "minExclusive", "minInclusive", "minLength", "nodeKind", "pattern"),
    *("qualifiedMaxCount", "qualifiedMinCount", "qualifiedValueShape", "qualifiedValueShapesDisjoint", "uniqueLang"),
)
_MANY_VALUES: Final = ("class", "disjoint", "equals", "hasValue", "lessThan", "lessThanOrEquals")
_SETTINGS: Final = ("deactivated", "path", "severity")
_PARAMETERS: Final = (*_SHAPE_VALUED, *_SHAPE_LISTS, *_ONE_VALUE, *_MANY_VALUES)
_PROPERTY_ONLY: Final = ("lessThan", "lessThanOrEquals", "maxCount", "minCount", "uniqueLang")
_PATHS: Final = ("alternativePath", "inversePath", "oneOrMorePath", "zeroOrMorePath", "zeroOrOnePath")
_REMARKS: Final = ("defaultValue", "description", "group", "message", "name", "order")
_FORMER: Final = ("nodeShape",)
"""In drafts of SHACL and in the W3C's own tests; it never constrained anything."""
_GRAPHS: Final = ("shapesGraph", "shapesGraphWellFormed", "suggestedShapesGraph")
_REPORTS: Final = (
    *("conforms", "detail", "focusNode", "result", "resultMessage", "resultPath", "resultSeverity"),
    *("sourceConstraint", "sourceConstraintComponent", "sourceShape", "value"),
)
_SPARQL: Final = frozenset(
    sh(name)
    for name in (
        *("ask", "declare", "labelTemplate", "namespace", "nodeValidator", "optional", "parameter", "prefix"),
        *("prefixes", "propertyValidator", "select", "sparql", "validator"),
    )
)
_HARMLESS: Final = frozenset({sh("declare"), sh("namespace"), sh("prefix"), sh("prefixes"), sh("labelTemplate")})
_CORE: Final = frozenset(
    sh(name) for name in (*_TARGETS, *_PARAMETERS, *_SETTINGS, *_PATHS, *_REMARKS, *_FORMER, *_GRAPHS, *_REPORTS)
)


@dataclass(frozen=True, slots=True)
class Targets:
    """Which nodes of the data a shape is about (SHACL, section 2.1.3)."""

    nodes: tuple[Term, ...]
    classes: tuple[Term, ...]
    subjects_of: tuple[NamedNode, ...]
    objects_of: tuple[NamedNode, ...]

    def __bool__(self) -> bool:
        return bool(self.nodes or self.classes or self.subjects_of or self.objects_of)


@dataclass(frozen=True, slots=True)
class Outline:
    """One shape as written.

    path: None for a node shape.  messages: language -> text, empty when the
    shape has none.  parameters: local name in the SHACL namespace -> values.
    """

    node: Term
    path: PropertyPath | None
    severity: NamedNode
    messages: Mapping[str, str]
    parameters: Mapping[str, tuple[Term, ...]]
    targets: Targets
    deactivated: bool

    def one(self, name: str) -> Term | None:
        """The value of a parameter that takes one, None where it has none."""
        values = self.parameters.get(name, ())
        return values[0] if values else None

    def holds(self, name: str) -> bool:
        """True when a switch is set: only by true itself, not by 1 (SHACL, section 1.1)."""
        return self.one(name) == _TRUE


def read_outlines(index: Index) -> dict[Term, Outline]:
    """Every shape of a graph, by its node; raises Invalid where one is ill-formed, recursive, or there are too many."""
    nodes = _shape_nodes(index)
    if len(nodes) > MAX_SHAPES:
        raise Invalid(f"A shapes graph may have at most {MAX_SHAPES} shapes.", limit=MAX_SHAPES)
    outlines = {node: _outline(index, node) for node in nodes}
    _refuse_recursion(index, outlines)
    return outlines


def sparql_reason(index: Index) -> str | None:
    """Why the compiler alone is not enough: the first term that only the fall-back knows, None when there is none.

    Raises Invalid for a term of the SHACL namespace that nobody would check.
    """
    used = {predicate for properties in index.nodes.values() for predicate in properties}
    unknown = sorted(predicate.value for predicate in used - _CORE - _SPARQL if predicate.value.startswith(SH))
    if unknown:
        raise Invalid(f"Shapes may not use <{unknown[0]}>: nothing here would check it.", subject=unknown[0])
    found = sorted(predicate.value for predicate in (used & _SPARQL) - _HARMLESS)
    return f"<{found[0]}> is beyond SHACL Core" if found else None


def shape_references(index: Index, outline: Outline) -> Iterator[Term]:
    """The shapes that a shape refers to."""
    for name in _SHAPE_VALUED:
        yield from outline.parameters.get(name, ())
    for name in _SHAPE_LISTS:
        for head in outline.parameters.get(name, ()):
            yield from index.items(head)


def _shape_nodes(index: Index) -> dict[Term, None]:
    """What counts as a shape (SHACL, section 2.1)."""
    found: dict[Term, None] = {**index.instances(sh("NodeShape")), **index.instances(sh("PropertyShape"))}
    for name in (*_TARGETS, *_PARAMETERS):
        found.update(dict.fromkeys(index.subjects_of(sh(name))))
    for name in _SHAPE_VALUED:
        found.update(dict.fromkeys(index.inverse(sh(name))))
    for name in _SHAPE_LISTS:
        for head in index.inverse(sh(name)):
            found.update(dict.fromkeys(index.items(head)))
    return found


def _outline(index: Index, node: Term) -> Outline:
    if isinstance(node, (Literal, Triple)) or (isinstance(node, NamedNode) and node not in index.nodes):
        raise Invalid(f"The shape {node} is referred to and not described.", subject=str(node))
    parameters = {name: tuple(index.objects(node, sh(name))) for name in _PARAMETERS}
    parameters = {name: values for name, values in parameters.items() if values}
    paths = index.objects(node, PATH)
    severity = next(iter(index.objects(node, sh("severity"))), VIOLATION)
    _refuse_several(index, node)
    if not paths:
        _refuse_on_node_shape(node, parameters)
    for child in parameters.get("property", ()):
        if not index.objects(child, PATH):
            raise Invalid(f"The property shape {child} has no path.", subject=str(child))
    return Outline(
        node=node,
        path=read_path(index, next(iter(paths))) if paths else None,
        severity=iri(severity, "sh:severity"),
        messages=read_messages(index, node, sh("message")),
        parameters=parameters,
        targets=_targets(index, node),
        deactivated=_TRUE in index.objects(node, sh("deactivated")),
    )


def _refuse_several(index: Index, node: Term) -> None:
    for name in (*_ONE_VALUE, *_SETTINGS):
        if len(index.objects(node, sh(name))) > 1:
            raise Invalid(f"The shape {node} has more than one sh:{name}.", subject=str(node))


def _refuse_on_node_shape(node: Term, parameters: Iterable[str]) -> None:
    for name in parameters:
        if name in _PROPERTY_ONLY:
            raise Invalid(f"The node shape {node} uses sh:{name}, which needs a path.", subject=str(node))


def _targets(index: Index, node: Term) -> Targets:
    def named(name: str) -> tuple[NamedNode, ...]:
        return tuple(iri(value, f"sh:{name}") for value in index.objects(node, sh(name)))

    nodes = tuple(index.objects(node, sh("targetNode")))
    if any(isinstance(value, BlankNode) for value in nodes):
        raise Invalid(f"The shape {node} has a blank node as sh:targetNode.", subject=str(node))
    itself = (node,) if isinstance(node, NamedNode) and _is_class(index, node) else ()
    return Targets(nodes, (*named("targetClass"), *itself), named("targetSubjectsOf"), named("targetObjectsOf"))


def _is_class(index: Index, node: Term) -> bool:
    """An implicit class target: the shape is itself a class (SHACL, section 2.1.3.3)."""
    return bool(index.objects(node, TYPE)) and node in index.instances(NamedNode(f"{RDFS}Class"))


def _refuse_recursion(index: Index, outlines: Mapping[Term, Outline]) -> None:
    """Depth first over references; what is open and met again is a circle."""
    depth: dict[Term, int] = {}
    for start in outlines:
        trail: list[tuple[Term, list[Term]]] = []
        _enter(index, outlines[start], depth, trail)
        while trail:
            node, waiting = trail[-1]
            if not waiting:
                depth[node] = 1 + max((depth[child] for child in shape_references(index, outlines[node])), default=0)
                _refuse_depth(node, depth[node])
                trail.pop()
                continue
            child = waiting.pop()
            if any(child == above for above, _ in trail[:MAX_SHAPE_DEPTH]):
                raise Invalid(f"The shape {child} refers to itself; recursive shapes are refused.", subject=str(child))
            _refuse_depth(child, len(trail))
            _enter(index, outlines[child], depth, trail)


def _enter(index: Index, outline: Outline, depth: Mapping[Term, int], trail: list[tuple[Term, list[Term]]]) -> None:
    if outline.node not in depth:
        trail.append((outline.node, list(shape_references(index, outline))))


def _refuse_depth(node: Term, depth: int) -> None:
    if depth > MAX_SHAPE_DEPTH:
        raise Invalid(f"The shape {node} nests deeper than {MAX_SHAPE_DEPTH} shapes.", subject=str(node))


def iri(term: Term, what: str) -> NamedNode:
    """The term, when it is an IRI; raises Invalid otherwise."""
    if not isinstance(term, NamedNode):
        raise Invalid(f"{what} takes an IRI, not {term}.", subject=str(term))
    return term
