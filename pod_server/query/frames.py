"""How a host and its view workers talk: frames of one JSON header and one body of bytes, over a socket pair.

Called by views.py and worker.py.  Nothing here is ever unpickled: a worker that an engine turned hostile can send
wrong answers, but no code.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from pod_server.errors import KINDS, LimitReached, PodError

LENGTHS: Final = struct.Struct(">IQ")
"""The lengths, in bytes, of the header and of the body that follow."""

_BY_KIND: Final = {kind.kind: kind for kind in KINDS}


def head(header: Mapping[str, Any], body_length: int = 0) -> bytes:
    """The lengths and the header of a frame; body_length bytes have to follow."""
    written = orjson.dumps(header)
    return LENGTHS.pack(len(written), body_length) + written


def loaded(header: bytes | memoryview) -> dict[str, Any]:
    """A header from its bytes; refuses what is no JSON object."""
    found: dict[str, Any] = dict(orjson.loads(header))
    return found


class Frames:
    """Bytes as they come, cut into frames."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any], memoryview]]:
        """Every frame that is complete with these bytes: its header and a view of its body."""
        self._held += data
        while len(self._held) >= LENGTHS.size:
            header_length, body_length = LENGTHS.unpack_from(self._held)
            body_at = LENGTHS.size + header_length
            end = body_at + body_length
            if len(self._held) < end:
                return
            frame, self._held = self._held[:end], self._held[end:]
            yield loaded(memoryview(frame)[LENGTHS.size : body_at]), memoryview(frame)[body_at:]


def described(error: PodError) -> dict[str, Any]:
    """A refusal as a header."""
    return {"error": error.kind, "detail": error.detail, "fields": error.fields}


def refusal(header: Mapping[str, Any]) -> PodError | None:
    """The refusal that a header carries, None when it carries an answer."""
    if "error" not in header:
        return None
    return _BY_KIND.get(header["error"], LimitReached)(header["detail"], **header["fields"])
