"""A pod's copy and its check-up: backup, restore, verify.

Called by the store and the CLI.  A backup is of one position (SQLite's online
backup in one read transaction), large bodies are linked by hash; the next
backup into the same folder copies only pods that moved and bodies it lacks.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath

import apsw

from pod_server.store import chain
from pod_server.store.contract import Finding
from pod_server.store.files import make_folder, open_reader, sync_file, sync_folder
from pod_server.store.schema import POD_APPLICATION_ID, POD_STEPS
from pod_server.terms import Position

POD_FILE = "pod.sqlite"


def copy_pod(folder: FilePath, target: FilePath) -> Position:
    """Copy a pod as of one position; nothing is written when the target is at that position already."""
    make_folder(target / "bodies")
    source = open_reader(folder / POD_FILE)
    try:
        position = _position(source)
        if (target / POD_FILE).exists() and _marker(target) == _state(source):
            return position
        aside = target / f".{POD_FILE}"
        aside.unlink(missing_ok=True)
        copy = apsw.Connection(str(aside))
        with copy.backup("main", source, "main") as work:
            work.step(-1)
        copy.execute("PRAGMA journal_mode = DELETE")
        position, state = _position(copy), _state(copy)
        hashes = [row[0] for row in copy.execute("SELECT hash FROM body WHERE bytes IS NULL")]
        copy.close()
    finally:
        source.close()
    _copy_bodies(folder, target, hashes)
    sync_file(aside)
    aside.rename(target / POD_FILE)
    (target / "state").write_text(state)
    sync_folder(target)
    return position


def _copy_bodies(folder: FilePath, target: FilePath, hashes: Sequence[str]) -> None:
    for hash_ in hashes:
        copy = target / "bodies" / hash_
        if not copy.exists():
            shutil.copyfile(folder / "bodies" / hash_, copy.with_suffix(".part"))
            sync_file(copy.with_suffix(".part"))
            copy.with_suffix(".part").rename(copy)
    for stale in (target / "bodies").iterdir():
        if stale.name not in hashes:
            stale.unlink()


def _position(connection: apsw.Connection) -> Position:
    [(position,)] = connection.execute("SELECT ifnull(max(position), 0) FROM change")
    return Position(position)


def _state(connection: apsw.Connection) -> str:
    """What tells one state of a pod from another: position, verdicts, reads."""
    [row] = connection.execute(
        "SELECT (SELECT ifnull(max(position), 0) FROM change), (SELECT ifnull(max(id), 0) FROM delivery),"
        " (SELECT ifnull(max(sequence), 0) || '.' || ifnull(sum(count), 0) FROM reading)"
    )
    return "/".join(map(str, row))


def _marker(target: FilePath) -> str:
    state = target / "state"
    return state.read_text() if state.exists() else ""


def verify_pod(folder: FilePath) -> Sequence[Finding]:
    """Everything that can be told from the folder alone; empty when all is well."""
    file = folder / POD_FILE
    if not file.exists():
        return [Finding(POD_FILE, "The pod's file is missing.")]
    connection = open_reader(file)
    try:
        return list(_findings(connection, folder))
    except apsw.Error as error:
        return [Finding(POD_FILE, f"The file cannot be read: {error}.")]
    finally:
        connection.close()


def _findings(connection: apsw.Connection, folder: FilePath) -> Iterator[Finding]:
    if connection.pragma("application_id") != POD_APPLICATION_ID:
        yield Finding(POD_FILE, "The file is not a pod's.")
    if connection.pragma("user_version") > len(POD_STEPS):
        yield Finding(POD_FILE, "The file has a newer format than this program knows.")
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield Finding(POD_FILE, f"SQLite says: {message}")
    yield from _check_bodies(connection, folder)
    yield from _check_changes(connection)
    yield from _check_readings(connection)
    yield from _check_tree(connection)


def _check_bodies(connection: apsw.Connection, folder: FilePath) -> Iterator[Finding]:
    for hash_, size, data in connection.execute("SELECT hash, size, bytes FROM body"):
        if data is None:
            file = folder / "bodies" / hash_
            if not file.exists():
                yield Finding(f"bodies/{hash_}", "The file of a large body is missing.")
                continue
            data = file.read_bytes()  # noqa: PLW2901 - from here on both kinds are checked alike
        if len(data) != size or hashlib.sha256(data).hexdigest() != hash_:
            yield Finding(f"body {hash_}", "Stored bytes differ from what was written.")
    rows = connection.execute("SELECT body, count(*) FROM resource WHERE body IS NOT NULL GROUP BY body")
    uses: dict[str, int] = {hash_: count for hash_, count in rows}  # noqa: C416 - the cursor's rows are untyped
    rows = connection.execute("SELECT hash, uses FROM body WHERE uses > 0")
    counted: dict[str, int] = {hash_: count for hash_, count in rows}  # noqa: C416
    for hash_ in uses.keys() | counted.keys():
        if uses.get(hash_, 0) != counted.get(hash_, 0):
            yield Finding(f"body {hash_}", f"Counted {counted.get(hash_, 0)} times, used {uses.get(hash_, 0)} times.")


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


def restore_pod(source: FilePath, folder: FilePath) -> None:
    """Put a backed-up pod into a data folder that does not have it; a new incarnation makes old ETags void."""
    make_folder(folder.parent)
    aside = folder.parent / f".restore-{folder.name}"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(source, aside, ignore=shutil.ignore_patterns("state"))
    connection = apsw.Connection(str(aside / POD_FILE))
    connection.execute("UPDATE pod SET value = lower(hex(randomblob(16))) WHERE key = 'incarnation'")
    connection.close()
    for name in (POD_FILE, *(f"bodies/{entry.name}" for entry in (aside / "bodies").iterdir())):
        sync_file(aside / name)
    aside.rename(folder)
    sync_folder(folder.parent)
