"""A pod's logs in plain words: tables over made-up rows, and the story of a real pod."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest
from console_actors import Living, example, living
from hypothesis import given, settings
from hypothesis import strategies as st

from pod_server import audit
from pod_server.access import RuleText
from pod_server.audit import Audience, Audit, Deed, arrivals, events, newest, openings, place_of, readers, reads_by_day
from pod_server.errors import Forbidden, Unauthenticated
from pod_server.landing.items import Item
from pod_server.store.contract import ChangeRow, DeliveryRow, Reading
from pod_server.terms import PUBLIC, Caller, Mode, Path, Position, Rule

OWNER = "https://pods.example/ana/profile/card#me"
CONSOLE = "https://pods.example/.host/console"
APP = "https://app.example/id#it"


def verdict(
    outcome: str, *, period: str = "2024-03", at: float = 1.0, data_set: str = "bill", **report: object
) -> DeliveryRow:
    """A verdict of one partner; further fields go into its report."""
    key = json.dumps([period, at, outcome])
    return DeliveryRow(
        key, "link", "supplier", data_set, period, "1", "hash", outcome, at, Position(1), json.dumps(report)
    )


def test_arrivals_count_what_landed_and_keep_what_was_refused_with_its_words() -> None:
    """One row a partner and data set: items, corrections, the last time, and the refused ones in both languages."""
    fault = {"where": "[0].date", "value": "2024-09-31", "english": "No such day.", "french": "Jour impossible."}
    rows = [
        verdict("landed", at=1.0),
        verdict("rectified", at=2.0),
        verdict("quarantined", period="2024-04", at=3.0, english="Refused.", french="Refusé.", faults=[fault]),
        verdict("landed", data_set="energy-contract", at=9.0),
    ]
    [bill, contract] = arrivals(rows)
    assert (bill.partner, bill.data_set, bill.taken, bill.corrected, bill.last) == ("supplier", "bill", 2, 1, 3.0)
    [held] = bill.held
    assert (held.english, held.french, held.mended) == ("Refused.", "Refusé.", False)
    assert held.mistakes == (audit.Mistake("[0].date", "2024-09-31", "No such day.", "Jour impossible."),)
    assert (contract.data_set, contract.taken, contract.held) == ("energy-contract", 1, ())


@pytest.mark.parametrize(("later", "mended"), [("landed", True), ("rectified", True), ("quarantined", False)])
def test_a_refused_item_is_mended_when_its_period_lands_later(later: str, mended: bool) -> None:
    """Only a later landing of the same period mends a refusal."""
    [row] = arrivals([verdict("landed", at=1.0), verdict("quarantined", at=2.0), verdict(later, at=3.0)])
    assert row.held[-1].mended is mended


def test_refused_items_that_are_shown_are_bounded_and_the_newest() -> None:
    """A partner that fails a thousand times does not fill the page."""
    [row] = arrivals([verdict("quarantined", period=str(at), at=float(at)) for at in range(200)])
    assert row.refused == 200
    assert [held.period for held in row.held] == [str(at) for at in range(199, 199 - audit.HELD, -1)]


RULES = [
    ("the owner", Rule(Mode.READ, own=True, agents=frozenset({OWNER})), []),
    ("the console", Rule(Mode.READ, own=True, agents=frozenset({OWNER}), clients=(frozenset({CONSOLE}),)), []),
    ("everybody", Rule(Mode.READ, own=True, public=True), [(Audience.PUBLIC, "", None)]),
    ("the signed-in", Rule(Mode.READ, own=True, authenticated=True), [(Audience.SIGNED_IN, "", None)]),
    (
        "a group",
        Rule(Mode.READ, own=True, groups=frozenset({"https://g#us"})),
        [(Audience.GROUP, "https://g#us", None)],
    ),
    ("an app", Rule(Mode.READ, members=True, agents=frozenset({APP})), [(Audience.AGENT, APP, None)]),
    (
        "the owner through an app",
        Rule(Mode.READ, own=True, agents=frozenset({OWNER}), clients=(frozenset({APP}),)),
        [(Audience.AGENT, OWNER, APP)],
    ),
    (
        "the owner and somebody else",
        Rule(Mode.READ, own=True, agents=frozenset({OWNER, APP})),
        [(Audience.AGENT, APP, None)],
    ),
    (
        "two conditions that no client meets",
        Rule(Mode.READ, own=True, agents=frozenset({APP}), clients=(frozenset({APP}), frozenset({CONSOLE}))),
        [],
    ),
]


@pytest.mark.parametrize(("rule", "expected"), [row[1:] for row in RULES], ids=[row[0] for row in RULES])
def test_openings_name_everybody_but_the_owner(rule: Rule, expected: list[tuple[Audience, str, str | None]]) -> None:
    """Whoever a rule lets in is told; the owner as such, and at the console, is nobody new."""
    found = list(openings(Path("/notes/"), RuleText("x", rule), OWNER, CONSOLE))
    assert [(each.audience, each.who, each.client) for each in found] == expected


def test_an_opening_holds_until_its_end() -> None:
    """An end is a moment: before it the rule holds, at it no more; without an end it always holds."""
    rule = Rule(Mode.READ, own=True, public=True, until=100.0)
    [ends] = openings(Path("/x"), RuleText("x", rule), OWNER, CONSOLE)
    [stays] = openings(Path("/x"), RuleText("x", Rule(Mode.READ, own=True, public=True)), OWNER, CONSOLE)
    assert (ends.holds_at(99.0), ends.holds_at(100.0), stays.holds_at(1e12)) == (True, False, True)


def test_readers_are_told_once_for_each_place() -> None:
    """Reads of single documents of one precision are one row with their number; newest reader first."""
    rows = [
        Reading(10.0, APP, None, "read", "/landed/grid/load-curve/month/2023.ttl", count=2),
        Reading(20.0, APP, None, "read", "/landed/grid/load-curve/month/2024.ttl"),
        Reading(15.0, None, None, "read", "/profile/card"),
        Reading(30.0, OWNER, APP, "query", "landed/grid/load-curve/month", rows=12),
        Reading(31.0, OWNER, APP, "query", "landed/grid/load-curve/month", rows=3),
    ]
    told = [(row.agent, row.act, row.target, row.times, row.rows, row.last) for row in readers(rows)]
    assert told == [
        (OWNER, "query", "landed/grid/load-curve/month", 2, 15, 31.0),
        (APP, "read", "landed/grid/load-curve/month", 3, None, 20.0),
        (None, "read", "/profile/card", 1, None, 15.0),
    ]


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/landed/grid/load-curve/half-hour/2024-03/2024-03-12.ttl", "landed/grid/load-curve/half-hour"),
        ("/landed/grid/", "landed/grid"),
        ("/notes/landed/x/y/z", "/notes/landed/x/y/z"),
        (
            "landed/grid/load-curve/month, landed/supplier/bill/bill",
            "landed/grid/load-curve/month, landed/supplier/bill/bill",
        ),
    ],
)
def test_a_place_is_a_precision_or_a_path(target: str, place: str) -> None:
    """Partners' data is told by its precision, everything else by its path."""
    assert place_of(target) == place


