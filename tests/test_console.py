"""The citizen's console: signing in, grants, questions, documents, and content that means harm."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path as FilePath
from typing import Any

import pytest
from console_actors import Browser, Living, check_page, csrf_of, example, living, peopled

from pod_server.consent.grants import Wish
from pod_server.errors import Forbidden
from pod_server.landing.catalogue import DATA_SETS
from pod_server.landing.items import Item
from pod_server.pod import Target, Upload
from pod_server.store.contract import Reading
from pod_server.terms import PUBLIC, Caller, Path
from pod_server.web.console import citizen, questions, words
from pod_server.web.console.examples import EXAMPLES
from pod_server.web.console.frame import when

CONSOLE = "/.host/console"
OWN_PAGES = ("/", "/grants", "/query", "/documents", "/history")
PROBE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
APP = "https://app.example/id#it"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """One host for the tests that leave nothing behind: ana's pod with all data sets, ben's without any."""
    with peopled(tmp_path_factory.mktemp("console")) as found:
        yield found


@pytest.fixture
def ana(house: Living) -> Browser:
    """Ana, signed in."""
    return house.signed_in("ana")


# signing in


def test_the_one_time_link_works_once(house: Living) -> None:
    """Opening the link burns nothing; its button signs in once, and a second use is told plainly."""
    url = house.host.operator.sign_in("ana")["url"]
    token = url.partition("token=")[2]
    first, second = house.browser(), house.browser()
    for _ in range(2):
        assert first.get(url).status_code == 200
    entered = first.post(f"{CONSOLE}/enter", token=token)
    assert (entered.status_code, entered.headers["location"]) == (303, f"{CONSOLE}/")
    assert first.get(f"{CONSOLE}/").status_code == 200
    again = second.post(f"{CONSOLE}/enter", token=token)
    assert (again.status_code, "set-cookie" in again.headers) == (410, False)
    assert second.get(f"{CONSOLE}/").status_code == 401


@pytest.mark.parametrize(("ahead", "works"), [(0.0, True), (14 * 60.0, True), (15 * 60.0 + 1, False)])
def test_the_one_time_link_expires(house: Living, ahead: float, works: bool) -> None:
    """Fifteen minutes, and not longer."""
    token = house.host.operator.sign_in("ana")["url"].partition("token=")[2]
    house.clock.ahead = ahead
    try:
        assert (house.browser().post(f"{CONSOLE}/enter", token=token).status_code == 303) is works
    finally:
        house.clock.ahead = 0.0


def test_the_one_time_link_is_used_on_the_host_s_own_machine(house: Living) -> None:
    """From another address the link is refused, and stays good for its owner."""
    token = house.host.operator.sign_in("ana")["url"].partition("token=")[2]
    stranger = house.browser("203.0.113.9")
    assert stranger.get(f"{CONSOLE}/enter?token={token}").status_code == 403
    assert stranger.post(f"{CONSOLE}/enter", token=token).status_code == 403
    assert house.browser().post(f"{CONSOLE}/enter", token=token).status_code == 303


def test_another_site_cannot_send_a_form(house: Living) -> None:
    """A browser that says that another site sent the form is refused; the same form from our page is taken."""
    token = house.host.operator.sign_in("ana")["url"].partition("token=")[2]
    crossed = house.browser(**{"Sec-Fetch-Site": "cross-site"})
    assert crossed.post(f"{CONSOLE}/enter", token=token).status_code == 403
    assert house.browser(**{"Sec-Fetch-Site": "same-origin"}).post(f"{CONSOLE}/enter", token=token).status_code == 303


@pytest.mark.parametrize(("url", "secure"), [("", False), ("https://pods.example/", True)])
def test_the_cookie_stays_in_the_console(tmp_path: FilePath, url: str, secure: bool) -> None:
    """HttpOnly, SameSite=Strict, for the console's path and eight hours alone; Secure where the host is."""
    with living(tmp_path, url) as found:
        found.host.operator.add_pod("ana", "Ana")
        token = found.host.operator.sign_in("ana")["url"].partition("token=")[2]
        cookie = found.browser().post(f"{CONSOLE}/enter", token=token).headers["set-cookie"].lower()
    told = {part.strip() for part in cookie.split(";")[1:]}
    assert told - {"secure"} == {"httponly", "max-age=28800", "path=/.host/console", "samesite=strict"}
    assert ("secure" in told) is secure


