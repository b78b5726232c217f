"""Depth and size, checked on bytes before any engine sees them (DESIGN law 5).

An engine that recurses dies with its process: 26 kB of nested JSON suffice.
These scans are linear, skip strings, IRIs and comments, and allocate nothing
that grows with the input.  Called by parse.py, patch.py and the query guard.
"""

from __future__ import annotations

import re

from pod_server.errors import Malformed, TooLarge
from pod_server.rdf.syntax import Syntax

MAX_DEPTH = 64
MAX_RDF_BYTES = 16 * 1024 * 1024
MAX_ENTITIES = 64

_TURTLE_TOKEN = re.compile(
    rb'"""(?:[^"\\]|\\.|"(?!""))*"""'
    rb"|'''(?:[^'\\]|\\.|'(?!''))*'''"
    rb'|"(?:[^"\\\r\n]|\\.)*"'
    rb"|'(?:[^'\\\r\n]|\\.)*'"
    rb'|<[^<>"{}|^`\\\s]*>'
    rb"|#[^\r\n]*"
    rb"|[\[({]|[\])}]",
    re.DOTALL,
)
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_XML_TOKEN = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<![^>]*>|</[^>]*>|<[^>]*>", re.DOTALL)
_ENTITY = re.compile(rb"<!ENTITY\s+([^>]*)>", re.DOTALL)
OPENERS = (b"[", b"(", b"{")
FLAT_BYTES = 1024 * 1024
"""Input up to this size with at most MAX_DEPTH openers in all cannot be too deep."""


def guard(data: bytes, syntax: Syntax) -> None:
    """Refuse input that is too large or nested too deep for an engine.

    Raises TooLarge over 16 MiB, Malformed with a line and column over 64
    levels or where an XML document type could expand without bound.
    """
    if len(data) > MAX_RDF_BYTES:
        raise TooLarge(f"An RDF document may have at most {MAX_RDF_BYTES} bytes.", limit=MAX_RDF_BYTES)
    if syntax is Syntax.RDF_XML:
        _guard_xml(data)
    elif syntax is Syntax.JSON_LD:
        guard_nesting(data, _JSON_TOKEN)
    elif syntax not in (Syntax.N_TRIPLES, Syntax.N_QUADS):
        guard_nesting(data, _TURTLE_TOKEN)


def guard_json(data: bytes) -> None:
    """Refuse JSON of more than 64 levels, in bytes, before any JSON parser."""
    guard_nesting(data, _JSON_TOKEN)


def guard_nesting(data: bytes, token: re.Pattern[bytes] = _TURTLE_TOKEN, limit: int = MAX_DEPTH) -> None:
    """Refuse more than limit open brackets at once; brackets inside strings, IRIs and comments do not count."""
    if sum(data.count(opener) for opener in OPENERS) <= limit:
        return
    depth = 0
    for match in token.finditer(data):
        first = data[match.start()]
        if first in b"[({":
            depth += 1
            if depth > limit:
                raise _too_deep(data, match.start(), limit)
        elif first in b"])}":
            depth -= 1


def _guard_xml(data: bytes) -> None:
    _guard_entities(data)
    if data.count(b"<") <= MAX_DEPTH:
        return
    depth = 0
    for match in _XML_TOKEN.finditer(data):
        text = match.group()
        if text.startswith(b"</"):
            depth -= 1
        elif not text.startswith((b"<!", b"<?")) and not text.endswith(b"/>"):
            depth += 1
            if depth > MAX_DEPTH:
                raise _too_deep(data, match.start(), MAX_DEPTH)


def _guard_entities(data: bytes) -> None:
    """No external entity, no entity made of entities: what is left grows at most linearly."""
    entities = _ENTITY.findall(data)
    if len(entities) > MAX_ENTITIES:
        raise Malformed(f"The document type declares more than {MAX_ENTITIES} entities.")
    for entity in entities:
        if b"&" in entity or b"%" in entity.split(b'"', 1)[0] or b"SYSTEM" in entity or b"PUBLIC" in entity:
            raise Malformed("The document type declares an external or nested entity, which is not taken.")
        if len(entity) > 1024:
            raise Malformed("The document type declares an entity of more than 1024 bytes.")


def _too_deep(data: bytes, offset: int, limit: int) -> Malformed:
    line = data.count(b"\n", 0, offset) + 1
    column = offset - data.rfind(b"\n", 0, offset)
    return Malformed(
        f"Nested deeper than {limit} levels at line {line}, column {column}.", line=line, column=column, limit=limit
    )