def test_reads_are_counted_by_day() -> None:
    """Days without a read are absent; counts of a row count."""
    rows = [Reading(86400.0 * 3 + 5, None, None, "read", "/x", count=4), Reading(86400.0, None, None, "read", "/x")]
    assert reads_by_day(rows) == ((1, 1), (3, 4))


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.integers(0, 40_000))
def test_the_newest_rows_are_found_in_few_questions(length: int) -> None:
    """Whatever a log's length, its last rows come back in order, and no more than a handful of questions is asked."""
    asked = []

    def page(after: int, limit: int) -> Sequence[int]:
        asked.append(after)
        return range(after + 1, min(length, after + limit) + 1)

    rows, whole = newest(page)
    assert list(rows) == list(range(max(0, length - audit.ROWS) + 1, length + 1))
    assert whole is (length <= audit.ROWS)
    assert len(asked) <= 40


def change(position: int, cause: str, path: str = "/x", **more: object) -> ChangeRow:
    """A row of the log."""
    given = {"at": 1.0, "agent": OWNER, "client": None, "act": "create", "body": None, "size": 0} | more
    return ChangeRow(Position(position), path=Path(path), cause=cause, **given)  # type: ignore[arg-type]


def test_events_tell_runs_once_and_in_both_languages() -> None:
    """A new pod, a delivery, a grant, its end, a write and a deletion, each as one sentence a language."""
    rows = [
        change(1, "new pod", agent=None),
        change(2, "new pod", agent=None),
        change(3, "delivery:grid", "/landed/grid/a", agent=None, at=10.0),
        change(4, "delivery:grid", "/landed/grid/b", agent=None, at=10.0),
        change(5, "grant:g1", "/landed/grid/load-curve/month/.acl"),
        change(6, "revoke:g1", "/landed/grid/load-curve/month/.acl"),
        change(7, "", "/notes/{odd}.ttl", client=APP),
        change(8, "", "/notes/b.ttl", agent=None, act="delete"),
    ]
    told = list(events(rows, OWNER, {"grid": "Réseau {0}"}))
    assert [(event.deed, event.first, event.last) for event in told] == [
        (Deed.MADE, 1, 2),
        (Deed.DELIVERY, 3, 4),
        (Deed.GRANT, 5, 5),
        (Deed.REVOKE, 6, 6),
        (Deed.WRITE, 7, 7),
        (Deed.DELETE, 8, 8),
    ]
    assert told[1].french == "Réseau {0} a livré (modifications : 2)."
    assert told[2].english == "You let an app read /landed/grid/load-curve/month/."
    assert told[4].french == "Vous avez écrit /notes/{odd}.ttl."
    assert told[5].english == "Somebody without a name deleted /notes/b.ttl."


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """A host with ana's pod, to which the grid delivered a good and a bad item."""
    with living(tmp_path_factory.mktemp("audit")) as found:
        found.host.operator.add_pod("ana", "Ana")
        grid = found.partner("grid", "Grid", "grid operator")
        link = grid.link("ana")
        bad = Item(link, "load-curve", "2024-03-13", "1", "application/json", b"{")
        assert grid.deliver(example(link, "load-curve", "grid-v5", "2024-03-12"), bad) == ["landed", "quarantined"]
        yield found