@pytest.mark.parametrize("path", OWN_PAGES)
@pytest.mark.parametrize("cookie", [None, "forged"])
def test_the_console_needs_a_session(house: Living, path: str, cookie: str | None) -> None:
    """Without a session every page says how to sign in, with 401, and shows nothing of a pod."""
    headers = {"Cookie": f"pod_console={cookie}"} if cookie else {}
    answer = house.browser(**headers).get(CONSOLE + path)
    assert answer.status_code == 401
    assert "pod-server sign-in NAME" in answer.text
    assert "www-authenticate" in answer.headers
    assert "landed" not in answer.text


def test_a_session_ends_after_eight_hours(house: Living) -> None:
    """The host forgets it, whatever the browser does with its cookie."""
    browser = house.signed_in("ana")
    house.clock.ahead = 8 * 3600.0 - 60
    try:
        assert browser.get(f"{CONSOLE}/").status_code == 200
        house.clock.ahead = 8 * 3600.0 + 60
        assert browser.get(f"{CONSOLE}/").status_code == 401
    finally:
        house.clock.ahead = 0.0


def test_signing_out_voids_the_session(house: Living) -> None:
    """The cookie is void at the host, not only dropped by the browser."""
    browser = house.signed_in("ana")
    cookie = browser.http.cookies["pod_console"]
    left = browser.send(f"{CONSOLE}/", f"{CONSOLE}/leave")
    assert (left.status_code, left.headers["location"]) == (303, "/")
    assert house.browser(Cookie=f"pod_console={cookie}").get(f"{CONSOLE}/").status_code == 401


@pytest.mark.parametrize("route", ["grants", "grants/revoke", "query", "leave"])
@pytest.mark.parametrize("csrf", [None, "", "wrong", "another's"])
def test_every_form_needs_the_session_s_word(house: Living, ana: Browser, route: str, csrf: str | None) -> None:
    """Without the word, with a wrong one, or with another session's nothing is done."""
    if csrf == "another's":
        csrf = csrf_of(house.signed_in("ben").get(f"{CONSOLE}/"))
    fields = {"what": "grid-operator/load-curve/month", "kind": "agent", "address": APP, "until": "2090-01-01"}
    answer = ana.post(f"{CONSOLE}/{route}", **fields, **({} if csrf is None else {"csrf": csrf}))
    assert answer.status_code == 403
    assert _grants(house, "ana") == []
    assert ana.get(f"{CONSOLE}/").status_code == 200


def test_a_session_opens_one_pod_alone(house: Living) -> None:
    """Ben's session shows ben's pod, whatever path is asked for, and no pod resource over HTTP."""
    ben = house.signed_in("ben")
    assert "Documents" in ben.get(f"{CONSOLE}/documents?path=/landed/", Accept_Language="en").text
    assert ben.get(f"{CONSOLE}/documents?path=/landed/grid-operator/").status_code == 404
    assert ben.get(f"{CONSOLE}/documents?path=/../ana/landed/").status_code in (400, 404)
    for path in ("/ben/", "/ben/landed/", "/ana/landed/"):
        cookie = ben.http.cookies["pod_console"]
        assert house.browser(Cookie=f"pod_console={cookie}").get(path).status_code == 401


# grants


def _grants(house: Living, pod: str) -> list[Any]:
    row = house.pod(pod)
    return list(house.host.consent.grants(house.host.consent.citizen(row), row))


def _may_read(house: Living, caller: Caller, path: str) -> bool:
    try:
        house.host.pods.read(caller, Target(house.pod("ana"), Path(path)))
    except Forbidden:
        return False
    return True


