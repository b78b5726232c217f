"""What every test may ask for: the shared data of the standards and the pilot, where it is present."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from solid import TestHost, running

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
sys.path.insert(0, str(ROOT / "clients"))


def shared(*parts: str) -> Path:
    """A folder of shared test data; skips, saying so, where a clone has none."""
    folder = SHARED.joinpath(*parts)
    if not folder.exists():
        pytest.skip(f"shared test data {'/'.join(parts)} is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHost]:
    """One real host in a child process for all tests that leave no state behind that others could trip over."""
    with running(tmp_path_factory.mktemp("host"), "alice,bob,carol") as found:
        yield found
