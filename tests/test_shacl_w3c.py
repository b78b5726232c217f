"""The W3C's own SHACL tests (data-shapes, core and SPARQL), run from where they lie beside the project.

Each core test is compared in verdict and in every result: focus, path, value,
component, severity, shape, and messages where the test states them.
"""

from __future__ import annotations

import pathlib
from collections import Counter

import pytest
from pyoxigraph import NamedNode, Quad

from pod_server.errors import Invalid
from pod_server.rdf import Syntax, parse, serialise
from pod_server.shacl import Report, load_shapes, path_text, validate
from pod_server.shacl.fallback import check_shapes
from pod_server.shacl.index import Index
from pod_server.shacl.report import read_report

SUITE = (pathlib.Path(__file__).resolve().parents[1] / "../shared/w3c/shacl").resolve()
MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
SHT = "http://www.w3.org/ns/shacl-test#"
INCLUDE = NamedNode(f"{MF}include")
ENTRIES = NamedNode(f"{MF}entries")
FAILURE = NamedNode(f"{SHT}Failure")
NOT_BY_ENGINE = {
    "sparql/node/prefixes-001.ttl": "its prefix ex comes by an import, and imports are not followed",
    "sparql/pre-binding/shapesGraph-001.ttl": "the engine does not bind $shapesGraph, which SHACL leaves optional",
}

pytestmark = pytest.mark.skipif(not SUITE.is_dir(), reason="the W3C tests are not beside the project")


def statements_of(file: pathlib.Path) -> list[Quad]:
    """A file of the suite, on its own address as base."""
    return parse(file.read_bytes(), Syntax.TURTLE, file.as_uri())


def files(part: str) -> list[str]:
    """The test files that a manifest reaches, relative to the suite."""
    found: list[str] = []
    waiting = [SUITE / part / "manifest.ttl"] if SUITE.is_dir() else []
    while waiting:
        file = waiting.pop()
        index = Index(statements_of(file))
        if index.subjects_of(ENTRIES):
            found.append(str(file.relative_to(SUITE)))
        waiting += [
            pathlib.Path(included.value.removeprefix("file://"))
            for included in index.inverse(INCLUDE)
            if isinstance(included, NamedNode)
        ]
    return sorted(found)


def graph_file(index: Index, name: str) -> pathlib.Path:
    """Where the data or the shapes of a test are."""
    (graph,) = index.inverse(NamedNode(SHT + name))
    assert isinstance(graph, NamedNode)
    return pathlib.Path(graph.value.removeprefix("file://"))


def found(report: Report) -> Counter[tuple[str, ...]]:
    """The results as a bag of comparable rows."""
    return Counter(
        (
            str(result.focus),
            path_text(result.path) if result.path is not None else "",
            str(result.value),
            str(result.component),
            str(result.severity),
            str(result.source_shape),
        )
        for result in report.results
    )


def run(name: str) -> tuple[Report | None, Report | None]:
    """The report that a test wants and the one that it gets; None where a refusal is wanted or given."""
    file = SUITE / name
    statements = statements_of(file)
    index = Index(statements)
    shapes_file = graph_file(index, "shapesGraph")
    data = statements if graph_file(index, "dataGraph") == file else statements_of(graph_file(index, "dataGraph"))
    wanted = None if index.inverse(NamedNode(f"{MF}result")).get(FAILURE) else read_report(statements)
    try:
        shapes = load_shapes(with_labels(shapes_file), shapes_file.as_uri())
        return wanted, validate(shapes, data)
    except Invalid:
        return wanted, None


def with_labels(file: pathlib.Path) -> bytes:
    """The file as N-Triples, which is Turtle: its blank nodes then keep their labels however often it is parsed."""
    return serialise(statements_of(file), Syntax.N_TRIPLES)


@pytest.mark.parametrize("name", files("core"))
def test_core(name: str) -> None:
    """Every core test: by the compiler, result by result."""
    wanted, got = run(name)
    assert wanted is not None
    assert got is not None
    assert got.conforms == wanted.conforms
    assert found(got) == found(wanted)


def test_core_is_compiled_and_all_there() -> None:
    """None of the core tests needs the fall-back, and none went missing."""
    names = files("core")
    assert len(names) == 98
    for name in names:
        file = graph_file(Index(statements_of(SUITE / name)), "shapesGraph")
        assert load_shapes(file.read_bytes(), file.as_uri(), allow_sparql=False).needs_fallback is None


@pytest.mark.parametrize("name", files("sparql"))
def test_sparql(name: str) -> None:
    """The tests of SHACL-SPARQL, by the fall-back: the verdict and the number of results, or the refusal."""
    if name in NOT_BY_ENGINE:
        pytest.skip(NOT_BY_ENGINE[name])
    wanted, got = run(name)
    if wanted is None or got is None:
        assert wanted is got
        return
    assert got.conforms == wanted.conforms
    assert len(got.results) == len(wanted.results)


def test_message_is_copied() -> None:
    """Where a shape has a message, the results carry it with its language."""
    wanted, got = run("core/misc/message-001.ttl")
    assert wanted is not None
    assert got is not None
    assert [result.message for result in got.results] == [{"en": "Test message"}]


def test_reports_survive_the_wire() -> None:
    """Every core report, written as RDF and read back, says the same."""
    for name in files("core"):
        _, got = run(name)
        assert got is not None
        turtle = serialise(got.to_statements(), Syntax.N_TRIPLES)
        back = read_report(parse(turtle, Syntax.N_TRIPLES, "urn:report"))
        assert back.conforms == got.conforms
        assert found(back) == found(got)


def test_suite_shapes_pass_shacl_for_shacl() -> None:
    """SHACL's own shapes, compiled here, agree with the engine's on a good and on a bad shapes graph."""
    file = SUITE / "core/complex/shacl-shacl-data-shapes.ttl"
    ours = load_shapes(file.read_bytes(), file.as_uri())
    good = b"@prefix sh: <http://www.w3.org/ns/shacl#> . <urn:s> a sh:NodeShape ; sh:targetNode <urn:n> ."
    bad = good + b" <urn:s> sh:minLength -1, 2 ; sh:nodeKind 4 ."
    for turtle, verdict in ((good, True), (bad, False)):
        assert validate(ours, parse(turtle, Syntax.TURTLE, "urn:x")).conforms is verdict
        assert check_shapes(turtle).conforms is verdict
