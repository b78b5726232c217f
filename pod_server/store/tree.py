"""One append inside its transaction: its expectations, its edits of the tree, the log.

Called by the writer alone, on its thread, between SAVEPOINT and RELEASE.  It
decides nothing about callers: it looks again at what their decision rested on
(DESIGN law 2), and raises what the tree itself forbids.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import apsw

from pod_server.errors import ConditionFailed, Conflict, Missing
from pod_server.store import chain
from pod_server.store.contract import Append, Body, Delete, Exists, Expectation, Governed, Moved, Put, Version
from pod_server.terms import (
    ROOT,
    START,
    Face,
    Kind,
    Path,
    PodId,
    PolicyFace,
    Position,
    acl_of,
    ancestors_of,
    auxiliary_of,
    is_container,
    meta_of,
    parent_of,
)

CONTAINER_TYPE = "text/turtle"
OtherVersion = Callable[[PodId, str], int | None]
"""A resource's version in another pod of this host."""


def governing(connection: apsw.Connection, path: Path) -> PolicyFace:
    """What decides for a path, existing or not: the nearest access-control document upward (WAC, section 5.1).

    An auxiliary resource is decided by what decides for its subject.
    """
    auxiliary = auxiliary_of(path)
    subject = auxiliary[0] if auxiliary else path
    candidates = [subject, *ancestors_of(subject)]
    marks = ",".join("?" * len(candidates))
    row = connection.execute(
        f"SELECT path FROM resource WHERE path IN ({marks}) ORDER BY length(path) DESC LIMIT 1",  # noqa: S608 - marks only
        [acl_of(candidate) for candidate in candidates],
    ).fetchone()
    nearest = Path(row[0][: -len(".acl")]) if row else ROOT
    return nearest, Face.OWN if nearest == subject else Face.MEMBERS


def below(container: Path) -> tuple[str, str]:
    """The range of paths inside a container: first included, last excluded (paths sort by their UTF-8 bytes)."""
    return container, container[:-1] + "0"


