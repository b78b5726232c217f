"""The contract of every store of pods, run on a disk folder and on a memory-backed one.

A second implementation is added to ``STORES`` and must pass unchanged.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pod_server.errors import Busy, ConditionFailed, Conflict, Corrupt, Missing, PodError, StorageFull
from pod_server.store.backup import restore_pod
from pod_server.store.bodies import inline
from pod_server.store.contract import (
    Append,
    Delete,
    DeliveryRow,
    Edit,
    Exists,
    Governed,
    Moved,
    Put,
    Reading,
    Store,
    Version,
)
from pod_server.store.sqlite import SqliteStore
from pod_server.terms import ROOT, START, Caller, Face, Kind, Path, PodId, Position, acl_of, meta_of

POD = PodId("0123456789abcdef")
ANA = Caller("https://ana.example/card#me", "https://app.example/id", "https://idp.example/")
TURTLE = "text/turtle"

STORES: dict[str, Callable[..., Store]] = {"sqlite": SqliteStore}


def genesis() -> Append:
    """The least pod: a root and its rules."""
    return Append(ANA, 1.0, (Put(ROOT, Kind.CONTAINER, TURTLE), document("/.acl", b"rules", Kind.POLICY)))


def document(path: str, body: bytes = b"<> a <#Thing> .", kind: Kind = Kind.RDF) -> Put:
    """A small document."""
    return Put(Path(path), kind, TURTLE, inline(body))


def change(*edits: Edit, **more: Any) -> Append:
    """An append by ana."""
    return Append(ANA, time.time(), edits, **more)


def memory_folder() -> FilePath | None:
    """A folder in memory, where the system has one."""
    folder = FilePath("/dev/shm")
    return folder if folder.is_dir() else None


@pytest.fixture(params=[(kind, where) for kind in STORES for where in ("disk", "memory")], ids="-".join)
def folder(request: pytest.FixtureRequest, tmp_path: FilePath) -> Iterator[tuple[str, FilePath]]:
    """The kind of store and a fresh folder for it."""
    kind, where = request.param
    if where == "disk":
        yield kind, tmp_path
        return
    memory = memory_folder()
    if memory is None:
        pytest.skip("this system has no memory-backed folder")
    import tempfile

    with tempfile.TemporaryDirectory(dir=memory) as fresh:
        yield kind, FilePath(fresh)


@asynccontextmanager
async def opened(folder: tuple[str, FilePath], **more: Any) -> AsyncIterator[Store]:
    """A store with one pod."""
    kind, path = folder
    store = STORES[kind](path, time.time, **more)
    if not (path / "pods" / POD[:2] / POD).exists():
        store.create(POD, genesis())
    try:
        yield store
    finally:
        await store.close()


def run(work: Callable[[], Any]) -> None:
    """Run one async test body."""
    asyncio.run(work())


def read(store: Store, path: str) -> bytes | None:
    """The bytes at a path, None when there is nothing."""
    with store.snapshot(POD) as snapshot:
        entry = snapshot.entry(Path(path))
        return None if entry is None else snapshot.body(entry)


def test_bytes_come_back_as_they_were(folder: tuple[str, FilePath]) -> None:
    """What was put is what is read, byte for byte, after reopening too."""
    body = 'é\r\n# comment\n<> <#p> "007" .'.encode()

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/a/b", body)))
            assert read(store, "/a/b") == body
        async with opened(folder) as store:
            assert read(store, "/a/b") == body

    run(work)


def test_containers_on_the_way_are_made(folder: tuple[str, FilePath]) -> None:
    """A deep put makes its containers, says so, and lists them."""

    async def work() -> None:
        async with opened(folder) as store:
            commit = await store.append(POD, change(document("/x/y/z")))
            assert commit.created == {"/x/", "/x/y/", "/x/y/z"}
            with store.snapshot(POD) as snapshot:
                assert [child.path for child in snapshot.children(Path("/x/"))] == ["/x/y/"]
                assert [child.path for child in snapshot.children(Path("/x/y/"))] == ["/x/y/z"]

    run(work)


REFUSED: dict[str, tuple[tuple[Edit, ...], tuple[Any, ...], type[PodError]]] = {
    "a document beside a container of its name": ((document("/a"),), (), Conflict),
    "a container beside a document of its name": ((document("/a/b/c"),), (), Conflict),
    "deleting a container that is not empty": ((Delete(Path("/a/")),), (), Conflict),
    "deleting what is not there": ((Delete(Path("/none")),), (), Missing),
    "a strict version that is not": ((document("/a/b"),), (Version(Path("/a/b"), Position(1), True),), ConditionFailed),
    "a strict absence that is not": ((document("/a/b"),), (Version(Path("/a/b"), None, True),), ConditionFailed),
    "a lenient version that moved": ((document("/a/b"),), (Version(Path("/a/b"), Position(1)),), Moved),
    "an existence that is not": ((document("/a/b"),), (Exists(Path("/zz"), True),), Moved),
    "a policy that moved": ((document("/a/b"),), (Governed(Path("/a/b"), ROOT, Position(999)),), Moved),
    "another policy": ((document("/a/b"),), (Governed(Path("/a/b"), Path("/a/"), Position(2)),), Moved),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_change_nothing(folder: tuple[str, FilePath], case: str) -> None:
    """Each refusal leaves log and state as they were, and the same edit without the fault goes through."""
    edits, expectations, failure = REFUSED[case]

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/a/b", b"before")))
            with store.snapshot(POD) as snapshot:
                position = snapshot.position
            with pytest.raises(failure):
                await store.append(POD, change(*edits, expectations=expectations))
            with store.snapshot(POD) as snapshot:
                assert snapshot.position == position
            assert read(store, "/a/b") == b"before"
            if expectations:
                await store.append(POD, change(*edits))
                assert read(store, "/a/b") != b"before"

    run(work)


def test_expired_decision_is_decided_again(folder: tuple[str, FilePath]) -> None:
    """An append whose decision expired is Moved; one that holds goes through."""

    async def work() -> None:
        async with opened(folder) as store:
            with pytest.raises(Moved):
                await store.append(POD, change(document("/late"), until=time.time() - 1))
            await store.append(POD, change(document("/late"), until=time.time() + 60))
            assert read(store, "/late") is not None

    run(work)


def test_one_refusal_leaves_its_group_alone(folder: tuple[str, FilePath]) -> None:
    """In one group, a refused append rolls back alone and the others are durable."""

    async def work() -> None:
        async with opened(folder) as store:
            appends = [
                change(document(f"/n{number}"), *([Delete(Path("/none"))] if number % 3 == 0 else []))
                for number in range(30)
            ]
            done = await asyncio.gather(*(store.append(POD, each) for each in appends), return_exceptions=True)
            for number, outcome in enumerate(done):
                assert isinstance(outcome, Missing) == (number % 3 == 0)
                assert (read(store, f"/n{number}") is None) == (number % 3 == 0)

    run(work)


def test_policy_governs_what_is_below(folder: tuple[str, FilePath]) -> None:
    """The governing policy and face of every row follow access-control documents as they come and go."""

    def faces(store: Store, *paths: str) -> list[tuple[str, Face]]:
        with store.snapshot(POD) as snapshot:
            entries = [snapshot.entry(Path(path)) for path in paths]
            return [(entry.policy, entry.face) for entry in entries if entry is not None]

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/a/b/c"), document("/a/d"), document("/ab")))
            await store.append(POD, change(document("/a/.acl", b"r", Kind.POLICY)))
            inherited, own = ("/a/", Face.MEMBERS), ("/a/", Face.OWN)
            assert faces(store, "/a/", "/a/b/", "/a/b/c", "/a/d") == [own, inherited, inherited, inherited]
            assert faces(store, "/ab", "/a/.acl") == [("/", Face.MEMBERS), ("/a/", Face.CONTROL)]
            await store.append(POD, change(document("/a/b/c.acl", b"r", Kind.POLICY)))
            await store.append(POD, change(document("/a/b/c.meta", b"", Kind.DESCRIPTION)))
            assert faces(store, "/a/b/c", "/a/b/c.meta") == [("/a/b/c", Face.OWN)] * 2
            await store.append(POD, change(document("/a/b/.acl", b"r", Kind.POLICY)))
            assert faces(store, "/a/b/c", "/a/d") == [("/a/b/c", Face.OWN), inherited]
            await store.append(POD, change(Delete(Path("/a/b/.acl")), Delete(Path("/a/.acl"))))
            assert faces(store, "/a/b/", "/a/d") == [("/", Face.MEMBERS)] * 2
            assert faces(store, "/a/b/c") == [("/a/b/c", Face.OWN)]

    run(work)


def test_auxiliaries_go_with_their_subject(folder: tuple[str, FilePath]) -> None:
    """Deleting a resource deletes its rules and description; they are never listed."""

    async def work() -> None:
        async with opened(folder) as store:
            acl, meta = acl_of(Path("/doc")), meta_of(Path("/doc"))
            await store.append(
                POD, change(document("/doc"), document(acl, b"r", Kind.POLICY), document(meta, b"", Kind.DESCRIPTION))
            )
            with store.snapshot(POD) as snapshot:
                assert [child.path for child in snapshot.children(ROOT)] == ["/doc"]
            await store.append(POD, change(Delete(Path("/doc"))))
            assert [read(store, path) for path in ("/doc", acl, meta)] == [None, None, None]

    run(work)


def test_snapshot_is_of_one_position(folder: tuple[str, FilePath]) -> None:
    """What a snapshot sees does not move while writes are acknowledged."""

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/a", b"1")))
            with store.snapshot(POD) as snapshot:
                entry = snapshot.entry(Path("/a"))
                waiting = asyncio.ensure_future(store.append(POD, change(document("/a", b"2"))))
                time.sleep(0.05)  # noqa: ASYNC251 - an await would end the snapshot; the writer has a thread of its own
                assert entry is not None
                assert snapshot.body(entry) == b"1"
                assert snapshot.entry(Path("/a")) == entry
            await waiting
            assert read(store, "/a") == b"2"

    run(work)


def test_large_bodies_are_files(folder: tuple[str, FilePath]) -> None:
    """A streamed body is durable before the append, shared by content, checked when read."""

    async def work() -> None:
        async with opened(folder) as store:
            data = bytes(range(256)) * 2048
            for path in ("/big", "/again"):
                sink = store.sink(POD)
                for start in range(0, len(data), 100_000):
                    sink.write(data[start : start + 100_000])
                body = await sink.finish()
                assert body.hash == hashlib.sha256(data).hexdigest()
                await store.append(POD, change(Put(Path(path), Kind.BINARY, "image/png", body)))
            assert read(store, "/big") == data
            with store.snapshot(POD) as snapshot:
                entry = snapshot.entry(Path("/again"))
                assert entry is not None
                file = snapshot.file(entry)
                assert file is not None
            assert not store.verify(POD)
            file.write_bytes(data[:-1] + b"x")
            assert store.verify(POD)

    run(work)


def test_deliveries_are_written_with_their_data(folder: tuple[str, FilePath]) -> None:
    """A verdict is in the pod's file with the data; its key is taken once."""
    row = DeliveryRow("k", "link", "grid", "load-curve", "2024-01-01", "1", "hash", "landed", 5.0)

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/landed/grid/x"), deliveries=(row,)))
            with pytest.raises(Moved):
                await store.append(POD, change(document("/landed/grid/y"), deliveries=(row,)))
            assert read(store, "/landed/grid/y") is None
            with store.snapshot(POD) as snapshot:
                assert snapshot.delivery("k") is not None
                assert snapshot.delivered("link", "load-curve", "2024-01-01") is not None
                assert snapshot.delivery("other") is None
                assert [each.key for each in snapshot.deliveries()] == ["k"]

    run(work)


