"""What was read elsewhere, remembered for a while: bounded, and each thing read by one task at a time.

Called by external.py.  A failure is remembered too, for a shorter time, so
that a slow or broken issuer costs one attempt and not one per request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from pod_server.errors import Unauthenticated

Value = TypeVar("Value")
LIFE: Final = 300.0
"""Seconds for which a document read elsewhere is believed."""
FAILURE_LIFE: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Value]):
    read_at: float
    until: float
    value: Value | Unauthenticated


class Remembered(Generic[Value]):
    """A cache in front of ``load``, which raises Unauthenticated for what cannot be read or believed."""

    def __init__(self, load: Callable[[str], Awaitable[Value]], clock: Callable[[], float], limit: int = 512) -> None:
        self._load = load
        self._clock = clock
        self._limit = limit
        self._entries: dict[str, _Entry[Value]] = {}
        self._pending: dict[str, asyncio.Task[Value]] = {}

    async def get(self, key: str, *, older_than: float = 0.0) -> Value:
        """The value, read when it is not known or stale; raises what ``load`` raises.

        older_than: read again when what is known was read longer ago than so
        many seconds; 0 means as long as it lives.
        """
        now = self._clock()
        entry = self._entries.get(key)
        if entry is None or entry.until <= now or (older_than and now - entry.read_at > older_than):
            return await self._read(key)
        if isinstance(entry.value, Unauthenticated):
            raise Unauthenticated(entry.value.detail, **entry.value.fields)
        return entry.value

    async def _read(self, key: str) -> Value:
        task = self._pending.get(key)
        if task is None:
            task = asyncio.create_task(self._load_and_keep(key))
            self._pending[key] = task
            task.add_done_callback(lambda done: self._settle(key, done))
        return await asyncio.shield(task)  # one caller that leaves must not take the others' answer away

    def _settle(self, key: str, task: asyncio.Task[Value]) -> None:
        self._pending.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen here, in case every caller has left

    async def _load_and_keep(self, key: str) -> Value:
        try:
            value = await self._load(key)
        except Unauthenticated as error:
            self._keep(key, error, FAILURE_LIFE)
            raise
        self._keep(key, value, LIFE)
        return value

    def _keep(self, key: str, value: Value | Unauthenticated, life: float) -> None:
        self._entries.pop(key, None)
        if len(self._entries) >= self._limit:
            del self._entries[next(iter(self._entries))]
        now = self._clock()
        self._entries[key] = _Entry(now, now + life, value)
