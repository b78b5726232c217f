"""From the headers of a request to the Caller they prove.

Called once on every request, by web/ alone.  A token is verified when it is
first met and kept by its exact bytes until it expires; each proof is verified
every time, since its signature is what cannot be kept.  It never decides what
the caller may do, and it takes no credentials but DPoP-bound tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pod_server.identity.clients import console_client
from pod_server.identity.dpop import Bound, DPoP
from pod_server.identity.external import Issuers
from pod_server.identity.jws import MAX_HEADER, Compact, compact_jws
from pod_server.identity.keys import SigningKey
from pod_server.identity.refusals import bad_token
from pod_server.identity.tokens import (
    Admitted,
    expect_claims,
    foreign_caller,
    instant,
    own_caller,
    text_claim,
    token_hash,
)
from pod_server.terms import PUBLIC, Caller

FOREIGN_LIFE: Final = 300.0
"""Seconds after which another issuer's token is looked into again: its WebID may have stopped naming the issuer."""


class Proofs:
    """Proves callers, for the tokens of this host and of the issuers that WebIDs name.

    issuer: ours.  others: None when only our own tokens are taken.  clock:
    seconds since 1970.  Not for use from several threads.
    """

    def __init__(  # noqa: PLR0913 - three positional, the rest by name
        self,
        issuer: str,
        key: SigningKey,
        dpop: DPoP,
        *,
        clock: Callable[[], float],
        others: Issuers | None = None,
        token_limit: int = 4096,
    ) -> None:
        self._issuer = issuer
        self._key = key
        self._dpop = dpop
        self._clock = clock
        self._others = others
        self._tokens: dict[str, Admitted] = {}
        self._token_limit = token_limit

    async def caller(self, method: str, url: str, authorization: str | None, dpop: str | None) -> Caller:
        """Who is asking; the public when there is no Authorization header at all.

        url: the effective request URL, its query is ignored.  A header that
        came twice must be handed over joined by commas, and is then refused.
        Raises Unauthenticated naming the check that failed, Busy when a memory
        of this room is full.
        """
        if authorization is None:
            return PUBLIC
        scheme, _, token = authorization.partition(" ")
        if scheme != "DPoP" and scheme.lower() != "dpop":
            raise bad_token("scheme", "The Authorization header's scheme is not DPoP.")
        now = self._clock()
        known = self._tokens.get(token)
        if known is None or known.until <= now:
            known = await self._admit(token, now)
        self._dpop.check(dpop, method, url.partition("?")[0], now, known.bound)
        return known.caller

    async def _admit(self, token: str, now: float) -> Admitted:
        """Verify a token that is new here, or that must be looked into again, and keep it."""
        self._tokens.pop(token, None)
        known = await self._verified(token, now)
        if len(self._tokens) >= self._token_limit:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[token] = known
        return known

    async def _verified(self, token: str, now: float) -> Admitted:
        if len(token) > MAX_HEADER:
            raise bad_token("size", "The access token is over 8 kB.")
        try:
            parsed = compact_jws(token)
        except ValueError:
            raise bad_token("syntax", "The access token is not one signed JWT.") from None
        issuer = text_claim(parsed.claims, "iss")
        if issuer is None:
            raise bad_token("iss", "The access token names no issuer.")
        if "crit" in parsed.header:
            raise bad_token("crit", "The access token names critical extensions; none are known here.")
        bound = Bound(token_hash(token), expect_claims(parsed.claims, now))
        until = instant(parsed.claims, "exp")
        if issuer == self._issuer:
            self._expect_own(parsed)
            return Admitted(own_caller(parsed.claims, issuer), bound, until)
        caller = await self._foreign(parsed, issuer)
        return Admitted(caller, bound, min(until, now + FOREIGN_LIFE))

    def _expect_own(self, parsed: Compact) -> None:
        header = parsed.header
        if header.get("typ") != "at+jwt":
            raise bad_token("typ", "The access token's typ is not at+jwt.")
        if header.get("alg") != "ES256" or header.get("kid") != self._key.kid:
            raise bad_token("key", "The access token was not signed with this host's key.")
        if not self._key.public.verify(parsed.signed, parsed.signature):
            raise bad_token("signature", "The access token's signature does not hold.")

    async def _foreign(self, parsed: Compact, issuer: str) -> Caller:
        if self._others is None:
            raise bad_token("iss", "The access token is of an issuer that is not taken here.")
        caller = foreign_caller(parsed.claims, issuer, reserved=console_client(self._issuer))
        await self._others.vouch(parsed, issuer, str(caller.agent))
        return caller
