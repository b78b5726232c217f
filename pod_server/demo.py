"""The main job, told end to end: partners deliver, an app asks, a citizen decides; each claim is checked as it is made.

Called by ``pod-server demo``.  Partners and the app speak HTTP through
``pod_clients`` as any other would; only the operator's acts and the citizen's
consent are done inside, as the host's own command line and console do them.
All people are invented.  It must never touch a data folder that has pods.
"""

from __future__ import annotations

import json
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import httpx
from pod_clients import ClientError, Credentials, HostError, Item, Partner, Pod, Report, Session, Verdict
from pod_clients.items import Heading, items_of
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from pod_server import logs
from pod_server.audit import Audit
from pod_server.config import load
from pod_server.consent.grants import Grant, Wish
from pod_server.landing import sandbox
from pod_server.landing.sandbox import Citizen, Delivered, Planted
from pod_server.stage import House, empty_folder, free_port, interruptible
from pod_server.store.host import PodRow

SEED: Final = 2024
MONTH: Final = "2024-03"
BILLED: Final = tuple(f"{2023 + month // 12}-{month % 12 + 1:02}" for month in range(3, 15))
GRANTING: Final = 3
"""How many citizens let the app in."""
PARTNERS: Final = {
    sandbox.INSURER: ("Mutuelle d'exemple", "insurer"),
    sandbox.SUPPLIER: ("Électricité d'exemple", "electricity supplier"),
    sandbox.GRID: ("Réseau d'exemple", "grid operator"),
    sandbox.TELECOM: ("Télécom d'exemple", "telecom operator"),
}
APP: Final = "be-green"

_PREFIXES = (
    "PREFIX energy: <https://w3id.org/self-data/energy#> PREFIX sosa: <http://www.w3.org/ns/sosa/>"
    " PREFIX schema: <https://schema.org/> "
)
MONTHS_QUERY: Final = (
    _PREFIXES + "SELECT ?month ?kwh ?days WHERE { ?totals a energy:MonthlyTotals ; sosa:hasMember ?row ."
    " ?row energy:month ?month ; energy:days ?days ; sosa:hasSimpleResult ?kwh } ORDER BY ?month"
)
CURVE_QUERY: Final = (
    _PREFIXES + "SELECT ?start ?watts WHERE { ?curve a energy:LoadCurve ; sosa:hasMember ?point ."
    " ?point energy:start ?start ; sosa:hasSimpleResult ?watts } LIMIT 5"
)
BILLS_QUERY: Final = _PREFIXES + "SELECT ?bill ?number WHERE { ?bill a schema:Invoice ; schema:identifier ?number }"


def run(port: int, data: Path | None, *, once: bool, citizens: int) -> int:
    """Tell the story; the exit code is 0 when every claim held.

    port: 0 takes a free one.  data: an empty folder to keep; None makes a
    fresh one here, which is removed at the end.  once: end after the story,
    else stay up until Ctrl-C.  Raises Conflict when the folder has a host or
    the port is taken.
    """
    logs.start("ERROR")
    with empty_folder(data) as folder, interruptible():
        config = load(None, {}, data=folder, port=port or free_port())
        with House(config) as house:
            story = _Story(house)
            try:
                _tell(story, max(1, citizens))
                if not once:
                    _stay(story)
            except (ClientError, httpx.HTTPError) as error:
                story.claim(f"nothing goes wrong on the way ({error})", holds=False)
            except KeyboardInterrupt:
                story.say("The host stops.")
    return story.verdict()


# What is said, and about whom.


@dataclass(slots=True)
class _Home:
    """A citizen of the story, their pod, and by which link each partner knows them."""

    citizen: Citizen
    pod: PodRow
    url: str
    links: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Story:
    """What was said, and which claims did not hold."""

    house: House
    out: Console = field(default_factory=lambda: Console(highlight=False, markup=False))
    broken: list[str] = field(default_factory=list)
    claims: int = 0
    homes: list[_Home] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A sentence."""
        self.out.print(Padding(text, (0, 0, 0, 2)))

    def act(self, title: str) -> None:
        """A new chapter."""
        self.out.print(f"\n{title}", style="bold")

    def claim(self, sentence: str, holds: bool) -> None:
        """Say something that is checked."""
        self.claims += 1
        if not holds:
            self.broken.append(sentence)
        said = f"{'Checked' if holds else 'DOES NOT HOLD'}: {sentence}"
        self.out.print(Padding(said, (0, 0, 0, 2)), style="green" if holds else "red")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Words in columns."""
        made = Table(box=None, padding=(0, 2, 0, 2))
        for column in columns:
            made.add_column(column, overflow="fold")
        for row in rows:
            made.add_row(*("" if value is None else str(value) for value in row))
        self.out.print(made)

    def verdict(self) -> int:
        """The exit code, said."""
        self.out.print()
        if self.broken:
            self.say(f"{len(self.broken)} of {self.claims} claims do not hold:")
            for sentence in self.broken:
                self.say(sentence)
            return 1
        self.say(f"All {self.claims} claims hold.")
        return 0


