"""Receipts: the host's signed word on a delivery, checked against what was received.

Used by partner.py.  Ed25519 over JSON with sorted keys and no white space
(RFC 8785 for texts and integers); nothing is taken from a receipt unproven.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pod_clients.errors import ReceiptError


def check_receipt(document: Mapping[str, Any], key: str, verdicts: str, items: int) -> Mapping[str, Any]:
    """The statement of a receipt that holds.

    key: the host's public key as it publishes it (base64url).  verdicts:
    SHA-256 (hex) of the verdict lines as received.  items: how many there
    were.  Raises ReceiptError.
    """
    statement = document.get("receipt")
    if not isinstance(statement, dict):
        raise ReceiptError("The answer's last line is no receipt.")
    written = json.dumps(statement, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    try:
        Ed25519PublicKey.from_public_bytes(_decoded(key)).verify(_decoded(str(document.get("signature", ""))), written)
    except (InvalidSignature, ValueError):
        raise ReceiptError("The receipt's signature is not made with the key that this host publishes.") from None
    if statement.get("verdicts") != verdicts or statement.get("items") != items:
        raise ReceiptError("The receipt is signed, but for other verdicts than those received.")
    return statement


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
