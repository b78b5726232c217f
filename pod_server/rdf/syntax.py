"""The RDF syntaxes that the host reads and writes, and which of them a caller wants.

Called by everyone who meets a Content-Type or an Accept header; it never
parses RDF.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import lru_cache

from pyoxigraph import RdfFormat
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header


class Syntax(enum.Enum):
    """A concrete syntax of RDF 1.1 (each a W3C Recommendation)."""

    TURTLE = ("text/turtle", RdfFormat.TURTLE)
    JSON_LD = ("application/ld+json", RdfFormat.JSON_LD)
    N_TRIPLES = ("application/n-triples", RdfFormat.N_TRIPLES)
    N_QUADS = ("application/n-quads", RdfFormat.N_QUADS)
    TRIG = ("application/trig", RdfFormat.TRIG)
    RDF_XML = ("application/rdf+xml", RdfFormat.RDF_XML)

    def __init__(self, media_type: str, engine: RdfFormat) -> None:
        self.media_type = media_type
        self.engine = engine

    @property
    def holds_graphs(self) -> bool:
        """True when the syntax can name graphs."""
        return self in (Syntax.N_QUADS, Syntax.TRIG, Syntax.JSON_LD)


_BY_MEDIA_TYPE = {syntax.media_type: syntax for syntax in Syntax}
READABLE: tuple[str, ...] = tuple(_BY_MEDIA_TYPE)
"""Media types taken on the way in."""
WRITABLE: tuple[str, ...] = tuple(media for media in _BY_MEDIA_TYPE if media != Syntax.RDF_XML.media_type)
"""Media types given on the way out, best first (Solid Protocol, section 5.5: Turtle and JSON-LD)."""


@lru_cache(maxsize=512)
def syntax_of(media_type: str) -> Syntax | None:
    """The syntax behind a media type, parameters ignored; None when it is not RDF."""
    return _BY_MEDIA_TYPE.get(media_type.split(";", 1)[0].strip().lower())


@lru_cache(maxsize=256)
def choose(accept: str | None, available: Sequence[str]) -> str | None:
    """The media type to answer with (RFC 9110, section 12.5.1); the first available when all are alike.

    accept: the header's value, None or empty means anything.  available: a
    tuple, best first.  None when nothing available is acceptable.
    """
    if not accept or accept == "*/*":
        return available[0]
    wanted = parse_accept_header(accept, MIMEAccept)
    best, best_quality = None, 0.0
    for media_type in available:
        quality = wanted[media_type]
        if quality > best_quality:
            best, best_quality = media_type, quality
    return best