def test_reads_are_logged_and_counted(folder: tuple[str, FilePath]) -> None:
    """Reads ride the next commit or the flush; equal ones within a minute are one row with a count."""

    async def work() -> None:
        async with opened(folder) as store:
            for _ in range(3):
                store.note(POD, Reading(60.0, "https://app.example/#it", None, "read", "/a"))
            store.note(POD, Reading(61.0, "https://app.example/#it", None, "query", "/a", rows=4))
            await store.append(POD, change(document("/z")))
            store.note(POD, Reading(62.0, "https://app.example/#it", None, "read", "/a"))
            await asyncio.sleep(0.5)
            with store.snapshot(POD) as snapshot:
                found = [(each.act, each.count, each.rows) for each in snapshot.readings()]
            assert sorted(found, key=str) == [("query", 1, 4), ("read", 1, None), ("read", 3, None)] or sorted(
                found, key=str
            ) == [("query", 1, 4), ("read", 4, None)]

    run(work)


def test_verify_sees_tampering(folder: tuple[str, FilePath]) -> None:
    """An altered, removed or reordered row of the log is found; an untouched pod has no findings."""
    _, path = folder

    async def fill() -> None:
        async with opened(folder) as store:
            for number in range(5):
                await store.append(POD, change(document(f"/n{number}")))
            assert not store.verify(POD)

    async def findings() -> int:
        async with opened(folder) as store:
            return len(store.verify(POD))

    run(fill)
    file = path / "pods" / POD[:2] / POD / "pod.sqlite"
    clean = file.read_bytes()
    for tampering in (
        "UPDATE change SET agent = 'https://mallory.example/#me' WHERE position = 4",
        "DELETE FROM change WHERE position = 5",
        "UPDATE change SET digest = zeroblob(32) WHERE position = 3",
        "UPDATE body SET bytes = x'00' WHERE id = 2",
        "DELETE FROM resource WHERE path = '/'",
    ):
        connection = apsw.Connection(str(file))
        connection.execute(tampering)
        connection.close()
        assert asyncio.run(findings()) > 0, tampering
        file.write_bytes(clean)
    assert asyncio.run(findings()) == 0