@pytest.mark.parametrize("kind", ["agent", "client"])
def test_the_form_grants_and_the_button_takes_back(house: Living, ana: Browser, kind: str) -> None:
    """A grant opens one precision at once, to the app or to the citizen through it; its revocation closes it."""
    owner = house.pod("ana").owner
    app = Caller(APP) if kind == "agent" else Caller(owner, APP, house.base)
    month, half_hour = (f"/landed/grid-operator/load-curve/{name}/" for name in ("month", "half-hour"))
    assert not _may_read(house, app, month)
    fields = {"what": "grid-operator/load-curve/month", "kind": kind, "address": APP, "until": "2090-06-30"}
    made = ana.send(f"{CONSOLE}/grants", f"{CONSOLE}/grants", **fields)
    assert (made.status_code, made.headers["location"]) == (303, f"{CONSOLE}/grants?said=granted")
    [grant] = _grants(house, "ana")
    assert (grant.agent, grant.client) == ((APP, None) if kind == "agent" else (owner, APP))
    assert when("en", grant.until) == "1 July 2090, 00:00"
    assert _may_read(house, app, month)
    assert not _may_read(house, app, half_hour)
    page = ana.get(f"{CONSOLE}/grants?said=granted", Accept_Language="en")
    assert "monthly totals" in page.text
    assert "until 30 June 2090" in page.text
    check_page(page.text)
    assert APP in ana.get(f"{CONSOLE}/").text
    taken = ana.send(f"{CONSOLE}/grants", f"{CONSOLE}/grants/revoke", grant=grant.id)
    assert taken.status_code == 303
    assert _grants(house, "ana") == []
    assert not _may_read(house, app, month)


WRONG_FORMS = {
    "an unknown precision": ({"what": "grid-operator/load-curve/second"}, "wrong-what"),
    "no precision": ({"what": ""}, "wrong-what"),
    "another path": ({"what": "../../notes"}, "wrong-what"),
    "no address": ({"address": ""}, "wrong-address"),
    "a word for an address": ({"address": "begreen"}, "wrong-address"),
    "a script for an address": ({"address": "javascript:alert(1)"}, "wrong-address"),
    "an address with a space": ({"address": "https://a.example/ x"}, "wrong-address"),
    "an address that ends its IRI": ({"address": "https://a.example/> a <b"}, "wrong-address"),
    "an address that is no address": ({"address": "https://[::1"}, "wrong-address"),
    "no day": ({"until": ""}, "wrong-day"),
    "a day that is past": ({"until": "2020-01-01"}, "wrong-day"),
    "a day that does not exist": ({"until": "2090-02-30"}, "wrong-day"),
    "the last day of all": ({"until": "9999-12-31"}, "wrong-day"),
}


@pytest.mark.parametrize("case", WRONG_FORMS)
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_wrong_form_comes_back_with_what_is_wrong(house: Living, ana: Browser, case: str, language: str) -> None:
    """Nothing is granted; the page names the field in the reader's language and keeps what was typed."""
    change, key = WRONG_FORMS[case]
    good = {"what": "grid-operator/load-curve/month", "kind": "agent", "address": APP, "until": "2090-06-30"}
    answer = ana.send(f"{CONSOLE}/grants", f"{CONSOLE}/grants?lang={language}", **{**good, **change})
    assert answer.status_code == 422
    assert words.say(language, key) in unescape(answer.text)
    check_page(answer.text)
    assert _grants(house, "ana") == []


def test_the_console_itself_cannot_be_granted(house: Living, ana: Browser) -> None:
    """What consent refuses is shown in the form; its sentence is kept."""
    fields = {"what": "grid-operator/load-curve/month", "kind": "client", "until": "2090-06-30"}
    answer = ana.send(f"{CONSOLE}/grants", f"{CONSOLE}/grants", address=f"{house.base}.host/console", **fields)
    assert (answer.status_code, "The console needs no grant." in answer.text) == (422, True)


def test_revoking_what_is_not_there_is_told(ana: Browser) -> None:
    """An unknown grant, or a rule that is none, is a 404 page."""
    for name in ("gnone", "owner", ""):
        answer = ana.send(f"{CONSOLE}/grants", f"{CONSOLE}/grants/revoke", grant=name)
        assert answer.status_code == 404
        check_page(answer.text)


