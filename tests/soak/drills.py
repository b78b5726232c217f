"""The drills by name, and what the command line gives them."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable, Sequence

from bench.rows import Row, gather, tell
from soak import disk_full, flood, kill, power_cuts, properties, story

DRILLS: dict[str, Callable[[int], list[Row]]] = {
    "kill": kill.run,
    "disk_full": disk_full.run,
    "power_cuts": power_cuts.run,
    "flood": flood.run,
    "story": story.run,
    "properties": properties.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run drills and print one table; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description="Long drills on real hosts, on this machine alone."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which drills ({', '.join(DRILLS)}); all without")
    parser.add_argument("--seed", type=int, help="repeat a run by the seed that it printed")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in DRILLS]
    if unknown:
        parser.error(f"no drill named {', '.join(unknown)}")
    seed = given.seed if given.seed is not None else secrets.randbelow(1_000_000)
    print(f"seed {seed}", flush=True)
    return tell(f"soak, seed {seed}", gather(DRILLS, given.names, seed))
