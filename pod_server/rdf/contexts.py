"""JSON-LD contexts: the bundled ones are put in place, no other is ever fetched.

pyoxigraph has no loader and PyLD's default one fetches whatever a body names;
here a context's IRI is either one of ours or a refusal (battery S04).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pod_server.errors import Malformed
from pod_server.rdf.guards import guard_json
from pod_server.rdf.shipped import shipped
from pod_server.rdf.vocabulary import SELF_DATA

CONTEXT_BASE = SELF_DATA + "contexts/"
"""A bundled context ``vocab/contexts/energy.jsonld`` is named ``{CONTEXT_BASE}energy``."""


@lru_cache(maxsize=1)
def bundled() -> Mapping[str, Any]:
    """IRI -> the value of "@context" of each bundled context."""
    files = sorted(shipped("vocab", "contexts").glob("*.jsonld"))
    return {CONTEXT_BASE + file.stem: json.loads(file.read_bytes())["@context"] for file in files}


def with_contexts_inlined(data: bytes) -> bytes:
    """The same JSON-LD document with bundled contexts in place of their IRIs.

    Raises Malformed when it is not JSON, or names any other remote context
    or @import (JSON-LD 1.1, section 9.4: a processor may refuse to load).
    """
    if b"@context" not in data and b"@import" not in data and b"\\u" not in data:
        return data
    guard_json(data)
    try:
        document = json.loads(data)
    except ValueError as error:
        line, column = getattr(error, "lineno", None), getattr(error, "colno", None)
        raise Malformed(f"Not JSON: {error}.", line=line, column=column) from None
    return json.dumps(_inlined(document), ensure_ascii=False).encode("utf-8", "surrogatepass")


def _inlined(value: Any) -> Any:
    if isinstance(value, list):
        return [_inlined(entry) for entry in value]
    if isinstance(value, dict):
        if "@import" in value:
            raise Malformed("A context uses @import; contexts are not fetched.")
        return {key: _context(entry) if key == "@context" else _inlined(entry) for key, entry in value.items()}
    return value


def _context(value: Any) -> Any:
    if isinstance(value, str):
        if value not in bundled():
            known = ", ".join(bundled()) or "none"
            raise Malformed(f"The context {value[:200]} is not fetched; bundled contexts: {known}.")
        return bundled()[value]
    if isinstance(value, list):
        return [_context(entry) for entry in value]
    return _inlined(value)
