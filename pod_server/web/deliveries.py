"""Deliveries over HTTP: a stream of items in, a stream of verdicts and a signed receipt out.

``POST /.host/deliveries`` takes ``application/x-ndjson``, one item a line:
``{"link", "data_set", "period", "version", "media_type", "text" | "base64"}``.
The answer is NDJSON too: a verdict for each item, in order, each durable
before it is sent; last, the receipt.  Reading pauses while verdicts wait, so
a slow receiver slows only itself.  With ``?check`` nothing is written, no
link is needed and nothing is signed: the verdicts are what would be said.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from pod_server.errors import Malformed, PodError, TooLarge, UnsupportedFormat
from pod_server.identity import Proofs
from pod_server.landing.deliveries import Decided, Deliveries
from pod_server.landing.items import Item
from pod_server.landing.receipts import Receipts
from pod_server.rdf import guard_json
from pod_server.store.contract import Clock
from pod_server.terms import Caller

NDJSON = "application/x-ndjson"
LINE_LIMIT = 8 * 1024 * 1024
STREAM_LIMIT = 1024 * 1024 * 1024
_TEXT_FIELDS = ("link", "data_set", "period", "version")
FIELD_LIMIT = 200


def routes(deliveries: Deliveries, proofs: Proofs, receipts: Receipts, clock: Clock, base: str) -> APIRouter:
    """The partners' door.  base: the host's address with its final slash."""
    router = APIRouter()

    @router.post("/.host/deliveries")
    async def deliver(request: Request) -> Response:
        caller = await proofs.caller(
            "POST", f"{base}.host/deliveries", request.headers.get("authorization"), request.headers.get("dpop")
        )
        deliveries.check(caller)
        if request.headers.get("content-type", "").split(";")[0].strip() != NDJSON:
            raise UnsupportedFormat("A delivery is a stream of lines of JSON.", supported=[NDJSON])
        if "check" in request.query_params:
            lines = _rehearsed(deliveries, caller, _items(request))
        else:
            lines = _answered(deliveries, caller, _items(request), receipts, clock)
        return _Lines(lines)

    return router


class _Lines(Response):
    """Lines as they come.  Starlette's own streaming answer listens for the client's end, and so eats the body."""

    def __init__(self, lines: AsyncIterator[bytes]) -> None:
        super().__init__(media_type=NDJSON)
        self._lines = lines
        del self.headers["content-length"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG002 - ASGI's signature
        """Send each line when it is there."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for line in self._lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _answered(
    deliveries: Deliveries, caller: Caller, items: AsyncIterator[Item], receipts: Receipts, clock: Clock
) -> AsyncIterator[bytes]:
    counts: Counter[str] = Counter()
    whole = hashlib.sha256()
    try:
        number = 0
        async for decided in deliveries.deliver(caller, items):
            line = orjson.dumps(_line(number, decided)) + b"\n"
            number += 1
            counts[decided.outcome.value] += 1
            whole.update(line)
            yield line
    except PodError as error:
        yield _problem(error)
    statement = {
        "partner": caller.partner,
        "at": int(clock()),
        "items": sum(counts.values()),
        "outcomes": dict(sorted(counts.items())),
        "verdicts": whole.hexdigest(),
    }
    yield orjson.dumps(receipts.signed(statement)) + b"\n"


async def _rehearsed(deliveries: Deliveries, caller: Caller, items: AsyncIterator[Item]) -> AsyncIterator[bytes]:
    number = 0
    try:
        async for decided in deliveries.rehearse(caller, items):
            yield orjson.dumps(_line(number, decided)) + b"\n"
            number += 1
    except PodError as error:
        yield _problem(error)
    yield orjson.dumps({"checked": number}) + b"\n"


def _problem(error: PodError) -> bytes:
    """A stream has its status already: what ends it is said in its last line but one."""
    return orjson.dumps({"problem": {"kind": error.kind, "detail": error.detail, **_plain(error.fields)}}) + b"\n"


def _line(number: int, decided: Decided) -> dict[str, Any]:
    item = decided.item
    line: dict[str, Any] = {
        "item": number,
        "link": item.link,
        "data_set": item.data_set,
        "period": item.period,
        "version": item.version,
        "outcome": decided.outcome.value,
        "source": hashlib.sha256(item.payload).hexdigest(),
    }
    if decided.content:
        line["content"] = decided.content
    if decided.english:
        line |= {"english": decided.english, "french": decided.french, "faults": list(decided.faults)}
    if decided.repaired or decided.left_out:
        line |= {"repaired": decided.repaired, "left_out": decided.left_out}
    return line


async def _items(request: Request) -> AsyncIterator[Item]:
    """The items of a stream, each checked before the next is read."""
    held, number = b"", 0
    async for piece in _pieces(request):
        *whole, held = (held + piece).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield item_of(line, number)
        if len(held) > LINE_LIMIT:
            raise TooLarge(f"Line {number + 1} is over {LINE_LIMIT} bytes.", limit=LINE_LIMIT, line=number + 1)
    if held.strip():
        yield item_of(held, number + 1)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    taken = 0
    try:
        async for piece in request.stream():
            taken += len(piece)
            if taken > STREAM_LIMIT:
                raise TooLarge("A delivery stream may have at most 1 GB; send the rest in another.", limit=STREAM_LIMIT)
            yield piece
    except ClientDisconnect:
        raise Malformed("The client went away before the delivery was whole.") from None


def item_of(line: bytes, number: int) -> Item:
    """One line as an item.  Raises Malformed naming the line and the field."""
    try:
        guard_json(line)
        fields = orjson.loads(line)
    except Malformed as error:
        raise Malformed(f"Line {number}: {error.detail}", line=number) from None
    except ValueError as error:
        raise Malformed(f"Line {number} is not JSON: {error}.", line=number) from None
    if not isinstance(fields, dict):
        raise Malformed(f"Line {number} is not a JSON object.", line=number)
    for name in _TEXT_FIELDS:
        if not isinstance(fields.get(name), str) or not 0 < len(fields[name]) <= FIELD_LIMIT:
            raise Malformed(
                f"Line {number}: {name} must be a text of 1 to {FIELD_LIMIT} characters.", line=number, field=name
            )
    media_type = fields.get("media_type", "application/json")
    if not isinstance(media_type, str):
        raise Malformed(f"Line {number}: media_type must be a text.", line=number, field="media_type")
    link, data_set, period, version = (str(fields[name]) for name in _TEXT_FIELDS)
    return Item(link, data_set, period, version, media_type, _payload(fields, number))


def _payload(fields: dict[str, Any], number: int) -> bytes:
    text, encoded = fields.get("text"), fields.get("base64")
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if isinstance(encoded, str):
        try:
            return b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise Malformed(f"Line {number}: base64 is not base64.", line=number, field="base64") from None
    raise Malformed(f"Line {number}: an item carries its payload as text or base64.", line=number, field="text")


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if isinstance(value, str | int | float)}
