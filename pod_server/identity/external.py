"""Tokens of other issuers: the issuer's keys by discovery, and the WebID that must name the issuer.

Called by proof.py when it first meets such a token (Solid-OIDC, 2022-03-28,
section 9.1).  What this host serves is read from the store and never fetched;
everything else comes through fetch.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from pod_server.errors import Busy, Malformed, PodError, TooLarge, Unauthenticated
from pod_server.identity.fetch import Fetch, Fetched
from pod_server.identity.jws import Compact, PublicKey, public_key
from pod_server.identity.profile import issuers_of
from pod_server.identity.refusals import bad_token
from pod_server.identity.remembered import Remembered
from pod_server.rdf import Syntax, parse, syntax_of

LocalDocument = Callable[[str], tuple[bytes, Syntax] | None]
"""The bytes that this host serves for an IRI without fragment; None when it serves none there."""

DEADLINE: Final = 8.0
"""Seconds for all that is read elsewhere for one token."""
MAX_PROFILE: Final = 64 * 1024
"""Bytes of a WebID's document: what is larger would be parsed too long beside the other requests."""
_ROTATION: Final = 30.0
_MAX_KEYS: Final = 64
_RDF: Final = "text/turtle, application/ld+json;q=0.9, application/n-triples;q=0.8, application/rdf+xml;q=0.5"

JsonObject = Mapping[str, Any]


class Issuers:
    """Looks into other issuers and the WebIDs they speak for; five minutes' memory, bounded.

    own: this host's issuer; nothing on its host or below is ever fetched.
    """

    def __init__(self, fetch: Fetch, own: str, local_document: LocalDocument, *, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._own = urlsplit(own).netloc.lower()
        self._local_document = local_document
        self._keys = Remembered(self._read_keys, clock)
        self._profiles = Remembered(self._read_profile, clock)

    async def vouch(self, token: Compact, issuer: str, webid: str) -> None:
        """Refuse a token that its issuer did not sign, or whose WebID does not name that issuer.

        Raises Unauthenticated, or Busy when too much is being fetched.
        """
        if self._is_ours(issuer) or "?" in issuer or "#" in issuer:
            raise bad_token("iss", "The access token's issuer is not spelt as this host, or is no issuer's URL.")
        try:
            async with asyncio.timeout(DEADLINE):
                await self._expect_signed(token, issuer)
                named = await self._issuers_named_by(webid)
        except TimeoutError:
            raise bad_token("slow", "The issuer or the WebID's document did not answer in time.") from None
        if issuer.rstrip("/") not in named:
            raise bad_token("webid", "The WebID's document does not name the token's issuer (solid:oidcIssuer).")

    async def _expect_signed(self, token: Compact, issuer: str) -> None:
        kid = token.header.get("kid")
        jwk = _pick(await self._keys.get(issuer), kid)
        if jwk is None:  # the issuer may have changed its keys since
            jwk = _pick(await self._keys.get(issuer, older_than=_ROTATION), kid)
        if jwk is None:
            raise bad_token("key", "The issuer publishes no key of the access token's kid.")
        if not _verifier(jwk, token.header.get("alg")).verify(token.signed, token.signature):
            raise bad_token("signature", "The access token's signature does not hold.")

    async def _read_keys(self, issuer: str) -> list[JsonObject]:
        discovered = await self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        said, keys_at = discovered.get("issuer"), discovered.get("jwks_uri")
        if not isinstance(said, str) or said.rstrip("/") != issuer.rstrip("/"):
            raise bad_token("iss", "The issuer's discovery document is about another issuer.")
        if not isinstance(keys_at, str):
            raise bad_token("iss", "The issuer's discovery document names no jwks_uri.")
        keys = (await self._json(keys_at)).get("keys")
        if not isinstance(keys, list) or len(keys) > _MAX_KEYS:
            raise bad_token("iss", "The issuer's key set holds no list of at most 64 keys.")
        return [key for key in keys if isinstance(key, dict) and key.get("use", "sig") == "sig"]

    async def _json(self, url: str) -> JsonObject:
        try:
            document = orjson.loads((await self._get(url, "application/json")).body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise bad_token("iss", "A document of the issuer is not a JSON object.")
        return document

    async def _issuers_named_by(self, webid: str) -> frozenset[str]:
        document = webid.partition("#")[0]
        local = self._local_document(document)
        if local is not None:
            return _issuers_in(local[0], local[1], document, webid)
        return await self._profiles.get(webid)

    async def _read_profile(self, webid: str) -> frozenset[str]:
        found = await self._get(webid.partition("#")[0], _RDF)
        syntax = syntax_of(found.media_type)
        if syntax is None:
            raise bad_token("webid", "The WebID's document is not RDF.")
        return _issuers_in(found.body, syntax, found.url, webid)

    async def _get(self, url: str, accept: str) -> Fetched:
        if self._is_ours(url):
            raise bad_token("webid", "The WebID's document is not on this host, although its URL is.")
        try:
            return await self._fetch.get(url, accept)
        except (Busy, Unauthenticated):
            raise
        except PodError as error:
            raise bad_token(
                "unreadable", f"A document that vouches for the token is not read: {error.detail}"
            ) from None

    def _is_ours(self, url: str) -> bool:
        try:
            place = urlsplit(url).netloc.lower()
        except ValueError:
            return False
        return place == self._own or place.endswith(f".{self._own}")


def _pick(keys: list[JsonObject], kid: object) -> JsonObject | None:
    """The key of that id; without an id, the only key there is."""
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.get("kid") == kid), None)


def _verifier(jwk: JsonObject, alg: object) -> PublicKey:
    if jwk.get("alg", alg) != alg:
        raise bad_token("key", "The issuer's key is for another algorithm than the access token's.")
    try:
        return public_key(jwk, alg)
    except ValueError as error:
        raise bad_token("key", f"The issuer's key or algorithm is refused: {error}.") from None


def _issuers_in(body: bytes, syntax: Syntax, base: str, webid: str) -> frozenset[str]:
    """The issuers that a WebID's document names for it, without their final slashes."""
    try:
        if len(body) > MAX_PROFILE:
            raise TooLarge(f"it is over {MAX_PROFILE} bytes.", limit=MAX_PROFILE)
        statements = parse(body, syntax, base)
    except (Malformed, TooLarge) as error:
        raise bad_token("webid", f"The WebID's document does not parse: {error.detail}") from None
    return frozenset(issuer.rstrip("/") for issuer in issuers_of(statements, webid))
