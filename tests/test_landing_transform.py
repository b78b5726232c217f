"""Partners' files to documents: the pilot's own samples, each known defect, and what must hold for any payload."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landing_actors import CASES, EXAMPLES, changed, codes, example, item, mended, refusal, sample
from pyoxigraph import BlankNode, Literal, NamedNode, Quad

from pod_server.errors import Invalid
from pod_server.landing.formats.record import leaves
from pod_server.landing.items import Item, Transformed
from pod_server.landing.mapping.paths import file_name
from pod_server.landing.mapping.turtle import ENERGY, GEO, SOSA
from pod_server.landing.transform import covered, transform
from pod_server.rdf import Syntax, parse

BASE = "https://nobody.example/somewhere/"


def statements(taken: Transformed, number: int = 0) -> list[Quad]:
    """The statements of a document."""
    document = taken.documents[number]
    return parse(document.body, Syntax.TURTLE, BASE + document.path)


def values_of(quads: list[Quad], predicate: str) -> list[str]:
    """The objects of a predicate, in the order of the document."""
    return [quad.object.value for quad in quads if quad.predicate.value == predicate]


def count_leaves(payload: bytes) -> int:
    """Leaf values of a JSON text, counted apart from the code under test."""

    def count(value: Any) -> int:
        if isinstance(value, dict):
            return sum(map(count, value.values()))
        return sum(map(count, value)) if isinstance(value, list) else 1

    return count(json.loads(payload))


def covers(of: Item) -> dict[str, int]:
    """What became of an item's leaf values, whether it was taken or refused."""
    try:
        taken = transform(of)
    except Invalid as refused:
        return refused.fields["coverage"]
    left = sum(fault.count for fault in taken.left_out)
    return {"mapped": taken.mapped, "left_out": left, "faulted": 0}


# The pilot's own files, as they are.

PILOT = [
    ("energy-contract", "contrat_electricite", "contract", []),
    ("load-curve", "enedis_loadcurve", "2017-08-17", []),
    ("load-curve", "consommation_linky_demiheure", "2017-03-01", []),
    ("bill", "facture_electricite", "12346897654", ["impossible-date"]),
    ("geolocation", "geoloc", "2016-09", ["impossible-date"] * 26),
    ("insurance-claim", "sinistre_vehicule", "F150181177B", ["no-zone"]),
    ("insurance-claim", "sinistre_habitation", "F150181177B", ["no-zone"]),
]


@pytest.mark.parametrize(("data_set", "name", "period", "expected"), PILOT, ids=[row[1] for row in PILOT])
def test_pilot_file(data_set: str, name: str, period: str, expected: list[str]) -> None:
    """Each file of the pilot is taken, or refused for its known defects and no other; no leaf value is lost."""
    of = sample(data_set, name, period)
    counts = covers(of)
    assert counts["mapped"] + counts["left_out"] + counts["faulted"] == count_leaves(of.payload)
    if expected:
        assert codes(refusal(of)) == expected
    else:
        assert transform(of).documents


def test_pilot_load_curve_is_mended_and_told() -> None:
    """Numbered readings get their instants, the empty step and the short usage point are told."""
    taken = transform(sample("load-curve", "enedis_loadcurve", "2017-08-17"))
    assert mended(taken) == {"counted-from-midnight": 48, "empty-step": 1, "usage-point-short": 1}
    starts = values_of(statements(taken), ENERGY + "start")
    assert (starts[0], starts[-1]) == ("2017-08-17T00:00:00+02:00", "2017-08-17T23:30:00+02:00")
    assert taken.siblings[0].contributions == (("2017-08-17", "14742 48 48"),)


def test_pilot_half_hours_without_unit_are_watt_hours() -> None:
    """260 in half an hour is 520 W on average, and the citizen is told why."""
    taken = transform(sample("load-curve", "consommation_linky_demiheure", "2017-03-01"))
    assert mended(taken)["unit-absent"] == 11
    assert values_of(statements(taken), SOSA + "hasSimpleResult")[0] == "520.0"
    assert taken.siblings[0].contributions == (("2017-03-01", "3700 11 48"),)


