"""Whose question comes next: callers in turn, so that one caller's heavy ones never hold up another's.

Called by views.py, one queue for each worker.  A caller has at most half of
the places that run at once; its further questions wait behind its own alone.
It starts nothing and knows no question.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pod_server.errors import Busy


class Turns:
    """Places at once, and the callers who wait for one.  waiting: how many may wait, of all callers together."""

    def __init__(self, places: int, waiting: int) -> None:
        self._free = places
        self._share = max(1, places // 2)
        self._most = waiting
        self._running: Counter[str] = Counter()
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """A place of a caller's own while the block runs; waits for it.  Raises Busy when too many wait."""
        await self._wait(caller)
        try:
            yield
        finally:
            self._leave(caller)

    async def _wait(self, caller: str) -> None:
        if self._may_run(caller) and caller not in self._queues:
            self._enter(caller)
            return
        if sum(map(len, self._queues.values())) >= self._most:
            raise Busy("Too many queries are waiting.", retry_after=1)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave(caller)  # the place was given while its caller was going away
            else:
                self._forget(caller, place)
            raise

    def _may_run(self, caller: str) -> bool:
        return self._free > 0 and self._running[caller] < self._share

    def _enter(self, caller: str) -> None:
        self._free -= 1
        self._running[caller] += 1

    def _leave(self, caller: str) -> None:
        self._free += 1
        self._running[caller] -= 1
        if not self._running[caller]:
            del self._running[caller]
        self._hand_on()

    def _hand_on(self) -> None:
        """Give free places to callers in turn: who was given one goes to the end."""
        while self._free:
            caller = next((each for each in self._queues if self._running[each] < self._share), None)
            if caller is None:
                return
            place = self._queues[caller].popleft()
            self._queues.move_to_end(caller)
            if not self._queues[caller]:
                del self._queues[caller]
            if not place.done():  # else its caller has just gone away
                self._enter(caller)
                place.set_result(None)

    def _forget(self, caller: str, place: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller)
        if queue is not None and place in queue:
            queue.remove(place)
            if not queue:
                del self._queues[caller]
