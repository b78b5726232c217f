"""What a store of pods promises, and the nouns that go in and come out of it.

Called by pod.py (reads and writes), landing/, audit.py and the CLI.  Two
kinds of hands touch a pod: a Snapshot only reads and sees one position; an
Append is the only way to change anything.  A second store must pass
tests/contracts/ unchanged.

A store knows paths, versions and policies' subjects; it knows no RDF, no
HTTP, and takes no decision about who may do what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Protocol

from pod_server.errors import PodError
from pod_server.terms import FOREVER, START, Caller, Face, Kind, Path, PodId, PolicyFace, Position


class Moved(PodError):
    """What a decision rested on is no longer so: decide again (DESIGN law 2).  Never leaves pod.py."""

    kind = "moved"


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a representation, by the SHA-256 (hex) of their content.

    inline: the bytes themselves when small, None when they wait in a file
    that a BodySink has already made durable.  size in bytes.
    """

    hash: str
    size: int
    inline: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource as it stands at a position.

    version: position of the change that wrote it; with the pod's incarnation
    it is the key of every ETag.  policy, face: what decides for it; rules:
    the version of that policy's document, None where it was not looked up.
    modified: seconds since 1970.  body: hash, None for a container.  cause:
    of the append that wrote it, such as a delivery's link.
    """

    path: Path
    kind: Kind
    media_type: str
    size: int
    version: Position
    modified: float
    policy: Path
    face: Face
    body: str | None
    cause: str
    rules: Position | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """Create or replace a resource; containers on the way are made."""

    path: Path
    kind: Kind
    media_type: str
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a resource and its auxiliary resources; a container must be empty."""

    path: Path


Edit = Put | Delete


@dataclass(frozen=True, slots=True)
class Governed:
    """Expect: this path is decided by the policy of that subject, as written at that position."""

    path: Path
    policy: Path
    position: Position


@dataclass(frozen=True, slots=True)
class Version:
    """Expect: the resource is at this version; None: it does not exist.

    strict: a difference is the caller's own condition and fails with
    ConditionFailed; otherwise it asks for a new decision.  pod: another pod
    of this host, None for the one written to.
    """

    path: Path
    version: Position | None
    strict: bool = False
    pod: PodId | None = None


@dataclass(frozen=True, slots=True)
class Exists:
    """Expect: the resource exists, or does not, whatever its version."""

    path: Path
    exists: bool


Expectation = Governed | Version | Exists


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """The verdict on one delivered item, committed with the data it speaks of.

    key: the idempotency key (link, data set, period, version).  source: the
    SHA-256 of the payload.  report: JSON text for people, faults and repairs.
    """

    key: str
    link: str
    partner: str
    data_set: str
    period: str
    version: str
    source: str
    outcome: str
    at: float
    position: Position = START
    report: str = "{}"


