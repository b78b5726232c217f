"""Reads by others that wait for their pod's next commit, or for the moment when they must not wait any longer.

Touched by one writer's thread alone.  Equal reads of a minute are one while
they wait; what does not fit into memory is counted, never silently dropped.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from pod_server.store.contract import Reading
from pod_server.store.readlog import Key, key_of, lost, merged
from pod_server.terms import PodId

LIMIT = 100_000
BATCH = 2_000
"""Rows that one commit takes at most, so that a write never waits for all reads of a long refusal."""
FLUSH_SECONDS = 0.1
"""How long a read waits for a commit that it could ride; the contract's 200 ms leave time for the commit itself."""
RETRY_SECONDS = 5.0


@dataclass(slots=True)
class _Pod:
    """due: when its rows must be written (monotonic seconds).  is_retry: a commit refused them before."""

    due: float
    is_retry: bool = False
    rows: dict[Key, Reading] = field(default_factory=dict)
    lost: Reading | None = None


class WaitingReads:
    """The reads that wait, by pod."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.pods: dict[PodId, _Pod] = {}
        self._dues: list[tuple[float, PodId]] = []
        self._limit = limit
        self._rows = 0

    def add(self, pod: PodId, reading: Reading, due: float) -> None:
        """Take a read; beyond the limit only its count is kept."""
        waiting = self.pods.get(pod) or self._new(pod, _Pod(due))
        key = key_of(reading)
        before = waiting.rows.get(key)
        if before is not None:
            waiting.rows[key] = merged(before, reading)
        elif self._rows < self._limit and reading.act != "lost":
            waiting.rows[key] = reading
            self._rows += 1
        else:
            gone = lost(reading.at, reading.count)
            waiting.lost = merged(waiting.lost, gone) if waiting.lost else gone

    def next_due(self) -> tuple[float, PodId] | None:
        """The pod whose reads must be written first, and when (monotonic seconds)."""
        while self._dues:
            due, pod = self._dues[0]
            waiting = self.pods.get(pod)
            if waiting is not None and waiting.due == due:
                return due, pod
            heapq.heappop(self._dues)
        return None

    def may_ride(self, pod: PodId) -> bool:
        """Whether reads wait that may go with an append: no commit has refused them before."""
        waiting = self.pods.get(pod)
        return waiting is not None and not waiting.is_retry

    def take(self, pod: PodId) -> list[Reading]:
        """The reads of a pod, as many as fit into one commit; the rest is due at once."""
        waiting = self.pods[pod]
        taken = list(islice(waiting.rows, BATCH))
        readings = [waiting.rows.pop(key) for key in taken]
        self._rows -= len(taken)
        if not waiting.rows:
            del self.pods[pod]
            readings += [waiting.lost] if waiting.lost else []
        return readings

    def put_back(self, pod: PodId, readings: Iterable[Reading], due: float) -> None:
        """Reads that could not be written wait again, and go alone when their time comes."""
        waiting = self.pods.get(pod) or self._new(pod, _Pod(due))
        waiting.is_retry, waiting.due = True, due
        heapq.heappush(self._dues, (due, pod))
        for reading in readings:
            self.add(pod, reading, due)

    def _new(self, pod: PodId, waiting: _Pod) -> _Pod:
        self.pods[pod] = waiting
        heapq.heappush(self._dues, (waiting.due, pod))
        return waiting
