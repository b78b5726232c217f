"""N3 Patch and SPARQL Update: bytes to a patch, a patch and statements to removals and additions.

Pure: no store, no network, no clock.  pod.py reads a patch to know which
modes it needs, asks access/, then applies it to the parsed document; large
bodies and documents go through a worker.  Nothing here may reach an engine
that evaluates: patches are taken apart, and only their triples are parsed.
"""

from pod_server.patch.apply import MAX_OPEN_PATTERNS, MAX_WORK, apply
from pod_server.patch.form import Applied, Patch, Pattern, Step, Term, Variable
from pod_server.patch.lexemes import MAX_PATCH_BYTES
from pod_server.patch.n3 import read_n3_patch
from pod_server.patch.sparql import MAX_OPERATIONS, read_sparql_update

__all__ = [
    "MAX_OPEN_PATTERNS",
    "MAX_OPERATIONS",
    "MAX_PATCH_BYTES",
    "MAX_WORK",
    "Applied",
    "Patch",
    "Pattern",
    "Step",
    "Term",
    "Variable",
    "apply",
    "read_n3_patch",
    "read_sparql_update",
]