@dataclass(slots=True)
class Tree:
    """The tree of one pod during one append."""

    connection: apsw.Connection
    append: Append
    has_file: Callable[[str], bool]
    position: Position = START
    created: set[Path] = field(default_factory=set)
    _chain: bytes = chain.START

    def __post_init__(self) -> None:
        row = self.connection.execute("SELECT position, chain FROM change ORDER BY position DESC LIMIT 1").fetchone()
        if row:
            self.position, self._chain = Position(row[0]), row[1]

    def apply(self) -> None:
        """Carry out all edits in order.  Raises Conflict or Missing; the caller rolls back."""
        for edit in self.append.edits:
            if isinstance(edit, Put):
                self._put(edit)
            else:
                self._delete(edit)

    def _put(self, put: Put) -> None:
        row = self.connection.execute("SELECT body, kind FROM resource WHERE path = ?", (put.path,)).fetchone()
        if row and put.kind is Kind.CONTAINER:
            return
        if row is None:
            self._refuse_twin(put.path)
            self._make_parents(put.path)
        position = self._log("replace" if row else "create", put.path, put.body)
        if put.body:
            self._use(put.body)
        if row and row[0]:
            self._release(row[0])
        if row:
            self._replace(put, position)
        else:
            self._insert(put, position)
        if put.kind is Kind.POLICY and row is None:
            self._regovern_from(put.path, position)

    def _replace(self, put: Put, position: Position) -> None:
        body = put.body
        self.connection.execute(
            "UPDATE resource SET kind=?, media_type=?, size=?, version=?, seen=?, modified=?, body=?, cause=?"
            " WHERE path=?",
            (
                put.kind,
                put.media_type,
                body.size if body else 0,
                position,
                position,
                self.append.at,
                body.hash if body else None,
                self.append.cause,
                put.path,
            ),
        )

    def _insert(self, put: Put, position: Position) -> None:
        policy, face = governing(self.connection, put.path)
        if put.kind is Kind.POLICY:
            policy, face = Path(put.path[: -len(".acl")]), Face.CONTROL
        body = put.body
        self.connection.execute(
            "INSERT INTO resource"
            " (path, parent, kind, media_type, size, version, seen, modified, policy, face, body, cause)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                put.path,
                parent_of(put.path) or "",
                put.kind,
                put.media_type,
                body.size if body else 0,
                position,
                position,
                self.append.at,
                policy,
                face,
                body.hash if body else None,
                self.append.cause,
            ),
        )
        self.created.add(put.path)

    def _make_parents(self, path: Path) -> None:
        """Containers on the way (Solid Protocol, section 5.3: server-put-patch-intermediate-containers)."""
        missing = []
        for above in ancestors_of(path):
            if self._exists(above):
                break
            missing.append(above)
        for container in reversed(missing):
            self._refuse_twin(container)
            position = self._log("create", container, None)
            self._insert(Put(container, Kind.CONTAINER, CONTAINER_TYPE), position)

    def _refuse_twin(self, path: Path) -> None:
        """Never two resources that differ only by a final slash (Solid Protocol, section 3.1)."""
        twin = Path(path[:-1]) if is_container(path) else Path(path + "/")
        if path != ROOT and self._exists(twin):
            raise Conflict("Two names may not differ only by a final slash.", path=path)

    def _exists(self, path: Path) -> bool:
        return self.connection.execute("SELECT 1 FROM resource WHERE path = ?", (path,)).fetchone() is not None

    def _delete(self, delete: Delete) -> None:
        path = delete.path
        row = self.connection.execute("SELECT kind FROM resource WHERE path = ?", (path,)).fetchone()
        if row is None:
            raise Missing(f"{path} does not exist.", path=path)
        if row[0] == Kind.CONTAINER and self._has_members(path):
            raise Conflict(f"{path} is not empty.", path=path)
        if auxiliary_of(path) is None:
            for auxiliary in (acl_of(path), meta_of(path)):
                if self._exists(auxiliary):
                    self._remove(auxiliary)
        self._remove(path)

    def _has_members(self, container: Path) -> bool:
        return bool(
            self.connection.execute(
                "SELECT 1 FROM resource WHERE parent = ? AND kind NOT IN (?, ?) LIMIT 1",
                (container, Kind.POLICY, Kind.DESCRIPTION),
            ).fetchone()
        )

    def _remove(self, path: Path) -> None:
        [(kind, body)] = self.connection.execute("SELECT kind, body FROM resource WHERE path = ?", (path,))
        position = self._log("delete", path, None)
        self.connection.execute("DELETE FROM resource WHERE path = ?", (path,))
        if body:
            self._release(body)
        if kind == Kind.POLICY:
            self._regovern_to_parent(path, position)

    def _regovern_from(self, document: Path, position: Position) -> None:
        """A new policy takes over from the one above, for its subject and for what that one decided below it."""
        subject = Path(document[: -len(".acl")])
        self.connection.execute(
            "UPDATE resource SET policy=?, face=?, seen=? WHERE path IN (?, ?)",
            (subject, Face.OWN, position, subject, meta_of(subject)),
        )
        if is_container(subject):
            first, last = below(subject)
            self.connection.execute(
                "UPDATE resource SET policy=?, face=?, seen=? WHERE path > ? AND path < ? AND length(policy) < ?",
                (subject, Face.MEMBERS, position, first, last, len(subject)),
            )

    def _regovern_to_parent(self, document: Path, position: Position) -> None:
        subject = Path(document[: -len(".acl")])
        policy, face = governing(self.connection, subject)
        self.connection.execute(
            "UPDATE resource SET policy=?, face=?, seen=? WHERE policy=?", (policy, face, position, subject)
        )

    def _use(self, body: Body) -> None:
        if body.inline is None and not self.has_file(body.hash):
            raise Conflict("The uploaded bytes are gone; send them again.")
        self.connection.execute(
            "INSERT INTO body (hash, size, uses, bytes) VALUES (?,?,1,?)"
            " ON CONFLICT (hash) DO UPDATE SET uses = uses + 1, released = NULL",
            (body.hash, body.size, body.inline),
        )

    def _release(self, hash_: str) -> None:
        self.connection.execute(
            "UPDATE body SET released = CASE WHEN uses = 1 THEN ? ELSE released END, uses = uses - 1 WHERE hash = ?",
            (self.append.at, hash_),
        )

    def _log(self, act: str, path: Path, body: Body | None) -> Position:
        self.position = Position(self.position + 1)
        by = self.append.by
        content = (
            self.position,
            self.append.at,
            by.agent or by.partner,
            by.client,
            act,
            path,
            body.hash if body else None,
            body.size if body else 0,
            self.append.cause,
        )
        salt = secrets.token_bytes(16)
        row_digest = chain.digest(salt, content)
        self._chain = chain.link(self._chain, row_digest)
        self.connection.execute(
            "INSERT INTO change (position, at, agent, client, act, path, body, size, cause, salt, digest, chain)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (*content, salt, row_digest, self._chain),
        )
        return self.position


def check(connection: apsw.Connection, append: Append, now: float, other_version: OtherVersion) -> None:
    """Raises Moved or ConditionFailed when one expectation of the append does not hold.

    now: seconds since 1970; a decision that expired on the way is Moved.
    """
    if now >= append.until:
        raise Moved("The decision expired while the write waited.")
    for row in append.deliveries:
        if connection.execute("SELECT 1 FROM delivery WHERE key = ?", (row.key,)).fetchone():
            raise Moved("This item has been delivered meanwhile.")
    for expectation in append.expectations:
        _check_one(connection, expectation, other_version)


def _check_one(connection: apsw.Connection, expectation: Expectation, other_version: OtherVersion) -> None:
    if isinstance(expectation, Governed):
        found = governing(connection, expectation.path)[0]
        if found != expectation.policy or _version(connection, acl_of(found)) != expectation.position:
            raise Moved("The access rules changed while the write waited.")
    elif isinstance(expectation, Exists):
        if (_version(connection, expectation.path) is not None) != expectation.exists:
            raise Moved("The resource came or went while the write waited.")
    else:
        _check_version(connection, expectation, other_version)


def _check_version(connection: apsw.Connection, expected: Version, other_version: OtherVersion) -> None:
    if expected.pod is not None:
        found = other_version(expected.pod, expected.path)
    else:
        found = _version(connection, expected.path)
    if found == expected.version:
        return
    if expected.strict:
        raise ConditionFailed("The resource is no longer what the request's condition says.", path=expected.path)
    raise Moved("What the decision rested on changed while the write waited.")


def _version(connection: apsw.Connection, path: str) -> int | None:
    row = connection.execute("SELECT version FROM resource WHERE path = ?", (path,)).fetchone()
    return row[0] if row else None
