"""The query guard: what it reads out of a query, and what it keeps away from the engine."""

from __future__ import annotations

import pyoxigraph
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from pod_server.errors import Malformed, PodError, TooLarge
from pod_server.query.guard import (
    MAX_CHAIN,
    MAX_QUERY_BYTES,
    UNION_DEFAULT_GRAPH,
    Dataset,
    Scope,
    inspect,
    scope_of,
)

DEAD = "http://127.0.0.1:9/"
"""An address that the engine's client refuses to call at all, which shows that it would have."""

HARMLESS = [
    "SELECT ?SERVICE { ?SERVICE ?p $service }",
    "PREFIX SERVICE: <http://x/> SELECT * { ?s SERVICE:a SERVICE:SERVICE }",
    "PREFIX SERVICE: <http://x/> SELECT * { GRAPH SERVICE:a { ?s ?p ?o } }",
    "SELECT * { ?s <http://x/SERVICE> 'SERVICE <http://x/> {}' }",
    "SELECT * { ?s ?p ?o } # SERVICE <http://x/> {}",
    'SELECT * { ?s ?p """ " SERVICE ""\n" """ }',
    "SELECT * { ?s ?p '''it's SERVICE''' , 'don\\'t', \"x\"@en-service }",
    "SELECT * { _:service ?p ?o FILTER(?o<5 && ?o>-3) }",
    "PREFIX ex: <http://x/> SELECT * { ?s ex:a.service ex:b\\#c . ?s ex:p/ex:q*|^ex:r ?o }",
    "SELECT * { ?s ?p ?o FILTER(?o<?p&&?s>?o) }",
    "SELECT * { VALUES (?a ?b) { (<http://x/a#b> <http://x/it's>) } }",
    "SELECT (COUNT(*) AS ?n) { ?s ?p ?o FILTER EXISTS { ?s a <http://x/#T> } } GROUP BY ?s HAVING(COUNT(?o) > 1)",
    "BASE <http://x/> SELECT * { ?s <p#q> () , (1 2.5 .5 1e3 -4) , [ a <T> ] }",
    "DESCRIBE <http://x/>",
    "CONSTRUCT WHERE { ?s ?p ?o }",
    "ASK{}",
]

SMUGGLED = [
    f"SELECT * {{ SERVICE <{DEAD}> {{ ?s ?p ?o }} }}",
    f"SELECT * {{ service<{DEAD}>{{ ?s ?p ?o }} }}",
    f"SELECT * {{ # comment\r SERVICE <{DEAD}> {{ ?s ?p ?o }} }}",
    "SELECT * { BIND(<http://x/> AS ?e) SERVICE?e{ ?s ?p ?o } }",
    f"PREFIX : <{DEAD}> SELECT * {{ SERVICE:a {{ ?s ?p ?o }} }}",
    f"PREFIX ex: <{DEAD}> SELECT * {{ SERVICEex:a {{ ?s ?p ?o }} }}",
    f"PREFIX ex: <{DEAD}> SELECT * {{ SERVICE#\nex:a {{ ?s ?p ?o }} }}",
    f"PREFIX b: <http://b/> SELECT * {{ FILTER(1<b:c#>'''\n) SERVICE <{DEAD}> {{ ?s ?p ?o }} #''')\n}}",
    f"SELECT * {{ FILTER(1<'>' ) SERVICE <{DEAD}> {{ ?s ?p ?o }} FILTER('1'='1') }}",
    f"SELECT * {{ FILTER(1<5)SERVICE#>\n <{DEAD}> {{ ?s ?p ?o }} }}",
]

