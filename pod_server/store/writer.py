"""The writer threads: appends in groups, each in its own SAVEPOINT, answered after the COMMIT (DESIGN law 1).

Called by sqlite.py alone.  A pod belongs to one thread; the thread holds the
one writing connection of each of its pods.  A 412, 409 or 507 rolls back one
append, a failed COMMIT fails the group, a failed fsync ends the process:
after it nobody knows what the disk holds.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path as FilePath

import apsw

from pod_server.errors import Busy, StorageFull
from pod_server.store import readlog
from pod_server.store.bodies import file_of
from pod_server.store.contract import Append, Clock, Commit, Put, Reading
from pod_server.store.tree import Tree, check
from pod_server.terms import PodId

GROUP_REQUESTS = 32
GROUP_BYTES = 4 * 1024 * 1024
QUEUE_REQUESTS = 256
QUEUE_BYTES = 64 * 1024 * 1024
HOST_QUEUE_BYTES = 256 * 1024 * 1024
CONNECTIONS = 64
FLUSH_SECONDS = 0.2
KEEP_BODIES_SECONDS = 30 * 24 * 3600.0
SWEEP_SECONDS = 3600.0

_SYNC_FAILED = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)

Outcome = Commit | BaseException


@dataclass(slots=True)
class Waiting:
    """An append in the queue, and who waits for it."""

    append: Append
    future: asyncio.Future[Commit]
    weight: int


@dataclass(slots=True)
class _Open:
    """A pod's writing connection and its folder."""

    connection: apsw.Connection
    folder: FilePath
    swept: float = 0.0


@dataclass(frozen=True, slots=True)
class WriterParts:
    """What a writer thread is given.  fatal ends the process; it is called when a sync failed."""

    open_pod: Callable[[PodId], apsw.Connection]
    folder_of: Callable[[PodId], FilePath]
    other_version: Callable[[PodId, str], int | None]
    clock: Clock
    fatal: Callable[[str], None]


