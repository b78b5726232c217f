"""An app's side of a pod: ask it questions in SPARQL.

Used by the command line and by apps.  The endpoint is found as the draft
"Access-Controlled SPARQL Query over a Solid Pod" says, by a link from the
pod's root or by its storage description; no URL is built here.  By default a
query runs over all that the asker may read.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Final, Self
from urllib.parse import urljoin

import httpx
from pyoxigraph import NamedNode, RdfFormat, Triple
from pyoxigraph import parse as parse_rdf

from pod_clients.errors import ClientError, host_error
from pod_clients.rows import Rows, rows_of
from pod_clients.session import AsyncSession, Session

ENDPOINT: Final = "http://www.w3.org/ns/solid/sparql#endpoint"
UNION: Final = "http://www.w3.org/ns/solid/sparql#union-default-graph"
DESCRIPTION: Final = "http://www.w3.org/ns/solid/terms#storageDescription"
_JSON = "application/sparql-results+json"
_REFUSED = (401, 403, 404)

_Asked = tuple[str, str, Mapping[str, str]]
_Finding = Generator[_Asked, httpx.Response, str]


class Pod:
    """A pod for plain code.  url: of its root.  session: whose it is; None asks as the public."""

    def __init__(self, url: str, session: Session | None = None) -> None:
        self.url = url.rstrip("/") + "/"
        self._session = session if session is not None else Session()
        self._owned = session is None
        self._endpoint = ""

    def close(self) -> None:
        """Let go of the connections, unless the session is the caller's."""
        if self._owned:
            self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def endpoint(self) -> str:
        """The URL of the pod's SPARQL endpoint.  Raises ClientError when the pod tells of none."""
        if not self._endpoint:
            finding = _finding(self.url)
            asked = next(finding)
            while not self._endpoint:
                method, url, headers = asked
                try:
                    asked = finding.send(self._session.exchange(method, url, headers=headers))
                except StopIteration as found:
                    self._endpoint = found.value
        return self._endpoint

    def sparql(self, query: str, *, union: bool = True) -> Rows:
        """The solutions of a SELECT, as Python values.

        union: the default graph is all that the asker may read; otherwise it
        is empty, and the query names its documents by FROM or GRAPH.
        """
        return rows_of(self._ask(query, union, _JSON).json())

    def ask(self, query: str, *, union: bool = True) -> bool:
        """The answer to an ASK."""
        return bool(self._ask(query, union, _JSON).json()["boolean"])

    def construct(self, query: str, *, union: bool = True) -> list[Triple]:
        """The statements of a CONSTRUCT or DESCRIBE."""
        return _statements(self._ask(query, union, "application/n-triples"))

    def _ask(self, query: str, union: bool, accept: str) -> httpx.Response:
        form = _form(query, union)
        return self._session.request("POST", self.endpoint(), data=form, headers={"Accept": accept})


class AsyncPod:
    """As Pod, for asyncio."""

    def __init__(self, url: str, session: AsyncSession | None = None) -> None:
        self.url = url.rstrip("/") + "/"
        self._session = session if session is not None else AsyncSession()
        self._owned = session is None
        self._endpoint = ""

    async def close(self) -> None:
        """See Pod.close."""
        if self._owned:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def endpoint(self) -> str:
        """See Pod.endpoint."""
        if not self._endpoint:
            finding = _finding(self.url)
            asked = next(finding)
            while not self._endpoint:
                method, url, headers = asked
                try:
                    asked = finding.send(await self._session.exchange(method, url, headers=headers))
                except StopIteration as found:
                    self._endpoint = found.value
        return self._endpoint

    async def sparql(self, query: str, *, union: bool = True) -> Rows:
        """See Pod.sparql."""
        return rows_of((await self._ask(query, union, _JSON)).json())

    async def ask(self, query: str, *, union: bool = True) -> bool:
        """See Pod.ask."""
        return bool((await self._ask(query, union, _JSON)).json()["boolean"])

    async def construct(self, query: str, *, union: bool = True) -> list[Triple]:
        """See Pod.construct."""
        return _statements(await self._ask(query, union, "application/n-triples"))

    async def _ask(self, query: str, union: bool, accept: str) -> httpx.Response:
        form = _form(query, union)
        return await self._session.request("POST", await self.endpoint(), data=form, headers={"Accept": accept})


def _form(query: str, union: bool) -> dict[str, str]:
    return {"query": query, "default-graph-uri": UNION} if union else {"query": query}


def _finding(root: str) -> _Finding:
    """Which requests find the endpoint: yields each, takes its answer, returns the endpoint.

    A refusal may lack the links; what a root is and offers is then told by
    OPTIONS, which asks for no permission.
    """
    description = ""
    for method in ("HEAD", "OPTIONS"):
        response = yield method, root, {}
        if response.is_error and response.status_code not in _REFUSED:
            raise host_error(response)
        endpoint, described = _linked(response, ENDPOINT), _linked(response, DESCRIPTION)
        if endpoint:
            return endpoint
        description = description or described
        if description:
            break
    if not description:
        if response.is_error:
            raise host_error(response)
        raise ClientError(f"{root} tells of no SPARQL endpoint and of no storage description.")
    response = yield "GET", description, {"Accept": "text/turtle"}
    if response.is_error:
        raise host_error(response)
    return _described(response, description, root)


def _linked(response: httpx.Response, relation: str) -> str:
    """The target of a link (RFC 8288), absolute; "" when there is none.  A relation may be one of several words."""
    for link in response.links.values():
        if relation in link.get("rel", "").split():
            return urljoin(str(response.url), link["url"])
    return ""


def _described(response: httpx.Response, description: str, root: str) -> str:
    statements = parse_rdf(response.content, RdfFormat.TURTLE, base_iri=description)
    found = [
        quad.object.value
        for quad in statements
        if quad.predicate.value == ENDPOINT
        and isinstance(quad.subject, NamedNode)
        and quad.subject.value == root
        and isinstance(quad.object, NamedNode)
    ]
    if not found:
        raise ClientError(f"The storage description of {root} names no SPARQL endpoint.")
    return found[0]


def _statements(response: httpx.Response) -> list[Triple]:
    return [quad.triple for quad in parse_rdf(response.content, RdfFormat.N_TRIPLES)]