REFUSED = [
    ("INSERT DATA { <a:a> <a:b> <a:c> }", "update", 1, 1),
    ("PREFIX x: <http://x/>\n  DELETE WHERE { ?s ?p ?o }", "update", 2, 3),
    ("LOAD <http://x/>", "update", 1, 1),
    ("WITH <http://x/> DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }", "update", 1, 1),
    ("SELECT * { ?s ?p 'open }", "begins nothing", 1, 18),
    ("SELECT * { ?s ?p \\u0053 }", "begins nothing", 1, 18),
    ("SELECT * { ?s ?p ?o ) }", "closes nothing", 1, 21),
    ("SELECT * FROM x:a { }", "not declared", 1, 15),
    ("SELECT * FROM <relative> { }", "absolute", 1, 15),
    ("SELECT * FROM 'x' { }", "Expected an IRI", 1, 15),
    ("PREFIX ex: <http://x/> SELECT * FROMex:a { }", "white space", 1, 33),
    ("SELECT * FROMNAMED<http://x/> { }", "white space", 1, 10),
    ("SELECTALL { }", "found 'SELECTALL'", 1, 1),
    ("SELECT *", "too early", 1, 9),
    ("", "too early", 1, 1),
]


def calls_out(text: str, base: str | None = None) -> bool:
    """True when the engine, over an empty store, tries to reach a service."""
    try:
        found = pyoxigraph.Store().query(text, base_iri=base)
        if not isinstance(found, pyoxigraph.QueryBoolean):
            list(found)
    except OSError:
        return True
    except RuntimeError as error:
        return "service name" in str(error)
    except SyntaxError:
        return False
    return False


@pytest.mark.parametrize("query", HARMLESS)
def test_harmless_queries_pass_and_still_parse(query: str) -> None:
    """A legal query whose names, strings or comments look dangerous is let through, and the engine takes the result."""
    guarded = inspect(query.encode())
    pyoxigraph.Store().query(guarded.text)


@pytest.mark.parametrize("query", SMUGGLED)
def test_services_never_reach_the_engine(query: str) -> None:
    """Each way to write SERVICE makes the bare engine call out, and is refused or defused by the guard."""
    assert calls_out(query)
    try:
        guarded = inspect(query.encode())
    except Malformed:
        return
    assert not calls_out(guarded.text)


@pytest.mark.parametrize(("query", "why", "line", "column"), REFUSED)
def test_refusals_name_the_place(query: str, why: str, line: int, column: int) -> None:
    """Updates and malformed prologues, brackets and clauses are refused with a line and a column."""
    with pytest.raises(Malformed, match=why) as refused:
        inspect(query.encode())
    assert (refused.value.fields["line"], refused.value.fields["column"]) == (line, column)


def test_text_that_is_not_utf8_is_refused() -> None:
    """Broken UTF-8 is told with its place; accents are not broken."""
    with pytest.raises(Malformed) as refused:
        inspect("SELECT *\n{ ?s ?p 'é".encode() + b"\xff' }")
    assert (refused.value.fields["line"], refused.value.fields["column"]) == (2, 11)
    assert inspect("SELECT * { ?été ?p 'é' }".encode()).form == "SELECT"


def test_long_queries_are_refused() -> None:
    """A query at the limit passes, one byte more does not."""
    fitting = b"ASK {}" + b" " * (MAX_QUERY_BYTES - 6)
    assert inspect(fitting).form == "ASK"
    with pytest.raises(TooLarge):
        inspect(fitting + b" ")


@pytest.mark.parametrize("brackets", ["{}", "()", "[]"])
def test_deep_nesting_is_refused(brackets: str) -> None:
    """64 levels pass and 65 do not; brackets in strings and IRIs do not count."""
    opening, closing = brackets

    def nested(levels: int) -> bytes:
        inner = levels - 1
        return f"SELECT * {{ {opening * inner} {closing * inner} }}".encode()

    assert inspect(nested(64)).form == "SELECT"
    with pytest.raises(Malformed, match="deeper"):
        inspect(nested(65))
    assert inspect(f"SELECT * {{ ?s ?p '{opening * 100}' }}".encode()).form == "SELECT"


