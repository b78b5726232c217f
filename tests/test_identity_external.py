"""Tokens of other issuers: believed when the issuer signed them and the WebID names it, and not otherwise."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from identity_actors import ANA, ISSUER, KEYS, STRANGER, URL, Clock, Draft, Host, ath_of, proof, segment, signed
from identity_network import Canary, Map, answer, certificates

from pod_server.errors import Busy, Unauthenticated
from pod_server.identity import Fetch, Issuers, console_client
from pod_server.rdf import Syntax
from pod_server.terms import Caller

ELSEWHERE = "https://id.example/"
BOB = "https://people.example/bob#me"
KEY = KEYS["RS256"]
APP = KEYS["ES256"]
KEYS_AT = f"{ELSEWHERE}jwks"
TYPE = "Content-Type: text/turtle"
PROFILE = f"<#me> <http://www.w3.org/ns/solid/terms#oidcIssuer> <{ELSEWHERE}> .".encode()
NAMED_BY_TEXT = PROFILE.replace(b"<https", b'"https').replace(b"/> .", b'/" .')
DISCOVERY = "/.well-known/openid-configuration"


def jwk(key: Any = KEY, **more: Any) -> dict[str, Any]:
    """A published key."""
    return {**key.as_dict(private=False), "kid": "k1", "alg": "RS256", "use": "sig", **more}


def json(value: object) -> bytes:
    """An HTTP answer of JSON."""
    return answer(orjson.dumps(value), "Content-Type: application/json")


def pages() -> dict[str, Any]:
    """What the other issuer and Bob's pod serve."""
    return {
        DISCOVERY: json({"issuer": ELSEWHERE, "jwks_uri": f"{ELSEWHERE}jwks"}),
        "/jwks": json({"keys": [jwk()]}),
        "/bob": answer(PROFILE, TYPE),
    }


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Certificates for the example names."""
    return certificates(tmp_path_factory.mktemp("tls"))


class World:
    """A host, another issuer and Bob's profile, on a small network with true TLS."""

    def __init__(self, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
        self.tls = tls
        self.canary = Canary(pages())
        self.clock = Clock()
        self.local: dict[str, tuple[bytes, Syntax]] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "k1"}
        self.claims: dict[str, Any] = {
            "iss": ELSEWHERE,
            "aud": ["solid", "https://app.example/id"],
            "azp": "https://app.example/id",
            "webid": BOB,
            "sub": "bob",
            "iat": int(self.clock.now),
            "exp": int(self.clock.now) + 3600,
            "cnf": {"jkt": APP.thumbprint()},
        }
        self.token_key: Any = KEY

    def token(self) -> str:
        return signed(self.header, self.claims, self.token_key)

    def headers(self, token: str) -> tuple[str, str]:
        claims = {"htm": "GET", "htu": URL, "iat": int(self.clock.now), "ath": ath_of(token)}
        return f"DPoP {token}", proof(APP, "ES256", claims)

    def run(self, *steps: Callable[[Host, World], Any]) -> list[Any]:
        """Each step in one loop, on one host; what they return or refuse."""
        return asyncio.run(self._run(steps))

    async def _run(self, steps: Sequence[Callable[[Host, World], Any]]) -> list[Any]:
        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["93.184.216.34"]

        async with self.canary.listening(tls=self.tls[0]):
            fetch = Fetch(resolve=resolve, network=Map(self.canary.port), tls=self.tls[1], deadline=1.0)
            others = Issuers(fetch, ISSUER, self.local.get, clock=self.clock)
            host = Host(self.clock, others=others)
            return [await step(host, self) for step in steps]


async def ask(host: Host, world: World) -> Caller | Unauthenticated:
    """One request with a fresh proof."""
    try:
        return await host.proofs.caller("GET", URL, *world.headers(world.token()))
    except Unauthenticated as refusal:
        return refusal


