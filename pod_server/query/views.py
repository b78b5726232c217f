"""The host's side of queries: which worker holds which view, what each still knows, and how a question gets there.

Called by web/ with documents that were read, and found readable, in one snapshot; this file never decides who may read
and never touches a pod.  It never blocks the loop: frames go out in pieces of a mebibyte, answers come in whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pod_server.confine import Confinement
from pod_server.errors import Busy, LimitReached, NotAcceptable
from pod_server.query.answer import Ask, formats_for
from pod_server.query.frames import LENGTHS, head, loaded, refusal
from pod_server.query.guard import NO_DATASET, Dataset, Guarded, scope_of
from pod_server.query.turns import Turns
from pod_server.query.view import Document

__all__ = ["Answer", "Document", "NotHeld", "Question", "Views", "formats_for"]

_PIECE: Final = 1 << 20
_BUILD_SECONDS: Final = 60.0
"""How long a worker may be silent beyond a question's own seconds before it is taken for stuck.

Counted from when the question has its place: a long queue is nobody's fault, and kills no worker.
"""
_WAIT_SECONDS: Final = 60.0
"""How long a question waits for its place before its caller is told to come back."""
_START: Final = "import sys; from pod_server.query.worker import main; main(sys.argv[1:])"
_DEFAULT_MEMORY: Final = 512 * 1024 * 1024


class NotHeld(Exception):
    """The worker does not hold this view at this token (any more): read the documents and ask again with them.

    Only a question without documents meets it: its view was dropped for room, or its worker was replaced, since
    ``fresh`` said yes.  With documents at hand the second time, it cannot come back.
    """


@dataclass(frozen=True, slots=True)
class Question:
    """One query of one caller.

    key: hash of the pod and of what the caller may read in it.  token: the state of those documents; a view is the
    same as long as both are.  documents: None when ``fresh(key, token)`` said that they are not needed.  dataset: the
    protocol's parameters.  format: one of ``formats_for(query.form)``.  seconds: wall time of the evaluation.
    memory: bytes that the evaluation may add.  caller: whose turn it takes; stays in the host.
    """

    key: str
    token: str
    documents: Sequence[Document] | None
    query: Guarded
    format: str
    dataset: Dataset = NO_DATASET
    seconds: float = 10.0
    memory: int = _DEFAULT_MEMORY
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Serialised results.  rows: solutions or statements, 1 for ASK.  milliseconds: in the worker.  cold: built new."""

    body: bytes
    media_type: str
    rows: int
    milliseconds: float
    cold: bool


class Views:
    """A fixed few worker processes, onto which views are hashed by key."""

    def __init__(self, workers: int = 2, memory: int = _DEFAULT_MEMORY, *, running: int = 4, waiting: int = 64) -> None:
        """memory: bytes of views for each worker.  running, waiting: questions at once for each worker.

        One caller has at most half of those that run; the others come in turn, caller by caller.
        """
        self._lanes = [_Lane(memory, running, waiting) for _ in range(workers)]

    def start(self) -> None:
        """Start the processes; needs a running loop, does not wait for them: early questions do."""
        for lane in self._lanes:
            lane.start()

    async def stop(self) -> None:
        """End the processes; questions under way get Busy."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes))

    def fresh(self, key: str, token: str) -> bool:
        """True when the worker of this key holds its view at this token, so that a question needs no documents."""
        return self._lane(key).held.get(key) == token

    async def ask(self, question: Question) -> Answer:
        """The answer to a question.

        Raises Malformed when the engine does not take the query, NotAcceptable, Busy, LimitReached (limit: "time",
        "memory", "size" or "engine"), Corrupt (document: its IRI) when a stored document does not parse; and NotHeld,
        see there.
        """
        offered = formats_for(question.query.form)
        if question.format not in offered:
            raise NotAcceptable(f"{question.query.form} is not answered in that format.", available=list(offered))
        return await self._lane(question.key).ask(question)

    async def confinement(self) -> Confinement:
        """What holds for the workers: the weakest of what each said when it started."""
        said = [await lane.confinement() for lane in self._lanes]
        return min(said, key=lambda confinement: confinement.kind == "seccomp")

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are alive."""
        return [lane.process.pid for lane in self._lanes if lane.process is not None]

    def _lane(self, key: str) -> _Lane:
        return self._lanes[zlib.crc32(key.encode()) % len(self._lanes)]