CHAINS = {
    "union": lambda n: "{}" + "UNION{}" * (n - 2),
    "or": lambda n: f"FILTER({'||'.join(['?a'] * (n + 1))})",
    "and": lambda n: f"FILTER({'&&'.join(['?a'] * (n + 1))})",
    "not": lambda n: f"FILTER({'!' * n}?a)",
    "plus": lambda n: f"FILTER({'+'.join(['?a'] * (n + 1))})",
    "path": lambda n: f"?s {'/'.join(['a'] * (n + 1))} ?o",
    "alternative": lambda n: f"?s {'|'.join(['a'] * (n + 1))} ?o",
    "optional": lambda n: "OPTIONAL{}" * (n - 1),
    "filter": lambda n: "FILTER(1)" * n,
    "groups": lambda n: "{}" * (n - 1),
}


@pytest.mark.parametrize("name", CHAINS)
def test_long_chains_are_refused(name: str) -> None:
    """512 of one operator pass; 513, and the thousands that overflow the engine's stack, do not."""
    chain = CHAINS[name]
    assert inspect(f"SELECT * {{ {chain(MAX_CHAIN)} }}".encode()).form == "SELECT"
    for count in (MAX_CHAIN + 2, 5_000):
        with pytest.raises(Malformed, match="More than"):
            inspect(f"SELECT * {{ {chain(count)} }}".encode())


def test_thousands_of_plain_values_pass() -> None:
    """A long VALUES list or a long pattern is no chain: negative numbers are not subtractions."""
    assert inspect(f"SELECT * {{ VALUES ?a {{ {'-1 ' * 5000} }} }}".encode()).form == "SELECT"


def test_the_dataset_is_read_and_blanked() -> None:
    """FROM and FROM NAMED are resolved by BASE and prefixes, and leave the text with its lines and columns."""
    query = (
        "BASE <http://h/a/> PREFIX ex: <b/>\nSELECT (1 AS ?from) FROM ex:c FROM\nNAMED <d#e> FROM NAMED ex:f\\,g\n"
        "WHERE { GRAPH ?g { ?s ?p 'FROM <x>' } }"
    )
    guarded = inspect(query.encode())
    assert guarded.dataset == Dataset(("http://h/a/b/c",), ("http://h/a/d#e", "http://h/a/b/f,g"))
    assert guarded.uses_graph
    assert [len(line) for line in guarded.text.split("\n")] == [len(line) for line in query.split("\n")]
    assert "FROM" not in guarded.text.replace("'FROM <x>'", "")


def test_an_outer_base_resolves_relative_clauses() -> None:
    """Without BASE in the query the caller's base holds, for the clauses here and for the engine later."""
    guarded = inspect(b"ASK FROM <../x> { }", "http://h/a/b/c")
    assert guarded.default_graphs == ("http://h/a/x",)
    assert guarded.base == "http://h/a/b/c"


@pytest.mark.parametrize(
    ("query", "form", "uses_graph", "clauses"),
    [
        ("CONSTRUCT { ?s ?p ?o } FROM <a:b> WHERE { ?s ?p ?o }", "CONSTRUCT", False, 1),
        ("CONSTRUCT FROM <a:b> WHERE { ?s ?p ?o }", "CONSTRUCT", False, 1),
        ("DESCRIBE * FROM <a:b> FROM NAMED <a:c> WHERE { graph ?g { ?s ?p ?o } }", "DESCRIBE", True, 2),
        ("DESCRIBE <a:a> FROM <a:b>", "DESCRIBE", False, 1),
        ("PREFIX fromage: <a:> DESCRIBE fromage:brie", "DESCRIBE", False, 0),
        ("ASK FROM <a:b> FROM <a:b> { ?graph ?from 'GRAPH' }", "ASK", False, 1),
        ("SELECT * { { SELECT ?s { ?s ?p ?o } } }", "SELECT", False, 0),
    ],
)
def test_forms_and_clauses(query: str, form: str, uses_graph: bool, clauses: int) -> None:
    """Each form is recognised, with its clauses where that form has them, each once."""
    guarded = inspect(query.encode())
    assert (guarded.form, guarded.uses_graph) == (form, uses_graph)
    assert len(guarded.default_graphs) + len(guarded.named_graphs) == clauses
    pyoxigraph.Store().query(guarded.text)


