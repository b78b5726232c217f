"""A view: the documents that one caller may read, assembled into in-memory stores for the engine.

Called inside a view worker alone.  Restriction is by what is put in, never by what is filtered out: a store holds
readable documents and nothing else.  Statements are a set over all documents; blank nodes stay apart per document and
get the same labels on every build, so that equal worlds give equal bytes.

Measured (80,000 statements in 10,000 Turtle documents): ``lenient`` loading halves the build, and changes no statement
of what a strict parser took before; that is the only way a document gets here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyoxigraph import BlankNode, DefaultGraph, NamedNode, Quad, Store, Triple

from pod_server.errors import Corrupt, LimitReached, PodError
from pod_server.rdf import Syntax, parse

BYTES_A_STATEMENT: Final = 450
"""Measured: 420-600 bytes of memory for each statement of an in-memory store."""

_MAY_HOLD_BLANK_NODES: Final = re.compile(rb"[\[(~]|_:|<<|\{\|")
_TEXT: Final = re.compile(
    rb'"""(?:[^"\\]|\\.|"(?!""))*"""|\'\'\'(?:[^\'\\]|\\.|\'(?!\'\'))*\'\'\'|"(?:[^"\\\r\n]|\\.)*"|\'(?:[^\'\\\r\n]|\\.)*\''
    rb"|<[^<>\"{}|^`\\\s]*>|#[^\r\n]*",
    re.DOTALL,
)
_Target = NamedNode | DefaultGraph
_Term = NamedNode | BlankNode | Triple


@dataclass(frozen=True, slots=True)
class Document:
    """A readable document: its IRI, which is also its base and its graph's name, and its bytes."""

    iri: str
    syntax: Syntax
    body: bytes


@dataclass(slots=True)
class View:
    """The documents of one view at one token, and the stores that questions have needed so far."""

    token: str
    documents: Mapping[str, Document]
    most: int
    """Bytes that one store may take; estimated while it is built."""
    merged: Store | None = None
    named: Store | None = None
    statements: int = field(default=0)

    @property
    def size(self) -> int:
        """An estimate of the memory held, in bytes."""
        return sum(len(document.body) for document in self.documents.values()) + self.statements * BYTES_A_STATEMENT

    def all_merged(self) -> Store:
        """Every document in the default graph; built once.  Raises Corrupt, LimitReached."""
        if self.merged is None:
            self.merged = self._built(self.documents.values(), ())
        return self.merged

    def all_named(self) -> Store:
        """Every document in the default graph and again in a graph of its own name; built once."""
        if self.named is None:
            self.named = self._built(self.documents.values(), self.documents.values())
        return self.named

    def chosen(self, default: Iterable[str], named: Iterable[str]) -> Store:
        """A store of a few documents by name, for one question; a name that is not held counts for nothing."""
        return assemble(self._known(default), self._known(named), self.most)

    def _known(self, names: Iterable[str]) -> list[Document]:
        return [self.documents[name] for name in names if name in self.documents]

    def _built(self, default: Iterable[Document], named: Iterable[Document]) -> Store:
        store = assemble(default, named, self.most)
        self.statements += len(store)
        return store


def assemble(default: Iterable[Document], named: Iterable[Document], most: int) -> Store:
    """A store with some documents merged in its default graph and some in graphs of their own names.

    most: bytes that it may take; more raises LimitReached(limit="memory").  Raises Corrupt, with the document's IRI as
    field, when one does not parse.  A document without a statement is an empty named graph.
    """
    targets: dict[str, tuple[Document, list[_Target]]] = {}
    for document in default:
        targets.setdefault(document.iri, (document, []))[1].append(DefaultGraph())
    for document in named:
        targets.setdefault(document.iri, (document, []))[1].append(NamedNode(document.iri))
    store = Store()
    unchecked = 0
    for document, graphs in targets.values():
        _load(store, document, graphs)
        unchecked += len(document.body)
        if unchecked > most // 64:  # counting walks the whole store: 4 ms at 81,000 statements
            unchecked = 0
            _require_room(store, most)
    _require_room(store, most)
    return store


def _require_room(store: Store, most: int) -> None:
    if len(store) * BYTES_A_STATEMENT > most:
        raise LimitReached(f"What you may read does not fit in {most} bytes of memory.", limit="memory")


def _load(store: Store, document: Document, graphs: Sequence[_Target]) -> None:
    try:
        if _is_plain(document):
            for graph in graphs:
                store.load(document.body, document.syntax.engine, base_iri=document.iri, to_graph=graph, lenient=True)
        else:
            statements = _relabelled(document)
            for graph in graphs:
                store.extend(Quad(s, p, o, graph) for s, p, o in statements)
        for graph in graphs:
            if isinstance(graph, NamedNode):
                store.add_graph(graph)
    except (SyntaxError, ValueError, PodError) as error:
        raise Corrupt(f"The stored document {document.iri} does not parse: {error}.", document=document.iri) from None


def _is_plain(document: Document) -> bool:
    """True when the engine may load it as it is: one graph, and no blank node that would need a label."""
    if document.syntax not in (Syntax.TURTLE, Syntax.N_TRIPLES):
        return False
    if not _MAY_HOLD_BLANK_NODES.search(document.body):
        return True
    return not _MAY_HOLD_BLANK_NODES.search(_TEXT.sub(b"", document.body))


def _relabelled(document: Document) -> list[tuple[_Term, NamedNode, _Term]]:
    """Its statements without their graphs, blank nodes numbered as they appear, under a prefix of its IRI's hash."""
    prefix = hashlib.blake2b(document.iri.encode(), digest_size=8).hexdigest()
    labels: dict[BlankNode, BlankNode] = {}

    def term(found: object) -> _Term:
        if isinstance(found, BlankNode):
            return labels.setdefault(found, BlankNode(f"b{prefix}n{len(labels)}"))
        if isinstance(found, Triple):
            return Triple(term(found.subject), found.predicate, term(found.object))
        return found  # type: ignore[return-value]  # the engine gives no common type for terms

    quads = parse(document.body, document.syntax, document.iri)
    return [(term(quad.subject), quad.predicate, term(quad.object)) for quad in quads]
