"""The catalogue: complete rows, truthful about shapes, layouts and paths, the same as DCAT."""

from __future__ import annotations

import json
import pathlib

import pytest
from landing_actors import EXAMPLES, example
from pyoxigraph import BlankNode

from pod_server.errors import Missing
from pod_server.landing.catalogue import DATA_SETS, DataSet, as_statements, find, shipped
from pod_server.landing.siblings import merge
from pod_server.landing.transform import LAYOUTS, transform
from pod_server.rdf.vocabulary import DCAT, DCT, SELF_DATA

BASE = "https://host.example/.host/catalogue"
ROOT = pathlib.Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("row", DATA_SETS.values(), ids=lambda row: row.id)
def test_row_is_complete(row: DataSet) -> None:
    """Every row has both titles, a shape, a vocabulary, an example that lands, a basis and a purpose."""
    assert set(row.title) == {"en", "fr"}
    assert all(set(precision.title) == {"en", "fr"} for precision in row.precisions)
    assert shipped("shapes", f"{row.shape}.ttl").is_file()
    domain = row.vocabulary.removeprefix(SELF_DATA).removesuffix("#")
    assert shipped("vocab", f"{domain}.ttl").is_file()
    assert (ROOT / row.example).is_file()
    assert row.legal_basis in ("GDPR Art. 15", "GDPR Art. 20")
    assert row.formats == LAYOUTS[row.id]
    assert row.finest is row.precisions[0]


def test_every_precision_is_written_and_no_other() -> None:
    """The first segments of all documents' paths are exactly the precisions that the catalogue tells."""
    written: dict[str, set[str]] = {}
    for name in EXAMPLES:
        taken = transform(example(name))
        paths = [document.path for document in taken.documents]
        for sibling in taken.siblings:
            merged = merge(sibling, None)
            paths += [merged.document.path, *(further.path for further in merged.upward)]
        written.setdefault(name.split("/")[0], set()).update(path.split("/")[0] for path in paths)
    assert written == {row.id: {precision.name for precision in row.precisions} for row in DATA_SETS.values()}


def test_find_knows_its_rows_and_no_other() -> None:
    """A known id gives its row, another is missing."""
    assert find("bill").id == "bill"
    with pytest.raises(Missing):
        find("shoe-size")


def test_rows_are_json_ready() -> None:
    """Programs get each row with its precisions and the rule by which a client cuts files."""
    rows = json.loads(json.dumps([row.as_json() for row in DATA_SETS.values()]))
    by_id = {row["id"]: row for row in rows}
    assert by_id["geolocation"]["split"] == {"field": "timestamp", "length": 10}
    assert by_id["bill"]["split"] is None
    assert [precision["name"] for precision in by_id["load-curve"]["precisions"]] == ["half-hour", "day", "month"]


def test_the_catalogue_is_dcat_without_blank_nodes() -> None:
    """Each row is a dcat:Dataset that conforms to its shape and has a distribution for each precision."""
    quads = as_statements(BASE)
    assert not any(isinstance(term, BlankNode) for quad in quads for term in (quad.subject, quad.object))
    assert len(set(quads)) == len(quads)
    data_sets = {quad.object.value for quad in quads if quad.predicate.value == DCAT + "dataset"}
    assert data_sets == {f"{BASE}#{name}" for name in DATA_SETS}
    shapes = {quad.object.value for quad in quads if quad.predicate.value == DCT + "conformsTo"}
    assert shapes == {f"https://host.example/.host/shapes/{row.shape}" for row in DATA_SETS.values()}
    grains = [quad for quad in quads if quad.predicate.value == DCAT + "distribution"]
    assert len(grains) == sum(len(row.precisions) for row in DATA_SETS.values())