def test_backup_restores_elsewhere(folder: tuple[str, FilePath], tmp_path: FilePath) -> None:
    """A backup taken in use restores to the same content under a new incarnation, and is incremental."""
    copy = tmp_path / "copy"

    async def work() -> None:
        async with opened(folder) as store:
            sink = store.sink(POD)
            sink.write(b"z" * 200_000)
            await store.append(POD, change(Put(Path("/big"), Kind.BINARY, "x/y", await sink.finish())))
            await store.append(POD, change(document("/a", b"one")))
            first = store.backup(POD, copy)
            before = (copy / "pod.sqlite").stat().st_mtime_ns
            assert store.backup(POD, copy) == first
            assert (copy / "pod.sqlite").stat().st_mtime_ns == before
            await store.append(POD, change(document("/a", b"two")))
            assert store.backup(POD, copy) > first
            with store.snapshot(POD) as snapshot:
                incarnation = snapshot.incarnation
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        restore_pod(copy, elsewhere / "pods" / POD[:2] / POD)
        async with opened((folder[0], elsewhere)) as restored:
            assert read(restored, "/a") == b"two"
            assert read(restored, "/big") == b"z" * 200_000
            assert not restored.verify(POD)
            with restored.snapshot(POD) as snapshot:
                assert snapshot.incarnation != incarnation

    run(work)


