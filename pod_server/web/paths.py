"""Request targets to pods and paths: one name is one resource, and nothing escapes its pod.

Called by resources.py for every request.  A path is kept in its normal form
(RFC 3986, section 6.2.2): unreserved characters decoded, the others as
upper-case percent-escapes of UTF-8, so that the IRI of a resource is its base
and its path, byte for byte.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from pod_server.errors import Malformed
from pod_server.terms import ACL_SUFFIX, META_SUFFIX, Path

MAX_PATH = 2048
MAX_LEVELS = 64
_KEPT = "!$&'()*+,;=:@-._~"
_PLAIN = re.compile(r"[A-Za-z0-9\-_~!$&'()*+,;=:@]+(?:\.[A-Za-z0-9\-_~!$&'()*+,;=:@]+)*\.?")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@lru_cache(maxsize=4096)
def split_target(raw: bytes) -> tuple[str, Path]:
    """The pod's name and the path in it, from the path of a request as it was sent.

    Raises Malformed for escapes that are none, encoded slashes, control
    characters, empty or dot segments, anything over 2,048 bytes or 64 levels.
    """
    if len(raw) > MAX_PATH:
        raise Malformed(f"The path is longer than {MAX_PATH} bytes.", limit=MAX_PATH)
    if _BAD_ESCAPE.search(raw) or b"\\" in raw:
        raise Malformed("The path holds a character or an escape that no URL has.")
    segments = raw.decode("latin-1").split("/")
    name, inner = segments[1] if len(segments) > 1 else "", segments[2:]
    if len(inner) > MAX_LEVELS:
        raise Malformed(f"The path has more than {MAX_LEVELS} levels.", limit=MAX_LEVELS)
    if not inner:
        return name, Path("")
    *folders, last = [normal(segment) for segment in inner]
    if "" in folders:
        raise Malformed("The path holds an empty segment.")
    if any(folder.endswith((ACL_SUFFIX, META_SUFFIX)) for folder in folders):
        raise Malformed("A name that ends in .acl or .meta is an auxiliary resource's, never a container's.")
    return name, Path("/" + "/".join([*folders, last]))


def normal(segment: str) -> str:
    """One segment in normal form.  Raises Malformed."""
    if not segment or (_PLAIN.fullmatch(segment) and segment not in (".", "..")):
        return segment
    decoded = unquote_to_bytes(segment.encode("latin-1"))
    if b"/" in decoded or b"\\" in decoded or _CONTROL.search(decoded):
        raise Malformed("The path holds an encoded slash or a control character.")
    if decoded in (b".", b".."):
        raise Malformed("The path holds a dot segment.")
    try:
        return quote(decoded.decode(), safe=_KEPT)
    except UnicodeDecodeError:
        raise Malformed("The path is not UTF-8.") from None


def member_name(slug: str | None, container: bool, random: str) -> str:
    """The name of a new member: from its Slug (RFC 5023, section 9.7) where that gives one, else the random one."""
    try:
        wanted = normal(quote((slug or "").strip().strip("/")[:200].replace("/", "-"), safe=_KEPT))
    except Malformed:
        return random
    if not wanted or wanted.startswith(".") or wanted.lower().endswith((ACL_SUFFIX, META_SUFFIX)):
        return random
    return wanted + "/" if container else wanted
