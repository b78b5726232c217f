"""The door for RDF over HTTP: the W3C's own syntax suites, and bombs that would kill an engine.

A suite's entry counts as refused only when the answer is a problem that says
where: 415 would be an evasion.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import SHARED, shared
from pyoxigraph import NamedNode, RdfFormat, Store
from solid import TestHost

MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
RDFT = "http://www.w3.org/ns/rdftest#"
SUITES = {
    "rdf-turtle": "text/turtle",
    "rdf-trig": "application/trig",
    "rdf-n-triples": "application/n-triples",
    "rdf-n-quads": "application/n-quads",
    "rdf-xml": "application/rdf+xml",
}


@dataclass(frozen=True)
class Entry:
    """One test of a suite: its file, and whether it must be taken."""

    file: Path
    good: bool


def entries(suite: str) -> list[Entry]:
    """All syntax and evaluation tests of a suite, from its manifest."""
    folder = shared("w3c", "rdf11", suite)
    store = Store()
    for manifest in sorted(folder.rglob("manifest.ttl")):
        store.load(path=str(manifest), format=RdfFormat.TURTLE, base_iri=manifest.as_uri())
    found = []
    for quad in store.quads_for_pattern(None, NamedNode(MF + "action"), None):
        kinds = {str(each.object.value) for each in store.quads_for_pattern(quad.subject, _TYPE, None)}
        file = Path(str(quad.object.value).removeprefix("file://"))
        negative = any("Negative" in kind and "Eval" not in kind for kind in kinds)
        negative_eval = any("NegativeEval" in kind for kind in kinds)
        if not negative_eval and file.suffix:
            found.append(Entry(file, not negative))
    return found


_TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")


@pytest.mark.parametrize("suite", SUITES)
def test_w3c_syntax(host: TestHost, suite: str) -> None:
    """Every negative test is 4xx with a place (RDF/XML: the parser's sentence), every positive one 2xx."""
    ana, root, media_type = host.agent("alice"), host.pod("alice"), SUITES[suite]
    known = entries(suite)
    assert sum(not entry.good for entry in known) >= 25
    wrong = []
    for number, entry in enumerate(known):
        answer = ana.put(f"{root}w3c/{suite}/{number}", entry.file.read_bytes(), media_type)
        if entry.good and answer.status_code != 201:
            wrong.append((entry.file.name, answer.status_code, answer.text))
        if not entry.good and not _says_where(answer.status_code, answer.json(), media_type):
            wrong.append((entry.file.name, answer.status_code, answer.text))
    assert not wrong, wrong[:5]


def _says_where(status: int, problem: dict[str, object], media_type: str) -> bool:
    if status != 400 or not problem["detail"]:
        return False
    return media_type == SUITES["rdf-xml"] or (isinstance(problem.get("line"), int) and "column" in problem)


def test_there_are_all_five_suites() -> None:
    """The suites are the W3C's of RDF 1.1: 313 negative syntax tests in all."""
    if not SHARED.exists():
        pytest.skip("shared test data is not beside this checkout")
    counts = {suite: sum(not entry.good for entry in entries(suite)) for suite in SUITES}
    assert sum(counts.values()) >= 300, counts


def _bombs() -> dict[str, tuple[str, bytes]]:
    entities = b"".join(b'<!ENTITY l%d "&l%d;&l%d;&l%d;&l%d;">' % (n, n - 1, n - 1, n - 1, n - 1) for n in range(1, 10))
    return {
        "json objects": ("application/ld+json", b'{"http://e.org/p":' * 5000 + b"1" + b"}" * 5000),
        "json arrays": ("application/ld+json", b'{"http://e.org/p":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
        "json never closed": ("application/ld+json", b'{"http://e.org/p":[' * 20_000),
        "turtle blank nodes": ("text/turtle", b"<#s> <#p> " + b"[ <#p> " * 50_000 + b"1" + b" ]" * 50_000 + b" ."),
        "turtle collections": ("text/turtle", b"<#s> <#p> " + b"(" * 50_000 + b")" * 50_000 + b" ."),
        "xml elements": (
            "application/rdf+xml",
            b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:e="http://e.org/">'
            + b"<rdf:Description><e:p>" * 5000,
        ),
        "xml entities": (
            "application/rdf+xml",
            b'<!DOCTYPE r [<!ENTITY l0 "lol">' + entities + b"]><r>&l9;</r>",
        ),
        "xml external entity": (
            "application/rdf+xml",
            b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>',
        ),
    }


@pytest.mark.parametrize("bomb", _bombs())
def test_bombs_are_refused_and_hurt_nobody(host: TestHost, bomb: str) -> None:
    """A nesting bomb is 4xx from the same process, while another caller is answered; its small twin is taken."""
    media_type, body = _bombs()[bomb]
    ana, root = host.agent("alice"), host.pod("alice")
    other, profile = host.public, f"{root}profile/card"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        throwing = pool.submit(ana.put, f"{root}bomb", body, media_type)
        meanwhile = [pool.submit(other.get, profile).result().status_code for _ in range(5)]
        refused = throwing.result()
    assert 400 <= refused.status_code < 500
    assert b"root:" not in refused.content
    assert meanwhile == [200] * 5
    assert host.process.poll() is None
    assert ana.get(f"{root}bomb").status_code == 404


def test_query_bombs_are_refused(host: TestHost) -> None:
    """5,000 nested groups and their like are 4xx from the same process; 20 groups are answered."""
    ana, pod = host.agent("alice"), host.pod("alice")
    bombs = [
        "SELECT * WHERE " + "{" * 5000 + "?s ?p ?o" + "}" * 5000,
        "SELECT * WHERE { FILTER(" + "(" * 5000 + "1" + ")" * 5000 + ") }",
        "SELECT * WHERE { FILTER(" + "!" * 5000 + "true) }",
        "ASK { ?s ?p ?o FILTER(" + " || ".join(["?o = 1"] * 12_800) + ") }",
        "SELECT * WHERE { " + " UNION ".join(["{ ?s ?p ?o }"] * 12_800) + " }",
    ]
    for bomb in bombs:
        assert 400 <= ana.sparql(pod, bomb).status_code < 500, bomb[:60]
    assert ana.sparql(pod, "SELECT * WHERE " + "{" * 20 + "?s ?p ?o" + "}" * 20).status_code == 200
    assert host.process.poll() is None
