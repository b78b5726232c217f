"""The property tests of the decision and of the shapes, on many more cases than the suite has time for."""

from __future__ import annotations

import random
import time

import test_access_property
import test_shacl_differential

from bench.rows import Row, none_of

SECONDS = 30.0
BYTES = 8_000
PROPERTIES = {
    "readable is decide": test_access_property.test_readable_is_decide_for_every_resource,
    "a verdict is true until it says": test_access_property.test_a_verdict_is_true_until_it_says,
    "decide is what WAC itself asks": test_access_property.test_decide_is_what_wac_itself_asks,
    "our SHACL is pyshacl's": test_shacl_differential.test_against_pyshacl,
}


def run(random_seed: int) -> list[Row]:
    """Each property for half a minute of cases drawn from random bytes; a failure raises with its case."""
    dice, rows = random.Random(random_seed), []
    for name, test in PROPERTIES.items():
        tried, failures, end = 0, list[str](), time.monotonic() + SECONDS
        while time.monotonic() < end and not failures:
            try:
                tried += test.hypothesis.fuzz_one_input(dice.randbytes(BYTES)) is not None
            except Exception as error:  # whatever a property raises is its failure
                failures.append(repr(error))
                print(f"{name}: {error!r}")
        rows += [none_of(f"{name}: counter-examples in {tried:,} cases", len(failures))]
    return rows
