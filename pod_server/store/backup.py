"""Copies of a host's pods: backup and restore.

Called by the store and the CLI.  A pod's copy is of one position (SQLite's
online backup in one read transaction), large bodies are linked by hash; the
next backup into the same folder copies only pods that moved and bodies it
lacks.  The pods of a backup are those of its host.db, which is copied before
them and takes its place after them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import apsw

from pod_server.errors import Conflict, Corrupt, Missing, PodError
from pod_server.store.checkup import POD_FILE
from pod_server.store.contract import Finding
from pod_server.store.files import make_folder, open_reader, refusal, sync_file, sync_folder
from pod_server.store.host import PodRow
from pod_server.store.schema import check_pod
from pod_server.terms import PodId, Position

HOST_FILE = "host.db"
RESTORING = "restoring"
"""A file that stands in a data folder as long as a restore into it has not come to its end."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Tally:
    """pods: how many there are.  failures: those that could not be copied, by name, each with its reason."""

    pods: int
    failures: tuple[Finding, ...]


def folder_in(data: FilePath, pod: PodId) -> FilePath:
    """Where a data folder keeps a pod."""
    return data / "pods" / pod[:2] / pod


def pods_of(data: FilePath) -> Sequence[PodRow]:
    """The pods of a data folder or of a backup, read without making anything.  Raises Missing, Corrupt."""
    if not (data / HOST_FILE).exists():
        raise Missing(f"There is no {HOST_FILE} in {data}.")
    return _pods_in(data / HOST_FILE)


def _pods_in(file: FilePath) -> Sequence[PodRow]:
    with _in_one_sentence(file):
        connection = open_reader(file)
        try:
            rows: list[Any] = connection.execute("SELECT id, name, owner, created FROM pod ORDER BY name").fetchall()
        finally:
            connection.close()
    return [PodRow(*row) for row in rows]