@pytest.mark.parametrize("name", ["sinistre_vehicule", "sinistre_habitation"])
def test_pilot_claim_lands_once_its_time_has_a_zone(name: str) -> None:
    """The zone is the only thing that keeps the claims out; the home's postcode is completed from its city."""
    of = sample("insurance-claim", name, "event")
    zoned = of.payload.replace(b'"2015-07-20T19:00"', b'"2015-07-20T19:00+02:00"')
    taken = transform(item("insurance-claim", zoned, "event"))
    assert taken.first_day == taken.last_day == "2015-07-20"
    assert mended(taken) == ({"postcode-by-city": 1} if name == "sinistre_habitation" else {})
    paths = [document.path for document in taken.documents]
    others = ["others/2015/F150181177B.ttl"] if name == "sinistre_vehicule" else []
    assert paths == ["claim/2015/F150181177B.ttl", *others]


def test_pilot_points_land_day_by_day() -> None:
    """Cut by day, thirty days land and the thirty-first of September alone is refused."""
    whole = json.loads(sample("geolocation", "geoloc", "2016-09").payload)
    days: dict[str, list[Any]] = {}
    for point in whole:
        days.setdefault(point["timestamp"][:10], []).append(point)
    refused = []
    for day, points in days.items():
        try:
            taken = transform(
                item("geolocation", json.dumps(points).encode(), day if day != "2016-09-31" else "2016-09")
            )
            assert [document.path for document in taken.documents] == [
                f"exact/2016-09/{day}.ttl",
                f"area/2016-09/{day}.ttl",
            ]
        except Invalid:
            refused.append(day)
    assert refused == ["2016-09-31"]


def test_pilot_bill_lands_with_a_possible_date() -> None:
    """With its date mended by the holder the bill lands; amounts given as text are told."""
    payload = sample("bill", "facture_electricite", "b").payload.replace(b"2016-03-033T", b"2016-03-03T")
    taken = transform(item("bill", payload, "b"))
    assert [document.path for document in taken.documents] == ["bill/2016/12346897654.ttl"]
    assert mended(taken) == {"number-as-text": 3}


def test_pilot_statements_without_their_bill_are_refused() -> None:
    """Consumptions alone name a bill that is not in the file, and one has its date twice."""
    found = codes(refusal(sample("bill", "consommation_electrique", "b")))
    assert "doubled-date" in found
    assert "bill-unknown" in found


# Each defect in an otherwise good file; the good file is the control.

CURVE = "load-curve/grid-v5"
OLD = "load-curve/grid-2017"
HALF = "load-curve/supplier-half-hour"
BILL = "bill/supplier-bill"
POINTS = "geolocation/telecom-points"
CAR = "insurance-claim/insurer-claim-vehicle"
HOME = "insurance-claim/insurer-claim-home"
CONTRACT = "energy-contract/supplier-contract"
FIRST = ("meter_reading", "interval_reading", 0)
KIND = (0, "usage_point", 0, "meter_reading", "reading_type")
BLOCK = (0, "usage_point", 0, "meter_reading", "interval_block")

