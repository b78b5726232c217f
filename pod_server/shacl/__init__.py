"""Shapes: compiled once, checked on every write; reports as values, as RDF and as a sentence.

Called by pod.py, landing and the workers.  It knows statements and shapes,
nothing of pods; it opens no file and no socket.
"""

from pod_server.shacl.compile import Shapes, load_shapes, validate
from pod_server.shacl.paths import PropertyPath, path_text
from pod_server.shacl.report import Report, Result

__all__ = [
    "PropertyPath",
    "Report",
    "Result",
    "Shapes",
    "load_shapes",
    "path_text",
    "validate",
]
