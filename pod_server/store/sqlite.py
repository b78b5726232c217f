"""The Store over SQLite: one folder per pod, readers on the loop, a fixed few writer threads.

Called by pod.py and by the CLI.  One process owns the data folder: a lock on
it refuses a second one (DESIGN law 9), so caches need no cross-process check.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import shutil
import sys
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as FilePath

import apsw

from pod_server.errors import Busy, Conflict, Corrupt, Missing, StorageFull
from pod_server.store import backup, checkup, descriptors
from pod_server.store.bodies import FileSink
from pod_server.store.contract import Append, BodySink, Clock, Commit, Finding, Reading
from pod_server.store.files import (
    check_engine,
    is_alone,
    make_folder,
    open_reader,
    open_writer,
    refusal,
    sync_file,
    sync_folder,
    syncing,
)
from pod_server.store.reader import SqliteSnapshot
from pod_server.store.schema import POD_APPLICATION_ID, POD_STEPS, bring_forward, check_pod
from pod_server.store.tree import Tree
from pod_server.store.writer import Writer, WriterParts
from pod_server.terms import PodId, Position

WRITERS = 2
NOTES = 50_000
"""Reads that a writer's thread has not yet looked at; more are only counted."""
POD_FILE = checkup.POD_FILE


def end_process(reason: str) -> None:
    """Stop at once: after a failed sync the only honest state is the one that a restart reads back."""
    print(reason, file=sys.stderr, flush=True)  # noqa: T201 - the last words of the process
    os._exit(70)


