"""Twenty kills under eight writers, beside 2,700 pods: nothing acknowledged is lost, nothing else half there."""

from __future__ import annotations

import random
import statistics
import tempfile
from pathlib import Path

from bench.rows import Row, none_of, under
from killing import clear, kill_round, prepare

PODS = 2_700
ROUNDS = 20
SECONDS = 1.5
LONGEST_START = 2.0


def run(random_seed: int) -> list[Row]:
    """Kill and count."""
    dice = random.Random(random_seed)
    folder = Path(tempfile.mkdtemp(prefix="soak-kill-"))
    try:
        port = prepare(folder, PODS)
        tolls = [kill_round(folder, port, seed, SECONDS) for seed in dice.sample(range(1, 1_000_000), ROUNDS)]
    finally:
        clear(folder)
    ready = [toll.seconds_to_ready for toll in tolls]
    writes = sum(toll.acknowledged for toll in tolls)
    return [
        Row("acknowledged writes accounted for", f"{writes:,}", "> 1,000", writes > 1_000),
        none_of("acknowledged writes lost", sum(toll.lost for toll in tolls)),
        none_of("torn", sum(toll.torn for toll in tolls)),
        none_of("there but not listed", sum(toll.unlisted for toll in tolls)),
        none_of("unacknowledged and half visible", sum(toll.half_visible for toll in tolls)),
        under(f"seconds to ready beside {PODS:,} pods, worst of {ROUNDS}", max(ready), LONGEST_START, "s"),
        Row("the same, median", f"{statistics.median(ready):.2f} s"),
    ]
