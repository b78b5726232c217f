"""The program of one view worker: it holds views, and answers each question in a forked child of its own.

Started by views.py, speaks frames over one inherited socket, and ends when that closes.  After its start it opens no
file and no socket (confine.py).  A child is bounded in wall time, CPU, memory and size of answer, so a killed query
costs a fork and never a view.  It must stay a single thread: it forks.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import selectors
import signal
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from pyoxigraph import Store

from pod_server.confine import address_space_of, confine, die_with, limit, open_statm
from pod_server.errors import LimitReached, PodError
from pod_server.query.answer import Ask, evaluate
from pod_server.query.frames import Frames, described, head
from pod_server.query.view import Document, View
from pod_server.rdf import Syntax, bundled

MOST_ANSWER_BYTES: Final = 64 * 1024 * 1024
GRACE_SECONDS: Final = 0.5
"""How long after its own alarm a child is killed from outside."""
_CHUNK: Final = 1 << 20
_PIPE_BYTES: Final = 1 << 20
_HOST: Final = "host"


@dataclass(slots=True)
class _Child:
    """A question that is being answered in a process of its own."""

    number: int
    pid: int
    pipe: int
    started: float
    deadline: float
    is_cold: bool
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    cut: str = ""
    """Why this worker killed it: the limit's name, or "cancelled"."""


class Shelf:
    """The views of one worker, the least recently asked dropped first."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._views: OrderedDict[str, View] = OrderedDict()
        self._dropped: list[str] = []

    def take(self, key: str, token: str, documents: list[Document] | None) -> tuple[View | None, bool]:
        """The view of a key at a token, and whether it is new; None when it is not here and no documents came."""
        view = self._views.get(key)
        if view is not None and view.token == token:
            self._views.move_to_end(key)
            return view, False
        if documents is None:
            return None, False
        self._views.pop(key, None)
        view = View(token, {document.iri: document for document in documents}, self._memory)
        self._views[key] = view
        return view, True

    def drop(self, key: str, view: View) -> None:
        """Forget a view, unless a newer one has its place, and tell the host with the next answer."""
        if self._views.get(key) is view:
            del self._views[key]
            self._dropped.append(key)

    def make_room(self, keep: str) -> None:
        """Drop views until the rest fits, but never the one that is being asked."""
        while sum(view.size for view in self._views.values()) > self._memory and len(self._views) > 1:
            oldest = next(key for key in self._views if key != keep)
            self.drop(oldest, self._views[oldest])

    def dropped(self) -> list[str]:
        """The keys dropped since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped


