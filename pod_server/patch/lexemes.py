"""The lexemes that N3, TriG and SPARQL share, and the marks by which variables pass through the engine.

The engine parses strictly but takes no variables.  So each variable becomes an
IRI that the body cannot hold (its scheme is a digest of the body itself) and
is read back afterwards; positions in refusals are those of the body as sent.
Called by n3.py and sparql.py only.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from pyoxigraph import BlankNode, Literal, NamedNode, Quad, RdfFormat
from pyoxigraph import parse as engine_parse

from pod_server.errors import Invalid, Malformed, TooLarge
from pod_server.patch.form import Pattern, Term, Variable
from pod_server.rdf.guards import guard_nesting

MAX_PATCH_BYTES: Final = 1024 * 1024

# Possessive throughout: linear on any input.
LEXEME: Final = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+"""'
    r"|'''(?:[^'\\]|\\.|'(?!''))*+'''"
    r'|"(?:[^"\\\r\n]|\\.)*+"'
    r"|'(?:[^'\\\r\n]|\\.)*+'"
    r'|<[^<>"{}|^`\s]*+>'
    r"|\#[^\r\n]*+"
    r"|@[A-Za-z]++(?:-[A-Za-z0-9]++)*+"
    r"|\\."
    r"|[?$]\w[\w-]*+"
    r"|[\w:%-]++(?:(?:\.|\\.)++[\w:%-]++)*+"
    r"|\S",
    re.DOTALL,
)
_LINE_END = re.compile(r"\r\n|[\r\n]")
_ENGINE_PREFIX = re.compile(r"^Parser error at line \d+ (?:column \d+|between columns \d+ and \d+): ")


class Marks:
    """The marks of one body; two bodies never share any."""

    def __init__(self, body: bytes) -> None:
        self._scheme = f"x-{hashlib.sha256(body).hexdigest()}:"
        self._blocks = f"{self._scheme}block:"
        self._written = re.compile(rf"<{self._scheme}(?:block:\d+:> |([^:<>]*):>)")

    def variable(self, name: str) -> str:
        """The IRI, in brackets, that stands for a variable."""
        return f"<{self._scheme}{name}:>"

    def block(self, number: int) -> str:
        """The IRI, in brackets and with a space, that names the graph of a block."""
        return f"<{self._blocks}{number}:> "

    def block_of(self, graph: object) -> int | None:
        """The number of the block that a graph's name stands for."""
        if not isinstance(graph, NamedNode) or not graph.value.startswith(self._blocks):
            return None
        return int(graph.value[len(self._blocks) : -1])

    def pattern(self, quad: Quad) -> Pattern:
        """The statement's triple with its variables read back.

        Raises Malformed where no variable may stand, Invalid for what no
        patch may hold (quoted triples).
        """
        return Pattern(self._read(quad.subject), self._read(quad.predicate), self._read(quad.object))

    def _read(self, term: object) -> Term | Variable:
        if isinstance(term, NamedNode) and term.value.startswith(self._scheme):
            name = term.value[len(self._scheme) : -1]
            if not term.value.endswith(":") or ":" in name:
                raise Malformed("A variable stands where only an IRI may.")
            return Variable(name)
        if isinstance(term, Literal) and term.datatype.value.startswith(self._scheme):
            raise Malformed("A variable stands where only an IRI may.")
        if isinstance(term, (NamedNode, BlankNode, Literal)):
            return term
        raise Invalid("A patch holds triples of IRIs, blank nodes and literals only.")

    def parsed(self, marked: str, syntax: RdfFormat, base: str) -> list[Quad]:
        """The statements of a marked text; raises Malformed and Invalid in terms of the body as it was sent."""
        try:
            return list(engine_parse(marked, syntax, base_iri=base))
        except SyntaxError as error:
            raise self._refusal(error, marked) from None
        except ValueError as error:
            raise Malformed(f"The patch does not parse: {self._unmarked(str(error))}.") from None

    def _refusal(self, error: SyntaxError, marked: str) -> Malformed | Invalid:
        reason = self._unmarked(_ENGINE_PREFIX.sub("", str(error.msg or error)))[:300]
        if error.lineno is None:
            # The engine gives no place exactly when the syntax holds and the statement is no triple.
            return Invalid(f"The patch holds what is no triple: {reason}.")
        lines = _LINE_END.split(marked)[error.lineno - 1 :]
        before = lines[0][: (error.offset or 1) - 1] if lines else ""
        column = len(self._unmarked(before)) + 1
        return Malformed(f"Line {error.lineno}, column {column}: {reason}.", line=error.lineno, column=column)

    def _unmarked(self, text: str) -> str:
        return self._written.sub(lambda match: "" if match[1] is None else f"?{match[1]}", text)


def text_of(body: bytes) -> str:
    """The text of a patch, once its size, its nesting and its encoding are known to be harmless.

    Raises TooLarge over 1 MiB, Malformed over 64 levels or when it is not UTF-8.
    """
    if len(body) > MAX_PATCH_BYTES:
        raise TooLarge(f"A patch may have at most {MAX_PATCH_BYTES} bytes.", limit=MAX_PATCH_BYTES)
    guard_nesting(body)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("The patch is not UTF-8.") from None
