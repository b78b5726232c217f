"""A citizen's question over the own pod, and its answer as something that a page can show.

Called by citizen.py.  It asks like any app, as the citizen at the console,
over all that the citizen may read; a refusal is part of the answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pod_server.errors import PodError
from pod_server.pod import Target
from pod_server.query.guard import NO_DATASET, UNION_DEFAULT_GRAPH, Dataset, inspect
from pod_server.rdf.vocabulary import XSD
from pod_server.store.host import PodRow
from pod_server.terms import Caller, Path
from pod_server.web.console.examples import EXAMPLES
from pod_server.web.console.frame import Console

__all__ = ["EXAMPLES", "Answered", "Cell", "answered", "given"]

SHOWN = 200
"""Rows on a page."""
LONGEST = 1024 * 1024
"""Bytes of an answer that a page can hold; the host's one loop reads them."""
_TABLE = "application/sparql-results+json"
_GRAPH = "text/turtle"


@dataclass(frozen=True, slots=True)
class Cell:
    """One value.  path: where it is in this pod, "" when elsewhere.  note: its language or its type, in short."""

    text: str
    path: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of a question; only the fields of its form are set.

    truth: of an ASK.  names, rows: of a SELECT, the first of all ``count``.
    graph: Turtle.  problem, detail: the kind of refusal and its sentence.
    too_long: the answer is not shown.
    """

    truth: bool | None = None
    names: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] | None = None
    count: int = 0
    graph: str | None = None
    too_long: bool = False
    problem: str = ""
    detail: str = ""


def given(example: str) -> str:
    """The query of an example, else that of the last one, which fits every pod."""
    return next((each.query for each in EXAMPLES if each.id == example), EXAMPLES[-1].query)


async def answered(console: Console, caller: Caller, pod: PodRow, query: str) -> Answered:
    """Ask, over the union of all that the citizen may read unless the query names its own graphs."""
    try:
        guarded = inspect(query.encode("utf-8", "replace"))
        table = guarded.form in ("SELECT", "ASK")
        dataset = NO_DATASET if guarded.dataset else Dataset((UNION_DEFAULT_GRAPH,))
        answer = await console.endpoint.ask(caller, pod, guarded, dataset, _TABLE if table else _GRAPH)
    except PodError as error:
        return Answered(problem=error.kind, detail=error.detail)
    if len(answer.body) > LONGEST:
        return Answered(too_long=True, count=answer.rows)
    if not table:
        return Answered(graph=answer.body.decode(), count=answer.rows)
    return _table(orjson.loads(answer.body), console.pods.iri(Target(pod, Path(""))))


def _table(results: Mapping[str, Any], root: str) -> Answered:
    if "boolean" in results:
        return Answered(truth=bool(results["boolean"]))
    names = tuple(results["head"].get("vars", ()))
    bindings = results["results"]["bindings"]
    rows = tuple(tuple(_cell(binding.get(name), root) for name in names) for binding in bindings[:SHOWN])
    return Answered(names=names, rows=rows, count=len(bindings))


def _cell(value: Mapping[str, str] | None, root: str) -> Cell:
    """root: the IRI of the pod without its final slash."""
    if value is None:
        return Cell("")
    text = value["value"]
    if value["type"] == "uri":
        here = text.startswith(root + "/")
        return Cell(text.removeprefix(root) if here else text, _document(text, root) if here else "")
    note = value.get("xml:lang") or value.get("datatype", "").removeprefix(XSD)
    return Cell(text, note="" if note == "string" else note)


def _document(iri: str, root: str) -> str:
    return iri.removeprefix(root).partition("#")[0].partition("?")[0]
