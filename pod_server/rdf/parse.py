"""Bytes to statements, strictly: what does not parse does not come in.

Called by pod.py (at the door), access compilation and the workers.  It never
fetches anything.  Statements are pyoxigraph Quads everywhere in the house.
"""

from __future__ import annotations

from pyoxigraph import Quad, Triple
from pyoxigraph import parse as engine_parse

from pod_server.errors import Malformed
from pod_server.rdf.contexts import with_contexts_inlined
from pod_server.rdf.guards import FLAT_BYTES, MAX_DEPTH, OPENERS, guard
from pod_server.rdf.syntax import Syntax


def parse(data: bytes, syntax: Syntax, base: str) -> list[Quad]:
    """All statements of a document, named graphs included.

    base: the absolute IRI that relative IRIs are resolved against.  Raises
    Malformed with line and column (1-based) where the parser knows them,
    TooLarge over the size bound.
    """
    if len(data) > FLAT_BYTES or syntax is Syntax.RDF_XML or sum(map(data.count, OPENERS)) > MAX_DEPTH:
        guard(data, syntax)
    if syntax is Syntax.JSON_LD:
        data = with_contexts_inlined(data)
    try:
        statements = list(engine_parse(data, syntax.engine, base_iri=base))
    except SyntaxError as error:
        raise malformed(error) from None
    except ValueError as error:
        raise Malformed(f"Not {syntax.media_type}: {error}.") from None
    if any(isinstance(statement.object, Triple) for statement in statements):
        raise Malformed("Statements about statements (RDF 1.2) are not taken: not every syntax can give them back.")
    return statements


def malformed(error: SyntaxError) -> Malformed:
    """The engine's own sentence, with line and column as fields."""
    sentence = str(error.msg or error)
    return Malformed(sentence, line=error.lineno, column=error.offset)
