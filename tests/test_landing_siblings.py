"""Totals that follow their readings: exact, repeatable, in any order, and honest about what is missing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landing_actors import example

from pod_server.errors import Corrupt
from pod_server.landing.items import Sibling
from pod_server.landing.mapping.load_curve import DAY_TOTALS
from pod_server.landing.mapping.turtle import ENERGY, SOSA
from pod_server.landing.siblings import merge
from pod_server.landing.transform import transform
from pod_server.rdf import Syntax, parse, shipped
from pod_server.rdf.vocabulary import PROV
from pod_server.shacl import load_shapes, validate

BASE = "https://nobody.example/landed/grid/load-curve/"


def of_day(day: int, watt_hours: str, readings: int = 48) -> Sibling:
    """The contribution of a day of August 2017."""
    return Sibling(
        path="day/2017/2017-08.ttl",
        kind=DAY_TOTALS,
        contributions=((f"2017-08-{day:02}", f"{watt_hours} {readings} 48"),),
        shape="load-curve",
        derived_from=(f"half-hour/2017-08/2017-08-{day:02}.ttl",),
    )


def objects(path: str, body: bytes, predicate: str) -> list[str]:
    """The objects of a predicate in a document, in its order."""
    quads = parse(body, Syntax.TURTLE, BASE + path)
    return [quad.object.value for quad in quads if quad.predicate.value == predicate]


def test_a_day_goes_up_to_its_month_and_year() -> None:
    """One day's readings give a daily total and then a monthly one, in exact kilowatt-hours."""
    sibling = transform(example("load-curve/grid-v5")).siblings[0]
    watt_hours = Decimal(sibling.contributions[0][1].split()[0])
    day = merge(sibling, None)
    month = merge(day.upward[0], None)
    assert month.upward == ()
    assert (day.document.path, month.document.path) == ("day/2024/2024-03.ttl", "month/2024.ttl")
    for document in (day.document, month.document):
        found = objects(document.path, document.body, SOSA + "hasSimpleResult")
        assert [Decimal(text) for text in found] == [watt_hours / 1000]


def test_a_month_says_how_much_of_it_is_covered() -> None:
    """Two days of thirty-one, one of them with a gap, are told as such."""
    first = merge(of_day(1, "14742"), None)
    second = merge(of_day(2, "3700", readings=11), first.document.body)
    month = merge(second.upward[0], None).document
    said = {name: objects(month.path, month.body, ENERGY + name) for name in ("days", "completeDays", "daysInMonth")}
    assert said == {"days": ["2"], "completeDays": ["1"], "daysInMonth": ["31"]}
    assert objects(month.path, month.body, SOSA + "hasSimpleResult") == ["18.442"]


def test_sources_are_named_relative_to_the_document() -> None:
    """Each total names its finer documents by IRIs that survive a move of the pod."""
    body = merge(of_day(17, "1"), None).document.body
    assert b"<../../half-hour/2017-08/2017-08-17.ttl>" in body
    found = objects("day/2017/2017-08.ttl", body, PROV + "wasDerivedFrom")
    assert found == [BASE + "half-hour/2017-08/2017-08-17.ttl"]


def test_a_correction_replaces_what_the_same_day_gave() -> None:
    """A new version of a day changes its total and nothing is counted twice."""
    once = merge(of_day(17, "14742"), merge(of_day(16, "1000"), None).document.body)
    again = merge(of_day(17, "15000"), once.document.body)
    assert objects("day/2017/2017-08.ttl", again.document.body, SOSA + "hasSimpleResult") == ["1.0", "15.0"]
    assert again.upward[0].contributions == (("2017-08", "16000.0 2 2"),)


def test_the_same_contribution_changes_nothing() -> None:
    """Merging what is already there gives the very same bytes."""
    once = merge(of_day(17, "14742.5"), None)
    assert merge(of_day(17, "14742.5"), once.document.body).document == once.document


DAYS = st.dictionaries(st.integers(1, 31), st.decimals(0, 100_000, places=1), min_size=1, max_size=8)


@given(DAYS, st.randoms(use_true_random=False))
def test_order_does_not_matter(days: dict[int, Decimal], dice: object) -> None:
    """Days may arrive in any order, one by one or together: the bytes are the same, the sum exact."""
    order = list(days)
    dice.shuffle(order)  # type: ignore[attr-defined]
    body, last = None, None
    for day in order:
        last = merge(of_day(day, str(days[day])), body)
        body = last.document.body
    together = replace(
        of_day(1, "0"),
        contributions=tuple(of_day(day, str(days[day])).contributions[0] for day in sorted(days)),
        derived_from=tuple(of_day(day, "0").derived_from[0] for day in days),
    )
    whole = merge(together, None)
    assert whole.document.body == body
    assert last is not None
    assert Decimal(last.upward[0].contributions[0][1].split()[0]) == sum(days.values())


def test_totals_keep_their_shape() -> None:
    """Daily and monthly totals conform, and a negative energy does not."""
    shapes = load_shapes(shipped("shapes", "load-curve.ttl").read_bytes())
    day = merge(of_day(17, "14742"), None)
    month = merge(day.upward[0], None)
    for document in (day.document, month.document):
        assert validate(shapes, parse(document.body, Syntax.TURTLE, BASE + document.path)).conforms
    wrong = day.document.body.replace(b" 14.742", b" -14.742")
    assert not validate(shapes, parse(wrong, Syntax.TURTLE, BASE + day.document.path)).conforms


@pytest.mark.parametrize("existing", [b"<#x> <https://a.example/p> 1 .", b'<#x> <https://a.example/p> "y" .'])
def test_a_foreign_document_is_not_merged_into(existing: bytes) -> None:
    """What this host did not write is corruption, never overwritten in silence."""
    with pytest.raises(Corrupt):
        merge(of_day(17, "1"), existing)
    with pytest.raises(Corrupt):
        merge(replace(of_day(17, "1"), kind="unknown"), None)
