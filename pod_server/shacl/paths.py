"""Property paths (SHACL, section 2.3.1): read from a shapes graph, walked over data, written into reports.

Called by the reader of shapes, the compiler and the reports.  Every walk
spends the index's steps, so that no path runs for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyoxigraph import BlankNode, NamedNode, Quad

from pod_server.errors import Invalid
from pod_server.rdf.vocabulary import SH
from pod_server.shacl.index import FIRST, NIL, NO_TERMS, REST, Index, Term, Terms

MAX_PATH_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Inverse:
    """Against the direction: from object to subject."""

    path: PropertyPath


@dataclass(frozen=True, slots=True)
class Sequence:
    """One path after the other; at least two."""

    paths: tuple[PropertyPath, ...]


@dataclass(frozen=True, slots=True)
class Alternative:
    """Any one of the paths; at least two."""

    paths: tuple[PropertyPath, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A path taken at least least times (0 or 1) and, when many, any number of times."""

    path: PropertyPath
    least: int
    many: bool


PropertyPath: TypeAlias = NamedNode | Inverse | Sequence | Alternative | Repeated
Walk: TypeAlias = Callable[[Index, Term], Collection[Term]]

_INVERSE: Final = NamedNode(f"{SH}inversePath")
_ALTERNATIVE: Final = NamedNode(f"{SH}alternativePath")
_REPEATED: Final = {
    NamedNode(f"{SH}zeroOrMorePath"): (0, True),
    NamedNode(f"{SH}oneOrMorePath"): (1, True),
    NamedNode(f"{SH}zeroOrOnePath"): (0, False),
}
_REPEATED_TERM: Final = {shape: term for term, shape in _REPEATED.items()}


def read_path(index: Index, node: Term, depth: int = 0) -> PropertyPath:
    """The path that a node of the graph describes; raises Invalid where it is ill-formed, circular or too deep."""
    if depth > MAX_PATH_DEPTH:
        raise Invalid(f"A path is circular, or nested deeper than {MAX_PATH_DEPTH} levels.", subject=str(node))
    if isinstance(node, NamedNode) and node != NIL:
        return node
    if index.objects(node, FIRST):
        return Sequence(_members(index, node, depth))
    for alternatives in index.objects(node, _ALTERNATIVE):
        return Alternative(_members(index, alternatives, depth))
    for inner in index.objects(node, _INVERSE):
        return Inverse(read_path(index, inner, depth + 1))
    for term, (least, many) in _REPEATED.items():
        for inner in index.objects(node, term):
            return Repeated(read_path(index, inner, depth + 1), least, many)
    raise Invalid(f"{node} is not a property path.", subject=str(node))


def _members(index: Index, head: Term, depth: int) -> tuple[PropertyPath, ...]:
    members = tuple(read_path(index, member, depth + 1) for member in index.items(head))
    if len(members) < 2:
        raise Invalid("A sequence or alternative path needs at least two members.", subject=str(head))
    return members


def walk(path: PropertyPath) -> Walk:
    """A function from a focus node to its value nodes, each once."""
    if isinstance(path, NamedNode):
        return _forward(path)
    if isinstance(path, Inverse):
        return _backward(path.path)
    if isinstance(path, Sequence):
        return _sequence([walk(step) for step in path.paths])
    if isinstance(path, Alternative):
        return _alternative([walk(option) for option in path.paths])
    return _repeated(walk(path.path), path.least, many=path.many)


def _forward(predicate: NamedNode) -> Walk:
    def forward(index: Index, focus: Term) -> Collection[Term]:
        properties = index.nodes.get(focus)
        return NO_TERMS if properties is None else properties.get(predicate, NO_TERMS)

    return forward


def _backward(path: PropertyPath) -> Walk:
    """The inverse of any path: pushed inwards until it meets predicates."""
    if isinstance(path, NamedNode):
        return lambda index, focus: index.subjects(path, focus)
    if isinstance(path, Inverse):
        return walk(path.path)
    if isinstance(path, Sequence):
        return _sequence([_backward(step) for step in reversed(path.paths)])
    if isinstance(path, Alternative):
        return _alternative([_backward(option) for option in path.paths])
    return _repeated(_backward(path.path), path.least, many=path.many)


def _sequence(steps: list[Walk]) -> Walk:
    def sequence(index: Index, focus: Term) -> Collection[Term]:
        reached: Collection[Term] = (focus,)
        for step in steps:
            reached = _union(index, step, reached)
        return reached

    return sequence


def _union(index: Index, step: Walk, nodes: Collection[Term]) -> Terms:
    found: Terms = {}
    for node in nodes:
        values = step(index, node)
        index.spend(1 + len(values))
        found.update(dict.fromkeys(values))
    return found


def _alternative(options: list[Walk]) -> Walk:
    def alternative(index: Index, focus: Term) -> Collection[Term]:
        found: Terms = {}
        for option in options:
            found.update(_union(index, option, (focus,)))
        return found

    return alternative


def _repeated(step: Walk, least: int, *, many: bool) -> Walk:
    def repeated(index: Index, focus: Term) -> Collection[Term]:
        found: Terms = {} if least else {focus: None}
        frontier = _union(index, step, (focus,))
        while frontier:
            fresh = {node: None for node in frontier if node not in found}
            found.update(fresh)
            frontier = _union(index, step, fresh) if many else {}
        return found

    return repeated


def path_text(path: PropertyPath) -> str:
    """The path in the notation of SPARQL 1.1 (section 9), IRIs in full."""
    if isinstance(path, NamedNode):
        return f"<{path.value}>"
    if isinstance(path, Inverse):
        return f"^{path_text(path.path)}"
    if isinstance(path, Sequence):
        return "(" + "/".join(path_text(step) for step in path.paths) + ")"
    if isinstance(path, Alternative):
        return "(" + "|".join(path_text(option) for option in path.paths) + ")"
    return path_text(path.path) + ("?" if not path.many else "+" if path.least else "*")


def path_statements(path: PropertyPath, blanks: Iterator[BlankNode]) -> tuple[Term, list[Quad]]:
    """The node that stands for a path, and the statements that describe it."""
    if isinstance(path, NamedNode):
        return path, []
    if isinstance(path, Sequence):
        return _list(path.paths, blanks)
    node = next(blanks)
    if isinstance(path, Alternative):
        term, (value, statements) = _ALTERNATIVE, _list(path.paths, blanks)
    else:
        term = _INVERSE if isinstance(path, Inverse) else _REPEATED_TERM[path.least, path.many]
        value, statements = path_statements(path.path, blanks)
    return node, [Quad(node, term, value), *statements]


def _list(paths: tuple[PropertyPath, ...], blanks: Iterator[BlankNode]) -> tuple[Term, list[Quad]]:
    statements: list[Quad] = []
    head: NamedNode | BlankNode = NIL
    for path in reversed(paths):
        value, inner = path_statements(path, blanks)
        node = next(blanks)
        statements += [Quad(node, FIRST, value), Quad(node, REST, head), *inner]
        head = node
    return head, statements