SCOPES = [
    ("", Dataset(), Scope(False, (), None)),
    ("FROM <a:a>", Dataset(), Scope(False, ("a:a",), ())),
    ("FROM <a:a> FROM NAMED <a:b>", Dataset(), Scope(False, ("a:a",), ("a:b",))),
    ("FROM NAMED <a:b>", Dataset(), Scope(False, (), ("a:b",))),
    (f"FROM <{UNION_DEFAULT_GRAPH}>", Dataset(), Scope(True, (), None)),
    (f"FROM <{UNION_DEFAULT_GRAPH}> FROM <a:a>", Dataset(), Scope(True, (), None)),
    (f"FROM <{UNION_DEFAULT_GRAPH}> FROM NAMED <a:b>", Dataset(), Scope(True, (), ("a:b",))),
    (f"FROM <{UNION_DEFAULT_GRAPH}X>", Dataset(), Scope(False, (UNION_DEFAULT_GRAPH + "X",), ())),
    (f"FROM NAMED <{UNION_DEFAULT_GRAPH}>", Dataset(), Scope(False, (), None)),
    (f"FROM <a:a> FROM NAMED <{UNION_DEFAULT_GRAPH}>", Dataset(), Scope(False, ("a:a",), ())),
    ("FROM <a:a>", Dataset(("a:z",)), Scope(False, ("a:z",), ())),
    ("FROM <a:a>", Dataset(named_graphs=("a:z",)), Scope(False, (), ("a:z",))),
    ("FROM <a:a>", Dataset((UNION_DEFAULT_GRAPH,)), Scope(True, (), None)),
]


@pytest.mark.parametrize(("clauses", "protocol", "scope"), SCOPES)
def test_scopes(clauses: str, protocol: Dataset, scope: Scope) -> None:
    """The draft's table: nothing, documents, the reserved IRI, near misses, and the protocol over the query."""
    assert scope_of(inspect(f"SELECT * {clauses} {{ ?s ?p ?o }}".encode()), protocol) == scope


_PIECES = st.sampled_from(
    [
        *(f"SERVICE <{DEAD}> {{ ?s ?p ?o }}", "SERVICE:a {?s ?p ?o}", "SERVICEb:a{}", "service b:a {}", "SERVICE"),
        *("FILTER(1<", "FILTER(?x<b:c", "FILTER('1'='1')", "BIND(1<", "AS ?v)", "VALUES (?q) { (<b:x#", ") }"),
        *(
            "#",
            ">",
            "<",
            "<b:c#",
            "b:c#>",
            "'",
            "'''",
            '"',
            '"""',
            "\n",
            "\r",
            "\\",
            "\\u0023",
            "'>' )",
            "5)",
            ")",
            "(",
        ),
        *(
            "{",
            "}",
            "?s ?p ",
            "true",
            "5",
            "1.e5",
            ".",
            " . ",
            "?o",
            "<<",
            ">>",
            "[",
            "]",
            "@en",
            "^^",
            "_:a",
            "b:",
            ":",
        ),
        *("GRAPH ?g {", "OPTIONAL {", "UNION", " ", "\n) ", "#''')\n", "<b:b>", "||", "é", "{|", "|}", ";", ","),
    ]
)


@seed(20260101)
@settings(max_examples=1500, deadline=None)
@given(st.lists(_PIECES, min_size=1, max_size=9))
def test_whatever_passes_never_calls_out(pieces: list[str]) -> None:
    """Scraps of SPARQL in any order: refused, or harmless in the engine's own reading of what is passed on."""
    query = f"PREFIX : <{DEAD}> PREFIX b: <{DEAD}b> SELECT * {{ {''.join(pieces)} }}"
    for base in (None, "http://h/"):
        try:
            guarded = inspect(query.encode(), base)
        except Malformed:
            continue
        assert not calls_out(guarded.text, base)


@seed(20260102)
@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: ("SELECT * " + text).encode("utf-8", "ignore")))
def test_any_bytes_are_read_or_refused(query: bytes) -> None:
    """No input makes the guard fail in any other way than by a refusal."""
    try:
        inspect(query)
    except PodError:
        return
