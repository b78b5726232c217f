"""The closed list of failures; every refusal of this project is one of these.

    PodError
    ├── Malformed           the bytes do not parse: names line and column where known
    ├── Unauthenticated     no proof of who is calling, or a proof that does not hold
    ├── Forbidden           the caller is known and may not
    ├── Missing             there is no such thing, or the caller may not know of it
    ├── NotAllowed          the thing exists but never takes this operation
    ├── NotAcceptable       no representation fits what the caller accepts
    ├── Conflict            the state forbids it: not empty, protected, moved under the writer's feet
    ├── ConditionFailed     an ETag condition did not hold
    ├── TooLarge            more bytes than the limit says
    ├── UnsupportedFormat   a media type or encoding that is not taken
    ├── Invalid             well-formed, but not what a shape or a rule asks for; carries a report
    ├── Busy                a queue is full: come back later
    ├── LimitReached        the work was ended at its limit of time or memory
    ├── StorageFull         no room on the disk or in the quota
    └── Corrupt             stored bytes are not what was written; nobody's request can mend it

No HTTP words here: ``web/problems.py`` alone maps a kind to a status.  A
PodError crosses process borders, so it pickles with all its fields.
"""

from __future__ import annotations

from typing import Any, ClassVar


class PodError(Exception):
    """A refusal with a stable kind, one sentence for people, and fields for programs.

    detail: what went wrong and where, in one sentence.  fields: JSON-ready
    values such as ``line``, ``column``, ``field``, ``retry_after`` (seconds).
    """

    kind: ClassVar[str] = "error"

    def __init__(self, detail: str, **fields: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.detail, self.fields)


def _rebuild(kind: type[PodError], detail: str, fields: dict[str, Any]) -> PodError:
    return kind(detail, **fields)


class Malformed(PodError):
    """The bytes are not in the syntax they claim; fields line and column (1-based) where the parser knows."""

    kind = "malformed"


class Unauthenticated(PodError):
    """There is no proof of the caller, or it does not hold (RFC 9449, Solid-OIDC)."""

    kind = "unauthenticated"


class Forbidden(PodError):
    """The caller is known, and no rule lets them do this."""

    kind = "forbidden"


class Missing(PodError):
    """Nothing is here, or nothing that this caller may know of."""

    kind = "missing"


class NotAllowed(PodError):
    """This resource never takes this operation; field allow lists what it takes."""

    kind = "not-allowed"


class NotAcceptable(PodError):
    """No representation matches; field available lists the media types that would."""

    kind = "not-acceptable"


class Conflict(PodError):
    """The state of the pod forbids the change."""

    kind = "conflict"


class ConditionFailed(PodError):
    """If-Match or If-None-Match did not hold (RFC 9110, section 13)."""

    kind = "condition-failed"


class TooLarge(PodError):
    """The input is over a limit; field limit in bytes."""

    kind = "too-large"


class UnsupportedFormat(PodError):
    """The media type is not taken here; field supported lists those that are."""

    kind = "unsupported-format"


class Invalid(PodError):
    """Well-formed input that breaks a shape or a rule; field report holds the results when there are any."""

    kind = "invalid"


class Busy(PodError):
    """A queue is full; field retry_after in seconds."""

    kind = "busy"


class LimitReached(PodError):
    """The work was ended at its limit of time or memory; field limit names it."""

    kind = "limit-reached"


class StorageFull(PodError):
    """The disk or the quota has no room; nothing was changed."""

    kind = "storage-full"


class Corrupt(PodError):
    """Stored bytes differ from what was written."""

    kind = "corrupt"


KINDS: tuple[type[PodError], ...] = (
    Malformed,
    Unauthenticated,
    Forbidden,
    Missing,
    NotAllowed,
    NotAcceptable,
    Conflict,
    ConditionFailed,
    TooLarge,
    UnsupportedFormat,
    Invalid,
    Busy,
    LimitReached,
    StorageFull,
    Corrupt,
)
