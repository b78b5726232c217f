"""Who is calling: the Solid-OIDC provider, the proof of each request, and the one guarded way out.

Called by web/ (proofs, provider), by the composition and by pod making
(profiles).  It knows no pod, no policy and no database.
"""

from pod_server.identity.clients import Client, Clients, console_client, hash_secret, new_secret
from pod_server.identity.dpop import DPoP, Replays
from pod_server.identity.external import Issuers, LocalDocument
from pod_server.identity.fetch import Fetch, Fetched
from pod_server.identity.keys import SigningKey, new_key
from pod_server.identity.profile import card, issuers_of
from pod_server.identity.proof import Proofs
from pod_server.identity.provider import OAuthError, Provider

__all__ = [
    "Client",
    "Clients",
    "DPoP",
    "Fetch",
    "Fetched",
    "Issuers",
    "LocalDocument",
    "OAuthError",
    "Proofs",
    "Provider",
    "Replays",
    "SigningKey",
    "card",
    "console_client",
    "hash_secret",
    "issuers_of",
    "new_key",
    "new_secret",
]
