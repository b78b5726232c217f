"""The compiler beside an engine written by others: generated shapes over generated data, and equal results."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pod_server.rdf import Syntax, parse
from pod_server.shacl import Report, load_shapes, path_text, validate
from pod_server.shacl.fallback import validate_beyond_core

PREFIXES = """
@prefix : <urn:x:> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
"""


def turtle(text: str) -> bytes:
    """Turtle with the prefixes of this file."""
    return (PREFIXES + text).encode()


IRIS = st.sampled_from([":a", ":b", ":c"])
PREDICATES = st.sampled_from([":p", ":q", ":r"])
COUNTS = st.integers(0, 3).map(str)
FAMILIES = {
    "number": (["1", "2", "007", "1.5", "2.0", "1e0"], ["1", "1.5"]),
    "moment": (
        [f'"2024-01-01T{time}"^^xsd:dateTime' for time in ("00:00:00Z", "12:00:00+01:00", "08:00:00.5+02:00")],
        ['"2024-01-01T06:00:00Z"^^xsd:dateTime', '"2024-01-01T12:00:00+01:00"^^xsd:dateTime'],
    ),
    "any": (
        ['"x"', '"xy"', '"x"@en', '"y"@en', '"x"@fr', "1", "true", '"2024-02-30"^^xsd:date', '"z"^^xsd:integer'],
        [],
    ),
}
"""Literals, and limits for them.  Across families the engine has an order where SPARQL has none, so a case has one."""
PATH_TEXTS = st.recursive(
    PREDICATES,
    lambda inner: st.one_of(
        inner.map("[ sh:inversePath {} ]".format),
        inner.map("[ sh:zeroOrMorePath {} ]".format),
        inner.map("[ sh:oneOrMorePath {} ]".format),
        inner.map("[ sh:zeroOrOnePath {} ]".format),
        st.tuples(inner, inner).map(lambda two: f"( {two[0]} {two[1]} )"),
        st.tuples(inner, inner).map(lambda two: f"[ sh:alternativePath ( {two[0]} {two[1]} ) ]"),
    ),
    max_leaves=3,
)


def spaced(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Parts drawn one by one, written one after the other."""
    return st.tuples(*parts).map(" ".join)


def values_alone(terms: st.SearchStrategy[str], limits: list[str]) -> st.SearchStrategy[str]:
    """A constraint on values alone, as any shape may have it."""
    choices = [
        st.sampled_from([":C", ":D"]).map("sh:class {}".format),
        st.sampled_from(["integer", "string", "date", "dateTime", "decimal"]).map("sh:datatype xsd:{}".format),
        st.sampled_from(["IRI", "Literal", "BlankNode", "BlankNodeOrIRI", "IRIOrLiteral"]).map(
            "sh:nodeKind sh:{}".format
        ),
        st.integers(1, 3).map(
            "sh:minLength {}".format
        ),  # with 0 the engine lets blank nodes pass, SHACL 4.4.1 does not
        COUNTS.map("sh:maxLength {}".format),
        st.sampled_from(["^x", "y$", "[0-9]+", "^urn:x:a$"]).map('sh:pattern "{}"'.format),
        st.sampled_from(['"en"', '"fr" "en"']).map("sh:languageIn ( {} )".format),
        terms.map("sh:hasValue {}".format),
        st.lists(terms, max_size=3, unique=True).map(lambda terms: f"sh:in ( {' '.join(terms)} )"),
        PREDICATES.map("sh:equals {}".format),
        PREDICATES.map("sh:disjoint {}".format),
    ]
    bounds = ["sh:minInclusive", "sh:maxInclusive", "sh:minExclusive", "sh:maxExclusive"]
    if limits:
        choices += [spaced(st.sampled_from(bounds), st.sampled_from(limits))] * 3
    return st.one_of(choices)


