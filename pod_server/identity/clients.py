"""Clients of the provider: apps and partners that sign in as themselves, and apps that log citizens in.

Called by provider.py; the host's database implements ``Clients``.  Secrets
are never kept, only their hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client.

    secret_hash: None for a public client, which can never use
    client_credentials.  webid: the agent it acts as when it signs in as
    itself.  partner: the id of the data holder it is.  redirect_uris: where
    a login may return to.
    """

    id: str
    secret_hash: bytes | None
    webid: str | None
    partner: str | None
    redirect_uris: tuple[str, ...]
    name: str


class Clients(Protocol):
    """Where clients are kept."""

    def find(self, client_id: str) -> Client | None:
        """The client of that id, None when there is none."""

    def add(self, client: Client) -> None:
        """Keep a client, durably before it returns; raises Conflict when the id is taken."""


def console_client(issuer: str) -> str:
    """The client id of the host's own console, which no registration and no grant ever yields."""
    return f"{issuer.rstrip('/')}/.host/console"


def new_secret() -> str:
    """A generated secret: 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """What is kept of a secret.

    Plain SHA-256: our secrets are generated with 256 bits of entropy, so there
    is no dictionary for a slow hash to slow down, and a slow hash would let
    anyone spend our time at the token endpoint.
    """
    return hashlib.sha256(secret.encode()).digest()


def secret_matches(client: Client | None, secret: str) -> bool:
    """Whether the secret is that client's; as slow for an unknown client as for a known one."""
    kept = client.secret_hash if client is not None else None
    same = hmac.compare_digest(kept or bytes(32), hash_secret(secret))
    return same and kept is not None
