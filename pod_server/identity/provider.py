"""The Solid-OIDC provider's documents and grants: discovery, keys, tokens for clients, registration.

Called by web/oidc.py, which turns what it answers into HTTP.  It never sees a
citizen's password (accounts and the login pages are elsewhere) and never
stores a token.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

from pod_server.errors import Unauthenticated
from pod_server.identity.clients import Client, Clients, console_client, secret_matches
from pod_server.identity.dpop import DPoP
from pod_server.identity.jws import ALGORITHMS
from pod_server.identity.keys import SigningKey
from pod_server.identity.tokens import AUDIENCE, TOKEN_LIFE

MAX_REDIRECTS: Final = 10
MAX_TEXT: Final = 2048
"""Characters of a redirect URI; a name has at most 200."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class OAuthError:
    """A refusal in OAuth's own shape (RFC 6749, section 5.2; RFC 7591, section 3.2.2); status: of HTTP."""

    error: str
    description: str
    status: int = 400

    def document(self) -> dict[str, str]:
        """The JSON body."""
        return {"error": self.error, "error_description": self.description}


class Provider:
    """Issues tokens for one issuer.

    issuer: our URL, as tokens and profiles spell it.  dpop: shared with
    Proofs, so that a proof used here is used up there.  clock: seconds since
    1970.  random: a text of that many random bytes, as secrets.token_urlsafe.
    """

    def __init__(  # noqa: PLR0913 - four positional, the rest by name
        self,
        issuer: str,
        key: SigningKey,
        clients: Clients,
        dpop: DPoP,
        *,
        clock: Callable[[], float],
        random: Callable[[int], str],
    ) -> None:
        self._issuer = issuer
        self._key = key
        self._clients = clients
        self._dpop = dpop
        self._clock = clock
        self._random = random

    def configuration(self) -> dict[str, Any]:
        """The discovery document (OpenID Connect Discovery 1.0, section 3; Solid-OIDC, section 5).

        The authorization endpoint is named here once there are login pages.
        """
        base = self._issuer.rstrip("/")
        return {
            "issuer": self._issuer,
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "token_endpoint": f"{base}/.host/oidc/token",
            "registration_endpoint": f"{base}/.host/oidc/register",
            "scopes_supported": ["openid", "webid"],
            "response_types_supported": [],
            "grant_types_supported": ["client_credentials"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
            "claims_supported": ["iss", "sub", "aud", "azp", "client_id", "exp", "iat", "jti", "webid", "cnf"],
            "solid_oidc_supported": "https://solidproject.org/TR/solid-oidc",
        }

    def jwks(self) -> dict[str, Any]:
        """The public keys (RFC 7517)."""
        return self._key.jwks()

    def token(
        self, form: Mapping[str, str], authorization: str | None, dpop: str | None, url: str
    ) -> dict[str, Any] | OAuthError:
        """A token for a client that signs in as itself (RFC 6749, section 4.4; RFC 9449, section 5).

        form: the decoded form fields.  url: of this endpoint, as the client
        called it (POST).  Raises Busy when the memory of proofs is full.
        """
        client = self._authenticated(authorization)
        if isinstance(client, OAuthError):
            return client
        refusal = _grant_refused(form, client)
        if refusal is not None:
            return refusal
        now = self._clock()
        try:
            jkt = self._dpop.check(dpop, "POST", url.partition("?")[0], now, None)
        except Unauthenticated as error:
            return OAuthError("invalid_dpop_proof", error.detail)
        return {
            "access_token": self._key.sign(self._claims(client, jkt, int(now)), "at+jwt"),
            "token_type": "DPoP",
            "expires_in": TOKEN_LIFE,
            "scope": "webid",
        }

    def register(self, document: object) -> dict[str, Any] | OAuthError:
        """A new public client (RFC 7591); its id is ours to choose, so it is never a URL nor the console's.

        document: the parsed JSON body.  No secret is given, so the client can
        log citizens in with PKCE and can never use client_credentials.
        """
        if not isinstance(document, dict):
            return OAuthError("invalid_client_metadata", "The body is not a JSON object.")
        redirects, name = document.get("redirect_uris"), document.get("client_name", "")
        if not isinstance(redirects, list) or not 0 < len(redirects) <= MAX_REDIRECTS:
            return OAuthError("invalid_redirect_uri", f"redirect_uris is a list of 1 to {MAX_REDIRECTS} URIs.")
        if not all(_redirect_allowed(uri) for uri in redirects):
            return OAuthError(
                "invalid_redirect_uri", "A redirect URI is https (or http on loopback), without fragment or user."
            )
        if not isinstance(name, str) or len(name) > 200:
            return OAuthError("invalid_client_metadata", "client_name is a text of at most 200 characters.")
        client = Client(self._random(16), None, None, None, tuple(redirects), name)
        self._clients.add(client)
        return {
            "client_id": client.id,
            "client_id_issued_at": int(self._clock()),
            "client_name": client.name,
            "redirect_uris": redirects,
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code"],
            "response_types": ["code"],
        }

    def _authenticated(self, authorization: str | None) -> Client | OAuthError:
        credentials = _basic(authorization)
        if credentials is None:
            return OAuthError("invalid_client", "The client signs in by HTTP Basic with its id and secret.", 401)
        client = self._clients.find(credentials[0])
        if not secret_matches(client, credentials[1]) or client is None or client.id == console_client(self._issuer):
            return OAuthError("invalid_client", "There is no such client, or the secret is not its own.", 401)
        return client

    def _claims(self, client: Client, jkt: str, now: int) -> dict[str, Any]:
        claims = {
            "iss": self._issuer,
            "aud": AUDIENCE,
            "sub": client.webid or client.id,
            "client_id": client.id,
            "azp": client.id,
            "iat": now,
            "exp": now + TOKEN_LIFE,
            "jti": self._random(16),
            "cnf": {"jkt": jkt},
            "webid": client.webid,
            "partner": client.partner,
        }
        return {name: value for name, value in claims.items() if value is not None}


def _grant_refused(form: Mapping[str, str], client: Client) -> OAuthError | None:
    grant = form.get("grant_type")
    if grant is None:
        return OAuthError("invalid_request", "There is no grant_type.")
    if grant != "client_credentials":
        return OAuthError("unsupported_grant_type", "Only client_credentials is granted here.")
    if client.webid is None and client.partner is None:
        return OAuthError("unauthorized_client", "The client is neither an agent nor a partner.")
    return None


def _basic(authorization: str | None) -> tuple[str, str] | None:
    """Id and secret of HTTP Basic, each form-decoded (RFC 6749, section 2.3.1); None when they are not there."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > MAX_TEXT:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, secret = text.partition(":")
    return (unquote_plus(name), unquote_plus(secret)) if colon else None


def _redirect_allowed(uri: object) -> bool:
    if not isinstance(uri, str) or len(uri) > MAX_TEXT or not uri.isascii() or not uri.isprintable() or " " in uri:
        return False
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        return False
    if not host or "#" in uri or "\\" in uri or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)
