"""Reads the part of SPARQL 1.1 Update (2013-03-21) that speaks of one document.  It applies nothing.

INSERT DATA, DELETE DATA, DELETE WHERE and DELETE/INSERT ... WHERE with triple
patterns, any number of them separated by ``;``.  The update is taken apart
here and its blocks are parsed as TriG, one graph each.  Thus LOAD, SERVICE
and paths have nothing that could run them, literals keep their lexical form
("007" stays "007"), and no recursive parser meets the caller's brackets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pyoxigraph import BlankNode, RdfFormat

from pod_server.errors import Invalid, Malformed, TooLarge
from pod_server.patch.form import Patch, Pattern, Step, Term, Variable, has_blank_node, variables_of
from pod_server.patch.lexemes import LEXEME, Marks, text_of

MAX_OPERATIONS: Final = 256

_IN_BLOCKS = ("GRAPH", "OPTIONAL", "FILTER", "UNION", "MINUS", "BIND", "VALUES", "SERVICE", "SELECT")
_AT_START = ("LOAD", "CLEAR", "DROP", "CREATE", "ADD", "MOVE", "COPY", "WITH", "USING")
_TAKEN = ("INSERT", "DELETE", "DATA", "WHERE")
_PROLOGUE = {"PREFIX": 2, "BASE": 1}

_Item = str | int
_Blocks = Mapping[int, Sequence[Pattern]]


def read_sparql_update(body: bytes, base: str) -> Patch:
    """The operations of an application/sparql-update document, all on the patched document's default graph.

    base: the IRI of the document that is patched.  Raises Malformed when it
    is not SPARQL Update, Invalid when it asks for more than triples of this
    document (GRAPH, WITH, USING, LOAD, CLEAR, FILTER ...), TooLarge over
    1 MiB or 256 operations.
    """
    text, marks = text_of(body), Marks(body)
    split = _Split(marks)
    marked = split.marked(text)
    blocks: dict[int, list[Pattern]] = {}
    for quad in marks.parsed(marked, RdfFormat.TRIG, base):
        number = marks.block_of(quad.graph_name)
        if number is None:
            raise Malformed("Triples stand outside of any operation.")
        blocks.setdefault(number, []).append(marks.pattern(quad))
    steps = tuple(_step(items, blocks) for items in split.operations if items)
    if not steps:
        raise Invalid("The update holds no operation.")
    return Patch(steps)


class _Split:
    """Takes an update apart: its operations (keywords and block numbers), and TriG that holds its blocks."""

    def __init__(self, marks: Marks) -> None:
        self.operations: list[list[_Item]] = [[]]
        self._marks = marks
        self._blocks = 0
        self._in_block = False
        self._prologue_left = 0

    def marked(self, text: str) -> str:
        """What is neither prologue nor block becomes spaces, so that the engine's lines are the body's lines."""
        written: list[str] = []
        end = 0
        for match in LEXEME.finditer(text):
            written += (text[end : match.start()], self._one(match[0]))
            end = match.end()
        if len(self.operations) > MAX_OPERATIONS:
            raise TooLarge(f"An update may have at most {MAX_OPERATIONS} operations.", limit=MAX_OPERATIONS)
        return "".join((*written, text[end:]))

    def _one(self, lexeme: str) -> str:
        if lexeme[0] == "#":
            return lexeme
        if self._in_block:
            self._in_block = lexeme != "}"
            return self._triples(lexeme)
        if lexeme == "{":
            self._in_block = True
            self._blocks += 1
            self.operations[-1].append(self._blocks)
            return self._marks.block(self._blocks) + lexeme
        if self._prologue_left:
            self._prologue_left -= 1
            return lexeme
        if lexeme.upper() in _PROLOGUE and not self.operations[-1]:
            self._prologue_left = _PROLOGUE[lexeme.upper()]
            return lexeme
        self._keyword(lexeme)
        return " " * len(lexeme)

    def _triples(self, lexeme: str) -> str:
        if lexeme == "{" or lexeme.upper() in _IN_BLOCKS:
            shown = "A group within a block" if lexeme == "{" else lexeme.upper()
            raise Invalid(f"{shown} is not taken: a patch speaks of triples of this one document.")
        variable = lexeme[0] in "?$" and len(lexeme) > 1
        return self._marks.variable(lexeme[1:]) if variable else lexeme

    def _keyword(self, lexeme: str) -> None:
        word = lexeme.upper()
        if word in _AT_START:
            raise Invalid(f"{word} is not taken: a patch speaks of triples of this one document.")
        if word in _TAKEN:
            self.operations[-1].append(word)
        elif lexeme == ";" and self.operations[-1]:
            self.operations.append([])
        else:
            raise Malformed(f"{lexeme[:80]!r} is not expected in a SPARQL Update.")


def _step(items: Sequence[_Item], blocks: _Blocks) -> Step:
    match items:
        case ["INSERT", "DATA", int(inserts)]:
            return Step(inserts=_data(inserts, blocks))
        case ["DELETE", "DATA", int(deletes)]:
            _data(deletes, blocks)
            return Step(deletes=_deletes(deletes, blocks))
        case ["DELETE", "WHERE", int(where)]:
            return Step(_where(where, blocks), _deletes(where, blocks))
        case ["DELETE", int(deletes), "WHERE", int(where)]:
            return Step(_where(where, blocks), _deletes(deletes, blocks))
        case ["INSERT", int(inserts), "WHERE", int(where)]:
            return Step(_where(where, blocks), inserts=tuple(blocks.get(inserts, ())))
        case ["DELETE", int(deletes), "INSERT", int(inserts), "WHERE", int(where)]:
            return Step(_where(where, blocks), _deletes(deletes, blocks), tuple(blocks.get(inserts, ())))
    shown = " ".join("{...}" if isinstance(item, int) else item for item in items)
    raise Malformed(f"{shown[:200]} is not an operation of SPARQL Update.")


def _data(block: int, blocks: _Blocks) -> tuple[Pattern, ...]:
    patterns = tuple(blocks.get(block, ()))
    if variables_of(patterns):
        raise Invalid("Variables may not stand in INSERT DATA or DELETE DATA.")
    return patterns


def _deletes(block: int, blocks: _Blocks) -> tuple[Pattern, ...]:
    """SPARQL 1.1 Update, sections 3.1.2 and 3.1.3: no blank nodes where something is deleted."""
    patterns = tuple(blocks.get(block, ()))
    if has_blank_node(patterns):
        raise Invalid("Blank nodes may not stand where triples are deleted; use a variable.")
    return patterns


def _where(block: int, blocks: _Blocks) -> tuple[Pattern, ...]:
    return tuple(Pattern(*map(_matching, pattern)) for pattern in blocks.get(block, ()))


def _matching(term: Term | Variable) -> Term | Variable:
    """A blank node of a condition matches anything, as a variable does (SPARQL 1.1 Query, section 4.1.4)."""
    return Variable(f"_:{term.value}") if isinstance(term, BlankNode) else term