@contextmanager
def _in_one_sentence(what: FilePath) -> Iterator[None]:
    """What SQLite or the disk say of a folder, as a failure of this house."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        told = refusal(error)
        raise told if isinstance(told, PodError) else Corrupt(f"{what}: {error}.") from None


def backup_host(data: FilePath, target: FilePath) -> Tally:
    """Copy host.db, then exactly its pods, while the host runs; a pod that cannot be copied keeps its older copy.

    Raises Missing when there is no host in ``data``; nothing is made then.
    """
    pods_of(data)
    with _in_one_sentence(target):
        make_folder(target)
        aside = target / f".{HOST_FILE}"
        _copy_database(data / HOST_FILE, aside)
    rows, failures = _pods_in(aside), []
    for row in rows:
        try:
            copy_pod(folder_in(data, row.id), target / "pods" / row.id)
        except (PodError, apsw.Error, OSError) as error:
            failures.append(Finding(row.name, _sentence(error)))
    with _in_one_sentence(target):
        aside.rename(target / HOST_FILE)
        sync_folder(target)
    return Tally(len(rows), tuple(failures))


def _sentence(error: Exception) -> str:
    told = refusal(error)
    return told.detail if isinstance(told, PodError) else f"{type(error).__name__}: {error}."


def _copy_database(source: FilePath, target: FilePath) -> None:
    target.unlink(missing_ok=True)
    connection = open_reader(source)
    try:
        copy = _copied(connection, target)
        copy.close()
    finally:
        connection.close()
    sync_file(target)


def _copied(source: apsw.Connection, target: FilePath) -> apsw.Connection:
    copy = apsw.Connection(str(target))
    with copy.backup("main", source, "main") as work:
        work.step(-1)
    copy.execute("PRAGMA journal_mode = DELETE")
    return copy


def copy_pod(folder: FilePath, target: FilePath) -> Position:
    """Copy a pod as of one position; nothing is written when the target is at that position already.

    Raises Corrupt when the pod's file is damaged or a large body's file is
    gone; an older copy in the target stays as it was.
    """
    if not (folder / POD_FILE).exists():
        raise Corrupt("The pod's file is gone.")
    make_folder(target / "bodies")
    for _ in range(_ATTEMPTS):
        try:
            return _copy_once(folder, target)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise refusal(error) from error
        except FileNotFoundError as error:  # the host let a body go between its row and its file: look again
            gone = error.filename
    raise Corrupt(f"The file of a large body is gone ({FilePath(gone).name}).")


def _copy_once(folder: FilePath, target: FilePath) -> Position:
    source = open_reader(folder / POD_FILE)
    try:
        check_pod(source)
        position = _position(source)
        if (target / POD_FILE).exists() and _marker(target) == _state(source):
            return position
        aside = target / f".{POD_FILE}"
        aside.unlink(missing_ok=True)
        copy = _copied(source, aside)
    finally:
        source.close()
    try:
        position, state = _position(copy), _state(copy)
        hashes = {row[0] for row in copy.execute("SELECT hash FROM body WHERE bytes IS NULL")}
        damage = [message for (message,) in copy.execute("PRAGMA quick_check(1)") if message != "ok"]
    finally:
        copy.close()
    if damage:
        raise Corrupt(f"The pod's file is damaged ({damage[0]}).")
    _copy_bodies(folder, target, hashes)
    sync_file(aside)
    aside.rename(target / POD_FILE)
    sync_folder(target)
    (target / "state").write_text(state)
    for stale in (target / "bodies").iterdir():
        if stale.name not in hashes:
            stale.unlink()
    return position


def _copy_bodies(folder: FilePath, target: FilePath, hashes: set[str]) -> None:
    for hash_ in hashes:
        copy = target / "bodies" / hash_
        if not copy.exists():
            shutil.copyfile(folder / "bodies" / hash_, copy.with_suffix(".part"))
            sync_file(copy.with_suffix(".part"))
            copy.with_suffix(".part").rename(copy)
    sync_folder(target / "bodies")


def _position(connection: apsw.Connection) -> Position:
    [(position,)] = connection.execute("SELECT ifnull(max(position), 0) FROM change")
    return Position(position)


def _state(connection: apsw.Connection) -> str:
    """What tells one state of a pod from another: incarnation, log, verdicts, reads, bodies that were let go."""
    [row] = connection.execute(
        "SELECT (SELECT value FROM pod WHERE key = 'incarnation'),"
        " (SELECT hex(chain) FROM change ORDER BY position DESC LIMIT 1),"
        " (SELECT ifnull(max(id), 0) FROM delivery), (SELECT count(*) FROM body),"
        " (SELECT ifnull(max(sequence), 0) || '.' || ifnull(sum(count), 0) FROM reading)"
    )
    return "/".join(map(str, row))


def _marker(target: FilePath) -> str:
    state = target / "state"
    return state.read_text() if state.exists() else ""


def refuse_half_restored(data: FilePath) -> None:
    """Raises Corrupt for a data folder into which a restore was begun and not ended."""
    if (data / RESTORING).exists() and not (data / HOST_FILE).exists():
        raise Corrupt(f"A restore into {data} was interrupted; run it again.")


def check_restore(source: FilePath, data: FilePath) -> None:
    """Refuse before anything is made.  Raises Missing when there is no backup, Conflict when the folder is in use."""
    pods_of(source)
    if (data / HOST_FILE).exists():
        raise Conflict(f"{data} has a host already; restore into an empty folder.")
    pods = data / "pods"
    if pods.exists() and any(pods.iterdir()) and not (data / RESTORING).exists():
        raise Conflict(f"{data} has pods already; restore into an empty folder.")


def restore_host(source: FilePath, data: FilePath) -> Tally:
    """Put a backup into a data folder that the caller owns; begun again, it replaces what it had left.

    host.db comes last, by rename: without it there is no host.  A pod that
    the backup does not hold whole is told and left out.
    """
    check_restore(source, data)
    rows, failures = pods_of(source), []
    with _in_one_sentence(data):
        (data / RESTORING).touch()
        sync_folder(data)
        shutil.rmtree(data / "pods", ignore_errors=True)
        make_folder(data / "pods")
        for row in rows:
            try:
                restore_pod(source / "pods" / row.id, folder_in(data, row.id))
            except (Missing, Corrupt) as error:
                failures.append(Finding(row.name, error.detail))
        _copy_database(source / HOST_FILE, data / f".{HOST_FILE}")
        (data / f".{HOST_FILE}").rename(data / HOST_FILE)
        sync_folder(data)
        (data / RESTORING).unlink()
    return Tally(len(rows), tuple(failures))


def restore_pod(source: FilePath, folder: FilePath) -> None:
    """Put a backed-up pod into a data folder that does not have it; a new incarnation makes old ETags void.

    Raises Missing when the backup has no such pod, Corrupt when it is damaged.
    """
    if not (source / POD_FILE).exists():
        raise Missing("The backup does not hold this pod.")
    make_folder(folder.parent)
    aside = folder.parent.parent / f".restore-{folder.name}"
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(source, aside, ignore=shutil.ignore_patterns("state", ".*"))
    try:
        _renew(aside / POD_FILE)
    except (Corrupt, apsw.CorruptError, apsw.NotADBError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise Corrupt(_sentence(error)) from None
    for name in (POD_FILE, *(f"bodies/{entry.name}" for entry in (aside / "bodies").iterdir())):
        sync_file(aside / name)
    sync_folder(aside / "bodies")
    sync_folder(aside)
    aside.rename(folder)
    sync_folder(folder.parent)


def _renew(file: FilePath) -> None:
    connection = apsw.Connection(str(file))
    try:
        check_pod(connection)
        connection.execute("UPDATE pod SET value = lower(hex(randomblob(16))) WHERE key = 'incarnation'")
    finally:
        connection.close()
