"""Compact JSON Web Signatures, read strictly: three segments, JSON objects, and keys that verify.

Called by dpop.py, tokens.py and external.py, on every request: this is the hot
path, so it stands on ``cryptography`` alone.  It never decides which key may
be trusted, and it never accepts a symmetric or absent algorithm (RFC 8725,
section 3).
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

MAX_HEADER: Final = 8192
"""Bytes of one Authorization or DPoP header's credentials."""

_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_URL_TO_PLAIN: Final = str.maketrans("-_", "+/")
_PRIVATE_PARTS: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_CURVES: Final[Mapping[str, tuple[str, int, ec.EllipticCurve]]] = {
    "ES256": ("P-256", 32, ec.SECP256R1()),
    "ES384": ("P-384", 48, ec.SECP384R1()),
}
ALGORITHMS: Final = ("ES256", "ES384", "RS256", "PS256", "EdDSA", "Ed25519")
"""What a proof or a foreign token may be signed with (RFC 7518, RFC 8037, RFC 9864)."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies: jkt is its RFC 7638 thumbprint; verify(signed bytes, signature) says whether they fit."""

    jkt: str
    verify: Callable[[bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Compact:
    """A parsed but unverified compact JWS; signed: the bytes under the signature."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def segments(compact: str) -> tuple[str, str, str] | None:
    """The three segments of a compact JWS, still encoded; None when it is not one or is over 8 kB."""
    if len(compact) > MAX_HEADER or _COMPACT.fullmatch(compact) is None:
        return None
    header, payload, signature = compact.split(".")
    return header, payload, signature


def decoded(segment: str) -> bytes:
    """Base64url without padding (RFC 7515, section 2); raises ValueError."""
    plain = segment.translate(_URL_TO_PLAIN) + "=" * (-len(segment) % 4)
    return binascii.a2b_base64(plain, strict_mode=True)


def json_object(segment: str) -> dict[str, Any]:
    """The JSON object that a segment holds; raises ValueError for anything else, infinite numbers included."""
    value = orjson.loads(decoded(segment))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def compact_jws(text: str) -> Compact:
    """A compact JWS taken apart, nothing verified; raises ValueError when it is not one."""
    parts = segments(text)
    if parts is None:
        raise ValueError("not a compact JWS")
    header, payload, signature = parts
    return Compact(json_object(header), json_object(payload), f"{header}.{payload}".encode(), decoded(signature))


def public_key(jwk: object, alg: object) -> PublicKey:
    """The key of a JWK for one algorithm; raises ValueError saying what is wrong with either.

    Private and symmetric keys are refused (RFC 9449, section 4.3, step 7), as
    are RSA keys outside 2048 to 4096 bits: larger ones are a cheap way to
    spend our time.
    """
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise ValueError(f"the algorithm is not one of {', '.join(ALGORITHMS)}")
    if not isinstance(jwk, dict):
        raise ValueError("there is no key")
    if not _PRIVATE_PARTS.isdisjoint(jwk):
        raise ValueError("the key holds a private or a symmetric part")
    try:
        return _BUILDERS[alg](jwk, alg)
    except KeyError as error:
        raise ValueError(f"the key has no {error.args[0]}") from None


def _thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638, over the members as the key spells them."""
    digest = hashlib.sha256(orjson.dumps(members, option=orjson.OPT_SORT_KEYS)).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _members(jwk: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Only what makes the key: key_ops, x5c and the like say nothing that we trust."""
    members = {name: jwk.get(name) for name in names}
    return {name: value for name, value in members.items() if isinstance(value, str)}


def _number(members: Mapping[str, str], name: str) -> int:
    return int.from_bytes(decoded(members[name]), "big")


def _ec(jwk: Mapping[str, Any], alg: str) -> PublicKey:
    name, size, curve = _CURVES[alg]
    members = _members(jwk, "kty", "crv", "x", "y")
    if members["kty"] != "EC" or members["crv"] != name:
        raise ValueError("the key is not on the algorithm's curve")
    raw = ec.EllipticCurvePublicNumbers(_number(members, "x"), _number(members, "y"), curve).public_key()
    digest = ec.ECDSA(SHA256() if alg == "ES256" else SHA384())

    def verify(signed: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * size:
            return False
        first, second = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        try:
            raw.verify(encode_dss_signature(first, second), signed, digest)
        except InvalidSignature:
            return False
        return True

    return PublicKey(_thumbprint(members), verify)


def _rsa(jwk: Mapping[str, Any], alg: str) -> PublicKey:
    members = _members(jwk, "kty", "n", "e")
    if members["kty"] != "RSA":
        raise ValueError("the key is not an RSA key")
    modulus, exponent = _number(members, "n"), _number(members, "e")
    if not 2048 <= modulus.bit_length() <= 4096 or exponent.bit_length() > 32:
        raise ValueError("an RSA key has 2048 to 4096 bits and a small exponent")
    raw = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    digest = SHA256()
    pad = padding.PKCS1v15() if alg == "RS256" else padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)

    def verify(signed: bytes, signature: bytes) -> bool:
        try:
            raw.verify(signature, signed, pad, digest)
        except InvalidSignature:
            return False
        return True

    return PublicKey(_thumbprint(members), verify)


def _ed25519(jwk: Mapping[str, Any], _: str) -> PublicKey:
    members = _members(jwk, "kty", "crv", "x")
    if members["kty"] != "OKP" or members["crv"] != "Ed25519":
        raise ValueError("the key is not on Ed25519")
    raw = ed25519.Ed25519PublicKey.from_public_bytes(decoded(members["x"]))

    def verify(signed: bytes, signature: bytes) -> bool:
        try:
            raw.verify(signature, signed)
        except InvalidSignature:
            return False
        return True

    return PublicKey(_thumbprint(members), verify)


_BUILDERS: Final[Mapping[str, Callable[[Mapping[str, Any], str], PublicKey]]] = {
    "ES256": _ec,
    "ES384": _ec,
    "RS256": _rsa,
    "PS256": _rsa,
    "EdDSA": _ed25519,
    "Ed25519": _ed25519,
}
