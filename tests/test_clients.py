"""The clients that we ship, against a real host in a child process; a foreign host is played by a transport."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pod_clients import (
    AsyncPod,
    AsyncSession,
    ClientError,
    Credentials,
    HostError,
    Iri,
    Item,
    Partner,
    Pod,
    ReceiptError,
    Session,
    Split,
    Verdict,
    partner_cli,
    query_cli,
)
from pod_clients.items import BYTES_A_REQUEST, ITEMS_A_REQUEST, Heading, batches, cut, item_of, items_of, read_items
from pod_clients.proofs import SignIn
from pod_clients.query_cli import form_of
from pod_clients.rows import Blank, value_of
from solid import TestHost, running

from pod_server.landing import sandbox

CITIZEN = sandbox.citizens(1, 7)[0]
DAYS = [date(2024, 3, number) for number in range(1, 6)]
XSD = "http://www.w3.org/2001/XMLSchema#"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHost]:
    """A host of this module's own: partners and links are made in it."""
    with running(tmp_path_factory.mktemp("clients"), "dora,emil") as found:
        yield found


@pytest.fixture(scope="module")
def grid(house: TestHost) -> dict[str, Any]:
    """A partner's credentials as the operator's command prints them."""
    return house.operate("partners", id="grid", name="Grid", holder="grid operator")


@pytest.fixture
def link(house: TestHost, grid: dict[str, Any]) -> str:
    """A fresh link into a fresh pod, so that no test's deliveries are another's."""
    name = f"citizen-{secrets.token_hex(4)}"
    house.operate("pods", name=name, title=name)
    return house.link("grid", name)


@pytest.fixture
def partner(house: TestHost, grid: dict[str, Any]) -> Iterator[Partner]:
    """The partner, signed in."""
    with Session(Credentials.of(grid)) as session:
        yield Partner(session, house.base)


def owner(house: TestHost, name: str) -> Credentials:
    """The credentials of a pod's owner."""
    user = house.users[name]
    return Credentials(house.base, user["clientId"], user["clientSecret"])


def curves(link: str, version: str = "1", days: Sequence[date] = tuple(DAYS)) -> list[Item]:
    """Some days of load curves."""
    made = [sandbox.load_curve(CITIZEN, of) for of in days]
    return [Item(link, each.data_set, each.period, version, each.payload) for each in made]


class Changed(httpx.BaseTransport):
    """The real network, with what the host answers to deliveries changed on the way by one function a request."""

    def __init__(self, *changes: Callable[[bytes], bytes]) -> None:
        self._inner = httpx.HTTPTransport()
        self._changes = list(changes)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Forward; a change that gives fewer bytes than came ends in a cut connection."""
        response = self._inner.handle_request(request)
        if request.url.path != "/.host/deliveries" or not self._changes:
            return response
        whole = response.read()
        return httpx.Response(response.status_code, stream=_Cut(whole, self._changes.pop(0)(whole)))

    def close(self) -> None:
        """Let go."""
        self._inner.close()


class _Cut(httpx.SyncByteStream):
    def __init__(self, whole: bytes, sent: bytes) -> None:
        self._sent, self._broken = sent, len(sent) < len(whole)

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self._sent), 100):
            yield self._sent[at : at + 100]
        if self._broken:
            raise httpx.ReadError("cut")


# Sessions


def test_session_signs_in(house: TestHost) -> None:
    """An owner's session reads the pod, again with the same token; the public does not."""
    with Session(owner(house, "dora")) as session, Session() as public:
        for _ in range(2):
            assert session.request("GET", house.pod("dora")).status_code == 200
        assert session.claims()["webid"] == house.webid("dora")
        with pytest.raises(HostError) as refused:
            public.request("GET", house.pod("dora"))
    assert (refused.value.status, refused.value.kind) == (401, "unauthenticated")
    assert refused.value.request
    assert refused.value.detail


def test_async_session_signs_in(house: TestHost) -> None:
    """The async session is the same."""

    async def ask() -> int:
        async with AsyncSession(owner(house, "dora")) as session:
            with pytest.raises(HostError):
                await session.request("GET", house.pod("dora") + "nothing-here")
            return (await session.request("GET", house.pod("dora"))).status_code

    assert asyncio.run(ask()) == 200


