"""Every acknowledgement follows a sync of what it acknowledges: power cuts, failed syncs, full disks."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import apsw
import pytest
from contracts.test_store import POD, change, document, genesis, read
from lossy import LossyDisk

from pod_server.errors import StorageFull
from pod_server.store.contract import Put, Reading
from pod_server.store.files import open_writer
from pod_server.store.host import HostDatabase, PodRow
from pod_server.store.sqlite import SqliteStore
from pod_server.store.waiting import WaitingReads
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
    """The control: at the same power cut, syncs off lose acknowledged rows, and FULL loses none."""
    lost = {}
    for mode in ("OFF", "FULL"):
        root, cut = tmp_path / mode, tmp_path / f"cut-{mode}"
        root.mkdir()
        connection = open_writer(root / "x.sqlite", vfs=disk.name)
        connection.execute("CREATE TABLE t (n)")
        connection.execute(f"PRAGMA synchronous = {mode}")
        for number in range(200):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        disk.cut_power(tmp_path, cut)
        connection.close()
        left = open_writer(cut / mode / "x.sqlite")
        lost[mode] = 200 - len(left.execute("SELECT n FROM t").fetchall())
        left.close()
    assert lost["OFF"] > 0
    assert lost["FULL"] == 0


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


def test_a_failed_sync_of_a_large_body_is_fatal(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """EIO from fsync of a large body ends the process as law 1 says; no room is only a refusal."""
    told: list[str] = []

    async def work(number: int) -> None:
        store = SqliteStore(tmp_path, time.time, fatal=told.append)

        def fsync(_: int) -> None:
            raise OSError(number, os.strerror(number))

        sink = store.sink(POD)
        sink.write(b"x" * 300_000)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fsync)
            with pytest.raises(OSError if number == errno.EIO else StorageFull):
                await sink.finish()
        await store.close()

    asyncio.run(_with_genesis(tmp_path))
    asyncio.run(work(errno.ENOSPC))
    assert told == []
    asyncio.run(work(errno.EIO))
    assert len(told) == 1
    assert not list((tmp_path / "pods" / POD[:2] / POD / "bodies").iterdir())


class FullDisk(apsw.VFS):
    """A disk without room, as long as ``is_full``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_full = False
        self.refused = 0
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> FullFile:  # noqa: N802 - SQLite's own name
        """Open through the shim."""
        return FullFile(self, name, flags)


