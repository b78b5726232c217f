"""Invented citizens: repeatable, coherent, and taken by the same door as real deliveries."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from landing_actors import codes, refusal
from stdnum import iban

from pod_server.landing.catalogue import DATA_SETS
from pod_server.landing.mapping.turtle import QUDT
from pod_server.landing.sandbox import PARTNERS, Planted, citizens, deliveries, kilowatt_hours, planted_faults, watts
from pod_server.landing.siblings import merge
from pod_server.landing.transform import transform
from pod_server.rdf import Syntax, parse


def test_same_seed_same_lives() -> None:
    """The same seed gives the same people and the same bytes; more people leave the first ones unchanged."""
    few, many = citizens(2, 7), citizens(5, 7)
    assert many[:2] == few
    assert citizens(2, 8) != few
    assert list(deliveries(few[0], ["2024-02"])) == list(deliveries(many[0], ["2024-02"]))


def test_people_are_told_apart_and_belong_to_nobody() -> None:
    """Identifiers differ, telephone numbers lie in the range kept for fiction, bank details check out."""
    people = citizens(30, 1)
    for field in ("msisdn", "usage_point", "contract", "account", "member", "iban"):
        assert len({getattr(person, field) for person in people}) == 30
    assert all(person.msisdn.startswith("3363998") for person in people)
    assert all(iban.is_valid(person.iban, check_country=False) and len(person.iban) == 27 for person in people)


@pytest.mark.parametrize("month", ["2017-03", "2024-03", "2024-10"])
def test_every_delivery_lands(month: str) -> None:
    """Four partners, every data set, months with clock changes: all of it is taken, day totals add up to the bill."""
    citizen = citizens(1, 3)[0]
    seen, energy, body, last = set(), Decimal(0), None, None
    for delivered in deliveries(citizen, [month]):
        taken = transform(delivered.item("link"))
        seen.add((delivered.partner, delivered.data_set))
        for sibling in taken.siblings:
            last = merge(sibling, body)
            body = last.document.body
        if delivered.data_set == "bill":
            quads = parse(taken.documents[0].body, Syntax.TURTLE, "https://pod.invalid/b.ttl")
            energy = next(Decimal(q.object.value) for q in quads if q.predicate.value == QUDT + "numericValue")
    assert {partner for partner, _ in seen} == set(PARTNERS)
    assert {data_set for _, data_set in seen} == set(DATA_SETS)
    assert last is not None
    watt_hours, days, complete = last.upward[0].contributions[0][1].split()
    assert Decimal(watt_hours) / 1000 == energy == kilowatt_hours(citizen, month)
    assert int(days) == int(complete) == len({d.period for d in deliveries(citizen, [month]) if d.partner == "grid"})


def test_lives_are_plausible() -> None:
    """A year's use lies between that of a studio and that of a large home."""
    for citizen in citizens(3, 11):
        year = sum(kilowatt_hours(citizen, f"2024-{month:02}") for month in range(1, 13))
        assert 500 < year < 15000
    assert all(value % 2 == 0 for value in watts(citizens(1, 1)[0], date(2024, 1, 1)))


@pytest.mark.parametrize("planted", planted_faults(), ids=lambda planted: planted.code)
def test_planted_faults_are_found(planted: Planted) -> None:
    """Each planted fault refuses its delivery with the code that its label promises, and with no other."""
    refused = refusal(planted.delivered.item("link"))
    assert set(codes(refused)) == {planted.code}
    assert planted.english != planted.french