def test_wrong_secret(house: TestHost) -> None:
    """A wrong secret is the issuer's refusal, and no message holds it."""
    wrong = replace(owner(house, "dora"), client_secret="not the secret")
    with Session(wrong) as session, pytest.raises(HostError) as refused:
        session.request("GET", house.pod("dora"))
    assert (refused.value.status, refused.value.title) == (401, "invalid_client")
    assert "not the secret" not in f"{refused.value} {wrong!r}"


@pytest.mark.parametrize("ahead", [-7200.0, -90.0, 0.0, 90.0, 7200.0])
def test_wrong_clock(house: TestHost, ahead: float) -> None:
    """A client whose clock is wrong follows the host's after its first refusal."""
    with Session(owner(house, "dora"), clock=lambda: time.time() + ahead) as session:
        assert session.request("GET", house.pod("dora")).status_code == 200


class Foreign:
    """Another issuer and host, as a function: counts tokens, asks for nonces, is busy as told."""

    def __init__(self, busy: int = 0, life: int = 300, nonce: str = "", issuer: str = "https://idp.test/") -> None:
        self.busy, self.life, self.nonce, self.issuer = busy, life, nonce, issuer
        self.tokens = 0
        self.authorizations: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/openid-configuration":
            return httpx.Response(200, json={"issuer": self.issuer, "token_endpoint": "https://idp.test/token"})
        if self.nonce and claims_of(request).get("nonce") != self.nonce:
            return httpx.Response(401, headers={"DPoP-Nonce": self.nonce}, json={"error": "use_dpop_nonce"})
        if request.url.path == "/token":
            self.tokens += 1
            self.authorizations.append(request.headers["authorization"])
            token = {"access_token": f"t{self.tokens}", "token_type": "DPoP", "expires_in": self.life}
            return httpx.Response(200, json=token)
        if self.busy:
            self.busy -= 1
            return httpx.Response(503, headers={"Retry-After": "7"})
        return httpx.Response(200, json={"token": request.headers.get("authorization")})


def claims_of(request: httpx.Request) -> dict[str, Any]:
    """The claims of a request's proof."""
    payload = request.headers["dpop"].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def test_busy_host_is_asked_again() -> None:
    """503 is waited out as Retry-After says, and only so often."""
    slept: list[float] = []
    with Session(sleep=slept.append, transport=httpx.MockTransport(Foreign(busy=2))) as session:
        assert session.request("GET", "https://pod.test/").status_code == 200
    assert slept == [7.0, 7.0]
    transport = httpx.MockTransport(Foreign(busy=99))
    with Session(sleep=slept.append, transport=transport) as session, pytest.raises(HostError) as refused:
        session.request("GET", "https://pod.test/")
    assert refused.value.status == 503


def test_token_is_renewed_before_its_end() -> None:
    """A token is used until shortly before it ends."""
    now = [1000.0]
    foreign = Foreign(life=300)
    credentials = Credentials("https://idp.test", "an id/with: signs", "s&=é")
    with Session(credentials, clock=lambda: now[0], transport=httpx.MockTransport(foreign)) as session:
        seen = []
        for now[0] in (1000.0, 1200.0, 1280.0):
            seen.append(session.request("GET", "https://pod.test/").json()["token"])
    assert seen == ["DPoP t1", "DPoP t1", "DPoP t2"]
    assert httpx.BasicAuth("an+id%2Fwith%3A+signs", "s%26%3D%C3%A9")._auth_header == foreign.authorizations[0]


def test_nonce_is_taken_up() -> None:
    """An issuer or host that asks for a nonce gets it (RFC 9449, section 8)."""
    foreign = Foreign(nonce="n1")
    with Session(Credentials("https://idp.test", "a", "b"), transport=httpx.MockTransport(foreign)) as session:
        assert session.request("GET", "https://idp.test/thing").status_code == 200