def _tell(story: _Story, count: int) -> None:
    partners = _settle(story, count)
    _deliver(story, partners)
    app = _Asker(story, _register_app(story))
    grants = _ask(story, app)
    _revoke(story, app, grants)


# 1. Citizens, partners, links.


def _settle(story: _Story, count: int) -> dict[str, Credentials]:
    story.act(f"1. {count} citizens get pods, and four partners come")
    operator = story.house.host.operator
    for citizen in sandbox.citizens(count, SEED):
        made = story.house.do(operator.add_pod, _pod_name(story, citizen), citizen.name)
        row = story.house.host.database.pod(made["name"])
        assert row is not None  # noqa: S101 - made just now
        story.homes.append(_Home(citizen, row, made["pod"]))
    credentials = {}
    for partner, (name, holder) in PARTNERS.items():
        made = story.house.do(operator.add_partner, partner, name, holder)
        credentials[partner] = Credentials.of(made)
        for home in story.homes:
            link = story.house.do(operator.add_link, partner, home.pod.name, 0.0, None)
            home.links[partner] = link["link"]
    shown = story.homes[:GRANTING]
    story.table(("citizen", "pod"), [(home.citizen.name, home.url) for home in shown])
    if count > len(shown):
        story.say(f"and {count - len(shown)} more.")
    story.say("Each partner knows each citizen by a pseudonym of its own; none of them learns a pod's address.")
    words = [link for home in story.homes for link in home.links.values()]
    story.claim(f"{len(words)} links, no two pseudonyms alike", len(set(words)) == len(PARTNERS) * count)
    return credentials


def _pod_name(story: _Story, citizen: Citizen) -> str:
    plain = unicodedata.normalize("NFKD", citizen.name).encode("ascii", "ignore").decode().lower()
    name = "-".join(plain.split())
    taken = {home.pod.name for home in story.homes}
    return name if name not in taken else f"{name}-{len(taken) + 1}"


# 2. Deliveries.


def _deliver(story: _Story, credentials: dict[str, Credentials]) -> None:
    story.act(f"2. They deliver: loads and places of {MONTH}, a year of bills, contracts, claims, in their own files")
    parcels = {partner: list(_parcel(story, partner)) for partner in PARTNERS}
    began = time.perf_counter()
    with _progress(story.out) as bar, ThreadPoolExecutor(len(PARTNERS)) as crowd:
        tasks = {partner: bar.add_task(PARTNERS[partner][0], total=len(items)) for partner, items in parcels.items()}
        jobs = {
            partner: crowd.submit(_send, story.house.base, credentials[partner], items, _advance(bar, tasks[partner]))
            for partner, items in parcels.items()
        }
        reports = {partner: job.result() for partner, job in jobs.items()}
    seconds = time.perf_counter() - began
    story.table(
        ("partner", "items", "verdicts", "receipts"), [(PARTNERS[each][0], *_told(reports[each])) for each in PARTNERS]
    )
    total = sum(map(len, parcels.values()))
    story.say(f"{total} items in {seconds:.1f} seconds; each verdict was durable before it was given.")
    landed = sum(report.counts.get("landed", 0) for report in reports.values())
    story.claim(f"all {total} items landed, none lost, none refused", landed == total)
    story.claim("every receipt is signed by the host over those very verdicts", all(map(_is_covered, reports.values())))
    again = _send(story.house.base, credentials[sandbox.INSURER], parcels[sandbox.INSURER], lambda _: None)
    same = again.counts == {"unchanged": len(parcels[sandbox.INSURER])}
    story.claim("the same files delivered again change nothing", same)
    _deliver_faults(story, credentials)


def _parcel(story: _Story, partner: str) -> Iterator[Item]:
    """What one partner holds about everybody, as items: its own files, cut as the catalogue says."""
    days = [date.fromisoformat(f"{MONTH}-{number:02}") for number in range(1, 32)]
    for home in story.homes:
        citizen, link = home.citizen, home.links[partner]
        if partner == sandbox.INSURER:
            yield _item(sandbox.claim(citizen, MONTH), link)
        elif partner == sandbox.SUPPLIER:
            yield _item(sandbox.contract(citizen, days[0]), link)
            yield from (_item(sandbox.bill(citizen, month), link) for month in BILLED)
        elif partner == sandbox.GRID:
            yield from (_item(sandbox.load_curve(citizen, of), link) for of in days)
        else:
            yield from _month_of_places(citizen, days, link, story.house.base)


