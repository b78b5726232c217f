"""The demo: the whole story over real HTTP, in a child process, as its reader runs it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

SECONDS = 100
DEMO = [sys.executable, "-m", "pod_server", "demo", "--port", "0"]
BROKEN = """
from decimal import Decimal
from pathlib import Path
from pod_server import demo
from pod_server.landing import sandbox
sandbox.kilowatt_hours = lambda *_: Decimal("12.5")
raise SystemExit(demo.run(0, None, once=True, citizens=1))
"""


def told(folder: Path, *command: str) -> tuple[int, str]:
    """Exit code and output of a demo that ends by itself."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def staying(folder: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A demo that stays up, and what it said until it did."""
    process = subprocess.Popen([*DEMO, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    limit = threading.Timer(SECONDS, process.kill)
    limit.start()
    try:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                break
        yield process, said
    finally:
        limit.cancel()
        process.kill()
        process.communicate()


def test_story_in_short(tmp_path: Path) -> None:
    """Four citizens, one month: every claim holds, and the fresh folder is gone."""
    code, said = told(tmp_path, *DEMO, "--once", "--citizens", "4")
    assert code == 0, said
    assert "DOES NOT HOLD" not in said
    assert re.search(r"All \d\d claims hold", said)
    for sentence in ("304 items in", "Ce jour n'existe pas dans le calendrier", "2024-03", "Be Green"):
        assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_does_not_hold_is_said(tmp_path: Path) -> None:
    """When the totals are not what they should be, the demo names the claim and fails."""
    code, said = told(tmp_path, sys.executable, "-c", BROKEN)
    assert code == 1, said
    assert "DOES NOT HOLD: each total is exactly what the half-hours add up to" in said
    assert "1 of" in said
    assert list(tmp_path.iterdir()) == []


def test_it_stays_up_and_ends_cleanly(tmp_path: Path) -> None:
    """Without --once the host answers after the story; SIGTERM ends it and removes the fresh folder."""
    with staying(tmp_path, "--citizens", "1") as (process, said):
        base = re.findall(r"Citizens: (http://localhost:\d+/)", said)[0]
        link = re.findall(r"http://\S+token=\S+", said)[0]
        assert httpx.get(f"{base}.host/health").json()["status"] == "ok"
        assert httpx.get(link, follow_redirects=True).status_code == 200
        assert [child.name.startswith(".demo-") for child in tmp_path.iterdir()] == [True]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_given_folder_is_kept_and_never_reused(tmp_path: Path) -> None:
    """A folder of the reader's stays; one with content is refused untouched."""
    folder = tmp_path / "kept"
    code, said = told(tmp_path, *DEMO, "--once", "--citizens", "1", "--data", str(folder))
    assert code == 0, said
    before = sorted(folder.rglob("*"))
    assert before
    code, said = told(tmp_path, *DEMO, "--once", "--data", str(folder))
    assert code == 1
    assert "not empty" in " ".join(said.split())
    assert sorted(folder.rglob("*")) == before


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    """Where another program listens, the demo says so and leaves nothing behind."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        code, said = told(tmp_path, *DEMO[:-1], port, "--once", "--citizens", "1")
    assert code == 1
    assert "cannot listen" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("citizens", [20])
def test_whole_story(tmp_path: Path, citizens: int) -> None:
    """The story as the README tells it, with all its citizens; some ten seconds on two cores."""
    code, said = told(tmp_path, *DEMO, "--once", "--citizens", str(citizens))
    assert code == 0, said
    assert "1520 items in" in said