def test_issuer_must_be_itself() -> None:
    """An issuer's document that names another issuer is not believed; no secret is sent."""
    foreign = Foreign(issuer="https://evil.test/")
    session = Session(Credentials("https://idp.test", "a", "b"), transport=httpx.MockTransport(foreign))
    with session, pytest.raises(HostError, match="another issuer"):
        session.request("GET", "https://pod.test/")
    assert foreign.tokens == 0


def test_proof_is_for_the_address_without_its_query() -> None:
    """A proof's htu has no query, and each proof an id of its own (RFC 9449, section 4.2)."""
    sign_in, seen = SignIn("https://idp.test/", "a", "b", time.time), []
    transport = httpx.MockTransport(lambda request: (seen.append(request), Foreign()(request))[1])
    with httpx.Client(auth=sign_in, transport=transport) as client:
        client.get("https://pod.test/a%20b?x=1#y")
        client.get("https://pod.test/a%20b?x=1")
    first, second = (claims_of(request) for request in seen if request.url.host == "pod.test")
    assert first["htu"] == second["htu"] == "https://pod.test/a%20b"
    assert first["jti"] != second["jti"]


CREDENTIALS = [
    ({"issuer": "https://i/", "clientId": "a", "clientSecret": "b"}, ""),
    ({"idp": "https://i/", "client_id": "a", "client_secret": "b", "more": 1}, ""),
    ({"issuer": "https://i/", "clientId": "a"}, "clientSecret"),
    ({"clientId": 3}, "issuer and clientId"),
]


@pytest.mark.parametrize(("document", "lacks"), CREDENTIALS)
def test_credentials(document: dict[str, Any], lacks: str, tmp_path: Path) -> None:
    """Credentials are read in both spellings, and what they lack is named."""
    file = tmp_path / "c.json"
    file.write_text(json.dumps(document))
    if lacks:
        with pytest.raises(ClientError, match=lacks):
            Credentials.load(file, {}, "X")
    else:
        assert Credentials.load(file, {}, "X") == Credentials("https://i/", "a", "b")


def test_credentials_from_the_environment() -> None:
    """Without a file the environment counts, and nothing is nobody."""
    known = {"X_ISSUER": "https://i/", "X_CLIENT_ID": "a", "X_CLIENT_SECRET": "b"}
    assert Credentials.load(None, known, "X") == Credentials("https://i/", "a", "b")
    assert Credentials.load(None, {}, "X") is None


# Items


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["1.10", "1e2", '"é"', "[1, {}]"])), min_size=1),
    st.sampled_from(["", " ", "\n  "]),
)
def test_cut_keeps_what_was_written(records: list[tuple[int, str]], space: str) -> None:
    """Cutting a file loses nothing, keeps each record's own characters, and groups by the field."""
    written = [f'{{"at":{space}"2024-03-0{day}T10:00",{space}"v":{value}}}' for day, value in records]
    whole = f"{space}[{space}{f'{space},{space}'.join(written)}{space}]{space}".encode()
    parts = cut(whole, Split("at", 10))
    assert parts is not None
    assert [period for period, _ in parts] == list(dict.fromkeys(f"2024-03-0{day}" for day, _ in records))
    for period, part in parts:
        expected = [line for line, (day, _) in zip(written, records, strict=True) if period.endswith(str(day))]
        assert part.decode() == f"[{','.join(expected)}]"


@pytest.mark.parametrize(
    "payload",
    [b"", b"[]", b"{}", b"[1]", b'[{"at":"2024"}]', b'[{"at":3}]', b'[{"at":"2024-03-01"}', b"[" * 100_000, b"\xff",
     b'[{"at":"2024-03-01"}] x', b'[{"at":"2024-03-01"},]'],
)  # fmt: skip
def test_uncuttable_goes_whole(payload: bytes) -> None:
    """What cannot be cut is not mended and not dropped: it goes as one item, and the host says what is wrong."""
    assert cut(payload, Split("at", 10)) is None
    found = list(items_of(payload, Heading("l", "d"), Split("at", 10), name="2024-03"))
    assert [(item.period, item.payload) for item in found] == [("2024-03", payload)]


