"""The provider: discovery, keys, tokens for clients by HTTP Basic and DPoP, registration."""

from __future__ import annotations

import asyncio
import base64
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_actors import ANA, HOST_KEY, ISSUER, KEYS, START, URL, Clock, Host, ath_of, client, proof, segment
from joserfc import jwt
from joserfc.jwk import KeySet

from pod_server.errors import Busy, Conflict, Corrupt
from pod_server.identity import (
    Client,
    OAuthError,
    SigningKey,
    console_client,
    hash_secret,
    new_key,
    new_secret,
)
from pod_server.identity.clients import secret_matches
from pod_server.terms import Caller

TOKEN_URL = f"{ISSUER}.host/oidc/token"
GRANT = {"grant_type": "client_credentials"}
KEY = KEYS["ES256"]


def basic(client_id: str = "app", secret: str = "s3cret") -> str:
    """HTTP Basic with URL-encoded id and secret."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def token_proof(**changes: Any) -> str:
    """A proof for the token endpoint."""
    return proof(KEY, "ES256", {"htm": "POST", "htu": TOKEN_URL, "iat": int(START) + 100, **changes})


def granted(host: Host, authorization: str | None = None, form: dict[str, str] | None = None) -> Any:
    """The provider's answer to a good request, or to a changed one."""
    return host.provider.token(form or GRANT, authorization or basic(), token_proof(), TOKEN_URL)


def test_discovery_says_what_is_there() -> None:
    """The issuer is spelt as configured, and only what exists is promised."""
    for issuer in (ISSUER, ISSUER.rstrip("/")):
        said = Host(issuer=issuer).provider.configuration()
        assert said["issuer"] == issuer
        assert said["jwks_uri"] == "https://pods.example/.well-known/jwks.json"
        assert said["token_endpoint"] == "https://pods.example/.host/oidc/token"
        assert said["registration_endpoint"] == "https://pods.example/.host/oidc/register"
        assert said["grant_types_supported"] == ["client_credentials"]
        assert "webid" in said["scopes_supported"]
        assert "ES256" in said["dpop_signing_alg_values_supported"]
        assert "authorization_endpoint" not in said
        assert not {"none", "HS256"} & set(said["dpop_signing_alg_values_supported"])


def test_keys_are_public_and_named_by_thumbprint() -> None:
    """The key set verifies what the host signs, and holds no private part."""
    host = Host(clients=(client(),))
    (published,) = host.provider.jwks()["keys"]
    assert published["kid"] == host.key.kid == host.key.public.jkt
    assert "d" not in published
    token = granted(host)["access_token"]
    assert jwt.decode(token, KeySet.import_key_set(host.provider.jwks()), algorithms=["ES256"]).claims["webid"] == ANA


def test_token_says_what_it_must_and_proves_its_caller() -> None:
    """A granted token carries the claims of Solid-OIDC, bound to the proof's key, and opens the door."""
    host = Host(clients=(client(),))
    answer = granted(host)
    assert (answer["token_type"], answer["expires_in"]) == ("DPoP", 600)
    token = answer["access_token"]
    header, claims = (orjson.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": host.key.kid}
    assert claims == {
        "iss": ISSUER, "aud": "solid", "sub": ANA, "webid": ANA, "client_id": "app", "azp": "app", "jti": "id-0",
        "iat": int(START) + 100, "exp": int(START) + 700, "cnf": {"jkt": KEY.thumbprint()},
    }  # fmt: skip
    use = proof(KEY, "ES256", {"htm": "GET", "htu": URL, "iat": int(START) + 100, "ath": ath_of(token)})
    assert asyncio.run(host.proofs.caller("GET", URL, f"DPoP {token}", use)) == Caller(ANA, "app", ISSUER)


def test_partner_token_names_the_partner() -> None:
    """A partner signs in as itself and is nobody's agent."""
    host = Host(clients=(client("p", webid=None, partner="enercoop"),))
    token = granted(host, basic("p"))["access_token"]
    assert orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))["sub"] == "p"
    use = proof(KEY, "ES256", {"htm": "GET", "htu": URL, "iat": int(START) + 100, "ath": ath_of(token)})
    found = asyncio.run(host.proofs.caller("GET", URL, f"DPoP {token}", use))
    assert found == Caller(client="p", issuer=ISSUER, partner="enercoop")


