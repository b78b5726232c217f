"""A container or a document of the own pod, to look at: its members, or its source.

Called by citizen.py.  It reads through pod.py like any other reader, as the
citizen at the console, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pyoxigraph import Literal, NamedNode, Quad

from pod_server.pod import Pods, Representation, Target
from pod_server.rdf import Syntax, parse
from pod_server.rdf.vocabulary import DCT, LDP, POSIX
from pod_server.store.host import PodRow
from pod_server.terms import Caller, Kind, Path, acl_of, auxiliary_of, parent_of
from pod_server.web.paths import split_target

SHOWN = 100_000
"""Bytes of a source that a page shows."""
MEMBERS = 1000
_TEXT = (
    "text/",
    "application/ld+json",
    "application/json",
    "application/n-",
    "application/trig",
    "application/rdf+xml",
)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a container.  size: bytes, None for a container.  modified: seconds since 1970."""

    path: str
    name: str
    size: int | None
    modified: float


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page shows of a resource.

    trail: (name, path) of the containers above.  members: None for what is no
    container.  source: None for what is no text.  cut: not all is shown.
    rules: the path of its access-control document, "" where it has none of
    its own.
    """

    path: str
    trail: tuple[tuple[str, str], ...]
    members: tuple[Member, ...] | None
    source: str | None
    media_type: str
    size: int
    cut: bool
    rules: str


def look(pods: Pods, caller: Caller, pod: PodRow, wanted: str) -> Shown:
    """Read a path of a pod.  Raises Malformed for what is no path, Missing, Forbidden."""
    _, path = split_target(f"/{pod.name}/{wanted.lstrip('/')}".encode())
    found = pods.read(caller, pods.locate(pod.name, path), None)
    trail = tuple((_name(each), each) for each in _above(path))
    rules = _rules(pods, caller, pod, path)
    if found.kind is Kind.CONTAINER:
        members = _members(pods, caller, pods.locate(pod.name, path))
        cut = len(members) > MEMBERS
        return Shown(path, trail, members[:MEMBERS], None, found.media_type, found.size, cut, rules)
    source = _source(found)
    return Shown(path, trail, None, source, found.media_type, found.size, found.size > SHOWN, rules)


def _members(pods: Pods, caller: Caller, container: Target) -> tuple[Member, ...]:
    listing = pods.read(caller, container, Syntax.N_TRIPLES.media_type)
    if not isinstance(listing.body, bytes):
        return ()
    root = pods.iri(Target(container.pod, Path("")))
    iri = pods.iri(container)
    return tuple(_read_members(parse(listing.body, Syntax.N_TRIPLES, iri), iri, root))


def _read_members(statements: list[Quad], iri: str, root: str) -> Iterable[Member]:
    said: dict[tuple[str, str], str] = {}
    contained = []
    for quad in statements:
        if not isinstance(quad.subject, NamedNode):
            continue
        if quad.predicate.value == LDP + "contains" and isinstance(quad.object, NamedNode):
            contained.append(quad.object.value)
        elif isinstance(quad.object, Literal):
            said[quad.subject.value, quad.predicate.value] = quad.object.value
    for member in sorted(contained):
        size = said.get((member, POSIX + "size"))
        when = said.get((member, DCT + "modified"), "1970-01-01T00:00:00Z")
        modified = datetime.fromisoformat(when).timestamp()
        yield Member(member.removeprefix(root), member.removeprefix(iri), None if size is None else int(size), modified)


def _source(found: Representation) -> str | None:
    if not found.media_type.startswith(_TEXT):
        return None
    if isinstance(found.body, bytes):
        return found.body[:SHOWN].decode(errors="replace")
    with found.body.open("rb") as file:
        return file.read(SHOWN).decode(errors="replace")


def _above(path: Path) -> list[Path]:
    above = []
    parent = parent_of(path)
    while parent is not None:
        above.append(parent)
        parent = parent_of(parent)
    return above[::-1]


def _name(path: str) -> str:
    return path.rstrip("/").rsplit("/", 1)[-1]


def _rules(pods: Pods, caller: Caller, pod: PodRow, path: Path) -> str:
    """Its own rules, or those of the nearest container that has some."""
    if auxiliary_of(path) is not None:
        return ""
    with pods.owner_view(caller, pod) as snapshot:
        return acl_of(snapshot.governing(path)[0])