def on_paths(simple: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A constraint on the values of a path; without sh:lessThan, for which the engine refuses blank nodes and IRIs."""
    counts = spaced(st.sampled_from(["sh:minCount", "sh:maxCount"]), COUNTS)
    return st.one_of(simple, simple, counts, st.just("sh:uniqueLang true"))


def with_shapes(simple: st.SearchStrategy[str], paths: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A constraint that is made of shapes."""
    leaf = simple.map("[ {} ]".format) | st.tuples(PATH_TEXTS, paths).map(lambda x: f"[ sh:path {x[0]} ; {x[1]} ]")
    lists = st.sampled_from(["sh:and", "sh:or", "sh:xone"])
    inner = st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map("[ sh:not {} ]".format),
            st.tuples(lists, inner, inner).map(lambda x: f"[ {x[0]} ( {x[1]} {x[2]} ) ]"),
        ),
        max_leaves=4,
    )
    several = st.lists(paths, min_size=1, max_size=2, unique_by=lambda text: text.split()[0]).map(" ; ".join)
    return st.one_of(
        inner.map("sh:not {}".format),
        inner.map("sh:node {}".format),
        st.tuples(lists, inner, inner).map(lambda x: f"{x[0]} ( {x[1]} {x[2]} )"),
        st.tuples(PATH_TEXTS, several).map(lambda x: f"sh:property [ sh:path {x[0]} ; {x[1]} ]"),
        st.tuples(PATH_TEXTS, inner, inner, COUNTS, st.sampled_from(["true", "false"])).map(
            lambda x: (
                f"sh:property [ sh:path {x[0]} ; sh:qualifiedValueShape {x[1]} ; sh:qualifiedMinCount {x[3]} ;"
                f" sh:qualifiedMaxCount 1 ; sh:qualifiedValueShapesDisjoint {x[4]} ] ,"
                f" [ sh:path :p ; sh:qualifiedValueShape {x[2]} ; sh:qualifiedMaxCount 0 ]"
            )
        ),
        st.lists(PREDICATES, max_size=2, unique=True).map(
            lambda ignored: f"sh:closed true ; sh:ignoredProperties ( {' '.join(ignored)} rdf:type )"
        ),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, str]:
    """Shapes and data of one family, as Turtle without prefixes."""
    literals, limits = FAMILIES[draw(st.sampled_from(sorted(FAMILIES)))]
    terms = IRIS | st.sampled_from(literals)
    simple = values_alone(terms, limits)
    constraint = simple | with_shapes(simple, on_paths(simple))
    several = st.lists(constraint, min_size=1, max_size=3, unique_by=lambda text: text.split()[0])
    target = st.one_of(
        spaced(st.just("sh:targetNode"), terms),
        spaced(st.just("sh:targetClass"), st.sampled_from([":C", ":D"])),
        spaced(st.sampled_from(["sh:targetSubjectsOf", "sh:targetObjectsOf"]), PREDICATES),
    )
    severity = draw(st.sampled_from(["", " ; sh:severity sh:Info"]))
    shapes = f":S a sh:NodeShape ; {draw(target)} ; {' ; '.join(draw(several))}{severity} ."
    statement = st.one_of(
        spaced(IRIS | st.just("_:n"), PREDICATES, terms | st.just("_:n")),
        spaced(IRIS | st.just("_:n"), PREDICATES, terms | st.just("_:n")),
        spaced(IRIS, st.just("a"), st.sampled_from([":C", ":D"])),
        st.just(":D rdfs:subClassOf :C"),
    )
    return shapes, " . ".join(draw(st.lists(statement, min_size=1, max_size=12))) + " ."


def bag(report: Report) -> Counter[tuple[str, ...]]:
    """The results as comparable rows, shapes left out: blank ones have no lasting name."""
    return Counter(
        (
            str(result.focus),
            path_text(result.path) if result.path is not None else "",
            str(result.value),
            str(result.component),
            str(result.severity),
        )
        for result in report.results
    )


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_against_pyshacl(case: tuple[str, str]) -> None:
    """Generated shapes over generated data: the same verdict and the same results as pyshacl."""
    shapes, data = case
    source = turtle(shapes)
    statements = parse(turtle(data), Syntax.TURTLE, "urn:data")
    ours = validate(load_shapes(source), statements)
    theirs = validate_beyond_core(parse(source, Syntax.TURTLE, "urn:shapes"), statements)
    assert ours.conforms == theirs.conforms
    assert bag(ours) == bag(theirs)
