"""The memory of DPoP proofs already used (RFC 9449, section 11.1).

Called by dpop.py, once per accepted proof.  It lives in this process alone:
one process owns a host, and a proof issued before the process started is
refused, since its first use may have been seen by a process that is gone.  It
never forgets a proof that could still be accepted: when full, it says Busy.
"""

from __future__ import annotations

import math

from pod_server.errors import Busy
from pod_server.identity.refusals import bad_proof

LEEWAY = 60.0
"""Seconds by which a proof's iat may lie in the past or the future."""

MAX_JTI = 128


class Replays:
    """The proofs seen within their window; 200,000 of them take about 40 MB.

    started: when this process began, in seconds since 1970.  Proofs carry
    whole seconds, so one of the very second of the start is accepted.  What
    stays open: a proof dated ahead of our clock and used before a restart.
    """

    def __init__(self, started: float, limit: int = 200_000) -> None:
        self._started = math.floor(started)
        self._limit = limit
        self._seen: set[str] = set()
        self._by_second: dict[int, list[str]] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, jkt: str, jti: str, iat: float, now: float) -> None:
        """Note a proof's first use; raises Unauthenticated on a second one, Busy when there is no room."""
        if iat < self._started:
            raise bad_proof("start", "The DPoP proof was issued before this host started; make a new one.")
        if self._swept != int(now):
            self._sweep(now)
        key = jkt + jti
        if key in self._seen:
            raise bad_proof("jti", "The DPoP proof has been used before.")
        if len(self._seen) >= self._limit:
            raise Busy("Too many DPoP proofs are remembered at the moment.", retry_after=5)
        self._seen.add(key)
        self._by_second.setdefault(int(iat), []).append(key)

    def _sweep(self, now: float) -> None:
        self._swept = int(now)
        for second in [second for second in self._by_second if second + 1 + LEEWAY < now]:
            self._seen.difference_update(self._by_second.pop(second))
