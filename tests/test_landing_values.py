"""One value at a time: what is understood, what is mended and told, what is refused and why."""

from __future__ import annotations

import string
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pod_server.landing.formats import values
from pod_server.landing.formats.sayings import LEFT_OUT, REFUSED, REPAIRED, fault
from pod_server.landing.formats.strict import MAX_PAYLOAD, load
from pod_server.landing.formats.values import Bad, Good

GOOD: list[tuple[Any, Any, Any, str | None]] = [
    (values.day, "2017-08-17", date(2017, 8, 17), None),
    (values.day, "2016-03-03T00:00:00.000Z", date(2016, 3, 3), None),
    (values.day, "2016-05-18T00:00:00+02:00", date(2016, 5, 18), None),
    (values.day, "1989-04-29T00:00:00", date(1989, 4, 29), "midnight-without-zone"),
    (values.instant, "2016-09-01T08:00:45.000Z", datetime.fromisoformat("2016-09-01T08:00:45+00:00"), None),
    (values.instant, "2015-07-20T19:00+02:00", datetime.fromisoformat("2015-07-20T19:00+02:00"), None),
    (values.number, 12, Decimal(12), None),
    (values.number, "30.21", Decimal("30.21"), "number-as-text"),
    (values.number, "30,21", Decimal("30.21"), "decimal-comma"),
    (values.amount, "-690.0", Decimal("-690.00"), "number-as-text"),
    (values.power, "6 kVA", Decimal(6), "unit-in-text"),
    (values.power, "6", Decimal(6), None),
    (values.yes_or_no, True, True, None),
    (values.yes_or_no, "false", False, "yes-or-no-as-text"),
    (values.iban, "FR14 2004 1010 0505 0001 3M02 606", "FR1420041010050500013M02606", None),
    (values.postcode("LYON 06"), "69006", "69006", None),
    (values.postcode("LYON 06"), "6900", "69006", "postcode-by-city"),
    (values.postcode("PARIS 13"), "750", "75013", "postcode-by-city"),
    (values.phone, "+33639980012", "+33639980012", None),
    (values.phone, "06 39 98 00 12", "+33639980012", "phone-notation"),
    (values.phone, "33639980012", "+33639980012", "phone-notation"),
    (values.usage_point, "01324654321236", "01324654321236", None),
    (values.usage_point, "01324654321", "01324654321", "usage-point-short"),
    (values.one_of("ConsumptionStatement"), "ConsumpionStatement", "ConsumptionStatement", "type-misspelt"),
    (
        values.one_of("org.fing.mesinfos.vehicle"),
        "org.fing.meisnfos.vehicle",
        "org.fing.mesinfos.vehicle",
        "type-misspelt",
    ),
    (values.one_of("Vehicule"), "Véhicule", "Vehicule", None),
    (values.text, "  LYON 06 ", "LYON 06", None),
]

BAD: list[tuple[Any, Any, str]] = [
    (values.day, "2016-09-31", "impossible-date"),
    (values.day, "2017-02-29", "impossible-date"),
    (values.day, "2016-03-033T00:00:00.000Z", "impossible-date"),
    (values.day, "2016-07-012016-07-01", "doubled-date"),
    (values.day, "01/07/2016", "not-a-date"),
    (values.day, "0017-08-17", "implausible-date"),
    (values.day, "2016-03-03T18:00:00", "no-zone"),
    (values.day, 20160301, "not-a-date"),
    (values.instant, "2015-07-20T19:00", "no-zone"),
    (values.instant, "2016-09-31T08:00:02.000Z", "impossible-date"),
    (values.instant, "2016-09-30T25:00:00Z", "impossible-time"),
    (values.instant, "2016-09-30T12:00:00+23:59", "impossible-time"),
    (values.instant, "2016-09-302016-09-30", "doubled-date"),
    (values.instant, "yesterday", "not-a-time"),
    (values.number, "trente", "not-a-number"),
    (values.number, True, "not-a-number"),
    (values.number, None, "not-a-number"),
    (values.number, Decimal("1e20"), "number-out-of-bounds"),
    (values.amount, "trente euros", "not-an-amount"),
    (values.amount, "30.215", "not-an-amount"),
    (values.power, "beaucoup", "not-a-number"),
    (values.power, 4000, "out-of-range"),
    (values.yes_or_no, "peut-être", "not-yes-or-no"),
    (values.iban, "FR76300039876087612", "iban-too-short"),
    (values.iban, "FR1420041010050500013M02607", "iban-wrong"),
    (values.postcode("LYON"), "6900", "postcode-wrong"),
    (values.postcode("LYON 12"), "6900", "postcode-wrong"),
    (values.postcode("NICE"), "600", "postcode-wrong"),
    (values.phone, "+33 0639980012", "phone-wrong"),
    (values.usage_point, "0132465432A", "not-a-code"),
    (values.one_of("ConsumptionStatement"), "Invoice", "unknown-type"),
    (values.text, "a\x00b", "not-text"),
    (values.text, "half \ud800 a character", "not-text"),
    (values.text, "x" * 2001, "too-long"),
]


