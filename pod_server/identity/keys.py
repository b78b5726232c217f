"""The host's own signing key: ES256, from PEM bytes that the host's database keeps.

Called by the composition (once at start), provider.py (mint, publish) and
proof.py (verify what we minted).  It never writes the private key anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from pod_server.errors import Corrupt
from pod_server.identity.jws import PublicKey, public_key


def new_key() -> bytes:
    """A fresh P-256 private key as PKCS #8 PEM."""
    return ECKey.generate_key("P-256", private=True).as_pem(private=True)


class SigningKey:
    """A P-256 private key with its RFC 7638 thumbprint as key id."""

    def __init__(self, pem: bytes) -> None:
        try:
            self._key = ECKey.import_key(pem)
        except ValueError as error:
            raise Corrupt("The host's signing key does not parse.") from error
        if self._key.curve_name != "P-256" or not self._key.is_private:
            raise Corrupt("The host's signing key is not a private P-256 key.")
        self.kid = self._key.thumbprint()
        self._document: dict[str, Any] = {**self._key.as_dict(private=False)}
        self.public: PublicKey = public_key(self._document, "ES256")

    def jwks(self) -> dict[str, Any]:
        """The public half as a JWK set (RFC 7517)."""
        return {"keys": [{**self._document, "kid": self.kid, "alg": "ES256", "use": "sig"}]}

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """A signed JWT of that media type; the header names this key."""
        return jwt.encode({"alg": "ES256", "kid": self.kid, "typ": typ}, dict(claims), self._key, algorithms=["ES256"])
