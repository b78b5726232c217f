"""The host's own routes beside the pods: health, discovery, vocabulary, shapes, problems.

Assembled by cli.py with the routers of the other web modules; called by
app.py for everything that is not a pod's resource.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from pod_server import __version__
from pod_server.errors import Missing, NotAllowed, PodError
from pod_server.landing.receipts import Receipts
from pod_server.rdf import CONTEXT_BASE, WRITABLE, Syntax, bundled, choose, parse, serialise, shipped, syntax_of
from pod_server.web.problems import internal, problem

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def services(routers: Sequence[APIRouter], lifespan: Lifespan, base: str) -> FastAPI:
    """One FastAPI application of all routers; its own errors look like every other problem of the host."""
    application = FastAPI(
        title="pod-server",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/.host/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    for router in routers:
        application.include_router(router)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, PodError)  # noqa: S101 - registered for it alone
        status, headers, body = problem(error, request.scope.get("pod_server.request", ""), base)
        return Response(body, status, {name.decode(): value.decode("latin-1") for name, value in headers})

    async def unrouted(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "").split(", ")
            return await refused(request, NotAllowed("This route does not take that method.", allow=allowed))
        return await refused(request, Missing("The host has no such route."))

    async def failed(request: Request, _: Exception) -> Response:
        """The answer to what nobody foresaw; the front, which sees the exception next, logs it."""
        status, headers, body = internal(request.scope.get("pod_server.request", ""), base)
        return Response(body, status, {name.decode(): value.decode("latin-1") for name, value in headers})

    application.add_exception_handler(PodError, refused)
    application.add_exception_handler(Exception, failed)
    application.add_exception_handler(HTTPException, unrouted)
    return application


def routes(receipts: Receipts, ready: Callable[[], bool], base: str) -> APIRouter:
    """Health, discovery, vocabulary and shapes.  base: the host's address with its final slash."""
    router = APIRouter()

    @router.get("/.host/health")
    async def health() -> Response:
        return _json({"status": "ok", "version": __version__})

    @router.get("/.host/ready")
    async def readiness() -> Response:
        return _json({"ready": ready()}, 200 if ready() else 503)

    @router.get("/.well-known/pod-server")
    async def discovery() -> Response:
        return _json(
            {
                "version": __version__,
                "issuer": base,
                "deliveries": f"{base}.host/deliveries",
                "catalogue": f"{base}.host/catalogue",
                "vocabulary": f"{base}.host/vocab/",
                "shapes": f"{base}.host/shapes/",
                "problems": f"{base}.host/problems/",
                "receipt_key": {"kty": "OKP", "crv": "Ed25519", "x": receipts.public},
            }
        )

    _add_vocabulary_routes(router, base)
    return router


def _add_vocabulary_routes(router: APIRouter, base: str) -> None:
    @router.get("/.host/vocab/{name}")
    async def vocabulary(name: str, request: Request) -> Response:
        if name.removesuffix(".jsonld") in (iri.removeprefix(CONTEXT_BASE) for iri in bundled()) and "." in name:
            context = bundled()[CONTEXT_BASE + name.removesuffix(".jsonld")]
            return Response(orjson.dumps({"@context": context}), media_type="application/ld+json")
        return _shipped(request, "vocab", name, base)

    @router.get("/.host/shapes/{name}")
    async def shape(name: str, request: Request) -> Response:
        return _shipped(request, "shapes", name, base)

    @router.get("/.host/vocab/")
    async def vocabularies() -> Response:
        return _json({"vocabularies": sorted(file.stem for file in shipped("vocab").glob("*.ttl"))})

    @router.get("/.host/shapes/")
    async def shapes() -> Response:
        return _json({"shapes": sorted(file.stem for file in shipped("shapes").glob("*.ttl"))})


def _shipped(request: Request, folder: str, name: str, base: str) -> Response:
    stem = name.removesuffix(".ttl")
    known = {file.stem: file for file in shipped(folder).glob("*.ttl")}
    if stem not in known:
        raise Missing(f"There is no {name[:100]!r} here.", known=sorted(known))
    body = known[stem].read_bytes()
    if choose(request.headers.get("accept"), WRITABLE) in (None, Syntax.TURTLE.media_type):
        return Response(body, media_type=Syntax.TURTLE.media_type)
    return _rdf(request, parse(body, Syntax.TURTLE, f"{base}.host/{folder}/{stem}"))


def _rdf(request: Request, statements: Any) -> Response:
    media_type = choose(request.headers.get("accept"), WRITABLE) or Syntax.TURTLE.media_type
    syntax = syntax_of(media_type) or Syntax.TURTLE
    return Response(serialise(statements, syntax), media_type=media_type)


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