def _month_of_places(citizen: Citizen, days: Sequence[date], link: str, base: str) -> Iterator[Item]:
    """One file for the month, as the telecom operator exports it; the client cuts it by day."""
    points = [point for of in days for point in json.loads(sandbox.geolocation(citizen, of).payload)]
    with Session() as session:
        split = Partner(session, base).split_of("geolocation")
    return items_of(json.dumps(points).encode(), Heading(link, "geolocation"), split)


def _item(delivered: Delivered, link: str) -> Item:
    made = delivered.item(link)
    return Item(made.link, made.data_set, made.period, made.version, made.payload, made.media_type)


def _send(base: str, credentials: Credentials, items: Sequence[Item], progress: Callable[[Verdict], None]) -> Report:
    with Session(credentials) as session:
        return Partner(session, base).deliver(items, progress=progress)


def _progress(out: Console) -> Progress:
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=out, transient=True, disable=not out.is_terminal)


def _advance(bar: Progress, task: Any) -> Callable[[Verdict], None]:
    return lambda _: bar.advance(task)


def _told(report: Report) -> tuple[int, str, int]:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.counts.items()))
    return report.items, counts, len(report.receipts)


def _is_covered(report: Report) -> bool:
    """Whether the receipts, whose signatures the client has proven, speak of every item."""
    return report.unsigned == 0 and sum(int(receipt["items"]) for receipt in report.receipts) == report.items


def _deliver_faults(story: _Story, credentials: dict[str, Credentials]) -> None:
    home, planted = story.homes[0], sandbox.planted_faults()
    story.out.print()
    story.say(f"Among the files of {home.citizen.name} are {len(planted)} with a fault. What the citizen reads:")
    before = _documents(story, home)
    for fault in planted:
        verdict = _verdict_on(story, credentials, home, fault)
        story.say(f"{verdict.english}\n{verdict.french}")
        refused = verdict.outcome == "quarantined" and fault.code in {each["code"] for each in verdict.faults}
        story.claim(f"{fault.english}: refused whole, as {fault.code}", refused)
    story.claim("the pod holds what it held before them", _documents(story, home) == before)


def _verdict_on(story: _Story, credentials: dict[str, Credentials], home: _Home, fault: Planted) -> Verdict:
    partner, found = fault.delivered.partner, list[Verdict]()
    _send(story.house.base, credentials[partner], [_item(fault.delivered, home.links[partner])], found.append)
    return found[0]


def _documents(story: _Story, home: _Home) -> dict[str, int]:
    """How many documents the pod holds, by data set and precision, as its owner's console tells it."""
    citizen = story.house.host.consent.citizen(home.pod)
    told = story.house.do(Audit(story.house.host.pods, story.house.base).story, citizen, home.pod)
    return Counter({str(kept.container): kept.documents for arrival in told.arrivals for kept in arrival.kept})


# 3. An app asks.


class _Asker:
    """The app: one session, and a client for each pod."""

    def __init__(self, story: _Story, made: dict[str, Any]) -> None:
        self.webid = str(made["webId"])
        issuer = {"issuer": story.house.base}
        self.session = Session(Credentials.of(made | issuer))

    def rows(self, home: _Home, query: str) -> list[dict[str, Any]]:
        """The solutions of a query over all that the app may read of a pod."""
        return list(Pod(home.url, self.session).sparql(query))

    def refusal(self, url: str) -> HostError | None:
        """Why the app may not read something; None when it may."""
        try:
            self.session.request("GET", url)
        except HostError as refused:
            return refused
        return None


def _register_app(story: _Story) -> dict[str, Any]:
    """The app is an agent with a WebID of its own, and credentials to sign in as itself."""
    return story.house.do(story.house.host.operator.add_pod, APP, "Be Green")


def _ask(story: _Story, app: _Asker) -> list[Grant]:
    story.act("3. The app Be Green asks for the energy of each month")
    story.say(f"It signs in as itself, {app.webid}. Before any grant:")
    chosen = story.homes[:GRANTING]
    nothing = not any(app.rows(home, MONTHS_QUERY) for home in chosen)
    story.claim("it gets nothing from any pod", nothing)
    grants = [_grant(story, home, app.webid) for home in chosen]
    names = ", ".join(home.citizen.name for home in chosen)
    story.say(f"{names} let it read their monthly totals, and nothing finer. It asks each pod:")
    answers = [(home, app.rows(home, MONTHS_QUERY)) for home in chosen]
    rows = [(home.citizen.name, row["month"], row["kwh"], row["days"]) for home, found in answers for row in found]
    story.table(("citizen", "month", "kWh", "days"), rows)
    exact = all(_is_month_of(home, found) for home, found in answers)
    story.claim("each total is exactly what the half-hours add up to", exact)
    _ask_too_much(story, app)
    return grants


