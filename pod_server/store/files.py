"""How the store opens SQLite files: the pragmas that durability rests on, in one place.

Called by the store's readers, its writer and host.db; nobody else opens a
database.  SQLite comes with the apsw wheel, so that its version is ours.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from pod_server.errors import Busy, Corrupt, StorageFull
from pod_server.store.descriptors import OUT_OF_DESCRIPTORS, are_exhausted

OLDEST_SQLITE = (3, 51, 3)
"""Older ones have the WAL-reset corruption bug, which this access pattern meets."""

SYNC_FAILED = "A sync to disk failed; what the disk holds is unknown, so the process ends."
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def check_engine() -> None:
    """Raises Corrupt when the SQLite inside apsw is too old to trust."""
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < OLDEST_SQLITE:
        raise Corrupt(f"SQLite {apsw.sqlite_lib_version()} is too old; 3.51.3 or newer is needed.")


def open_writer(
    path: Path, *, vfs: str | None = None, pages: int | None = None, is_new: bool = True
) -> apsw.Connection:
    """The one writing connection of a file: WAL, every commit synced.

    pages: the most pages of 4 kB that the file may have; None means as many
    as the disk holds.  is_new: the file may be made; otherwise it must hold
    a database already, and Corrupt is raised, nothing touched, when not.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if is_new else 0)
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
    try:
        connection.set_busy_timeout(5000)
        if not is_new and connection.pragma("user_version") == 0:
            raise Corrupt("The file is empty, or was not made by this program.")
        connection.execute(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;"
            "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024; PRAGMA secure_delete = ON"
        ).fetchall()  # to the end: a pragma that gives a row stops there until it is fetched
        if pages is not None:
            connection.execute(f"PRAGMA max_page_count = {int(pages)}")
    except (apsw.Error, Corrupt):
        connection.close()
        raise
    return connection


def open_reader(path: Path, *, vfs: str | None = None) -> apsw.Connection:
    """A connection that only reads and never checkpoints.

    On a full disk the WAL's shared index cannot be made where nobody has the
    file open.  The connection then keeps an index of its own and shuts out
    others as long as it is open: see ``is_alone``.
    """
    try:
        return _reader(path, vfs, "NORMAL")
    except (apsw.IOError, apsw.CantOpenError):
        return _reader(path, vfs, "EXCLUSIVE")


def _reader(path: Path, vfs: str | None, locking: str) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
    connection.set_busy_timeout(5000)
    try:
        connection.execute(
            f"PRAGMA locking_mode = {locking}; PRAGMA wal_autocheckpoint = 0; PRAGMA query_only = ON;"
            "PRAGMA cache_size = -256; PRAGMA user_version"
        ).fetchall()
    except apsw.Error:
        connection.close()
        raise
    return connection


def is_alone(connection: apsw.Connection) -> bool:
    """Whether a reader shuts out others, and so must be closed as soon as it has read."""
    return bool(connection.pragma("locking_mode") == "exclusive")


def refusal(error: Exception) -> Exception:
    """What a caller is told when SQLite or the disk refused a write; an error that is not theirs comes back as it is.

    No room is StorageFull, no descriptor left is Busy, a file that is no
    database any more is Corrupt.
    """
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Corrupt(f"The pod's file is damaged ({error}).")
    said = error.errno if isinstance(error, OSError) else None
    if said in OUT_OF_DESCRIPTORS or (isinstance(error, apsw.CantOpenError | apsw.IOError) and are_exhausted()):
        return Busy("The host has too many files open at once.", retry_after=1)
    if said in _NO_ROOM or isinstance(error, apsw.FullError):
        return StorageFull("There is no room to store this; nothing was changed.")
    if isinstance(error, apsw.IOError | apsw.CantOpenError):
        return StorageFull("The disk refused the write; nothing was changed.")
    return error


@contextmanager
def syncing(fatal: Callable[[str], None]) -> Iterator[None]:
    """Around calls of fsync: one that says EIO ends the process, as it does for the database (DESIGN law 1)."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EIO:
            fatal(SYNC_FAILED)
        raise


def sync_file(path: Path) -> None:
    """Make a file's bytes durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder that survives a power cut, with those above it."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)
