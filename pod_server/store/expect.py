"""What a decision rested on, looked at again inside the writer's transaction (DESIGN law 2).

Called by the writer before an append's edits.  A difference in the caller's
own condition is ConditionFailed; any other is Moved, upon which pod.py
decides again from a new snapshot.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from pod_server.errors import ConditionFailed
from pod_server.store.contract import Append, Exists, Expectation, Governed, Moved, Version
from pod_server.store.tree import governing
from pod_server.terms import PodId, acl_of

OtherVersion = Callable[[PodId, str], int | None]


def check(connection: apsw.Connection, append: Append, now: float, other_version: OtherVersion) -> None:
    """Raises Moved or ConditionFailed when one expectation of the append does not hold.

    now: seconds since 1970; a decision that expired on the way is Moved.
    """
    if now >= append.until:
        raise Moved("The decision expired while the write waited.")
    for row in append.deliveries:
        if connection.execute("SELECT 1 FROM delivery WHERE key = ?", (row.key,)).fetchone():
            raise Moved("This item has been delivered meanwhile.")
    for expectation in append.expectations:
        _check_one(connection, expectation, other_version)


def _check_one(connection: apsw.Connection, expectation: Expectation, other_version: OtherVersion) -> None:
    if isinstance(expectation, Governed):
        found = governing(connection, expectation.path)[0]
        if found != expectation.policy or _version(connection, acl_of(found)) != expectation.position:
            raise Moved("The access rules changed while the write waited.")
    elif isinstance(expectation, Exists):
        if (_version(connection, expectation.path) is not None) != expectation.exists:
            raise Moved("The resource came or went while the write waited.")
    else:
        _check_version(connection, expectation, other_version)


def _check_version(connection: apsw.Connection, expected: Version, other_version: OtherVersion) -> None:
    if expected.pod is not None:
        found = other_version(expected.pod, expected.path)
    else:
        found = _version(connection, expected.path)
    if found == expected.version:
        return
    if expected.strict:
        raise ConditionFailed("The resource is no longer what the request's condition says.", path=expected.path)
    raise Moved("What the decision rested on changed while the write waited.")


def _version(connection: apsw.Connection, path: str) -> int | None:
    row = connection.execute("SELECT version FROM resource WHERE path = ?", (path,)).fetchone()
    return row[0] if row else None
