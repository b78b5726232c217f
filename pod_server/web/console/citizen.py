"""The citizen's own pages: what came in, who may read, who read; grants, questions, documents, the log.

Called through pages.py.  Everything is asked for as the citizen at this
host's console, through the same decision as anybody else's requests; the
operator has no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from pod_server.audit import Audit, Opening, ReadBy
from pod_server.consent.grants import Grant, Wish
from pod_server.errors import PodError
from pod_server.landing.catalogue import DATA_SETS
from pod_server.store.host import Partner, PodRow
from pod_server.terms import LANDED
from pod_server.web.console import documents, questions, session
from pod_server.web.console.frame import ZONE, Console, Frame
from pod_server.web.console.session import PATH, Visitor, go, signed_form, visitor
from pod_server.web.problems import STATUS

GRANT_DAYS = 180
"""What the form proposes as the end of a grant."""
EVENTS = 200
SAID = ("granted", "revoked")
CHART_DAYS = 30


@dataclass(frozen=True, slots=True)
class Bar:
    """A day of the chart: its instant (seconds since 1970), its count, and its height in percent."""

    at: float
    count: int
    height: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be granted, as the form names it."""

    value: str
    partner: str
    data_set: str
    precision: str
    others: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A grant form as it was filled in, shown again when something in it is wrong."""

    what: str = ""
    kind: str = "agent"
    address: str = ""
    until: str = ""
    wrong: tuple[str, ...] = ()
    detail: str = ""


class Pages:
    """What the citizen's pages are made from."""

    def __init__(self, frame: Frame, console: Console) -> None:
        self._frame = frame
        self._console = console
        self._audit = Audit(console.pods, console.base)

    def home(self, request: Request, who: Visitor) -> Response:
        """What came in, who may read, who read."""
        story = self._audit.story(who.caller, who.pod)
        now = self._console.clock()
        return self._page(
            request,
            who,
            "home.html",
            story=story,
            grants=self._grants(who),
            others=[each for each in story.openings if not _is_grant(each) and each.holds_at(now)],
            links=self._console.database.links_of(who.pod.id),
            partners=self._partners(),
            bars=bars(story.days, now),
            now=now,
            places=places,
        )

    def history(self, request: Request, who: Visitor) -> Response:
        """The log in words."""
        events = self._audit.events(who.caller, who.pod, self._partners())[:EVENTS]
        return self._page(request, who, "history.html", events=events)

    def grants(self, request: Request, who: Visitor, wanted: Wanted | None = None, status: int = 200) -> Response:
        """The grants, and the form for a new one."""
        now = self._console.clock()
        first = datetime.fromtimestamp(now, ZONE).date()
        said = request.query_params.get("said", "")
        return self._page(
            request,
            who,
            "grants.html",
            status,
            grants=self._grants(who),
            choices=self._choices(who.pod),
            partners=self._partners(),
            wanted=wanted or Wanted(until=str(first + timedelta(days=GRANT_DAYS))),
            today=str(first),
            said=said if said in SAID else "",
            now=now,
        )

    async def grant(self, request: Request, who: Visitor) -> Response:
        """Let an app in on the citizen's word, or say what is wrong in the form."""
        fields = await signed_form(request, who)
        what, kind, app, until = (fields.get(name, "").strip() for name in ("what", "kind", "address", "until"))
        wanted = Wanted(what, kind, app, until)
        end = _end_of(wanted.until)
        wrong = self._wrong(who.pod, wanted, end)
        if wrong:
            return self.grants(request, who, _again(wanted, wrong), STATUS["invalid"])
        partner, data_set, precision = wanted.what.split("/")
        through = wanted.kind == "client"
        wish = Wish(who.pod.owner if through else app, partner, data_set, precision, app if through else None, end)
        try:
            await self._console.consent.grant(who.caller, who.pod, wish)
        except PodError as error:
            return self.grants(request, who, _again(wanted, (), error.detail), STATUS[error.kind])
        return go(request, f"{PATH}/grants", said="granted")

    async def revoke(self, request: Request, who: Visitor) -> Response:
        """Take a grant back."""
        fields = await signed_form(request, who)
        await self._console.consent.revoke(who.caller, who.pod, fields.get("grant", ""))
        return go(request, f"{PATH}/grants", said="revoked")

    async def ask(self, request: Request, who: Visitor) -> Response:
        """The question page; a posted question with its answer."""
        query, answer, status = questions.given(request.query_params.get("example", "")), None, 200
        if request.method == "POST":
            query = (await signed_form(request, who)).get("query", "")
            answer = await questions.answered(self._console, who.caller, who.pod, query)
            status = STATUS[answer.problem] if answer.problem else 200
        return self._page(request, who, "query.html", status, query=query, answer=answer, examples=questions.EXAMPLES)

    def document(self, request: Request, who: Visitor) -> Response:
        """A container or a document, to look at."""
        shown = documents.look(self._console.pods, who.caller, who.pod, request.query_params.get("path", "/"))
        return self._page(request, who, "documents.html", shown=shown)

    def _page(self, request: Request, who: Visitor, template: str, status: int = 200, **values: Any) -> Response:
        return self._frame.page(request, template, status, pod=who.pod, csrf=who.csrf, **values)

    def _grants(self, who: Visitor) -> Sequence[Grant]:
        return self._console.consent.grants(who.caller, who.pod)

    def _partners(self) -> dict[str, str]:
        return {partner.id: partner.name for partner in self._console.database.partners()}

    def _choices(self, pod: PodRow) -> list[Choice]:
        """Every precision of what the pod's partners deliver."""
        partners = {partner.id: partner for partner in self._console.database.partners()}
        tied = sorted({link.partner for link in self._console.database.links_of(pod.id)})
        return [choice for partner in tied if partner in partners for choice in _offers(partners[partner])]

    def _wrong(self, pod: PodRow, wanted: Wanted, end: float | None) -> tuple[str, ...]:
        """Which fields of the form are wrong."""
        known = {choice.value for choice in self._choices(pod)}
        found = (
            ("what", wanted.what not in known),
            ("address", not _is_address(wanted.address)),
            ("day", end is None or end <= self._console.clock()),
        )
        return tuple(field for field, is_wrong in found if is_wrong)