DEFECTS: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    (CURVE, (*FIRST, "value"), "beaucoup", "not-a-number"),
    (CURVE, (*FIRST, "value"), "-3", "out-of-range"),
    (CURVE, (*FIRST, "date"), "2024-03-12 00:31:00", "off-step"),
    (CURVE, (*FIRST, "date"), "2024-03-32 00:30:00", "impossible-date"),
    (CURVE, (*FIRST, "date"), "2024-03-12 01:00:00", "same-instant-twice"),
    (CURVE, (*FIRST, "date"), "2024-03-12 00:00:00", "outside-file-period"),
    (CURVE, (*FIRST, "interval_length"), "PT60M", "unknown-step"),
    (CURVE, ("meter_reading", "reading_type", "unit"), "Wh", "unknown-unit"),
    (CURVE, ("meter_reading", "usage_point_id"), "12", "not-a-code"),
    (CURVE, ("meter_reading", "interval_reading"), {}, "wrong-kind"),
    (CURVE, ("meter_reading", "interval_reading"), [], "no-records"),
    ("load-curve/grid-v5-spring", (*FIRST, "date"), "2024-03-31 02:30:00", "skipped-hour"),
    (OLD, (*KIND, "unit"), "kW", "unknown-unit"),
    (OLD, (*KIND, "measurement_kind"), "PMAX", "unknown-type"),
    (OLD, (*KIND, "flow_direction"), "reverse", "unknown-direction"),
    (OLD, (*KIND, "time_attribute"), "10mn", "unknown-step"),
    (OLD, (*KIND, "end_measurement_period"), "2017-08-17", "reversed-period"),
    (OLD, (*BLOCK, 0, "reading_number"), "49", "outside-file-period"),
    (OLD, (*BLOCK, 0, "reading_number"), "2", "same-instant-twice"),
    (OLD, (0, "usage_point"), [], "no-records"),
    (HALF, (0, "end"), "2017-03-01T01:00:00", "unknown-step"),
    (HALF, (0, "statementReason"), "Gas", "unknown-type"),
    (HALF, (0, "contractNumber"), "77", "several-meters"),
    (BILL, (0, "totalPaymentDue"), "trente", "not-an-amount"),
    (BILL, (0, "value"), "5000000", "shape"),
    (BILL, (0, "date"), "2016-03-033T00:00:00.000Z", "impossible-date"),
    (BILL, (1, "end"), "2016-07-012016-07-01", "doubled-date"),
    (BILL, (1, "end"), "2016-07-01", "reversed-period"),
    (BILL, (1, "billNumber"), "other", "bill-unknown"),
    (BILL, (1, "docType"), "Invoice", "unknown-type"),
    (POINTS, (0, "timestamp"), "2016-09-31T08:00:02.000Z", "impossible-date"),
    (POINTS, (0, "timestamp"), "2024-03-11T08:00:02.000Z", "outside-period"),
    (POINTS, (0, "latitude"), 93.2, "out-of-range"),
    (POINTS, (0, "longitude"), None, "missing-value"),
    (POINTS, (0, "msisdn"), "33012345678", "phone-wrong"),
    (POINTS, (0, "docType"), "fr.orange.phonecommunicatiolog", "unknown-type"),
    (POINTS, (0,), 7, "unknown-layout"),
    (POINTS, (1,), 7, "wrong-kind"),
    (CAR, (0, "timestamp"), "2024-03-20T19:00", "no-zone"),
    (CAR, (0, "immatriculationVehicule"), "A-1", "not-a-code"),
    (CAR, (0, "type"), "Bateau", "unknown-type"),
    (CAR, (0, "driver"), "Mme Dupond", "wrong-kind"),
    (HOME, (0, "address", "postCode"), "6800", "postcode-wrong"),
    (CONTRACT, (0, "iban"), "FR76300039876087612", "iban-too-short"),
    (CONTRACT, (0, "iban"), "FR1420041010050500013M02607", "iban-wrong"),
    (CONTRACT, (0, "end"), "2001-01-01", "reversed-period"),
    (CONTRACT, (0, "power"), "beaucoup", "not-a-number"),
    (CONTRACT, (0, "number"), "", "missing-value"),
    (CONTRACT, (0, "name"), "x" * 3000, "too-long"),
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_is_taken_whole(name: str) -> None:
    """The control of every defect: each example lands, and each of its leaf values is accounted for."""
    of = example(name)
    counts = covers(of)
    assert transform(of).documents
    assert counts["mapped"] + counts["left_out"] == count_leaves(of.payload)


@pytest.mark.parametrize(("name", "path", "value", "code"), DEFECTS)
def test_one_defect_refuses_the_item(name: str, path: tuple[str | int, ...], value: Any, code: str) -> None:
    """One wrong value refuses the whole item, names its code, and still accounts for every leaf."""
    of = changed(name, path, value)
    refused = refusal(of)
    assert code in codes(refused)
    counts = refused.fields["coverage"]
    if counts:
        assert counts["mapped"] + counts["left_out"] + counts["faulted"] == count_leaves(of.payload)
    assert refused.fields["french"]


def test_every_fault_is_told_at_once() -> None:
    """A file with three defects is refused for the three of them."""
    whole = json.loads((CASES / f"{BILL}.json").read_bytes())
    whole[0] |= {"date": "2024-02-30", "value": "peu"}
    whole[1] |= {"value": "x"}
    refused = refusal(item("bill", json.dumps(whole).encode(), "2024-03"))
    assert codes(refused) == ["impossible-date", "not-an-amount", "not-a-number"]
    assert "2 more" in refused.detail


def test_fifty_faults_are_shown_and_all_are_counted() -> None:
    """A refusal stays small however wrong the file is."""
    point = json.loads((CASES / f"{POINTS}.json").read_bytes())[0] | {"timestamp": "never"}
    refused = refusal(item("geolocation", json.dumps([point] * 300).encode(), "2024-03-12"))
    assert len(refused.fields["report"]) == 50
    assert refused.fields["coverage"]["faults"] == 300


