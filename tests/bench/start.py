"""How soon a host answers, and what its processes weigh."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from bench.processes import MIB, descendants, pss, view_workers
from bench.rows import Row, spread, under
from killing import clear, crowd
from solid import free_port, running

ROUNDS = 5
LONGEST_START = 1.5
HEAVIEST = 120.0
PODS = 2_700
SETTLED = 2.0


def run(random_seed: int) -> list[Row]:
    """Start it some times, weigh it once, start it beside many pods.  Nothing here is drawn."""
    folder = Path(tempfile.mkdtemp(prefix="bench-start-"))
    try:
        return [*_alone(folder / "data"), *_beside_many(folder)]
    finally:
        clear(folder)


@contextmanager
def served(data: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """``pod-server serve`` on a folder: its process, and the seconds until its first answer."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pod_server", "serve", "--data", str(data), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process, _first_answer(process, port) - began
    finally:
        process.terminate()
        process.wait(timeout=20)


def _first_answer(process: subprocess.Popen[bytes], port: int) -> float:
    with httpx.Client() as http:
        while process.poll() is None:
            try:
                if http.get(f"http://localhost:{port}/.host/health").status_code == 200:
                    return time.monotonic()
            except httpx.TransportError:
                time.sleep(0.005)
    raise AssertionError(f"the host ended with {process.returncode}")


def _alone(data: Path) -> list[Row]:
    port, seconds = free_port(), list[float]()
    for _ in range(ROUNDS):
        with served(data, port) as (process, taken):
            seconds.append(taken)
            time.sleep(SETTLED)
            weighed = _weighed(process.pid)
    return [
        under(f"serve: first answer, worst of {ROUNDS}", max(seconds), LONGEST_START, "s"),
        Row("the same", f"{spread(seconds)} s"),
        *weighed,
    ]


def _weighed(pid: int) -> list[Row]:
    views = view_workers(pid)
    others = [pss(child) / MIB for child in descendants(pid) if child not in views]
    return [
        under("PSS of the host process after one request", pss(pid) / MIB, HEAVIEST, "MiB"),
        Row("PSS of each view worker", ", ".join(f"{pss(child) / MIB:.0f}" for child in views) + " MiB"),
        Row("PSS of each parsing worker and their tracker", ", ".join(f"{each:.0f}" for each in others) + " MiB"),
    ]


def _beside_many(folder: Path) -> list[Row]:
    many, port, seconds = folder / "many", free_port(), list[float]()
    many.mkdir()
    with running(many, port=port):
        pass
    crowd(many, PODS)
    for _ in range(ROUNDS):
        with served(many / "data", port) as (process, taken):
            seconds.append(taken)
            time.sleep(SETTLED)
            weight = pss(process.pid) / MIB
    return [
        under(f"serve beside {PODS:,} pods, median", statistics.median(seconds), LONGEST_START, "s"),
        Row("PSS of the host process then", f"{weight:.0f} MiB"),
    ]
