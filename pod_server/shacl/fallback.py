"""What the compiler does not know, by pyshacl: SPARQL constraints, and SHACL for SHACL at publication time.

Called by the compiler's ``validate`` and by whoever publishes shapes.  No
import is followed, nothing is fetched, no script runs, nothing is advanced:
queries that name another service or another graph to load are refused before
the engine sees them.  It is slow (some 20 times the compiler) and not linear:
run it in a worker.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pyshacl
import rdflib
from pyoxigraph import BlankNode, Literal, NamedNode, Quad, Triple
from pyshacl.entrypoints import meta_validate
from rdflib.plugins import sparql as rdflib_sparql

from pod_server.errors import Invalid
from pod_server.rdf import Syntax, parse
from pod_server.rdf.vocabulary import XSD
from pod_server.shacl.index import Term
from pod_server.shacl.report import Report, read_report

rdflib.NORMALIZE_LITERALS = False  # else "007" becomes "7" and ill-formed literals pass
rdflib_sparql.SPARQL_LOAD_GRAPHS = False  # else FROM <https://...> fetches
for _name in ("rdflib.term", "pyshacl-validate"):
    logging.getLogger(_name).disabled = True  # they log values of the data


def validate_beyond_core(shapes: Iterable[Quad], statements: Iterable[Quad]) -> Report:
    """Validate by pyshacl; raises Invalid where the engine fails on the shapes."""
    data, rules = _graph(statements), _graph(shapes)
    try:
        _, found, text = pyshacl.validate(
            data, shacl_graph=rules, inference="none", advanced=False, js=False, meta_shacl=False, do_owl_imports=False
        )
    except Exception as error:  # an engine on a stranger's input: whatever it raises is about that input
        raise _failed(error) from None
    return _report(found, text)


def check_shapes(turtle: bytes, base: str = "urn:shapes") -> Report:
    """A shapes graph against SHACL's own shapes (SHACL, appendix C); some 200 ms, so only when shapes are published.

    Raises Malformed for bytes that are not Turtle.
    """
    shapes = _graph(parse(turtle, Syntax.TURTLE, base))
    try:
        _, found, text = meta_validate(shapes, inference="none", advanced=False, js=False)
    except Exception as error:  # as above
        raise _failed(error) from None
    return _report(found, text)


def _failed(error: Exception) -> Invalid:
    sentence = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return Invalid(f"The shapes could not be checked with: {sentence}")


def _report(found: object, text: str) -> Report:
    if not isinstance(found, rdflib.Graph):
        raise Invalid(f"The shapes could not be checked with: {text.strip().splitlines()[0][:300]}")
    statements = [
        Quad(_subject(subject), NamedNode(str(predicate)), _term(value)) for subject, predicate, value in found
    ]
    return _ordered(read_report(statements))


def _ordered(report: Report) -> Report:
    """The engine's own order changes from run to run."""
    return Report(
        tuple(sorted(report.results, key=lambda result: (result.where, str(result.component), str(result.value))))
    )


def _graph(statements: Iterable[Quad]) -> rdflib.Graph:
    graph = rdflib.Graph()
    for subject, predicate, value, _ in statements:
        graph.add((_node(subject), _node(predicate), _node(value)))
    return graph


def _node(term: Term) -> rdflib.term.Node:
    if isinstance(term, NamedNode):
        return rdflib.URIRef(term.value)
    if isinstance(term, BlankNode):
        return rdflib.BNode(term.value)
    if isinstance(term, Triple):
        raise Invalid("Statements about statements cannot be checked by these shapes.")
    simple = term.language or term.datatype.value == f"{XSD}string"  # to rdflib, "a" and "a"^^xsd:string differ
    datatype = None if simple else rdflib.URIRef(term.datatype.value)
    return rdflib.Literal(term.value, lang=term.language, datatype=datatype, normalize=False)


def _subject(node: rdflib.term.Node) -> NamedNode | BlankNode:
    return BlankNode(str(node)) if isinstance(node, rdflib.BNode) else NamedNode(str(node))


def _term(node: rdflib.term.Node) -> NamedNode | BlankNode | Literal:
    if not isinstance(node, rdflib.Literal):
        return _subject(node)
    if node.language:
        return Literal(str(node), language=node.language)
    return Literal(str(node), datatype=NamedNode(str(node.datatype))) if node.datatype else Literal(str(node))