def test_a_pod_without_partners_has_nothing_to_grant(house: Living) -> None:
    """The page says so instead of an empty form."""
    page = house.signed_in("ben").get(f"{CONSOLE}/grants", Accept_Language="en")
    assert words.say("en", "grant-nothing") in page.text
    assert "<select" not in page.text


def test_a_grant_that_has_ended_is_shown_as_ended(house: Living, ana: Browser) -> None:
    """It stays in the list, marked, until it is taken back."""
    row = house.pod("ana")
    citizen_ = house.host.consent.citizen(row)
    wish = Wish(APP, "insurer", "insurance-claim", "claim", until=house.clock() + 60)
    grant = house.run(house.host.consent.grant(citizen_, row, wish))
    house.clock.ahead = 120.0
    try:
        assert words.say("en", "grant-expired") in ana.get(f"{CONSOLE}/grants", Accept_Language="en").text
    finally:
        house.clock.ahead = 0.0
        house.run(house.host.consent.revoke(citizen_, row, grant.id))


# questions and documents


@pytest.mark.parametrize("example_", EXAMPLES, ids=[each.id for each in EXAMPLES])
def test_every_example_answers_over_its_data_set(ana: Browser, example_: Any) -> None:
    """The example fills the form, and sent as it is gives rows."""
    page = ana.get(f"{CONSOLE}/query?example={example_.id}")
    assert example_.query in unescape(page.text)
    answer = ana.post(f"{CONSOLE}/query", csrf=csrf_of(page), query=example_.query)
    assert answer.status_code == 200
    check_page(answer.text)
    assert answer.text.count("<tr>") > 1


def test_every_data_set_has_an_example() -> None:
    """Nobody begins with an empty page."""
    assert {each.data_set for each in EXAMPLES} >= set(DATA_SETS)


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ("ASK { ?s ?p ?o }", 200, "Yes."),
        ("ASK { <urn:none> ?p ?o }", 200, "No."),
        ("SELECT ?s { ?s <urn:none> ?o }", 200, "There is no such thing in your space."),
        ("CONSTRUCT { ?s a ?t } WHERE { ?s a ?t } LIMIT 1", 200, "<pre"),
        ("SELECT * { GRAPH ?g { ?s ?p ?o } } LIMIT 3", 200, "3 rows"),
        ("SELECT (1 AS ?one) FROM <urn:none> { }", 200, "1 row"),
        ("SELECT * { ?s ?p ", 400, "/.host/problems/malformed"),
        ("INSERT DATA { <a:b> <a:b> <a:b> }", 400, "/.host/problems/malformed"),
        ("SELECT * { SERVICE <http://127.0.0.1/> { ?s ?p ?o } }", 400, "/.host/problems/malformed"),
        ("\ud800 SELECT", 400, "/.host/problems/malformed"),
        ("", 400, "/.host/problems/malformed"),
    ],
)
def test_questions_are_answered_or_refused_in_words(ana: Browser, query: str, status: int, expected: str) -> None:
    """Tables, yes and no, graphs; what does not parse is told on the page and the question is kept."""
    typed = query.encode("utf-8", "replace").decode()
    answer = ana.send(f"{CONSOLE}/query", f"{CONSOLE}/query?lang=en", query=typed)
    assert (answer.status_code, expected in answer.text) == (status, True), answer.text
    check_page(answer.text)


def test_a_long_answer_is_cut(ana: Browser) -> None:
    """A page shows a bounded number of rows and says so; an answer too large for a page is not shown at all."""
    many = "SELECT ?a ?b { ?a ?p ?x . ?b ?q ?y } LIMIT 1000"
    answer = ana.send(f"{CONSOLE}/query", f"{CONSOLE}/query?lang=en", query=many)
    assert answer.text.count("<tr>") == questions.SHOWN + 1
    assert "Only the first 200 are shown." in answer.text
    huge = "SELECT ?a ?b ?c { ?a ?p ?x . ?b ?q ?y . ?c ?r ?z } LIMIT 20000"
    assert (
        words.say("en", "query-too-long") in ana.send(f"{CONSOLE}/query", f"{CONSOLE}/query?lang=en", query=huge).text
    )


