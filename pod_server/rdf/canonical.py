"""RDF Dataset Canonicalization (RDFC-1.0), bounded against poison graphs (its section 4.4.3)."""

from __future__ import annotations

from collections.abc import Iterable

from pyoxigraph import BlankNode, CanonicalizationAlgorithm, Dataset, Quad, RdfFormat, serialize

from pod_server.errors import LimitReached

MAX_BLANK_NODES = 256


def canonical(statements: Iterable[Quad]) -> bytes:
    """The canonical N-Quads of a dataset: equal for isomorphic datasets, sorted, one statement a line.

    Raises LimitReached over 256 blank nodes: the algorithm is exponential on
    graphs made for it, and the engine cannot be interrupted.
    """
    dataset = Dataset(statements)
    blank = {term for quad in dataset for term in (quad.subject, quad.object) if isinstance(term, BlankNode)}
    if len(blank) > MAX_BLANK_NODES:
        raise LimitReached(f"More than {MAX_BLANK_NODES} blank nodes are not canonicalised.", limit="blank-nodes")
    if blank:
        dataset.canonicalize(CanonicalizationAlgorithm.RDFC_1_0)
    written = serialize(dataset, format=RdfFormat.N_QUADS)
    assert written is not None  # noqa: S101 - no output file was given, so bytes come back
    return b"".join(sorted(written.splitlines(keepends=True)))
