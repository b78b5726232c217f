"""Failures as answers: the only place that knows which kind is which status (RFC 9457).

Called at the edge of web/.  Each kind has a type URI that the host serves as
a page; every answer carries the request's id, which the log also holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from pod_server.errors import KINDS, PodError, Unauthenticated

STATUS: Mapping[str, int] = {
    "malformed": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "missing": 404,
    "not-allowed": 405,
    "not-acceptable": 406,
    "conflict": 409,
    "condition-failed": 412,
    "too-large": 413,
    "unsupported-format": 415,
    "invalid": 422,
    "busy": 503,
    "limit-reached": 503,
    "storage-full": 507,
    "corrupt": 500,
}

TITLES: Mapping[str, str] = {
    "malformed": "The request does not parse",
    "unauthenticated": "Who is asking is not proven",
    "forbidden": "Not allowed for you",
    "missing": "Not found",
    "not-allowed": "This resource does not take that method",
    "not-acceptable": "No acceptable representation",
    "conflict": "The state of the pod forbids it",
    "condition-failed": "The condition of the request does not hold",
    "too-large": "Too large",
    "unsupported-format": "This media type is not taken here",
    "invalid": "Well-formed, but not valid",
    "busy": "Too busy",
    "limit-reached": "Ended at a limit",
    "storage-full": "No room",
    "corrupt": "Stored bytes are damaged",
    "internal": "An error of the host",
}

MEDIA_TYPE = "application/problem+json"

_Headers = list[tuple[bytes, bytes]]


def problem(error: PodError, request_id: str, base: str) -> tuple[int, _Headers, bytes]:
    """Status, headers and body of a refusal.  base: the host's address, for the type URI and the challenge."""
    status = STATUS[error.kind]
    body = _body(error.kind, status, error.detail, request_id, base) | _json_ready(error.fields)
    headers: _Headers = [(b"content-type", MEDIA_TYPE.encode())]
    if isinstance(error, Unauthenticated):
        headers.append((b"www-authenticate", challenge(base, error).encode("latin-1", "replace")))
    if "allow" in error.fields:
        headers.append((b"allow", ", ".join(error.fields["allow"]).encode()))
    if "retry_after" in error.fields or status == 503:
        headers.append((b"retry-after", str(error.fields.get("retry_after", 1)).encode()))
    return status, headers, orjson.dumps(body)


def internal(request_id: str, base: str) -> tuple[int, _Headers, bytes]:
    """What is said when the host itself failed: nothing but the id under which the log has it."""
    body = _body("internal", 500, "The host failed; its log has the reason under this request's id.", request_id, base)
    return 500, [(b"content-type", MEDIA_TYPE.encode())], orjson.dumps(body)


def challenge(base: str, error: Unauthenticated) -> str:
    """WWW-Authenticate (RFC 9449, section 7.1; Solid-OIDC: as_uri names the issuer)."""
    code = error.fields.get("error")
    reason = f', error="{code}"' if code else ""
    return f'DPoP realm="{base}", as_uri="{base}", algs="ES256 RS256 EdDSA", scope="openid webid"{reason}'


def _body(kind: str, status: int, detail: str, request_id: str, base: str) -> dict[str, Any]:
    return {
        "type": f"{base}.host/problems/{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": detail,
        "request": request_id,
    }


def _json_ready(fields: Mapping[str, Any]) -> dict[str, Any]:
    taken = ("type", "title", "status", "detail", "request")
    return {key: value for key, value in fields.items() if key not in taken and value is not None}


assert set(STATUS) == {kind.kind for kind in KINDS}, "every kind of failure has a status"  # noqa: S101 - at import
