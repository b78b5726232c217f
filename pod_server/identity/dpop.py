"""One DPoP proof: all checks of RFC 9449, section 4.3, in one pass.

Called by proof.py on every request and by provider.py at the token endpoint.
It never looks at the access token itself, only at its hash and at the key it
is bound to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

from pod_server.errors import Busy
from pod_server.identity.jws import PublicKey, decoded, json_object, public_key, segments
from pod_server.identity.refusals import bad_proof

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
LEEWAY = 60.0
"""Seconds by which a proof's iat may lie in the past or the future."""

MAX_JTI = 128


@dataclass(frozen=True, slots=True)
class Bound:
    """What a proof must be bound to: the token's hash (ath, base64url) and its key's thumbprint (jkt)."""

    ath: str
    jkt: str


class DPoP:
    """Checks proofs; keeps the keys of proven ones, by the exact bytes of their header, and what was used."""

    def __init__(self, replays: Replays, key_limit: int = 4096) -> None:
        self._replays = replays
        self._keys: dict[str, PublicKey] = {}
        self._key_limit = key_limit

    def check(self, proof: str | None, method: str, url: str, now: float, bound: Bound | None) -> str:
        """The thumbprint of the key that made the proof; raises Unauthenticated naming the check that failed.

        bound: None at the token endpoint, where there is no token yet.
        Raises Busy when the replay memory is full.
        """
        if proof is None:
            raise bad_proof("missing", "The request carries no DPoP proof.")
        parts = segments(proof)
        if parts is None:
            raise bad_proof("syntax", "The DPoP header is not one compact JWS of at most 8 kB.")
        header, payload, signature = parts
        key = self._keys.get(header)
        fresh = key is None
        if key is None:
            key = _key_of(header)
        try:
            claims, raw = json_object(payload), decoded(signature)
        except ValueError:
            raise bad_proof("syntax", "The DPoP proof's payload is not a JSON object.") from None
        _check_claims(claims, method, url, now)
        if bound is not None:
            if claims.get("ath") != bound.ath:
                raise bad_proof("ath", "The DPoP proof's ath is not the hash of the access token.")
            if key.jkt != bound.jkt:
                raise bad_proof("jkt", "The access token is bound to another key than the DPoP proof's.")
        if not key.verify(f"{header}.{payload}".encode(), raw):
            raise bad_proof("signature", "The DPoP proof's signature does not fit its key.")
        if fresh:
            self._keep(header, key)
        self._replays.admit(key.jkt, claims["jti"], claims["iat"], now)
        return key.jkt

    def _keep(self, header: str, key: PublicKey) -> None:
        if len(self._keys) >= self._key_limit:
            del self._keys[next(iter(self._keys))]
        self._keys[header] = key


def _key_of(segment: str) -> PublicKey:
    try:
        header = json_object(segment)
    except ValueError:
        raise bad_proof("syntax", "The DPoP proof's header is not a JSON object.") from None
    if header.get("typ") != "dpop+jwt":
        raise bad_proof("typ", "The DPoP proof's typ is not dpop+jwt.")
    if "crit" in header:
        raise bad_proof("crit", "The DPoP proof names critical extensions; none are known here.")
    try:
        return public_key(header.get("jwk"), header.get("alg"))
    except ValueError as error:
        raise bad_proof("key", f"The DPoP proof's key or algorithm is refused: {error}.") from None


def _check_claims(claims: Mapping[str, Any], method: str, url: str, now: float) -> None:
    if claims.get("htm") != method:
        raise bad_proof("htm", "The DPoP proof is for another method.")
    htu = claims.get("htu")
    if htu != url and not (isinstance(htu, str) and _same_url(htu, url)):
        raise bad_proof("htu", "The DPoP proof is for another URL.")
    iat = claims.get("iat")
    if not isinstance(iat, int | float) or isinstance(iat, bool):
        raise bad_proof("iat", "The DPoP proof's iat is not a number.")
    if not now - LEEWAY <= iat <= now + LEEWAY:
        raise bad_proof("iat", f"The DPoP proof was not issued within {LEEWAY:.0f} seconds of now.")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
        raise bad_proof("jti", f"The DPoP proof's jti is not a string of 1 to {MAX_JTI} characters.")


def _same_url(htu: str, url: str) -> bool:
    claimed = _normal_url(htu)
    return claimed is not None and claimed == _normal_url(url)


@lru_cache(maxsize=2048)
def _normal_url(url: str) -> str | None:
    """A URL in the form in which two are compared (RFC 9449, section 4.3, step 9; RFC 3986, section 6.2).

    None when it is no http URL or carries user information.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        return None
    authority = parts.hostname if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{parts.hostname}:{port}"
    return f"{parts.scheme}://{authority}{_ESCAPE.sub(_canonical_escape, parts.path) or '/'}"


def _canonical_escape(escape: re.Match[str]) -> str:
    byte = unquote_to_bytes(escape[0])
    return byte.decode() if byte[0] in _UNRESERVED else escape[0].upper()


class Replays:
    """The proofs already used (RFC 9449, section 11.1); 200,000 of them take about 40 MB.

    It lives in this process alone: one process owns a host, and a proof
    issued before the process started is refused, since its first use may have
    been seen by one that is gone.  It never forgets a proof that could still
    be accepted: when full, it says Busy.

    started: when this process began, in seconds since 1970.  Proofs carry
    whole seconds, so one of the very second of the start is accepted.  What
    stays open: a proof dated ahead of our clock and used before a restart.
    """

    def __init__(self, started: float, limit: int = 200_000) -> None:
        self._started = math.floor(started)
        self._limit = limit
        self._seen: set[str] = set()
        self._by_second: dict[int, list[str]] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, jkt: str, jti: str, iat: float, now: float) -> None:
        """Note a proof's first use; raises Unauthenticated on a second one, Busy when there is no room."""
        if iat < self._started:
            raise bad_proof("start", "The DPoP proof was issued before this host started; make a new one.")
        if self._swept != int(now):
            self._sweep(now)
        key = jkt + jti
        if key in self._seen:
            raise bad_proof("jti", "The DPoP proof has been used before.")
        if len(self._seen) >= self._limit:
            raise Busy("Too many DPoP proofs are remembered at the moment.", retry_after=5)
        self._seen.add(key)
        self._by_second.setdefault(int(iat), []).append(key)

    def _sweep(self, now: float) -> None:
        self._swept = int(now)
        for second in [second for second in self._by_second if second + 1 + LEEWAY < now]:
            self._seen.difference_update(self._by_second.pop(second))