class SqliteStore:
    """See contract.Store.

    root: the data folder.  vfs: the name of a registered SQLite VFS, None for
    the default; tests pass one that loses what was not synced.  pages: the
    most pages a pod's file may have, None for no bound.
    """

    def __init__(
        self,
        root: FilePath,
        clock: Clock,
        *,
        vfs: str | None = None,
        pages: int | None = None,
        fatal: Callable[[str], None] = end_process,
    ) -> None:
        check_engine()
        self._root = root
        self._pods = root / "pods"
        self._clock = clock
        self._vfs = vfs
        self._pages = pages
        self._fatal = fatal
        make_folder(self._pods)
        self._lock = take_lock(root)
        try:
            backup.refuse_half_restored(root)
        except Corrupt:
            os.close(self._lock)
            raise
        for half_made in (*self._pods.glob(".new-*"), *self._pods.glob(".restore-*")):
            shutil.rmtree(half_made, ignore_errors=True)
        share = descriptors.share(descriptors.limit())
        self._most_readers = share.readers
        self._readers: OrderedDict[PodId, SqliteSnapshot] = OrderedDict()
        self._connections: dict[PodId, apsw.Connection] = {}
        self._pinned: dict[PodId, int] = {}
        self._alone: set[PodId] = set()
        parts = WriterParts(self._open_writer, self.folder_of, self._other_version, clock, fatal, share.writers)
        self._writers = [Writer(f"writer-{number}", parts) for number in range(WRITERS)]
        for writer in self._writers:
            writer.start()

    def folder_of(self, pod: PodId) -> FilePath:
        """Where a pod is kept."""
        return self._pods / pod[:2] / pod

    def create(self, pod: PodId, genesis: Append) -> None:
        """See contract.Store: written aside, synced, renamed, the folder synced."""
        folder = self.folder_of(pod)
        if folder.exists():
            raise Conflict("There is a pod of that id already.")
        make_folder(folder.parent)
        aside = self._pods / f".new-{pod}"
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(mode=0o700)
            self._write_genesis(aside / POD_FILE, genesis)
            aside.rename(folder)
        except (OSError, apsw.FullError, apsw.IOError, apsw.CantOpenError) as error:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(busy := refusal(error), Busy):
                raise busy from None
            raise StorageFull(f"There is no room for a new pod ({error}).") from None
        with syncing(self._fatal):
            sync_folder(folder.parent)
            sync_folder(self._pods)

    def _write_genesis(self, file: FilePath, genesis: Append) -> None:
        connection = open_writer(file, vfs=self._vfs)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            bring_forward(connection, POD_APPLICATION_ID, POD_STEPS)
            with connection:
                connection.execute("INSERT INTO pod VALUES ('incarnation', ?)", (secrets.token_urlsafe(16),))
                Tree(connection, genesis, lambda _: False).apply()
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            connection.close()
        with syncing(self._fatal):
            sync_file(file)
            sync_folder(file.parent)

    @contextmanager
    def snapshot(self, pod: PodId) -> Iterator[SqliteSnapshot]:
        """See contract.Store."""
        reader = self._readers.get(pod)
        if reader is None:
            reader = self._open_reader(pod)
        self._readers.move_to_end(pod)
        self._pinned[pod] = self._pinned.get(pod, 0) + 1
        try:
            if self._pinned[pod] == 1:
                with reader.opened():
                    yield reader
            else:
                yield reader
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise refusal(error) from error
        finally:
            self._pinned[pod] -= 1
            if not self._pinned[pod]:
                del self._pinned[pod]
                if pod in self._alone:
                    self._forget_reader(pod)

    def _open_reader(self, pod: PodId) -> SqliteSnapshot:
        file = self._file_of(pod)
        self._make_room(self._most_readers - 1)
        try:
            connection = self._connect_reader(pod, file)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise refusal(error) from error
        except apsw.CantOpenError as error:
            if not isinstance(busy := refusal(error), Busy):
                raise
            self._make_room(len(self._readers) // 2)
            raise busy from None
        self._connections[pod] = connection
        if is_alone(connection):
            self._alone.add(pod)
        self._readers[pod] = SqliteSnapshot(connection, file.parent)
        return self._readers[pod]

    def _connect_reader(self, pod: PodId, file: FilePath) -> apsw.Connection:
        connection = open_reader(file, vfs=self._vfs)
        try:
            if connection.pragma("user_version") != len(POD_STEPS):
                connection.close()
                self._open_writer(pod).close()
                connection = open_reader(file, vfs=self._vfs)
            check_pod(connection)
        except (apsw.Error, Corrupt):
            connection.close()
            raise
        return connection

    def _make_room(self, most: int) -> None:
        """Close readers that were not used for longest, until at most so many are open; those in use stay."""
        idle = [held for held in self._readers if held not in self._pinned]
        for pod in idle[: max(0, len(self._readers) - most)]:
            self._forget_reader(pod)

    def _file_of(self, pod: PodId) -> FilePath:
        """Raises Missing when there is no such pod, Corrupt when there is and its file is gone."""
        file = self.folder_of(pod) / POD_FILE
        if file.exists():
            return file
        if file.parent.exists():
            raise Corrupt("The pod's file is gone.")
        raise Missing("There is no such pod.")

    def _forget_reader(self, pod: PodId) -> None:
        del self._readers[pod]
        self._alone.discard(pod)
        self._connections.pop(pod).close()

    async def append(self, pod: PodId, append: Append) -> Commit:
        """See contract.Store."""
        return await self._writer_of(pod).submit(pod, append)

    def sink(self, pod: PodId) -> BodySink:
        """See contract.Store."""
        return FileSink(self.folder_of(pod), self._fatal)

    def note(self, pod: PodId, reading: Reading) -> None:
        """See contract.Store."""
        writer = self._writer_of(pod)
        if len(writer.notes) < NOTES:
            writer.notes.append((pod, reading))
        else:
            writer.lose(pod, reading)

    def backup(self, pod: PodId, target: FilePath) -> Position:
        """See contract.Store."""
        return backup.copy_pod(self.folder_of(pod), target)

    def verify(self, pod: PodId) -> Sequence[Finding]:
        """See contract.Store."""
        return checkup.verify_pod(self.folder_of(pod))

    async def close(self) -> None:
        """See contract.Store."""
        for writer in self._writers:
            writer.stop()
        loop = asyncio.get_running_loop()
        for writer in self._writers:
            await loop.run_in_executor(None, writer.join)
        for pod in list(self._readers):
            self._forget_reader(pod)
        os.close(self._lock)

    def _writer_of(self, pod: PodId) -> Writer:
        return self._writers[zlib.crc32(pod.encode()) % len(self._writers)]

    def _open_writer(self, pod: PodId) -> apsw.Connection:
        connection = open_writer(self._file_of(pod), vfs=self._vfs, pages=self._pages, is_new=False)
        try:
            bring_forward(connection, POD_APPLICATION_ID, POD_STEPS)
            check_pod(connection)
        except (apsw.Error, Corrupt):
            connection.close()
            raise
        return connection

    def _other_version(self, pod: PodId, path: str) -> int | None:
        """A resource's version in another pod, read on a writer's thread: a group kept in someone else's pod."""
        connection = open_reader(self.folder_of(pod) / POD_FILE, vfs=self._vfs)
        try:
            row = connection.execute("SELECT version FROM resource WHERE path = ?", (path,)).fetchone()
        finally:
            connection.close()
        return row[0] if row else None


def take_lock(root: FilePath) -> int:
    """Own a data folder for this process.  Raises Conflict when another process does."""
    descriptor = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Conflict(f"Another process owns the data folder {root}.") from None
    return descriptor
