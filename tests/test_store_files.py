"""How the store opens its files: each pragma holds on the connection, not only in the text that asks for it."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from pod_server.store.files import is_alone, open_reader, open_writer

WRITER = {
    "journal_mode": "wal",
    "synchronous": 2,
    "foreign_keys": 0,
    "temp_store": 2,
    "cache_size": -1024,
    "secure_delete": 1,
    "max_page_count": 500,
}
READER = {"locking_mode": "normal", "wal_autocheckpoint": 0, "query_only": 1, "cache_size": -256}


def test_the_writers_pragmas_hold(tmp_path: Path) -> None:
    """Synced, and what is deleted is overwritten: erasure is erasure in the file too."""
    connection = open_writer(tmp_path / "x.sqlite", pages=500)
    assert {name: connection.pragma(name) for name in WRITER} == WRITER
    connection.close()


def test_the_readers_pragmas_hold(tmp_path: Path) -> None:
    """A reader reads, shuts out nobody, and cannot write."""
    writer = open_writer(tmp_path / "x.sqlite")
    writer.execute("CREATE TABLE t (n)")
    reader = open_reader(tmp_path / "x.sqlite")
    assert {name: reader.pragma(name) for name in READER} == READER
    assert not is_alone(reader)
    with pytest.raises(apsw.ReadOnlyError):
        reader.execute("INSERT INTO t VALUES (1)")
    writer.execute("INSERT INTO t VALUES (1)")
    assert reader.execute("SELECT n FROM t").fetchall() == [(1,)]
    reader.close()
    writer.close()


def test_what_is_deleted_leaves_the_file(tmp_path: Path) -> None:
    """A deleted text is found nowhere in the file once the log is checkpointed; one that stays is."""
    file = tmp_path / "x.sqlite"
    writer = open_writer(file)
    writer.execute("CREATE TABLE t (n)")
    writer.execute("INSERT INTO t VALUES ('a secret of ana'), ('a note that stays')")
    writer.execute("DELETE FROM t WHERE n LIKE '%secret%'")
    writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    assert b"a note that stays" in file.read_bytes()
    assert b"a secret of ana" not in file.read_bytes()
    writer.close()
