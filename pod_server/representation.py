"""What a resource looks like from outside: a container's statements, and when it changed.  Pure.

Called by pod.py and query/; it reads nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from pyoxigraph import Literal, NamedNode, Quad

from pod_server.rdf.vocabulary import DCT, IANA, LDP, POSIX, RDF, XSD
from pod_server.store.contract import Entry
from pod_server.terms import Kind

_TYPE = NamedNode(RDF + "type")
_CONTAINS = NamedNode(LDP + "contains")
_MODIFIED = NamedNode(DCT + "modified")
_MTIME = NamedNode(POSIX + "mtime")
_SIZE = NamedNode(POSIX + "size")
_CONTAINER_TYPES = (NamedNode(LDP + "Container"), NamedNode(LDP + "BasicContainer"), NamedNode(LDP + "Resource"))
_RESOURCE = NamedNode(LDP + "Resource")
_STAMP = NamedNode(XSD + "dateTime")
_INTEGER = NamedNode(XSD + "integer")

_KEPT = "/!$&+.-_"
"""Of what media types are made (RFC 6838), what an IRI may hold as it is."""
LISTING_PREFIXES = {"ldp": LDP, "dcterms": DCT, "posix": POSIX, "xsd": XSD}


def container_statements(iri: str, members: Iterable[Entry], root: str) -> Iterator[Quad]:
    """A container's representation (Solid Protocol, section 5.2): its members with their metadata.

    iri: of the container.  root: the IRI of the pod without its final slash.
    Only members that the caller may read are given in.
    """
    container = NamedNode(iri)
    for kind in _CONTAINER_TYPES:
        yield Quad(container, _TYPE, kind)
    for member in members:
        yield from _member_statements(container, NamedNode(root + member.path), member)


def _member_statements(container: NamedNode, node: NamedNode, member: Entry) -> Iterator[Quad]:
    yield Quad(container, _CONTAINS, node)
    yield Quad(node, _TYPE, _RESOURCE)
    if member.kind is Kind.CONTAINER:
        yield Quad(node, _TYPE, _CONTAINER_TYPES[0])
        yield Quad(node, _TYPE, _CONTAINER_TYPES[1])
    else:
        yield Quad(
            node, _TYPE, NamedNode(f"{IANA}{quote(member.media_type.split(';')[0].strip(), safe=_KEPT)}#Resource")
        )
        yield Quad(node, _SIZE, Literal(str(member.size), datatype=_INTEGER))
    when = datetime.fromtimestamp(int(member.modified), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield Quad(node, _MODIFIED, Literal(when, datatype=_STAMP))
    yield Quad(node, _MTIME, Literal(str(int(member.modified)), datatype=_INTEGER))


def last_modified(entry: Entry, members: Sequence[Entry] | None) -> float:
    """Seconds since 1970: of the resource, or of the newest member that the caller sees."""
    return max([entry.modified, *(member.modified for member in members or ())])
