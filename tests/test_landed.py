"""What partners landed, against everybody: the citizen's own apps, strangers, granted apps, the console.

Also deliveries as partners see them: verdicts, idempotence, links.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from conftest import shared
from contracts.test_store import change, document
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from inprocess import Inside, inside
from solid import Agent

from pod_server.consent.grants import Wish
from pod_server.errors import Invalid, PodError, Unauthenticated
from pod_server.identity import console_client
from pod_server.landing import sandbox
from pod_server.landing.deliveries import Deliveries
from pod_server.landing.items import Item
from pod_server.landing.transform import transform
from pod_server.landing.work import merge_round, transform_batch
from pod_server.pod import Target
from pod_server.query.guard import inspect
from pod_server.rdf import Syntax, parse
from pod_server.store.contract import Append, DeliveryRow
from pod_server.terms import PUBLIC, Caller, Path
from pod_server.workers import Workers

BE_GREEN = "https://begreen.example/app#it"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A host with one citizen, four partners and a month of landed data."""
    with inside(tmp_path_factory.mktemp("city")) as found:
        found.add_pod("ana")
        found.add_pod("bob")
        citizen = sandbox.citizens(1, 7)[0]
        found.partners = {name: found.partner(name) for name in ("insurer", "supplier", "grid", "telecom")}
        found.links = {name: found.link(name, "ana") for name in found.partners}
        for name, partner in found.partners.items():
            items = [
                each.item(found.links[name])
                for each in sandbox.deliveries(citizen, ["2024-03"])
                if each.partner == name
            ]
            lines = deliver(found, partner, *(as_line(item) for item in items))
            assert {line["outcome"] for line in lines[:-1]} == {"landed"}, lines[:3]
        yield found


def as_line(item: Any) -> dict[str, Any]:
    """An item as a line of a delivery."""
    return {
        "link": item.link,
        "data_set": item.data_set,
        "period": item.period,
        "version": item.version,
        "media_type": item.media_type,
        "text": item.payload.decode(),
    }