class Worker:
    """Frames in, forks, frames out; one selector, no thread."""

    def __init__(self, link: int, memory: int, most_running: int, statm: int | None) -> None:
        self._link = link
        self._statm = statm
        self._most_running = most_running
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._shelf = Shelf(memory)
        self._frames = Frames()
        self._waiting: deque[tuple[Ask, View | None, bool]] = deque()
        self._running: dict[int, _Child] = {}
        self._ended: list[int] = []
        self._outgoing: deque[memoryview] = deque()
        self._selector = selectors.DefaultSelector()
        os.set_blocking(link, False)
        self._selector.register(link, selectors.EVENT_READ, _HOST)

    def say(self, header: dict[str, Any], body: bytes | memoryview = b"") -> None:
        """Queue a frame for the host."""
        self._outgoing.append(memoryview(head(header, len(body))))
        if body:
            self._outgoing.append(memoryview(body))
        self._write()

    def run(self) -> None:
        """Answer until the host closes its end."""
        while True:
            for key, _ in self._selector.select(self._patience()):
                if key.data is _HOST:
                    self._write()
                    if not self._read():
                        self._end()
                        return
                else:
                    self._collect(key.data)
            self._cut_late(time.monotonic())
            self._reap()
            self._start_waiting()

    def _end(self) -> None:
        for child in self._running.values():
            os.kill(child.pid, signal.SIGKILL)

    def _patience(self) -> float | None:
        if self._ended:
            return 0.05
        deadlines = [child.deadline for child in self._running.values()]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _read(self) -> bool:
        """Take what the host has written; False when it is gone."""
        try:
            data = os.read(self._link, _CHUNK)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        for header, body in self._frames.feed(data):
            self._take(header, body)
        return bool(data)

    def _write(self) -> None:
        while self._outgoing:
            piece = self._outgoing[0]
            try:
                written = os.write(self._link, piece[:_CHUNK])
            except BlockingIOError:
                break
            except (BrokenPipeError, ConnectionResetError):
                sys.exit(0)
            if written < len(piece):
                self._outgoing[0] = piece[written:]
            else:
                self._outgoing.popleft()
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._outgoing else 0)
        self._selector.modify(self._link, events, _HOST)

    def _take(self, header: dict[str, Any], body: memoryview) -> None:
        if "cancel" in header:
            self._cancel(header["cancel"])
            return
        documents = header.pop("documents")
        ask = Ask(**header)
        # On the shelf at once, so that the next question for the same view finds it without documents of its own; and
        # kept with the question, since one of a newer state may replace it before this one's turn.
        view, is_cold = self._shelf.take(
            ask.key, ask.token, None if documents is None else list(_documents(documents, body))
        )
        if view is not None:
            self._shelf.make_room(ask.key)
        self._waiting.append((ask, view, is_cold))

    def _cancel(self, number: int) -> None:
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0].number != number)
        for child in self._running.values():
            if child.number == number:
                self._cut(child, "cancelled")

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._most_running:
            self._answer(*self._waiting.popleft())

    def _answer(self, ask: Ask, view: View | None, is_cold: bool) -> None:
        started = time.monotonic()
        if view is None:
            self.say({"number": ask.number, "not_held": True, "dropped": self._shelf.dropped()})
            return
        try:
            prepared = _prepared(view, ask)
        except PodError as error:
            self._shelf.drop(ask.key, view)
            self.say({"number": ask.number, **described(error), "dropped": self._shelf.dropped()})
            return
        self._shelf.make_room(ask.key)
        reading, pid = self._fork(ask, view, prepared)
        late = time.monotonic() + ask.seconds + GRACE_SECONDS
        child = _Child(ask.number, pid, reading, started, late, is_cold)
        self._running[pid] = child
        self._selector.register(reading, selectors.EVENT_READ, child)

    def _fork(self, ask: Ask, view: View, prepared: Store | None) -> tuple[int, int]:
        """The reading end of the child's answer, and its process id."""
        worker = os.getpid()
        used = address_space_of(self._statm)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                self._become_child(ask, writing, worker, used)
                header, body = _evaluated(view, prepared, ask)
                _write_all(writing, head(header, len(body)))
                _write_all(writing, body)
            finally:
                os._exit(0)  # nothing of the worker's may be tidied up here
        os.close(writing)
        os.set_blocking(reading, False)
        return reading, pid

    def _become_child(self, ask: Ask, writing: int, worker: int, used: int) -> None:
        """Leave the worker behind: no socket to the host, no voice, its own limits, lower priority."""
        signal.setitimer(signal.ITIMER_REAL, ask.seconds)
        os.close(self._link)
        os.dup2(self._null, 2)
        die_with(worker)
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.nice(5)
        limit(address_space=used + ask.memory if used else None, cpu_seconds=int(ask.seconds) + 2)
        confine(leaf=True)

    def _collect(self, child: _Child) -> None:
        try:
            data = os.read(child.pipe, _CHUNK)
        except BlockingIOError:
            return
        child.pieces.append(data)
        child.size += len(data)
        if child.size > MOST_ANSWER_BYTES + _CHUNK and not child.cut:
            self._cut(child, "size")
        if not data:
            self._finish(child)

    def _finish(self, child: _Child) -> None:
        self._selector.unregister(child.pipe)
        os.close(child.pipe)
        del self._running[child.pid]
        frame = next(Frames().feed(b"".join(child.pieces)), None)
        if frame is not None and not child.cut:
            self._ended.append(child.pid)
        status = 0 if frame is not None and not child.cut else os.waitpid(child.pid, 0)[1]
        if child.cut == "cancelled":
            return
        spent = {
            "number": child.number,
            "milliseconds": (time.monotonic() - child.started) * 1000,
            "cold": child.is_cold,
            "dropped": self._shelf.dropped(),
        }
        if frame is None or child.cut:
            self.say({**spent, **described(_ended_by(child.cut, status))})
        else:
            self.say({**frame[0], **spent}, frame[1])

    def _cut_late(self, now: float) -> None:
        for child in self._running.values():
            if child.deadline < now and not child.cut:
                self._cut(child, "time")

    @staticmethod
    def _cut(child: _Child, why: str) -> None:
        child.cut = why
        os.kill(child.pid, signal.SIGKILL)

    def _reap(self) -> None:
        self._ended = [pid for pid in self._ended if os.waitpid(pid, os.WNOHANG)[0] == 0]


