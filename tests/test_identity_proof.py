"""Proof of callers: every way a token or a proof can be wrong is refused for its own reason, beside a control."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import sys
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_actors import (
    ANA,
    HOST_KEY,
    ISSUER,
    KEYS,
    OTHER_KEY,
    START,
    STRANGER,
    URL,
    Clock,
    Draft,
    Host,
    ath_of,
    segment,
)
from joserfc.jwk import ECKey

from pod_server.errors import Busy, Unauthenticated
from pod_server.identity import SigningKey
from pod_server.identity.jws import decoded
from pod_server.terms import PUBLIC, Caller

Spoil = Callable[[Draft], object]


def send(host: Host, draft: Draft, headers: tuple[str | None, str | None] | None = None) -> Caller:
    """One request, through the real room."""
    authorization, dpop = headers if headers is not None else draft.headers()
    return asyncio.run(host.proofs.caller(draft.method, draft.url, authorization, dpop))


def put(name: str, **changes: Any) -> Spoil:
    """Change members of one part of the draft."""
    return lambda draft: getattr(draft, name).update(changes)


def drop(name: str, member: str) -> Spoil:
    """Leave a member of one part of the draft out."""
    return lambda draft: getattr(draft, name).pop(member)


def let(**changes: Any) -> Spoil:
    """Change the draft itself."""
    return lambda draft: [setattr(draft, name, value) for name, value in changes.items()]


def hs256_with_public_key(token: str) -> str:
    """The classic confusion: HMAC keyed with the text of the host's public key."""
    body = f"{segment({'alg': 'HS256', 'typ': 'at+jwt', 'kid': SigningKey(HOST_KEY).kid})}.{token.split('.')[1]}"
    public = ECKey.import_key(HOST_KEY).as_pem(private=False)
    return f"{body}.{segment(hmac.new(public, body.encode(), hashlib.sha256).digest())}"


def hs256_proof(text: str) -> str:
    """A proof made with a symmetric key that it carries itself."""
    jwk = {"kty": "oct", "k": segment(b"secret")}
    body = f"{segment({'alg': 'HS256', 'typ': 'dpop+jwt', 'jwk': jwk})}.{text.split('.')[1]}"
    return f"{body}.{segment(hmac.new(b'secret', body.encode(), hashlib.sha256).digest())}"


def unsigned(text: str) -> str:
    """The same claims under alg none."""
    header = {"alg": "none", "typ": "at+jwt", "kid": SigningKey(HOST_KEY).kid}
    return f"{segment(header)}.{text.split('.')[1]}."


def with_header(**changes: Any) -> Callable[[str], str]:
    """Another header over the same payload and signature."""

    def change(text: str) -> str:
        header, payload, signature = text.split(".")
        old = orjson.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
        return f"{segment({**old, **changes})}.{payload}.{signature}"

    return change


def flip(position: int) -> Callable[[str], str]:
    """One character of a segment changed."""

    def change(text: str) -> str:
        parts = text.split(".")
        middle = len(parts[position]) // 2
        other = "A" if parts[position][middle] != "A" else "B"
        parts[position] = parts[position][:middle] + other + parts[position][middle + 1 :]
        return ".".join(parts)

    return change


def padded(text: str) -> str:
    """A zero byte before the second number of an ES256 signature: the same two numbers, but not the same bytes."""
    body, _, signature = text.rpartition(".")
    raw = decoded(signature)
    return f"{body}.{segment(raw[:32] + bytes(1) + raw[32:])}"


PRIVATE_JWK = KEYS["ES256"].as_dict(private=True)
WEAK_RSA = {"kty": "RSA", "e": "AQAB", "n": segment((1 << 1023 | 1).to_bytes(128, "big"))}
HUGE_RSA = {"kty": "RSA", "e": "AQAB", "n": segment((1 << 8191 | 1).to_bytes(1024, "big"))}
SLOW_RSA = {**KEYS["RS256"].as_dict(private=False), "e": segment(b"\x01" + b"\x00" * 200 + b"\x01")}
RSA_AS_EC = {**KEYS["RS256"].as_dict(private=False), "kty": "EC"}
EC_AS_RSA = {**KEYS["ES256"].as_dict(private=False), "kty": "RSA"}
INFINITE = b'{"iat": 1e999, "exp": 1e999}'
X25519 = {**KEYS["EdDSA"].as_dict(private=False), "crv": "X25519"}
OFF_CURVE = {**KEYS["ES256"].as_dict(private=False), "x": segment(b"\x01" * 32)}
PROOF, TOKEN = "proof_claims", "token_claims"

