"""The public pages: three doors, how to deliver, how to ask, the catalogue, and what each refusal means.

Called through pages.py.  They tell what anybody may know and show no pod.
"""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from pod_server.errors import Missing
from pod_server.landing.catalogue import DATA_SETS, as_statements
from pod_server.rdf import WRITABLE, choose, serialise, syntax_of
from pod_server.web.console.frame import STATIC, Frame
from pod_server.web.console.problems import PROBLEMS
from pod_server.web.problems import STATUS

HTML = "text/html"
JSON = "application/json"
OFFERED = (*WRITABLE, JSON, HTML)
"""The forms of the catalogue, what a program gets without asking first."""
VERDICTS = ("landed", "rectified", "unchanged", "quarantined", "outside-link", "revoked", "unknown-link", "moved")
_GET = ["GET", "HEAD"]


def routes(frame: Frame) -> APIRouter:
    """The doors."""
    router = APIRouter(include_in_schema=False, route_class=frame.route_class())

    def tell(path: str, template: str, **values: Any) -> None:
        async def page(request: Request) -> Response:
            return frame.page(request, template, **values)

        router.add_api_route(path, page, methods=_GET)

    tell("/", "doors.html")
    tell("/.host/partners", "partners.html", verdicts=VERDICTS)
    tell("/.host/developers", "developers.html")
    tell("/.host/problems/", "problems.html", problems=tuple(PROBLEMS.values()), statuses=STATUS)

    @router.api_route("/.host/problems/{kind}", methods=_GET)
    async def problem(kind: str, request: Request) -> Response:
        if kind not in PROBLEMS:
            raise Missing(f"No refusal is called {kind[:80]!r}.")
        return frame.page(request, "problem.html", problem=PROBLEMS[kind], status_code=STATUS.get(kind, 500))

    @router.api_route("/.host/static/{name}", methods=_GET)
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise Missing("There is no such file.")
        content, media_type = STATIC[name]
        fixed = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
        return Response(content, headers=fixed, media_type=media_type)

    return router


def catalogue(frame: Frame, base: str) -> APIRouter:
    """The catalogue: RDF, JSON, or a page for whoever prefers one.  Its refusals are those of a service."""
    router = APIRouter()

    @router.get("/.host/catalogue")
    @router.head("/.host/catalogue", include_in_schema=False)
    async def rows(request: Request) -> Response:
        media_type = choose(request.headers.get("accept"), OFFERED) or OFFERED[0]
        if media_type == HTML:
            return frame.page(request, "catalogue.html", rows=tuple(DATA_SETS.values()))
        return Response(_catalogue(media_type, base), media_type=media_type, headers={"Vary": "Accept"})

    return router


def _catalogue(media_type: str, base: str) -> bytes:
    syntax = syntax_of(media_type)
    if syntax is None:
        return orjson.dumps({"data_sets": [row.as_json() for row in DATA_SETS.values()]})
    return serialise(as_statements(f"{base}.host/catalogue"), syntax)
