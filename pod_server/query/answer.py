"""One question, evaluated: a store, a query and a result syntax in, the bytes of an answer out.

Called in a forked child of a view worker, under its limits; it may be killed at any line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pyoxigraph import (
    DefaultGraph,
    NamedNode,
    QueryBoolean,
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    Store,
    serialize,
)

from pod_server.errors import LimitReached, Malformed, PodError

TABLES: Final = {
    "application/sparql-results+json": QueryResultsFormat.JSON,
    "application/sparql-results+xml": QueryResultsFormat.XML,
    "text/csv": QueryResultsFormat.CSV,
    "text/tab-separated-values": QueryResultsFormat.TSV,
}
"""The media types of SELECT and ASK, the draft's default first."""
GRAPHS: Final = {
    "text/turtle": RdfFormat.TURTLE,
    "application/ld+json": RdfFormat.JSON_LD,
    "application/n-triples": RdfFormat.N_TRIPLES,
}
"""The media types of CONSTRUCT and DESCRIBE, the draft's default first."""

_NEXT_SOLUTION: Final = re.compile(rb'\}\},\{"[^},]')
_SENTENCE: Final = re.compile(r"error at (\d+):(\d+): ")


def formats_for(form: str) -> tuple[str, ...]:
    """The media types that a query form can be answered in, best first."""
    return tuple(TABLES if form in ("SELECT", "ASK") else GRAPHS)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question as it crosses to a worker: which view, which query, over what of it, and within which limits.

    union: the default graph is the whole view; otherwise default names its documents.  named: the documents that
    GRAPH ranges over, None means all.  seconds of wall time; memory in bytes above what the worker already has.
    """

    number: int
    key: str
    token: str
    text: str
    uses_graph: bool
    union: bool
    default: tuple[str, ...]
    named: tuple[str, ...] | None
    base: str | None
    media_type: str
    seconds: float
    memory: int


def evaluate(store: Store, ask: Ask, default: Iterable[str] | None, named: Iterable[str] | None) -> tuple[bytes, int]:
    """The serialised answer, and how many solutions or statements it has (an ASK has one).

    default: empty for an empty default graph, None for the store's own.  named: the graphs that GRAPH ranges over,
    None for all of the store, which holds nothing but readable documents; a list of 9,000 names made a join over them
    32 times slower than None.  Raises Malformed with the engine's own sentence, LimitReached(limit="engine").
    """
    media = ask.media_type
    try:
        results = store.query(
            ask.text,
            base_iri=ask.base,
            default_graph=DefaultGraph() if default is None else [NamedNode(iri) for iri in default],
            named_graphs=None if named is None else [NamedNode(iri) for iri in named],
        )
        if isinstance(results, QueryBoolean):
            return _written(results.serialize(format=TABLES[media])), 1
        if isinstance(results, QuerySolutions):
            body = _written(results.serialize(format=TABLES[media]))
            return body, solutions_in(body, media)
        statements = dict.fromkeys(results)
        return _written(serialize(statements, format=GRAPHS[media])), len(statements)
    except SyntaxError as error:
        raise _malformed(str(error.msg or error)) from None
    except (ValueError, RuntimeError) as error:
        raise Malformed(f"The query cannot be evaluated: {error}.") from None
    except OSError:
        raise Malformed("The query asks for something outside this pod, which is not answered here.") from None


def solutions_in(body: bytes, media: str) -> int:
    """The number of solutions in a serialised SELECT answer, counted by what separates them and no literal can hold.

    JSON: a quote inside a literal is always escaped, so ``}},{"`` and a letter stands between solutions alone; an
    empty solution needs a look at all of it.  TSV escapes line ends; CSV quotes what holds one; XML escapes "<".
    """
    if media == "text/tab-separated-values":
        return body.count(b"\n") - 1
    if media == "text/csv":
        return sum(outside.count(b"\r\n") for outside in body.split(b'"')[::2]) - 1
    if media == "application/sparql-results+xml":
        return body.count(b"<result>") + body.count(b"<result/>")
    if body.endswith(b'"bindings":[]}}'):
        return 0
    if b"{}" in body:
        outside = b"".join(body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
        return outside.count(b"},{") + 1
    return len(_NEXT_SOLUTION.findall(body)) + 1


def _malformed(sentence: str) -> PodError:
    match = _SENTENCE.match(sentence)
    if match is None:
        return Malformed(f"The query does not parse: {sentence}.")
    line, column = int(match[1]), int(match[2])
    rest = sentence[match.end() :]
    return Malformed(f"The query does not parse at line {line}, column {column}: {rest}.", line=line, column=column)


def _written(body: bytes | None) -> bytes:
    if body is None:
        raise LimitReached("The engine wrote nothing.", limit="engine")
    return body