@pytest.mark.parametrize(("convert", "raw", "value", "repaired"), GOOD)
def test_value_is_understood(convert: Any, raw: Any, value: Any, repaired: str | None) -> None:
    """Each accepted notation gives its value, and says what was mended."""
    taken = convert(raw)
    assert isinstance(taken, Good)
    assert (taken.value, taken.repaired) == (value, repaired)


@pytest.mark.parametrize(("convert", "raw", "code"), BAD)
def test_value_is_refused(convert: Any, raw: Any, code: str) -> None:
    """Each defect is refused with its own code, whose sentences exist in both languages."""
    taken = convert(raw)
    assert isinstance(taken, Bad)
    assert taken.code == code
    said = fault(taken.code, "here", raw, **taken.words)
    assert said.english
    assert said.french
    assert "{" not in said.english + said.french


CONVERTERS = [values.day, values.instant, values.local, values.number, values.amount, values.power, values.yes_or_no]
CONVERTERS += [values.iban, values.phone, values.usage_point, values.text]
CONVERTERS += [values.one_of("abc"), values.postcode("LYON 06")]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=40),
    st.text(string.digits + "-:T+Z. ,kVA", max_size=30),
)


@given(st.sampled_from(CONVERTERS), SCALARS)
def test_converters_never_fail(convert: Any, raw: Any) -> None:
    """Whatever stands in a field, a converter answers and does not raise."""
    taken = convert(raw)
    assert isinstance(taken, Good | Bad)
    assert isinstance(taken, Good) or taken.code in REFUSED


def test_every_code_speaks_both_languages() -> None:
    """No code lacks a sentence in English or in French, and no code has two meanings."""
    tables = (REFUSED, REPAIRED, LEFT_OUT)
    assert all(english and french for table in tables for english, french in table.values())
    assert sum(map(len, tables)) == len({code for table in tables for code in table})


JSON_REFUSED = [
    (b"[1,", "not-json"),
    (b"", "not-json"),
    (b'{"a": "\xe9"}', "not-utf8"),
    (b"[" * 65 + b"]" * 65, "too-deep"),
    (b'{"a": 1, "a": 2}', "key-twice"),
    (b"[NaN]", "not-a-number"),
    (b"[1e999999999]", "number-out-of-bounds"),
    (b"[1e99999999999999999999999]", "number-out-of-bounds"),
    (b"[" + b"9" * 5000 + b"]", "number-out-of-bounds"),
    (b'"' + b"x" * MAX_PAYLOAD + b'"', "too-large"),
    (b"[1] [2]", "not-json"),
]


@pytest.mark.parametrize(("payload", "code"), JSON_REFUSED, ids=[code for _, code in JSON_REFUSED])
def test_strict_json_refuses(payload: bytes, code: str) -> None:
    """What is not plain JSON of a sane size is refused with a reason."""
    value, wrong = load(payload)
    assert value is None
    assert wrong is not None
    assert wrong.code == code


def test_strict_json_takes_what_is_plain() -> None:
    """Decimals stay exact, a byte order mark is taken, 64 levels are allowed."""
    assert load(b'\xef\xbb\xbf{"a": 48.8661, "b": [null, "\xc3\xa9"]}') == (
        {"a": Decimal("48.8661"), "b": [None, "é"]},
        None,
    )
    assert load(b"[" * 64 + b"]" * 64)[1] is None
