"""The front of the host: one ASGI application that routes, counts and turns failures into answers.

Called by the server that cli.py starts.  Pod resources go straight to
resources.py; the host's own routes and the pods' services to a FastAPI
application.  Nothing answers without passing here, so nothing leaves without
a request id, a problem where it failed, and one log line.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from pod_server.errors import PodError, TooLarge
from pod_server.web import headers as lines
from pod_server.web.problems import internal, problem
from pod_server.web.resources import Receive, Resources, Scope, Send, headers_of

ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]
MOST_HEADERS = 32 * 1024
_log = logging.getLogger("pod_server.requests")


class Front:
    """See the module.  lifespan: what runs when the server starts and stops."""

    def __init__(self, resources: Resources, services: ASGI, base: str) -> None:
        self._resources = resources
        self._services = services
        self._base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's event."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._services(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = _Sending(send, secrets.token_urlsafe(9))
        scope["pod_server.request"] = sending.request
        try:
            if sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS:
                raise TooLarge(f"The header lines have more than {MOST_HEADERS} bytes.", limit=MOST_HEADERS)
            if _is_service(scope["path"]):
                await self._service(scope, receive, sending)
            else:
                await self._resources(scope, receive, sending)
        except PodError as error:
            await self._refuse(scope, sending, problem(error, sending.request, self._base))
        except Exception:
            _log.exception("failed", extra={"request": sending.request, "method": scope["method"]})
            await self._refuse(scope, sending, internal(sending.request, self._base))
        finally:
            _log_request(scope, sending)

    async def _service(self, scope: Scope, receive: Receive, sending: _Sending) -> None:
        headers = headers_of(scope)
        origin = headers.get("origin")
        if origin is not None and not scope["path"].startswith("/.host/console"):
            if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
                fields = lines.preflight(origin, headers.get("access-control-request-headers"))
                await sending({"type": "http.response.start", "status": 204, "headers": fields})
                await sending({"type": "http.response.body", "body": b""})
                return
            sending.extra = lines.cross_origin(origin)
        await self._services(scope, receive, sending)

    async def _refuse(self, scope: Scope, sending: _Sending, what: tuple[int, lines.Headers, bytes]) -> None:
        """Send a problem, unless an answer is under way: then the connection just ends."""
        if sending.ended:
            return
        if sending.status:
            raise ConnectionAbortedError
        status, fields, body = what
        sending.extra = ()
        fields = [*fields, *lines.cross_origin(headers_of(scope).get("origin"))]
        fields += [(b"content-length", str(len(body)).encode()), (b"x-content-type-options", b"nosniff")]
        await sending({"type": "http.response.start", "status": status, "headers": fields})
        await sending({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _Sending:
    """What was sent so far: for the log, and to add the lines that every answer has."""

    __slots__ = ("_send", "began", "ended", "extra", "request", "status")

    def __init__(self, send: Send, request: str) -> None:
        self._send = send
        self.request = request
        self.status = 0
        self.ended = False
        self.extra: lines.Lines = ()
        self.began = time.perf_counter()

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *self.extra, (b"x-request-id", self.request.encode())]
        await self._send(message)
        self.ended = message["type"] == "http.response.body" and not message.get("more_body", False)


def _is_service(path: str) -> bool:
    return path == "/" or path.startswith(("/.host/", "/.well-known/")) or "/.pod/" in path or path == "/favicon.ico"


def _log_request(scope: Scope, sending: _Sending) -> None:
    """One line without personal paths: the method, the room, the status and the time it took."""
    if not _log.isEnabledFor(logging.INFO):
        return
    room = "host" if _is_service(scope["path"]) else "pod"
    milliseconds = round((time.perf_counter() - sending.began) * 1000, 1)
    _log.info(
        "request",
        extra={
            "request": sending.request,
            "method": scope["method"],
            "room": room,
            "status": sending.status,
            "ms": milliseconds,
        },
    )
