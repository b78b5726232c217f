"""The pool of parsing workers: results and refusals cross, limits hold, the dead are replaced, nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import worker_jobs as jobs

from pod_server.errors import Busy, LimitReached, Malformed
from pod_server.workers import Workers

ROOT = Path(__file__).resolve().parent.parent
PRELOAD = ("worker_jobs:warm", "pod_server.rdf")
linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp, parent-death signals and /proc are Linux's")

_Result = TypeVar("_Result")


def with_workers(story: Callable[[Workers], Awaitable[_Result]], count: int = 1, **settings: int) -> _Result:
    """Run a story with a pool that is stopped afterwards."""

    async def told() -> _Result:
        workers = Workers(count, preload=PRELOAD, **settings)
        workers.start()
        try:
            return await story(workers)
        finally:
            await workers.stop()

    return asyncio.run(told())


def is_alive(process: int) -> bool:
    """True for a process that runs; a zombie does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_gone(processes: list[int], patience: float = 10.0) -> bool:
    """True as soon as none of the processes runs any more, False when one outlives the patience."""
    until = time.monotonic() + patience
    while any(is_alive(process) for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_results_come_back() -> None:
    """A job gets bytes and its result returns, large ones too, and the modules were warmed first."""
    large = os.urandom(3 << 20)

    async def story(workers: Workers) -> None:
        assert await workers.run(jobs.statements, b"<a> <b> <c>, <d> .") == 2
        assert await workers.run(jobs.echo, large) == large
        assert await workers.run(jobs.was_warmed)

    with_workers(story)


def test_refusals_cross_with_their_fields() -> None:
    """A PodError of a job arrives as what it is; so does a defect, and the same worker goes on."""

    async def story(workers: Workers) -> None:
        before = await workers.run(jobs.process)
        with pytest.raises(Malformed) as refused:
            await workers.run(jobs.refuse)
        assert (refused.value.detail, refused.value.fields) == ("no", {"line": 3, "column": 4})
        with pytest.raises(Malformed) as refused:
            await workers.run(jobs.statements, b"<a> <b>\n <c")
        assert refused.value.fields["line"] == 2
        with pytest.raises(KeyError):
            await workers.run(jobs.defect)
        assert await workers.run(jobs.process) == before

    with_workers(story)


@pytest.mark.parametrize(
    ("job", "arguments", "limit"),
    [
        (jobs.sleep, (60.0,), "time"),
        (jobs.product, (), "time"),
        (jobs.overflow, (), "engine"),
        (jobs.die, (), "memory"),
        pytest.param(jobs.hog, (4 << 30,), "memory", marks=linux),
    ],
)
def test_a_job_over_its_limits_costs_one_process(job: Callable[..., object], arguments: tuple, limit: str) -> None:
    """Time, memory and crashes end as LimitReached, and the next job finds a living worker."""

    async def story(workers: Workers) -> None:
        assert await workers.run(jobs.hog, 1 << 20) == 1 << 20
        with pytest.raises(LimitReached) as refused:
            await workers.run(job, *arguments, seconds=1.0)
        assert refused.value.fields["limit"] == limit
        assert await workers.run(jobs.statements, b"<a> <b> <c> .") == 1

    with_workers(story, memory=512 << 20)


def test_a_killed_job_leaves_others_alone() -> None:
    """While one worker is killed for time, jobs of the other are answered."""

    async def story(workers: Workers) -> None:
        slow = asyncio.ensure_future(workers.run(jobs.product, seconds=1.0))
        answered = 0
        while not slow.done():
            answered += await workers.run(jobs.statements, b"<a> <b> <c> .")
        assert answered > 1
        with pytest.raises(LimitReached):
            await slow

    with_workers(story, count=2)


def test_a_full_queue_says_busy() -> None:
    """One job runs, two wait, the fourth is told to come back; afterwards there is room again."""

    async def story(workers: Workers) -> None:
        taken = [asyncio.ensure_future(workers.run(jobs.sleep, 0.3)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Busy) as refused:
            await workers.run(jobs.process)
        assert refused.value.fields["retry_after"] > 0
        await asyncio.gather(*taken)
        assert await workers.run(jobs.process)

    with_workers(story, waiting=2)


def test_a_cancelled_job_frees_its_worker() -> None:
    """When the caller goes away the job is killed, and the one worker serves the next."""

    async def story(workers: Workers) -> None:
        slow = asyncio.ensure_future(workers.run(jobs.product, seconds=100.0))
        await asyncio.sleep(1.0)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert await workers.run(jobs.statements, b"<a> <b> <c> .") == 1

    with_workers(story)


def test_an_idle_worker_may_die() -> None:
    """A worker killed between jobs is replaced without any job noticing."""

    async def story(workers: Workers) -> None:
        process = await workers.run(jobs.process)
        os.kill(process, signal.SIGKILL)
        await asyncio.sleep(0.3)
        assert await workers.run(jobs.process) not in (process, os.getpid())

    with_workers(story)


def test_stopping_ends_jobs_under_way() -> None:
    """Stop does not wait for a job without end: its caller gets Busy, and so does whoever comes later."""

    async def story() -> None:
        workers = Workers(1, preload=PRELOAD)
        workers.start()
        await workers.run(jobs.process)
        slow = asyncio.ensure_future(workers.run(jobs.product, seconds=100.0))
        await asyncio.sleep(0.3)
        await workers.stop()
        with pytest.raises(Busy):
            await slow
        with pytest.raises(Busy):
            await workers.run(jobs.process)

    asyncio.run(story())


@linux
def test_a_worker_can_do_nothing_but_compute() -> None:
    """No file, socket, program, child or foreign signal in a worker; in this process each of them works."""

    async def story(workers: Workers) -> None:
        assert (await workers.confinement()).kind == "seccomp"
        assert await workers.run(jobs.forbidden) == []

    with_workers(story)
    assert Path(jobs.__file__).read_bytes()
    os.kill(os.getppid(), 0)


def test_a_worker_knows_little_of_the_host() -> None:
    """The host's environment and its main module do not come along."""
    assert os.environ

    async def story(workers: Workers) -> None:
        assert await workers.run(jobs.environment) == {}
        assert not await workers.run(jobs.loaded, "pytest")
        assert await workers.run(jobs.loaded, "pyoxigraph")

    with_workers(story)


HOST = """
import asyncio, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
import worker_jobs as jobs
from pod_server.query.views import Views
from pod_server.workers import Workers

async def host():
    workers, views = Workers(2, preload=("worker_jobs", "pod_server.rdf")), Views(2)
    workers.start()
    views.start()
    await views.confinement()
    processes = {{await workers.run(jobs.process), *views.processes}}
    if {busy}:
        slow = [asyncio.ensure_future(workers.run(jobs.product, seconds=100.0)) for _ in range(2)]
        await asyncio.sleep(0.5)
    print(*processes, flush=True)
    if {busy}:
        await asyncio.sleep(100)
    await workers.stop()
    await views.stop()

if __name__ == "__main__":
    asyncio.run(host())
"""


@linux
def test_workers_die_with_their_host(tmp_path: Path) -> None:
    """A host that is killed outright leaves no worker behind, not even one in the middle of a job."""
    program = tmp_path / "host.py"
    program.write_text(HOST.format(root=str(ROOT), busy=True))
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        processes = [int(word) for word in host.stdout.readline().split()]
        assert len(processes) >= 3
        assert all(is_alive(process) for process in processes)
        host.kill()
    assert all_gone(processes)


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    """A host that stops its workers ends without a warning, a leaked semaphore or a process."""
    program = tmp_path / "host.py"
    program.write_text(HOST.format(root=str(ROOT), busy=False))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", str(program)], capture_output=True, timeout=60, check=False
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert all_gone([int(word) for word in run.stdout.split()])
