"""Shapes compiled to closures over parsed statements, and validation with them.

Called by pod.py (shapes of a container), landing (shapes of a data set) and
the workers.  ``load_shapes`` is slow and done once; ``validate`` is fast and
done on every write.  It never fetches: owl:imports and sh:shapesGraph are
read over.  What is beyond SHACL Core goes to the fall-back, whole.

Measured side by side with pyshacl on prepared shapes by
``tests/bench/shacl_ratio.py``, parse included.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pyoxigraph import Quad

from pod_server.errors import Invalid
from pod_server.rdf import Syntax, parse
from pod_server.shacl.constraints import PLAIN, Check, Test, each, finding, number
from pod_server.shacl.index import Index, Term, Terms
from pod_server.shacl.messages import short
from pod_server.shacl.paths import walk
from pod_server.shacl.queries import check_queries
from pod_server.shacl.reading import Outline, Targets, read_outlines, sh, sparql_reason
from pod_server.shacl.report import Report, Result

Run: TypeAlias = Callable[[Index, Term, list[Result]], None]
"""One shape against one focus node of the data; results are appended."""

PROPERTY: Final = sh("property")


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """A shapes graph, ready to validate with; it crosses process borders as its source.

    count: of shapes, those without a target included.  needs_fallback: why
    the compiler alone is not enough, None when it is.  plans: empty then.
    """

    source: bytes
    base: str
    count: int
    needs_fallback: str | None
    plans: tuple[tuple[Targets, Run], ...]

    def __reduce__(self) -> tuple[object, ...]:
        return load_shapes, (self.source, self.base)


def load_shapes(turtle: bytes, base: str = "urn:shapes", *, allow_sparql: bool = True) -> Shapes:
    """Compile a shapes graph (SHACL, 20 July 2017).

    Raises Malformed for bytes that are not Turtle; Invalid for shapes that
    are ill-formed or recursive, that use terms of SHACL which nothing here
    checks (JavaScript, rules, custom targets), or SPARQL where allow_sparql
    is False; TooLarge beyond the limit of parse.
    """
    index = Index(parse(turtle, Syntax.TURTLE, base))
    reason = sparql_reason(index)
    if reason and not allow_sparql:
        raise Invalid(f"These shapes may use SHACL Core alone: {reason}.")
    outlines = read_outlines(index)
    compiler = _Compiler(index, outlines)
    runs = {node: compiler.run(node) for node in outlines}  # all of them: the untargeted may be ill-formed too
    plans = tuple((outline.targets, runs[node]) for node, outline in outlines.items() if outline.targets)
    if reason:
        check_queries(index)
    return Shapes(turtle, base, len(outlines), reason, () if reason else plans)


def validate(shapes: Shapes, statements: Iterable[Quad]) -> Report:
    """Check statements, named graphs merged, against every shape that has a target.

    Raises LimitReached where the work grows beyond its bound, Invalid where
    the fall-back fails on the shapes' own queries.
    """
    if shapes.needs_fallback:
        # pyshacl and rdflib take 130 ms and 25 MB, and few processes ever need them
        from pod_server.shacl.fallback import validate_beyond_core  # noqa: PLC0415 - as said above

        return validate_beyond_core(parse(shapes.source, Syntax.TURTLE, shapes.base), statements)
    index = Index(statements)
    results: list[Result] = []
    for targets, run in shapes.plans:
        for focus in _focus_nodes(index, targets):
            run(index, focus, results)
    return Report(tuple(results))


def _focus_nodes(index: Index, targets: Targets) -> Terms:
    found: Terms = dict.fromkeys(targets.nodes)
    for kind in targets.classes:
        found.update(index.instances(kind))
    for predicate in targets.subjects_of:
        found.update(dict.fromkeys(index.subjects_of(predicate)))
    for predicate in targets.objects_of:
        found.update(dict.fromkeys(index.inverse(predicate)))
    return found


class _Compiler:
    """Compiles each shape once; shapes that others refer to are compiled first, which ends: none is recursive."""

    def __init__(self, index: Index, outlines: Mapping[Term, Outline]) -> None:
        self._index = index
        self._outlines = outlines
        self._runs: dict[Term, Run] = {}
        self._builders: dict[str, Callable[[Outline, Term], Check | None]] = {
            "node": self._node,
            "not": self._not,
            "and": self._and,
            "or": self._or,
            "xone": self._xone,
            "property": self._property,
            "qualifiedValueShape": self._qualified,
        }

    def run(self, node: Term) -> Run:
        """The closure of a shape."""
        found = self._runs.get(node)
        if found is None:
            outline = self._outlines[node]
            checks = tuple(self._checks(outline))
            found = self._runs[node] = _nothing if outline.deactivated else _run(outline, checks)
        return found

    def conforms(self, node: Term) -> Test:
        """A test whether a node conforms to a shape; answered once for each node, since shapes may be shared."""
        run = self.run(node)

        def test(index: Index, value: Term) -> bool:
            known = index.known.get((node, value))
            if known is None:
                results: list[Result] = []
                run(index, value, results)
                known = index.known[node, value] = not results
            return known

        return test

    def _checks(self, outline: Outline) -> Iterator[Check]:
        for name, values in outline.parameters.items():
            for value in values:
                check = self._check(outline, name, value)
                if check is not None:
                    yield check

    def _check(self, outline: Outline, name: str, value: Term) -> Check | None:
        if name in PLAIN:
            return PLAIN[name](self._index, outline, value)
        return self._builders[name](outline, value) if name in self._builders else None

    def _tests(self, head: Term) -> tuple[Test, ...]:
        return tuple(self.conforms(member) for member in self._index.items(head))

    def _node(self, outline: Outline, shape: Term) -> Check:
        return each(finding(outline, "Node", short(shape)), self.conforms(shape))

    def _not(self, outline: Outline, shape: Term) -> Check:
        test = self.conforms(shape)
        return each(finding(outline, "Not"), lambda index, value: not test(index, value))

    def _and(self, outline: Outline, head: Term) -> Check:
        tests = self._tests(head)
        return each(finding(outline, "And"), lambda index, value: all(test(index, value) for test in tests))

    def _or(self, outline: Outline, head: Term) -> Check:
        tests = self._tests(head)
        return each(finding(outline, "Or"), lambda index, value: any(test(index, value) for test in tests))

    def _xone(self, outline: Outline, head: Term) -> Check:
        tests = self._tests(head)
        return each(finding(outline, "Xone"), lambda index, value: sum(test(index, value) for test in tests) == 1)

    def _property(self, _: Outline, shape: Term) -> Check:
        run = self.run(shape)

        def check(index: Index, _: Term, values: Collection[Term], results: list[Result]) -> None:
            for value in values:
                run(index, value, results)

        return check

    def _qualified(self, outline: Outline, shape: Term) -> Check | None:
        test = self.conforms(shape)
        siblings = self._siblings(outline, shape) if outline.holds("qualifiedValueShapesDisjoint") else ()
        least, most = outline.one("qualifiedMinCount"), outline.one("qualifiedMaxCount")
        bounds: list[tuple[Callable[[int], bool], Callable[..., Result]]] = []
        if least is not None:
            bounds.append(
                (number(least, "qualifiedMinCount").__gt__, finding(outline, "QualifiedMinCount", short(least)))
            )
        if most is not None:
            bounds.append(
                (number(most, "qualifiedMaxCount").__lt__, finding(outline, "QualifiedMaxCount", short(most)))
            )

        def check(index: Index, focus: Term, values: Collection[Term], results: list[Result]) -> None:
            count = sum(
                test(index, value) and not any(sibling(index, value) for sibling in siblings) for value in values
            )
            results.extend(found(focus) for broken, found in bounds if broken(count))

        return check if bounds else None

    def _siblings(self, outline: Outline, shape: Term) -> tuple[Test, ...]:
        """The value shapes that a value may not fit at the same time (SHACL, section 4.7.3)."""
        others: Terms = {}
        for parent in self._index.subjects(PROPERTY, outline.node):
            for neighbour in self._index.objects(parent, PROPERTY):
                others.update(dict.fromkeys(self._outlines[neighbour].parameters.get("qualifiedValueShape", ())))
        others.pop(shape, None)
        return tuple(self.conforms(other) for other in others)


def _nothing(_: Index, __: Term, ___: list[Result]) -> None:
    """A deactivated shape: every node conforms to it."""


def _run(outline: Outline, checks: tuple[Check, ...]) -> Run:
    if outline.path is None:

        def run_node(index: Index, focus: Term, results: list[Result]) -> None:
            index.spend(1)
            values = (focus,)
            for check in checks:
                check(index, focus, values, results)

        return run_node

    follow = walk(outline.path)

    def run_property(index: Index, focus: Term, results: list[Result]) -> None:
        values = follow(index, focus)
        index.spend(1 + len(values))
        for check in checks:
            check(index, focus, values, results)

    return run_property
