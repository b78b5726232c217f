"""Pod resources over HTTP: GET, HEAD, OPTIONS, PUT, POST, PATCH, DELETE (Solid Protocol, section 5).

A plain ASGI application, called by app.py for every path that is not the
host's own.  It turns requests into calls of pod.py and their results into
answers; it decides nothing and knows no SQL.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from pod_server.asking import refusal
from pod_server.errors import Corrupt, Malformed, NotAllowed, TooLarge, UnsupportedFormat
from pod_server.identity.proof import Proofs
from pod_server.patch import read_n3_patch, read_sparql_update
from pod_server.pod import NO_CONDITIONS, Conditions, Pods, Representation, Target, Upload, Written
from pod_server.rdf import syntax_of
from pod_server.rdf.guards import MAX_RDF_BYTES
from pod_server.store.bodies import INLINE_LIMIT
from pod_server.terms import Caller, Kind, Mode, Path, auxiliary_of, is_container
from pod_server.web import headers as lines
from pod_server.web.paths import member_name, split_target

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

CHUNK = 256 * 1024
IDLE_SECONDS = 60
PATCH_TYPES = {"text/n3": read_n3_patch, "application/sparql-update": read_sparql_update}
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_NAME}/{_NAME}(\s*;[\x20-\x7e\xa0-\xff]{{0,400}})?")
"""RFC 6838, section 4.2; parameters as they come."""
_CONDITIONAL = {"if-match", "if-none-match"}
_CONTAINER_LINK = "http://www.w3.org/ns/ldp#BasicContainer"
_ANY_CONTAINER_LINK = "http://www.w3.org/ns/ldp#Container"


@dataclass(slots=True)
class Request:
    """One request to a pod's resource, as far as it was read."""

    scope: Scope
    receive: Receive
    headers: dict[str, str]
    target: Target
    caller: Caller
    root: str
    origin: str | None


