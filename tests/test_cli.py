"""The command line, as an operator meets it: real processes, real folders."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from solid import Agent, free_port, running

from pod_server.provision import Provision
from pod_server.store.backup import backup_host, folder_in, pods_of, restore_host
from pod_server.store.checkup import verify_pod
from pod_server.store.host import HostDatabase
from pod_server.store.sqlite import SqliteStore


def cli(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``pod-server`` with these words."""
    return subprocess.run(
        [sys.executable, "-m", "pod_server", *words],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "200", **env},
    )  # fmt: skip


def test_backup_restore_verify(tmp_path: Path) -> None:
    """A backup taken under a running host restores into an empty folder, with the same bytes and whole chains."""
    data, copy, elsewhere = tmp_path / "data", tmp_path / "copy", tmp_path / "elsewhere"
    port = free_port()
    with running(tmp_path, port=port) as host:
        alice, root = host.agent("alice"), host.pod("alice")
        alice.put(f"{root}note", '<> <#p> "é" .')
        alice.put(f"{root}big", os.urandom(200_000), "application/octet-stream")
        big = alice.get(f"{root}big").content
        first = cli("backup", str(copy), "--data", str(data))
        assert first.returncode == 0, first.stderr
        alice.put(f"{root}later", "<> <#p> 2 .")
        assert cli("backup", str(copy), "--data", str(data)).returncode == 0
        assert cli("verify", "--data", str(data)).returncode == 0
    restored = cli("restore", str(copy), "--data", str(elsewhere))
    assert restored.returncode == 0, restored.stderr
    assert not (copy / "secrets.json").exists()
    verified = cli("verify", "--data", str(elsewhere))
    assert verified.returncode == 0
    assert "0 findings" in verified.stdout
    (elsewhere / "dev.json").write_text((data / "dev.json").read_text())
    again = tmp_path / "again"
    again.mkdir()
    elsewhere.rename(again / "data")
    with running(again, port=port) as host:
        user = host.users["alice"]
        alice = Agent(host.http, host.base, user["clientId"], user["clientSecret"])
        assert alice.get(f"{host.base}alice/big").content == big
        assert alice.get(f"{host.base}alice/later").text == "<> <#p> 2 ."
        assert cli("restore", str(copy), "--data", str(again / "data")).returncode == 1


def test_verify_tells_damage(tmp_path: Path) -> None:
    """A flipped byte in a large body is found, and named with its pod; exit code 1."""
    with running(tmp_path) as host:
        host.agent("alice").put(f"{host.pod('alice')}big", os.urandom(200_000), "application/octet-stream")
    [file] = (tmp_path / "data").glob("pods/*/*/bodies/*")
    raw = bytearray(file.read_bytes())
    raw[1000] ^= 1
    file.write_bytes(raw)
    told = cli("verify", "--data", str(tmp_path / "data"))
    assert told.returncode == 1
    assert "alice" in told.stdout
    assert "differ" in told.stdout


def folder_of(data: Path, name: str) -> Path:
    """Where a pod is kept."""
    [row] = [each for each in pods_of(data) if each.name == name]
    return folder_in(data, row.id)


def with_pods(data: Path, *names: str) -> None:
    """A data folder with these pods, that nobody serves."""
    data.mkdir()
    store, database = SqliteStore(data, time.time), HostDatabase(data)
    for name in names:
        Provision(store, database, time.time, "http://localhost:8000/").pod(name)
    database.close()
    asyncio.run(store.close())


def one_sentence(told: subprocess.CompletedProcess[str]) -> bool:
    """A refusal as people should meet it: exit code 1, a sentence, no traceback."""
    return told.returncode == 1 and "pod-server:" in told.stderr and "Traceback" not in told.stderr


def test_a_mistyped_folder_is_one_sentence_and_makes_nothing(tmp_path: Path) -> None:
    """verify, backup and restore of a folder that is not there, or holds no host, leave no trace."""
    nowhere, empty, target = tmp_path / "nowhere", tmp_path / "empty", tmp_path / "target"
    empty.mkdir()
    for data in (nowhere, empty):
        assert one_sentence(cli("verify", "--data", str(data)))
        assert one_sentence(cli("backup", str(target), "--data", str(data)))
        assert one_sentence(cli("restore", str(data), "--data", str(target)))
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["empty"]


def test_one_damaged_pod_is_counted_and_the_others_go_on(tmp_path: Path) -> None:
    """verify, backup and restore tell the pod that is damaged, do all others, and exit with 1."""
    data, copy, elsewhere = tmp_path / "data", tmp_path / "copy", tmp_path / "elsewhere"
    with_pods(data, "ana", "ben", "cem")
    (folder_of(data, "ana") / "pod.sqlite").write_bytes(b"")
    (folder_of(data, "ben") / "pod.sqlite").write_bytes(b"no database" * 1000)
    for command in (("verify",), ("backup", str(copy))):
        told = cli(*command, "--data", str(data))
        assert told.returncode == 1
        assert "Traceback" not in told.stderr
        assert "ana: " in told.stdout
        assert "ben: " in told.stdout
        assert "cem: " not in told.stdout
    told = cli("restore", str(copy), "--data", str(elsewhere))
    assert told.returncode == 1
    assert "1 pods restored" in told.stdout
    assert verify_pod(folder_of(elsewhere, "cem")) == []