def routes(frame: Frame, console: Console) -> APIRouter:
    """The citizen's pages; each asks who is there first."""
    router = APIRouter(include_in_schema=False, route_class=frame.route_class())
    pages = Pages(frame, console)
    router.include_router(session.routes(frame, console))

    @router.get(PATH)
    async def bare(request: Request) -> Response:
        return go(request, f"{PATH}/")

    @router.get(f"{PATH}/")
    async def home(request: Request) -> Response:
        return pages.home(request, visitor(console, request))

    @router.get(f"{PATH}/history")
    async def history(request: Request) -> Response:
        return pages.history(request, visitor(console, request))

    @router.get(f"{PATH}/grants")
    async def grants(request: Request) -> Response:
        return pages.grants(request, visitor(console, request))

    @router.post(f"{PATH}/grants")
    async def grant(request: Request) -> Response:
        return await pages.grant(request, visitor(console, request))

    @router.post(f"{PATH}/grants/revoke")
    async def revoke(request: Request) -> Response:
        return await pages.revoke(request, visitor(console, request))

    @router.api_route(f"{PATH}/query", methods=["GET", "POST"])
    async def query(request: Request) -> Response:
        return await pages.ask(request, visitor(console, request))

    @router.get(f"{PATH}/documents")
    async def document(request: Request) -> Response:
        return pages.document(request, visitor(console, request))

    return router


def bars(days: Sequence[tuple[int, int]], now: float) -> tuple[Bar, ...]:
    """The last days of the chart, those without a read included; empty when there was no read at all."""
    today = int(now // 86400)
    counts = {day: count for day, count in days if day > today - CHART_DAYS}
    most = max(counts.values(), default=0)
    if not most:
        return ()
    recent = range(today - CHART_DAYS + 1, today + 1)
    return tuple(Bar(day * 86400.0, counts.get(day, 0), -(-100 * counts.get(day, 0) // most)) for day in recent)


def places(row: ReadBy) -> list[tuple[str, str, str]]:
    """What a read was of: (partner, data set, precision) of partners' data, or ("", "", path) of anything else."""
    found = []
    for target in row.target.split(", ") if row.act == "query" else [row.target]:
        parts = target.split("/")
        landed = parts[0] == LANDED.strip("/") and len(parts) == 4
        found.append((parts[1], parts[2], parts[3]) if landed else ("", "", target))
    return found


def _offers(partner: Partner) -> list[Choice]:
    return [
        Choice(f"{partner.id}/{row.id}/{precision.name}", partner.id, row.id, precision.name, precision.others)
        for row in DATA_SETS.values()
        if row.holder == partner.holder
        for precision in reversed(row.precisions)
    ]


def _is_grant(opening: Opening) -> bool:
    return opening.path.startswith(LANDED) and opening.name.startswith("g")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    plain = text.isprintable() and not set(text) & set(' <>"{}|^`\\') and len(text) <= 2000
    return plain and parts.scheme in ("http", "https") and bool(parts.netloc)


def _end_of(day: str) -> float | None:
    """The instant at which a day (ISO 8601) is over in Paris; None when it is no day."""
    try:
        after = date.fromisoformat(day) + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
    return datetime.combine(after, time(), ZONE).timestamp()


def _again(wanted: Wanted, wrong: tuple[str, ...], detail: str = "") -> Wanted:
    return Wanted(wanted.what, wanted.kind, wanted.address, wanted.until, wrong, detail)
