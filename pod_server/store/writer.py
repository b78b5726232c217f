"""The writer threads: appends in groups, each in its own SAVEPOINT, answered after the COMMIT (DESIGN law 1).

Called by sqlite.py alone.  A pod belongs to one thread; the thread holds the
one writing connection of each of its pods.  A 412, 409 or 507 rolls back one
append, a failed COMMIT fails the group, a failed fsync ends the process:
after it nobody knows what the disk holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath

import apsw

from pod_server.errors import Busy, Corrupt, Missing, StorageFull
from pod_server.store import readlog
from pod_server.store.bodies import file_of, left_over
from pod_server.store.contract import Append, Clock, Commit, Put, Reading
from pod_server.store.files import SYNC_FAILED, refusal
from pod_server.store.tree import Tree, check
from pod_server.store.waiting import FLUSH_SECONDS, RETRY_SECONDS, WaitingReads
from pod_server.terms import PodId

GROUP_REQUESTS = 32
GROUP_BYTES = 4 * 1024 * 1024
QUEUE_REQUESTS = 256
QUEUE_BYTES = 64 * 1024 * 1024
HOST_QUEUE_BYTES = 256 * 1024 * 1024
LOOK_SECONDS = 0.05
FLUSHES_IN_A_ROW = 16
"""So many pods' overdue reads are written before the next group of appends has its turn."""
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


@dataclass(frozen=True, slots=True)
class _Work:
    """One commit: a group of appends and the reads that go with them; with neither, the pod is only swept."""

    pod: PodId
    group: list[Waiting]
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class _Open:
    """A pod's writing connection and its folder."""

    connection: apsw.Connection
    folder: FilePath


@dataclass(frozen=True, slots=True)
class WriterParts:
    """What a writer thread is given.

    fatal ends the process; it is called when a sync failed, or the thread
    itself broke.  connections: how many it may keep open.
    """

    open_pod: Callable[[PodId], apsw.Connection]
    folder_of: Callable[[PodId], FilePath]
    other_version: Callable[[PodId, str], int | None]
    clock: Clock
    fatal: Callable[[str], None]
    connections: int