def test_backup_beside_pods_being_made_restores(tmp_path: Path) -> None:
    """Pods are made while a backup runs: it restores, with every pod that it lists."""
    data, copy, elsewhere = tmp_path / "data", tmp_path / "copy", tmp_path / "elsewhere"
    with running(tmp_path) as host:
        stop = threading.Event()

        def make() -> None:
            number = 0
            while not stop.is_set():
                host.operate("pods", name=f"citizen{number}")
                number += 1

        maker = threading.Thread(target=make)
        maker.start()
        try:
            for _ in range(3):
                time.sleep(0.1)
                assert backup_host(data, copy).failures == ()
                assert {row.id for row in pods_of(copy)} <= {each.name for each in (copy / "pods").iterdir()}
        finally:
            stop.set()
            maker.join()
    elsewhere.mkdir()
    tally = restore_host(copy, elsewhere)
    assert (tally.pods, tally.failures) == (len(pods_of(copy)), ())
    assert tally.pods > 2
    assert not any(verify_pod(folder_in(elsewhere, row.id)) for row in pods_of(elsewhere))


def test_an_interrupted_restore_is_resumed(tmp_path: Path) -> None:
    """What an interrupted restore left is no host; the same restore again ends it.  Pods of others are not replaced."""
    data, copy, elsewhere = tmp_path / "data", tmp_path / "copy", tmp_path / "elsewhere"
    with_pods(data, "ana", "ben")
    assert backup_host(data, copy).failures == ()
    assert cli("restore", str(copy), "--data", str(elsewhere)).returncode == 0
    ids = {row.id for row in pods_of(elsewhere)}
    (elsewhere / "host.db").unlink()
    assert one_sentence(cli("restore", str(copy), "--data", str(elsewhere)))  # pods without a host: whose are they?
    (elsewhere / "restoring").touch()
    (elsewhere / "pods" / ".restore-half").mkdir()
    assert one_sentence(cli("serve", "--data", str(elsewhere)))
    assert cli("restore", str(copy), "--data", str(elsewhere)).returncode == 0
    assert {row.id for row in pods_of(elsewhere)} == ids
    assert not (elsewhere / "restoring").exists()
    assert not any(verify_pod(folder_in(elsewhere, row.id)) for row in pods_of(elsewhere))
    assert one_sentence(cli("restore", str(copy), "--data", str(elsewhere)))
    assert sorted(each.name for each in copy.iterdir()) == ["host.db", "pods"]


def test_pods_and_partners_with_and_without_a_host(tmp_path: Path) -> None:
    """The same commands work on a folder nobody serves and beside a running host; a taken name is one sentence."""
    data = str(tmp_path / "data")
    made = cli("pod", "add", "ana", "--title", "Ana", "--data", data)
    assert json.loads(made.stdout)["pod"].endswith("/ana/")
    taken = cli("pod", "add", "ana", "--data", data)
    assert taken.returncode == 1
    assert "There is a pod named ana already." in taken.stderr
    assert "Traceback" not in taken.stderr
    for bad in ("Ana", "a/b", "-a", "a" * 80):
        assert cli("pod", "add", "--data", data, "--", bad).returncode == 1
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pod_server", "serve", "--data", data, "--port", str(port)], stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + 20
            while cli("pod", "list", "--data", data).returncode and time.monotonic() < deadline:
                time.sleep(0.1)
            assert "ana" in cli("pod", "list", "--data", data).stdout
            assert cli("partner", "add", "grid", "--name", "Grid", "--holder", "g", "--data", data).returncode == 0
            link = json.loads(cli("partner", "link", "grid", "ana", "--data", data).stdout)["link"]
            assert cli("partner", "unlink", link, "--data", data).returncode == 0
            assert cli("partner", "unlink", "none", "--data", data).returncode == 1
            second = cli("serve", "--data", data, "--port", str(free_port()))
            assert second.returncode == 1
            assert "Another process owns the data folder" in second.stderr
            busy = cli("serve", "--data", str(tmp_path / "other"), "--port", str(port))
            assert busy.returncode != 0
            assert "address already in use" in busy.stderr
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) in (0, -signal.SIGTERM)


BAD_SETTINGS = {
    "a port that is none": {"POD_SERVER_PORT": "many"},
    "an address without its slash": {"POD_SERVER_URL": "https://pods.example.org"},
    "no workers": {"POD_SERVER_WORKERS": "0"},
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_told_before_anything_starts(case: str, tmp_path: Path) -> None:
    """A setting that does not hold is one sentence that names it, and no folder is touched."""
    told = cli("serve", "--data", str(tmp_path / "none"), **BAD_SETTINGS[case])
    assert told.returncode == 1
    assert next(iter(BAD_SETTINGS[case])).removeprefix("POD_SERVER_").lower() in told.stderr
    assert not (tmp_path / "none").exists()


def test_every_command_has_help() -> None:
    """Help reads as sentences, for each command."""
    for words in ([], ["serve"], ["dev"], ["demo"], ["pod"], ["partner"], ["app"], ["backup"], ["restore"], ["verify"]):
        told = cli(*words, "--help")
        assert told.returncode == 0, words
        assert "Usage" in told.stdout