@dataclass(frozen=True, slots=True)
class Append:
    """One atomic change of a pod: all of it becomes durable, or none.

    at: seconds since 1970, written in the log.  until: the decision behind it
    holds until then; the writer compares with its clock.  expectations: what
    that decision rested on.  cause: a delivery or a grant, for the log.
    """

    by: Caller
    at: float
    edits: tuple[Edit, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    deliveries: tuple[DeliveryRow, ...] = ()
    until: float = FOREVER
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """What a durable append did: the last position it wrote (unchanged when it wrote no row), and what it made.

    created: paths that did not exist before, intermediate containers included.
    """

    position: Position
    created: frozenset[Path]


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One row of a pod's log."""

    position: Position
    at: float
    agent: str | None
    client: str | None
    act: str
    path: Path
    body: str | None
    size: int
    cause: str


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody else read something: a row for the second log.  rows: how many results a query gave."""

    at: float
    agent: str | None
    client: str | None
    act: str
    target: str
    rows: int | None = None
    count: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that verify found wrong: where, and a sentence."""

    where: str
    sentence: str


class Snapshot(Protocol):
    """A pod at one position; every answer inside one ``with`` is of that position.

    Never kept across an await.
    """

    @property
    def position(self) -> Position:
        """The last position of the log."""
        ...

    @property
    def incarnation(self) -> str:
        """A random word given to the pod when it was made or restored; part of every ETag."""
        ...

    def entry(self, path: Path) -> Entry | None:
        """The resource at a path, None when there is none."""
        ...

    def taken(self, path: Path) -> bool:
        """Whether a path, or its twin with or without a final slash, names something."""
        ...

    def governing(self, path: Path) -> PolicyFace:
        """What decides for a path, existing or not: the nearest policy and the face it shows (WAC, section 5.1)."""
        ...

    def policies(self) -> Sequence[Entry]:
        """Every access-control document of the pod."""
        ...

    def children(self, container: Path) -> Iterator[Entry]:
        """The members of a container, auxiliary resources left out, by path."""
        ...

    def body(self, entry: Entry) -> bytes:
        """All bytes of a representation.  Raises Corrupt when they are not there or not whole."""
        ...

    def file(self, entry: Entry) -> FilePath | None:
        """The file that holds a large body, None when the body is inline."""
        ...

    def documents(self, faces: frozenset[PolicyFace]) -> Iterator[Entry]:
        """All RDF documents decided by one of these policies and faces, by path."""
        ...

    def fingerprint(self, faces: frozenset[PolicyFace]) -> str:
        """A word that changes whenever the set or the content of what these faces cover changes."""
        ...

    def delivery(self, key: str) -> DeliveryRow | None:
        """The verdict given earlier for an idempotency key."""
        ...

    def delivered(self, link: str, data_set: str, period: str) -> DeliveryRow | None:
        """The newest item that landed for a link, data set and period, in whatever version."""
        ...

    def deliveries(self, after: int = 0, limit: int = 100) -> Sequence[DeliveryRow]:
        """Verdicts in the order they were given."""
        ...

    def changes(self, after: Position = START, limit: int = 100) -> Sequence[ChangeRow]:
        """The log, in order."""
        ...

    def readings(self, after: int = 0, limit: int = 100) -> Sequence[Reading]:
        """The read log, in order."""
        ...


class BodySink(Protocol):
    """Takes a large body in pieces; what it returns is durable before any append can name it."""

    def write(self, piece: bytes) -> None:
        """Add a piece.  Raises StorageFull."""
        ...

    async def finish(self) -> Body:
        """Make the bytes durable (file and folder synced) and name them; a file that no append names is swept.

        Raises StorageFull.  A failed sync ends the process.
        """
        ...

    def abandon(self) -> None:
        """Forget everything written."""
        ...


class Store(Protocol):
    """Pods, each one durable log with the state it implies.  At most eight methods."""

    def create(self, pod: PodId, genesis: Append) -> None:
        """Make a pod, durable and whole before it can be seen.  Raises Conflict when it exists, StorageFull."""
        ...

    def snapshot(self, pod: PodId) -> AbstractContextManager[Snapshot]:
        """Read a pod at one position.

        Raises Missing when there is no such pod, Corrupt when its file is
        damaged or another's, Busy when no more files can be opened.
        """
        ...

    async def append(self, pod: PodId, append: Append) -> Commit:
        """Change a pod; returns after the change is synced to disk.

        Raises ConditionFailed or Moved when an expectation does not hold,
        Conflict for what the tree forbids, StorageFull, Busy when the pod's
        queue is full; in each case this append changed nothing and the others
        of its group are untouched.
        """
        ...

    def sink(self, pod: PodId) -> BodySink:
        """A place for a body that is too large to wait in memory."""
        ...

    def note(self, pod: PodId, reading: Reading) -> None:
        """Log a read by somebody else: durable with the pod's next commit, which is at most 200 ms later.

        Where very many pods are read at once, each waits for the commits of
        those before it.  Reads that a full disk refuses are tried again; what
        does not fit into memory meanwhile becomes one row "lost" with a count.
        """
        ...

    def backup(self, pod: PodId, target: FilePath) -> Position:
        """Copy a pod as of one position into an empty or older folder, while it is in use."""
        ...

    def verify(self, pod: PodId) -> Sequence[Finding]:
        """Check file, hashes, chains and counts; empty when all is well."""
        ...

    async def close(self) -> None:
        """Drain the writers, flush the reads, checkpoint, let go."""
        ...


Clock = Callable[[], float]
"""Seconds since 1970."""
