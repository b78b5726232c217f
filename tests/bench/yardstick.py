"""The yardstick: a bare uvicorn and Starlette, which answers bytes and keeps nothing in order.

Run as ``python -m bench.yardstick PORT FILE``.  GET ``/N`` gives N bytes; a
PUT is read, appended to FILE and synced.  What a host adds to this is what
a host costs.
"""

from __future__ import annotations

import os
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


def application(sink: int) -> Starlette:
    """Two routes.  sink: an open file."""

    async def given(request: Request) -> Response:
        return Response(b"x" * int(request.path_params["size"]), media_type="text/turtle")

    async def taken(request: Request) -> Response:
        os.write(sink, await request.body())
        os.fsync(sink)
        return Response(status_code=201)

    return Starlette(
        routes=[Route("/{size:int}", given, methods=["GET"]), Route("/{name:str}", taken, methods=["PUT"])]
    )


if __name__ == "__main__":
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    uvicorn.run(application(file), port=int(sys.argv[1]), access_log=False, log_level="error")
