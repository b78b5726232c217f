"""Reading a pod at one position: a Snapshot over one query_only connection.

Called on the event loop, where a point read takes about 10 us; nothing here
awaits, and no cursor stays open when the ``with`` ends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any

import apsw

from pod_server.errors import Corrupt
from pod_server.store.bodies import file_of
from pod_server.store.contract import ChangeRow, DeliveryRow, Entry, Reading
from pod_server.store.tree import governing
from pod_server.terms import START, Face, Kind, Path, PolicyFace, Position

_ENTRY = "path, kind, media_type, size, version, modified, policy, face, body, cause"
_ONE = (
    "SELECT r.path, r.kind, r.media_type, r.size, r.version, r.modified, r.policy, r.face, r.body, r.cause, p.version"
    " FROM resource r LEFT JOIN resource p ON p.path = r.policy || '.acl' WHERE r.path = ?"
)
_DELIVERY = "key, link, partner, data_set, period, version, source, outcome, at, position, report"


class SqliteSnapshot:
    """See contract.Snapshot."""

    def __init__(self, connection: apsw.Connection, folder: FilePath) -> None:
        self._connection = connection
        self._folder = folder
        self._words: dict[str, str] = {}

    @contextmanager
    def opened(self) -> Iterator[SqliteSnapshot]:
        """One read transaction: everything asked inside is of one position."""
        self._connection.execute("BEGIN")
        try:
            yield self
        finally:
            self._connection.execute("COMMIT")

    @property
    def position(self) -> Position:
        """See contract.Snapshot."""
        [(position,)] = self._connection.execute("SELECT ifnull(max(position), 0) FROM change")
        return Position(position)

    @property
    def incarnation(self) -> str:
        """See contract.Snapshot; it never changes while the file is open, so it is read once."""
        if "incarnation" not in self._words:
            self._words.update(self._connection.execute("SELECT key, value FROM pod"))
        return self._words["incarnation"]

    def entry(self, path: Path) -> Entry | None:
        """See contract.Snapshot."""
        row = self._connection.execute(_ONE, (path,)).fetchone()
        return _entry(row) if row else None

    def taken(self, path: Path) -> bool:
        """See contract.Snapshot."""
        bare = path.rstrip("/")
        row = self._connection.execute("SELECT 1 FROM resource WHERE path IN (?, ?)", (bare, bare + "/")).fetchone()
        return row is not None

    def governing(self, path: Path) -> PolicyFace:
        """See contract.Snapshot."""
        return governing(self._connection, path)

    def policies(self) -> Sequence[Entry]:
        """See contract.Snapshot."""
        return self._entries("kind = ? ORDER BY path", (Kind.POLICY,))

    def children(self, container: Path) -> Iterator[Entry]:
        """See contract.Snapshot."""
        yield from self._entries(
            "parent = ? AND kind NOT IN (?, ?) ORDER BY path", (container, Kind.POLICY, Kind.DESCRIPTION)
        )

    def body(self, entry: Entry) -> bytes:
        """See contract.Snapshot."""
        if entry.body is None:
            return b""
        row = self._connection.execute("SELECT bytes FROM body WHERE hash = ?", (entry.body,)).fetchone()
        if row is None:
            raise Corrupt(f"The bytes of {entry.path} are not stored.", path=entry.path)
        return row[0] if row[0] is not None else self._file_bytes(entry)

    def file(self, entry: Entry) -> FilePath | None:
        """See contract.Snapshot."""
        if entry.body is None:
            return None
        row = self._connection.execute("SELECT bytes IS NULL FROM body WHERE hash = ?", (entry.body,)).fetchone()
        return file_of(self._folder, entry.body) if row and row[0] else None

    def documents(self, faces: frozenset[PolicyFace]) -> Iterator[Entry]:
        """See contract.Snapshot."""
        found: list[Entry] = []
        for policy, face in faces:
            found += self._entries("policy = ? AND face = ? AND kind != ?", (policy, face, Kind.BINARY))
        yield from sorted(found, key=_by_path)

    def fingerprint(self, faces: frozenset[PolicyFace]) -> str:
        """See contract.Snapshot.

        ``seen`` is the position that last touched a row's content or its
        governing policy: whatever enters raises the maximum, whatever leaves
        lowers the count.
        """
        newest, count = 0, 0
        for policy, face in faces:
            [(seen, rows)] = self._connection.execute(
                "SELECT ifnull(max(seen), 0), count(*) FROM resource WHERE policy = ? AND face = ?", (policy, face)
            )
            newest, count = max(newest, seen), count + rows
        return f"{newest}.{count}"

    def delivery(self, key: str) -> DeliveryRow | None:
        """See contract.Snapshot."""
        row = self._connection.execute(f"SELECT {_DELIVERY} FROM delivery WHERE key = ?", (key,)).fetchone()  # noqa: S608
        return DeliveryRow(*row) if row else None

    def delivered(self, link: str, data_set: str, period: str) -> DeliveryRow | None:
        """See contract.Snapshot."""
        row = self._connection.execute(
            f"SELECT {_DELIVERY} FROM delivery WHERE link = ? AND data_set = ? AND period = ?"  # noqa: S608
            " AND outcome IN ('landed', 'rectified') ORDER BY id DESC LIMIT 1",
            (link, data_set, period),
        ).fetchone()
        return DeliveryRow(*row) if row else None

    def deliveries(self, after: int = 0, limit: int = 100) -> Sequence[DeliveryRow]:
        """See contract.Snapshot."""
        rows = self._connection.execute(
            f"SELECT {_DELIVERY} FROM delivery WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - a constant list of names
            (after, limit),
        )
        return [DeliveryRow(*row) for row in rows]

    def changes(self, after: Position = START, limit: int = 100) -> Sequence[ChangeRow]:
        """See contract.Snapshot."""
        rows = self._connection.execute(
            "SELECT position, at, agent, client, act, path, body, size, cause FROM change"
            " WHERE position > ? ORDER BY position LIMIT ?",
            (after, limit),
        )
        return [ChangeRow(*row) for row in rows]

    def readings(self, after: int = 0, limit: int = 100) -> Sequence[Reading]:
        """See contract.Snapshot."""
        rows = self._connection.execute(
            "SELECT at, agent, client, act, target, rows, count FROM reading"
            " WHERE sequence > ? ORDER BY sequence LIMIT ?",
            (after, limit),
        )
        return [Reading(*row) for row in rows]

    def _entries(self, where: str, values: tuple[str, ...]) -> list[Entry]:
        return [_entry(row) for row in self._connection.execute(f"SELECT {_ENTRY} FROM resource WHERE {where}", values)]  # noqa: S608

    def _file_bytes(self, entry: Entry) -> bytes:
        assert entry.body is not None  # noqa: S101 - only called for entries with a body
        try:
            data = file_of(self._folder, entry.body).read_bytes()
        except FileNotFoundError:
            raise Corrupt(f"The file with the bytes of {entry.path} is gone.", path=entry.path) from None
        if hashlib.sha256(data).hexdigest() != entry.body:
            raise Corrupt(f"The file with the bytes of {entry.path} was altered.", path=entry.path)
        return data


def _by_path(entry: Entry) -> str:
    return entry.path


_KINDS = {str(kind): kind for kind in Kind}
_FACES = {str(face): face for face in Face}


def _entry(row: tuple[Any, ...]) -> Entry:
    path, kind, media_type, size, version, modified, policy, face, body, cause, *rules = row
    return Entry(path, _KINDS[kind], media_type, size, version, modified, policy, _FACES[face], body, cause, *rules)
