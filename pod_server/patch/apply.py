"""Applies a patch to the statements of one document, by its own small matcher, within a bound of work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad

from pod_server.errors import Conflict, LimitReached
from pod_server.patch.form import Applied, Patch, Pattern, Step, Term, Variable, variables_of

MAX_OPEN_PATTERNS: Final = 64
MAX_WORK: Final = 100_000
"""Statements tried and written by one patch in all, some 5 us each; one that is only indexed counts a quarter."""

_Binding = Mapping[str, Term]
_State = dict[Quad, None]


def apply(patch: Patch, statements: Sequence[Quad]) -> Applied:
    """The document after the patch; the statements given are left as they are.

    statements: of the whole document; those in named graphs are kept and not
    matched.  Fresh blank nodes get labels that the document does not use.
    Raises Conflict when a strict step finds no mapping, several, or not all
    that it deletes (Solid Protocol, section 5.3.1); LimitReached over the
    bound of work.  For SPARQL all mappings count, and to delete what is
    absent does nothing (SPARQL 1.1 Update, section 3.1.2).
    """
    before = dict.fromkeys(statements)
    state, work, fresh = before.copy(), _Work(), _fresh_nodes(statements)
    for step in patch.steps:
        _apply_step(step, state, work, fresh)
    removals = tuple(quad for quad in before if quad not in state)
    additions = tuple(quad for quad in state if quad not in before)
    return Applied(removals, additions, (*(quad for quad in before if quad in state), *additions))


@dataclass(slots=True)
class _Work:
    """What one patch may still spend."""

    left: int = MAX_WORK

    def spend(self, amount: int) -> None:
        self.left -= amount
        if self.left < 0:
            raise LimitReached("The patch asks for too much work.", limit="patch-work")


def _apply_step(step: Step, state: _State, work: _Work, fresh: Iterator[BlankNode]) -> None:
    mappings = _mappings(step, state, work)
    work.spend(len(mappings) * (len(step.deletes) + len(step.inserts)))
    removed = [quad for mapping in mappings for quad in _filled(step.deletes, mapping, step.strict)]
    added = [quad for mapping in mappings for quad in _filled(_freshened(step.inserts, fresh), mapping, step.strict)]
    if step.strict and not all(quad in state for quad in removed):
        raise Conflict("The patch does not fit the document as it is.")
    for quad in removed:
        state.pop(quad, None)
    state.update(dict.fromkeys(added))


def _mappings(step: Step, state: _State, work: _Work) -> list[_Binding]:
    """All mappings of the condition; exactly one when the step is strict."""
    open_patterns = [pattern for pattern in step.where if variables_of((pattern,))]
    if len(open_patterns) > MAX_OPEN_PATTERNS:
        raise LimitReached(f"A patch may match at most {MAX_OPEN_PATTERNS} patterns.", limit="patch-patterns")
    closed = [pattern for pattern in step.where if not variables_of((pattern,))]
    found: list[_Binding] = []
    if all(quad in state for quad in _filled(closed, {}, step.strict)):
        index = _indexed(state, work) if open_patterns else _Index()
        for mapping in _matches(open_patterns, index, {}, work):
            found.append(mapping)
            if step.strict and len(found) > 1:
                raise Conflict("The condition of the patch holds in more than one way.")
    if step.strict and not found:
        raise Conflict("The patch does not fit the document as it is.")
    return found


@dataclass(slots=True)
class _Index:
    """A document's default graph: all rows, and the rows of each term at each of the three positions."""

    rows: list[Quad] = field(default_factory=list)
    by_term: tuple[dict[Term, list[Quad]], ...] = field(default_factory=lambda: ({}, {}, {}))

    def candidates(self, pattern: Pattern, binding: _Binding) -> list[Quad]:
        """The shortest list at hand that holds every match."""
        best = self.rows
        for rows, term in zip(self.by_term, pattern, strict=True):
            value = binding.get(term.name) if isinstance(term, Variable) else term
            if value is not None:
                best = min(best, rows.get(value, []), key=len)
        return best


def _indexed(state: Iterable[Quad], work: _Work) -> _Index:
    index = _Index([quad for quad in state if isinstance(quad.graph_name, DefaultGraph)])
    work.spend(len(index.rows) // 4)
    for quad in index.rows:
        for rows, term in zip(index.by_term, (quad.subject, quad.predicate, quad.object), strict=True):
            if _is_term(term):
                rows.setdefault(term, []).append(quad)
    return index


def _matches(patterns: Sequence[Pattern], index: _Index, binding: _Binding, work: _Work) -> Iterator[_Binding]:
    """Backtracking, always by the pattern with the fewest candidates."""
    if not patterns:
        yield binding
        return
    offered = [index.candidates(pattern, binding) for pattern in patterns]
    chosen = min(range(len(patterns)), key=lambda number: len(offered[number]))
    rest = [pattern for number, pattern in enumerate(patterns) if number != chosen]
    work.spend(len(offered[chosen]) + len(patterns))
    for quad in offered[chosen]:
        extended = _extended(patterns[chosen], quad, binding)
        if extended is not None:
            yield from _matches(rest, index, extended, work)


def _extended(pattern: Pattern, quad: Quad, binding: _Binding) -> _Binding | None:
    """The binding with what the statement adds to it; None when it does not fit."""
    extended = dict(binding)
    for term, value in zip(pattern, (quad.subject, quad.predicate, quad.object), strict=True):
        if not _is_term(value):
            return None
        wanted = extended.setdefault(term.name, value) if isinstance(term, Variable) else term
        if wanted != value:
            return None
    return extended


def _filled(patterns: Iterable[Pattern], binding: _Binding, strict: bool) -> Iterator[Quad]:
    """The statements of a template; SPARQL leaves out what is no triple (Update, section 3.1.3), N3 Patch may not."""
    for pattern in patterns:
        subject, predicate, value = (binding.get(term.name) if isinstance(term, Variable) else term for term in pattern)
        if isinstance(subject, (NamedNode, BlankNode)) and isinstance(predicate, NamedNode) and value is not None:
            yield Quad(subject, predicate, value)
        elif strict:
            raise Conflict("The condition binds a variable to what cannot stand there.")


def _freshened(patterns: Sequence[Pattern], fresh: Iterator[BlankNode]) -> list[Pattern]:
    nodes: dict[BlankNode, BlankNode] = {}

    def renamed(term: Term | Variable) -> Term | Variable:
        if not isinstance(term, BlankNode):
            return term
        if term not in nodes:
            nodes[term] = next(fresh)
        return nodes[term]

    return [Pattern(*map(renamed, pattern)) for pattern in patterns]


def _fresh_nodes(statements: Iterable[Quad]) -> Iterator[BlankNode]:
    """Labels in a fixed order, so that the same patch of the same document gives the same bytes."""
    positions = (term for quad in statements for term in (quad.subject, quad.object, quad.graph_name))
    used = {term.value for term in positions if isinstance(term, BlankNode)}
    number = 0
    while True:
        label = f"n{number}"
        if label not in used:
            yield BlankNode(label)
        number += 1


def _is_term(term: object) -> TypeGuard[Term]:
    return isinstance(term, (NamedNode, BlankNode, Literal))
