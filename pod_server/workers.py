"""The pool of parsing workers: bytes in, bytes or frozen values out, in processes that can be limited and killed.

Called by pod.py, landing/ and web/ for whatever takes more than about two milliseconds of CPU or meets a parser with
untrusted bytes.  A worker imports and warms what its jobs need, then gives up files and sockets (confine.py) and the
host's environment; a job that outlives its seconds, its memory or its engine costs one process, which is replaced.
This file must never run a job in the host's own process.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, Final, TypeVar

from pebble import ProcessExpired, ProcessPool

from pod_server.confine import Confinement, address_space_of, confine, die_with, limit, open_statm
from pod_server.errors import Busy, LimitReached

_Result = TypeVar("_Result")

_FILES: Final = 64
_NICENESS: Final = 5
_STOPPING: Final = "The host is stopping."
_BY_SIGNAL: Final[dict[int, str]] = {-signal.SIGABRT: "memory", -signal.SIGKILL: "memory", -signal.SIGXCPU: "time"}


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a new worker is told: the host's process id, what to import, and bytes it may add to what that takes."""

    parent: int
    preload: tuple[str, ...]
    memory: int


class Workers:
    """A fixed number of parsing processes."""

    def __init__(
        self, count: int = 2, *, preload: tuple[str, ...] = (), waiting: int = 256, memory: int = 1 << 30
    ) -> None:
        """preload: "module" or "module:function", imported and called in each worker before it is confined.

        What is not reached from these cannot be imported later: a confined worker opens no file.  waiting: jobs that
        may wait beside those that run.  memory: bytes that jobs may add to a fresh worker.
        """
        self._count = count
        self._most = count + waiting
        self._setting = _Setting(os.getpid(), preload, memory)
        self._pool: ProcessPool | None = None
        self._asked: set[asyncio.Future[Any]] = set()

    def start(self) -> None:
        """Start the processes; does not wait until they are up: early jobs do."""
        self._pool = self._new_pool()

    async def stop(self) -> None:
        """End the processes; jobs under way raise Busy."""
        pool, self._pool = self._pool, None
        for future in tuple(self._asked):
            future.cancel()
        if pool is not None:
            await asyncio.to_thread(_close, pool)

    async def run(self, job: Callable[..., _Result], *arguments: Any, seconds: float = 10.0) -> _Result:
        """What a module-level function returns for these arguments; all of them pickle.

        seconds: wall time from when a worker takes the job.  Raises the PodError that the job raised, LimitReached
        (limit: "time", "memory" or "engine") when its worker was killed or died, Busy when too many wait.  Any other
        exception of a job is a defect and comes through as it is.
        """
        try:
            return await self._result(job, arguments, seconds)
        except BrokenProcessPool:  # a worker died between two jobs, and took its idle pool along: not this job's fault
            return await self._result(job, arguments, seconds)

    async def _result(self, job: Callable[..., _Result], arguments: tuple[Any, ...], seconds: float) -> _Result:
        if len(self._asked) >= self._most:
            raise Busy("Too many jobs are waiting.", retry_after=1)
        pool = self._living_pool()
        future = asyncio.wrap_future(pool.schedule(job, args=arguments, timeout=seconds))
        self._asked.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            if self._pool is None:
                raise Busy(_STOPPING, retry_after=5) from None
            raise
        except TimeoutError:
            raise LimitReached(f"The work took longer than {seconds:g} seconds.", limit="time") from None
        except MemoryError:
            raise _died("memory") from None
        except ProcessExpired as error:
            raise _died(_BY_SIGNAL.get(error.exitcode, "engine")) from None
        finally:
            self._asked.discard(future)

    def _living_pool(self) -> ProcessPool:
        """The pool, or a new one in place of one that broke."""
        if self._pool is None:
            raise Busy(_STOPPING, retry_after=5)
        if not self._pool.active:
            broken, self._pool = self._pool, self._new_pool()
            threading.Thread(target=_close, args=(broken,), daemon=True).start()
        return self._pool

    def _new_pool(self) -> ProcessPool:
        pool = ProcessPool(self._count, initializer=_settle, initargs=(self._setting,), context=_Context())
        assert pool.active  # noqa: S101 - asking is what starts its processes
        return pool

    async def confinement(self) -> Confinement:
        """What holds for the workers, as one of them finds itself."""
        return await self.run(_own_confinement)


def _close(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]  # pebble leaves it unannotated
    pool.join()


def _died(reached: str) -> LimitReached:
    return LimitReached("The work was more than a worker can hold; its process ended.", limit=reached)


class _Process(SpawnProcess):
    """A spawned process that does not run the host's main module again: that would load the whole host."""

    def start(self) -> None:
        with _main_left_out():
            super().start()


class _Context(SpawnContext):
    """The spawn context with our process; pebble starts its workers through it."""

    Process = _Process


_main_lock = threading.Lock()


@contextmanager
def _main_left_out() -> Iterator[None]:
    """An empty main module for the moment in which multiprocessing notes which one a child has to load."""
    with _main_lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


_state: list[Confinement] = []
"""In a worker: what it could give up."""


def _settle(setting: _Setting) -> None:
    """Make a fresh process a worker: die with the host, load what jobs need, then give up everything else."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # pebble's handler waits for an engine to come back to Python
    die_with(setting.parent)
    os.nice(_NICENESS)
    for name in setting.preload:
        module, _, function = name.partition(":")
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    os.environ.clear()
    statm = open_statm()
    used = address_space_of(statm)
    limit(address_space=used + setting.memory if used else None, files=_FILES)
    _state.append(confine(leaf=True))
    gc.collect()
    gc.freeze()


def _own_confinement() -> Confinement:
    return _state[0] if _state else Confinement("none", "this process is no worker")
