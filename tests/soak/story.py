"""The demo, as a reader of the README runs it, from the checkout and from the wheel alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.rows import Row, claim

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 240.0
_CHAPTERS = ("1. ", "2. ", "3. ", "4. ")


def run(random_seed: int) -> list[Row]:
    """Tell the story four times: here and there, first and warm.  The seed is not used: the demo has its own."""
    place = Path(tempfile.mkdtemp(prefix="soak-story-"))
    try:
        here = _told(
            [sys.executable, "-m", "pod_server"], place, "in the checkout", {"PYTHONPATH": f"{ROOT}:{ROOT / 'clients'}"}
        )
        return here + _wheel_alone(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _told(command: list[str], place: Path, where: str, environment: dict[str, str]) -> list[Row]:
    rows, kept = [], {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for which in ("first", "warm"):
        began = time.monotonic()
        done = subprocess.run(
            [*command, "demo", "--once", "--port", "0"],
            cwd=place, env={**kept, **environment}, capture_output=True, text=True, timeout=LONGEST, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - began
        whole = all(f"\n{chapter}" in done.stdout for chapter in _CHAPTERS) and " claims hold." in done.stdout
        if done.returncode or not whole:
            sys.stderr.write(done.stdout[-3000:] + done.stderr[-3000:])
        figure = f"{seconds:.1f} s, {_claims(done.stdout)}"
        rows.append(claim(f"demo --once {where}, {which}", done.returncode == 0 and whole, figure))
    rows.append(claim("it leaves nothing behind", not list(place.glob(".demo-*"))))
    return rows


def _claims(text: str) -> str:
    found = re.search(r"All \d+ claims hold|\d+ of \d+ claims do not hold", text)
    return found.group() if found else "the story breaks off"


def _wheel_alone(place: Path) -> list[Row]:
    """Build the wheel, install it where nothing else is, and tell the story there."""
    dist, empty = place / "dist", place / "empty"
    empty.mkdir()
    _done([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(dist), str(ROOT)])
    [wheel] = dist.glob("*.whl")
    _done([sys.executable, "-m", "venv", str(place / "venv")])
    python = str(place / "venv" / "bin" / "python")
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(_pins()) + "\n")
    began = time.monotonic()
    installed = _attempt([python, "-m", "pip", "install", "-q", "-c", str(constraints), str(wheel)], empty)
    if installed.returncode and re.search(
        r"connection|resolve|network|No matching distribution", installed.stderr, re.IGNORECASE
    ):
        return [Row("the wheel alone", "left out: its dependencies cannot be fetched here")]
    seconds, size = time.monotonic() - began, wheel.stat().st_size / 1024
    found = _attempt([python, "-c", "import pod_server; print(pod_server.__file__)"], empty).stdout
    alone = "the wheel installs in an empty environment"
    return [
        claim(alone, installed.returncode == 0, f"{seconds:.0f} s, {size:.0f} KiB"),
        claim("what runs there is the wheel's", str(place / "venv") in found),
        *_told([str(place / "venv" / "bin" / "pod-server")], empty, "from the wheel alone", {}),
    ]


def _pins() -> list[str]:
    """The versions of the lock, as constraints."""
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line.rstrip(" \\") for line in lines if re.match(r"[a-z0-9]", line)]


def _attempt(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=cwd, env=kept, capture_output=True, text=True, timeout=LONGEST, check=False)


def _done(command: list[str]) -> None:
    done = _attempt(command, ROOT)
    if done.returncode:
        raise AssertionError(done.stdout + done.stderr)
