"""Words, shapes and documents agree: every term is told in two languages, exists where it is used, and is used."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from landing_actors import EXAMPLES, example
from pyoxigraph import Literal, NamedNode, Quad

from pod_server.landing.catalogue import as_statements
from pod_server.landing.siblings import merge
from pod_server.landing.transform import transform
from pod_server.rdf import Syntax, parse, serialise, shipped
from pod_server.rdf.vocabulary import RDF, RDFS, SELF_DATA, SH
from pod_server.shacl import load_shapes, validate

DOMAINS = ("access", "billing", "energy", "insurance", "landing", "location")
SHAPES = ("bill", "energy-contract", "geolocation", "insurance-claim", "load-curve")
CONTEXTS = ("billing", "energy", "insurance", "location")
NOT_DOMAINS = (SELF_DATA + "shapes/", SELF_DATA + "contexts/")


def words(domain: str) -> list[Quad]:
    """The statements of a vocabulary file."""
    return parse(shipped("vocab", f"{domain}.ttl").read_bytes(), Syntax.TURTLE, SELF_DATA + domain)


def shape_statements(name: str) -> list[Quad]:
    """The statements of a shapes file."""
    return parse(shipped("shapes", f"{name}.ttl").read_bytes(), Syntax.TURTLE, f"{SELF_DATA}shapes/{name}")


def terms() -> set[str]:
    """Every term that our vocabularies define."""
    found = set()
    for domain in DOMAINS:
        prefix = f"{SELF_DATA}{domain}#"
        found |= {quad.subject.value for quad in words(domain) if quad.subject.value.startswith(prefix)}
    return found


def ours(quads: list[Quad]) -> set[str]:
    """The IRIs in our namespaces that some statements use."""
    used = {term.value for quad in quads for term in (quad.predicate, quad.object) if isinstance(term, NamedNode)}
    return {iri for iri in used if iri.startswith(SELF_DATA) and "#" in iri and not iri.startswith(NOT_DOMAINS)}


def documents() -> Iterator[tuple[str, str, bytes]]:
    """Shape, path and body of every document that the examples give, coarser ones included."""
    for name in EXAMPLES:
        taken = transform(example(name))
        yield from ((document.shape, document.path, document.body) for document in taken.documents)
        for sibling in taken.siblings:
            merged = merge(sibling, None)
            above = [merge(further, None).document for further in merged.upward]
            yield from ((each.shape, each.path, each.body) for each in (merged.document, *above))


def statements_of_documents() -> list[Quad]:
    """All statements of all example documents."""
    base = "https://pod.invalid/landed/"
    return [quad for _, path, body in documents() for quad in parse(body, Syntax.TURTLE, base + path)]


def test_the_files_are_the_ones_told() -> None:
    """No vocabulary, shapes or context file is forgotten by these tests."""
    assert {file.stem for file in shipped("vocab").glob("*.ttl")} == set(DOMAINS)
    assert {file.stem for file in shipped("shapes").glob("*.ttl")} >= set(SHAPES)
    assert {file.stem for file in shipped("vocab", "contexts").glob("*.jsonld")} == set(CONTEXTS)


@pytest.mark.parametrize("domain", DOMAINS)
def test_terms_are_told_in_two_languages(domain: str) -> None:
    """Every term has exactly one label and one comment in French and in English."""
    said: dict[str, list[tuple[str, str]]] = {}
    for quad in words(domain):
        own = said.setdefault(quad.subject.value, [])
        if isinstance(quad.object, Literal) and quad.predicate.value.startswith(RDFS):
            own.append((quad.predicate.value.removeprefix(RDFS), quad.object.language or ""))
    expected = [("comment", "en"), ("comment", "fr"), ("label", "en"), ("label", "fr")]
    told = {iri: sorted(found) for iri, found in said.items() if "#" in iri}
    assert told
    assert {iri: found for iri, found in told.items() if found != expected} == {}


def test_what_is_used_is_defined() -> None:
    """Shapes, documents, the catalogue and contexts use no term of ours that no vocabulary defines."""
    used = ours(statements_of_documents()) | ours(as_statements("https://h.example/.host/catalogue"))
    for name in SHAPES:
        used |= ours(shape_statements(name))
    assert used
    assert used - terms() == set()


def test_what_is_defined_is_used() -> None:
    """No dead word: every class and property of the data domains stands in a shape or in an example document."""
    used = ours(statements_of_documents())
    for name in SHAPES:
        used |= ours(shape_statements(name))
    abstract = {SELF_DATA + "insurance#Claim"}
    defined = {iri for iri in terms() if not iri.startswith((SELF_DATA + "landing#", SELF_DATA + "access#"))}
    assert defined - used == abstract


@pytest.mark.parametrize("name", CONTEXTS)
def test_contexts_name_terms_that_exist(name: str) -> None:
    """A context maps to terms of its vocabulary and leaves none of them out."""
    context = json.loads(shipped("vocab", f"contexts/{name}.jsonld").read_bytes())["@context"]
    prefix = f"sd-{name}:"
    named = {entry if isinstance(entry, str) else entry.get("@id") for entry in context.values() if entry != 1.1}
    mapped = {f"{SELF_DATA}{name}#{entry.removeprefix(prefix)}" for entry in named if entry.startswith(prefix)}
    defined = {iri for iri in terms() if iri.startswith(f"{SELF_DATA}{name}#")}
    individuals = {SELF_DATA + "energy#averagePower", SELF_DATA + "energy#activeEnergy"}
    assert mapped == defined - individuals


def test_a_bundled_context_reads_as_the_same_statements() -> None:
    """JSON-LD by a bundled context gives the terms that Turtle gives."""
    body = {
        "@context": f"{SELF_DATA}contexts/energy",
        "id": "#it",
        "type": "LoadCurve",
        "day": "2024-03-12",
        "members": [{"id": "#p1", "start": "2024-03-12T00:00:00+01:00", "value": "230.0"}],
    }
    base = "https://pod.invalid/landed/a.ttl"
    turtle = b"""@prefix sd: <https://w3id.org/self-data/energy#> . @prefix sosa: <http://www.w3.org/ns/sosa/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
