"""The check-up of a pod: everything that can be told from its folder alone, beside a host that goes on writing.

Called by the store and the CLI.  Rows are of one position; files of large
bodies are looked at afterwards, in pieces, and looked up again before one is
called missing: the host may just have let it go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import apsw

from pod_server.store import chain
from pod_server.store.bodies import file_of, left_over
from pod_server.store.contract import Finding
from pod_server.store.files import open_reader
from pod_server.store.schema import POD_APPLICATION_ID, POD_STEPS

POD_FILE = "pod.sqlite"


def verify_pod(folder: FilePath) -> Sequence[Finding]:
    """What is wrong with a pod; empty when all is well."""
    file = folder / POD_FILE
    if not file.exists():
        return [Finding(POD_FILE, "The pod's file is missing.")]
    findings: list[Finding] = []
    try:
        connection = open_reader(file)
        try:
            _look(connection, folder, findings)
        finally:
            connection.close()
    except (apsw.Error, OSError) as error:
        findings.append(Finding(POD_FILE, f"The pod cannot be read: {error}."))
    return findings


def unnamed(folder: FilePath, now: float) -> int:
    """How many files of bodies no row names, and no upload can still need: the host will remove them."""
    connection = open_reader(folder / POD_FILE)
    try:
        return sum(1 for _ in left_over(folder, now, lambda hash_: _is_in_file(connection, hash_)))
    finally:
        connection.close()


@dataclass(slots=True)
class _Large:
    """Large bodies by their rows: hash and size."""

    rows: list[tuple[str, int]] = field(default_factory=list)


def _look(connection: apsw.Connection, folder: FilePath, findings: list[Finding]) -> None:
    large = _Large()
    connection.execute("BEGIN")
    try:
        for finding in _findings(connection, large):
            findings.append(finding)  # noqa: PERF402 - what was found stays when the next look fails
    finally:
        connection.execute("COMMIT")
    findings.extend(_check_files(connection, folder, large.rows))


def _findings(connection: apsw.Connection, large: _Large) -> Iterator[Finding]:
    if connection.pragma("application_id") != POD_APPLICATION_ID:
        yield Finding(POD_FILE, "The file is not a pod's.")
    if connection.pragma("user_version") > len(POD_STEPS):
        yield Finding(POD_FILE, "The file has a newer format than this program knows.")
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield Finding(POD_FILE, f"SQLite says: {message}")
    yield from _check_bodies(connection, large)
    yield from _check_uses(connection)
    yield from _check_changes(connection)
    yield from _check_readings(connection)
    yield from _check_tree(connection)


def _check_bodies(connection: apsw.Connection, large: _Large) -> Iterator[Finding]:
    for hash_, size, data in connection.execute("SELECT hash, size, bytes FROM body"):
        if data is None:
            large.rows.append((hash_, size))
        elif len(data) != size or hashlib.sha256(data).hexdigest() != hash_:
            yield Finding(f"body {hash_}", "Stored bytes differ from what was written.")


def _check_uses(connection: apsw.Connection) -> Iterator[Finding]:
    rows = connection.execute("SELECT body, count(*) FROM resource WHERE body IS NOT NULL GROUP BY body")
    uses: dict[str, int] = {hash_: count for hash_, count in rows}  # noqa: C416 - the cursor's rows are untyped
    rows = connection.execute("SELECT hash, uses FROM body WHERE uses > 0")
    counted: dict[str, int] = {hash_: count for hash_, count in rows}  # noqa: C416
    for hash_ in uses.keys() | counted.keys():
        if uses.get(hash_, 0) != counted.get(hash_, 0):
            yield Finding(f"body {hash_}", f"Counted {counted.get(hash_, 0)} times, used {uses.get(hash_, 0)} times.")


def _check_files(connection: apsw.Connection, folder: FilePath, rows: Iterable[tuple[str, int]]) -> Iterator[Finding]:
    for hash_, size in rows:
        try:
            with file_of(folder, hash_).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                is_whole = file.tell() == size and found == hash_
        except FileNotFoundError:
            if _is_in_file(connection, hash_):
                yield Finding(f"bodies/{hash_}", "The file of a large body is missing.")
        else:
            if not is_whole:
                yield Finding(f"body {hash_}", "Stored bytes differ from what was written.")


def _is_in_file(connection: apsw.Connection, hash_: str) -> bool:
    row = connection.execute("SELECT 1 FROM body WHERE hash = ? AND bytes IS NULL", (hash_,)).fetchone()
    return row is not None


def _check_changes(connection: apsw.Connection) -> Iterator[Finding]:
    head, expected = chain.START, 1
    for position, salt, row_digest, link, *content in connection.execute(
        "SELECT position, salt, digest, chain, position, at, agent, client, act, path, body, size, cause"
        " FROM change ORDER BY position"
    ):
        if position != expected:
            yield Finding(f"change {expected}", "A row of the log is missing.")
        expected = position + 1
        yield from _check_row(f"change {position}", head, (salt, row_digest, link), content)
        head = link


def _check_readings(connection: apsw.Connection) -> Iterator[Finding]:
    head, expected = chain.START, 1
    for sequence, salt, row_digest, link, *content in connection.execute(
        "SELECT sequence, salt, digest, chain, sequence, at, agent, client, act, target, rows, count FROM reading"
        " ORDER BY sequence"
    ):
        if sequence != expected:
            yield Finding(f"reading {expected}", "A row of the read log is missing.")
        expected = sequence + 1
        if link is not None:
            yield from _check_row(f"reading {sequence}", head, (salt, row_digest, link), content)
            head = link


def _check_row(
    where: str, head: bytes, seals: tuple[bytes | None, bytes, bytes], content: list[object]
) -> Iterator[Finding]:
    salt, row_digest, link = seals
    if salt is not None and chain.digest(salt, content) != row_digest:
        yield Finding(where, "The row was altered after it was written.")
    if chain.link(head, row_digest) != link:
        yield Finding(where, "The chain is broken here: a row was altered, removed or moved.")


def _check_tree(connection: apsw.Connection) -> Iterator[Finding]:
    for (path,) in connection.execute(
        "SELECT path FROM resource WHERE parent != '' AND parent NOT IN (SELECT path FROM resource)"
    ):
        yield Finding(path, "The container that should hold this resource is missing.")