def test_unknown_fields_are_left_out_aloud() -> None:
    """A key that nobody knows does not refuse the item and is not lost in silence."""
    taken = transform(changed(BILL, (0, "colour.of the paper"), {"name": "blue", "other": [1, None]}))
    left = {fault.where: fault.code for fault in taken.left_out}
    assert left['[0]["colour.of the paper"].name'] == "unknown-field"
    assert left['[0]["colour.of the paper"].other[1]'] == "empty"


@pytest.mark.parametrize(
    ("data_set", "payload", "media_type", "code"),
    [
        ("bill", b"[]", "application/json", "no-records"),
        ("bill", b"{}", "application/json", "unknown-layout"),
        ("bill", b"[{}]", "text/csv", "wrong-media-type"),
        ("shoe-size", b"[{}]", "application/json", "unknown-layout"),
        ("bill", b"[", "application/json; charset=utf-8", "not-json"),
    ],
)
def test_what_is_no_known_file_is_refused(data_set: str, payload: bytes, media_type: str, code: str) -> None:
    """Wrong media type, wrong data set, empty and broken files have their own reasons."""
    assert codes(refusal(item(data_set, payload, "2024", media_type))) == [code]


# Time.


@pytest.mark.parametrize(
    ("name", "count", "repeated"),
    [("load-curve/grid-v5-autumn", 50, 4), ("load-curve/grid-v5-spring", 46, 0), (CURVE, 48, 0)],
)
def test_days_when_clocks_change(name: str, count: int, repeated: int) -> None:
    """46, 48 and 50 half-hours land on distinct instants half an hour apart, all on the same local day."""
    taken = transform(example(name))
    quads = statements(taken)
    starts = values_of(quads, ENERGY + "start")
    assert len(taken.documents) == 1
    assert len(set(starts)) == len(starts) == count
    assert values_of(quads, ENERGY + "expectedReadings") == [str(count)]
    assert mended(taken).get("repeated-hour", 0) == repeated
    assert {start[:10] for start in starts} == {EXAMPLES[name]}
    assert starts[0].endswith("T00:00:00+02:00" if "autumn" in name else "T00:00:00+01:00")


def test_midnight_end_belongs_to_the_day_before() -> None:
    """The reading stamped 00:00:00 is the last of the day before, and no document of the next day appears."""
    taken = transform(example(CURVE))
    assert [document.path for document in taken.documents] == ["half-hour/2024-03/2024-03-12.ttl"]
    assert values_of(statements(taken), ENERGY + "start")[-1] == "2024-03-12T23:30:00+01:00"
    assert mended(taken) == {"paris-time": 48, "end-of-interval": 48}


@pytest.mark.parametrize("edge", ["2024-03-31 02:00:00", "2024-03-31 03:00:00"])
def test_the_moment_clocks_go_forward_has_two_names(edge: str) -> None:
    """The half-hour that ends when clocks go forward may be stamped 02:00 or 03:00."""
    taken = transform(changed("load-curve/grid-v5-spring", ("meter_reading", "interval_reading", 3, "date"), edge))
    assert values_of(statements(taken), ENERGY + "start")[3] == "2024-03-31T01:30:00+01:00"


def test_numbered_readings_follow_the_clock_change() -> None:
    """In the layout of 2017 the fiftieth reading of the long day is its last half-hour, a fifty-first is refused."""
    whole = json.loads((CASES / f"{OLD}.json").read_bytes())
    reading = whole[0]["usage_point"][0]["meter_reading"]
    reading["reading_type"] |= {"start_measurement_period": "2017-10-29", "end_measurement_period": "2017-10-30"}
    reading["interval_block"] = [{"value": "100", "reading_number": str(number)} for number in range(1, 51)]
    taken = transform(item("load-curve", json.dumps(whole).encode(), "2017-10-29"))
    assert values_of(statements(taken), ENERGY + "start")[-1] == "2017-10-29T23:30:00+01:00"
    reading["interval_block"].append({"value": "100", "reading_number": "51"})
    assert codes(refusal(item("load-curve", json.dumps(whole).encode(), "2017-10-29"))) == ["outside-file-period"]


