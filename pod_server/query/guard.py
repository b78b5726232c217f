"""What a query asks, read from its bytes before any engine sees it; refuses what no engine may see.

Called by web/ before it looks for a view; pure, it knows no pod, no store and no process.  It must never let a
SERVICE through, whatever it hides behind: the engine calls out on it, and its grammar needs no white space after a
keyword (``SERVICEex:a {`` and ``SERVICE:a {`` both call out) and reads ``<`` as "less than" or as an IRI by context.
So a query is refused, or rewritten where two readings exist, never guessed at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from pyoxigraph import RdfFormat
from pyoxigraph import parse as engine_parse

from pod_server.errors import Malformed, TooLarge
from pod_server.rdf import MAX_DEPTH
from pod_server.rdf.vocabulary import SPARQL_NS

UNION_DEFAULT_GRAPH: Final = SPARQL_NS + "union-default-graph"
"""The reserved IRI by which a query asks for the merge of all that its caller may read."""
MAX_QUERY_BYTES: Final = 100_000
MAX_CHAIN: Final = 512
"""How many groups and operators a query may have: the engine overflows its stack at 6,400 to 12,800."""

FORMS: Final = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
_UPDATES: Final = frozenset(
    ("INSERT", "DELETE", "LOAD", "CLEAR", "CREATE", "DROP", "COPY", "MOVE", "ADD", "WITH"),
)
_CHAINED_WORDS: Final = frozenset(("UNION", "OPTIONAL", "MINUS", "FILTER", "BIND", "EXISTS", "LATERAL"))
_CHAINED_MARKS: Final = frozenset(("||", "&&", "!", "/", "|", "^", "+", "-", "*", "{"))
_CLOSERS: Final = {"{": "}", "(": ")", "[": "]"}

_NAME = "[A-Za-z0-9_\u00b7-\U0010ffff-]"
_LOCAL = rf"(?:{_NAME}|:|%[0-9A-Fa-f]{{2}}|\\[_~.\-!$&'()*+,;=/?#@%])"
_ESCAPE = r"\\u[0-9A-Fa-f]{4}|\\U[0-9A-Fa-f]{8}"
_TOKEN: Final = re.compile(
    rf"""(?P<space>[ \t\r\n]+|\#[^\r\n]*)
       |(?P<iri><(?:[^<>"{{}}|^`\\\x00-\x20]|{_ESCAPE})*>)
       |(?P<string>\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\"|'''(?:[^'\\]|\\.|'(?!''))*'''
                  |"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*')
       |(?P<blank>_:{_NAME}+(?:\.+{_NAME}+)*)
       |(?P<name>(?:[A-Za-z\u00b7-\U0010ffff]{_NAME}*(?:\.+{_NAME}+)*)?:(?:{_LOCAL}+(?:\.+{_LOCAL}+)*)?)
       |(?P<number>(?:[+-](?=\.?[0-9]))?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
       |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
       |(?P<variable>[?$][A-Za-z0-9_\u00b7-\U0010ffff]+)
       |(?P<language>@[A-Za-z]+(?:-[A-Za-z0-9]+)*)
       |(?P<mark>\|\||&&|\^\^|!=|<=|>=|\{{\||\|\}}|[{{}}()\[\]<>=!|/^*+\-?.,;~])""",
    re.VERBOSE | re.DOTALL,
)
_AMBIGUOUS: Final = re.compile("[#'()]")
_LOCAL_ESCAPE: Final = re.compile(r"\\(?=.)")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset description: FROM and FROM NAMED, or the protocol's default-graph-uri and named-graph-uri."""

    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.default_graphs or self.named_graphs)


NO_DATASET: Final = Dataset()


@dataclass(frozen=True, slots=True)
class Guarded:
    """A query that may reach an engine.

    text: the query with its dataset clauses blanked out, lines and columns kept.  form: SELECT, ASK, CONSTRUCT or
    DESCRIBE.  uses_graph: the word GRAPH occurs.  base: what relative IRIs are resolved against, None means they are
    refused.
    """

    text: str
    form: str
    dataset: Dataset = NO_DATASET
    uses_graph: bool = False
    base: str | None = None

    @property
    def default_graphs(self) -> tuple[str, ...]:
        """The IRIs of its FROM clauses, resolved, in order."""
        return self.dataset.default_graphs

    @property
    def named_graphs(self) -> tuple[str, ...]:
        """The IRIs of its FROM NAMED clauses, resolved, in order."""
        return self.dataset.named_graphs


@dataclass(frozen=True, slots=True)
class Scope:
    """What a query is evaluated over, out of the documents its caller may read.

    union: its default graph is the merge of all of them; otherwise default names them, and an unknown name counts for
    nothing.  named: the documents that GRAPH ranges over, None means all of them.
    """

    union: bool = False
    default: tuple[str, ...] = ()
    named: tuple[str, ...] | None = None


def scope_of(query: Guarded, protocol: Dataset = NO_DATASET) -> Scope:
    """The scope of a query; the protocol's parameters, when there are any, take the place of its own clauses.

    Draft "Access-Controlled SPARQL Query over a Solid Pod", sections "Dataset clauses" and "Union default graph
    mode": nothing described means an empty default graph and every readable document named; the reserved IRI merges
    all documents and leaves the named ones as they are.  As a *named* graph the reserved IRI is treated as absent:
    here the clause itself is absent, as the draft's test union-iri-inert-in-from-named asks ("must not restrict the
    set"), where the prose could also be read as "a description with no graph in it"; both disclose nothing.
    """
    described = protocol or query.dataset
    default = described.default_graphs
    named = tuple(iri for iri in described.named_graphs if iri != UNION_DEFAULT_GRAPH)
    union = UNION_DEFAULT_GRAPH in default
    if named:
        return Scope(union, () if union else default, named)
    if default and not union:
        return Scope(False, default, ())
    return Scope(union, (), None)


def inspect(query: bytes, base: str | None = None) -> Guarded:
    """Read a query, or refuse it: Malformed with line and column (1-based, in characters), TooLarge over 100,000 bytes.

    Refused: what is not UTF-8 or not SPARQL's alphabet, more than 64 levels of brackets, more than 512 groups or
    operators of one kind, SERVICE, SPARQL Update.  base: an absolute IRI for relative ones, under the query's own BASE.
    """
    if len(query) > MAX_QUERY_BYTES:
        raise TooLarge(f"A query may have at most {MAX_QUERY_BYTES} bytes.", limit=MAX_QUERY_BYTES)
    try:
        text = query.decode()
    except UnicodeDecodeError as error:
        before = query[: error.start].decode()
        _refuse(before, len(before), "The query is not UTF-8")
    tokens = list(_tokens(text))
    _refuse_service(text, tokens)
    _refuse_bombs(text, tokens)
    return _Reading(text, tokens, base).read()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    inside: str
    """The innermost bracket that is open before it: one of "{", "(", "[", or empty."""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def keyword(self) -> str:
        return self.text.upper() if self.kind == "word" else ""

    @property
    def prefix(self) -> str:
        return self.text.split(":", 1)[0].upper() if self.kind == "name" else ""


def _tokens(text: str) -> Iterator[_Token]:
    """Every token but white space and comments; refuses the first character that begins none."""
    open_brackets: list[str] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            _refuse(text, position, f"{text[position]!r} begins nothing that SPARQL knows")
        kind = match.lastgroup or ""
        if kind != "space":
            word = match.group()
            yield _Token(kind, word, position, open_brackets[-1] if open_brackets else "")
            _follow(open_brackets, text, position, word if kind == "mark" else "")
        position = match.end()


def _follow(open_brackets: list[str], text: str, position: int, mark: str) -> None:
    first = mark[:1]
    if mark in ("{|", *_CLOSERS):
        open_brackets.append(first)
        if len(open_brackets) > MAX_DEPTH:
            _refuse(text, position, f"Nested deeper than {MAX_DEPTH} levels")
    elif mark in ("|}", *_CLOSERS.values()):
        opened = open_brackets.pop() if open_brackets else ""
        if _CLOSERS.get(opened) != mark[-1]:
            _refuse(text, position, f"{mark!r} closes nothing")


def _refuse_service(text: str, tokens: Sequence[_Token]) -> None:
    """No bare word holds SERVICE, and no prefixed name that could be SERVICE and a name stands before a group.

    ``trueSERVICE``, ``SERVICESILENT`` and ``SERVICEex:a`` are all read as the keyword by an engine that needs no white
    space; inside a pattern ``SERVICE:a`` is a name before "{" only after GRAPH.
    """
    for index, token in enumerate(tokens):
        if "SERVICE" in token.keyword:
            _refuse(text, token.start, "SERVICE is not answered here: a query reads this pod alone")
        if token.inside and "SERVICE" in token.prefix:
            followed = index + 1 < len(tokens) and tokens[index + 1].text.startswith("{")
            if followed and tokens[index - 1].keyword != "GRAPH":
                _refuse(text, token.start, "This name before a group reads as SERVICE, which is not answered here")


def _refuse_bombs(text: str, tokens: Sequence[_Token]) -> None:
    seen: dict[str, int] = {}
    for token in tokens:
        chained = token.keyword if token.kind == "word" else token.text if token.kind == "mark" else ""
        if chained in _CHAINED_MARKS or chained in _CHAINED_WORDS:
            seen[chained] = seen.get(chained, 0) + 1
            if seen[chained] > MAX_CHAIN:
                _refuse(text, token.start, f"More than {MAX_CHAIN} times {chained!r} in one query")


@dataclass(slots=True)
class _Reading:
    """One walk over a query's prologue and dataset clauses; lives for one call of inspect."""

    text: str
    tokens: Sequence[_Token]
    base: str | None
    prefixes: dict[str, str] = field(default_factory=dict)
    at: int = 0
    blanked: list[tuple[int, int]] = field(default_factory=list)

    def read(self) -> Guarded:
        outer = self.base
        self._prologue()
        form = self._take("a query form").keyword
        self._require_form(form)
        dataset = self._clauses(form)
        uses_graph = any("GRAPH" in token.keyword or "GRAPH" in token.prefix for token in self.tokens)
        return Guarded(self._rewritten(), form, dataset, uses_graph, outer)

    def _prologue(self) -> None:
        while (keyword := self._peek().keyword) in ("BASE", "PREFIX", "VERSION"):
            self._take(keyword)
            if keyword == "BASE":
                self.base = self._resolved(self._take("an IRI", "iri"))
            elif keyword == "PREFIX":
                name = self._take("a prefix", "name").text
                self.prefixes[name[:-1]] = self._resolved(self._take("an IRI", "iri"))
            else:
                self._take("a version", "string")

    def _require_form(self, form: str) -> None:
        if form in FORMS:
            return
        token = self.tokens[self.at - 1]
        if form in _UPDATES:
            _refuse(self.text, token.start, f"{form} is an update; this service only reads")
        _refuse(self.text, token.start, f"Expected {', '.join(FORMS)} and found {token.text[:40]!r}")

    def _clauses(self, form: str) -> Dataset:
        """The FROM clauses: after the form, and its template if it has one, up to the first group of the pattern."""
        found: dict[bool, list[str]] = {False: [], True: []}
        if form == "CONSTRUCT" and self._peek().text == "{":
            self._skip_group()
        while (token := self._next_before_pattern(form)) is not None:
            if token.inside:
                continue
            if token.keyword == "FROM":
                is_named, iri = self._clause(token)
                found[is_named].append(iri)
            elif "FROM" in token.keyword or ("FROM" in token.prefix and form != "DESCRIBE"):
                _refuse(self.text, token.start, "Put white space after FROM")
        return Dataset(*(tuple(dict.fromkeys(iris)) for iris in found.values()))

    def _next_before_pattern(self, form: str) -> _Token | None:
        """The next token, None at the pattern's brace; only DESCRIBE may end without a pattern."""
        if form == "DESCRIBE" and self.at == len(self.tokens):
            return None
        token = self._peek()
        if token.text == "{" and not token.inside:
            return None
        self.at += 1
        return token

    def _skip_group(self) -> None:
        self.at += 1
        while self._peek().inside:
            self.at += 1

    def _clause(self, start: _Token) -> tuple[bool, str]:
        is_named = self._peek().keyword == "NAMED"
        if is_named:
            self._take("NAMED")
        target = self._take("an IRI", "iri", "name")
        self.blanked.append((start.start, target.end))
        return is_named, self._resolved(target)

    def _rewritten(self) -> str:
        """The text with dataset clauses blanked, and ``<`` left with one reading.

        Between parentheses the engine tries "less than" before it tries an IRI, so what follows could hide a comment
        or a string from this file or from the engine; the marks that could are written as escapes, which only an IRI
        takes.
        """
        pieces: list[str] = []
        position = 0
        for start, end, instead in sorted([*self._blanks(), *self._escapes()]):
            pieces += [self.text[position:start], instead]
            position = end
        return "".join([*pieces, self.text[position:]])

    def _blanks(self) -> Iterator[tuple[int, int, str]]:
        for start, end in self.blanked:
            yield start, end, re.sub(r"[^\r\n]", " ", self.text[start:end])

    def _escapes(self) -> Iterator[tuple[int, int, str]]:
        before = ""
        for token in self.tokens:
            two_readings = token.kind == "iri" and (token.inside == "(" or before == "<")
            if two_readings and _AMBIGUOUS.search(token.text):
                yield token.start, token.end, _AMBIGUOUS.sub(lambda mark: f"\\u{ord(mark.group()):04X}", token.text)
            before = token.text

    def _peek(self) -> _Token:
        if self.at == len(self.tokens):
            _refuse(self.text, len(self.text), "The query ends too early")
        return self.tokens[self.at]

    def _take(self, expected: str, *kinds: str) -> _Token:
        token = self._peek()
        if kinds and token.kind not in kinds:
            _refuse(self.text, token.start, f"Expected {expected} and found {token.text[:40]!r}")
        self.at += 1
        return token

    def _resolved(self, token: _Token) -> str:
        """The absolute IRI behind an IRI or a prefixed name, resolved as the engine resolves it."""
        written = token.text
        if token.kind == "name":
            prefix, local = written.split(":", 1)
            if prefix not in self.prefixes:
                _refuse(self.text, token.start, f"The prefix {prefix!r} is not declared")
            written = f"<{self.prefixes[prefix]}{_LOCAL_ESCAPE.sub('', local)}>"
        try:
            (found,) = engine_parse(f"<x:s> <x:p> {written} .", RdfFormat.TURTLE, base_iri=self.base)
        except (SyntaxError, ValueError):
            _refuse(self.text, token.start, f"{token.text[:200]} is not an absolute IRI, and there is no base for it")
        return str(found.object)[1:-1]


def _refuse(text: str, position: int, why: str) -> NoReturn:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    raise Malformed(f"{why}, at line {line}, column {column}.", line=line, column=column)
