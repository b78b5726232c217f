"""The hash chains of the two logs: order for good, content erasable (DESIGN law 8).

A row's digest is taken over a random salt and its content; the chain is taken
over digests alone.  Erasing a row drops salt and content and leaves the chain
whole.  Called by tree.py, readlog.py and verify.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

START = b"\x00" * 32
"""What stands before the first row."""


def digest(salt: bytes, content: Sequence[Any]) -> bytes:
    """The salted SHA-256 of a row's content."""
    return hashlib.sha256(salt + orjson.dumps(list(content))).digest()


def link(previous: bytes, row_digest: bytes) -> bytes:
    """The chain after a row."""
    return hashlib.sha256(previous + row_digest).digest()