<#it> a sd:LoadCurve ; sd:day "2024-03-12"^^xsd:date ; sosa:hasMember <#p1> .
<#p1> sd:start "2024-03-12T00:00:00+01:00"^^xsd:dateTimeStamp ; sosa:hasSimpleResult 230.0 ."""
    assert set(parse(json.dumps(body).encode(), Syntax.JSON_LD, base)) == set(parse(turtle, Syntax.TURTLE, base))


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_speak_both_languages(name: str) -> None:
    """Every property shape has a message in English and in French."""
    quads = shape_statements(name)
    said: dict[str, set[str]] = {}
    for quad in quads:
        if quad.predicate.value == SH + "message":
            assert isinstance(quad.object, Literal)
            said.setdefault(str(quad.subject), set()).add(quad.object.language or "")
    kind, of_property = RDF + "type", SH + "PropertyShape"
    shapes = {str(quad.subject) for quad in quads if quad.predicate.value == kind and quad.object.value == of_property}
    assert shapes
    assert {shape: said.get(shape) for shape in shapes if said.get(shape) != {"en", "fr"}} == {}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_hold_for_the_examples_and_bite(name: str) -> None:
    """Every example document conforms, every class it holds is targeted, and losing any value of one is seen."""
    shapes = load_shapes(shipped("shapes", f"{name}.ttl").read_bytes())
    bitten = 0
    for shape, path, body in documents():
        if shape != name:
            continue
        quads = parse(body, Syntax.TURTLE, "https://pod.invalid/landed/" + path)
        assert validate(shapes, quads).conforms
        without = [[other for other in quads if other is not quad] for quad in quads[:40]]
        bitten += sum(not validate(shapes, rest).conforms for rest in without)
    assert bitten > 0


@pytest.mark.parametrize("name", SHAPES)
def test_another_validator_agrees(name: str) -> None:
    """pyshacl gives the verdict that our compiler gives, on an example and on it with one statement lost or altered."""
    import pyshacl
    import rdflib

    text = shipped("shapes", f"{name}.ttl").read_bytes()
    graph, shapes = rdflib.Graph().parse(data=text, format="turtle"), load_shapes(text)
    path, body = next(found[1:] for found in documents() if found[0] == name)
    quads = parse(body, Syntax.TURTLE, "https://pod.invalid/landed/" + path)
    altered = [[*quads[:4], Quad(quads[4].subject, quads[4].predicate, Literal("x")), *quads[5:]]]
    verdicts = []
    for rest in (quads, *altered, *(quads[:place] + quads[place + 1 :] for place in range(1, 60, 6))):
        data = rdflib.Graph().parse(data=serialise(rest, Syntax.N_TRIPLES), format="nt")
        verdicts.append((pyshacl.validate(data, shacl_graph=graph)[0], validate(shapes, rest).conforms))
    assert verdicts[0] == (True, True)
    assert all(theirs == mine for theirs, mine in verdicts)