@settings(max_examples=30)
@given(st.lists(st.sampled_from([0, 10, 30_000, 1_500_000]), max_size=450))
def test_batches(sizes: list[int]) -> None:
    """Requests keep the order and their limits; only a single item may be larger."""
    items = [Item("l", "d", str(number), "1", b"x" * min(size, 1_500_000)) for number, size in enumerate(sizes[:60])]
    items += [Item("l", "d", str(number), "1", b"") for number in range(60, len(sizes))]
    made = list(batches(items))
    assert [item for batch in made for item in batch] == items
    for batch in made:
        assert len(batch) <= ITEMS_A_REQUEST
        assert len(batch) == 1 or sum(len(item.line()) for item in batch) <= BYTES_A_REQUEST


def test_items_of_a_folder(tmp_path: Path) -> None:
    """A folder's files are items by their names; ready lines speak for themselves; the rest comes from the heading."""
    (tmp_path / "2024-03-02.json").write_bytes(b"[2]")
    (tmp_path / "2024-03-01.json").write_bytes(b"[1]")
    (tmp_path / ".hidden").write_bytes(b"x")
    (tmp_path / "z.ndjson").write_bytes(
        b'{"link":"other","data_set":"bill","period":"p","version":"3","text":"x","media_type":"text/csv"}\n\n'
        b'{"period":"q","base64":"/w=="}\n'
    )
    found = list(read_items(tmp_path, Heading("l", "d", version="9")))
    assert found == [
        Item("l", "d", "2024-03-01", "9", b"[1]"),
        Item("l", "d", "2024-03-02", "9", b"[2]"),
        Item("other", "bill", "p", "3", b"x", "text/csv"),
        Item("l", "d", "q", "9", b"\xff"),
    ]


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"text":1}', b'{"base64":"?"}', b'{"text":"x","link":"l"}'])
def test_bad_ready_lines(line: bytes, tmp_path: Path) -> None:
    """A line that is no item is named by its file and number."""
    (tmp_path / "a.ndjson").write_bytes(b'{"link":"l","data_set":"d","period":"p","version":"1","text":""}\n' + line)
    with pytest.raises(ClientError, match="line 2"):
        list(read_items(tmp_path / "a.ndjson", Heading("", "")))


@given(st.binary(max_size=40))
def test_dead_letters_are_items_again(payload: bytes) -> None:
    """A dead letter, mended or not, is a ready item."""
    item = Item("l", "d", "p", "1", payload, "text/csv")
    letter = Verdict(item, "quarantined", "no", "non", ({"code": "x"},)).dead_letter()
    lines = io.BytesIO(letter).readlines()
    assert len(lines) == 1
    assert item_of(lines[0], Heading("", ""), "here") == item


# Partners


def test_status(house: TestHost, partner: Partner, grid: dict[str, Any]) -> None:
    """The host proves who the partner is."""
    found = partner.status()
    assert (found.partner, found.client, found.ready) == ("grid", grid["clientId"], True)
    assert "load-curve" in found.data_sets


def test_owner_is_no_partner(house: TestHost) -> None:
    """A citizen's own credentials deliver nothing."""
    with Session(owner(house, "dora")) as session, pytest.raises(HostError) as refused:
        Partner(session, house.base).status()
    assert refused.value.kind == "forbidden"


def test_deliver_again_and_correct(partner: Partner, link: str) -> None:
    """New items land, the same change nothing, a new version rectifies; every answer has its receipt."""
    seen: list[str] = []
    first = partner.deliver(curves(link), progress=lambda verdict: seen.append(verdict.outcome))
    assert (first.counts, seen) == ({"landed": 5}, ["landed"] * 5)
    assert [receipt["outcomes"] for receipt in first.receipts] == [{"landed": 5}]
    assert partner.deliver(curves(link)).counts == {"unchanged": 5}
    assert partner.deliver(curves(link, "2")).counts == {"rectified": 5}


def test_split_file_lands_by_day(partner: Partner, link: str) -> None:
    """A month of points in one file is cut by the catalogue's rule."""
    points = [point for of in DAYS for point in json.loads(sandbox.geolocation(CITIZEN, of).payload)]
    heading = Heading(link, "geolocation")
    items = list(items_of(json.dumps(points).encode(), heading, partner.split_of("geolocation")))
    assert [item.period for item in items] == [of.isoformat() for of in DAYS]
    assert partner.deliver(items).counts == {"landed": 5}