def _documents(rows: list[list[Any]], body: memoryview) -> Iterator[Document]:
    at = 0
    for iri, syntax, length in rows:
        yield Document(iri, Syntax[syntax], bytes(body[at : at + length]))
        at += length


def _prepared(view: View, ask: Ask) -> Store | None:
    """The store of the whole view that a question needs, None when it needs a few documents or nothing."""
    if ask.uses_graph and (ask.named is None or ask.union):
        return view.all_named()
    if ask.union:
        return view.all_merged()
    return None


def _evaluated(view: View, prepared: Store | None, ask: Ask) -> tuple[dict[str, Any], bytes]:
    try:
        named = None if ask.named is None else [name for name in ask.named if name in view.documents]
        if not ask.uses_graph:
            named = []
        if prepared is None:
            body, rows = evaluate(view.chosen(ask.default, named or ()), ask, None, None)
        else:
            body, rows = evaluate(prepared, ask, None if ask.union else (), named)
        if len(body) > MOST_ANSWER_BYTES:
            raise _ended_by("size", 0)
    except PodError as error:
        return described(error), b""
    except MemoryError:
        return described(_ended_by("memory", 0)), b""
    except BaseException:  # the engine panics with an exception of its own, outside of Exception
        return described(_ended_by("engine", 0)), b""
    return {"rows": rows}, body


def _ended_by(cut: str, status: int) -> LimitReached:
    """The refusal for a child that wrote no answer: status as waitpid gives it."""
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    by_signal: dict[int, str] = {
        signal.SIGALRM: "time",
        signal.SIGXCPU: "time",
        signal.SIGABRT: "memory",  # what an engine without memory does
        signal.SIGKILL: "memory",  # nobody here sent it: the system was out of memory
    }
    reached = cut or by_signal.get(number, "engine")
    sentences = {
        "time": "The query took longer than it may",
        "memory": "The query needed more memory than it may have",
        "size": f"The answer is longer than {MOST_ANSWER_BYTES} bytes",
        "engine": "The query is more than the engine can hold",
    }
    return LimitReached(f"{sentences[reached]}; ask for less at once.", limit=reached)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest[:_CHUNK]) :]


def main(arguments: list[str]) -> None:
    """Arguments: the socket's descriptor, the host's process id, bytes for views, children at once."""
    link, parent, memory, most_running = map(int, arguments)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    with contextlib.suppress(FileNotFoundError):
        bundled()  # JSON-LD contexts are files: read while files still open
    statm = open_statm()
    used = address_space_of(statm)
    worker = Worker(link, memory, most_running, statm)
    limit(address_space=used + 2 * memory + (1 << 30) if used else None)
    held = confine(leaf=False)
    gc.collect()
    gc.freeze()
    gc.disable()
    worker.say({"confinement": held.kind, "reason": held.reason})
    worker.run()
    sys.stdout.flush()
    os._exit(0)