class FullFile(apsw.VFSFile):
    """One file of it."""

    def __init__(self, disk: FullDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's own name
        """Write, or say that there is no room."""
        if self._disk.is_full:
            self._disk.refused += 1
            raise apsw.FullError("no room")
        super().xWrite(data, offset)


def test_reads_that_a_full_disk_refuses_are_tried_again(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read while the disk was full is in the log once it has room, without any further write."""
    monkeypatch.setattr("pod_server.store.writer.RETRY_SECONDS", 0.05)
    disk = FullDisk("full-reads")

    async def until(done: Callable[[], bool]) -> None:
        for _ in range(200):
            if done():
                return
            await asyncio.sleep(0.05)
        raise AssertionError("it never came")

    async def work() -> None:
        store = SqliteStore(tmp_path, time.time, vfs=disk.name)
        await store.append(POD, change(document("/a")))
        disk.is_full = True
        for number in range(5):
            store.note(POD, Reading(60.0, None, None, "read", f"/{number % 2}"))
        await until(lambda: disk.refused > 2)
        with pytest.raises(StorageFull):
            await store.append(POD, change(document("/b")))
        disk.is_full = False
        await until(lambda: _reads(store) == {"/0": 3, "/1": 2})
        assert not store.verify(POD)
        await store.close()

    asyncio.run(_with_genesis(tmp_path))
    asyncio.run(work())


def _reads(store: SqliteStore) -> dict[str, int]:
    with store.snapshot(POD) as snapshot:
        return {each.target: each.count for each in snapshot.readings()}


def test_reads_never_cost_a_write(tmp_path: FilePath) -> None:
    """A read that can never be written is counted as lost, and the append of its commit is durable."""

    async def work() -> None:
        store = SqliteStore(tmp_path, time.time)
        store.note(POD, Reading(60.0, None, None, "read", "/\ud800"))
        await store.append(POD, change(document("/a")))
        await store.close()
        store = SqliteStore(tmp_path, time.time)
        with store.snapshot(POD) as snapshot:
            assert [(each.act, each.count) for each in snapshot.readings()] == [("lost", 1)]
        assert read(store, "/a") is not None
        await store.close()

    asyncio.run(_with_genesis(tmp_path))
    asyncio.run(work())


def test_waiting_reads_are_bounded_and_counted() -> None:
    """Equal reads are one; beyond the limit they are a count; nothing is dropped without a word."""
    waiting = WaitingReads(limit=10)
    for number in range(40):
        waiting.add(POD, Reading(60.0, None, None, "read", f"/{number % 20}"), 1.0)
    assert waiting.next_due() == (1.0, POD)
    taken = waiting.take(POD)
    assert len(taken) == 11
    assert (taken[-1].act, sum(each.count for each in taken)) == ("lost", 40)
    waiting.put_back(POD, taken, 9.0)
    assert not waiting.may_ride(POD)
    waiting.add(POD, Reading(60.0, None, None, "read", "/0"), 2.0)
    assert waiting.next_due() == (9.0, POD)
    assert sum(each.count for each in waiting.take(POD)) == 41
    assert waiting.next_due() is None


def test_a_broken_writer_ends_the_process(tmp_path: FilePath) -> None:
    """What nobody foresaw on a writer's thread fails who waits and ends the process, never half of the pods."""
    told: list[str] = []

    def clock() -> float:
        if threading.current_thread().name.startswith("writer") and told == ["armed"]:
            raise RuntimeError("no clock")
        return time.time()

    async def work() -> None:
        store = SqliteStore(tmp_path, clock, fatal=told.append)
        await store.append(POD, change(document("/a")))
        told.append("armed")
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(store.append(POD, change(document("/b"))), 10)
        told.remove("armed")
        await store.close()

    asyncio.run(_with_genesis(tmp_path))
    asyncio.run(work())
    assert len(told) == 1
    assert "writer thread broke" in told[0]


def test_descriptors_run_out_politely(tmp_path: FilePath) -> None:
    """Without a descriptor left, reads, writes and uploads are Busy; with them back, everything goes on."""
    script = textwrap.dedent(
        """
        import asyncio, os, resource, sys, time
        from pathlib import Path
        sys.path[:0] = sys.argv[2:]
        from contracts.test_store import POD, change, document, genesis, read
        from pod_server.errors import Busy
        from pod_server.store import descriptors
        from pod_server.store.sqlite import SqliteStore

        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 256))
        assert descriptors.raise_limit() == 256
        assert descriptors.share(256).readers < 256

        async def main():
            store = SqliteStore(Path(sys.argv[1]), time.time)
            held = []
            try:
                while True:
                    held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            for act in (lambda: read(store, "/.acl"), lambda: store.sink(POD)):
                try:
                    act()
                except Busy:
                    print("busy")
            try:
                await store.append(POD, change(document("/a")))
            except Busy:
                print("busy")
            for descriptor in held:
                os.close(descriptor)
            await store.append(POD, change(document("/a")))
            assert read(store, "/a")
            await store.close()
        asyncio.run(main())
        """
    )
    asyncio.run(_with_genesis(tmp_path))
    here = FilePath(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(here), str(here.parent)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["busy"] * 3, done.stderr
    assert done.returncode == 0, done.stderr


def test_many_pods_share_the_descriptors(tmp_path: FilePath) -> None:
    """More pods are read and written than connections may be kept, in whatever order."""

    async def work() -> None:
        store = SqliteStore(tmp_path, time.time)
        store._most_readers = 4
        pods = [PodId(f"{number:032x}") for number in range(12)]
        for pod in pods:
            store.create(pod, genesis())
        for _ in range(2):
            for pod in pods:
                await store.append(pod, change(document("/a")))
                with store.snapshot(pod) as snapshot:
                    assert snapshot.entry(Path("/a")) is not None
                assert len(store._readers) <= 4
        await store.close()

    asyncio.run(work())


def test_the_hosts_own_rows_are_synced(tmp_path: FilePath) -> None:
    """host.db syncs each commit too: a pod's name, once given, survives."""
    database = HostDatabase(tmp_path)
    database.add_pod(PodRow(PodId("a" * 32), "ana", "https://ana.example/#me", 1.0))
    assert database._connection.pragma("synchronous") == 2
    database.close()
    again = HostDatabase(tmp_path)
    assert again.pod("ana") is not None
    again.close()