def test_faults_become_dead_letters(partner: Partner, link: str, tmp_path: Path) -> None:
    """What is refused comes back with its reason, beside what lands; mended, it lands."""
    bad = [each.delivered for each in sandbox.planted_faults()]
    items = [Item(link, each.data_set, each.period, "1", each.payload) for each in bad]
    letters = tmp_path / "dead.ndjson"
    with letters.open("wb") as sink:
        report = partner.deliver([*curves(link), *items], dead_letters=sink)
    assert report.counts == {"landed": 5, "quarantined": len(bad)}
    codes = [{fault["code"] for fault in verdict.faults} for verdict in report.refused]
    assert all(planted.code in found for planted, found in zip(sandbox.planted_faults(), codes, strict=True))
    assert all(verdict.french for verdict in report.refused)
    again = list(read_items(letters, Heading("", "")))
    assert again == items
    good = sandbox.claim(CITIZEN, "2015-07")
    mended = [replace(again[1], payload=good.payload, period=good.period, version="2")]
    assert partner.deliver(mended).counts == {"landed": 1}


def test_check_writes_nothing(house: TestHost, partner: Partner, link: str) -> None:
    """A rehearsal says what a delivery would, needs no link, and the delivery after it is the first."""
    fault = sandbox.planted_faults()[0].delivered
    items = [*curves("nobody"), Item("nobody", fault.data_set, fault.period, "1", fault.payload)]
    report = partner.check(items)
    assert report.counts == {"would-land": 5, "quarantined": 1}
    assert report.receipts == []
    assert partner.deliver(items[:5]).counts == {"unknown-link": 5}
    assert partner.deliver(curves(link)).counts == {"landed": 5}


def test_a_line_that_is_not_read_spares_the_others(partner: Partner, link: str) -> None:
    """An item that the host would not even read gets a verdict here, and all others land."""
    items = curves(link)
    unreadable = replace(items[2], period="x" * 300)
    huge = replace(items[3], payload=b"x" * (9 * 1024 * 1024))
    report = partner.deliver([*items[:2], unreadable, huge, *items[3:]])
    assert report.counts == {"landed": 4, "refused": 2}
    assert {verdict.item.period for verdict in report.refused} == {unreadable.period, huge.period}


@pytest.mark.parametrize("kept", [0.0, 0.2, 0.5, 0.9])
def test_resumes_after_a_cut(house: TestHost, grid: dict[str, Any], link: str, kept: float) -> None:
    """A connection cut at any point costs no item; what has a verdict is not sent again."""
    sent = Changed(lambda whole: whole[: int(len(whole) * kept)], lambda whole: whole[:-30])
    slept: list[float] = []
    with Session(Credentials.of(grid), transport=sent, sleep=slept.append) as session:
        report = Partner(session, house.base).deliver(curves(link))
    assert report.items == 5
    assert set(report.counts) <= {"landed", "unchanged"}
    assert slept or report.unsigned


def test_gives_up_when_nothing_comes(house: TestHost, grid: dict[str, Any], link: str) -> None:
    """A host that never answers ends in an error, after some attempts."""
    sent = Changed(*[lambda _: b""] * 20)
    session = Session(Credentials.of(grid), transport=sent, sleep=lambda _: None)
    with session, pytest.raises(httpx.TransportError):
        Partner(session, house.base).deliver(curves(link))


@pytest.mark.parametrize(
    ("old", "new"), [(b'"item":0', b'"item":7'), (b'"items":', b'"items":1'), (b"Ed255", b"Ed255")]
)
def test_receipts_are_held_against_the_answer(
    house: TestHost, grid: dict[str, Any], link: str, old: bytes, new: bytes
) -> None:
    """A changed verdict or statement does not pass; the same answer unchanged does."""
    with Session(Credentials.of(grid), transport=Changed(lambda whole: whole.replace(old, new))) as session:
        partner = Partner(session, house.base)
        if old == new:
            assert len(partner.deliver(curves(link)).receipts) == 1
        else:
            with pytest.raises(ReceiptError):
                partner.deliver(curves(link))


