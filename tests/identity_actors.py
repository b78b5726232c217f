"""Actors of the identity tests: apps that hold keys, the host's provider, and drafts of requests to spoil."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from joserfc.jwk import ECKey, OKPKey, RSAKey

from pod_server.errors import Conflict
from pod_server.identity import Client, DPoP, Proofs, Provider, Replays, SigningKey, hash_secret, new_key

ISSUER = "https://pods.example/"
URL = "https://pods.example/ana/notes.ttl"
ANA = "https://pods.example/ana/profile/card#me"
START = 1_700_000_000.0
HOST_KEY = new_key()
OTHER_KEY = new_key()

Key = ECKey | RSAKey | OKPKey
KEYS: dict[str, Key] = {
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "RS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}
KEYS["PS256"] = KEYS["RS256"]
STRANGER = ECKey.generate_key("P-256")
_serial = itertools.count()


class MemoryClients:
    """Clients in a dictionary: the seam's second real implementation."""

    def __init__(self, *clients: Client) -> None:
        self._by_id = {client.id: client for client in clients}

    def find(self, client_id: str) -> Client | None:
        return self._by_id.get(client_id)

    def add(self, client: Client) -> None:
        if client.id in self._by_id:
            raise Conflict("The client id is taken.")
        self._by_id[client.id] = client


class Clock:
    """A clock that stands until it is told to move."""

    def __init__(self, now: float = START + 100) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def segment(value: object) -> str:
    """One base64url segment of a JWS."""
    raw = value if isinstance(value, bytes) else orjson.dumps(value)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def ath_of(token: str) -> str:
    """The hash that a proof carries of its token."""
    return segment(hashlib.sha256(token.encode()).digest())


def signed(header: dict[str, Any], claims: dict[str, Any], key: Key) -> str:
    """A JWT under a true signature of the key, whatever algorithm the header claims."""
    body = f"{segment(header)}.{segment(claims)}"
    return f"{body}.{segment(signature_of(body.encode(), str(header.get('alg')), key.private_key))}"


def signature_of(body: bytes, alg: str, private: Any) -> bytes:
    """The raw JWS signature (RFC 7518, RFC 8037)."""
    if isinstance(private, ec.EllipticCurvePrivateKey):
        size = (private.key_size + 7) // 8
        digest = SHA384() if size == 48 else SHA256()
        return b"".join(
            number.to_bytes(size, "big") for number in decode_dss_signature(private.sign(body, ec.ECDSA(digest)))
        )
    if isinstance(private, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
        return private.sign(body, pss if alg == "PS256" else padding.PKCS1v15(), SHA256())
    return private.sign(body)


def proof(key: Key, alg: str, claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    """A DPoP proof made with a key."""
    whole = {"typ": "dpop+jwt", "alg": alg, "jwk": key.as_dict(private=False), **(header or {})}
    return signed(whole, {"jti": f"proof-{next(_serial)}", **claims}, key)


@dataclass
class Host:
    """A host's identity room, and its clock."""

    clock: Clock = field(default_factory=Clock)
    clients: tuple[Client, ...] = ()
    issuer: str = ISSUER
    others: Any = None
    replay_limit: int = 200_000

    def __post_init__(self) -> None:
        self.key = SigningKey(HOST_KEY)
        self.replays = Replays(START, self.replay_limit)
        self.dpop = DPoP(self.replays)
        self.store = MemoryClients(*self.clients)
        self.proofs = Proofs(self.issuer, self.key, self.dpop, clock=self.clock, others=self.others)
        ids = (f"id-{number}" for number in itertools.count())
        self.provider = Provider(
            self.issuer, self.key, self.store, self.dpop, clock=self.clock, random=lambda _: next(ids)
        )


def client(client_id: str = "app", secret: str = "s3cret", **changes: Any) -> Client:
    """A confidential client acting as Ana."""
    fields: dict[str, Any] = {
        "id": client_id,
        "secret_hash": hash_secret(secret),
        "webid": ANA,
        "partner": None,
        "redirect_uris": (),
        "name": "An app",
    }
    return Client(**{**fields, **changes})


@dataclass
class Draft:
    """A good request, to be spoilt in one place before it is sent."""

    now: float = START + 100
    alg: str = "ES256"
    method: str = "GET"
    url: str = URL
    scheme: str = "DPoP"
    token_key: bytes = HOST_KEY
    token_header: dict[str, Any] = field(default_factory=dict)
    token_claims: dict[str, Any] = field(default_factory=dict)
    proof_key: Key | None = None
    proof_header: dict[str, Any] = field(default_factory=dict)
    proof_claims: dict[str, Any] = field(default_factory=dict)
    after_token: Callable[[str], str] = str
    after_proof: Callable[[str], str | None] = str

    def __post_init__(self) -> None:
        self.key = KEYS[self.alg]
        kid = SigningKey(self.token_key).kid
        self.token_header = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
        self.token_claims = {
            "iss": ISSUER,
            "aud": "solid",
            "sub": ANA,
            "webid": ANA,
            "azp": "app",
            "client_id": "app",
            "iat": int(self.now),
            "exp": int(self.now) + 600,
            "jti": "token-1",
            "cnf": {"jkt": self.key.thumbprint()},
        }
        self.proof_claims = {"htm": self.method, "htu": self.url, "iat": int(self.now)}

    def headers(self) -> tuple[str, str | None]:
        """The Authorization and DPoP headers."""
        token = self.after_token(signed(self.token_header, self.token_claims, ECKey.import_key(self.token_key)))
        claims = {"ath": ath_of(token), **self.proof_claims}
        made = proof(self.proof_key or self.key, self.alg, claims, self.proof_header)
        return f"{self.scheme} {token}", self.after_proof(made)
