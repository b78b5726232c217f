"""Bytes to statements and back: strict parsing, serialising, negotiation, contexts, canonicalisation.

The lowest room above the nouns; it knows RDF and nothing of pods.
"""

from pod_server.rdf.canonical import canonical
from pod_server.rdf.contexts import CONTEXT_BASE, bundled, with_contexts_inlined
from pod_server.rdf.guards import MAX_DEPTH, guard, guard_json, guard_nesting
from pod_server.rdf.parse import malformed, parse
from pod_server.rdf.serialise import flattened, serialise
from pod_server.rdf.shipped import shipped
from pod_server.rdf.syntax import READABLE, WRITABLE, Syntax, choose, syntax_of

__all__ = [
    "CONTEXT_BASE",
    "MAX_DEPTH",
    "READABLE",
    "WRITABLE",
    "Syntax",
    "bundled",
    "canonical",
    "choose",
    "flattened",
    "guard",
    "guard_json",
    "guard_nesting",
    "malformed",
    "parse",
    "serialise",
    "shipped",
    "syntax_of",
    "with_contexts_inlined",
]
