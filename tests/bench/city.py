"""Ten pods with a year of the five data sets, delivered by four partners over HTTP: what it takes, and what it answers.

Partners deliver with the client that we ship, in threads of this process, on
the same machine: items a second are of the whole, not of the host alone.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from bench.processes import MIB, disk_use, pss, view_workers
from bench.rows import Row, claim, spread
from bench.wire import one_by_one, request
from killing import clear
from pod_clients import Credentials, Item, Partner, Session
from solid import UNION, Agent, TestHost, free_port, running

from pod_server.demo import MONTHS_QUERY, PARTNERS
from pod_server.landing import sandbox
from pod_server.landing.sandbox import Citizen, Delivered

PODS = 10
WHOLE_VIEWS = 4
APPS = ("months", "whole")
SEED = 7
YEAR = tuple(f"2023-{month:02}" for month in range(1, 13))
NIGHTS = [date(2024, 1, 1) + timedelta(days=number) for number in range(10)]
LOOK_UPS = 60
SETTLED = 1.5
PREFIXES = "PREFIX energy: <https://w3id.org/self-data/energy#> PREFIX sosa: <http://www.w3.org/ns/sosa/> "
LOOK_UP = PREFIXES + (
    'SELECT ?watts {{ ?point energy:start "{}"^^<http://www.w3.org/2001/XMLSchema#dateTimeStamp> ;'
    " sosa:hasSimpleResult ?watts }}"
)
STARTS = PREFIXES + "SELECT ?start { ?point energy:start ?start } ORDER BY ?start LIMIT 60 OFFSET 4000"
COUNT = "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"
WHOLE = (
    *("grid/load-curve/half-hour", "grid/load-curve/day", "grid/load-curve/month", "supplier/bill/bill"),
    *("telecom/geolocation/exact", "telecom/geolocation/area", "supplier/energy-contract/contract"),
    "insurer/insurance-claim/claim",
)


@dataclass
class Town:
    """The citizens by the names of their pods, and by which link each partner knows them."""

    citizens: dict[str, Citizen]
    partners: dict[str, Credentials] = field(default_factory=dict)
    links: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The pods."""
        return list(self.citizens)


def run(random_seed: int) -> list[Row]:
    """Deliver a year, stop, weigh what is on the disk, start again, ask.  The city is always the same."""
    folder, port = Path(tempfile.mkdtemp(prefix="bench-city-")), free_port()
    town = Town({f"c{number}": citizen for number, citizen in enumerate(sandbox.citizens(PODS, SEED))})
    try:
        with running(folder, ",".join([*town.names, *APPS]), port) as host:
            _settle(host, town)
            rows = [*_year(host, town), *_nights(host, town)]
            months, whole = (host.app(host.webid(name), name) for name in APPS)
            _grant(host, town, ("grid/load-curve/month",), host.webid("months"), town.names)
            _grant(host, town, WHOLE, host.webid("whole"), town.names[:WHOLE_VIEWS])
        rows += _on_disk(folder / "data" / "pods")
        with running(folder, ",".join([*town.names, *APPS]), port) as host:
            months, whole = (Agent(host.http, host.base, app.client_id, app.client_secret) for app in (months, whole))
            time.sleep(SETTLED)
            return [*rows, *_months(host, town, months), *_whole(host, town, whole)]
    finally:
        clear(folder)


def _settle(host: TestHost, town: Town) -> None:
    for partner, (title, holder) in PARTNERS.items():
        made = host.operate("partners", id=partner, name=title, holder=holder)
        town.partners[partner] = Credentials.of(made | {"issuer": host.base})
        for name in town.names:
            town.links[partner, name] = host.link(partner, name)


def _item(town: Town, name: str, delivered: Delivered) -> Item:
    made = delivered.item(town.links[delivered.partner, name])
    return Item(made.link, made.data_set, made.period, made.version, made.payload, made.media_type)


def _sent(host: TestHost, town: Town, partner: str, items: Sequence[Item]) -> int:
    """How many landed."""
    with Session(town.partners[partner]) as session:
        return Partner(session, host.base).deliver(items).counts.get("landed", 0)


def _year(host: TestHost, town: Town) -> list[Row]:
    parcels: dict[str, list[Item]] = {partner: [] for partner in sandbox.PARTNERS}
    for name, citizen in town.citizens.items():
        for delivered in sandbox.deliveries(citizen, YEAR):
            parcels[delivered.partner].append(_item(town, name, delivered))
    total = sum(map(len, parcels.values()))
    began = time.perf_counter()
    with ThreadPoolExecutor(len(parcels)) as crowd:
        landed = sum(crowd.map(lambda partner: _sent(host, town, partner, parcels[partner]), parcels))
    seconds = time.perf_counter() - began
    return [
        claim(
            f"{PODS} pods, a year of five data sets by four partners: all landed", landed == total, f"{landed:,} items"
        ),
        Row("items landed a second", f"{total / seconds:,.0f} ({seconds:.0f} s)"),
    ]


