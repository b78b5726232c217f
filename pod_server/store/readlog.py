"""The log of reads by others: written with the pod's next commit, chained once its minute is over.

Called by the writer.  Equal reads within a minute are one row with a count; a
row takes its place in the hash chain when its minute has passed and its
count can no longer move.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

import apsw

from pod_server.store import chain
from pod_server.store.contract import Reading

Key = tuple[int, str | None, str | None, str, str]
"""What makes reads equal: minute, agent, client, act, target."""


def key_of(reading: Reading) -> Key:
    """Under which reads are counted together."""
    return int(reading.at // 60), reading.agent, reading.client, reading.act, reading.target


def merged(first: Reading, second: Reading) -> Reading:
    """Two reads as one, their counts and rows added up."""
    rows = None if first.rows is None and second.rows is None else (first.rows or 0) + (second.rows or 0)
    return Reading(
        first.at, first.agent, first.client, first.act, first.target, rows=rows, count=first.count + second.count
    )


def lost(at: float, count: int) -> Reading:
    """What the log says of reads that it could not keep: that there were so many."""
    return Reading(at, None, None, "lost", "", count=count)


def write(connection: apsw.Connection, readings: Iterable[Reading], now: float) -> None:
    """Add reads to the log, inside the writer's transaction, and seal what can no longer move."""
    sealed, head = _sealed(connection)
    rows = connection.execute(
        "SELECT sequence, minute, agent, client, act, target FROM reading WHERE sequence > ?", (sealed,)
    )
    counted: dict[Key, int] = {(minute, *who): sequence for sequence, minute, *who in rows}
    for reading in readings:
        key = key_of(reading)
        if key in counted:
            connection.execute(
                "UPDATE reading SET count = count + ?, rows = CASE WHEN ? IS NULL THEN rows"
                " ELSE ifnull(rows, 0) + ? END WHERE sequence = ?",
                (reading.count, reading.rows, reading.rows, counted[key]),
            )
        else:
            minute, *who = key
            connection.execute(
                "INSERT INTO reading (minute, at, agent, client, act, target, rows, count) VALUES (?,?,?,?,?,?,?,?)",
                (minute, reading.at, *who, reading.rows, reading.count),
            )
            counted[key] = connection.last_insert_rowid()
    _seal(connection, now, sealed, head)


def _sealed(connection: apsw.Connection) -> tuple[int, bytes]:
    """The last row of the chain; those after it can still be counted up."""
    row = connection.execute(
        "SELECT sequence, chain FROM reading WHERE chain IS NOT NULL ORDER BY sequence DESC LIMIT 1"
    ).fetchone()
    return (row[0], row[1]) if row else (0, chain.START)


def _seal(connection: apsw.Connection, now: float, sealed: int, head: bytes) -> None:
    """Chain the rows whose minute has passed, in order, up to the first that has not."""
    open_rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT sequence, minute, at, agent, client, act, target, rows, count FROM reading"
        " WHERE sequence > ? ORDER BY sequence",
        (sealed,),
    ).fetchall()
    for sequence, minute, *content in open_rows:
        if minute >= int(now // 60):
            break
        salt = secrets.token_bytes(16)
        row_digest = chain.digest(salt, [sequence, *content])
        head = chain.link(head, row_digest)
        connection.execute(
            "UPDATE reading SET salt = ?, digest = ?, chain = ? WHERE sequence = ?", (salt, row_digest, head, sequence)
        )
