"""What a resource looks like from outside: a container's statements, and when it changed.  Pure.

Called by pod.py and query/; it reads nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
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
_HEAD = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in LISTING_PREFIXES.items()) + "\n"


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
        yield Quad(node, _TYPE, NamedNode(_type_iri(member.media_type)))
        yield Quad(node, _SIZE, Literal(str(member.size), datatype=_INTEGER))
    yield Quad(node, _MODIFIED, Literal(_stamp(int(member.modified)), datatype=_STAMP))
    yield Quad(node, _MTIME, Literal(str(int(member.modified)), datatype=_INTEGER))


def listing_turtle(iri: str, members: Sequence[Entry], root: str) -> bytes:
    """The same statements as ``container_statements``, written as Turtle directly: listings are asked for often.

    Paths are in normal form and media types are quoted, so nothing in them
    can end an IRI.
    """
    written = [_HEAD, f"<{iri}> a ldp:Container, ldp:BasicContainer, ldp:Resource"]
    if members:
        written.append(" ;\n    ldp:contains " + ",\n        ".join(f"<{root}{member.path}>" for member in members))
    written.append(" .\n")
    written += [_member_turtle(root, member) for member in members]
    return "".join(written).encode()


def _member_turtle(root: str, member: Entry) -> str:
    modified = int(member.modified)
    if member.kind is Kind.CONTAINER:
        kind, size = "ldp:Container, ldp:BasicContainer", ""
    else:
        kind, size = f"<{_type_iri(member.media_type)}>", f" posix:size {member.size} ;"
    return (
        f"<{root}{member.path}> a ldp:Resource, {kind} ;{size} posix:mtime {modified} ;"
        f' dcterms:modified "{_stamp(modified)}"^^xsd:dateTime .\n'
    )


@lru_cache(maxsize=512)
def _type_iri(media_type: str) -> str:
    return f"{IANA}{quote(media_type.split(';', maxsplit=1)[0].strip(), safe=_KEPT)}#Resource"


@lru_cache(maxsize=4096)
def _stamp(modified: int) -> str:
    return datetime.fromtimestamp(modified, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def last_modified(entry: Entry, members: Sequence[Entry] | None) -> float:
    """Seconds since 1970: of the resource, or of the newest member that the caller sees."""
    return max([entry.modified, *(member.modified for member in members or ())])
