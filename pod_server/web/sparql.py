"""The SPARQL endpoint of a pod (SPARQL 1.1 Protocol), and its storage description.

Called through services.py.  The query runs on an assembled data set: what
the caller may not read is not in it (DESIGN law 4).  The standing default
graph is empty; the union of what the caller may read is asked for by the
reserved IRI ``http://www.w3.org/ns/solid/sparql#union-default-graph``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response

from pod_server.errors import Busy, Malformed, NotAcceptable, UnsupportedFormat
from pod_server.identity import Proofs
from pod_server.pod import Assembly, Pods
from pod_server.query.guard import Dataset, Guarded, inspect
from pod_server.query.views import Answer, Document, NotHeld, Question, Views, formats_for
from pod_server.rdf import choose, syntax_of
from pod_server.rdf.vocabulary import PIM, SOLID, SPARQL_NS
from pod_server.store.host import PodRow
from pod_server.terms import LANDED, PUBLIC, ROOT, Caller, Path, Readable
from pod_server.web.headers import origin_of
from pod_server.web.resources import read_body
from pod_server.workers import Workers

QUERY_LIMIT = 200 * 1024
SHORT_QUERY = 4096
"""Up to this size the guard reads a query on the loop: it takes 84 ms for 96 kB."""
WAITING = 8
"""Queries of one caller that may be under way at once; the next is told to come back."""
ATTEMPTS = 4
"""How often a query is asked while views are dropped, or rights taken, under its feet."""
ANSWER_HEADERS = {
    "Cache-Control": "private, no-cache",
    "Vary": "Accept, Authorization, Origin",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",
}


class Endpoint:
    """Answers queries over one host's pods."""

    def __init__(self, pods: Pods, views: Views, workers: Workers, seconds: float, memory: int) -> None:
        self._pods = pods
        self._views = views
        self._workers = workers
        self._seconds = seconds
        self._memory = memory
        self._waiting: dict[str, int] = {}

    async def inspected(self, query: bytes, base: str | None = None) -> Guarded:
        """The guard's reading of a query; in a worker when it is long.  Raises Malformed, TooLarge."""
        if len(query) <= SHORT_QUERY:
            return inspect(query, base)
        return await self._workers.run(inspect, query, base)

    async def ask(self, caller: Caller, pod: PodRow, query: Guarded, dataset: Dataset, media_type: str) -> Answer:
        """The answer to a query over what the caller may read of a pod, as of now.

        What was taken from the caller while the query ran is not in it: then
        it is asked again.  Raises Busy when the caller has too many queries
        under way, LimitReached when the query was ended, Malformed for its
        syntax.
        """
        who = _word_of(caller, pod)
        if self._waiting.get(who, 0) >= WAITING:
            raise Busy("You have too many queries under way.", retry_after=1)
        self._waiting[who] = self._waiting.get(who, 0) + 1
        seen: list[Readable] = []
        rows = 0
        try:
            answer = await self._asked(caller, pod, _Wanted(query, dataset, media_type, who), seen)
            rows = answer.rows
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]
            if seen:
                self._pods.log_query(caller, pod, _named(seen[-1]), rows)
        return answer

    async def _asked(self, caller: Caller, pod: PodRow, wanted: _Wanted, seen: list[Readable]) -> Answer:
        """seen: gets what each attempt could see, for the read log."""
        for attempt in range(ATTEMPTS):
            rules = self._rules(pod)
            found = self._pods.assemble(caller, pod, self._freshness(pod, is_last=attempt == ATTEMPTS - 1))
            seen.append(found.readable)
            try:
                answer = await self._views.ask(self._question(pod, found, wanted))
            except NotHeld:
                continue
            if self._still_holds(caller, pod, found.readable, rules):
                return answer
        raise Busy("What you may read keeps changing.", retry_after=2)

    def _freshness(self, pod: PodRow, *, is_last: bool) -> Callable[[Readable, str], bool]:
        """Whether documents can be left out; on the last attempt never, so that no worker can have dropped them."""
        return lambda seen, state: not is_last and self._views.fresh(key_of(pod, seen), state)

    def _question(self, pod: PodRow, found: Assembly, wanted: _Wanted) -> Question:
        return Question(
            key=key_of(pod, found.readable),
            token=found.state,
            documents=None if found.documents is None else [_document(*each) for each in found.documents],
            query=wanted.query,
            dataset=wanted.dataset,
            format=wanted.media_type,
            seconds=self._seconds,
            memory=self._memory,
            caller=wanted.caller,
        )

    def _rules(self, pod: PodRow) -> frozenset[Path]:
        """Where the pod has access-control documents: as long as these are the same, each resource keeps its face."""
        with self._pods.landing_view(pod) as snapshot:
            return frozenset(entry.path for entry in snapshot.policies())

    def _still_holds(self, caller: Caller, pod: PodRow, used: Readable, rules: frozenset[Path]) -> bool:
        """Whether all that a query used may still be read: by rules, groups and the clock as they are now."""
        now = self._pods.assemble(caller, pod, lambda *_: True)
        return used.faces <= now.readable.faces and self._rules(pod) == rules


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A query as it was asked, and whose turn it takes."""

    query: Guarded
    dataset: Dataset
    media_type: str
    caller: str


def _word_of(caller: Caller, pod: PodRow) -> str:
    """Who a caller is among those who wait; the public of one pod is not the public of another."""
    if caller == PUBLIC:
        return f"public\t{pod.id}"
    return f"caller\t{caller.agent}\t{caller.client}\t{caller.partner}"


def key_of(pod: PodRow, seen: Readable) -> str:
    """A view's key: the pod and the set of readable (policy, face); callers who see the same share a view."""
    words = sorted(f"{policy}\t{face}" for policy, face in seen.faces)
    return hashlib.sha256("\n".join([pod.id, *words]).encode()).hexdigest()