# Pods


@pytest.fixture(scope="module")
def written(house: TestHost) -> str:
    """A document with values of all kinds, in a pod that the public may partly read."""
    body = """@prefix e: <urn:e:> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
    <#a> e:v 1, 2.50, true, "é"@fr, "2024-03-01"^^xsd:date, "2024-03-01T10:00:00+01:00"^^xsd:dateTimeStamp, <urn:x> ."""
    house.agent("emil").put(house.pod("emil") + "notes/values.ttl", body)
    house.agent("emil").put(house.pod("emil") + "open/said.ttl", "<#it> <urn:e:v> 7 .")
    return house.pod("emil") + "notes/values.ttl"


def test_pod_answers_with_python_values(house: TestHost, written: str) -> None:
    """Solutions come as Python values, over all that the asker may read."""
    with Session(owner(house, "emil")) as session:
        pod = Pod(house.pod("emil"), session)
        rows = pod.sparql(f"SELECT ?v ?none {{ <{written}#a> <urn:e:v> ?v }}")
        assert pod.ask(f"ASK {{ <{written}#a> ?p true }}")
        assert not pod.ask("ASK { <urn:nobody> ?p ?o }")
        made = pod.construct("CONSTRUCT { ?s <urn:e:is> ?v } WHERE { ?s <urn:e:v> ?v . FILTER(isIRI(?v)) }")
    assert rows.variables == ["v", "none"]
    at = datetime.fromisoformat("2024-03-01T10:00:00+01:00")
    expected = {1, Decimal("2.50"), "é", date(2024, 3, 1), at, Iri("urn:x")}
    assert {row["v"] for row in rows} == expected
    assert {type(row["v"]) for row in rows} == {int, Decimal, bool, str, date, datetime, Iri}
    assert [str(each.object) for each in made] == ["<urn:x>"]


def test_union_is_asked_for(house: TestHost, written: str) -> None:
    """Without the union the default graph is empty, and documents are named."""
    with Session(owner(house, "emil")) as session:
        pod = Pod(house.pod("emil"), session)
        assert pod.sparql("SELECT ?v { ?s <urn:e:v> ?v }", union=False) == []
        assert pod.sparql(f"SELECT ?v FROM <{written}> {{ ?s <urn:e:v> ?v }}", union=False) != []


def test_public_sees_only_what_is_open(house: TestHost, written: str) -> None:
    """The public finds the endpoint although the root is refused, and sees what is open alone."""
    with Pod(house.pod("emil").rstrip("/")) as pod:
        assert pod.sparql("SELECT ?v { ?s <urn:e:v> ?v }") == [{"v": 7}]


def test_async_pod(house: TestHost, written: str) -> None:
    """The async pod is the same."""

    async def ask() -> tuple[Any, bool, int]:
        async with AsyncSession(owner(house, "emil")) as session:
            pod = AsyncPod(house.pod("emil"), session)
            rows = await pod.sparql("SELECT ?v { <urn:none> ?p ?v }")
            found = await pod.ask(f"ASK {{ <{written}#a> ?p 1 }}")
            return rows, found, len(await pod.construct("CONSTRUCT WHERE { ?s <urn:e:v> 7 }"))

    assert asyncio.run(ask()) == ([], True, 1)


def test_bad_query_names_its_place(house: TestHost) -> None:
    """A query that does not parse is refused with line and column."""
    with Pod(house.pod("emil")) as pod, pytest.raises(HostError) as refused:
        pod.sparql("SELECT ?v {\n ?s ?p }")
    assert refused.value.kind == "malformed"
    assert refused.value.fields["line"] == 2