class Writer(threading.Thread):
    """One writer thread and its queues."""

    def __init__(self, name: str, parts: WriterParts) -> None:
        super().__init__(name=name, daemon=True)
        self._parts = parts
        self._lock = threading.Condition()
        self._queues: OrderedDict[PodId, deque[Waiting]] = OrderedDict()
        self._readings: dict[PodId, list[Reading]] = {}
        self.notes: deque[tuple[PodId, Reading]] = deque()
        """Reads to be logged; the loop appends without a lock, this thread looks every 200 ms."""
        self._weights: dict[PodId, int] = {}
        self._total = 0
        self._open: OrderedDict[PodId, _Open] = OrderedDict()
        self._stopping = False

    def submit(self, pod: PodId, append: Append) -> asyncio.Future[Commit]:
        """Queue an append; the future is done after its group is durable.  Raises Busy."""
        future: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
        waiting = Waiting(append, future, _weight(append))
        with self._lock:
            queue = self._queues.setdefault(pod, deque())
            weight = self._weights.get(pod, 0) + waiting.weight
            if len(queue) >= QUEUE_REQUESTS or weight > QUEUE_BYTES or self._total + waiting.weight > HOST_QUEUE_BYTES:
                raise Busy("Too many writes wait for this pod.", retry_after=1)
            if self._stopping:
                raise Busy("The host is stopping.", retry_after=5)
            queue.append(waiting)
            self._weights[pod] = weight
            self._total += waiting.weight
            self._lock.notify()
        return future

    def stop(self) -> None:
        """Ask the thread to drain its queues and end; join it afterwards."""
        with self._lock:
            self._stopping = True
            self._lock.notify()

    def run(self) -> None:
        """Take groups until told to stop and nothing is left."""
        while True:
            taken = self._take()
            if taken is None:
                break
            pod, group, readings = taken
            outcomes = self._commit_group(pod, group, readings)
            self._answer(group, outcomes)
        for pod in list(self._open):
            self._open.pop(pod).connection.close()

    def _take(self) -> tuple[PodId, list[Waiting], list[Reading]] | None:
        with self._lock:
            while True:
                self._gather()
                for pod, queue in self._queues.items():
                    if queue:
                        self._queues.move_to_end(pod)
                        return pod, self._group(pod, queue), self._readings.pop(pod, [])
                is_due = self._stopping or not self._lock.wait(FLUSH_SECONDS)
                if is_due and self._readings:
                    pod = next(iter(self._readings))
                    return pod, [], self._readings.pop(pod)
                if self._stopping and not self.notes:
                    return None

    def _gather(self) -> None:
        while self.notes:
            pod, reading = self.notes.popleft()
            self._readings.setdefault(pod, []).append(reading)

    def _group(self, pod: PodId, queue: deque[Waiting]) -> list[Waiting]:
        group: list[Waiting] = []
        weight = 0
        while queue and len(group) < GROUP_REQUESTS and (not group or weight + queue[0].weight <= GROUP_BYTES):
            waiting = queue.popleft()
            weight += waiting.weight
            group.append(waiting)
        self._weights[pod] -= weight
        self._total -= weight
        if not queue:
            del self._queues[pod], self._weights[pod]
        return group

    def _commit_group(self, pod: PodId, group: list[Waiting], readings: list[Reading]) -> list[Outcome]:
        try:
            opened = self._opened(pod)
        except Exception as error:
            return [_failure(error) for _ in group]
        connection = opened.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._one(opened, waiting.append) for waiting in group]
            if readings:
                readlog.write(connection, readings, self._parts.clock())
            released = self._released(opened)
            connection.execute("COMMIT")
        except Exception as error:
            return self._group_failed(connection, group, error)
        for hash_ in released:
            file_of(opened.folder, hash_).unlink(missing_ok=True)
        return outcomes

    def _one(self, opened: _Open, append: Append) -> Outcome:
        """One append in its own SAVEPOINT: refused alone, or part of the group."""
        connection = opened.connection
        connection.execute("SAVEPOINT one")
        try:
            check(connection, append, self._parts.clock(), self._parts.other_version)
            tree = Tree(connection, append, lambda hash_: file_of(opened.folder, hash_).exists())
            tree.apply()
            if append.deliveries:
                _write_deliveries(connection, append, tree)
            connection.execute("RELEASE one")
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO one; RELEASE one")
            return _failure(error)
        return Commit(tree.position, frozenset(tree.created))

    def _released(self, opened: _Open) -> list[str]:
        """Forget bodies that nobody has used for 30 days; their files go after the commit."""
        now = self._parts.clock()
        if now - opened.swept < SWEEP_SECONDS:
            return []
        opened.swept = now
        rows = opened.connection.execute(
            "DELETE FROM body WHERE released IS NOT NULL AND released < ? RETURNING hash, bytes IS NULL",
            (now - KEEP_BODIES_SECONDS,),
        ).fetchall()
        return [str(hash_) for hash_, in_file in rows if in_file]

    def _group_failed(self, connection: apsw.Connection, group: list[Waiting], error: Exception) -> list[Outcome]:
        if isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in _SYNC_FAILED:
            self._parts.fatal("A sync to disk failed; what the disk holds is unknown, so the process ends.")
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return [_failure(error) for _ in group]

    def _opened(self, pod: PodId) -> _Open:
        if pod in self._open:
            self._open.move_to_end(pod)
            return self._open[pod]
        while len(self._open) >= CONNECTIONS:
            self._open.popitem(last=False)[1].connection.close()
        folder = self._parts.folder_of(pod)
        self._open[pod] = _Open(self._parts.open_pod(pod), folder)
        for left_over in (folder / "bodies").glob(".incoming-*"):
            self._sweep(left_over)
        return self._open[pod]

    def _sweep(self, left_over: FilePath) -> None:
        """An upload that a crash cut off; younger ones may still be under way."""
        if self._parts.clock() - left_over.stat().st_mtime > SWEEP_SECONDS:
            left_over.unlink(missing_ok=True)

    @staticmethod
    def _answer(group: list[Waiting], outcomes: list[Outcome]) -> None:
        if group:
            loop = group[0].future.get_loop()
            if not loop.is_closed():
                loop.call_soon_threadsafe(_settle, group, outcomes)


def _weight(append: Append) -> int:
    """Bytes that wait in memory with an append."""
    bodies = (edit.body for edit in append.edits if isinstance(edit, Put))
    return 512 + sum(len(body.inline) for body in bodies if body is not None and body.inline is not None)


def _settle(group: list[Waiting], outcomes: list[Outcome]) -> None:
    for waiting, outcome in zip(group, outcomes, strict=True):
        if waiting.future.done():
            continue
        if isinstance(outcome, BaseException):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)


def _failure(error: Exception) -> BaseException:
    if isinstance(error, apsw.FullError):
        return StorageFull("There is no room to store this; nothing was changed.")
    if isinstance(error, apsw.IOError | apsw.CantOpenError):
        return StorageFull("The disk refused the write; nothing was changed.")
    return error


def _write_deliveries(connection: apsw.Connection, append: Append, tree: Tree) -> None:
    for row in append.deliveries:
        connection.execute(
            "INSERT INTO delivery"
            " (key, link, partner, data_set, period, version, source, outcome, at, position, report)"
            " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                row.key,
                row.link,
                row.partner,
                row.data_set,
                row.period,
                row.version,
                row.source,
                row.outcome,
                row.at,
                tree.position,
                row.report,
            ),
        )
