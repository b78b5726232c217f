"""The header lines of pod resources: what a Solid client finds its way by.

Called by resources.py.  Everything that depends only on the path or the kind
is built once and cached.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from urllib.parse import urlsplit

from pod_server.rdf import READABLE
from pod_server.rdf.vocabulary import ACL, LDP, PIM, SOLID, SPARQL_NS
from pod_server.terms import ROOT, Kind, Mode, Path, acl_of, auxiliary_of, in_landed, meta_of

Headers = list[tuple[bytes, bytes]]
Lines = tuple[tuple[bytes, bytes], ...]

CONDITIONS = ("ClientCondition", "IssuerCondition")
EXPIRY = "https://w3id.org/self-data/access#ExpiryCondition"
EXPOSED = (
    b"Accept-Patch, Accept-Post, Accept-Put, Allow, Content-Disposition, Content-Range, ETag, Last-Modified, Link,"
    b" Location, Retry-After, WAC-Allow, WWW-Authenticate"
)
METHODS = b"GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE"
_ACTIVE = ("text/html", "application/xhtml", "image/svg", "text/xml", "application/xml", "javascript", "ecmascript")
_WORDS = ((Mode.READ, "read"), (Mode.APPEND, "append"), (Mode.WRITE, "write"), (Mode.CONTROL, "control"))
ACCEPT_RDF = ", ".join(READABLE).encode()
LONGEST_ORIGIN = 300
ACCEPT_PATCH = b"text/n3, application/sparql-update"


@lru_cache(maxsize=64)
def wac_allow(user: Mode, public: Mode) -> bytes:
    """The WAC-Allow line (WAC, section 6.1)."""
    return f'user="{_named(user)}",public="{_named(public)}"'.encode()


def _named(modes: Mode) -> str:
    return " ".join(word for mode, word in _WORDS if mode in modes)


def links(root: str, path: Path, kind: Kind) -> bytes:
    """The Link line: types, auxiliary resources, storage description, and on the root the pod's services.

    root: the IRI of the pod without its final slash.
    """
    description = f'<{root}/.pod/description>; rel="{SOLID}storageDescription"'
    if kind is Kind.POLICY:
        conditions = [f'<{ACL}{name}>; rel="{ACL}condition"' for name in CONDITIONS]
        return ", ".join(
            [f'<{LDP}Resource>; rel="type"', description, *conditions, f'<{EXPIRY}>; rel="{ACL}condition"']
        ).encode()
    subject = (auxiliary_of(path) or (path, kind))[0]
    lines = [f'<{LDP}Resource>; rel="type"', f'<{root}{acl_of(subject)}>; rel="acl"', description]
    if kind is not Kind.DESCRIPTION:
        lines.append(f'<{root}{meta_of(path)}>; rel="describedby"')
    if kind is Kind.CONTAINER:
        lines += [f'<{LDP}Container>; rel="type"', f'<{LDP}BasicContainer>; rel="type"']
    if path == ROOT:
        lines += [f'<{PIM}Storage>; rel="type"', f'<{root}/.pod/sparql>; rel="{SPARQL_NS}endpoint"']
    return ", ".join(lines).encode()


def allow(kind: Kind, path_is_root: bool, landed: bool) -> Lines:
    """Allow and the Accept-* lines (Solid Protocol, section 5.2)."""
    methods = ["GET", "HEAD", "OPTIONS"]
    lines: list[tuple[bytes, bytes]] = []
    if not landed or kind is Kind.POLICY:
        methods.append("PUT")
        lines.append((b"accept-put", b"*/*" if kind in (Kind.BINARY, Kind.RDF) else ACCEPT_RDF))
        if kind is Kind.CONTAINER:
            methods.append("POST")
            lines.append((b"accept-post", b"*/*"))
        elif kind is not Kind.BINARY:
            methods.append("PATCH")
            lines.append((b"accept-patch", ACCEPT_PATCH))
        if not path_is_root:
            methods.append("DELETE")
    return ((b"allow", ", ".join(methods).encode()), *lines)


@lru_cache(maxsize=4096)
def described(root: str, path: Path, kind: Kind) -> Lines:
    """All lines that tell what a resource is and takes."""
    is_root = path in (ROOT, acl_of(ROOT))
    return ((b"link", links(root, path, kind)), *allow(kind, is_root, in_landed(path)))


@lru_cache(maxsize=1024)
def content(media_type: str) -> Lines:
    """Content-Type, and the lines that keep content from acting as the host (DESIGN law 7)."""
    lines = [
        (b"content-type", media_type.encode("latin-1")),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"sandbox; default-src 'none'"),
    ]
    if any(active in media_type.lower() for active in _ACTIVE):
        lines.append((b"content-disposition", b"attachment"))
    return tuple(lines)


@lru_cache(maxsize=256)
def cross_origin(origin: str | None) -> Lines:
    """CORS for pod data: any origin, by name, never with cookies (Solid Protocol, section 8)."""
    if origin is None or len(origin) > LONGEST_ORIGIN:
        return ((b"vary", b"Accept, Authorization, Origin"),)
    return (
        (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Accept, Authorization, Origin"),
    )


def preflight(origin: str, requested: str | None) -> Headers:
    """The answer to a CORS preflight: the methods, and the headers that were asked for."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1", "replace")),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", (requested or "").encode("latin-1", "replace")),
        (b"access-control-max-age", b"7200"),
        (b"vary", b"Accept, Authorization, Origin, Access-Control-Request-Headers"),
    ]


@lru_cache(maxsize=4096)
def http_date(instant: int) -> bytes:
    """An instant (whole seconds since 1970) as HTTP writes it."""
    return formatdate(instant, usegmt=True).encode()


@lru_cache(maxsize=8)
def origin_of(base: str) -> str:
    """Scheme and authority of an address."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
