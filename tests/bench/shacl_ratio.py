"""One day of 48 readings, parse included: the compiler beside pyshacl on prepared shapes, in one run.

Run it alone: ``.venv/bin/python tests/bench/shacl_ratio.py``.  Only the ratio
means something; both sides take turns on the same machine.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pyshacl
import rdflib

from pod_server.rdf import Syntax, parse
from pod_server.shacl import load_shapes, validate

SHAPES = b"""
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix sosa: <http://www.w3.org/ns/sosa/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .

<urn:ReadingShape> a sh:NodeShape ; sh:targetClass sosa:Observation ; sh:nodeKind sh:IRI ;
  sh:property
    [ sh:path sosa:resultTime ; sh:datatype xsd:dateTimeStamp ; sh:minCount 1 ; sh:maxCount 1 ] ,
    [ sh:path sosa:hasSimpleResult ; sh:datatype xsd:decimal ; sh:minCount 1 ; sh:maxCount 1 ;
      sh:minInclusive 0 ; sh:maxInclusive 36000 ] ,
    [ sh:path sosa:observedProperty ; sh:nodeKind sh:IRI ; sh:minCount 1 ; sh:maxCount 1 ;
      sh:in ( <urn:energy> <urn:power> ) ] .
"""


def day(readings: int = 48) -> bytes:
    """A day of half-hours, four statements a point."""
    points = "".join(
        f'<#p{n}> a sosa:Observation ; sosa:resultTime "2024-03-01T{n // 2 % 24:02}:{n % 2 * 30:02}:00+01:00"'
        f"^^xsd:dateTimeStamp ; sosa:hasSimpleResult {100 + n}.5 ; sosa:observedProperty <urn:energy> .\n"
        for n in range(readings)
    )
    prefixes = "@prefix sosa: <http://www.w3.org/ns/sosa/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"
    return (prefixes + points).encode()


def milliseconds(work: Callable[[], object], rounds: int) -> list[float]:
    """How long each round took."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return taken


def ratio(readings: int = 48, rounds: int = 20) -> float:
    """How many times the compiler is faster; prints the medians of both sides."""
    data, shapes = day(readings), load_shapes(SHAPES)
    rdflib.NORMALIZE_LITERALS = False
    prepared = rdflib.Graph().parse(data=SHAPES, format="turtle")

    def ours() -> bool:
        return validate(shapes, parse(data, Syntax.TURTLE, "urn:day")).conforms

    def theirs() -> bool:
        graph = rdflib.Graph().parse(data=data, format="turtle", publicID="urn:day")
        return bool(pyshacl.validate(graph, shacl_graph=prepared)[0])

    assert ours() == theirs() is True
    mine: list[float] = []
    other: list[float] = []
    for _ in range(rounds):
        mine += milliseconds(ours, 5)
        other += milliseconds(theirs, 1)
    fast, slow = statistics.median(mine), statistics.median(other)
    print(f"{readings} readings: compiler {fast:.2f} ms, pyshacl {slow:.2f} ms, ratio {slow / fast:.1f}")
    return slow / fast


if __name__ == "__main__":
    ratio()
    ratio(readings=1488, rounds=3)
