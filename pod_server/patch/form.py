"""What a patch is, whichever syntax it came in, and what applying it gives: frozen values without behaviour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pyoxigraph import BlankNode, Literal, NamedNode, Quad

from pod_server.terms import Mode

Term = NamedNode | BlankNode | Literal


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a patch; a blank node of a SPARQL WHERE is one too."""

    name: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """A triple in which variables may stand."""

    subject: Term | Variable
    predicate: Term | Variable
    object: Term | Variable

    def __iter__(self) -> Iterator[Term | Variable]:
        return iter((self.subject, self.predicate, self.object))


@dataclass(frozen=True, slots=True)
class Step:
    """One operation; strict: N3 Patch's way, with one mapping exactly and nothing absent among the deletions."""

    where: tuple[Pattern, ...] = ()
    deletes: tuple[Pattern, ...] = ()
    inserts: tuple[Pattern, ...] = ()
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Patch:
    """Operations, applied one after the other."""

    steps: tuple[Step, ...]

    def modes_needed(self) -> Mode:
        """What the caller must be allowed, all of it (Solid Protocol, section 5.3.1).

        A condition asks for Read, insertions for Append, deletions for Read
        and Write.  Never without Append or Write: a patch that changes
        nothing may still create the document.
        """
        modes = Mode.NONE
        for step in self.steps:
            modes |= Mode.READ if step.where else Mode.NONE
            modes |= Mode.APPEND if step.inserts else Mode.NONE
            modes |= Mode.READ | Mode.WRITE if step.deletes else Mode.NONE
        return modes if modes & (Mode.APPEND | Mode.WRITE) else modes | Mode.APPEND


@dataclass(frozen=True, slots=True)
class Applied:
    """What a patch did to a document: the net removals and additions, and all statements after it, in stable order."""

    removals: tuple[Quad, ...]
    additions: tuple[Quad, ...]
    statements: tuple[Quad, ...]


def variables_of(patterns: Iterable[Pattern]) -> set[str]:
    """The names of all variables in some patterns."""
    return {term.name for pattern in patterns for term in pattern if isinstance(term, Variable)}


def has_blank_node(patterns: Iterable[Pattern]) -> bool:
    """True when a blank node stands anywhere in some patterns."""
    return any(isinstance(term, BlankNode) for pattern in patterns for term in pattern)