def discovering(links: dict[str, str], status: int = 200, described: str = "") -> str:
    """The endpoint that is found at a foreign pod: links by method, the root's status, its description."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/desc":
            return httpx.Response(200, text=described)
        return httpx.Response(status, headers={"Link": links.get(request.method, "")})

    with Session(transport=httpx.MockTransport(answer)) as session:
        return Pod("https://pod.test/a/", session).endpoint()


REL = "http://www.w3.org/ns/solid/sparql#endpoint"
DESC = '</desc>; rel="http://www.w3.org/ns/solid/terms#storageDescription"'
SAID = f"<https://pod.test/a/> <{REL}> <https://else.test/q> ."


@pytest.mark.parametrize(
    ("links", "status", "described", "found"),
    [
        ({"HEAD": f'<q>; rel="{REL}"'}, 200, "", "https://pod.test/a/q"),
        ({"HEAD": f'<x>; rel="type", </q>; rel="other {REL}"'}, 200, "", "https://pod.test/q"),
        ({"HEAD": f'</q>; rel="{REL}"'}, 403, "", "https://pod.test/q"),
        ({"OPTIONS": f'</q>; rel="{REL}"'}, 401, "", "https://pod.test/q"),
        ({"HEAD": DESC}, 200, SAID, "https://else.test/q"),
        ({"OPTIONS": DESC}, 403, SAID, "https://else.test/q"),
    ],
)
def test_discovery(links: dict[str, str], status: int, described: str, found: str) -> None:
    """The endpoint is found by link or by description, also where the root itself is refused."""
    assert discovering(links, status, described) == found


@pytest.mark.parametrize(
    ("links", "status", "described"),
    [({}, 200, ""), ({}, 404, ""), ({}, 500, ""), ({"HEAD": DESC}, 200, SAID.replace("/a/", "/b/"))],
)
def test_discovery_of_nothing(links: dict[str, str], status: int, described: str) -> None:
    """A pod that tells of no endpoint, or only of another storage's, has none; no URL is guessed."""
    with pytest.raises(ClientError):
        discovering(links, status, described)


VALUES = [
    ({"type": "uri", "value": "urn:x"}, Iri("urn:x")),
    ({"type": "bnode", "value": "b0"}, Blank("b0")),
    ({"type": "literal", "value": "x"}, "x"),
    ({"type": "literal", "value": "1", "datatype": XSD + "unsignedByte"}, 1),
    ({"type": "literal", "value": "-1.50", "datatype": XSD + "decimal"}, Decimal("-1.50")),
    ({"type": "literal", "value": "1E3", "datatype": XSD + "double"}, 1000.0),
    ({"type": "literal", "value": "0", "datatype": XSD + "boolean"}, False),
    (
        {"type": "literal", "value": "2024-03-01T00:00:00Z", "datatype": XSD + "dateTime"},
        datetime(2024, 3, 1, tzinfo=UTC),
    ),
    ({"type": "literal", "value": "2024-03", "datatype": XSD + "gYearMonth"}, "2024-03"),
    ({"type": "literal", "value": "31 September", "datatype": XSD + "date"}, "31 September"),
    ({"type": "literal", "value": "ten", "datatype": XSD + "integer"}, "ten"),
    ({"type": "literal", "value": "x", "datatype": XSD + "decimal"}, "x"),
    ({"type": "literal", "value": "perhaps", "datatype": XSD + "boolean"}, "perhaps"),
]


@pytest.mark.parametrize(("term", "value"), VALUES)
def test_values(term: dict[str, str], value: object) -> None:
    """A literal is the Python value of its datatype; one that does not fit stays a text."""
    found = value_of(term)
    assert found == value
    assert type(found) is type(value)


# Command lines


def called(main: Callable[[Sequence[str]], None], *arguments: object) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code if isinstance(ended.value.code, int) else 0


@pytest.fixture
def known(grid: dict[str, Any], tmp_path: Path) -> Path:
    """The file that the operator's command printed."""
    file = tmp_path / "grid-credentials.json"
    file.write_text(json.dumps(grid))
    return file