def test_asking_oneself_is_no_read_by_others(house: Living) -> None:
    """Neither the citizen's own questions nor what they look at is in the log of reads; anybody else's read is."""
    ben, pod, none = house.signed_in("ben"), house.pod("ben"), words.say("en", "who-read-none")
    asked = ben.send(f"{CONSOLE}/query", f"{CONSOLE}/query?lang=en", query="ASK { ?s ?p ?o }")
    assert "Yes." in asked.text
    ben.get(f"{CONSOLE}/documents?path=/landed/")
    house.run(asyncio.sleep(0.4))
    assert none in ben.get(f"{CONSOLE}/?lang=en").text
    house.host.pods.read(PUBLIC, Target(pod, Path("/profile/card")))
    house.run(asyncio.sleep(0.4))
    assert none not in ben.get(f"{CONSOLE}/?lang=en").text


def test_documents_are_walked_from_the_root(ana: Browser) -> None:
    """Following the links from the root reaches a landed document, whose source is shown as it is kept."""
    path = f"{CONSOLE}/documents"
    for step in ("landed/", "grid-operator/", "load-curve/", "month/", "2024.ttl"):
        page = ana.get(path)
        check_page(page.text)
        found = re.search(rf'<a href="([^"]+)">{re.escape(step)}</a>', page.text)
        assert found, (step, page.text)
        path = unescape(found.group(1))
    shown = ana.get(path)
    assert "energy:MonthlyTotals" in shown.text
    check_page(shown.text)
    rules = re.search(r'href="([^"]+%2F\.acl)"', shown.text)
    assert rules
    assert "Authorization" in ana.get(unescape(rules.group(1))).text


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/a%00b", 400), ("/a//b", 400), ("/..", 400), ("/x%2Fy", 400), ("", 200)]
)
def test_paths_that_are_none_are_refused(ana: Browser, path: str, status: int) -> None:
    """A path is one of the pod's or a page that says what is wrong."""
    answer = ana.get(f"{CONSOLE}/documents?path=" + path.replace("%", "%25"))
    assert answer.status_code == status
    check_page(answer.text)


# hostile content


@pytest.fixture(scope="module")
def haunted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """A host whose every text that others choose is a probe."""
    with living(tmp_path_factory.mktemp("haunted")) as found:
        found.host.operator.add_pod("ana", PROBE)
        partner = found.partner("grid", PROBE, "grid operator")
        link = partner.link("ana")
        good = example(link, "load-curve", "grid-v5", "2024-03-12")
        bad = good.payload.replace(b"2024-03-12 00:30:00", PROBE.replace('"', "'").encode())
        items = (good, Item(link, "load-curve", PROBE, PROBE, "application/json", bad))
        assert partner.deliver(*items) == ["landed", "quarantined"]
        pod = found.pod("ana")
        owner = Caller(pod.owner, APP, found.base)
        turtle = f"<urn:x> <urn:p> {_literal(PROBE)} .".encode()
        names = ("/notes/%3Cscript%3E.ttl", "/notes/plain.ttl")
        for name in names:
            found.run(found.host.pods.put(owner, Target(pod, Path(name)), Upload.of("text/turtle", turtle)))
        html = Upload.of("text/html", PROBE.encode())
        found.run(found.host.pods.put(owner, Target(pod, Path("/notes/page.html")), html))
        found.run(found.host.pods.put(owner, Target(pod, Path("/notes/a.bin")), Upload.of("x/y", b"\0")))
        for agent, client in ((PROBE, None), (pod.owner, PROBE), (PROBE, PROBE)):
            found.host.store.note(pod.id, Reading(found.clock(), agent, client, "query", PROBE, 3))
            found.host.store.note(pod.id, Reading(found.clock(), agent, client, "read", "/" + PROBE))
        found.run(_settled(found))
        yield found


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


