"""All pages for people: the public doors and the citizen's own console, put together.

Called by composition.py.  Cookies are read here alone, and authorise nothing
outside ``/.host/console``.
"""

from __future__ import annotations

from fastapi import APIRouter

from pod_server.web.console import citizen, doors
from pod_server.web.console.frame import Console, Frame

__all__ = ["Console", "routes"]


def routes(console: Console) -> APIRouter:
    """The routes of every page."""
    frame = Frame(console.base)
    router = APIRouter()
    router.include_router(doors.catalogue(frame, console.base))
    router.include_router(doors.routes(frame))
    router.include_router(citizen.routes(frame, console))
    return router
