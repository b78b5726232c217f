"""Signing in as an httpx auth flow: one piece of logic for the sync and the async session.

Used by session.py.  It finds the issuer's token endpoint, gets a DPoP-bound
token by client_credentials, and proves every request (RFC 9449).  The secret
goes to the issuer's token endpoint alone, and is in no message or repr.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote_plus, urlsplit, urlunsplit

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pod_clients.errors import HostError, host_error

WELL_KNOWN = ".well-known/openid-configuration"
EARLY = 30.0
"""Seconds before its end at which a token is renewed."""
SKEW = 20.0
"""Seconds by which the clocks may differ before the host's is followed."""

Flow = Generator[httpx.Request, httpx.Response, None]


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    until: float


class SignIn(httpx.Auth):
    """Credentials as httpx auth.  clock: seconds since 1970.  Not for several threads at once."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, clock: Callable[[], float]) -> None:
        self._issuer = issuer
        self._basic = _basic(client_id, client_secret)
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._header = _encoded({"typ": "dpop+jwt", "alg": "ES256", "jwk": _jwk(self._key)})
        self._endpoint = ""
        self._token: _Token | None = None
        self._ahead = 0.0
        self._nonces: dict[str, str] = {}

    def sync_auth_flow(self, request: httpx.Request) -> Flow:
        """See httpx.Auth; only our own requests' answers are read here, so that the caller's can be streamed."""
        flow = self._flow(request)
        step = next(flow)
        while True:
            response = yield step
            if step is not request:
                response.read()
            try:
                step = flow.send(response)
            except StopIteration:
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """See sync_auth_flow."""
        flow = self._flow(request)
        step = next(flow)
        while True:
            response = yield step
            if step is not request:
                await response.aread()
            try:
                step = flow.send(response)
            except StopIteration:
                return

    def claims(self) -> dict[str, Any]:
        """What the present token says about this client, unverified; empty before the first request."""
        if self._token is None or self._token.value.count(".") != 2:
            return {}
        payload = self._token.value.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return found if isinstance(found, dict) else {}

    def _flow(self, request: httpx.Request) -> Flow:
        if self._token is None or self._token.until - EARLY <= self._now():
            yield from self._renew()
        self._prove(request)
        response = yield request
        self._learn(request, response)
        if response.status_code == 401:
            yield from self._renew()
            self._prove(request)
            self._learn(request, (yield request))

    def _renew(self) -> Flow:
        if not self._endpoint:
            yield from self._discover()
        request = self._token_request()
        response = yield request
        if self._learn(request, response) and response.status_code in (400, 401):
            response = yield self._token_request()
        if response.is_error:
            raise host_error(response)
        document = response.json()
        if str(document.get("token_type", "")).lower() != "dpop":
            raise HostError(response.status_code, title="The issuer gave a token that is not bound to a key")
        self._token = _Token(document["access_token"], self._now() + float(document.get("expires_in", 300)))

    def _discover(self) -> Flow:
        response = yield httpx.Request("GET", self._issuer.rstrip("/") + "/" + WELL_KNOWN)
        self._learn(response.request, response)
        if response.is_error:
            raise host_error(response)
        document = response.json()
        if document.get("issuer", "").rstrip("/") != self._issuer.rstrip("/"):
            raise HostError(response.status_code, title="The issuer's own document names another issuer")
        self._endpoint = document["token_endpoint"]

    def _token_request(self) -> httpx.Request:
        request = httpx.Request(
            "POST",
            self._endpoint,
            data={"grant_type": "client_credentials", "scope": "webid"},
            headers={"Authorization": self._basic, "Accept": "application/json"},
        )
        request.headers["DPoP"] = self._proof("POST", self._endpoint, None)
        return request

    def _prove(self, request: httpx.Request) -> None:
        assert self._token is not None  # noqa: S101 - renewed just before
        request.headers["Authorization"] = f"DPoP {self._token.value}"
        request.headers["DPoP"] = self._proof(request.method, str(request.url), self._token.value)

    def _proof(self, method: str, url: str, token: str | None) -> str:
        parts = urlsplit(url)
        claims: dict[str, Any] = {
            "htm": method,
            "htu": urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            "iat": int(self._now()),
            "jti": secrets.token_urlsafe(16),
        }
        if token is not None:
            claims["ath"] = _base64(hashlib.sha256(token.encode()).digest())
        nonce = self._nonces.get(parts.netloc)
        if nonce is not None:
            claims["nonce"] = nonce
        signed = f"{self._header}.{_encoded(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_base64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"

    def _learn(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Take up a nonce and the host's clock from a refusal; True when the next proof will differ by them."""
        nonce, before = response.headers.get("dpop-nonce"), self._ahead
        if response.status_code in (400, 401):
            self._ahead = self._difference(response)
        if nonce is None:
            return self._ahead != before
        self._nonces[request.url.netloc.decode()] = nonce
        return True

    def _difference(self, response: httpx.Response) -> float:
        try:
            ahead = parsedate_to_datetime(response.headers["date"]).timestamp() - self._clock()
        except (KeyError, ValueError):
            return self._ahead
        return ahead if abs(ahead) > SKEW else 0.0

    def _now(self) -> float:
        return self._clock() + self._ahead


def _basic(client_id: str, client_secret: str) -> str:
    """HTTP Basic with both parts form-encoded (RFC 6749, section 2.3.1)."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": _base64(numbers.x.to_bytes(32, "big")),
        "y": _base64(numbers.y.to_bytes(32, "big")),
    }


def _encoded(document: dict[str, Any]) -> str:
    return _base64(json.dumps(document, separators=(",", ":")).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
