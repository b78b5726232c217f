"""The benches by name, and what the command line gives them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from bench import city, serving, shacl_ratio, start
from bench.rows import Row, gather, tell

LEAST_RATIO = 10.0


def _shacl(random_seed: int) -> list[Row]:
    """The compiler beside pyshacl, on a day and on a month."""
    day, month = shacl_ratio.ratio(), shacl_ratio.ratio(readings=1488, rounds=3)
    return [
        Row("a day of readings, times faster than pyshacl", f"{day:.1f}", f">= {LEAST_RATIO:g}", day >= LEAST_RATIO),
        Row("a month of readings, times faster than pyshacl", f"{month:.1f}"),
    ]


BENCHES: dict[str, Callable[[int], list[Row]]] = {
    "start": start.run,
    "serving": serving.run,
    "city": city.run,
    "shacl": _shacl,
}


def main(arguments: Sequence[str]) -> int:
    """Run benches and print one table; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Figures of this machine, side by side.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ({', '.join(BENCHES)}); all without")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHES]
    if unknown:
        parser.error(f"no bench named {', '.join(unknown)}")
    return tell("bench", gather(BENCHES, given.names, seed=1))
