"""The property tests of the decision and of the shapes, on many more cases than the suite has time for."""

from __future__ import annotations

from typing import Any

import test_access_property as access
import test_shacl_differential as shacl
from bench.rows import Row, none_of
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

PROPERTIES: tuple[tuple[str, Any, int], ...] = (
    ("readable is decide", access.test_readable_is_decide_for_every_resource, 4_000),
    ("a verdict is true until it says", access.test_a_verdict_is_true_until_it_says, 4_000),
    ("decide is what WAC itself asks", access.test_decide_is_what_wac_itself_asks, 1_500),
    ("our SHACL is pyshacl's", shacl.test_against_pyshacl, 1_500),
)
TREES = st.dictionaries(st.sampled_from(access.PATHS), access.DOCUMENTS, min_size=1, max_size=3)
PEOPLE = access.CALLERS.filter(lambda caller: caller.partner is None)
# A property shape under sh:node is ill-formed (SHACL, section 4.7.1): pyshacl refuses it, and is no oracle there.
STRATEGIES: dict[str, tuple[Any, ...]] = {
    "readable is decide": (access.TREES, access.CALLERS, access.FACTS),
    "a verdict is true until it says": (access.TREES, access.CALLERS, access.FACTS, st.sampled_from(access.MODES)),
    "decide is what WAC itself asks": (TREES, PEOPLE, access.FACTS),
    "our SHACL is pyshacl's": (shacl.cases().filter(lambda case: "sh:node [ sh:path" not in case[0]),),
}


def run(random_seed: int) -> list[Row]:
    """Each property on its many cases; a counter-example is made small and printed."""
    rows = []
    for name, test, cases in PROPERTIES:
        failure = _failure(test.hypothesis.inner_test, STRATEGIES[name], cases, random_seed)
        if failure:
            print(f"{name}: {failure}")
        rows.append(none_of(f"{name}: counter-examples in {cases:,} cases", bool(failure)))
    return rows


def _failure(property_: Any, strategies: tuple[Any, ...], cases: int, random_seed: int) -> str:
    """What hypothesis says of the smallest counter-example; empty when there is none."""
    longer = settings(
        max_examples=cases,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        test: Any = longer(seed(random_seed)(given(*strategies)(property_)))  # type: ignore[no-untyped-call]
        test()
    except Exception as error:
        return "\n".join([repr(error), *getattr(error, "__notes__", ())])
    return ""
