"""What queries inside shapes may not do; looked at when shapes are loaded, before any engine sees them.

Called by compile.py.  It reads text and runs nothing.
"""

from __future__ import annotations

import re
from typing import Final

from pyoxigraph import Literal, NamedNode

from pod_server.errors import Invalid
from pod_server.rdf.vocabulary import SH
from pod_server.shacl.index import Index

_QUERIES: Final = (NamedNode(f"{SH}select"), NamedNode(f"{SH}ask"))
_SKIPPED: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"""'
    r"|'''(?:[^'\\]|\\.|'(?!''))*'''"
    r'|"(?:[^"\\\r\n]|\\.)*"'
    r"|'(?:[^'\\\r\n]|\\.)*'"
    r'|<[^<>"{}|^`\\\s]*>|#[^\r\n]*',
    re.DOTALL,
)
_REACHES_OUT: Final = re.compile(r"(?<![\w:?$-])(SERVICE|FROM|LOAD)(?![\w:-])", re.IGNORECASE)
_PREFIXES: Final = (NamedNode(f"{SH}prefix"), NamedNode(f"{SH}namespace"))
_BREAKS_OUT: Final = re.compile(r"""[\s<>"'{}|^`\\]""")
MAX_QUERY: Final = 10_000


def check_queries(shapes: Index) -> None:
    """Refuse queries that would reach out of the data: SERVICE, FROM; raises Invalid naming the word."""
    for predicate in _QUERIES:
        for query in shapes.inverse(predicate):
            text = query.value if isinstance(query, Literal) else ""
            found = _REACHES_OUT.search(_SKIPPED.sub(" ", text))
            if found:
                raise Invalid(f"A query of a shape may not use {found[1].upper()}.", word=found[1].upper())
            if len(text) > MAX_QUERY or "\\u" in text.lower():
                raise Invalid(f"A query of a shape has at most {MAX_QUERY} characters and no \\u escapes.")
    for predicate in _PREFIXES:
        for text_of_prefix in shapes.inverse(predicate):
            if isinstance(text_of_prefix, Literal) and _BREAKS_OUT.search(text_of_prefix.value):
                raise Invalid(f"{text_of_prefix} is not a prefix or a namespace.", subject=str(text_of_prefix))
