"""The worker's part of landing: payloads to documents, siblings merged; pure, in a process that may be killed.

Called through workers.py by deliveries.py.  A batch travels as one job; each
item's failure is its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from pod_server.errors import PodError
from pod_server.landing.items import Document, Item, Sibling, Transformed
from pod_server.landing.months import is_told
from pod_server.landing.siblings import merge
from pod_server.landing.transform import transform
from pod_server.rdf import Syntax, canonical, parse

NEUTRAL_BASE = "https://w3id.org/self-data/landed/"
"""The base under which landed documents are hashed: it names no pod."""

Result = tuple[Transformed, str] | PodError
"""What an item became and the pod-neutral hash of it, or why it is refused."""


def transform_batch(items: Sequence[Item]) -> list[Result]:
    """Each item transformed and validated, or its refusal."""
    return [_one(item) for item in items]


def _one(item: Item) -> Result:
    try:
        made = transform(item)
    except PodError as refused:
        return refused
    return made, content_hash(made.documents)


Placed = tuple[str, Sibling]
"""A sibling and the folder it is for: ``/landed/{partner}/{data set}/``."""


def merge_round(
    siblings: Sequence[Placed], existing: Mapping[str, bytes], today: date
) -> tuple[dict[str, bytes], list[Placed]]:
    """Coarser documents that changed, by full path, and what goes one level further up.

    existing: full path -> bytes of what the pod holds; absent paths are new.
    today: the date in Paris; what is not told yet does not go up.  Several
    siblings of one path are merged one after the other; one without
    contributions only goes up.
    """
    merged: dict[str, bytes] = {}
    upward: list[Placed] = []
    for folder, sibling in siblings:
        path = folder + sibling.path
        held = merged.get(path, existing.get(path))
        if held is None and not sibling.contributions:
            continue
        result = merge(sibling, held)
        merged[path] = result.document.body
        upward += [(folder, further) for further in result.upward if is_told(further, today)]
    return {path: body for path, body in merged.items() if existing.get(path) != body}, upward


def content_hash(documents: Iterable[Document]) -> str:
    """SHA-256 (hex) over the canonical statements of the documents, in the order of their paths; names no pod."""
    whole = hashlib.sha256()
    for document in sorted(documents, key=lambda each: each.path):
        statements = parse(document.body, Syntax.TURTLE, NEUTRAL_BASE + document.path)
        whole.update(hashlib.sha256(canonical(statements)).digest())
    return whole.hexdigest()