def test_partner_command_line(
    known: Path, link: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check, deliver and status, with the exit codes that scripts rely on."""
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "curves"
    folder.mkdir()
    for item in curves(link):
        (folder / f"{item.period}.json").write_bytes(item.payload)
    sets = ("--data-set", "load-curve", "--credentials", known)
    assert called(partner_cli.main, "check", folder, *sets) == 0
    assert "5 would-land" in capsys.readouterr().out
    assert called(partner_cli.main, "deliver", folder, *sets, "--link", link) == 0
    assert "5 landed" in capsys.readouterr().out
    (folder / "2024-03-06.json").write_bytes(b'{"no": "curve"}')
    letters = tmp_path / "dead.ndjson"
    assert called(partner_cli.main, "deliver", folder, *sets, "--link", link, "--dead-letters", letters) == 2
    said = capsys.readouterr().out
    assert "1 quarantined, 5 unchanged" in said
    assert "2024-03-06" in said
    assert letters.stat().st_mode & 0o077 == 0
    assert called(partner_cli.main, "deliver", letters, "--credentials", known) == 2
    assert called(partner_cli.main, "status", "--credentials", known) == 0
    assert re.search(r"you are partner +grid\n", re.sub(r" +\n", "\n", capsys.readouterr().out))


def test_partner_command_line_fails_in_one_sentence(
    known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing known, no such file, no such data set, no host: exit code 1 and one sentence."""
    for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"POD_PARTNER_{name}", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    somewhere = ("--credentials", known, "--host", "http://127.0.0.1:9/")
    for arguments, sentence in (
        (("status",), "Give --credentials"),
        (("status", *somewhere), "does not answer"),
        (("check", tmp_path / "none.json", "--data-set", "bill", "--credentials", known), "There is no file"),
        (("check", known, "--data-set", "milk", "--credentials", known), "no data set milk"),
    ):
        assert called(partner_cli.main, *arguments) == 1
        assert sentence in capsys.readouterr().err


def test_query_command_line(house: TestHost, written: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A query's answer as table, CSV and JSON; ASK and CONSTRUCT; from a file."""
    mine = owner(house, "emil")
    known = tmp_path / "emil.json"
    known.write_text(json.dumps({"idp": mine.issuer, "clientId": mine.client_id, "clientSecret": mine.client_secret}))
    select = f"SELECT ?v {{ <{written}#a> <urn:e:v> ?v FILTER(isNumeric(?v)) }} ORDER BY ?v"
    common = ("--pod", house.pod("emil"), "--credentials", known)
    assert called(query_cli.main, *common, select) == 0
    assert "2 rows." in capsys.readouterr().out
    called(query_cli.main, *common, select, "--format", "csv")
    assert capsys.readouterr().out.replace("2.50", "2.5") == "v\n1\n2.5\n"
    file = tmp_path / "query.rq"
    file.write_text("# why\nPREFIX e: <urn:e:>\nselect ?v { ?s e:v 7 ; e:v ?v }")
    called(query_cli.main, *common, "--file", file, "--format", "json")
    assert json.loads(capsys.readouterr().out) == [{"v": 7}]
    called(query_cli.main, *common, "ASK { ?s <urn:e:v> 7 }")
    assert capsys.readouterr().out == "true\n"
    called(query_cli.main, "--pod", house.pod("emil"), "CONSTRUCT WHERE { ?s <urn:e:v> 7 }")
    assert "<urn:e:v>" in capsys.readouterr().out
    assert called(query_cli.main, *common) == 1
    assert called(query_cli.main, *common, "SELECT") == 1


def test_nothing_from_a_pod_moves_the_terminal(house: TestHost, capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of data are shown as such, and markup is text."""
    body = '<#a> <urn:e:title> "\\u001B[2Jgone [bold]b[/bold] \\u202Eturned" .'
    house.agent("emil").put(house.pod("emil") + "open/evil.ttl", body)
    called(query_cli.main, "--pod", house.pod("emil"), "SELECT ?t { ?s <urn:e:title> ?t }")
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "[bold]" in said


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("SELECT * {}", "SELECT"),
        ("  # ASK\nprefix a: <urn:ASK> base <x>\n PREFIX : <> ask{}", "ASK"),
        ("DESCRIBE <x>", "DESCRIBE"),
        ("", ""),
        ("{}", ""),
    ],
)
def test_form_of(query: str, form: str) -> None:
    """The form of a query is its first word after the prologue."""
    assert form_of(query) == form
