"""Access tokens: what one must say before anyone believes it, and whom it then speaks for.

Called by proof.py when it meets a token for the first time, and by
provider.py when it makes one.  It verifies no signature and fetches nothing.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pod_server.identity.dpop import Bound
from pod_server.identity.refusals import bad_token
from pod_server.terms import Caller

AUDIENCE: Final = "solid"
TOKEN_LIFE: Final = 600
"""Seconds for which a token of ours holds."""
SKEW: Final = 60.0
"""Seconds by which another clock may run ahead of ours."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A verified token: who it speaks for, what proofs are bound to, when (seconds since 1970) to look again."""

    caller: Caller
    bound: Bound
    until: float


def expect_claims(claims: Mapping[str, Any], now: float) -> str:
    """The key's thumbprint (cnf.jkt) of a token whose dates, audience and binding hold; raises Unauthenticated.

    Solid-OIDC (2022-03-28, section 9), OpenID Connect Core (section 3.1.3.7),
    RFC 9068 (section 4), RFC 9449 (section 6.1).
    """
    if not instant(claims, "exp") > now:
        raise bad_token("exp", "The access token has expired.")
    for name in ("nbf", "iat"):
        if name in claims and instant(claims, name) > now + SKEW:
            raise bad_token(name, f"The access token's {name} lies in the future.")
    audience = claims.get("aud")
    if audience != AUDIENCE and not (isinstance(audience, list) and AUDIENCE in audience):
        raise bad_token("aud", f'The access token is not for the audience "{AUDIENCE}".')
    confirmation = claims.get("cnf")
    jkt = confirmation.get("jkt") if isinstance(confirmation, dict) else None
    if not isinstance(jkt, str) or not jkt:
        raise bad_token("cnf", "The access token is not bound to a key (cnf.jkt).")
    return jkt


def instant(claims: Mapping[str, Any], name: str) -> float:
    """A date among the claims, in seconds since 1970; raises Unauthenticated when it is none."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise bad_token(name, f"The access token's {name} is not a number.")
    return float(value)


def text_claim(claims: Mapping[str, Any], *names: str) -> str | None:
    """The first of those claims that is there; raises Unauthenticated when it is not a text."""
    for name in names:
        if name in claims:
            value = claims[name]
            if not isinstance(value, str) or not value:
                raise bad_token(name, f"The access token's {name} is not a text.")
            return value
    return None


def own_caller(claims: Mapping[str, Any], issuer: str) -> Caller:
    """Whom a token of this host speaks for: an agent, a partner, or both."""
    return Caller(text_claim(claims, "webid"), text_claim(claims, "azp"), issuer, text_claim(claims, "partner"))


def foreign_caller(claims: Mapping[str, Any], issuer: str, *, reserved: str) -> Caller:
    """Whom another issuer's token speaks for: never a partner, and never through the reserved client."""
    webid = text_claim(claims, "webid")
    if webid is None:
        raise bad_token("webid", "The access token names no WebID.")
    client = text_claim(claims, "azp", "client_id")
    if client == reserved:
        raise bad_token("azp", "No other issuer speaks for this host's console.")
    return Caller(webid, client, issuer)


def token_hash(token: str) -> str:
    """The ath of a token: base64url of its SHA-256 (RFC 9449, section 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