@pytest.mark.parametrize(
    ("client_id", "secret"), [("a:b", "c:d"), ("https://x.example/?a=1&b", "p%20 +/="), ("é", "ключ"), ("a b", "+")]
)
def test_credentials_are_form_decoded(client_id: str, secret: str) -> None:
    """RFC 6749, section 2.3.1: colons, spaces and accents survive."""
    host = Host(clients=(client(client_id, secret),))
    assert "access_token" in granted(host, basic(client_id, secret))


SPOILT: list[tuple[str, str, int, dict[str, Any]]] = [
    ("no credentials", "invalid_client", 401, {"authorization": None}),
    ("bearer", "invalid_client", 401, {"authorization": "Bearer x"}),
    ("good pair under another scheme", "invalid_client", 401, {"authorization": basic().replace("Basic", "Bearer")}),
    ("garbage", "invalid_client", 401, {"authorization": "Basic %%%"}),
    ("not text", "invalid_client", 401, {"authorization": "Basic " + base64.b64encode(b"\xff:\xff").decode()}),
    ("no colon", "invalid_client", 401, {"authorization": "Basic " + base64.b64encode(b"app").decode()}),
    ("huge", "invalid_client", 401, {"authorization": basic("huge", "s" * 4000)}),
    ("unknown client", "invalid_client", 401, {"authorization": basic("nobody")}),
    ("wrong secret", "invalid_client", 401, {"authorization": basic("app", "S3cret")}),
    ("empty secret", "invalid_client", 401, {"authorization": basic("app", "")}),
    ("public client", "invalid_client", 401, {"authorization": basic("public")}),
    ("public client, empty secret", "invalid_client", 401, {"authorization": basic("public", "")}),
    ("console", "invalid_client", 401, {"authorization": basic(console_client(ISSUER))}),
    ("neither agent nor partner", "unauthorized_client", 400, {"authorization": basic("idle")}),
    ("no grant", "invalid_request", 400, {"form": {}}),
    ("code", "unsupported_grant_type", 400, {"form": {"grant_type": "authorization_code"}}),
    ("password", "unsupported_grant_type", 400, {"form": {"grant_type": "password"}}),
    ("no proof", "invalid_dpop_proof", 400, {"dpop": None}),
    ("proof for GET", "invalid_dpop_proof", 400, {"dpop": token_proof(htm="GET")}),
    ("proof for another URL", "invalid_dpop_proof", 400, {"dpop": token_proof(htu=ISSUER)}),
    ("old proof", "invalid_dpop_proof", 400, {"dpop": token_proof(iat=START)}),
    ("unsigned proof", "invalid_dpop_proof", 400, {"dpop": token_proof()[:-86] + segment(b"0" * 64)}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "error", "status", "change"), SPOILT, ids=[row[0] for row in SPOILT])
def test_refused_in_oauths_shape(name: str, error: str, status: int, change: dict[str, Any]) -> None:
    """Each wrong request is refused with OAuth's own code; the same request unspoilt is granted."""
    host = Host(
        clients=(
            client(),
            client("public", secret_hash=None),
            client("idle", webid=None),
            client("huge", "s" * 4000),
            client(console_client(ISSUER)),
        )
    )
    request = {"form": GRANT, "authorization": basic(), "dpop": token_proof(), "url": TOKEN_URL}
    refusal = host.provider.token(**{**request, **change})
    assert isinstance(refusal, OAuthError)
    assert (refusal.error, refusal.status) == (error, status)
    assert refusal.document()["error"] == error
    assert refusal.document()["error_description"]
    assert "access_token" in host.provider.token(**{**request, "dpop": token_proof()})


def test_proof_is_used_up_at_both_doors() -> None:
    """A proof spent at the token endpoint is spent everywhere, and only once there."""
    host = Host(clients=(client(),))
    once = token_proof()
    assert "access_token" in host.provider.token(GRANT, basic(), once, TOKEN_URL)
    assert host.provider.token(GRANT, basic(), once, TOKEN_URL).error == "invalid_dpop_proof"  # type: ignore[union-attr]


