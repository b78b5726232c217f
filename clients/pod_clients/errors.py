"""What can go wrong between a client and a host, as three kinds.

    ClientError
    ├── HostError       the host refused, or did not answer as its interface says
    └── ReceiptError    a receipt does not prove what it should

Raised by every module of this package; none of them holds a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

_SHARED = ("type", "title", "status", "detail", "request")


class ClientError(Exception):
    """Any failure that a caller of this package has to expect, beside httpx's own for a dead network."""


class ReceiptError(ClientError):
    """A receipt's signature, key or counts do not fit what was received."""


class HostError(ClientError):
    """A refusal of a host (RFC 9457).

    status: of HTTP.  type: the URI of the kind of problem.  request: the id
    under which the host's log has it.  fields: whatever else the problem
    says, such as ``line`` or ``retry_after``.
    """

    def __init__(  # noqa: PLR0913 - one keyword per member of a problem document
        self,
        status: int,
        *,
        type_: str = "about:blank",
        title: str = "",
        detail: str = "",
        request: str = "",
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{title} ({status}): {detail}" if detail else f"{title} ({status})")
        self.status = status
        self.type = type_
        self.title = title
        self.detail = detail
        self.request = request
        self.fields = dict(fields or {})

    @property
    def kind(self) -> str:
        """The last word of the type URI, such as ``forbidden``."""
        return self.type.rsplit("/", 1)[-1]


def host_error(response: httpx.Response) -> HostError:
    """The refusal that an answer is; its body must have been read.  OAuth's own errors (RFC 6749) are understood."""
    document = _document(response)
    if "error" in document and "type" not in document:
        return HostError(
            response.status_code, title=str(document["error"]), detail=str(document.get("error_description", ""))
        )
    return HostError(
        response.status_code,
        type_=str(document.get("type", "about:blank")),
        title=str(document.get("title", response.reason_phrase or "Refused")),
        detail=str(document.get("detail", "")),
        request=str(document.get("request", response.headers.get("x-request-id", ""))),
        fields={key: value for key, value in document.items() if key not in _SHARED},
    )


def _document(response: httpx.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
