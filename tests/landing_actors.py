"""What the landing tests share: example files, items, and the pilot's own samples where they are present."""

from __future__ import annotations

import copy
import json
import pathlib
from typing import Any

import pytest

from pod_server.errors import Invalid
from pod_server.landing.items import Item, Transformed
from pod_server.landing.transform import transform

CASES = pathlib.Path(__file__).resolve().parent / "cases"
SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "../shared/pilot/samples"

EXAMPLES = {
    "load-curve/grid-v5": "2024-03-12",
    "load-curve/grid-2017": "2017-08-17",
    "load-curve/grid-v5-autumn": "2024-10-27",
    "load-curve/grid-v5-spring": "2024-03-31",
    "load-curve/supplier-half-hour": "2017-03-01",
    "energy-contract/supplier-contract": "2024-03-01",
    "bill/supplier-bill": "2024-03",
    "geolocation/telecom-points": "2024-03-12",
    "insurance-claim/insurer-claim-vehicle": "event",
    "insurance-claim/insurer-claim-home": "event",
}
"""Example file -> the period that its item announces."""


def item(data_set: str, payload: bytes, period: str, media_type: str = "application/json") -> Item:
    """An item of a link that does not matter."""
    return Item("link", data_set, period, "1", media_type, payload)


def example(name: str) -> Item:
    """The item of an example file."""
    return item(name.split("/", maxsplit=1)[0], (CASES / f"{name}.json").read_bytes(), EXAMPLES[name])


def sample(data_set: str, name: str, period: str) -> Item:
    """The item of a file of the pilot; skips where the samples are not beside the project."""
    file = SAMPLES / f"{name}.json"
    if not file.exists():
        pytest.skip("the pilot's samples are not beside the project")
    return item(data_set, file.read_bytes(), period)


def changed(name: str, path: tuple[str | int, ...], value: Any) -> Item:
    """An example with one value put in another's place (a missing key is added)."""
    whole = copy.deepcopy(json.loads((CASES / f"{name}.json").read_bytes()))
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return item(name.split("/", maxsplit=1)[0], json.dumps(whole, ensure_ascii=False).encode(), EXAMPLES[name])


def refusal(of: Item) -> Invalid:
    """The refusal of an item that must be refused."""
    with pytest.raises(Invalid) as caught:
        transform(of)
    return caught.value


def codes(refused: Invalid) -> list[str]:
    """The codes of a refusal's faults, in order."""
    return [fault["code"] for fault in refused.fields["report"]]


def mended(taken: Transformed) -> dict[str, int]:
    """Code of each repair -> how many values it mended."""
    found: dict[str, int] = {}
    for fault in taken.repaired:
        found[fault.code] = found.get(fault.code, 0) + fault.count
    return found