def test_second_owner_is_refused(folder: tuple[str, FilePath]) -> None:
    """One process owns one data folder; after it let go, another may."""

    async def work() -> None:
        async with opened(folder):
            with pytest.raises(Conflict):
                STORES[folder[0]](folder[1], time.time)
        async with opened(folder) as store:
            assert read(store, "/.acl") == b"rules"

    run(work)


def test_full_pod_keeps_what_it_has(folder: tuple[str, FilePath]) -> None:
    """With no page left, a write is StorageFull, the old value is whole, reads go on, and room brings writes back."""

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/keep", b"old" * 1000)))
        async with opened(folder, pages=64) as store:
            refused = 0
            for number in range(40):
                try:
                    await store.append(POD, change(document(f"/fill{number}", bytes([number]) * 20_000)))
                except StorageFull:
                    refused += 1
                    assert read(store, f"/fill{number}") is None
            assert refused
            with pytest.raises(StorageFull):
                await store.append(POD, change(document("/keep", b"new" * 20_000)))
            assert read(store, "/keep") == b"old" * 1000
            assert not store.verify(POD)
        async with opened(folder) as store:
            await store.append(POD, change(document("/keep", b"new" * 20_000)))
            assert read(store, "/keep") == b"new" * 20_000

    run(work)


def test_queue_has_a_bound(folder: tuple[str, FilePath]) -> None:
    """More appends than a pod's queue holds are Busy, and every one that was taken is done."""

    async def work() -> None:
        async with opened(folder) as store:
            body = b"x" * 60_000
            waiting = [store.append(POD, change(document(f"/q{number}", body))) for number in range(600)]
            done = await asyncio.gather(*waiting, return_exceptions=True)
            busy = sum(isinstance(each, Busy) for each in done)
            assert busy + sum(not isinstance(each, BaseException) for each in done) == 600
            for number, outcome in enumerate(done):
                assert (read(store, f"/q{number}") is None) == isinstance(outcome, Busy)

    run(work)


