"""Statements arranged for validation: subject -> predicate -> objects, built once and asked many times.

Used by every other file of this room, for data and for shapes alike.  It
never parses, and it never changes after it is built; what it caches
(instances, inverse look-ups, conformance) follows from the statements alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, TypeAlias

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, Triple

from pod_server.errors import Invalid, LimitReached
from pod_server.rdf.vocabulary import RDF, RDFS

Term: TypeAlias = NamedNode | BlankNode | Literal | Triple
Terms: TypeAlias = dict[Term, None]
"""An ordered set: RDF graphs hold each statement once, and results should come in document order."""

TYPE: Final = NamedNode(f"{RDF}type")
SUBCLASS: Final = NamedNode(f"{RDFS}subClassOf")
FIRST: Final = NamedNode(f"{RDF}first")
REST: Final = NamedNode(f"{RDF}rest")
NIL: Final = NamedNode(f"{RDF}nil")

MAX_STEPS: Final = 5_000_000
NOTHING: Final[Mapping[NamedNode, Terms]] = {}
NO_TERMS: Final[Terms] = {}


class Index:
    """One graph; the names of named graphs are ignored and their statements merged."""

    __slots__ = ("_instances", "_inverse", "_steps", "known", "nodes")

    def __init__(self, statements: Iterable[Quad]) -> None:
        self.nodes: dict[Term, dict[NamedNode, Terms]] = _arranged(statements)
        self.known: dict[tuple[object, Term], bool] = {}
        self._inverse: dict[NamedNode, dict[Term, Terms]] = {}
        self._instances: dict[Term, Terms] = {}
        self._steps = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Count work done; raises LimitReached beyond MAX_STEPS, so that no shape and no data runs for ever."""
        self._steps -= steps
        if self._steps < 0:
            raise LimitReached(f"The validation took more than {MAX_STEPS} steps.", limit="steps")

    def objects(self, subject: Term, predicate: NamedNode) -> Collection[Term]:
        """The objects of a subject and a predicate."""
        return self.nodes.get(subject, NOTHING).get(predicate, NO_TERMS)

    def inverse(self, predicate: NamedNode) -> Mapping[Term, Terms]:
        """Object -> subjects, for one predicate."""
        found = self._inverse.get(predicate)
        if found is None:
            found = self._inverse[predicate] = {}
            for subject, properties in self.nodes.items():
                for value in properties.get(predicate, ()):
                    found.setdefault(value, {})[subject] = None
        return found

    def subjects(self, predicate: NamedNode, value: Term) -> Collection[Term]:
        """The subjects that have this value for a predicate."""
        return self.inverse(predicate).get(value, NO_TERMS)

    def subjects_of(self, predicate: NamedNode) -> list[Term]:
        """All subjects of a predicate."""
        return [subject for subject, properties in self.nodes.items() if predicate in properties]

    def instances(self, kind: Term) -> Terms:
        """The SHACL instances of a class, by rdf:type and rdfs:subClassOf (SHACL, section 1.1)."""
        found = self._instances.get(kind)
        if found is None:
            types, below = self.inverse(TYPE), self.inverse(SUBCLASS)
            found = self._instances[kind] = {}
            for narrower in _reached(kind, below):
                self.spend(1)
                found.update(types.get(narrower, NO_TERMS))
        return found

    def items(self, head: Term) -> list[Term]:
        """The members of a SHACL list; raises Invalid where the list is ill-formed or runs in a circle."""
        members: list[Term] = []
        seen: set[Term] = set()
        while head != NIL:
            first, rest = self.objects(head, FIRST), self.objects(head, REST)
            if head in seen or len(first) != 1 or len(rest) != 1:
                raise Invalid(f"The list at {head} is ill-formed.", subject=str(head))
            seen.add(head)
            members.extend(first)
            (head,) = rest
        return members


def _arranged(statements: Iterable[Quad]) -> dict[Term, dict[NamedNode, Terms]]:
    nodes: dict[Term, dict[NamedNode, Terms]] = {}
    for subject, predicate, value, _ in statements:
        properties = nodes.get(subject)
        if properties is None:
            nodes[subject] = {predicate: {value: None}}
            continue
        values = properties.get(predicate)
        if values is None:
            properties[predicate] = {value: None}
        else:
            values[value] = None
    return nodes


def _reached(start: Term, edges: Mapping[Term, Terms]) -> Terms:
    found: Terms = {start: None}
    waiting = [start]
    while waiting:
        for following in edges.get(waiting.pop(), NO_TERMS):
            if following not in found:
                found[following] = None
                waiting.append(following)
    return found
