"""Kill rounds: eight writers, kill -9, restart, and an account of every write; used by tests and by the soak."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import httpx
from solid import Agent, TestHost, free_port, running

from pod_server.store.backup import folder_in
from pod_server.store.checkup import verify_pod

WRITERS = 8


@dataclass
class Account:
    """What writers sent, and what was acknowledged to them."""

    sent: dict[str, bytes] = field(default_factory=dict)
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    versions: dict[int, int] = field(default_factory=dict)


@dataclass
class Toll:
    """What a round cost: all of it must be zero but the counts."""

    acknowledged: int = 0
    lost: int = 0
    torn: int = 0
    unlisted: int = 0
    half_visible: int = 0
    findings: int = 0
    seconds_to_ready: float = 0.0


def crowd(folder: Path, pods: int) -> None:
    """Give a data folder that many pods, by links to one pod's file: they are there, and nobody writes to them."""
    data = folder / "data"
    connection = apsw.Connection(str(data / "host.db"))
    [(model, owner)] = connection.execute("SELECT id, owner FROM pod WHERE name = 'bob'")
    source = data / "pods" / model[:2] / model / "pod.sqlite"
    with connection:
        for number in range(pods):
            name = f"{number:032x}"
            home = data / "pods" / name[:2] / name
            home.mkdir(parents=True)
            os.link(source, home / "pod.sqlite")
            connection.execute("INSERT INTO pod VALUES (?,?,?,1.0)", (name, f"c{number}", owner))
    connection.close()


def kill_round(folder: Path, port: int, seed: int, seconds: float) -> Toll:
    """Write, kill, restart, count."""
    account, random_ = Account(), random.Random(seed)
    with running(folder, port=port) as host:
        sent = [(host, account, number, seed) for number in range(WRITERS)]
        threads = [threading.Thread(target=_write, args=each, daemon=True) for each in sent]
        for thread in threads:
            thread.start()
        time.sleep(seconds * random_.uniform(0.7, 1.3))
        host.process.kill()
        host.process.wait()
        for thread in threads:
            thread.join(timeout=20)
    began = time.monotonic()
    with running(folder, port=port) as host:
        ready = time.monotonic() - began
        toll = _audit(host, account)
        toll.seconds_to_ready = ready
    toll.findings = len(verify_pod(_home(folder / "data", "alice")))
    return toll


def _home(data: Path, name: str) -> Path:
    connection = apsw.Connection(str(data / "host.db"))
    [(pod,)] = connection.execute("SELECT id FROM pod WHERE name = ?", (name,))
    connection.close()
    return folder_in(data, pod)


def _write(host: TestHost, account: Account, number: int, seed: int) -> None:
    """One writer: new documents, and one document written over and over."""
    user = host.users["alice"]
    random_ = random.Random(seed * 100 + number)
    with httpx.Client(timeout=10) as http:
        agent = Agent(http, host.base, user["clientId"], user["clientSecret"])
        try:
            for step in range(100_000):
                name = f"kill/{seed}/{number}/{step}"
                body = f"<#s> <#p> {json.dumps('x' * random_.randrange(10, 5000))} .".encode()
                account.sent[name] = body
                if agent.put(host.pod("alice") + name, body).status_code == 201:
                    account.acknowledged[name] = body
                version = f'<#v> <#is> {step} ; <#pad> "{"é" * 2000}" .'.encode()
                if agent.put(f"{host.pod('alice')}kill/{seed}/version{number}", version).status_code in (201, 204):
                    account.versions[number] = step
        except (httpx.HTTPError, AssertionError):
            return


def _audit(host: TestHost, account: Account) -> Toll:
    toll = Toll(acknowledged=len(account.acknowledged))
    agent, root = host.agent("alice"), host.pod("alice")
    listings: dict[str, str] = {}
    for name, body in account.sent.items():
        folder = name.rpartition("/")[0] + "/"
        if folder not in listings:
            listings[folder] = agent.get(root + folder).text
        found = agent.get(root + name)
        listed = f"<{root}{name}>" in listings[folder]
        if name in account.acknowledged:
            toll.lost += found.status_code != 200
            toll.unlisted += not listed
        elif found.status_code != 404:
            toll.half_visible += not listed
        else:
            toll.half_visible += listed
        toll.torn += found.status_code == 200 and found.content != body
    for number, step in account.versions.items():
        answer = agent.get(f"{root}kill/{next(iter(account.sent)).split('/')[1]}/version{number}")
        if answer.status_code != 200:
            toll.lost += 1
            continue
        found = answer.text
        kept = int(found.split("<#is> ")[1].split(" ")[0])
        toll.lost += kept < step
        toll.torn += found.count("é") != 2000
    return toll


def prepare(folder: Path, pods: int) -> int:
    """A data folder with two users and a crowd; the port that its host will use."""
    port = free_port()
    with running(folder, port=port):
        pass
    crowd(folder, pods)
    return port


def clear(folder: Path) -> None:
    """Remove what a drill left."""
    shutil.rmtree(folder, ignore_errors=True)