async def _settled(found: Living) -> None:
    """A commit, with which the noted reads become durable."""
    pod = found.pod("ana")
    await found.host.pods.put(
        Caller(pod.owner, APP, found.base), Target(pod, Path("/notes/last.ttl")), Upload.of("text/turtle", b"")
    )


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize(
    ("path", "shows"),
    [
        ("/", True),
        ("/grants", True),
        ("/history", True),
        ("/documents?path=/notes/", False),
        ("/documents?path=/notes/plain.ttl", True),
        ("/documents?path=/notes/%253Cscript%253E.ttl", True),
        ("/documents?path=/notes/page.html", True),
        ("/documents?path=/notes/a.bin", False),
        ("/documents?path=/%3Cscript%3Ealert('x')%3C/script%3E", False),
        ("/query?example=%3Cscript%3Ealert('x')%3C/script%3E", False),
        ("/grants?said=%3Cscript%3Ealert('x')%3C/script%3E", False),
    ],
)
def test_hostile_content_is_shown_as_text(haunted: Living, path: str, shows: bool, language: str) -> None:
    """Names, periods, readers, documents and fields that hold markup come out as text and open nothing."""
    answer = haunted.signed_in("ana").get(CONSOLE + path, Accept_Language=language)
    assert answer.status_code in (200, 404)
    check_page(answer.text)
    assert "<script" not in answer.text
    assert "<img src=x" not in answer.text
    assert ("alert(" in answer.text and "&lt;script&gt;" in answer.text) or not shows


def test_hostile_answers_and_forms_are_shown_as_text(haunted: Living) -> None:
    """What a query gives, what a form sent, and what an error repeats are text too."""
    ana = haunted.signed_in("ana")
    sent = [
        ana.send(f"{CONSOLE}/query", f"{CONSOLE}/query", query="SELECT ?o { <urn:x> <urn:p> ?o }"),
        ana.send(f"{CONSOLE}/query", f"{CONSOLE}/query", query="CONSTRUCT WHERE { <urn:x> <urn:p> ?o }"),
        ana.send(f"{CONSOLE}/query", f"{CONSOLE}/query", query=f"</textarea>{PROBE}"),
        ana.send(f"{CONSOLE}/grants", f"{CONSOLE}/grants", what=PROBE, kind=PROBE, address=PROBE, until=PROBE),
        haunted.browser().get(f"{CONSOLE}/enter?token=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"),
    ]
    for answer in sent:
        check_page(answer.text)
        assert "<script" not in answer.text
        assert "&lt;script&gt;" in answer.text


def test_readers_and_refusals_are_told_on_the_first_page(haunted: Living) -> None:
    """The page tells who read and what was refused, in the language asked for (the positive side of the probes)."""
    page = unescape(haunted.signed_in("ana").get(f"{CONSOLE}/", Accept_Language="fr").text)
    assert "a posé une question, 3 lignes données" in page
    assert f"Vous, par {PROBE}" in page
    assert "1 élément refusé" in page
    assert page.count("<rect") == citizen.CHART_DAYS


# the front


def test_what_nobody_foresaw_is_a_problem_with_an_id(tmp_path: FilePath, caplog: pytest.LogCaptureFixture) -> None:
    """A fault of the host itself is answered in the one shape of refusals, and logged under the same id."""
    with living(tmp_path) as found:
        found.host.operator.add_pod("ana", "Ana")
        browser = found.signed_in("ana")
        assert browser.get(f"{CONSOLE}/").status_code == 200
        found.host.database.close()
        with caplog.at_level(logging.ERROR, "pod_server.requests"):
            answer = browser.get(f"{CONSOLE}/")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert (told["type"], told["request"]) == (
            f"{found.base}.host/problems/internal",
            answer.headers["x-request-id"],
        )
        assert told["request"] in [record.__dict__.get("request") for record in caplog.records]


def test_reads_that_could_not_be_logged_are_told(house: Living, ana: Browser) -> None:
    """A counted row of lost reads is a sentence of its own, never an anonymous reader."""
    ben = house.signed_in("ben")
    house.host.store.note(house.pod("ben").id, Reading(house.clock(), None, None, "lost", "", count=3))
    house.run(asyncio.sleep(0.6))
    assert "3 reads could not be logged" in ben.get("/.host/console/?lang=en").text
    assert "3 lectures" in ben.get("/.host/console/?lang=fr").text
    assert "could not be logged" not in ana.get("/.host/console/?lang=en").text