class Writer(threading.Thread):
    """One writer thread and its queues."""

    def __init__(self, name: str, parts: WriterParts) -> None:
        super().__init__(name=name, daemon=True)
        self._parts = parts
        self._lock = threading.Condition()
        self._queues: OrderedDict[PodId, deque[Waiting]] = OrderedDict()
        self._reads = WaitingReads()
        self.notes: deque[tuple[PodId, Reading]] = deque()
        """Reads to be logged; the loop appends without a lock, this thread looks every 50 ms."""
        self._uncounted: dict[PodId, Reading] = {}
        self._looked = time.monotonic()
        self._weights: dict[PodId, int] = {}
        self._total = 0
        self._open: OrderedDict[PodId, _Open] = OrderedDict()
        self._swept: dict[PodId, float] = {}
        self._flushes = 0
        self._stopping = False

    def submit(self, pod: PodId, append: Append) -> asyncio.Future[Commit]:
        """Queue an append; the future is done after its group is durable.  Raises Busy."""
        future: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()
        waiting = Waiting(append, future, _weight(append))
        with self._lock:
            queue = self._queues.get(pod, ())
            weight = self._weights.get(pod, 0) + waiting.weight
            if len(queue) >= QUEUE_REQUESTS or weight > QUEUE_BYTES or self._total + waiting.weight > HOST_QUEUE_BYTES:
                raise Busy("Too many writes wait for this pod.", retry_after=1)
            if self._stopping:
                raise Busy("The host is stopping.", retry_after=5)
            self._queues.setdefault(pod, deque()).append(waiting)
            self._weights[pod] = weight
            self._total += waiting.weight
            self._lock.notify()
        return future

    def lose(self, pod: PodId, reading: Reading) -> None:
        """Count a read for which there is no room in ``notes``: this thread has not looked for long."""
        gone = readlog.lost(reading.at, reading.count)
        with self._lock:
            before = self._uncounted.get(pod)
            self._uncounted[pod] = readlog.merged(before, gone) if before else gone

    def stop(self) -> None:
        """Ask the thread to drain its queues and end; join it afterwards."""
        with self._lock:
            self._stopping = True
            self._lock.notify()

    def run(self) -> None:
        """Do work until told to stop and nothing is left; if that breaks, the host must not live on half dead."""
        group: list[Waiting] = []
        try:
            while (work := self._take()) is not None:
                group = work.group
                self._answer(group, self._commit_group(work))
                group = []
        except Exception as error:
            self._answer(group, [error for _ in group])
            self._parts.fatal(f"A writer thread broke ({type(error).__name__}: {error}), so the process ends.")
        finally:
            for pod in list(self._open):
                self._close(pod)

    def _take(self) -> _Work | None:
        while True:
            if self.notes or self._uncounted:
                self._gather()
            self._looked = time.monotonic()
            with self._lock:
                pod = self._next()
                if pod is not None:
                    return self._work(pod)
                if self._stopping and not (self.notes or self._uncounted):
                    return None
                if not self._stopping:
                    self._lock.wait(LOOK_SECONDS)

    def _gather(self) -> None:
        """Reads noted since the last look are due as if noted right after it: never too late."""
        due = self._looked + FLUSH_SECONDS
        with self._lock:
            missed, self._uncounted = self._uncounted, {}
        for pod, reading in missed.items():
            self._reads.add(pod, reading, due)
        while self.notes:
            pod, reading = self.notes.popleft()
            self._reads.add(pod, reading, due)

    def _next(self) -> PodId | None:
        """Whose turn it is: overdue reads, but not for ever; then the appends, pod by pod; then what must be swept."""
        if self._reads.pods and (self._flushes < FLUSHES_IN_A_ROW or not self._queues):
            due = self._reads.next_due()
            if due is not None and (self._stopping or due[0] <= self._looked):
                self._flushes += 1
                return due[1]
        self._flushes = 0
        if self._queues:
            return next(iter(self._queues))
        return None if self._stopping else self._unswept()

    def _unswept(self) -> PodId | None:
        now = self._parts.clock()
        return next((pod for pod in self._open if now - self._swept.get(pod, now) >= SWEEP_SECONDS), None)

    def _work(self, pod: PodId) -> _Work:
        """Reads that a commit refused before go alone, so that they never cost an append."""
        ride = pod not in self._reads.pods or self._reads.may_ride(pod)
        is_flush = self._flushes > 0
        queue = self._queues.get(pod)
        group = self._group(pod, queue) if queue and (ride or not is_flush) else []
        reads = pod in self._reads.pods and (ride or is_flush)
        return _Work(pod, group, self._reads.take(pod) if reads else [])

    def _group(self, pod: PodId, queue: deque[Waiting]) -> list[Waiting]:
        group: list[Waiting] = []
        weight = 0
        while queue and len(group) < GROUP_REQUESTS and (not group or weight + queue[0].weight <= GROUP_BYTES):
            waiting = queue.popleft()
            weight += waiting.weight
            group.append(waiting)
        self._weights[pod] -= weight
        self._total -= weight
        self._queues.move_to_end(pod)
        if not queue:
            del self._queues[pod], self._weights[pod]
        return group

    def _commit_group(self, work: _Work) -> list[Outcome]:
        try:
            opened = self._opened(work.pod)
        except Exception as error:
            return self._group_failed(work, error)
        connection, must_sweep = opened.connection, self._must_sweep(work.pod)
        try:
            connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._one(opened, waiting.append) for waiting in work.group]
            unwritten = self._log_reads(connection, work.readings) if work.readings else []
            if must_sweep:
                self._forget_released(connection)
            connection.execute("COMMIT")
        except Exception as error:
            return self._group_failed(work, error)
        if unwritten:
            self._put_back(work.pod, unwritten)
        if must_sweep:
            self._sweep(opened)
        self._drop_refused(opened, work, outcomes)
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
            return refusal(error)
        return Commit(tree.position, frozenset(tree.created))

    def _log_reads(self, connection: apsw.Connection, readings: list[Reading]) -> list[Reading]:
        """Write reads in a SAVEPOINT of their own: they never cost an append.  What must be tried again."""
        connection.execute("SAVEPOINT reads")
        try:
            readlog.write(connection, readings, self._parts.clock())
            connection.execute("RELEASE reads")
        except Exception as error:
            if not connection.in_transaction:
                raise
            connection.execute("ROLLBACK TO reads; RELEASE reads")
            if isinstance(error, apsw.Error):
                return readings
            return [readlog.lost(readings[0].at, sum(each.count for each in readings))]  # they can never be written
        return []

    def _put_back(self, pod: PodId, readings: Iterable[Reading]) -> None:
        if not self._stopping:
            self._reads.put_back(pod, readings, time.monotonic() + RETRY_SECONDS)

    def _must_sweep(self, pod: PodId) -> bool:
        """At a pod's first commit, and hourly."""
        now = self._parts.clock()
        if pod in self._swept and now - self._swept[pod] < SWEEP_SECONDS:
            return False
        self._swept[pod] = now
        return True

    def _forget_released(self, connection: apsw.Connection) -> None:
        """Drop bodies that nobody has used for 30 days; their files go with the sweep after the commit."""
        before = self._parts.clock() - KEEP_BODIES_SECONDS
        connection.execute("DELETE FROM body WHERE released IS NOT NULL AND released < ?", (before,))

    def _sweep(self, opened: _Open) -> None:
        """Unlink files that no row names: of released bodies, refused appends, uploads that a crash cut off."""
        with contextlib.suppress(OSError, apsw.Error):  # what stays is swept an hour later
            for file in left_over(opened.folder, self._parts.clock(), lambda hash_: _is_named(opened, hash_)):
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)

    def _drop_refused(self, opened: _Open, work: _Work, outcomes: list[Outcome]) -> None:
        """A large body that had no room must not keep the room that it was refused for."""
        for waiting, outcome in zip(work.group, outcomes, strict=True):
            if isinstance(outcome, StorageFull):
                for hash_ in _large(waiting.append) - self._awaited(work.pod):
                    with contextlib.suppress(OSError, apsw.Error):  # the sweep finds it
                        if not _is_named(opened, hash_):
                            file_of(opened.folder, hash_).unlink(missing_ok=True)

    def _awaited(self, pod: PodId) -> set[str]:
        with self._lock:
            return {hash_ for waiting in self._queues.get(pod, ()) for hash_ in _large(waiting.append)}

    def _group_failed(self, work: _Work, error: Exception) -> list[Outcome]:
        if isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in _SYNC_FAILED:
            self._parts.fatal(SYNC_FAILED)
        told = refusal(error)
        if work.readings and not isinstance(told, Corrupt | Missing):
            self._put_back(work.pod, work.readings)
        outcomes: list[Outcome] = [told for _ in work.group]
        opened = self._open.get(work.pod)
        if opened is not None:
            try:
                if opened.connection.in_transaction:
                    opened.connection.execute("ROLLBACK")
                self._drop_refused(opened, work, outcomes)
            except apsw.Error:
                self._close(work.pod)  # a connection that cannot even roll back is of no more use
        return outcomes

    def _opened(self, pod: PodId) -> _Open:
        if pod in self._open:
            self._open.move_to_end(pod)
            return self._open[pod]
        while len(self._open) >= self._parts.connections:
            self._close(next(iter(self._open)))
        self._open[pod] = _Open(self._parts.open_pod(pod), self._parts.folder_of(pod))
        return self._open[pod]

    def _close(self, pod: PodId) -> None:
        with contextlib.suppress(apsw.Error):  # it checkpoints; what that cannot do now, the next opening does
            self._open.pop(pod).connection.close()

    @staticmethod
    def _answer(group: list[Waiting], outcomes: list[Outcome]) -> None:
        if group:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                group[0].future.get_loop().call_soon_threadsafe(_settle, group, outcomes)


def _is_named(opened: _Open, hash_: str) -> bool:
    return opened.connection.execute("SELECT 1 FROM body WHERE hash = ?", (hash_,)).fetchone() is not None


def _large(append: Append) -> set[str]:
    """Bodies of an append that wait in files."""
    bodies = (edit.body for edit in append.edits if isinstance(edit, Put))
    return {body.hash for body in bodies if body is not None and body.inline is None}


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