BAD_PROOFS: list[tuple[str, str, Spoil]] = [  # RFC 9449, section 4.3
    ("no proof", "missing", let(after_proof=lambda _: None)),
    ("empty proof", "syntax", let(after_proof=lambda _: "")),
    ("two proofs", "syntax", let(after_proof=lambda text: f"{text}, {text}")),
    ("proof of two segments", "syntax", let(after_proof=lambda text: text.rpartition(".")[0])),
    ("proof with padding", "syntax", let(after_proof=lambda text: text + "=")),
    ("proof in plain base64", "syntax", let(after_proof=lambda text: text[:-2] + "+/")),
    ("garbage proof", "syntax", let(after_proof=lambda _: "é.%.!")),
    ("proof of 9 kB", "syntax", put(PROOF, pad="x" * 9000)),
    ("proof header no JSON", "syntax", let(after_proof=lambda text: "AAAA." + text.partition(".")[2])),
    ("proof header a list", "syntax", let(after_proof=lambda text: segment([]) + "." + text.partition(".")[2])),
    ("proof payload no JSON", "syntax", let(after_proof=lambda text: f"{text.split('.')[0]}.AAAA.AAAA")),
    (
        "proof nested 2,000 deep",
        "syntax",
        let(after_proof=lambda text: f"{text.split('.')[0]}.{segment(b'[' * 2000)}.AAAA"),
    ),
    ("proof with infinite numbers", "syntax",
     let(after_proof=lambda text: f"{text.split('.')[0]}.{segment(INFINITE)}.AAAA")),
    ("typ JWT", "typ", put("proof_header", typ="JWT")),
    ("typ missing", "typ", put("proof_header", typ=None)),
    ("alg none", "key", put("proof_header", alg="none")),
    ("alg None", "key", put("proof_header", alg="None")),
    ("alg HS256 with its own key", "key", let(after_proof=hs256_proof)),
    ("alg unknown", "key", put("proof_header", alg="ES999")),
    ("alg not a text", "key", put("proof_header", alg=["ES256"])),
    ("alg of another key type", "key", let(after_proof=with_header(alg="RS256"))),
    ("alg of another curve", "key", let(after_proof=with_header(alg="ES384"))),
    ("no jwk", "key", let(after_proof=with_header(jwk=None))),
    ("jwk a text", "key", let(after_proof=with_header(jwk="x"))),
    ("jwk with its private part", "key", let(after_proof=with_header(jwk=PRIVATE_JWK))),
    ("jwk off the curve", "key", let(after_proof=with_header(jwk=OFF_CURVE))),
    ("jwk without y", "key", let(after_proof=with_header(jwk={"kty": "EC", "crv": "P-256", "x": "AA"}))),
    ("RSA key said to be EC", "key", let(after_proof=with_header(alg="RS256", jwk=RSA_AS_EC))),
    ("EC key said to be RSA", "key", let(after_proof=with_header(jwk=EC_AS_RSA))),
    ("key of X25519", "key", let(after_proof=with_header(alg="EdDSA", jwk=X25519))),
    ("RSA of 1024 bits", "key", let(after_proof=with_header(alg="RS256", jwk=WEAK_RSA))),
    ("RSA of 8192 bits", "key", let(after_proof=with_header(alg="RS256", jwk=HUGE_RSA))),
    ("RSA with a huge exponent", "key", let(after_proof=with_header(alg="RS256", jwk=SLOW_RSA))),
    ("crit", "crit", let(after_proof=with_header(crit=["exp"]))),
    ("htm of another method", "htm", put(PROOF, htm="POST")),
    ("htm in lower case", "htm", put(PROOF, htm="get")),
    ("htm missing", "htm", drop(PROOF, "htm")),
    ("htu other host", "htu", put(PROOF, htu=URL.replace("pods", "pods2"))),
    ("htu other path", "htu", put(PROOF, htu=URL + "x")),
    ("htu path in upper case", "htu", put(PROOF, htu=URL.replace("notes", "NOTES"))),
    ("htu other port", "htu", put(PROOF, htu=URL.replace(".example", ".example:8443"))),
    ("htu other scheme", "htu", put(PROOF, htu=URL.replace("https", "http"))),
    ("htu with a user", "htu", put(PROOF, htu=URL.replace("//", "//ana@"))),
    ("htu relative", "htu", put(PROOF, htu="/ana/notes.ttl")),
    ("htu a list", "htu", put(PROOF, htu=[URL])),
    ("htu with a broken port", "htu", put(PROOF, htu="https://pods.example:x/ana/notes.ttl")),
    ("htu with an escaped slash", "htu", put(PROOF, htu="https://pods.example/ana%2Fnotes.ttl")),
    ("htu missing", "htu", drop(PROOF, "htu")),
    ("iat a minute and more ago", "iat", put(PROOF, iat=START + 100 - 61)),
    ("iat a minute and more ahead", "iat", put(PROOF, iat=START + 100 + 61)),
    ("iat missing", "iat", drop(PROOF, "iat")),
    ("iat a text", "iat", put(PROOF, iat="1700000100")),
    ("iat true", "iat", put(PROOF, iat=True)),
    ("jti missing", "jti", put(PROOF, jti=None)),
    ("jti empty", "jti", put(PROOF, jti="")),
    ("jti of 129 characters", "jti", put(PROOF, jti="j" * 129)),
    ("jti a number", "jti", put(PROOF, jti=7)),
    ("ath missing", "ath", put(PROOF, ath=None)),
    ("ath of another token", "ath", put(PROOF, ath=ath_of("other"))),
    ("ath a number", "ath", put(PROOF, ath=1)),
    ("proof of another key", "jkt", let(proof_key=STRANGER)),
    ("proof's jwk swapped", "jkt", let(after_proof=with_header(jwk=STRANGER.as_dict(private=False)))),
    ("proof tampered", "signature", let(after_proof=flip(2))),
    ("proof's signature padded", "signature", let(after_proof=padded)),
    ("proof's signature cut", "signature", let(after_proof=lambda text: text[:-4])),
]  # fmt: skip

