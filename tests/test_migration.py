"""Files of every format that was ever released open with this code, and newer ones are refused."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path as FilePath

import apsw
import pytest

from pod_server.errors import Corrupt
from pod_server.store import schema
from pod_server.store.sqlite import SqliteStore
from pod_server.terms import Face, Path, PodId

CASES = FilePath(__file__).parent / "cases" / "pods"
POD = PodId("0123456789abcdef0123456789abcdef")
FORMATS = sorted(folder.name for folder in CASES.iterdir() if folder.is_dir() and folder.name.startswith("v"))


def placed(version: str, root: FilePath) -> FilePath:
    """A copy of a fixture pod in a data folder; the path of its file."""
    home = root / "pods" / POD[:2] / POD
    shutil.copytree(CASES / version, home)
    return home / "pod.sqlite"


@pytest.mark.parametrize("version", FORMATS)
def test_old_pods_open_whole(version: str, tmp_path: FilePath) -> None:
    """A pod written by an older release reads as it was written, verifies, and takes writes."""
    file = placed(version, tmp_path)

    async def work() -> None:
        store = SqliteStore(tmp_path, time.time)
        with store.snapshot(POD) as snapshot:
            note, big = snapshot.entry(Path("/notes/caf%C3%A9")), snapshot.entry(Path("/big.bin"))
            assert note is not None
            assert big is not None
            assert snapshot.body(note) == '<> <#p> "é" .'.encode()
            assert snapshot.body(big) == bytes(range(256)) * 300
            assert (note.policy, note.face) == ("/notes/", Face.MEMBERS)
            assert snapshot.delivery("key") is not None
            assert [reading.target for reading in snapshot.readings()] == ["/notes/caf%C3%A9"]
            assert len(snapshot.changes()) == snapshot.position
        assert not store.verify(POD)
        from contracts.test_store import change, document

        await store.append(POD, change(document("/new")))
        assert not store.verify(POD)
        await store.close()

    asyncio.run(work())
    connection = apsw.Connection(str(file))
    assert connection.pragma("user_version") == len(schema.POD_STEPS)
    connection.close()


def test_a_step_forward_is_taken_at_first_open(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new format's step runs once, in one transaction, whether a reader or a writer opens the pod first."""
    step = "CREATE TABLE novelty (n); INSERT INTO novelty SELECT count(*) FROM change"
    monkeypatch.setattr("pod_server.store.sqlite.POD_STEPS", (*schema.POD_STEPS, step))
    file = placed(FORMATS[-1], tmp_path)

    async def work() -> None:
        store = SqliteStore(tmp_path, time.time)
        with store.snapshot(POD) as snapshot:
            assert snapshot.position > 0
        await store.close()

    asyncio.run(work())
    connection = apsw.Connection(str(file))
    assert connection.pragma("user_version") == len(schema.POD_STEPS) + 1
    assert connection.execute("SELECT count(*) FROM novelty").fetchone() == (1,)
    connection.close()


def test_a_failed_step_leaves_the_file_as_it_was(tmp_path: FilePath) -> None:
    """A step that breaks half-way changes nothing and does not raise the format's number."""
    file = placed(FORMATS[-1], tmp_path)
    connection = apsw.Connection(str(file))
    steps = (*schema.POD_STEPS, "CREATE TABLE half (n); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(apsw.SQLError):
        schema.bring_forward(connection, schema.POD_APPLICATION_ID, steps)
    assert connection.pragma("user_version") == len(schema.POD_STEPS)
    assert not connection.table_exists("main", "half")
    connection.close()


def test_newer_and_foreign_files_are_refused(tmp_path: FilePath) -> None:
    """A file of a newer format, or of another program, is refused and untouched; our own is taken."""
    file = placed(FORMATS[-1], tmp_path)
    for pragma in ("user_version = 99", "application_id = 7"):
        connection = apsw.Connection(str(file))
        before = (connection.pragma("user_version"), connection.pragma("application_id"))
        connection.execute(f"PRAGMA {pragma}")
        with pytest.raises(Corrupt):
            schema.bring_forward(connection, schema.POD_APPLICATION_ID, schema.POD_STEPS)
        connection.execute(f"PRAGMA user_version = {before[0]}; PRAGMA application_id = {before[1]}")
        assert schema.bring_forward(connection, schema.POD_APPLICATION_ID, schema.POD_STEPS) is False
        connection.close()