def _document(iri: str, media_type: str, body: bytes) -> Document:
    syntax = syntax_of(media_type)
    assert syntax is not None  # noqa: S101 - pod.py assembles RDF documents only
    return Document(iri, syntax, body)


def _named(seen: Readable) -> str:
    """The data sets that a query could see, for the read log: in words, not paths of single documents."""
    landed = sorted({policy.strip("/") for policy, _ in seen.faces if policy.startswith(LANDED) and policy != LANDED})
    return ", ".join(landed) or "the pod's own documents"


def routes(endpoint: Endpoint, pods: Pods, proofs: Proofs, base: str) -> APIRouter:
    """The endpoint's routes.  base: the host's address with its final slash."""
    router = APIRouter()
    origin = origin_of(base)

    async def who(request: Request) -> Caller:
        raw = request.scope["raw_path"].decode("latin-1")
        headers = request.headers
        return await proofs.caller(request.method, origin + raw, headers.get("authorization"), headers.get("dpop"))

    @router.get("/{name}/.pod/sparql")
    @router.post("/{name}/.pod/sparql")
    async def sparql(name: str, request: Request) -> Response:
        caller = await who(request)
        target = pods.locate(name, ROOT)
        query, dataset = await _asked_of(request)
        guarded = await endpoint.inspected(query, pods.iri(target))
        media_type = _format(guarded, request.headers.get("accept"))
        answer = await endpoint.ask(caller, target.pod, guarded, dataset, media_type)
        return Response(answer.body, media_type=answer.media_type, headers=ANSWER_HEADERS)

    @router.get("/{name}/.pod/description")
    async def description(name: str) -> Response:
        target = pods.locate(name, ROOT)
        return Response(_description(pods.iri(target)), media_type="text/turtle")

    return router


def _description(root: str) -> str:
    """The storage description (Solid Protocol, section 4.1): where the pod's services are."""
    return (
        f"@prefix pim: <{PIM}> .\n@prefix solid: <{SOLID}> .\n@prefix sparql: <{SPARQL_NS}> .\n\n"
        f"<{root}> a pim:Storage ;\n    solid:storageDescription <> ;\n    sparql:endpoint <{root}.pod/sparql> .\n"
    )


async def _asked_of(request: Request) -> tuple[bytes, Dataset]:
    """The query and the protocol's data set (SPARQL 1.1 Protocol, section 2.1)."""
    url_fields = parse_qsl(request.url.query, keep_blank_values=True)
    if request.method == "GET":
        return _query_field(url_fields), _dataset(url_fields)
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    body = await read_body(request.receive, QUERY_LIMIT)
    if media_type == "application/sparql-query":
        return body, _dataset(url_fields)
    if media_type == "application/x-www-form-urlencoded":
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            raise Malformed("The form is not UTF-8.") from None
        return _query_field(fields), _dataset(fields)
    raise UnsupportedFormat(
        "A query comes as GET, as a form, or as application/sparql-query; updates are not taken.",
        supported=["application/sparql-query", "application/x-www-form-urlencoded"],
    )


def _query_field(fields: Sequence[tuple[str, str]]) -> bytes:
    queries = [value for key, value in fields if key == "query"]
    if any(key == "update" for key, _ in fields):
        raise Malformed("This endpoint takes queries; updates are not taken.")
    if len(queries) != 1:
        raise Malformed("Exactly one query is asked at a time.", field="query")
    return queries[0].encode()


def _dataset(fields: Sequence[tuple[str, str]]) -> Dataset:
    default = tuple(value for key, value in fields if key == "default-graph-uri")
    named = tuple(value for key, value in fields if key == "named-graph-uri")
    return Dataset(default, named)


def _format(query: Guarded, accept: str | None) -> str:
    offered = formats_for(query.form)
    media_type = choose(accept, offered)
    if media_type is None:
        raise NotAcceptable("The results are not given in that form.", available=list(offered))
    return media_type