BAD_TOKENS: list[tuple[str, str, Spoil]] = [  # Solid-OIDC, section 9; RFC 9068, section 4
    ("scheme Bearer", "scheme", let(scheme="Bearer")),
    ("scheme Basic", "scheme", let(scheme="Basic")),
    ("scheme missing", "scheme", let(scheme="")),
    ("two schemes", "syntax", let(after_token=lambda text: f"{text}, Bearer {text}")),
    ("token empty", "syntax", let(after_token=lambda _: "")),
    ("token with a space before", "syntax", let(after_token=lambda text: " " + text)),
    ("garbage token", "syntax", let(after_token=lambda _: "%%%.é.???")),
    ("token of two segments", "syntax", let(after_token=lambda text: text.rpartition(".")[0])),
    ("token of 9 kB", "size", put(TOKEN, pad="x" * 9000)),
    ("token alg none", "syntax", let(after_token=unsigned)),
    ("token alg none with a signature", "key", let(after_token=lambda text: unsigned(text) + "AAAA")),
    ("token HS256 with the public key", "key", let(after_token=hs256_with_public_key)),
    ("token of another key, same kid", "signature", let(token_key=OTHER_KEY)),
    ("token of another kid", "key", put("token_header", kid="other")),
    ("token without kid", "key", drop("token_header", "kid")),
    ("token typ JWT", "typ", put("token_header", typ="JWT")),
    ("token typ dpop+jwt", "typ", put("token_header", typ="dpop+jwt")),
    ("token crit", "crit", let(after_token=with_header(crit=["b64"]))),
    ("token payload tampered", "syntax", let(after_token=lambda text: text.replace(".", ".A", 1))),
    (
        "token claims swapped",
        "signature",
        let(after_token=lambda text: f"{text.split('.')[0]}.{segment(swapped())}.{text.split('.')[2]}"),
    ),
    ("token signature tampered", "signature", let(after_token=flip(2))),
    ("token expired", "exp", put(TOKEN, exp=START + 99)),
    ("token expires now", "exp", put(TOKEN, exp=START + 100)),
    ("token exp missing", "exp", drop(TOKEN, "exp")),
    ("token exp a text", "exp", put(TOKEN, exp="1800000000")),
    (
        "token with infinite numbers",
        "syntax",
        let(after_token=lambda text: f"{text.split('.')[0]}.{segment(INFINITE)}.AAAA"),
    ),
    ("token exp true", "exp", put(TOKEN, exp=True)),
    ("token nbf ahead", "nbf", put(TOKEN, nbf=START + 900)),
    ("token iat ahead", "iat", put(TOKEN, iat=START + 900)),
    ("token aud other", "aud", put(TOKEN, aud="https://elsewhere.example")),
    ("token aud missing", "aud", drop(TOKEN, "aud")),
    ("token aud a list without solid", "aud", put(TOKEN, aud=["solid2", "app"])),
    ("token aud an object", "aud", put(TOKEN, aud={"solid": 1})),
    ("token iss other", "iss", put(TOKEN, iss="https://elsewhere.example/")),
    ("token iss without slash", "iss", put(TOKEN, iss=ISSUER.rstrip("/"))),
    ("token iss missing", "iss", drop(TOKEN, "iss")),
    ("token iss a number", "iss", put(TOKEN, iss=1)),
    ("token cnf missing", "cnf", drop(TOKEN, "cnf")),
    ("token cnf without jkt", "cnf", put(TOKEN, cnf={"x5t#S256": "abc"})),
    ("token cnf a text", "cnf", put(TOKEN, cnf="jkt")),
    ("token cnf of a number", "cnf", put(TOKEN, cnf={"jkt": 7})),
    ("token cnf empty", "cnf", put(TOKEN, cnf={"jkt": ""})),
    ("token webid empty", "webid", put(TOKEN, webid="")),
    ("token webid a list", "webid", put(TOKEN, webid=[ANA])),
]

