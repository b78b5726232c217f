"""A patch applied to a document's bytes; a worker's job when the document is large."""

from __future__ import annotations

from pod_server.errors import Conflict, TooLarge
from pod_server.patch.apply import apply
from pod_server.patch.form import Patch
from pod_server.rdf import Syntax, parse, serialise, syntax_of
from pod_server.rdf.guards import MAX_RDF_BYTES
from pod_server.rdf.jobs import prefixes_of


def patched(patch: Patch, body: bytes | None, media_type: str, iri: str) -> tuple[str, bytes]:
    """The media type and the bytes of a document after a patch; body None makes a new one in Turtle.

    Prefixes are kept, comments are not.  Raises Conflict where the patch does
    not fit, TooLarge where its result would be over what a PUT may bring.
    """
    syntax = syntax_of(media_type)
    if syntax is None:
        raise Conflict("This resource is not RDF, so it cannot be patched.")
    statements = [] if body is None else parse(body, syntax, iri)
    prefixes = {} if body is None else prefixes_of(body, syntax, iri)
    written = Syntax.TURTLE if syntax is Syntax.RDF_XML else syntax
    after = serialise(apply(patch, statements).statements, written, prefixes=prefixes)
    if len(after) > MAX_RDF_BYTES:
        raise TooLarge(f"An RDF document may have at most {MAX_RDF_BYTES} bytes.", limit=MAX_RDF_BYTES)
    return written.media_type, after