PATHS = ["/a", "/b", "/c/", "/c/d", "/c/e/f", "/g/h"]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(["put", "delete", "rules", "unrule"])), max_size=14))
def test_state_follows_from_the_edits(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str]]) -> None:
    """Governing policies and fingerprints, kept row by row, equal what a walk over the tree computes."""

    async def work() -> None:
        async with opened(("sqlite", tmp_path_factory.mktemp("tree"))) as store:
            for path, act in steps:
                edit: Edit = {
                    "put": Put(Path(path), Kind.CONTAINER, TURTLE) if path.endswith("/") else document(path),
                    "delete": Delete(Path(path)),
                    "rules": document(acl_of(Path(path)), b"r", Kind.POLICY),
                    "unrule": Delete(acl_of(Path(path))),
                }[act]
                if act == "rules" and read(store, path) is None:
                    continue
                try:
                    await store.append(POD, change(edit))
                except (Conflict, Missing):
                    continue
            with store.snapshot(POD) as snapshot:
                waiting = [ROOT]
                while waiting:
                    for child in snapshot.children(waiting.pop()):
                        assert snapshot.governing(child.path) == (child.policy, child.face)
                        waiting += [child.path] if child.kind is Kind.CONTAINER else []
            assert not store.verify(POD)

    run(work)


def test_log_tells_every_change(folder: tuple[str, FilePath]) -> None:
    """The log has each change with who, what, where, and continues after a position."""

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(document("/a", b"1"), cause="delivery:grid"))
            await store.append(POD, change(Delete(Path("/a"))))
            with store.snapshot(POD) as snapshot:
                rows = snapshot.changes(START, 100)
                assert [(row.act, row.path, row.cause) for row in rows[-2:]] == [
                    ("create", "/a", "delivery:grid"),
                    ("delete", "/a", ""),
                ]
                assert {row.agent for row in rows} == {ANA.agent}
                assert [row.position for row in rows] == list(range(1, len(rows) + 1))
                assert snapshot.changes(rows[-1].position) == []

    run(work)


def reading(target: str = "/a", at: float = 60.0, who: str = "https://app.example/#it") -> Reading:
    """A read by an app."""
    return Reading(at, who, None, "read", target)