REFUSED = [*BAD_PROOFS, *BAD_TOKENS]


def swapped() -> dict[str, Any]:
    """The claims of a good token, for somebody else."""
    return {**Draft().token_claims, "webid": "https://pods.example/bob/profile/card#me"}


@pytest.mark.parametrize(("name", "check", "spoil"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused_for_its_reason_beside_a_control(name: str, check: str, spoil: Spoil) -> None:
    """Spoilt in one place it is refused for that place; the same request unspoilt is accepted, before and after."""
    draft = Draft()
    spoil(draft)
    host = Host(Clock(draft.now))
    control = Draft(now=draft.now)
    expected = Caller(agent=ANA, client="app", issuer=ISSUER)
    assert send(host, control) == expected
    if name == "token of another key, same kid":
        draft.token_header["kid"] = host.key.kid
    with pytest.raises(Unauthenticated) as refusal:
        send(host, draft)
    assert refusal.value.fields["check"] == check, refusal.value.detail
    kind = "invalid_dpop_proof" if (name, check, spoil) in BAD_PROOFS else "invalid_token"
    assert refusal.value.fields["error"] == kind
    assert refusal.value.detail.endswith(".")
    assert send(host, control) == expected


def test_table_is_long_enough() -> None:
    """The known table has 45 rows; ours covers at least as many, each named once."""
    assert len({row[0] for row in REFUSED}) == len(REFUSED) >= 45


ACCEPTED: list[tuple[str, Spoil]] = [
    ("upper-case host", put(PROOF, htu=URL.replace("pods.example", "PODS.Example"))),
    ("upper-case scheme", put(PROOF, htu=URL.replace("https", "HTTPS"))),
    (
        "root without a slash",
        let(url="https://pods.example/", proof_claims={"htm": "GET", "htu": ISSUER[:-1], "iat": START + 100}),
    ),
    ("default port", put(PROOF, htu=URL.replace(".example", ".example:443"))),
    ("query in htu", put(PROOF, htu=URL + "?a=b")),
    ("fragment in htu", put(PROOF, htu=URL + "#a")),
    ("query in the request", let(url=URL + "?a=b")),
    ("needless escape", put(PROOF, htu=URL.replace("notes", "%6eotes"))),
    ("iat 59 s ago", put(PROOF, iat=START + 41)),
    ("iat 59 s ahead", put(PROOF, iat=START + 159)),
    ("iat with a fraction", put(PROOF, iat=START + 99.5)),
    ("jti of 128 characters", put(PROOF, jti="j" * 128)),
    ("scheme in lower case", let(scheme="dpop")),
    ("aud a list", put(TOKEN, aud=["app", "solid"])),
    ("nbf now", put(TOKEN, nbf=START + 100)),
    ("unknown claims", put(TOKEN, other={"deep": [1]})),
]


@pytest.mark.parametrize(("name", "change"), ACCEPTED, ids=[row[0] for row in ACCEPTED])
def test_accepted_variants(name: str, change: Spoil) -> None:
    """What the standards allow is accepted."""
    draft = Draft()
    change(draft)
    assert send(Host(), draft).agent == ANA


@pytest.mark.parametrize("alg", sorted(KEYS))
def test_every_algorithm_proves_and_is_refused_when_tampered(alg: str) -> None:
    """Each signature algorithm verifies, and fails on one changed character."""
    host = Host()
    assert send(host, Draft(alg=alg)).agent == ANA
    with pytest.raises(Unauthenticated, match="signature"):
        send(host, Draft(alg=alg, after_proof=flip(2)))


def test_no_authorization_is_the_public() -> None:
    """Without the header the caller is the public, a stray proof changes nothing."""
    host = Host()
    assert send(host, Draft(), (None, None)) is PUBLIC
    assert send(host, Draft(), (None, Draft().headers()[1])) is PUBLIC


@pytest.mark.parametrize("header", ["", " ", "DPoP", "DPoP ", "Negotiate x", "é"])
def test_empty_credentials_are_refused(header: str) -> None:
    """A header that proves nothing is never the public."""
    with pytest.raises(Unauthenticated):
        send(Host(), Draft(), (header, None))


def test_partner_and_agent_are_read_from_our_own_tokens() -> None:
    """A partner's token speaks for the partner and for no agent."""
    draft = Draft()
    del draft.token_claims["webid"]
    draft.token_claims["partner"] = "enercoop"
    assert send(Host(), draft) == Caller(client="app", issuer=ISSUER, partner="enercoop")


def test_proof_is_taken_once() -> None:
    """The same proof twice is refused, a fresh one is not; the token stays the same."""
    host = Host()
    draft = Draft()
    headers = draft.headers()
    assert send(host, draft, headers).agent == ANA
    with pytest.raises(Unauthenticated, match="used before"):
        send(host, draft, headers)
    host.clock.now += 60  # still within the window
    with pytest.raises(Unauthenticated, match="used before"):
        send(host, draft, headers)
    assert send(host, Draft(now=host.clock.now)).agent == ANA


def test_refused_proof_is_not_used_up() -> None:
    """Sent to the wrong URL first, a proof still holds for its own."""
    host, draft = Host(), Draft()
    headers = draft.headers()
    draft.url = URL + "x"
    with pytest.raises(Unauthenticated, match="URL"):
        send(host, draft, headers)
    draft.url = URL
    assert send(host, draft, headers).agent == ANA


def test_jti_is_used_up_per_key() -> None:
    """Two apps may choose the same jti."""
    host = Host()
    for alg in ("ES256", "EdDSA"):
        draft = Draft(alg=alg)
        draft.proof_claims["jti"] = "same"
        assert send(host, draft).agent == ANA
    again = Draft(alg="ES256")
    again.proof_claims.update(jti="same", iat=START + 101)
    with pytest.raises(Unauthenticated, match="used before"):
        send(host, again)


def test_kept_token_expires() -> None:
    """A token that was kept is refused from its expiry on."""
    host, draft = Host(), Draft()
    authorization, _ = draft.headers()
    assert send(host, draft).agent == ANA
    host.clock.now = START + 700
    late = Draft(now=host.clock.now)
    late.proof_claims["ath"] = ath_of(authorization.partition(" ")[2])
    with pytest.raises(Unauthenticated) as refusal:
        send(host, late, (authorization, late.headers()[1]))
    assert refusal.value.fields["check"] == "exp"


def test_full_memory_says_busy_and_recovers() -> None:
    """When no proof can be remembered none is taken; room comes back with time, and nothing is forgotten before."""
    host = Host(replay_limit=3)
    first = Draft()
    kept = first.headers()
    send(host, first, kept)
    send(host, Draft())
    send(host, Draft())
    with pytest.raises(Busy) as refusal:
        send(host, Draft())
    assert refusal.value.fields["retry_after"] > 0
    with pytest.raises(Unauthenticated, match="used before"):
        send(host, first, kept)
    host.clock.now += 62
    assert send(host, Draft(now=host.clock.now)).agent == ANA
    assert len(host.replays) == 1


def test_caches_stay_bounded() -> None:
    """Many keys and many tokens never make the caches larger than their limits, and all are still proven."""
    host = Host()
    host.proofs._token_limit = host.dpop._key_limit = 2
    for number, alg in enumerate(("ES256", "ES384", "RS256", "EdDSA", "ES256")):
        draft = Draft(alg=alg)
        draft.token_claims["jti"] = str(number)
        assert send(host, draft).agent == ANA
    assert len(host.proofs._tokens) == len(host.dpop._keys) == 2


def test_proof_from_before_the_start_is_refused() -> None:
    """What an earlier process may have seen used is refused, although it is within the window; a later one is not."""
    host = Host(Clock(START + 10))
    old, new = Draft(now=START + 10), Draft(now=START + 10)
    old.proof_claims["iat"] = int(START) - 1
    with pytest.raises(Unauthenticated) as refusal:
        send(host, old)
    assert refusal.value.fields["check"] == "start"
    assert send(host, new).agent == ANA


def test_exact_second_of_the_start_is_taken() -> None:
    """Proofs carry whole seconds, so a host that starts at .9 takes the proofs of that second."""
    host = Host(Clock(START + 0.9))
    assert send(host, Draft(now=START)).agent == ANA


@given(st.text(max_size=300), st.one_of(st.none(), st.text(max_size=300)))
@settings(max_examples=300, derandomize=True)
def test_any_text_is_refused_cleanly(authorization: str, dpop: str | None) -> None:
    """No text in the headers gets anything but an Unauthenticated."""
    with pytest.raises(Unauthenticated):
        send(Host(), Draft(), (authorization, dpop))


@given(st.binary(max_size=120), st.binary(max_size=120), st.sampled_from(["token", "proof"]))
@settings(max_examples=300, derandomize=True)
def test_any_bytes_in_the_segments_are_refused_cleanly(header: bytes, payload: bytes, where: str) -> None:
    """Well-formed segments around arbitrary bytes are refused, never an exception of a library."""
    text = f"{segment(header)}.{segment(payload)}.AAAA"
    draft = Draft()
    setattr(draft, f"after_{where}", lambda _: text)
    with pytest.raises(Unauthenticated):
        send(Host(), draft)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=4,
)


@given(st.sampled_from(["htm", "htu", "iat", "jti", "ath"]), JSON)
@settings(max_examples=200, derandomize=True)
def test_any_claim_value_is_refused_or_holds(name: str, value: Any) -> None:
    """Whatever JSON stands in a claim of a proof, the answer is a Caller or an Unauthenticated."""
    draft = Draft()
    draft.proof_claims[name] = value
    with contextlib.suppress(Unauthenticated):
        assert send(Host(), draft).agent == ANA


@given(st.sampled_from(["alg", "jwk", "typ", "crit"]), JSON)
@settings(max_examples=200, derandomize=True)
def test_any_header_value_is_refused_or_holds(name: str, value: Any) -> None:
    """The same for the header of a proof."""
    draft = Draft(after_proof=with_header(**{name: value}))
    with pytest.raises(Unauthenticated):
        send(Host(), draft)


def test_warm_proof_stays_lean() -> None:
    """A warm proof enters at most 5 of our files and 10 of our functions."""
    host, draft = Host(), Draft()
    authorization, _ = draft.headers()
    again = Draft(after_token=lambda _: authorization.partition(" ")[2])
    send(host, draft, (authorization, again.headers()[1]))
    headers = (authorization, again.headers()[1])
    entered: list[tuple[str, str]] = []

    def note(frame: Any, event: str, _: object) -> None:
        if event == "call" and "pod_server" in frame.f_code.co_filename:
            entered.append((frame.f_code.co_filename, frame.f_code.co_qualname))

    coroutine = host.proofs.caller(draft.method, draft.url, *headers)
    sys.setprofile(note)
    try:
        coroutine.send(None)
    except StopIteration as done:
        caller = done.value
    finally:
        sys.setprofile(None)
    assert caller.agent == ANA
    assert len(entered) <= 10, entered
    assert len({file for file, _ in entered}) <= 5


def test_no_token_of_another_issuer_is_taken_unless_others_are_asked() -> None:
    """A host without a way out takes its own tokens only."""
    with pytest.raises(Unauthenticated, match="not taken here"):
        send(Host(), foreign())


def foreign() -> Draft:
    """A request with another issuer's token."""
    draft = Draft()
    draft.token_claims["iss"] = "https://elsewhere.example/"
    return draft