def test_strangers_do_not_fill_the_memory() -> None:
    """Proofs of clients that are not let in leave nothing behind; a full memory is Busy, not a refusal."""
    host = Host(Clock(), clients=(client(),), replay_limit=1)
    for _ in range(3):
        assert isinstance(granted(host, basic("nobody")), OAuthError)
    assert len(host.replays) == 0
    assert "access_token" in granted(host)
    with pytest.raises(Busy):
        granted(host)


def test_registration_gives_a_public_client() -> None:
    """RFC 7591: what is registered is answered and kept, without a secret, under an id of ours."""
    host = Host()
    asked = {
        "client_id": console_client(ISSUER),
        "client_name": "Agenda",
        "redirect_uris": ["https://app.example/cb", "http://localhost:8080/cb", "http://[::1]/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
        "webid": ANA,
        "partner": "enercoop",
        "secret_hash": "x",
    }
    said: Any = host.provider.register(asked)
    assert said["client_id"] == "id-0"
    assert said["token_endpoint_auth_method"] == "none"
    assert said["redirect_uris"] == asked["redirect_uris"]
    assert "client_secret" not in said
    kept = host.store.find("id-0")
    assert kept == Client("id-0", None, None, None, tuple(asked["redirect_uris"]), "Agenda")  # type: ignore[arg-type]
    assert isinstance(granted(host, basic("id-0", "")), OAuthError)


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ([], "invalid_client_metadata"),
        (None, "invalid_client_metadata"),
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": "https://app.example/"}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/"] * 11}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/#x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://localhost.evil.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["http://localhost@evil.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example\\@evil.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["data:text/html,x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/\r\nX: y"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/\tx"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/\\x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://ana@app.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["ftp://localhost/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/ x"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://é.example/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://[::1/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/" + "x" * 2048]}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://app.example/"], "client_name": 7}, "invalid_client_metadata"),
        ({"redirect_uris": ["https://app.example/"], "client_name": "x" * 201}, "invalid_client_metadata"),
    ],
)
def test_bad_registrations_are_refused(document: object, error: str) -> None:
    """Nothing is kept of a registration that is refused."""
    host = Host()
    refusal = host.provider.register(document)
    assert isinstance(refusal, OAuthError)
    assert (refusal.error, refusal.status) == (error, 400)
    assert host.store.find("id-0") is None


def test_taken_id_is_a_conflict() -> None:
    """Two clients never share an id."""
    host = Host(clients=(client("id-0"),))
    with pytest.raises(Conflict):
        host.provider.register({"redirect_uris": ["https://app.example/"]})


def test_secrets_are_long_different_and_only_hashes_are_kept() -> None:
    """256 bits each; the hash tells a secret from its neighbours, and an unknown client has none."""
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(first) >= 43
    kept = client(secret=first)
    assert secret_matches(kept, first)
    assert not secret_matches(kept, second)
    assert not secret_matches(None, first)
    assert first.encode() not in (kept.secret_hash or b"")
    assert hash_secret(first) == kept.secret_hash


@pytest.mark.parametrize("pem", [b"", b"garbage", KEYS["ES384"].as_pem(private=True), KEY.as_pem(private=False)])
def test_signing_key_must_be_a_private_p256_key(pem: bytes) -> None:
    """A key file that is damaged or of another kind stops the start; a new key does not."""
    with pytest.raises(Corrupt):
        SigningKey(pem)
    assert SigningKey(new_key()).kid != SigningKey(HOST_KEY).kid


@given(st.text(max_size=60))
@settings(max_examples=200, derandomize=True)
def test_any_credentials_are_refused_cleanly(text: str) -> None:
    """No Authorization header gets anything but an OAuth error."""
    for header in (text, f"Basic {text}", "Basic " + base64.b64encode(text.encode()).decode()):
        assert isinstance(Host().provider.token(GRANT, header, None, TOKEN_URL), OAuthError)