def _nights(host: TestHost, town: Town) -> list[Row]:
    """One day's load curve of every pod, night after night."""
    rates = []
    for night in NIGHTS:
        items = [_item(town, name, sandbox.load_curve(citizen, night)) for name, citizen in town.citizens.items()]
        began = time.perf_counter()
        landed = _sent(host, town, sandbox.GRID, items)
        rates.append(len(items) / (time.perf_counter() - began))
        assert landed == len(items)
    return [Row("one day's load curves, items a second (sign-in included)", spread(rates))]


def _on_disk(pods: Path) -> list[Row]:
    uses = sorted(use for use in map(disk_use, pods.glob("*/*")) if use[0] > MIB)
    sizes = [size / MIB for size, _ in uses]
    return [
        claim("pods that hold the year", len(uses) == PODS, str(len(uses))),
        Row("bytes of a pod on the disk", f"{spread(sizes)} MiB"),
        Row("files of a pod", f"{max(files for _, files in uses)} at most"),
    ]


def _grant(host: TestHost, town: Town, whats: Sequence[str], webid: str, names: Sequence[str]) -> None:
    """By the citizen, in the console."""
    until = str(datetime.now(UTC).date() + timedelta(days=30))
    for name in names:
        with closing(host.console(name)) as browser:
            page = f"{host.base}.host/console/grants"
            for what in whats:
                found = re.search(r'name="csrf" value="([^"]+)"', browser.get(page).text)
                assert found
                fields = {"csrf": found[1], "what": what, "kind": "agent", "address": webid, "until": until}
                answer = browser.post(page, data=fields)
                assert "said=granted" in str(answer.url), answer.text


def _asked(host: TestHost, agent: Agent, asked: Sequence[tuple[str, str]]) -> list[tuple[float, list[dict[str, str]]]]:
    """(pod's name, query) -> milliseconds and rows of each, one after the other, with a proof each."""
    found = []
    for seconds, answer in one_by_one(host.base, (_question(host, agent, name, query) for name, query in asked)):
        assert answer.status == 200, answer.body[:500]
        bindings = json.loads(answer.body)["results"]["bindings"]
        found.append((seconds * 1000, [{key: value["value"] for key, value in row.items()} for row in bindings]))
    return found


def _question(host: TestHost, agent: Agent, name: str, query: str) -> bytes:
    url = f"{host.pod(name)}.pod/sparql"
    body = urlencode({"query": query, "default-graph-uri": UNION}).encode()
    kind = {"Content_Type": "application/x-www-form-urlencoded", "Accept": "application/sparql-results+json"}
    return request("POST", url, body, **kind, **agent.headers("POST", url))


def _views_weight(host: TestHost) -> int:
    time.sleep(SETTLED)
    return sum(map(pss, view_workers(host.process.pid)))


def _months(host: TestHost, town: Town, app: Agent) -> list[Row]:
    before = _views_weight(host)
    asked = [(name, MONTHS_QUERY) for name in town.names]
    cold = _asked(host, app, asked)
    after = _views_weight(host)
    warm = [_asked(host, app, asked) for _ in range(5)]
    exact = all(len(rows) == len(YEAR) + 1 for _, rows in cold)
    return [
        claim("monthly totals: every pod gives its months", exact),
        Row("monthly totals, first after a start (ms)", spread([taken for taken, _ in cold])),
        Row("monthly totals, warm (ms)", spread([taken for one in warm for taken, _ in one])),
        Row(
            "memory of a warm view of monthly totals",
            f"{(after - before) / PODS / MIB:.2f} MiB (PSS of the view workers)",
        ),
    ]


def _whole(host: TestHost, town: Town, app: Agent) -> list[Row]:
    names, before = town.names[:WHOLE_VIEWS], _views_weight(host)
    cold = _asked(host, app, [(name, COUNT) for name in names])
    after = _views_weight(host)
    statements = statistics.median(int(rows[0]["n"]) for _, rows in cold)
    [(_, starts)] = _asked(host, app, [(names[0], STARTS)])
    look_ups = [(names[0], LOOK_UP.format(row["start"])) for row in starts[:LOOK_UPS]]
    [*found] = _asked(host, app, look_ups)
    months = _asked(host, app, [(name, MONTHS_QUERY) for name in names] * 3)
    return [
        Row("a view of everything granted: statements", f"{statements:,.0f}"),
        Row("its first question, after a start (ms)", spread([taken for taken, _ in cold])),
        Row("memory of such a view", f"{(after - before) / WHOLE_VIEWS / MIB:.0f} MiB (PSS of the view workers)"),
        claim("look-ups by start: each finds its point", len(found) == LOOK_UPS and all(rows for _, rows in found)),
        Row("look-up by start, warm (ms)", spread([taken for taken, _ in found])),
        Row("monthly totals out of everything, warm (ms)", spread([taken for taken, _ in months])),
    ]
