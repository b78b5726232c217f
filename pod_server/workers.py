"""The pool of parsing workers: bytes in, bytes or frozen values out, in processes that can be limited and killed.

Called by pod.py, landing/ and web/ for whatever takes more than about two milliseconds of CPU or meets a parser with
untrusted bytes.  A worker imports and warms what its jobs need, then gives up files and sockets (confine.py) and the
host's environment; a job that outlives its seconds, its memory or its engine costs one process, which is replaced.
This file must never run a job in the host's own process.

Measured: pebble adds 0.3 ms to a job; its three threads in the host sleep but for ten looks a second each.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import multiprocessing.context
import multiprocessing.process
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as JobTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from pod_server.confine import Confinement, address_space_of, confine, die_with, limit, open_statm
from pod_server.errors import Busy, LimitReached

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_FILES: Final = 64
_BY_SIGNAL: Final = {-signal.SIGABRT: "memory", -signal.SIGKILL: "memory", -signal.SIGXCPU: "time"}


@dataclass(frozen=True, slots=True)
class _Setting:
    parent: int
    preload: tuple[str, ...]
    memory: int


class Workers:
    """A fixed number of parsing processes."""

    def __init__(
        self, count: int = 2, *, preload: tuple[str, ...] = (), waiting: int = 256, memory: int = 1 << 30
    ) -> None:
        """preload: "module" or "module:function", imported and called in each worker before it is confined.

        A module of a job, or one that a job imports late, that is not among them cannot be loaded any more.
        waiting: jobs that may wait beside those that run.  memory: bytes that a job may add to a fresh worker.
        """
        self._count = count
        self._most = count + waiting
        self._setting = _Setting(os.getpid(), preload, memory)
        self._pool: ProcessPool | None = None
        self._asked = 0

    def start(self) -> None:
        """Start the processes; returns at once, early jobs wait for them."""
        self._pool = self._new_pool()

    async def stop(self) -> None:
        """End the processes; jobs under way get Busy."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(_closed, pool)

    async def run(
        self, job: Callable[_Arguments, _Result], *arguments: _Arguments.args, seconds: float = 10.0, **_: object
    ) -> _Result:
        """What a module-level function returns for these arguments; all of them pickle.

        seconds: wall time from when a worker takes the job.  Raises the PodError that the job raised, LimitReached
        (limit: "time", "memory" or "engine") when its worker was killed or died, Busy when too many wait.  Any other
        exception of the job is a defect and comes through as it is.
        """
        if self._asked >= self._most:
            raise Busy("Too many jobs are waiting.", retry_after=1)
        self._asked += 1
        try:
            return await self._tried(job, arguments, seconds)
        finally:
            self._asked -= 1

    async def _tried(self, job: Callable[..., _Result], arguments: tuple[Any, ...], seconds: float) -> _Result:
        pool = self._pool
        if pool is None:
            raise Busy("The workers are not running.", retry_after=5)
        try:
            return await _scheduled(pool, job, arguments, seconds)
        except (BrokenProcessPool, asyncio.CancelledError):
            if self._pool is pool and not pool.active:
                self._replace(pool)
            if self._pool is None:
                raise Busy("The host is stopping.", retry_after=5) from None
            raise

    async def confinement(self) -> Confinement:
        """What holds for a worker, as it finds itself."""
        return await self.run(_confined)

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are alive."""
        return [child.pid for child in multiprocessing.active_children() if child.pid and child.name in _NAMES]