def logged(store: Store, pod: PodId) -> int:
    """How many reads a pod's log tells of."""
    with store.snapshot(pod) as snapshot:
        return sum(each.count for each in snapshot.readings(limit=10_000))


def test_a_clean_stop_keeps_the_reads_that_wait(folder: tuple[str, FilePath]) -> None:
    """60 pods are read twice before the store is closed: 120 reads; those of a pod nobody has are no obstacle."""
    pods = [PodId(f"{number:032x}") for number in range(60)]

    async def work() -> None:
        async with opened(folder) as store:
            for pod in pods:
                store.create(pod, genesis())
            store.note(PodId("f" * 32), reading())
            for wait in (0.25, 0.06):  # the writers have looked, and wait for what the reads may ride
                for pod in pods:
                    store.note(pod, reading())
                await asyncio.sleep(wait)
        async with opened(folder) as store:
            assert [logged(store, pod) for pod in pods] == [2] * 60
            assert not any(store.verify(pod) for pod in pods)

    run(work)


def test_reads_of_others_are_logged_beside_a_busy_pod(folder: tuple[str, FilePath]) -> None:
    """One pod's queue never runs dry, and the reads of forty others are written all the same."""
    pods = [PodId(f"{number:032x}") for number in range(40)]

    async def work() -> None:
        async with opened(folder) as store:
            for pod in pods:
                store.create(pod, genesis())
            waiting: set[asyncio.Task[Any]] = set()
            for pod in pods:
                store.note(pod, reading())
            for number in range(3000):
                waiting.add(asyncio.ensure_future(store.append(POD, change(document(f"/n{number % 50}")))))
                if len(waiting) >= 60:
                    waiting = (await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED))[1]
                    if number % 20 == 0 and all(logged(store, pod) for pod in pods):
                        break
            assert [logged(store, pod) for pod in pods] == [1] * 40
            assert waiting
            await asyncio.gather(*waiting)

    run(work)


def damage_empty(file: FilePath) -> None:
    """A file of no bytes."""
    file.write_bytes(b"")


def damage_foreign(file: FilePath) -> None:
    """A database of somebody else."""
    file.unlink()
    connection = apsw.Connection(str(file))
    connection.execute("CREATE TABLE t (n)")
    connection.close()


def damage_tables(file: FilePath) -> None:
    """A pod's file without one of its tables."""
    connection = apsw.Connection(str(file))
    connection.execute("DROP TABLE change")
    connection.close()


def damage_pages(file: FilePath) -> None:
    """A file whose pages were overwritten, its head left."""
    file.write_bytes(file.read_bytes()[:100] + b"\x5a" * 40_000)


def damage_text(file: FilePath) -> None:
    """A file that is no database."""
    file.write_bytes(b"this is a letter to ana\n" * 500)


async def touched(store: Store, act: str) -> None:
    """Read or write the pod."""
    if act == "read":
        read(store, "/.acl")
    else:
        await store.append(POD, change(document("/a")))


DAMAGES = (damage_empty, damage_foreign, damage_tables, damage_pages, damage_text, FilePath.unlink)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("first", ["read", "append"])
def test_a_damaged_pod_is_corrupt_and_alone(
    folder: tuple[str, FilePath], damage: Callable[[FilePath], None], first: str
) -> None:
    """A pod's file that is no pod's is Corrupt for reads and writes and left as it is; the next pod goes on."""
    other = PodId("f" * 16)
    file = folder[1] / "pods" / POD[:2] / POD / "pod.sqlite"

    async def work() -> None:
        async with opened(folder) as store:
            store.create(other, genesis())
        damage(file)
        before = file.read_bytes() if file.exists() else None
        async with opened(folder) as store:
            for act in (first, "read", "append"):
                with pytest.raises(Corrupt):
                    await touched(store, act)
            assert store.verify(POD)
            await store.append(other, change(document("/a")))
            assert not store.verify(other)
            with pytest.raises(Missing):
                await store.append(PodId("e" * 16), change(document("/a")))
        assert (file.read_bytes() if file.exists() else None) == before

    run(work)


