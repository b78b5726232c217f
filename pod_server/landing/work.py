"""The worker's part of landing: payloads to documents, siblings merged; pure, in a process that may be killed.

Called through workers.py by deliveries.py.  A batch travels as one job; each
item's failure is its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pod_server.errors import PodError
from pod_server.landing.items import Item, Sibling, Transformed
from pod_server.landing.receipts import content_hash
from pod_server.landing.siblings import merge
from pod_server.landing.transform import transform

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


def merge_round(siblings: Sequence[Placed], existing: Mapping[str, bytes]) -> tuple[dict[str, bytes], list[Placed]]:
    """Coarser documents with the contributions merged in, by full path, and what goes one level further up.

    existing: full path -> bytes of what the pod holds; absent paths are new.
    Several siblings of one path are merged one after the other.
    """
    merged: dict[str, bytes] = {}
    upward: list[Placed] = []
    for folder, sibling in siblings:
        path = folder + sibling.path
        result = merge(sibling, merged.get(path, existing.get(path)))
        merged[path] = result.document.body
        upward += [(folder, further) for further in result.upward]
    return merged, upward
