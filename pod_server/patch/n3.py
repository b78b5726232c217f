"""Reads N3 Patch (Solid Protocol, editor's draft 0.12 of 2025-04-12, section 5.3.1).  It applies nothing."""

from __future__ import annotations

from collections.abc import Iterable

from pyoxigraph import BlankNode, DefaultGraph, NamedNode, Quad, RdfFormat

from pod_server.errors import Invalid
from pod_server.patch.form import Patch, Pattern, Step, has_blank_node, variables_of
from pod_server.patch.lexemes import LEXEME, Marks, text_of
from pod_server.rdf.vocabulary import RDF, SOLID

_PARTS = {SOLID + "where": "where", SOLID + "deletes": "deletes", SOLID + "inserts": "inserts"}
_PATCH_CLASS = NamedNode(SOLID + "InsertDeletePatch")
_TYPE = NamedNode(RDF + "type")


def read_n3_patch(body: bytes, base: str) -> Patch:
    """The one patch of a text/n3 document.

    base: the IRI of the document that is patched.  Raises Malformed when it
    is not N3, Invalid when it is not such a patch, TooLarge.
    """
    text, marks = text_of(body), Marks(body)
    marked, formulae = _marked(text, marks)
    quads = marks.parsed(marked, RdfFormat.N3, base)
    parts = _parts(quad for quad in quads if isinstance(quad.graph_name, DefaultGraph))
    # An empty formula is a mere blank node to the engine, so formulae are counted in the text.
    graphs = {quad.graph_name for quad in quads if isinstance(quad.graph_name, BlankNode)}
    if formulae != len(parts) or not graphs <= parts.keys():
        raise Invalid("Each formula of a patch is the object of solid:where, solid:deletes or solid:inserts.")
    read: dict[str, list[Pattern]] = {"where": [], "deletes": [], "inserts": []}
    for quad in quads:
        if isinstance(quad.graph_name, BlankNode):
            read[parts[quad.graph_name]].append(marks.pattern(quad))
    step = Step(tuple(read["where"]), tuple(read["deletes"]), tuple(read["inserts"]), strict=True)
    _check(step)
    return Patch((step,))


def _marked(text: str, marks: Marks) -> tuple[str, int]:
    """The text with marks for its variables, and how many formulae it has."""
    written: list[str] = []
    depth, formulae, end = 0, 0, 0
    for match in LEXEME.finditer(text):
        lexeme = match[0]
        if lexeme == "{":
            depth, formulae = depth + 1, formulae + 1
            if depth > 1:
                raise Invalid("A formula of a patch holds triples only, no formula.")
        elif lexeme == "}":
            depth -= 1
        elif lexeme[0] == "?" and len(lexeme) > 1:
            written += (text[end : match.start()], marks.variable(lexeme[1:]))
            end = match.end()
    return "".join((*written, text[end:])), formulae


def _parts(outer: Iterable[Quad]) -> dict[BlankNode, str]:
    """Formula -> which part of the one patch it is."""
    parts: dict[BlankNode, str] = {}
    patches, typed = set(), set()
    for quad in outer:
        part = _PARTS.get(quad.predicate.value)
        if part is not None:
            if not isinstance(quad.object, BlankNode) or part in parts.values() or quad.object in parts:
                raise Invalid(f"A patch has at most one solid:{part}, and its object is a formula.", field=part)
            parts[quad.object] = part
            patches.add(quad.subject)
        elif quad.predicate == _TYPE and quad.object == _PATCH_CLASS:
            typed.add(quad.subject)
    if len(typed) != 1 or not patches <= typed:
        raise Invalid("A patch document holds exactly one solid:InsertDeletePatch.")
    return parts


def _check(step: Step) -> None:
    if has_blank_node((*step.where, *step.deletes)):
        raise Invalid("Blank nodes may stand in solid:inserts only; elsewhere use a variable.")
    unbound = variables_of((*step.deletes, *step.inserts)) - variables_of(step.where)
    if unbound:
        names = ", ".join(f"?{name}" for name in sorted(unbound))
        raise Invalid(f"Not bound by solid:where: {names}.", variables=sorted(unbound))