def test_files_that_no_row_names_are_swept(folder: tuple[str, FilePath]) -> None:
    """Bodies of refused appends and cut-off uploads go after an hour; named ones and younger ones stay."""
    bodies = folder[1] / "pods" / POD[:2] / POD / "bodies"

    async def uploaded(store: Store, data: bytes) -> Put:
        sink = store.sink(POD)
        sink.write(data)
        return Put(Path(f"/{data[:1].decode()}"), Kind.BINARY, "x/y", await sink.finish())

    def aged(*files: FilePath) -> None:
        for file in files:
            os.utime(file, (time.time() - 7200, time.time() - 7200))

    async def work() -> None:
        async with opened(folder) as store:
            kept, refused, young = [await uploaded(store, letter * 100_000) for letter in (b"k", b"r", b"y")]
            await store.append(POD, change(kept))
            with pytest.raises(Missing):
                await store.append(POD, change(refused, Delete(Path("/none"))))
            (bodies / ".incoming-cut").write_bytes(b"cut off")
            (bodies / "stubborn").mkdir()  # unlink fails on it, and no thread dies of that
            (folder[1] / "pods" / ".new-cut" / "x").mkdir(parents=True)
            (folder[1] / "pods" / ".restore-cut").mkdir()
            aged(*(bodies / each.body.hash for each in (kept, refused) if each.body), bodies / ".incoming-cut")
            aged(bodies / "stubborn")
            assert not store.verify(POD)
        async with opened(folder) as store:
            await store.append(POD, change(document("/a")))
            await store.append(POD, change(document("/b")))
            assert {file.name for file in bodies.iterdir()} == {
                "stubborn",
                *(each.body.hash for each in (kept, young) if each.body),
            }
            assert [each.name for each in (folder[1] / "pods").iterdir() if each.name.startswith(".")] == []
            assert read(store, "/k") == b"k" * 100_000

    run(work)


def test_verify_finds_nothing_beside_writers(folder: tuple[str, FilePath]) -> None:
    """A busy pod has no findings: all rows are looked at as of one position."""

    async def work() -> None:
        async with opened(folder) as store:
            stopped = False
            for start in range(0, 1500, 100):
                await store.append(POD, change(*(document(f"/kept/{start + n}", b"%d" % n) for n in range(100))))

            async def writer(who: int) -> None:
                number = 0
                while not stopped:
                    number += 1
                    await store.append(POD, change(document(f"/w{who}/{number}", b"%d" % number)))
                    await store.append(POD, change(Delete(Path(f"/w{who}/{number}"))))

            writers = [asyncio.ensure_future(writer(who)) for who in range(4)]
            loop = asyncio.get_running_loop()
            for _ in range(15):
                assert not await loop.run_in_executor(None, store.verify, POD)
            stopped = True
            await asyncio.gather(*writers)

    run(work)


def test_a_copy_of_a_damaged_pod_keeps_the_older_copy(folder: tuple[str, FilePath], tmp_path: FilePath) -> None:
    """A pod that cannot be copied whole is Corrupt, and what the backup had of it stays."""
    copy, file = tmp_path / "copy", folder[1] / "pods" / POD[:2] / POD / "pod.sqlite"

    async def work() -> None:
        async with opened(folder) as store:
            await store.append(POD, change(*(document(f"/n{number}", b"x" * 900) for number in range(60))))
            store.backup(POD, copy)
            await store.append(POD, change(document("/later")))
        before, raw = (copy / "pod.sqlite").read_bytes(), bytearray(file.read_bytes())
        raw[3 * 4096 : 5 * 4096] = b"\x5a" * 8192
        file.write_bytes(raw)
        async with opened(folder) as store:
            with pytest.raises(Corrupt):
                store.backup(POD, copy)
        assert (copy / "pod.sqlite").read_bytes() == before

    run(work)