def test_several_days_give_several_documents() -> None:
    """Two days over a month's end give two documents and a contribution to each month."""
    whole = json.loads((CASES / f"{OLD}.json").read_bytes())
    reading = whole[0]["usage_point"][0]["meter_reading"]
    reading["reading_type"] |= {"start_measurement_period": "2017-08-31", "end_measurement_period": "2017-09-02"}
    reading["interval_block"] = [{"value": str(number), "reading_number": str(number)} for number in range(1, 97)]
    taken = transform(item("load-curve", json.dumps(whole).encode(), "2017-08-31/2017-09-02"))
    assert [document.path for document in taken.documents] == [
        "half-hour/2017-08/2017-08-31.ttl",
        "half-hour/2017-09/2017-09-01.ttl",
    ]
    assert [sibling.path for sibling in taken.siblings] == ["day/2017/2017-08.ttl", "day/2017/2017-09.ttl"]
    assert taken.siblings[0].contributions == (("2017-08-31", "588 48 48"),)
    assert (taken.first_day, taken.last_day) == ("2017-08-31", "2017-09-01")


@pytest.mark.parametrize(
    ("period", "taken"),
    [
        ("2024-03-12", True),
        ("2024-03", True),
        ("2024", True),
        ("2024-03-12/2024-03-13", True),
        ("2024-03-13", False),
        ("2024-03-11/2024-03-12", False),
        ("2023", False),
        ("yesterday", False),
        ("9999-12", False),
    ],
)
def test_series_stay_inside_the_announced_period(period: str, taken: bool) -> None:
    """A series may not carry days outside the period by which its link was checked."""
    of = item("load-curve", example(CURVE).payload, period)
    if taken:
        assert transform(of).documents
    else:
        assert set(codes(refusal(of))) == {"outside-period"}


def test_periods_are_days_months_years_and_ranges() -> None:
    """The four notations of a period, and what is none of them."""
    said = {period: covered(period) for period in ("2024-02", "2024-12", "2023", "2024-01-31/2024-02-02", "12", "")}
    assert [None if days is None else tuple(map(str, days)) for days in said.values()] == [
        ("2024-02-01", "2024-02-29"),
        ("2024-12-01", "2024-12-31"),
        ("2023-01-01", "2023-12-31"),
        ("2024-01-31", "2024-02-01"),
        None,
        None,
    ]


# What every document keeps.


@pytest.mark.parametrize("name", EXAMPLES)
def test_documents_name_neither_pod_nor_citizen(name: str) -> None:
    """No blank node, no absolute IRI of ours in the text, and the same facts wherever the document stands."""
    taken = transform(example(name))
    for number, document in enumerate(taken.documents):
        here = statements(taken, number)
        terms = {term for quad in here for term in (quad.subject, quad.object)}
        assert not any(isinstance(term, BlankNode) for term in terms)
        assert all(isinstance(quad.subject, NamedNode) and quad.subject.value.startswith(BASE) for quad in here)
        there = parse(document.body, Syntax.TURTLE, f"https://other.example/{document.path}")
        moved = [str(quad).replace("https://other.example/", BASE) for quad in there]
        assert sorted(moved) == sorted(map(str, here))


def test_a_reading_costs_four_statements() -> None:
    """Unit and step are said once: membership, start, day and value are all that a reading adds."""
    quads = statements(transform(example(CURVE)))
    assert len(quads) - 4 * 48 <= 12


def test_the_same_item_gives_the_same_bytes() -> None:
    """Landing is repeatable, so that a re-delivery changes nothing."""
    for name in EXAMPLES:
        assert transform(example(name)) == transform(example(name))


def test_people_and_accounts_are_kept_apart() -> None:
    """The driver and the IBAN stand in their own documents and in no other."""
    car, contract = transform(example(CAR)), transform(example(CONTRACT))
    family = json.loads(example(CAR).payload)[0]["driver"]["family"].encode()
    iban = json.loads(example(CONTRACT).payload)[0]["iban"].encode()
    assert [family in document.body for document in car.documents] == [False, True]
    assert [iban in document.body for document in contract.documents] == [False, True]
    assert [document.path.split("/")[0] for document in contract.documents] == ["contract", "payment"]


