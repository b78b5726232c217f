"""The nouns of the house: frozen values without I/O that cross from room to room.

Every other module imports this one and it imports none of them.  One word per
thing: pod, agent (a WebID), client (an app's id), issuer, partner, link,
delivery, verdict, policy (an access-control document, compiled), face,
position.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NewType

PodId = NewType("PodId", str)
"""The opaque name of a pod's folder; never shown to others."""

Path = NewType("Path", str)
"""Where a resource is inside its pod: begins with "/", a container ends with "/", the root is "/"."""

Position = NewType("Position", int)
"""The number of a change in one pod's log, from 1, without gaps.  Order is position, never time."""

FOREVER: Final = float("inf")
"""An instant (seconds since 1970) that never comes."""

START: Final = Position(0)
"""Before the first change."""
ROOT: Final = Path("/")
LANDED: Final = Path("/landed/")
LANDED_RULES: Final = Path("/landed/.acl")


class Mode(enum.Flag):
    """Access modes (WAC, section 4.2)."""

    NONE = 0
    READ = enum.auto()
    APPEND = enum.auto()
    WRITE = enum.auto()
    CONTROL = enum.auto()


class Face(enum.StrEnum):
    """By which side a policy decides for a resource.

    OWN: by acl:accessTo, the policy is the resource's own.  MEMBERS: by
    acl:default, the policy belongs to an ancestor.  CONTROL: the resource is
    the access-control document itself, whose every use asks for Control
    (WAC, section 5.2).
    """

    OWN = "own"
    MEMBERS = "members"
    CONTROL = "control"


class Kind(enum.StrEnum):
    """What a resource is."""

    CONTAINER = "container"
    RDF = "rdf"
    BINARY = "binary"
    POLICY = "policy"
    DESCRIPTION = "description"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, as proven by identity/; all None means the anonymous public.

    agent: WebID.  client: the app's id (a URL, or an opaque id when it was
    registered dynamically).  issuer: who vouches for both.  partner: the id
    of a data holder that signed in as itself; it writes by links alone.
    """

    agent: str | None = None
    client: str | None = None
    issuer: str | None = None
    partner: str | None = None


PUBLIC: Final = Caller()


@dataclass(frozen=True, slots=True)
class Link:
    """A dated, pairwise tie between a partner's customer and a pod.

    id: the pairwise pseudonym that the partner uses.  starts and ends are
    instants in seconds since 1970; ends None means open.
    """

    id: str
    partner: str
    pod: PodId
    starts: float
    ends: float | None = None

    def holds_at(self, instant: float) -> bool:
        """True when the link covers that instant (its start included, its end not)."""
        return self.starts <= instant and (self.ends is None or instant < self.ends)


@dataclass(frozen=True, slots=True)
class Rule:
    """One acl:Authorization, compiled (WAC, section 5.3).

    own, members: it speaks for the resource itself (accessTo) or for what is
    below it (default).  clients, issuers: one set per condition; the caller's
    client or issuer must be in every one of them.  until: the earliest expiry
    among its conditions, FOREVER when it has none.
    """

    modes: Mode
    own: bool = False
    members: bool = False
    agents: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    public: bool = False
    authenticated: bool = False
    clients: tuple[frozenset[str], ...] = ()
    issuers: tuple[frozenset[str], ...] = ()
    until: float = FOREVER


@dataclass(frozen=True, slots=True)
class Policy:
    """An access-control document, compiled: the resource it is about, and its rules.

    subject: the path of that resource.  position: of the change that wrote
    the document; with the pod and the subject it is the key of every cache.
    """

    subject: Path
    position: Position
    rules: tuple[Rule, ...] = ()
    groups: frozenset[str] = field(init=False)
    """The group IRIs that the rules name; their members are passed in as facts."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", frozenset().union(*(rule.groups for rule in self.rules)))


@dataclass(frozen=True, slots=True)
class Facts:
    """What the world adds to a decision; always passed in, never looked up.

    now: seconds since 1970.  groups: group IRI -> WebIDs of its members; an
    absent group has none.  link: the tie by which a partner writes, None for
    everyone else.
    """

    now: float
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision: the modes granted, and until when (seconds since 1970) the answer may be reused."""

    allowed: bool
    modes: Mode
    until: float


PolicyFace = tuple[Path, Face]
"""A policy (by its subject's path) and a face: all resources that share both are decided alike."""


@dataclass(frozen=True, slots=True)
class Readable:
    """The set form of a decision: every (policy, face) that the caller may read, and until when."""

    faces: frozenset[PolicyFace]
    until: float


def parent_of(path: Path) -> Path | None:
    """The container that holds a path; None for the root."""
    if path == ROOT:
        return None
    return Path(path[: path.rstrip("/").rfind("/") + 1])


def is_container(path: Path) -> bool:
    """True when the path names a container (it ends with a slash; Solid Protocol, section 3.1)."""
    return path.endswith("/")


def in_landed(path: Path) -> bool:
    """True for ``landed/`` and all below it, where partners' data lives and nobody else writes."""
    return path.startswith(LANDED)


def partner_of(path: Path) -> str | None:
    """The partner whose container a path lies in, None when it is not below ``landed/``."""
    if not in_landed(path) or path == LANDED:
        return None
    return path[len(LANDED) :].split("/", 1)[0]


ACL_SUFFIX: Final = ".acl"
META_SUFFIX: Final = ".meta"


def acl_of(subject: Path) -> Path:
    """The access-control document of a resource (``X.acl``, ``C/.acl``)."""
    return Path(subject + ACL_SUFFIX)


def meta_of(subject: Path) -> Path:
    """The description resource of a resource (``X.meta``, ``C/.meta``)."""
    return Path(subject + META_SUFFIX)


@lru_cache(maxsize=2048)
def auxiliary_of(path: Path) -> tuple[Path, Kind] | None:
    """The subject of an auxiliary resource and its kind; None when the path is no auxiliary (Solid Protocol, 4.3)."""
    if path.endswith(ACL_SUFFIX):
        return Path(path.removesuffix(ACL_SUFFIX)), Kind.POLICY
    if path.endswith(META_SUFFIX):
        return Path(path.removesuffix(META_SUFFIX)), Kind.DESCRIPTION
    return None


def ancestors_of(path: Path) -> list[Path]:
    """The containers above a path, nearest first, down to the root."""
    found = []
    above = parent_of(path)
    while above is not None:
        found.append(above)
        above = parent_of(above)
    return found


@dataclass(frozen=True, slots=True)
class Place:
    """Where a decision is asked for: a path, and the face by which its governing policy speaks of it."""

    path: Path
    face: Face
