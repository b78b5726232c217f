"""The log of reads by others: gathered in memory, written with the pod's next commit, chained once its minute is over.

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

_Key = tuple[int, str | None, str | None, str, str]


def gather(readings: Iterable[Reading]) -> dict[_Key, Reading]:
    """Equal reads of a minute as one, with their counts and rows added up."""
    gathered: dict[_Key, Reading] = {}
    for reading in readings:
        key = (int(reading.at // 60), reading.agent, reading.client, reading.act, reading.target)
        before = gathered.get(key)
        gathered[key] = _merged(before, reading) if before else reading
    return gathered


def write(connection: apsw.Connection, readings: Iterable[Reading], now: float) -> None:
    """Add reads to the log, inside the writer's transaction, and seal what can no longer move."""
    for (minute, *who), reading in gather(readings).items():
        row = connection.execute(
            "SELECT sequence FROM reading WHERE chain IS NULL AND minute = ? AND agent IS ? AND client IS ?"
            " AND act = ? AND target = ?",
            (minute, *who),
        ).fetchone()
        if row:
            connection.execute(
                "UPDATE reading SET count = count + ?, rows = CASE WHEN ? IS NULL THEN rows"
                " ELSE ifnull(rows, 0) + ? END WHERE sequence = ?",
                (reading.count, reading.rows, reading.rows, row[0]),
            )
        else:
            connection.execute(
                "INSERT INTO reading (minute, at, agent, client, act, target, rows, count) VALUES (?,?,?,?,?,?,?,?)",
                (minute, reading.at, *who, reading.rows, reading.count),
            )
    seal(connection, now)


def seal(connection: apsw.Connection, now: float) -> None:
    """Chain the rows whose minute has passed, in order, up to the first that has not."""
    open_rows: list[tuple[Any, ...]] = connection.execute(
        "SELECT sequence, minute, at, agent, client, act, target, rows, count FROM reading"
        " WHERE chain IS NULL ORDER BY sequence"
    ).fetchall()
    row = connection.execute("SELECT chain FROM reading WHERE chain IS NOT NULL ORDER BY sequence DESC LIMIT 1")
    head = (row.fetchone() or (chain.START,))[0]
    for sequence, minute, *content in open_rows:
        if minute >= int(now // 60):
            break
        salt = secrets.token_bytes(16)
        row_digest = chain.digest(salt, [sequence, *content])
        head = chain.link(head, row_digest)
        connection.execute(
            "UPDATE reading SET salt = ?, digest = ?, chain = ? WHERE sequence = ?", (salt, row_digest, head, sequence)
        )


def _merged(first: Reading, second: Reading) -> Reading:
    rows = None if first.rows is None and second.rows is None else (first.rows or 0) + (second.rows or 0)
    return Reading(
        first.at, first.agent, first.client, first.act, first.target, rows=rows, count=first.count + second.count
    )