def test_the_coarse_trace_tells_no_more_than_cells_and_hours() -> None:
    """Two decimals, whole hours, no telephone, no radius."""
    taken = transform(example(POINTS))
    exact, area = statements(taken, 0), statements(taken, 1)
    assert all(-Decimal(text).as_tuple().exponent <= 2 for text in values_of(area, GEO + "lat"))
    assert len(values_of(area, GEO + "lat")) < len(values_of(exact, GEO + "lat")) == 27
    phone = json.loads(example(POINTS).payload)[0]["msisdn"].encode()
    assert phone in taken.documents[0].body
    assert phone not in taken.documents[1].body


@pytest.mark.parametrize(
    "reference", ["F150181177B", "2024/17", "../../etc/passwd", "a b", "..", "é" * 64, "x" * 64, ".acl", "a/b.acl"]
)
def test_references_become_safe_names(reference: str) -> None:
    """Whatever a partner calls a thing, its file has a plain name of at most 64 characters."""
    name = file_name(reference)
    assert 0 < len(name) <= 64
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
    assert name[0] not in ".-"


def test_references_that_look_alike_stay_apart() -> None:
    """What was removed from two references does not make them one."""
    assert file_name("2024/17") != file_name("2024 17") != file_name("2024-17") == "2024-17"


@pytest.mark.parametrize("nasty", ['a"b', "a\\", 'x" . <#it> <p> "', "line\nbreak", "é€😀", "\\u0022"])
def test_text_is_data_never_markup(nasty: str) -> None:
    """A text from a partner comes back as the same text and adds no statement."""
    taken = transform(changed(BILL, (0, "title"), nasty))
    control = transform(example(BILL))
    quads = statements(taken)
    assert len(quads) == len(statements(control))
    assert Literal(nasty) in {quad.object for quad in quads}


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
    st.sampled_from(["2016-09-31", "2024-03-12", "0", "-1", "1e5", "FR76", "\ud800", "", " "]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_no_payload_escapes_the_account(name: str, data: st.DataObject) -> None:
    """Any value in any place: the item is taken or refused with reasons, and every leaf is accounted for."""
    whole = json.loads((CASES / f"{name}.json").read_bytes())
    places = list(_places(whole))
    for _ in range(data.draw(st.integers(1, 3))):
        _put(whole, data.draw(st.sampled_from(places)), copy.deepcopy(data.draw(JUNK)))
    of = item(name.split("/", maxsplit=1)[0], json.dumps(whole).encode(), EXAMPLES[name])
    counts = covers(of)
    if counts:
        assert counts["mapped"] + counts["left_out"] + counts["faulted"] == sum(1 for _ in leaves(whole))


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield (*path, step)
        yield from _places(inner, (*path, step))


def _put(whole: Any, path: tuple[str | int, ...], value: Any) -> None:
    inner = whole
    for step in path[:-1]:
        try:
            inner = inner[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(inner, dict | list) and (
        isinstance(inner, dict) or (isinstance(path[-1], int) and path[-1] < len(inner))
    ):
        inner[path[-1]] = value


def test_refusals_travel_between_processes() -> None:
    """A refusal survives pickling and its report is plain JSON."""
    import pickle

    refused = refusal(changed(CAR, (0, "timestamp"), "2024-03-20T19:00"))
    again = pickle.loads(pickle.dumps(refused))
    assert again.fields == refused.fields
    assert json.loads(json.dumps(refused.fields["report"]))[0]["where"] == "[0].timestamp"
    assert asdict(transform(example(CAR)))["mapped"] > 0


def test_no_file_is_opened_after_preload() -> None:
    """A worker that may open nothing still lands every data set once the shapes are loaded."""
    script = """
import sys
from landing_actors import EXAMPLES, example
from pod_server.errors import Invalid
from pod_server.landing.sandbox import planted_faults
from pod_server.landing.transform import preload, transform
items = [example(name) for name in EXAMPLES]
wrong = [planted.delivered.item("link") for planted in planted_faults()]
preload()
def deny(event, args):
    if event in ("open", "socket.connect"):
        raise RuntimeError(f"{event} {args[:1]}")
sys.addaudithook(deny)
for each in wrong:
    try:
        transform(each)
    except Invalid:
        continue
    raise AssertionError(each)
sys.stdout.write(str(sum(len(transform(each).documents) for each in items)))
"""
    root = CASES.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=False,
        cwd=root,
        env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PYTHONWARNINGS": "error"},
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "13"), done.stderr
