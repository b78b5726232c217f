"""Signing in to the console: the one-time link, the cookie behind it, and the word that every form carries.

Called by citizen.py.  A session is good for the citizen's pages alone: the
cookie's path keeps it there, and no other room reads cookies.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pod_server.errors import Forbidden, Malformed, Unauthenticated
from pod_server.identity import new_secret
from pod_server.store.host import PodRow, Session
from pod_server.terms import Caller
from pod_server.web.console.frame import Console, Frame, address, only_here
from pod_server.web.resources import read_body

COOKIE = "pod_console"
PATH = "/.host/console"
SECONDS = 8 * 3600
FORM_LIMIT = 256 * 1024


@dataclass(frozen=True, slots=True)
class Visitor:
    """A citizen who is signed in.  csrf: the word that their forms carry; token: the cookie's."""

    token: str
    csrf: str
    pod: PodRow
    caller: Caller


def visitor(console: Console, request: Request) -> Visitor:
    """Who is at the browser.  Raises Unauthenticated when there is no session, or its pod is gone."""
    token = request.cookies.get(COOKIE, "")
    session = console.database.session(token, console.clock()) if token else None
    pod = console.database.pod(session.pod) if session is not None else None
    if session is None or pod is None:
        raise Unauthenticated("You are not signed in, or not any more.")
    return Visitor(token, session.csrf, pod, console.consent.citizen(pod))


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name.

    Raises Forbidden when the browser says that another site sent it (Fetch
    Metadata), Malformed, TooLarge.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Forbidden("This form was sent by another site.")
    body = await read_body(request.receive, FORM_LIMIT)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=50))
    except ValueError:
        raise Malformed("The form does not parse.") from None


async def signed_form(request: Request, who: Visitor) -> dict[str, str]:
    """The fields of a form that carries the session's word.  Raises Forbidden for one that does not."""
    fields = await form(request)
    if not hmac.compare_digest(fields.get("csrf", "").encode(), who.csrf.encode()):
        raise Forbidden("This form was not made by your own pages; open them again and repeat.")
    return fields


def routes(frame: Frame, console: Console) -> APIRouter:
    """Signing in and out."""
    router = APIRouter(include_in_schema=False, route_class=frame.route_class())

    @router.get("/.host/console/enter")
    async def door(request: Request) -> Response:
        only_here(request)
        return frame.page(request, "enter.html", token=request.query_params.get("token", ""))

    @router.post("/.host/console/enter")
    async def enter(request: Request) -> Response:
        only_here(request)
        now = console.clock()
        name = console.database.use_sign_in((await form(request)).get("token", ""), now)
        if name is None:
            return frame.page(request, "void.html", 410)
        console.database.forget_expired(now)
        console.database.end_session(request.cookies.get(COOKIE, ""))
        token = new_secret()
        console.database.add_session(token, Session(name, new_secret(), now + SECONDS))
        answer = go(request, f"{PATH}/")
        answer.set_cookie(
            COOKIE, token, max_age=SECONDS, path=PATH, secure=_is_secure(console), httponly=True, samesite="strict"
        )
        return answer

    @router.post("/.host/console/leave")
    async def leave(request: Request) -> Response:
        who = visitor(console, request)
        await signed_form(request, who)
        console.database.end_session(who.token)
        answer = go(request, "/")
        answer.delete_cookie(COOKIE, path=PATH, secure=_is_secure(console), httponly=True, samesite="strict")
        return answer

    return router


def go(request: Request, path: str, **fields: str) -> Response:
    """On to another page after a form was taken, so that a reload sends nothing twice."""
    return RedirectResponse(address(request, path, **fields), 303, headers={"Cache-Control": "no-store"})


def _is_secure(console: Console) -> bool:
    return console.base.startswith("https:")