def test_the_story_of_a_real_pod(house: Living) -> None:
    """What came in with its documents, what is public from the start, and no reader yet."""
    pod = house.pod("ana")
    story = Audit(house.host.pods, house.base).story(house.host.consent.citizen(pod), pod)
    [arrival] = story.arrivals
    assert {kept.precision: kept.documents for kept in arrival.kept} == {"half-hour": 1, "day": 1, "month": 1}
    [held] = arrival.held
    assert held.period == "2024-03-13"
    assert held.english != held.french
    told = {(each.path, each.audience, each.modes) for each in story.openings}
    assert told == {
        ("/profile/card", Audience.PUBLIC, Mode.READ),
        ("/settings/publicTypeIndex.ttl", Audience.PUBLIC, Mode.READ),
        ("/inbox/", Audience.PUBLIC, Mode.APPEND),
    }
    assert story.whole


def test_only_the_owner_at_the_console_is_told(house: Living) -> None:
    """The owner in an app, another's WebID at the console, and the public are refused; the console is answered."""
    pod = house.pod("ana")
    teller = Audit(house.host.pods, house.base)
    console = house.host.consent.citizen(pod)
    strangers = [
        Caller(pod.owner, APP, house.base),
        Caller(pod.owner, None, house.base),
        Caller(pod.owner, console.client, "https://other.example/"),
        Caller(APP, console.client, house.base),
        Caller(partner="grid"),
    ]
    for stranger in strangers:
        with pytest.raises(Forbidden):
            teller.story(stranger, pod)
        with pytest.raises(Forbidden):
            teller.events(stranger, pod, {})
    with pytest.raises(Unauthenticated):
        teller.story(PUBLIC, pod)
    assert teller.events(console, pod, {"grid": "Grid"})[0].english.startswith("Grid delivered")
