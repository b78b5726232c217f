"""Every acknowledgement follows a sync of what it acknowledges: power cuts, failed syncs, full disks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path as FilePath

import pytest
from contracts.test_store import POD, change, document, genesis, read
from lossy import LossyDisk

from pod_server.store.contract import Put
from pod_server.store.files import open_writer
from pod_server.store.host import HostDatabase, PodRow
from pod_server.store.sqlite import SqliteStore
from pod_server.terms import Kind, Path, PodId


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> LossyDisk:
    """A disk of its own for each test."""
    return LossyDisk(f"lossy-{abs(hash(request.node.name))}")


def test_acknowledged_writes_survive_a_power_cut(disk: LossyDisk, tmp_path: FilePath) -> None:
    """Cut at 24 moments under eight writers: nothing acknowledged is lost or torn, and the pod is whole."""
    root = tmp_path / "data"
    root.mkdir()
    cuts: list[tuple[FilePath, list[int]]] = []

    async def writer(store: SqliteStore, who: int, acknowledged: list[int]) -> None:
        for number in range(25):
            name = who * 1000 + number
            await store.append(POD, change(document(f"/w{name}", b"%d " % name * 50)))
            acknowledged.append(name)
            if number == who * 3:
                for cut in range(3):
                    target = tmp_path / f"cut-{who}-{cut}"
                    disk.cut_power(root, target)
                    cuts.append((target, list(acknowledged)))
                    await asyncio.sleep(0)

    asyncio.run(_with_genesis(root))  # its file is made with syncs of its own, which are os.fsync's
    disk.durable = {str(file): file.read_bytes() for file in root.rglob("pod.sqlite*")}

    async def again() -> None:
        store = SqliteStore(root, time.time, vfs=disk.name)
        acknowledged: list[int] = []
        await asyncio.gather(*(writer(store, who, acknowledged) for who in range(8)))
        await store.close()

    asyncio.run(again())
    assert len(cuts) == 24
    for target, acknowledged in cuts:
        found = asyncio.run(_read_all(target, acknowledged))
        assert found == {name: b"%d " % name * 50 for name in acknowledged}


async def _with_genesis(root: FilePath) -> None:
    store = SqliteStore(root, time.time)
    store.create(POD, genesis())
    await store.close()


async def _read_all(root: FilePath, names: list[int]) -> dict[int, bytes | None]:
    store = SqliteStore(root, time.time)
    try:
        assert not store.verify(POD)
        return {name: read(store, f"/w{name}") for name in names}
    finally:
        await store.close()


def test_the_instrument_sees_what_is_not_synced(disk: LossyDisk, tmp_path: FilePath) -> None:
    """The control: with syncs off, the same power cut loses acknowledged writes."""
    file = tmp_path / "control.sqlite"
    connection = open_writer(file, vfs=disk.name)
    connection.execute("PRAGMA synchronous = OFF; CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    assert str(file) not in disk.durable or b"CREATE TABLE t" not in disk.durable[str(file)]
    connection.execute("PRAGMA synchronous = FULL; INSERT INTO t VALUES (2)")
    assert any(name.endswith("-wal") for name in disk.durable)
    connection.close()


def test_large_bodies_are_synced_before_they_are_named(
    disk: LossyDisk, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large body: its file is synced, renamed, its folder synced, then the append is synced, then acknowledged."""
    events: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        events.append("sync " + FilePath(f"/proc/self/fd/{descriptor}").readlink().name)

    async def work() -> str:
        store = SqliteStore(tmp_path, time.time, vfs=disk.name)
        sink = store.sink(POD)
        sink.write(b"x" * 300_000)
        monkeypatch.setattr(os, "fsync", fsync)
        body = await sink.finish()
        events.append("named")
        before = disk.syncs
        await store.append(POD, change(Put(Path("/big"), Kind.BINARY, "x/y", body)))
        events.append(f"acknowledged after {disk.syncs - before > 0}")
        await store.close()
        return body.hash

    if not FilePath("/proc/self/fd").exists():
        pytest.skip("this system does not tell the name of an open file")
    asyncio.run(_with_genesis(tmp_path))
    asyncio.run(work())
    assert events[0].startswith("sync .incoming-")
    assert events[1:3] == ["sync bodies", "named"]
    assert events[-1] == "acknowledged after True"


def test_a_failed_sync_ends_the_process(tmp_path: FilePath) -> None:
    """When fsync fails, nothing more is acknowledged and the process ends; what was acknowledged is there."""
    script = textwrap.dedent(
        """
        import asyncio, sys, time
        from pathlib import Path
        sys.path[:0] = sys.argv[2:]
        from lossy import LossyDisk
        from contracts.test_store import POD, change, document, genesis
        from pod_server.store.sqlite import SqliteStore

        async def main():
            disk = LossyDisk("failing")
            store = SqliteStore(Path(sys.argv[1]), time.time, vfs="failing")
            for number in range(50):
                if number == 10:
                    disk.fail_after = disk.syncs
                await store.append(POD, change(document(f"/w{number}", b"%d" % number)))
                print(number, flush=True)
        asyncio.run(main())
        """
    )
    asyncio.run(_with_genesis(tmp_path))
    here = FilePath(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(here), str(here.parent)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 70, done.stderr
    assert "sync to disk failed" in done.stderr
    acknowledged = [int(line) for line in done.stdout.split()]
    assert acknowledged == list(range(10))
    found = asyncio.run(_read_all(tmp_path, acknowledged))
    assert found == {number: b"%d" % number for number in acknowledged}


def test_the_hosts_own_rows_are_synced(tmp_path: FilePath) -> None:
    """host.db syncs each commit too: a pod's name, once given, survives."""
    database = HostDatabase(tmp_path)
    database.add_pod(PodRow(PodId("a" * 32), "ana", "https://ana.example/#me", 1.0))
    assert database._connection.pragma("synchronous") == 2
    database.close()
    again = HostDatabase(tmp_path)
    assert again.pod("ana") is not None
    again.close()
