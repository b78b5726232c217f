"""Statements to bytes.  Called wherever a representation leaves in another syntax than it came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pyoxigraph import Quad, Triple
from pyoxigraph import serialize as engine_serialize

from pod_server.rdf.syntax import Syntax


def serialise(
    statements: Iterable[Quad], syntax: Syntax, *, base: str | None = None, prefixes: Mapping[str, str] | None = None
) -> bytes:
    """A document of all statements; a syntax without graph names gets the union of all graphs, each statement once."""
    rows = statements if syntax.holds_graphs else flattened(statements)
    written = engine_serialize(rows, format=syntax.engine, base_iri=base, prefixes=dict(prefixes) if prefixes else None)
    assert written is not None  # noqa: S101 - no output file was given, so bytes come back
    return written


def flattened(statements: Iterable[Quad]) -> Iterable[Triple]:
    """Each statement once, without its graph."""
    return dict.fromkeys(statement.triple for statement in statements)
