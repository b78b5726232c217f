"""Receipts: what was delivered and what became of it, signed so that both sides can prove it later.

Called by deliveries.py.  Ed25519 over canonical JSON (RFC 8785 for what is
used here: strings, integers, sorted keys).  The hash of what landed is taken
over RDFC-1.0 with a base that names no pod, so a receipt tells the partner
nothing that it did not know.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


def new_receipt_key() -> bytes:
    """A fresh Ed25519 key as PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Receipts:
    """Signs with the host's key.  pem: Ed25519, as new_receipt_key gives."""

    def __init__(self, pem: bytes) -> None:
        key = load_pem_private_key(pem, None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError("The receipt key is not Ed25519.")
        self._key = key
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = urlsafe_b64encode(raw).rstrip(b"=").decode()

    def signed(self, statement: dict[str, Any]) -> dict[str, Any]:
        """The statement with its signature and the public key that verifies it (base64url)."""
        signature = self._key.sign(signing_bytes(statement))
        return {
            "receipt": statement,
            "signature": urlsafe_b64encode(signature).rstrip(b"=").decode(),
            "key": {"kty": "OKP", "crv": "Ed25519", "x": self.public},
        }


def signing_bytes(statement: dict[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys and no white space."""
    return json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