def _grant(story: _Story, home: _Home, webid: str) -> Grant:
    consent = story.house.host.consent
    wish = Wish(webid, sandbox.GRID, "load-curve", "month")
    return story.house.wait_for(consent.grant(consent.citizen(home.pod), home.pod, wish))


def _is_month_of(home: _Home, found: Sequence[dict[str, Any]]) -> bool:
    expected = {MONTH: sandbox.kilowatt_hours(home.citizen, MONTH)}
    return {str(row["month"]): Decimal(row["kwh"]) for row in found} == expected


def _ask_too_much(story: _Story, app: _Asker) -> None:
    home = story.homes[0]
    story.say(f"Now it asks {home.citizen.name} for more:")
    story.claim("for the half-hour curve it gets nothing", app.rows(home, CURVE_QUERY) == [])
    story.claim("for the bills it gets nothing", app.rows(home, BILLS_QUERY) == [])
    curve = app.refusal(f"{home.url}landed/{sandbox.GRID}/load-curve/half-hour/")
    story.claim("reading the half-hours' folder is refused (403)", curve is not None and curve.status == 403)
    month = app.refusal(f"{home.url}landed/{sandbox.GRID}/load-curve/month/")
    story.claim("reading the months' folder, which was granted, is not", month is None)
    others = story.homes[GRANTING:]
    if others:
        story.claim("from those who granted nothing it gets nothing", not app.rows(others[0], MONTHS_QUERY))
    said = curve.detail if curve is not None else ""
    story.say(
        f"Why: {said} The one rule that names Be Green is on load-curve/month/. half-hour/ and the bills stand"
        " under the rules of landed/, which open it to the citizen alone, and only in this host's own pages."
    )


# 4. A citizen decides otherwise.


def _revoke(story: _Story, app: _Asker, grants: Sequence[Grant]) -> None:
    home, *others = story.homes[:GRANTING]
    story.act(f"4. {home.citizen.name} takes the grant back")
    consent = story.house.host.consent
    citizen = consent.citizen(home.pod)
    story.house.wait_for(consent.revoke(citizen, home.pod, grants[0].id))
    story.claim("the next query gives nothing", app.rows(home, MONTHS_QUERY) == [])
    refused = app.refusal(f"{home.url}landed/{sandbox.GRID}/load-curve/month/")
    story.claim("nor does a plain read (403)", refused is not None and refused.status == 403)
    if others:
        kept = all(_is_month_of(each, app.rows(each, MONTHS_QUERY)) for each in others)
        story.claim("the others' grants hold as before", kept)
    story.say(f"What {home.citizen.name} finds in the log of reads:")
    readers = [each for each in _readers(story, home) if each[0] == app.webid]
    story.table(("who", "how", "what", "times", "rows"), [("Be Green", *each[1:]) for each in readers])
    seen = any("load-curve/month" in str(what) for _, _, what, _, _ in readers)
    story.claim("the log names who read the monthly totals, and when", seen)
    app.session.close()


def _readers(story: _Story, home: _Home) -> list[tuple[str, str, str, int, int | None]]:
    """Who read what; rows of the log ride the pod's next commit, some 200 ms later, so it is looked at after that."""
    time.sleep(0.5)
    citizen = story.house.host.consent.citizen(home.pod)
    told = story.house.do(Audit(story.house.host.pods, story.house.base).story, citizen, home.pod)
    return [(each.agent or "", each.act, each.target, each.times, each.rows) for each in told.readers]


# 5. Look around.


def _stay(story: _Story) -> None:
    base = story.house.base
    story.act(f"The host stays up: three doors at {base}")
    doors = (
        ("Citizens", f"{base}.host/console/", "what came in, who reads, one click to stop it"),
        ("Partners", f"{base}.host/partners", "pod-partner check, deliver, status"),
        (
            "Apps",
            f"{base}.host/developers",
            f"pod-query --pod {story.homes[0].url}; a page to try a query is in each pod",
        ),
    )
    for who, address, what in doors:
        story.out.print(f"  {who}: {address} ({what})", soft_wrap=True)
    story.say("A one-time link into each citizen's pages, good for 15 minutes:")
    for home in story.homes:
        link = story.house.do(story.house.host.operator.sign_in, home.pod.name)
        story.out.print(f"  {home.citizen.name}: {link['url']}", soft_wrap=True)
    story.say(f"The data is in {story.house.folder} until the end. Ctrl-C ends it.")
    while True:
        time.sleep(3600)
