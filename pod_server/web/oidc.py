"""The issuer's routes: discovery, keys, tokens, registration (OpenID Connect Discovery, RFC 6749, RFC 7591).

Called through services.py; the work is identity/provider.py's.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any
from urllib.parse import parse_qsl

import orjson
from fastapi import APIRouter, Request, Response

from pod_server.errors import Busy, Malformed
from pod_server.identity import OAuthError, Provider
from pod_server.rdf import guard_json
from pod_server.web.resources import read_body

BODY_LIMIT = 64 * 1024
REGISTRATIONS = 30
"""Registrations that the host takes in a minute: each is a row that stays."""


class _Pace:
    """At most so many steps within so many seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self._steps: deque[float] = deque(maxlen=most)
        self._seconds = seconds

    def step(self, now: float) -> None:
        """Take a step, or raise Busy."""
        if len(self._steps) == self._steps.maxlen and now - self._steps[0] < self._seconds:
            raise Busy("Too many registrations at the moment.", retry_after=int(self._seconds))
        self._steps.append(now)


def routes(provider: Provider, base: str) -> APIRouter:
    """The issuer's routes.  base: the host's address with its final slash."""
    router = APIRouter()

    @router.get("/.well-known/openid-configuration")
    async def configuration() -> Response:
        return _json(provider.configuration())

    @router.get("/.well-known/jwks.json")
    async def keys() -> Response:
        return _json(provider.jwks())

    @router.post("/.host/oidc/token")
    async def token(request: Request) -> Response:
        body = await read_body(request.receive, BODY_LIMIT)
        form = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
        headers = request.headers
        granted = provider.token(form, headers.get("authorization"), headers.get("dpop"), f"{base}.host/oidc/token")
        return _answer(granted, 200)

    pace = _Pace(REGISTRATIONS, 60.0)

    @router.post("/.host/oidc/register")
    async def register(request: Request) -> Response:
        pace.step(time.monotonic())
        body = await read_body(request.receive, BODY_LIMIT)
        guard_json(body)
        try:
            document = orjson.loads(body)
        except ValueError as error:
            raise Malformed(f"Not JSON: {error}.") from None
        return _answer(provider.register(document), 201)

    return router


def _answer(result: dict[str, Any] | OAuthError, status: int) -> Response:
    if isinstance(result, OAuthError):
        response = _json(result.document(), result.status)
        if result.status == 401:
            response.headers["WWW-Authenticate"] = "Basic"
        return response
    return _json(result, status)


def _json(document: dict[str, Any], status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"} if status != 200 or "access_token" in document else {}
    return Response(orjson.dumps(document), status, headers, "application/json")
