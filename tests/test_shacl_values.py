"""Lexical forms, the order of values, and patterns that strangers wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import BlankNode, Literal, NamedNode

from pod_server.rdf.vocabulary import XSD
from pod_server.shacl.lexical import well_formed
from pod_server.shacl.ordering import comparable
from pod_server.shacl.patterns import MAX_VALUE, is_cheap, matcher

LEXICAL = [
    ("boolean", ["true", "0"], ["TRUE", "yes", ""]),
    ("decimal", ["1", "-1.50", "+.5", "1."], ["1e3", ".", " 1", "1,5"]),
    ("integer", ["007", "-0"], ["1.0", "٣", "1\n"]),
    ("double", ["1e3", "INF", "-INF", "NaN", "1.E-3"], ["inf", "1e", "e3"]),
    ("byte", ["127", "-128"], ["128", "-129"]),
    ("unsignedInt", ["0", "4294967295"], ["-1", "4294967296"]),
    ("positiveInteger", ["1"], ["0"]),
    ("dateTime", ["2024-02-29T24:00:00", "-0001-01-01T00:00:00Z"], ["2016-03-033T00:00:00", "2024-02-30T00:00:00"]),
    ("dateTimeStamp", ["2024-01-01T00:00:00.5+14:00"], ["2024-01-01T00:00:00", "2024-01-01T00:00:00+14:01"]),
    ("date", ["2000-02-29", "12024-12-31Z"], ["1900-02-29", "2016-09-31", "2016-07-012016-07-01", "24-01-01"]),
    ("time", ["23:59:59.999", "24:00:00"], ["24:00:01", "7:00:00"]),
    ("gYearMonth", ["2024-12"], ["2024-13", "2024"]),
    ("gYear", ["2024", "-0044"], ["24"]),
    ("gMonthDay", ["--02-29"], ["--02-30", "--04-31"]),
    ("duration", ["P1Y2M3DT4H5M6.7S", "-P1D", "PT1S"], ["P", "PT", "P1YT", "1D"]),
    ("dayTimeDuration", ["P1DT2H"], ["P1M"]),
    ("yearMonthDuration", ["P1Y2M"], ["P1D"]),
    ("hexBinary", ["", "0aFF"], ["abc", "0g"]),
    ("base64Binary", ["", "YWJj", "YQ==", "YWI="], ["YWJ", "Y===", "YR=="]),
    ("language", ["fr-BE"], ["fr_BE", ""]),
    ("token", ["a b", ""], [" a", "a  b"]),
    ("NCName", ["a1", "é"], ["1a", "a:b"]),
    ("string", ["", "anything\n"], []),
    ("anyURI", ["anything at all"], []),
]


@pytest.mark.parametrize(("datatype", "good", "bad"), LEXICAL)
def test_lexical_forms(datatype: str, good: list[str], bad: list[str]) -> None:
    """The lexical spaces of XML Schema, without white space and within the calendar."""
    assert [text for text in good if not well_formed(text, XSD + datatype)] == []
    assert [text for text in bad if well_formed(text, XSD + datatype)] == []


def typed(text: str, datatype: str) -> Literal:
    """A literal of an XML Schema datatype."""
    return Literal(text, datatype=NamedNode(XSD + datatype))


ORDERED = [
    [
        typed("-INF", "double"),
        typed("-1", "byte"),
        typed("0.5", "decimal"),
        typed("1e3", "float"),
        typed("INF", "double"),
    ],
    [typed("2024-01-01T00:00:00+02:00", "dateTime"), typed("2023-12-31T23:00:00Z", "dateTimeStamp")],
    [
        typed("-0001-12-31", "date"),
        typed("0000-01-01", "date"),
        typed("2024-02-29", "date"),
        typed("12024-01-01", "date"),
    ],
    [typed("2024-02-28T24:00:00Z", "dateTime"), typed("2024-02-29T00:00:00.001Z", "dateTime")],
    [typed("23:00:00", "time"), typed("23:00:00.5", "time")],
    [typed("2023-12", "gYearMonth"), typed("2024-01", "gYearMonth")],
    [typed("-P1D", "dayTimeDuration"), typed("PT1.5S", "dayTimeDuration"), typed("P1D", "dayTimeDuration")],
    [typed("P11M", "yearMonthDuration"), typed("P1Y", "yearMonthDuration")],
    [Literal("a"), Literal("b")],
    [typed("false", "boolean"), typed("1", "boolean")],
]


@pytest.mark.parametrize("values", ORDERED)
def test_order(values: list[Literal]) -> None:
    """Values of one family are strictly ordered as listed."""
    places = [comparable(value) for value in values]
    assert None not in places
    keys = [place.key for place in places if place is not None]
    assert len({place.family for place in places if place is not None}) == 1
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "term",
    [
        NamedNode("urn:a"),
        BlankNode("b"),
        Literal("a", language="fr"),
        typed("NaN", "double"),
        typed("x", "integer"),
        typed("1e99999999999999999999", "double"),
        typed("9" * 5000, "integer"),
        typed("P1Y1D", "duration"),
    ],
)
def test_without_order(term: NamedNode | BlankNode | Literal) -> None:
    """What has no order is nowhere on a line; a plain number is."""
    assert comparable(term) is None
    assert comparable(typed("1", "integer")) is not None


# Patterns

CHEAP = ["^[0-9]{14}$", "^FR(-[A-Z]{2})?$", "[^@]+@x", "^(a|b)$", "é+", "a{2,30}", "^(?:[0-9]{2} ){4}[0-9]{2}$"]
COSTLY = [
    "^(a+)+$",
    "a*a*b",
    "(a|aa)+$",
    "a?a?a?a?a?a?a?a?b",
    "(a?){50}",
    "((){99}){99}",
    "a+?",
    "(a{0}){9}",
    "(",
    "a)",
]


def test_which_patterns_are_cheap() -> None:
    """Only a pattern whose work is bounded runs on the backtracking engine."""
    assert [pattern for pattern in CHEAP if not is_cheap(pattern)] == []
    assert [pattern for pattern in COSTLY if is_cheap(pattern)] == []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    parts=st.lists(st.sampled_from(["a", "b", "[ab]", "(a|b)", "(?:ab)", ".", "^", "$", "a?", "b+", "a{1,2}", "\\d"])),
    text=st.text(alphabet="ab1\n", max_size=6),
)
def test_both_engines_agree(parts: list[str], text: str) -> None:
    """A pattern matches the same whichever engine runs it: an added alternative that never matches forces the other."""
    pattern = "".join(parts)
    forced = f"(?:{pattern})|(?:zz+)+z"
    assert not is_cheap(forced)
    assert matcher(pattern)(text) == matcher(forced)(text)


def test_values_too_long_match_nothing() -> None:
    """A value over the bound fails the pattern on either engine; one at the bound is looked at."""
    for pattern in ("a", "(a+)+"):
        assert matcher(pattern)("a" * MAX_VALUE)
        assert not matcher(pattern)("a" * (MAX_VALUE + 1))