@pytest.fixture
def world(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> World:
    """A world in which all is well."""
    return World(tls)


def test_believed_when_all_is_well(world: World) -> None:
    """Bob is who his issuer says, through the app it names; three documents are read, and once only."""
    first, second = world.run(ask, ask)
    assert first == second == Caller(BOB, "https://app.example/id", ELSEWHERE)
    assert [head.split(" ")[1] for head in world.canary.requests] == [DISCOVERY, "/jwks", "/bob"]


def test_spelling_of_the_final_slash_is_forgiven(world: World) -> None:
    """Issuer, discovery and profile may differ by a final slash, as deployed ones do."""
    world.claims["iss"] = ELSEWHERE.rstrip("/")
    assert world.run(ask)[0] == Caller(BOB, "https://app.example/id", ELSEWHERE.rstrip("/"))


def test_key_without_kid_is_found_when_it_is_the_only_one(world: World) -> None:
    """A token without a kid is verified with the only key there is."""
    del world.header["kid"]
    assert world.run(ask)[0].agent == BOB
    world.canary.pages["/jwks"] = json({"keys": [jwk(), jwk(kid="k2")]})
    assert isinstance(world.run(ask)[0], Unauthenticated)


def test_partner_claim_of_another_issuer_means_nothing(world: World) -> None:
    """Only this host names partners."""
    world.claims["partner"] = "enercoop"
    assert world.run(ask)[0] == Caller(BOB, "https://app.example/id", ELSEWHERE)


def page(path: str, content: bytes) -> Callable[[World], None]:
    """Serve something else at a path."""
    return lambda world: world.canary.pages.__setitem__(path, content)


def claim(**changes: Any) -> Callable[[World], None]:
    """Change claims of the token."""
    return lambda world: world.claims.update(changes)


async def silent(writer: asyncio.StreamWriter) -> None:
    """Accept and say nothing until the other side leaves."""
    await asyncio.sleep(1.2)


NOT_THERE = answer(b"", status="404 Not Found")
REFUSED: list[tuple[str, str, Callable[[World], Any]]] = [
    ("WebID names another issuer", "webid", page("/bob", answer(PROFILE.replace(b"id.", b"other."), TYPE))),
    ("WebID names none", "webid", page("/bob", answer(b"", TYPE))),
    ("another subject names it", "webid", page("/bob", answer(PROFILE.replace(b"#me", b"#you"), TYPE))),
    ("the issuer is a text", "webid", page("/bob", answer(NAMED_BY_TEXT, TYPE))),
    ("profile is not RDF", "webid", page("/bob", answer(b"<html>", "Content-Type: text/html"))),
    ("profile does not parse", "webid", page("/bob", answer(b"<#me> <", TYPE))),
    ("profile is too large to parse here", "webid", page("/bob", answer(PROFILE + b" " * 70_000, TYPE))),
    ("profile is not there", "unreadable", page("/bob", NOT_THERE)),
    ("profile is silent", "unreadable", lambda world: world.canary.pages.__setitem__("/bob", silent)),
    ("WebID on loopback", "unreadable", claim(webid="https://127.0.0.1/bob#me")),
    ("WebID with a broken host", "unreadable", claim(webid="https://[::1/bob#me")),
    ("WebID by http", "unreadable", claim(webid="http://people.example/bob#me")),
    ("WebID no URL", "unreadable", claim(webid="mailto:bob@people.example")),
    ("WebID missing", "webid", lambda world: world.claims.pop("webid")),
    ("WebID on this host, not there", "webid", claim(webid="https://pods.example/nobody#me")),
    ("WebID below this host", "webid", claim(webid="https://nobody.pods.example/#me")),
    ("no discovery", "unreadable", page(DISCOVERY, NOT_THERE)),
    ("discovery no JSON", "iss", page(DISCOVERY, answer(b"{"))),
    ("discovery a list", "iss", page(DISCOVERY, json([]))),
    ("discovery of another", "iss", page(DISCOVERY, json({"issuer": "https://x.example", "jwks_uri": KEYS_AT}))),
    ("discovery without an issuer", "iss", page(DISCOVERY, json({"jwks_uri": KEYS_AT}))),
    ("discovery without keys", "iss", page(DISCOVERY, json({"issuer": ELSEWHERE}))),
    ("keys on loopback", "unreadable", page(DISCOVERY, json({"issuer": ELSEWHERE, "jwks_uri": "https://127.0.0.1/"}))),
    ("keys on this host", "webid", page(DISCOVERY, json({"issuer": ELSEWHERE, "jwks_uri": ISSUER + "jwks"}))),
    ("keys not a list", "iss", page("/jwks", json({"keys": {}}))),
    ("keys that are texts", "key", page("/jwks", json({"keys": ["k1"]}))),
    ("a thousand keys", "iss", page("/jwks", json({"keys": [{"kty": "EC"}] * 1000}))),
    ("no key of that kid", "key", page("/jwks", json({"keys": [jwk(kid="k9")]}))),
    ("key for encryption", "key", page("/jwks", json({"keys": [jwk(use="enc")]}))),
    ("key of another algorithm", "key", page("/jwks", json({"keys": [jwk(alg="PS256")]}))),
    ("key that does not parse", "key", page("/jwks", json({"keys": [jwk(n="AA")]}))),
    ("symmetric key published", "key", page("/jwks", json({"keys": [{"kty": "oct", "k": "AA", "kid": "k1"}]}))),
    ("token HS256", "key", lambda world: world.header.update(alg="HS256")),
    ("token of another key", "signature", page("/jwks", json({"keys": [jwk(n=segment(b"\xff" * 256))]}))),
    ("audience without solid", "aud", claim(aud=["https://app.example/id"])),
    ("expired", "exp", claim(exp=1)),
    ("not bound", "cnf", claim(cnf=None)),
    ("bound to another key", "jkt", claim(cnf={"jkt": STRANGER.thumbprint()})),
    ("issuer with a query", "iss", claim(iss="https://id.example/?x=")),
    ("issuer is this host otherwise spelt", "iss", claim(iss="https://PODS.example/")),
    ("issuer below this host", "iss", claim(iss="https://ana.pods.example/")),
    ("issuer missing", "iss", lambda world: world.claims.pop("iss")),
    ("issuer on loopback", "unreadable", claim(iss="https://127.0.0.1/")),
    ("issuer by http", "unreadable", claim(iss="http://id.example/")),
    ("this host's console", "azp", claim(azp=console_client(ISSUER))),
    ("client a list", "azp", claim(azp=["https://app.example/id"])),
]  # fmt: skip


@pytest.mark.parametrize(("name", "check", "spoil"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_for_its_reason(world: World, name: str, check: str, spoil: Callable[[World], Any]) -> None:
    """Each thing that can be wrong is refused for itself; the world unspoilt believes (the test above)."""
    spoil(world)
    refusal = world.run(ask)[0]
    assert isinstance(refusal, Unauthenticated)
    assert refusal.fields["check"] == check, refusal.detail


@pytest.mark.parametrize("issuer", ["https://id.example/?x=", "https://id.example/#x", "https://PODS.example/"])
def test_nothing_is_asked_of_what_is_no_issuer(world: World, issuer: str) -> None:
    """A URL that can be no issuer, or that is this host's own, is refused before any request."""
    world.claims["iss"] = issuer
    assert isinstance(world.run(ask)[0], Unauthenticated)
    assert world.canary.connections == 0


def test_profile_on_this_host_is_read_and_never_fetched(world: World) -> None:
    """Ana logs in with another issuer: her profile here must name it, and no request is made to this host."""
    world.claims["webid"] = ANA
    document = ANA.partition("#")[0]
    world.local[document] = (PROFILE, Syntax.TURTLE)

    async def forget(host: Host, world: World) -> None:
        world.local[document] = (b"", Syntax.TURTLE)
        world.claims["jti"] = "2"

    believed, _, refused = world.run(ask, forget, ask)
    assert believed == Caller(ANA, "https://app.example/id", ELSEWHERE)
    assert isinstance(refused, Unauthenticated)
    assert all("/ana/" not in head for head in world.canary.requests)


def test_withdrawn_issuer_is_noticed_after_five_minutes(world: World) -> None:
    """A WebID that stops naming the issuer ends a token that still holds."""

    async def later(host: Host, world: World) -> None:
        world.canary.pages["/bob"] = answer(b"", TYPE)
        world.clock.now += 301

    before, _, after = world.run(ask, later, ask)
    assert before.agent == BOB
    assert isinstance(after, Unauthenticated)


def test_new_key_of_the_issuer_is_found(world: World) -> None:
    """A kid that is not known yet makes the keys be read again, though not more often than every half minute."""

    async def rotate(host: Host, world: World) -> None:
        world.canary.pages["/jwks"] = json({"keys": [jwk(kid="k2")]})
        world.header["kid"] = "k2"

    async def wait(host: Host, world: World) -> None:
        world.clock.now += 31

    before, _, early, _, late = world.run(ask, rotate, ask, wait, ask)
    assert before.agent == BOB
    assert isinstance(early, Unauthenticated)
    assert late.agent == BOB
    assert sum("/jwks" in head for head in world.canary.requests) == 2


def test_failure_is_remembered_for_half_a_minute(world: World) -> None:
    """A broken issuer costs one attempt, and is tried again later."""
    world.canary.pages[DISCOVERY] = NOT_THERE

    async def mend(host: Host, world: World) -> None:
        world.canary.pages.update(pages())

    async def wait(host: Host, world: World) -> None:
        world.clock.now += 31

    first, _, second, _, third = world.run(ask, mend, ask, wait, ask)
    assert isinstance(first, Unauthenticated)
    assert isinstance(second, Unauthenticated)
    assert second is not first
    assert third.agent == BOB


def test_many_at_once_read_once(world: World) -> None:
    """Ten first requests at the same moment make one reading of each document; one that leaves harms no other."""

    async def crowd(host: Host, world: World) -> list[Any]:
        tasks = [asyncio.create_task(ask(host, world)) for _ in range(10)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    left, *others = world.run(crowd)[0]
    assert isinstance(left, asyncio.CancelledError)
    assert {caller.agent for caller in others} == {BOB}
    assert len(world.canary.requests) == 3


def test_memory_is_bounded(world: World) -> None:
    """A thousand WebIDs leave at most the limit in memory."""

    async def flood(host: Host, world: World) -> int:
        memory = host.others._profiles
        memory._limit = 5
        for number in range(20):
            world.claims["webid"] = f"https://people.example/bob#{number}"
            assert isinstance(await ask(host, world), Unauthenticated)
        return len(memory._entries)

    assert world.run(flood) == [5]


def test_busy_way_out_is_no_verdict(world: World) -> None:
    """When too much is being fetched the caller is told to come back, and nothing is remembered against the issuer."""

    async def crowded(host: Host, world: World) -> None:
        fetch = host.others._fetch
        free, fetch._free = fetch._free, 0
        with pytest.raises(Busy):
            await ask(host, world)
        fetch._free = free

    _, after = world.run(crowded, ask)
    assert after.agent == BOB


def test_slow_issuer_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is read for one token has one deadline."""
    monkeypatch.setattr("pod_server.identity.external.DEADLINE", 0.1)
    world.canary.pages["/bob"] = silent
    refusal = world.run(ask)[0]
    assert refusal.fields["check"] == "slow"


def test_own_tokens_are_still_taken(world: World) -> None:
    """Beside others' tokens the host's own need nothing from the network."""

    async def own(host: Host, world: World) -> Caller:
        return await host.proofs.caller("GET", URL, *Draft().headers())

    assert world.run(own)[0].agent == ANA
    assert world.canary.connections == 0
