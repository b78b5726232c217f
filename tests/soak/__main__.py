"""``python -m tests.soak [--seed N] [NAME ...]``: the long drills; exit code 1 when a bar is missed."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "clients")]

from soak.drills import main  # noqa: E402 - the paths come first

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