class Resources:
    """See the module."""

    def __init__(self, pods: Pods, proofs: Proofs, base: str, body_limit: int) -> None:
        self._pods = pods
        self._proofs = proofs
        self._base = base
        self._origin = lines.origin_of(base)
        self._body_limit = body_limit
        self._methods: dict[str, Callable[[Request, Send], Awaitable[None]]] = {
            "GET": self._get,
            "HEAD": self._get,
            "OPTIONS": self._options,
            "PUT": self._put,
            "POST": self._post,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.  Refusals are raised; app.py makes problems of them."""
        method = self._methods.get(scope["method"])
        if method is None:
            raise NotAllowed(f"{scope['method'][:20]} is not taken here.", allow=list(self._methods))
        headers = headers_of(scope)
        if "host" not in headers and scope["http_version"] == "1.1":
            raise Malformed("An HTTP/1.1 request names its host.")
        name, path = split_target(scope["raw_path"])
        if path == "":
            await self._to_root(name, headers, send)
            return
        caller = await self._proofs.caller(
            scope["method"],
            self._origin + scope["raw_path"].decode("latin-1"),
            headers.get("authorization"),
            headers.get("dpop"),
        )
        target = self._pods.locate(name, path)
        request = Request(scope, receive, headers, target, caller, self._base + name, headers.get("origin"))
        await method(request, send)

    async def _to_root(self, name: str, headers: dict[str, str], send: Send) -> None:
        """``/alice`` is not a resource; its pod's root is at ``/alice/``."""
        self._pods.locate(name, Path("/"))
        await answer(send, 308, [(b"location", f"{self._base}{name}/".encode())], b"", headers.get("origin"))

    async def _get(self, request: Request, send: Send) -> None:
        found = self._pods.read(request.caller, request.target, request.headers.get("accept"))
        fields = [
            *lines.content(found.media_type),
            (b"etag", found.etag.encode()),
            (b"last-modified", lines.http_date(int(found.modified))),
            (b"wac-allow", lines.wac_allow(found.modes, found.public)),
            (b"cache-control", b"private, no-cache"),
            *lines.described(request.root, found.path, found.kind),
        ]
        tags = _tags(request.headers.get("if-none-match")) if "if-none-match" in request.headers else None
        if tags is not None and (found.etag in tags or "*" in tags):
            return await answer(send, 304, fields[3:], b"", request.origin)
        if found.stored_as is not None:
            found = await self._pods.converted(request.target, found)
            if not self._pods.may_still_read(request.caller, request.target):
                raise refusal(request.caller)
        if request.scope["method"] == "HEAD":
            fields.append((b"content-length", str(found.size).encode()))
            return await answer(send, 200, fields, None, request.origin)
        if isinstance(found.body, bytes):
            return await answer(send, 200, fields, found.body, request.origin)
        return await self._stream(request, send, fields, found)

    async def _stream(self, request: Request, send: Send, fields: lines.Headers, found: Representation) -> None:
        """A large body in pieces of 256 kB; it ends where a revocation meets it."""
        assert isinstance(found.body, FilePath)  # noqa: S101 - the caller looked
        with _whole(found.body, found.size) as source:
            sent = [*fields, *lines.cross_origin(request.origin), (b"content-length", str(found.size).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": sent})
            while piece := source.read(CHUNK):
                if not self._pods.may_still_read(request.caller, request.target):
                    raise refusal(request.caller)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    async def _options(self, request: Request, send: Send) -> None:
        fields = list(lines.described(request.root, request.target.path, kind_of(request.target.path)))
        origin = request.origin
        if origin is not None and request.headers.get("access-control-request-method") is not None:
            fields += lines.preflight(origin, request.headers.get("access-control-request-headers"))
            origin = None
        await answer(send, 204, fields, b"", origin)

    async def _put(self, request: Request, send: Send) -> None:
        target = request.target
        self._pods.check_write(request.caller, target, Mode.WRITE)
        upload = await self._upload(request, target)
        conditions = conditions_of(request) if request.headers.keys() & _CONDITIONAL else NO_CONDITIONS
        written = await self._pods.put(request.caller, target, upload, conditions)
        await self._answer_written(request, written, send)

    async def _post(self, request: Request, send: Send) -> None:
        container = request.target
        if not is_container(container.path):
            raise NotAllowed("Only a container takes POST.", allow=["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
        self._pods.check_write(request.caller, container, Mode.APPEND)
        link = request.headers.get("link") or ""
        wants_container = _CONTAINER_LINK in link or _ANY_CONTAINER_LINK + ">" in link
        other = secrets.token_urlsafe(12) + ("/" if wants_container else "")
        name = member_name(request.headers.get("slug"), wants_container, other)
        split_target(f"/{container.pod.name}{container.path}{name}".encode())
        upload = await self._upload(request, Target(container.pod, Path(container.path + name)))
        written = await self._pods.post(request.caller, container, (name, other), upload)
        await self._answer_written(request, written, send)

    async def _patch(self, request: Request, send: Send) -> None:
        media_type = (request.headers.get("content-type") or "").split(";")[0].strip().lower()
        if not media_type:
            raise Malformed("A PATCH needs a Content-Type.")
        if media_type not in PATCH_TYPES:
            raise UnsupportedFormat("Patches are N3 Patch or SPARQL Update.", supported=list(PATCH_TYPES))
        self._pods.check_write(request.caller, request.target, Mode.APPEND)
        body = await read_body(request.receive, INLINE_LIMIT * 16)
        patch = PATCH_TYPES[media_type](body, self._pods.iri(request.target))
        written = await self._pods.patch(request.caller, request.target, patch, conditions_of(request))
        await self._answer_written(request, written, send)

    async def _delete(self, request: Request, send: Send) -> None:
        await self._pods.delete(request.caller, request.target, conditions_of(request))
        await answer(send, 204, [], b"", request.origin)

    async def _answer_written(self, request: Request, written: Written, send: Send) -> None:
        root = request.root
        fields = list(lines.described(root, written.path, kind_of(written.path)))
        if written.etag:
            fields.append((b"etag", written.etag.encode()))
        if written.created:
            fields.append((b"location", f"{root}{written.path}".encode()))
        await answer(send, 201 if written.created else 204, fields, b"", request.origin)

    async def _upload(self, request: Request, target: Target) -> Upload:
        """The body of a write: in memory when small or RDF, else streamed to the store's sink."""
        media_type = request.headers.get("content-type")
        length = request.headers.get("content-length")
        if media_type is None:
            if length not in (None, "0") or request.headers.get("transfer-encoding"):
                raise Malformed("A write with a body needs a Content-Type.")
            media_type = "text/turtle" if is_container(target.path) else "application/octet-stream"
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise Malformed("The Content-Type is no media type.")
        if request.headers.get("content-encoding") not in (None, "identity"):
            raise UnsupportedFormat("Bodies are taken without a Content-Encoding.", supported=["identity"])
        is_rdf = syntax_of(media_type) is not None
        limit = MAX_RDF_BYTES if is_rdf else self._body_limit
        if length is not None and (not length.isdigit() or int(length) > limit):
            raise TooLarge(f"A body may have at most {limit} bytes here.", limit=limit)
        return await self._take(request, target, media_type, limit)

    async def _take(self, request: Request, target: Target, media_type: str, limit: int) -> Upload:
        is_rdf = syntax_of(media_type) is not None
        held = bytearray()
        sink = None
        try:
            async for piece in pieces(request.receive, limit):
                if sink is None and len(held) + len(piece) > INLINE_LIMIT:
                    sink = self._pods.sink(target)
                    sink.write(bytes(held))
                if sink is not None:
                    sink.write(piece)
                if sink is None or is_rdf:
                    held += piece
            if sink is None:
                return Upload.of(media_type, bytes(held))
            body, sink = await sink.finish(), None
            return Upload(media_type, bytes(held) if is_rdf else None, body)
        finally:
            if sink is not None:
                sink.abandon()


@lru_cache(maxsize=8192)
def kind_of(path: Path) -> Kind:
    """What a path can be, told from the path alone, so that it tells nothing of what is there."""
    auxiliary = auxiliary_of(path)
    if auxiliary is not None:
        return auxiliary[1]
    return Kind.CONTAINER if is_container(path) else Kind.RDF


def headers_of(scope: Scope) -> dict[str, str]:
    """All headers of a request; repeated ones joined by commas (RFC 9110, section 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def conditions_of(request: Request) -> Conditions:
    """If-Match and If-None-Match; a weak ETag never matches a strong one (RFC 9110, section 8.8.3.2)."""
    return Conditions(_tags(request.headers.get("if-match")), _tags(request.headers.get("if-none-match")))


def _tags(value: str | None) -> frozenset[str] | None:
    return None if value is None else frozenset(tag.strip() for tag in value.split(","))


async def pieces(receive: Receive, limit: int) -> Any:
    """The body as it arrives.  Raises TooLarge past the limit, Malformed when the client went away."""
    taken = 0
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await receive()
        except TimeoutError:
            raise Malformed(f"The body stood still for {IDLE_SECONDS} seconds.") from None
        if message["type"] == "http.disconnect":
            raise Malformed("The client went away before the body was whole.")
        piece = message.get("body", b"")
        taken += len(piece)
        if taken > limit:
            raise TooLarge(f"A body may have at most {limit} bytes here.", limit=limit)
        if piece:
            yield piece
        if not message.get("more_body", False):
            return


async def read_body(receive: Receive, limit: int) -> bytes:
    """A whole body that must be small."""
    return b"".join([piece async for piece in pieces(receive, limit)])


async def answer(send: Send, status: int, fields: lines.Headers, body: bytes | None, origin: str | None) -> None:
    """Send one answer with the CORS lines; body None sends none and sets no length (HEAD)."""
    sent = [*fields, *lines.cross_origin(origin)]
    if body is not None and status not in (204, 304):
        sent.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body or b""})


def _whole(file: FilePath, size: int) -> BinaryIO:
    """The file of a large body, open.  Raises Corrupt, while that can still be said, when it is gone or cut."""
    try:
        source = file.open("rb")
    except FileNotFoundError:
        raise Corrupt("The file with these bytes is gone.") from None
    if os.fstat(source.fileno()).st_size != size:
        source.close()
        raise Corrupt("The file with these bytes was altered.")
    return source
