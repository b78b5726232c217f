"""What parsing workers do for pod.py with large bodies: check a document's syntax, give it in another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pyoxigraph import BlankNode, Quad
from pyoxigraph import parse as engine_parse

from pod_server.errors import Invalid
from pod_server.rdf.parse import parse
from pod_server.rdf.serialise import serialise
from pod_server.rdf.syntax import Syntax, syntax_of


def check_syntax(data: bytes, syntax: str, base: str) -> int:
    """Parse strictly; the number of statements.  Raises Malformed, TooLarge."""
    return len(parse(data, Syntax[syntax], base))


def convert(body: bytes, stored_as: str, media_type: str, iri: str) -> bytes:
    """One RDF syntax as another, prefixes kept.  Raises Invalid when one of them is no RDF."""
    syntax, wanted = syntax_of(stored_as), syntax_of(media_type)
    if syntax is None or wanted is None:
        raise Invalid(f"{stored_as} cannot be given as {media_type}.")
    statements = _with_fixed_labels(parse(body, syntax, iri))
    return serialise(statements, wanted, prefixes=prefixes_of(body, syntax, iri))


def _with_fixed_labels(statements: list[Quad]) -> Iterator[Quad]:
    """Blank nodes numbered as they come: the same bytes always give the same representation, as a strong ETag says."""
    labels: dict[BlankNode, BlankNode] = {}

    def fixed(term: Any) -> Any:
        return labels.setdefault(term, BlankNode(f"b{len(labels)}")) if isinstance(term, BlankNode) else term

    for subject, predicate, value, graph in statements:
        yield Quad(fixed(subject), predicate, fixed(value), fixed(graph))


def prefixes_of(body: bytes, syntax: Syntax, base: str) -> dict[str, str]:
    """The prefixes that a document declares; empty for syntaxes without them."""
    if syntax not in (Syntax.TURTLE, Syntax.TRIG):
        return {}
    parser = engine_parse(body, syntax.engine, base_iri=base)
    for _ in parser:
        pass
    return dict(parser.prefixes)