class _Lane:
    """One worker process and what the host knows of it; replaced when it dies."""

    def __init__(self, memory: int, running: int, waiting: int) -> None:
        self._memory = memory
        self._running = running
        self._turns = Turns(running, waiting)
        self._numbers = itertools.count(1)
        self._asked: dict[int, tuple[asyncio.Future[tuple[dict[str, Any], bytes]], bool]] = {}
        self._link: asyncio.StreamWriter | None = None
        self._up = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()
        self._serving: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._confinement: Confinement | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.held: dict[str, str] = {}

    def start(self) -> None:
        """Start serving in the background of the running loop."""
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    async def stop(self) -> None:
        """Close the worker's socket, on which it ends; kill it when it does not within two seconds."""
        self._is_stopping = True
        if self._link is not None:
            self._link.close()
        if self._serving is not None:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving
            self._serving = None
        self._up.set()  # whoever still waits for it learns that there is no worker

    async def confinement(self) -> Confinement:
        """What the worker said when it was up; waits for that."""
        await self._up.wait()
        return self._confinement or Confinement("none", "the worker has not said")

    async def ask(self, question: Question) -> Answer:
        """See Views.ask."""
        async with contextlib.AsyncExitStack() as place:
            try:
                async with asyncio.timeout(_WAIT_SECONDS):
                    await place.enter_async_context(self._turns.turn(question.caller))
            except TimeoutError:
                raise Busy("Too many queries are waiting.", retry_after=5) from None
            return await self._ask(question)

    async def _ask(self, question: Question) -> Answer:
        number = next(self._numbers)
        future: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._asked[number] = (future, question.documents is not None)
        try:
            async with asyncio.timeout(question.seconds + _BUILD_SECONDS):
                await self._up.wait()
                # Shielded: half a frame would put every later one out of step.
                await asyncio.shield(self._in_background(self._send(number, question)))
                header, body = await future
        except TimeoutError:
            self._kill()
            raise LimitReached("The query took longer than it may.", limit="time") from None
        except asyncio.CancelledError:
            self._in_background(self._cancel(number))
            raise
        finally:
            self._asked.pop(number, None)
        return _answer(question, header, body)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _send(self, number: int, question: Question) -> None:
        if self._link is None:
            raise Busy("The query worker is being replaced.", retry_after=1)
        async with self._turn:
            if question.documents is not None:
                self.held[question.key] = question.token
            await self._write(_pieces(number, question))

    async def _cancel(self, number: int) -> None:
        """Nobody waits for this answer any more: end its evaluation."""
        async with self._turn:
            await self._write([head({"cancel": number})])

    async def _write(self, pieces: Iterable[bytes]) -> None:
        """One frame, whole; the lock around it keeps two frames apart and their views in order."""
        link = self._link
        for piece in pieces:
            if link is None or link.is_closing():
                return  # its death is told to all at once, in _serve
            link.write(piece)
            with contextlib.suppress(ConnectionError):
                await link.drain()

    def _kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def _serve(self) -> None:
        """Start a worker, hear it out, and start the next when it dies."""
        pause = 0.05
        while not self._is_stopping:
            async with self._worker() as stream:
                if await self._hear(stream):
                    pause = 0.05
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    @contextlib.asynccontextmanager
    async def _worker(self) -> AsyncIterator[asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = _spawn(theirs.fileno(), self._memory, self._running)
        stream, self._link = await asyncio.open_connection(sock=ours, limit=_PIECE)
        try:
            yield stream
        finally:
            self._up.clear()
            self.held.clear()
            link, self._link = self._link, None
            process, self.process = self.process, None
            self._tell_of_death()
            link.close()
            await asyncio.shield(asyncio.to_thread(_reaped, process))

    async def _hear(self, stream: asyncio.StreamReader) -> bool:
        """Hand out frames until the worker is gone; True when it had come up at all."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header_length, body_length = LENGTHS.unpack(await stream.readexactly(LENGTHS.size))
                header = loaded(await stream.readexactly(header_length))
                self._hand_out(header, await stream.readexactly(body_length))
        return self._up.is_set()

    def _hand_out(self, header: dict[str, Any], body: bytes) -> None:
        if "confinement" in header:
            self._confinement = Confinement(header["confinement"], header["reason"])
            self._up.set()
            return
        for key in header["dropped"]:
            self.held.pop(key, None)
        future, _ = self._asked.get(header["number"], (None, False))
        if future is not None and not future.done():
            future.set_result((header, body))

    def _tell_of_death(self) -> None:
        for future, had_documents in self._asked.values():
            if future.done():
                continue
            if self._is_stopping:
                future.set_exception(Busy("The host is stopping.", retry_after=5))
            elif had_documents:
                future.set_exception(LimitReached("The query's worker ended before it had an answer.", limit="engine"))
            else:
                future.set_exception(NotHeld("the worker was replaced"))


def _answer(question: Question, header: dict[str, Any], body: bytes) -> Answer:
    if "not_held" in header:
        raise NotHeld(question.key)
    refused = refusal(header)
    if refused is not None:
        raise refused
    return Answer(body, question.format, header["rows"], header["milliseconds"], header["cold"])


def _pieces(number: int, question: Question) -> Iterator[bytes]:
    """A question's frame, in pieces of about a mebibyte."""
    documents = question.documents
    rows = None if documents is None else [(each.iri, each.syntax.name, len(each.body)) for each in documents]
    length = sum(len(each.body) for each in documents or ())
    gathered = [head({**asdict(_ask(number, question)), "documents": rows}, length)]
    size = len(gathered[0])
    for each in documents or ():
        gathered.append(each.body)
        size += len(each.body)
        if size > _PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def _ask(number: int, question: Question) -> Ask:
    scope = scope_of(question.query, question.dataset)
    return Ask(
        number=number,
        key=question.key,
        token=question.token,
        text=question.query.text,
        uses_graph=question.query.uses_graph,
        union=scope.union,
        default=scope.default,
        named=scope.named,
        base=question.query.base,
        media_type=question.format,
        seconds=question.seconds,
        memory=question.memory,
    )


def _spawn(link: int, memory: int, running: int) -> subprocess.Popen[bytes]:
    """A worker process with an environment of its own: it knows where modules are and nothing else of the host."""
    modules = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(  # noqa: S603 - this interpreter, on constant arguments
        [sys.executable, "-c", _START, str(link), str(os.getpid()), str(memory), str(running)],
        pass_fds=(link,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={"PYTHONPATH": modules, "LANG": "C.UTF-8"},
    )


def _reaped(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