def deliver(city: Inside, partner: Agent, *items: dict[str, Any]) -> list[dict[str, Any]]:
    """Deliver items; the verdict lines, the receipt last."""
    url = f"{city.base}.host/deliveries"
    content = "".join(json.dumps(item) + "\n" for item in items).encode()
    answer = partner.ask("POST", url, content=content, headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def landed(city: Inside, name: str = "ana") -> list[Path]:
    """Every landed document of a pod, as the store has it."""
    found, waiting = [], [Path("/landed/")]
    with city.host.store.snapshot(city.row(name).id) as snapshot:
        while waiting:
            for child in snapshot.children(waiting.pop()):
                (waiting if child.path.endswith("/") else found).append(child.path)
    return found


def test_landed_data_is_closed_to_the_citizens_own_apps(city: Inside) -> None:
    """Owner x 3 apps x GET, SPARQL, .acl GET and PUT, DELETE, recursive DELETE: all refused; the console may read."""
    root = f"{city.base}ana"
    paths = city.call(landed, city)
    assert len(paths) > 60
    owner = city.row("ana").owner
    apps = [city.owner("ana"), city.app(owner, "notes app"), city.app(owner, "photo app", "https://photos.example/id")]
    samples = [path for number, path in enumerate(sorted(paths)) if number % 10 == 0] + ["/landed/", "/landed/grid/"]
    deep = {"Depth": "infinity"}
    for app in apps:
        assert app.get(f"{root}/profile/card").status_code == 200
        for path in samples:
            assert app.get(root + path).status_code == 403, path
            assert app.get(f"{root}{path}.acl").status_code == 403
            assert (
                app.put(f"{root}{path}.acl", "<#me> a <http://www.w3.org/ns/auth/acl#Authorization> .").status_code
                == 403
            )
            assert app.get(f"{root}{path}.meta").status_code == 403
            assert app.put(root + path, "<> a <#Mine> .").status_code in (403, 405)
            assert app.ask("DELETE", root + path).status_code in (403, 405)
            assert app.ask("DELETE", root + path, headers=deep).status_code in (403, 405)
        assert (
            app.ask("POST", f"{root}/landed/", content=b"", headers={"Content-Type": "text/turtle"}).status_code == 403
        )
        assert app.put(f"{root}/landed/mine/x", "<> a <#Mine> .").status_code == 403
        assert app.ask("DELETE", f"{root}/", headers=deep).status_code == 405
        found = app.rows(f"{root}/", 'SELECT ?s WHERE { ?s ?p ?o FILTER(CONTAINS(STR(?s), "/landed/")) }')
        assert found == []
        assert "landed" not in app.get(f"{root}/").text
    assert city.call(landed, city) == paths
    console = city.citizen("ana")
    for path in paths:
        found = city.call(city.host.pods.read, console, Target(city.row("ana"), path))
        assert found.size > 0
    assert city.run(_query_as(city, console)) > 1000


async def _query_as(city: Inside, caller: Caller) -> int:
    query = inspect(
        b"SELECT (COUNT(*) AS ?n) FROM <http://www.w3.org/ns/solid/sparql#union-default-graph> { ?s ?p ?o }"
    )
    answer = await city.host.endpoint.ask(caller, city.row("ana"), query, query.dataset, "text/csv")
    return int(answer.body.split()[1])


def test_faked_consoles_are_refused(city: Inside) -> None:
    """The console's id opens nothing from another issuer, for another agent, or without an agent."""
    row = city.row("ana")
    target = Target(row, Path("/landed/"))
    console = console_client(city.base)
    for fake in (
        Caller(row.owner, console, "https://idp.evil.example/"),
        Caller(row.owner, console, None),
        Caller(city.row("bob").owner, console, city.base),
        Caller(row.owner, "https://app.example/id", city.base),
        Caller(None, console, city.base),
        PUBLIC,
    ):
        with pytest.raises(Exception, match=r"No rule|proof") as refused:
            city.call(city.host.pods.read, fake, target)
        assert isinstance(refused.value, Unauthenticated) == (fake == PUBLIC)
    city.call(city.host.pods.read, city.citizen("ana"), target)


def test_a_grant_opens_one_precision_and_nothing_else(city: Inside) -> None:
    """Be Green reads the monthly totals, not the curve, the days, the bills or others' names; a revocation ends it."""
    root, app = f"{city.base}ana", city.app(BE_GREEN)
    month = f"{root}/landed/grid/load-curve/month/2024.ttl"
    totals = (
        "SELECT ?month ?kwh WHERE { ?m <https://w3id.org/self-data/energy#month> ?month ;"
        " <http://www.w3.org/ns/sosa/hasSimpleResult> ?kwh }"
    )
    assert app.get(month).status_code == 403
    assert app.rows(f"{root}/", totals) == []
    grant = city.grant("ana", Wish(BE_GREEN, "grid", "load-curve", "month"))
    assert app.get(month).status_code == 200
    rows = app.rows(f"{root}/", totals)
    assert [row["month"] for row in rows] == ["2024-03"]
    assert float(rows[0]["kwh"]) > 0
    for path in city.call(landed, city):
        if "/load-curve/month/" not in path:
            assert app.get(root + path).status_code == 403, path
    seen = {row["g"] for row in app.rows(f"{root}/", "SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }")}
    assert {iri for iri in seen if "/landed/" in iri} == set() or all(
        "/month/" in iri for iri in seen if "/landed/" in iri
    )
    assert city.app("https://other.example/#it").get(month).status_code == 403
    assert app.put(month, "<> a <#X> .").status_code == 405
    assert app.ask("DELETE", month).status_code == 405
    assert app.get(f"{month}.acl").status_code == 403
    city.revoke("ana", grant)
    assert app.get(month).status_code == 403
    assert app.rows(f"{root}/", totals) == []
    assert city.call(city.host.pods.read, city.citizen("ana"), Target(city.row("ana"), Path(month.removeprefix(root))))


def test_a_grant_to_the_citizen_using_an_app(city: Inside) -> None:
    """Granted to the citizen through one client id: that app reads for her, her other apps and others' do not."""
    root, owner = f"{city.base}ana", city.row("ana").owner
    url = "https://diary.example/id"
    diary, other = city.app(owner, "diary", url), city.app(owner, "other")
    month = f"{root}/landed/grid/load-curve/month/2024.ttl"
    grant = city.grant("ana", Wish(owner, "grid", "load-curve", "month", client=url))
    assert diary.get(month).status_code == 200
    assert other.get(month).status_code == 403
    city.revoke("ana", grant)
    assert diary.get(month).status_code == 403


BAD_WISHES = {
    "an app id that is no URL": Wish("some-opaque-id", "grid", "load-curve", "month"),
    "a precision that is not": Wish(BE_GREEN, "grid", "load-curve", "second"),
    "a partner outside its container": Wish(BE_GREEN, "../..", "load-curve", "month"),
    "a client that is no URL": Wish(BE_GREEN, "grid", "load-curve", "month", client="opaque"),
}


@pytest.mark.parametrize("case", BAD_WISHES)
def test_what_cannot_be_granted(city: Inside, case: str) -> None:
    """Only URLs are granted, and only what the catalogue knows."""
    with pytest.raises(Invalid):
        city.grant("ana", BAD_WISHES[case])


def test_the_same_delivery_twice_changes_nothing(city: Inside) -> None:
    """Delivered again, every item is unchanged and the log has no new row; a new version rectifies."""
    citizen = sandbox.citizens(1, 7)[0]
    items = [
        as_line(each.item(city.links["grid"]))
        for each in sandbox.deliveries(citizen, ["2024-03"])
        if each.partner == "grid"
    ]
    grid = city.partners["grid"]
    before = city.call(_position, city)
    lines = deliver(city, grid, *items)
    assert {line["outcome"] for line in lines[:-1]} == {"unchanged"}
    assert city.call(_position, city) == before
    again = deliver(city, grid, {**items[0], "version": "corrected"}, items[1])
    assert [line["outcome"] for line in again[:-1]] == ["rectified", "unchanged"]
    reused = deliver(city, grid, {**items[0], "text": items[1]["text"]})
    assert reused[0]["outcome"] == "quarantined"


def _position(city: Inside) -> int:
    with city.host.store.snapshot(city.row("ana").id) as snapshot:
        return snapshot.position


def test_planted_faults_are_quarantined(city: Inside) -> None:
    """Each planted fault is refused alone, with a sentence in both languages, and nothing of it is stored."""
    before = city.call(landed, city)
    for planted in sandbox.planted_faults():
        partner = planted.delivered.partner
        item = as_line(planted.delivered.item(city.links[partner]))
        [line, _] = deliver(city, city.partners[partner], item)
        assert line["outcome"] == "quarantined", planted.code
        assert planted.code in {fault["code"] for fault in line["faults"]}
        assert line["english"]
        assert line["french"] not in ("", line["english"])
    assert city.call(landed, city) == before


def test_links_decide(city: Inside) -> None:
    """Links unknown, another's, ended, or of other dates: told apart only where the partner may know."""
    citizen = sandbox.citizens(1, 7)[0]
    sample = next(each for each in sandbox.deliveries(citizen, ["2024-04"]) if each.data_set == "load-curve")
    grid, telecom = city.partners["grid"], city.partners["telecom"]
    short = city.link("grid", "bob", starts=1711000000.0, ends=2000000000.0)
    late = city.link("grid", "bob", starts=1720000000.0)
    gone = city.link("grid", "bob")
    city.call(city.host.operator.end_link, gone)
    outcomes = {
        "unknown-link": deliver(city, grid, as_line(sample.item("nobody"))),
        "unknown-link ": deliver(city, telecom, as_line(sample.item(short))),
        "revoked": deliver(city, grid, as_line(sample.item(gone))),
        "outside-link": deliver(city, grid, as_line(sample.item(late))),
        "landed": deliver(city, grid, as_line(sample.item(short))),
    }
    for outcome, lines in outcomes.items():
        assert lines[0]["outcome"] == outcome.strip()
    first, second = outcomes["unknown-link"][0], outcomes["unknown-link "][0]
    assert {**first, "link": ""} == {**second, "link": ""}


def test_two_links_never_overwrite_each_other(city: Inside) -> None:
    """A second link of the same partner into the same pod cannot take the place of what the first delivered."""
    citizen, other = sandbox.citizens(2, 7)
    city.add_pod("dan")
    first, second = city.link("grid", "dan"), city.link("grid", "dan")
    grid = city.partners["grid"]

    def day(who: sandbox.Citizen, link: str, version: str) -> dict[str, Any]:
        sample = next(each for each in sandbox.deliveries(who, ["2024-06"]) if each.data_set == "load-curve")
        return {**as_line(sample.item(link)), "version": version}

    assert deliver(city, grid, day(citizen, first, "1"))[0]["outcome"] == "landed"
    before = {path: city.call(_body, city, path) for path in city.call(landed, city, "dan")}
    refused = deliver(city, grid, day(other, second, "1"))[0]
    assert refused["outcome"] == "quarantined"
    assert "Another link" in refused["english"]
    assert {path: city.call(_body, city, path) for path in city.call(landed, city, "dan")} == before
    assert deliver(city, grid, day(citizen, first, "2"))[0]["outcome"] == "rectified"


def _body(city: Inside, path: Path) -> bytes:
    with city.host.store.snapshot(city.row("dan").id) as snapshot:
        entry = snapshot.entry(path)
        assert entry is not None
        return snapshot.body(entry)


def test_a_link_that_ended_is_followed_by_the_next(city: Inside) -> None:
    """Totals of two links that hold are never mixed; when the first has ended, the second continues and rectifies."""
    citizen, other = sandbox.citizens(2, 7)
    city.add_pod("eve")
    first, second = city.link("grid", "eve"), city.link("grid", "eve")
    grid = city.partners["grid"]
    one, two, three = curves(citizen, "2024-06", first)[:3]
    assert deliver(city, grid, one)[0]["outcome"] == "landed"
    later = {**curves(other, "2024-06", second)[4]}
    next_month = curves(other, "2024-07", second)[0]
    before = bodies(city, "eve")
    for item in (later, next_month):
        refused = deliver(city, grid, item)[0]
        assert refused["outcome"] == "quarantined"
        assert "Another link" in refused["english"]
    assert bodies(city, "eve") == before
    city.call(city.host.operator.end_link, first)
    assert deliver(city, grid, two)[0]["outcome"] == "revoked"
    replaced = {**three, "link": second, "period": one["period"], "text": one["text"], "version": "moved"}
    lines = deliver(city, grid, {**later, "version": "2"}, {**next_month, "version": "2"}, replaced)
    assert [line["outcome"] for line in lines[:-1]] == ["landed", "landed", "rectified"]
    totals = bodies(city, "eve")["/landed/grid/load-curve/day/2024/2024-06.ttl"].decode()
    assert {one["period"], later["period"]} == set(re.findall(r"<#d([0-9-]+)>\n? ", totals))


def curves(citizen: sandbox.Citizen, month: str, link: str) -> list[dict[str, Any]]:
    """The load curves of a citizen's month, one line a day."""
    made = sandbox.deliveries(citizen, [month])
    return [as_line(each.item(link)) for each in made if each.data_set == "load-curve"]


def bodies(city: Inside, name: str) -> dict[str, bytes]:
    """Every landed document of a pod, by path."""

    def read() -> dict[str, bytes]:
        with city.host.store.snapshot(city.row(name).id) as snapshot:
            entries = [snapshot.entry(path) for path in landed(city, name)]
            return {entry.path: snapshot.body(entry) for entry in entries if entry is not None}

    return dict(city.call(read))


# In the engine itself, with something that happens in between ----------------------------------------------------


GRID = Caller(None, "grid's client", None, partner="grid")


class Meanwhile:
    """The real workers; something happens before a kind of job, or takes the job's place."""

    def __init__(
        self, city: Inside, kind: Callable[..., Any], *happening: Callable[[], Awaitable[Any]] | tuple
    ) -> None:
        self.workers: Workers = city.host.pods._workers
        self.kind = kind
        self.happening = list(happening)

    async def run(self, job: Callable[..., Any], *arguments: Any, seconds: float = 10.0) -> Any:
        """The job, after what was to happen first; a worker's end is a real one."""
        if job is self.kind and self.happening:
            happens = self.happening.pop(0)
            if isinstance(happens, tuple):
                return await self.workers.run(*happens)
            await happens()
        return await self.workers.run(job, *arguments, seconds=seconds)


def engine(city: Inside, workers: Any = None) -> Deliveries:
    """A delivery engine over the host's rooms."""
    workers = workers or city.host.pods._workers
    return Deliveries(city.host.pods, city.host.database, workers, city.clock)


def taken(city: Inside, engine_: Deliveries, *items: dict[str, Any]) -> tuple[list[str], PodError | None]:
    """The outcomes of items, and what ended their stream."""

    async def stream() -> AsyncIterator[Item]:
        for item in items:
            names = ("link", "data_set", "period", "version", "media_type")
            yield Item(*(item[name] for name in names), item["text"].encode())

    async def told() -> tuple[list[str], PodError | None]:
        outcomes: list[str] = []
        try:
            async for decided in engine_.deliver(GRID, stream()):
                outcomes.append(decided.outcome)  # noqa: PERF401 - what was told before a failure is kept
        except PodError as error:
            return outcomes, error
        return outcomes, None

    return city.run(told())


ABORT, EXIT = (os.abort,), (os._exit, 3)


@pytest.mark.parametrize(
    ("endings", "first", "second"),
    [((), "landed", "unchanged"), ((ABORT,), "landed", "unchanged"), ((ABORT, ABORT), "quarantined", "quarantined")],
)
def test_a_dead_worker_is_not_the_items_fault(city: Inside, endings: Any, first: str, second: str) -> None:
    """An item whose worker is killed is tried again alone; only one that is too heavy twice is refused for good."""
    name = f"gus{len(endings)}"
    city.add_pod(name)
    item = curves(sandbox.citizens(1, 7)[0], "2024-06", city.link("grid", name))[0]
    told, ended = taken(city, engine(city, Meanwhile(city, transform_batch, *endings)), item)
    assert (told, ended) == ([first], None)
    assert taken(city, engine(city), item) == ([second], None)


def test_an_item_without_a_verdict_ends_the_stream_at_its_place(city: Inside) -> None:
    """What ended twice without a reason is named, not stored, and lands when sent again; the rest is told."""
    city.add_pod("hal")
    items = curves(sandbox.citizens(1, 7)[0], "2024-06", city.link("grid", "hal"))[:3]
    # Two halves of a batch: two items and one; the first half dies, then its second item dies alone, twice.
    items_alone = Alone(city, items[1]["period"])
    told, ended = taken(city, engine(city, items_alone), *items)
    assert told == ["landed"]
    assert ended is not None
    assert (ended.kind, ended.fields["limit"], ended.fields["period"]) == (
        "limit-reached",
        "engine",
        items[1]["period"],
    )
    assert not [path for path in bodies(city, "hal") if items[1]["period"] in path]
    assert taken(city, engine(city), *items) == (["unchanged", "landed", "landed"], None)


class Alone(Meanwhile):
    """The real workers, of which each ends that gets the item of one period."""

    def __init__(self, city: Inside, period: str) -> None:
        super().__init__(city, transform_batch)
        self.period = period

    async def run(self, job: Callable[..., Any], *arguments: Any, seconds: float = 10.0) -> Any:
        """The job, or the end of its worker."""
        if job is transform_batch and any(item.period == self.period for item in arguments[0]):
            return await self.workers.run(*EXIT)
        return await self.workers.run(job, *arguments, seconds=seconds)


def test_what_landed_meanwhile_is_planned_again(city: Inside) -> None:
    """A key that another stream used between plan and write keeps its content; the new item beside it lands."""
    city.add_pod("ida")
    link = city.link("grid", "ida")
    one, two = curves(sandbox.citizens(1, 7)[0], "2024-06", link)[:2]
    key = json.dumps([link, one["data_set"], one["period"], one["version"]], ensure_ascii=False)
    row = DeliveryRow(key, link, "grid", one["data_set"], one["period"], one["version"], "another", "landed", 0.0)

    async def meanwhile() -> None:
        await city.host.store.append(city.row("ida").id, Append(GRID, 0.0, deliveries=(row,)))

    told = taken(city, engine(city, Meanwhile(city, merge_round, meanwhile)), one, two)
    assert told == (["quarantined", "landed"], None)
    written = bodies(city, "ida")
    assert not [path for path in written if one["period"] in path]
    assert one["period"].encode() not in written["/landed/grid/load-curve/day/2024/2024-06.ttl"]
    assert [path for path in written if two["period"] in path]


@pytest.mark.parametrize("case", ["the link", "the partner"])
def test_an_end_reaches_queued_writes(city: Inside, case: str) -> None:
    """A link that ends after its items were read and before they are written lands nothing; others' items land."""
    name = "jo-" + case[4:]
    city.add_pod(name)
    city.add_pod(f"{name}2")
    link, other = city.link("grid", name), city.link("grid", f"{name}2")
    citizen, database = sandbox.citizens(1, 7)[0], city.host.database._connection

    async def meanwhile() -> None:
        if case == "the link":
            city.host.operator.end_link(link)
        else:
            database.execute("UPDATE partner SET suspended = 1 WHERE id = 'grid'")

    items = [curves(citizen, "2024-06", each)[0] for each in (link, other)]
    try:
        told = taken(city, engine(city, Meanwhile(city, merge_round, meanwhile)), *items)
    finally:
        city.call(database.execute, "UPDATE partner SET suspended = NULL WHERE id = 'grid'")
    assert told == (["revoked", "landed" if case == "the link" else "revoked"], None)
    assert bool(bodies(city, f"{name}2")) == (case == "the link")
    assert bodies(city, name) == {}


def test_concurrent_streams_into_one_pod(city: Inside) -> None:
    """Six streams of twelve days each, all touching the same months: every item lands and every total is exact."""
    city.add_pod("kim")
    link, citizen = city.link("grid", "kim"), sandbox.citizens(1, 7)[0]
    days = [item for month in ("2024-01", "2024-02", "2024-03") for item in curves(citizen, month, link)][:72]
    grid = city.partners["grid"]
    with ThreadPoolExecutor(6) as streams:
        told = list(streams.map(lambda n: deliver(city, grid, *days[n::6]), range(6)))
    assert [line.get("outcome") for lines in told for line in lines[:-1]] == ["landed"] * 72
    expected: dict[str, Decimal] = {}
    for item in days:
        made = transform(Item(link, "load-curve", item["period"], "1", "application/json", item["text"].encode()))
        watt_hours = Decimal(made.siblings[0].contributions[0][1].split()[0])
        expected[item["period"][:7]] = expected.get(item["period"][:7], Decimal(0)) + watt_hours / 1000
    assert months_of(city, "kim") == expected


def months_of(city: Inside, name: str, year: int = 2024) -> dict[str, Decimal]:
    """The monthly totals of a pod in kilowatt-hours, as stored."""
    path = f"/landed/grid/load-curve/month/{year}.ttl"
    said: dict[str, dict[str, str]] = {}
    for quad in parse(bodies(city, name).get(path, b""), Syntax.TURTLE, f"http://h{path}"):
        said.setdefault(str(quad.subject), {})[quad.predicate.value.rpartition("/")[2]] = getattr(
            quad.object, "value", ""
        )
    return {each["energy#month"]: Decimal(each["hasSimpleResult"]) for each in said.values() if "energy#month" in each}


def test_a_month_is_told_when_it_is_over(city: Inside) -> None:
    """Polled every night a monthly total tells no day: it appears once, complete, with the next month's first day."""
    city.add_pod("lea")
    link, citizen = city.link("grid", "lea"), sandbox.citizens(1, 7)[0]
    may, june, july = (curves(citizen, month, link) for month in ("2024-05", "2024-06", "2024-07"))

    def on(day: str, *items: dict[str, Any]) -> None:
        city.clock.ahead = datetime.fromisoformat(f"{day}T00:10:00+02:00").timestamp() - time.time()
        assert taken(city, engine(city), *items) == (["landed"] * len(items), None)

    try:
        for night in range(2, 7):
            on(f"2024-06-{night:02}", june[night - 2])
            assert months_of(city, "lea") == {}
        on("2024-06-07", *may[:3], june[5])
        assert set(months_of(city, "lea")) == {"2024-05"}
        on("2024-06-30", june[28])
        assert set(months_of(city, "lea")) == {"2024-05"}
        on("2024-07-02", july[0])
        told = months_of(city, "lea")
        assert set(told) == {"2024-05", "2024-06"}
        before = version(city, "lea")
        on("2024-07-03", july[1])
        assert (months_of(city, "lea"), version(city, "lea")) == (told, before)
        on("2024-07-04", june[29])
        assert months_of(city, "lea")["2024-06"] > told["2024-06"]
    finally:
        city.clock.ahead = 0


def version(city: Inside, name: str) -> int | None:
    """At which change the monthly totals were written last."""

    def read() -> int | None:
        with city.host.store.snapshot(city.row(name).id) as snapshot:
            entry = snapshot.entry(Path("/landed/grid/load-curve/month/2024.ttl"))
            return None if entry is None else entry.version

    return city.call(read)


def test_only_partners_deliver_and_partners_do_nothing_else(city: Inside) -> None:
    """An app is no partner; a partner reads nothing, not even what it delivered."""
    url = f"{city.base}.host/deliveries"
    ndjson = {"Content-Type": "application/x-ndjson"}
    assert city.public.ask("POST", url, content=b"", headers=ndjson).status_code == 401
    assert city.owner("ana").ask("POST", url, content=b"", headers=ndjson).status_code == 403
    grid = city.partners["grid"]
    for path in city.call(landed, city)[:5]:
        assert grid.get(f"{city.base}ana{path}").status_code == 403
    assert grid.put(f"{city.base}ana/landed/grid/x", "<> a <#X> .").status_code == 403
    assert grid.rows(f"{city.base}ana/", "SELECT * { ?s ?p ?o }") == []


BAD_LINES = {
    "not json": b"{",
    "not an object": b"[1]",
    "a field that is missing": b'{"link": "x"}',
    "no payload": b'{"link": "x", "data_set": "bill", "period": "p", "version": "1"}',
    "base64 that is none": b'{"link": "x", "data_set": "bill", "period": "p", "version": "1", "base64": "*"}',
    "nested too deep": b'{"a":' * 5000,
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_lines_end_the_stream_with_a_problem(city: Inside, case: str) -> None:
    """A line that is no item ends the stream, says which line; what came before is landed and told."""
    citizen = sandbox.citizens(1, 7)[0]
    good = next(each for each in sandbox.deliveries(citizen, ["2024-05"]) if each.data_set == "bill")
    supplier = city.partners["supplier"]
    line = json.dumps({**as_line(good.item(city.links["supplier"])), "version": case})
    answer = supplier.ask(
        "POST",
        f"{city.base}.host/deliveries",
        content=line.encode() + b"\n" + BAD_LINES[case] + b"\n",
        headers={"Content-Type": "application/x-ndjson"},
    )
    lines = [json.loads(each) for each in answer.text.splitlines()]
    assert lines[0]["outcome"] in ("landed", "rectified")
    assert lines[1]["problem"]["kind"] == "malformed"
    assert lines[1]["problem"].get("line", 2) == 2
    assert lines[-1]["receipt"]["items"] == 1


def test_receipts_verify(city: Inside) -> None:
    """A receipt verifies with the published key alone, and no longer when a letter of it changed."""
    import base64

    grid = city.partners["grid"]
    [*_, signed] = deliver(city, grid)
    known = city.http.get(f"{city.base}.well-known/pod-server").json()["receipt_key"]
    assert signed["key"] == known

    def unpadded(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    key = Ed25519PublicKey.from_public_bytes(unpadded(known["x"]))
    statement = json.dumps(signed["receipt"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key.verify(unpadded(signed["signature"]), statement)
    with pytest.raises(Exception):  # noqa: B017, PT011 - cryptography's own kind
        key.verify(unpadded(signed["signature"]), statement.replace(b"grid", b"gird"))


PILOT = {
    "contrat_electricite": ("supplier", "energy-contract", "contract", "landed"),
    "enedis_loadcurve": ("grid", "load-curve", "2017-08-17", "landed"),
    "consommation_linky_demiheure": ("supplier", "load-curve", "2017-03-01", "landed"),
    "facture_electricite": ("supplier", "bill", "bill", "quarantined"),
    "geoloc": ("telecom", "geolocation", "2016-09", "quarantined"),
    "sinistre_vehicule": ("insurer", "insurance-claim", "F1", "quarantined"),
    "sinistre_habitation": ("insurer", "insurance-claim", "F2", "quarantined"),
}


@pytest.mark.parametrize("name", PILOT)
def test_the_pilots_own_files(city: Inside, name: str) -> None:
    """The pilot's real files of the five sets land, or are refused whole for the defects they are known to have."""
    partner, data_set, period, outcome = PILOT[name]
    body = (shared("pilot", "samples") / f"{name}.json").read_text()
    item = {"link": city.links[partner], "data_set": data_set, "period": period, "version": "pilot", "text": body}
    [line, _] = deliver(city, city.partners[partner], item)
    assert line["outcome"] == outcome, line
    assert bool(line.get("faults")) == (outcome == "quarantined")


def test_an_ended_link_is_acknowledged_after_what_was_queued(city: Inside) -> None:
    """When the operator is told that a link has ended, every write that was under way for its pod is done."""
    city.add_pod("settled")
    link, row = city.link("grid", "settled"), city.row("settled")

    async def race() -> list[bool]:
        store = city.host.store
        queued = [asyncio.ensure_future(store.append(row.id, change(document(f"/q{number}")))) for number in range(60)]
        await asyncio.sleep(0)
        city.host.operator.end_link(link)
        await city.host.operator.settle(link)
        return [each.done() for each in queued]

    assert all(city.run(race()))
    ended = city.host.database.link(link)
    assert ended is not None
    assert ended.ends is not None
