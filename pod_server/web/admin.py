"""The operator's routes, for the command line beside a running host: pods, partners, links, sign-ins.

Only with the operator's token, which lies in the data folder, and only from
this machine.  The operator grants nothing: that is the citizen's, in the
console.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request, Response

from pod_server.errors import Conflict, Forbidden, Malformed, Missing
from pod_server.identity import Client, hash_secret, new_secret
from pod_server.provision import Provision
from pod_server.store.contract import Append, Clock, Store
from pod_server.store.host import HostDatabase, Partner, PodRow
from pod_server.terms import Caller, Link
from pod_server.web.resources import read_body

SIGN_IN_SECONDS = 15 * 60.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost", "testclient")


class Operator:
    """What an operator may do on a host; the routes and the test host call it."""

    def __init__(self, store: Store, host: HostDatabase, provision: Provision, clock: Clock, base: str) -> None:
        self._store = store
        self._host = host
        self._provision = provision
        self._clock = clock
        self._base = base

    def add_pod(self, name: str, title: str, *, open_folder: bool = False) -> dict[str, Any]:
        """A new pod with credentials for its owner's scripts; the secret is shown this once."""
        row = self._provision.pod(name, title, open_folder=open_folder)
        return self._described(row) | self.add_client(webid=row.owner, name=title or name)

    def pods(self) -> list[dict[str, Any]]:
        """All pods of the host."""
        return [self._described(row) for row in self._host.pods()]

    def add_client(
        self, *, webid: str | None = None, partner: str | None = None, name: str, id_: str = "", secret: str = ""
    ) -> dict[str, Any]:
        """Credentials for a client that signs in as itself: as an agent, or as a partner."""
        id_, secret = id_ or secrets.token_urlsafe(16), secret or new_secret()
        self._host.add(Client(id_, hash_secret(secret), webid, partner, (), name))
        return {"issuer": self._base, "clientId": id_, "clientSecret": secret}

    def add_app(self, webid: str, name: str) -> dict[str, Any]:
        """Credentials for an app that signs in as itself, under its own WebID; the secret is shown this once."""
        if webid in {row.owner for row in self._host.pods()}:
            raise Conflict("This WebID is a citizen's; an app has one of its own.")
        return {"webId": webid} | self.add_client(webid=webid, name=name)

    def add_partner(self, partner_id: str, name: str, holder: str) -> dict[str, Any]:
        """Register a data holder; the secret is shown this once."""
        self._host.add_partner(Partner(partner_id, name, holder, self._clock()))
        return {"partner": partner_id} | self.add_client(partner=partner_id, name=name)

    def partners(self) -> list[dict[str, Any]]:
        """All partners."""
        return [
            {"partner": each.id, "name": each.name, "holder": each.holder, "suspended": each.suspended}
            for each in self._host.partners()
        ]

    def add_link(self, partner: str, pod: str, starts: float, ends: float | None) -> dict[str, Any]:
        """Tie a partner's customer to a pod; the answer is the pseudonym that the partner will use."""
        link = Link(secrets.token_urlsafe(16), partner, self._pod(pod).id, starts, ends)
        self._host.add_link(link)
        return {"link": link.id, "partner": partner, "starts": starts, "ends": ends}

    def end_link(self, link_id: str) -> dict[str, Any]:
        """Close a link from now on."""
        if self._host.link(link_id) is None:
            raise Missing("There is no such link.")
        self._host.end_link(link_id, self._clock())
        return {"link": link_id, "ended": True}

    async def settle(self, link_id: str) -> None:
        """Wait until every write that was queued for a link's pod is done: what comes after it sees the link ended."""
        link = self._host.link(link_id)
        if link is not None:
            await self._store.append(link.pod, Append(Caller(), self._clock()))

    def sign_in(self, pod: str) -> dict[str, Any]:
        """A one-time link into the citizen's console, good for 15 minutes."""
        token = new_secret()
        self._host.add_sign_in(token, self._pod(pod).name, self._clock() + SIGN_IN_SECONDS)
        return {"url": f"{self._base}.host/console/enter?token={token}"}

    def _pod(self, name: str) -> PodRow:
        row = self._host.pod(name)
        if row is None:
            raise Missing(f"There is no pod named {name}.")
        return row

    def _described(self, row: PodRow) -> dict[str, Any]:
        return {"name": row.name, "pod": f"{self._base}{row.name}/", "webId": row.owner, "created": row.created}


def routes(operator: Operator, token: str) -> APIRouter:
    """The operator's door.  token: what its holder must show as a Bearer token."""
    router = APIRouter(prefix="/.host/admin", include_in_schema=False, dependencies=[Depends(_only(token))])
    _add_pod_routes(router, operator)
    _add_partner_routes(router, operator)
    return router


def _only(token: str) -> Callable[[Request], Awaitable[None]]:
    """Whoever shows the operator's token, from this machine."""

    async def check(request: Request) -> None:
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        here = request.client is None or request.client.host in _LOOPBACK
        if not here or not hmac.compare_digest(shown.encode(), token.encode()):
            raise Forbidden("Only the operator of this host, on this machine.")

    return check


def _add_pod_routes(router: APIRouter, operator: Operator) -> None:

    @router.get("/pods")
    async def pods() -> Response:
        return _json({"pods": operator.pods()})

    @router.post("/pods")
    async def add_pod(request: Request) -> Response:
        given = await _given(request, "name")
        return _json(operator.add_pod(given["name"], given.get("title", "")), 201)

    @router.post("/apps")
    async def add_app(request: Request) -> Response:
        given = await _given(request, "webId", "name")
        return _json(operator.add_app(given["webId"], given["name"]), 201)

    @router.post("/clients")
    async def add_client(request: Request) -> Response:
        given = await _given(request, "webId", "name")
        return _json(operator.add_client(webid=given["webId"], name=given["name"]), 201)


def _add_partner_routes(router: APIRouter, operator: Operator) -> None:
    @router.get("/partners")
    async def partners() -> Response:
        return _json({"partners": operator.partners()})

    @router.post("/partners")
    async def add_partner(request: Request) -> Response:
        given = await _given(request, "id", "name", "holder")
        return _json(operator.add_partner(given["id"], given["name"], given["holder"]), 201)

    @router.post("/links")
    async def add_link(request: Request) -> Response:
        given = await _given(request, "partner", "pod")
        starts, ends = given.get("starts", 0.0), given.get("ends")
        if not isinstance(starts, int | float) or not isinstance(ends, int | float | None):
            raise Malformed("starts and ends are seconds since 1970.", field="starts")
        return _json(operator.add_link(given["partner"], given["pod"], float(starts), ends), 201)

    @router.post("/links/end")
    async def end_link(request: Request) -> Response:
        link = (await _given(request, "link"))["link"]
        ended = operator.end_link(link)
        await operator.settle(link)
        return _json(ended)

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        return _json(operator.sign_in((await _given(request, "pod"))["pod"]), 201)


async def _given(request: Request, *needed: str) -> dict[str, Any]:
    body = await read_body(request.receive, 64 * 1024)
    try:
        given = orjson.loads(body)
    except ValueError as error:
        raise Malformed(f"Not JSON: {error}.") from None
    if not isinstance(given, dict):
        raise Malformed("The body is a JSON object.")
    for name in needed:
        if not isinstance(given.get(name), str):
            raise Malformed(f"{name} must be a text.", field=name)
    return given


def _json(document: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(document), status, media_type="application/json")
