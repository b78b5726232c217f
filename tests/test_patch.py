"""N3 Patch and SPARQL Update: what is refused, what is done, and that it is what an engine would have done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import BlankNode, Literal, NamedNode, Quad, Store

from pod_server.errors import Conflict, Invalid, LimitReached, Malformed, PodError, TooLarge
from pod_server.patch import MAX_OPERATIONS, MAX_PATCH_BYTES, Patch, apply, read_n3_patch, read_sparql_update
from pod_server.rdf import Syntax, canonical, parse
from pod_server.terms import Mode

BASE = "https://pod.example/ana/card"
PREFIXES = "@prefix solid: <http://www.w3.org/ns/solid/terms#>. @prefix ex: <http://www.example.org/terms#>.\n"
CARD = """
@prefix ex: <http://www.example.org/terms#>.
<#claudia> ex:familyName "Garcia"; ex:givenName "Claudia"; ex:age "007"^^<http://www.w3.org/2001/XMLSchema#integer>.
<#ana> ex:familyName "Roche"; ex:knows <#claudia>, [ ex:givenName "Bruno" ].
<#zoe> ex:familyName "Roche".
"""


def document(turtle: str = CARD) -> list[Quad]:
    """The statements of a Turtle text."""
    return parse(turtle.encode(), Syntax.TURTLE, BASE)


def n3(parts: str) -> Patch:
    """An N3 Patch of one resource with these parts."""
    return read_n3_patch(f"{PREFIXES}_:patch a solid:InsertDeletePatch; {parts} .".encode(), BASE)


def sparql(operations: str) -> Patch:
    """A SPARQL Update with the prefix ex:."""
    return read_sparql_update(f"PREFIX ex: <http://www.example.org/terms#> {operations}".encode(), BASE)


def after(patch: Patch, turtle: str = CARD) -> bytes:
    """The canonical form of a document once patched."""
    return canonical(apply(patch, document(turtle)).statements)


RENAMED = CARD.replace('"Claudia"', '"Alex"')

N3_DONE = [
    (
        """solid:where { ?person ex:familyName "Garcia". }; solid:inserts { ?person ex:givenName "Alex". };
        solid:deletes { ?person ex:givenName "Claudia". }""",
        RENAMED,
        Mode.READ | Mode.APPEND | Mode.WRITE,
    ),
    ('solid:inserts { <#new> ex:familyName "Ñ?x{" }', CARD + '<#new> ex:familyName "Ñ?x{".', Mode.APPEND),
    ("solid:inserts {}", CARD, Mode.APPEND),
    ("solid:where { <#ana> ex:knows <#claudia> }", CARD, Mode.READ | Mode.APPEND),
    (
        "solid:deletes { <#claudia> ex:age 007 }",
        CARD.replace('; ex:age "007"^^<http://www.w3.org/2001/XMLSchema#integer>', ""),
        Mode.READ | Mode.WRITE,
    ),
    (
        'solid:inserts { <#ana> ex:knows [ ex:givenName "Bruno" ] }',
        CARD + '<#ana> ex:knows [ ex:givenName "Bruno" ].',
        Mode.APPEND,
    ),
    (
        "solid:inserts { <#ana> ex:list (1 02 _:x). _:x ex:p _:x }",
        CARD + "<#ana> ex:list (1 02 _:x). _:x ex:p _:x .",
        Mode.APPEND,
    ),
    (
        """solid:where { ?a ex:knows ?b. ?b ex:givenName "Bruno". ?b ?p ?name }; solid:deletes { ?b ?p ?name };
        solid:inserts { ?b ex:givenName "Bruna" }""",
        CARD.replace("Bruno", "Bruna"),
        Mode.READ | Mode.APPEND | Mode.WRITE,
    ),
    (
        "solid:deletes { <#zoe> ex:familyName 'Roche' }; solid:inserts { <#zoe> ex:familyName 'Roche' }",
        CARD,
        Mode.READ | Mode.APPEND | Mode.WRITE,
    ),
]


@pytest.mark.parametrize(("parts", "expected", "modes"), N3_DONE)
def test_an_n3_patch_does_what_the_protocol_says(parts: str, expected: str, modes: Mode) -> None:
    """Positive controls: the document afterwards, and the modes that are asked for."""
    patch = n3(parts)
    assert after(patch) == canonical(document(expected))
    assert patch.modes_needed() == modes


N3_REFUSED = [
    ("not N3", b"hello { world", Malformed),
    ("unclosed string", f'{PREFIXES}<> a solid:InsertDeletePatch; solid:inserts {{ <a> <b> "c }}.'.encode(), Malformed),
    ("not UTF-8", b"\xff", Malformed),
    ("unknown prefix", b"<> a nope:Patch .", Malformed),
    ("too deep", b"<a> <b> " + b"[ <p> " * 70 + b"]" * 70 + b".", Malformed),
    ("too large", b" " * (MAX_PATCH_BYTES + 1), TooLarge),
    ("empty", b"", Invalid),
    ("no type", f"{PREFIXES}_:p solid:inserts {{ <a> <b> <c> }}.".encode(), Invalid),
    ("other type", f"{PREFIXES}_:p a solid:Patch; solid:inserts {{ <a> <b> <c> }}.".encode(), Invalid),
    (
        "two patches",
        f"{PREFIXES}<#1> a solid:InsertDeletePatch; solid:inserts {{}}. <#2> a solid:InsertDeletePatch.".encode(),
        Invalid,
    ),
    (
        "parts of another subject",
        f"{PREFIXES}<#1> a solid:InsertDeletePatch. <#2> solid:inserts {{ <a> <b> <c> }}.".encode(),
        Invalid,
    ),
    (
        "variable as a datatype",
        f'{PREFIXES}<> a solid:InsertDeletePatch; solid:where {{ ?t <b> "c"^^?t }}.'.encode(),
        Malformed,
    ),
    (
        "variable as a prefix",
        f"{PREFIXES}@prefix v: ?t. <> a solid:InsertDeletePatch; solid:where {{ v:x <b> ?t }}.".encode(),
        Malformed,
    ),
]


@pytest.mark.parametrize(("name", "body", "kind"), N3_REFUSED)
def test_a_body_that_is_no_patch_document_is_refused(name: str, body: bytes, kind: type[PodError]) -> None:
    """What is not N3 is Malformed (400), what is not one such patch Invalid (422)."""
    with pytest.raises(kind) as refusal:
        read_n3_patch(body, BASE)
    assert type(refusal.value) is kind


N3_INVALID = [
    "solid:inserts { <a> <b> <c> }; solid:inserts { <a> <b> <d> }",
    "solid:deletes { <a> <b> <c> }, { <a> <b> <d> }",
    "solid:where { <a> <b> <c> }, {}",
    "solid:inserts <a>",
    'solid:inserts "text"',
    "solid:inserts _:f",
    "solid:inserts _:f. {<a> <b> <c>} a ex:Formula",
    "solid:insert { <a> <b> <c> }",
    "solid:inserts { <a> <b> { <c> <d> <e> } }",
    "solid:where _:f; solid:inserts { <a> <b> {} }",
    "solid:inserts { ?x <b> <c> }",
    "solid:where { <a> <b> ?x }; solid:deletes { <a> <b> ?y }",
    "solid:deletes { <a> <b> _:x }",
    "solid:deletes { <a> <b> [] }",
    "solid:where { <a> <b> [] }",
    "solid:where { <a> <b> (1) }",
    'solid:inserts { "literal" <b> <c> }',
    'solid:inserts { <a> "literal" <c> }',
]


@pytest.mark.parametrize("parts", N3_INVALID)
def test_a_patch_that_breaks_a_constraint_is_invalid(parts: str) -> None:
    """Solid Protocol, section 5.3.1: each constraint, one row (422)."""
    with pytest.raises(Invalid):
        n3(parts)


N3_CONFLICTS = [
    ("no mapping", 'solid:where { ?x ex:familyName "Dupont" }'),
    ("two mappings", 'solid:where { ?x ex:familyName "Roche" }'),
    ("a ground condition that fails", "solid:where { <#zoe> ex:knows <#ana> }"),
    ("half a condition holds", 'solid:where { ?x ex:familyName "Garcia"; ex:knows ?y }'),
    ("one variable twice, unequal", "solid:where { ?x ex:knows ?x }"),
    ("absent deletion", "solid:deletes { <#zoe> ex:age 1 }"),
    ("one of two deletions is absent", "solid:deletes { <#zoe> ex:familyName 'Roche'; ex:age 1 }"),
    ("another lexical form", "solid:deletes { <#claudia> ex:age 7 }"),
    ("a literal as subject", "solid:where { <#claudia> ex:givenName ?n }; solid:inserts { ?n ex:p ?n }"),
]


@pytest.mark.parametrize(("name", "parts"), N3_CONFLICTS)
def test_a_patch_that_does_not_fit_the_document_is_a_conflict(name: str, parts: str) -> None:
    """No or many mappings, or absent deletions: 409, and the statements given are untouched."""
    statements = document()
    with pytest.raises(Conflict):
        apply(n3(parts), statements)
    assert canonical(statements) == canonical(document())


def test_a_refusal_names_the_place_in_the_body_as_sent() -> None:
    """Variables pass the engine as longer marks; line and column are those before that."""
    with pytest.raises(Malformed) as refusal:
        n3("\n solid:where { ?person ex:p ?other. ?person nope:q 1 }")
    assert (refusal.value.fields["line"], refusal.value.fields["column"]) == (3, 45)
    assert "x-" not in refusal.value.detail


SPARQL_DONE = [
    ("INSERT DATA { <#new> ex:age 007 }", CARD + "<#new> ex:age 007.", Mode.APPEND),
    ("insert data { <#new> ex:age 007 . } ;", CARD + "<#new> ex:age 007.", Mode.APPEND),
    ("DELETE DATA { <#zoe> ex:familyName 'Roche' }", CARD.replace("<#zoe>", "#"), Mode.READ | Mode.WRITE),
    ("DELETE DATA { <#zoe> ex:age 1 }", CARD, Mode.READ | Mode.WRITE),
    (
        "DELETE DATA { <#claudia> ex:givenName 'Claudia' };\n# and\nINSERT DATA { <#claudia> ex:givenName 'Alex' };",
        RENAMED,
        Mode.READ | Mode.APPEND | Mode.WRITE,
    ),
    (
        """DELETE { ?p ex:givenName ?n } INSERT { ?p ex:givenName 'Alex' }
        WHERE { ?p ex:familyName 'Garcia'; ex:givenName ?n }""",
        RENAMED,
        Mode.READ | Mode.APPEND | Mode.WRITE,
    ),
    ("DELETE WHERE { <#zoe> ?p $o }", CARD.replace("<#zoe>", "#"), Mode.READ | Mode.WRITE),
    (
        "INSERT { ?x ex:seen [] } WHERE { ?x ex:familyName 'Roche' }",
        CARD + "<#ana> ex:seen []. <#zoe> ex:seen [].",
        Mode.READ | Mode.APPEND,
    ),
    (
        "INSERT { ?x ex:ofBruno true } WHERE { ?x ex:knows [ ex:givenName 'Bruno' ] }",
        CARD + "<#ana> ex:ofBruno true.",
        Mode.READ | Mode.APPEND,
    ),
    ("INSERT { ?x ex:p ?un; ex:q 1 } WHERE { ?x ex:age ?a }", CARD + "<#claudia> ex:q 1.", Mode.READ | Mode.APPEND),
    ("INSERT { <#a> ex:p 1 } WHERE {}", CARD + "<#a> ex:p 1.", Mode.APPEND),
    ("DELETE { ?x ex:p 1 } WHERE { ?x ex:none ?y }", CARD, Mode.READ | Mode.WRITE),
    ("BASE <https://b.example/> INSERT DATA { <x> a <y> }", CARD + "<//b.example/x> a <//b.example/y>.", Mode.APPEND),
    (
        "INSERT DATA { ex:a ex:p _:b }; PREFIX ex: <https://two.example/> INSERT DATA { ex:a ex:p _:b, 'FILTER { }' }",
        CARD + "ex:a ex:p [] . <https://two.example/a> <https://two.example/p> [], 'FILTER { }'.",
        Mode.APPEND,
    ),
]


@pytest.mark.parametrize(("operations", "expected", "modes"), SPARQL_DONE)
def test_a_sparql_update_does_what_sparql_says(operations: str, expected: str, modes: Mode) -> None:
    """Positive controls: the document afterwards, and the modes that are asked for."""
    patch = sparql(operations)
    assert after(patch) == canonical(document(expected))
    assert patch.modes_needed() == modes


SPARQL_REFUSED = [
    ("", Invalid),
    (";;", Malformed),
    ("INSERT DATA { GRAPH <g> { <a> <b> <c> } }", Invalid),
    ("INSERT DATA { <a> <b> ?c }", Invalid),
    ("DELETE DATA { <a> <b> $c }", Invalid),
    ("DELETE DATA { <a> <b> _:c }", Invalid),
    ("DELETE DATA { <a> <b> (1) }", Invalid),
    ("DELETE WHERE { ?a <b> [] }", Invalid),
    ("DELETE { ?a <b> [] } WHERE { ?a <b> <c> }", Invalid),
    ("WITH <g> DELETE { ?a ?b ?c } WHERE { ?a ?b ?c }", Invalid),
    ("DELETE { ?a ?b ?c } USING <g> WHERE { ?a ?b ?c }", Invalid),
    ("INSERT { ?a <b> 1 } WHERE { ?a <p> ?c FILTER(?c > 1) }", Invalid),
    ("INSERT { ?a <b> 1 } WHERE { ?a <p> ?c OPTIONAL { ?a <q> ?d } }", Invalid),
    ("INSERT { ?a <b> 1 } WHERE { { ?a <p> ?c } UNION { ?a <q> ?c } }", Invalid),
    ("INSERT { ?a <b> 1 } WHERE { SERVICE <http://127.0.0.1/> { ?a <p> ?c } }", Invalid),
    ("INSERT { ?a <b> ?c } WHERE { ?a <p> ?b BIND(1 AS ?c) }", Invalid),
    ("LOAD <http://127.0.0.1/>", Invalid),
    ("CLEAR ALL", Invalid),
    ("DROP DEFAULT", Invalid),
    ("COPY DEFAULT TO <g>", Invalid),
    ("INSERT { ?a <b> 1 } WHERE { ?a <p>/<q> ?c }", Malformed),
    ("INSERT { ?a <b> 1 }", Malformed),
    ("DELETE { ?a <b> 1 }", Malformed),
    ("DATA { <a> <b> 1 }", Malformed),
    ("INSERT DATA { <a> <b> 1", Malformed),
    ("INSERT DATA { <a> <b> 1 } }", Malformed),
    ("INSERT DATA { <a> <b> 1 } <a> <b> <c>", Malformed),
    ("INSERT DATA { <a> <b> 1 } INSERT DATA { <a> <b> 2 }", Malformed),
    ("SELECT * WHERE { ?s ?p ?o }", Malformed),
    ("INSERT DATA { <a> <b> << <c> <d> <e> >> }", Invalid),
    ("INSERT DATA {} ;" * (MAX_OPERATIONS + 1), TooLarge),
    ("INSERT DATA { <a> <b> " + "(" * 70 + ")" * 70 + "}", Malformed),
]


@pytest.mark.parametrize(("operations", "kind"), SPARQL_REFUSED)
def test_an_update_that_asks_for_more_is_refused(operations: str, kind: type[PodError]) -> None:
    """Only the triples of this one document are spoken of; all else is refused before anything could run."""
    with pytest.raises(kind) as refusal:
        sparql(operations)
    assert type(refusal.value) is kind


def test_a_sparql_refusal_names_the_place_in_the_body_as_sent() -> None:
    """Keywords and variables stand in for each other's room in the engine's text, not in the refusal."""
    with pytest.raises(Malformed) as refusal:
        read_sparql_update(b"INSERT DATA { <a> <b> 1 };\nDELETE WHERE { ?x <p> ?y. ?x nope:q ?z }", BASE)
    assert (refusal.value.fields["line"], refusal.value.fields["column"]) == (2, 30)


def test_only_the_default_graph_is_patched() -> None:
    """Statements in named graphs of the same document are neither matched nor lost."""
    aside = Quad(NamedNode(BASE), NamedNode("x:p"), Literal("1"), NamedNode("x:g"))
    given = [*document(), aside]
    with pytest.raises(Conflict):
        apply(n3("solid:where { ?x <x:p> ?y }"), given)
    assert aside in apply(sparql("DELETE WHERE { ?s ?p ?o }"), given).statements


def test_fresh_blank_nodes_never_meet_those_of_the_document() -> None:
    """A label that the document already uses is passed over, and the same patch gives the same labels."""
    taken = Quad(BlankNode("n0"), NamedNode("x:p"), Literal("1"))
    first, second = (apply(n3("solid:inserts { _:n0 <x:q> _:other }"), [taken]) for _ in range(2))
    assert first.additions == second.additions == (Quad(BlankNode("n1"), NamedNode("x:q"), BlankNode("n2")),)


def test_order_and_net_change_are_stable() -> None:
    """What stays keeps its order, what is new follows, what was removed and put back is no change."""
    statements = document()
    applied = apply(
        sparql("DELETE WHERE { <#zoe> ?p ?o }; INSERT DATA { <#zoe> ex:familyName 'Roche'; ex:age 1 }"), statements
    )
    assert applied.removals == ()
    assert applied.statements == (*statements, *applied.additions)
    assert len(applied.additions) == 1


@pytest.mark.parametrize("body", ["?a ?b ?c. ?d ?e ?f. ?g ?h ?i", " ".join(f"?x ?p{n} ?o{n}." for n in range(65))])
def test_work_is_bounded(body: str) -> None:
    """A cartesian product, or a condition of very many patterns, ends at a limit."""
    many = [Quad(NamedNode(f"x:{n}"), NamedNode("x:p"), Literal(str(n))) for n in range(200)]
    with pytest.raises(LimitReached):
        apply(sparql(f"DELETE WHERE {{ {body} }}"), many)


def test_a_chain_over_a_large_document_stays_within_the_bound() -> None:
    """The positive control of the bound: a join that the index answers is cheap however large the document."""
    many = [Quad(NamedNode(f"x:{n}"), NamedNode("x:next"), NamedNode(f"x:{n + 1}")) for n in range(5_000)]
    applied = apply(
        sparql("DELETE { ?c <x:next> ?d } WHERE { <x:7> <x:next> ?b. ?b <x:next> ?c. ?c <x:next> ?d }"), many
    )
    assert [quad.subject.value for quad in applied.removals if isinstance(quad.subject, NamedNode)] == ["x:9"]


_NODES = st.sampled_from([NamedNode(f"https://x.example/{letter}") for letter in "abc"])
_VALUES = _NODES | st.sampled_from([Literal("é\n\"'{?x}"), Literal("fr", language="fr"), Literal("7"), Literal("07")])
_TRIPLES = st.builds(Quad, _NODES, _NODES, _VALUES)


def turtle(quads: list[Quad]) -> str:
    """The triples as N-Triples."""
    return " ".join(f"{quad.triple} ." for quad in quads)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.lists(_TRIPLES, max_size=12, unique=True), st.lists(_TRIPLES, min_size=1, max_size=5, unique=True))
def test_inserting_then_deleting_restores_the_set(given_: list[Quad], added: list[Quad]) -> None:
    """Both syntaxes: what an insertion added is what its deletion takes away, in any document."""
    new = [quad for quad in added if quad not in given_]
    for read, insert, delete in (
        (n3, f"solid:inserts {{ {turtle(added)} }}", f"solid:deletes {{ {turtle(new)} }}"),
        (sparql, f"INSERT DATA {{ {turtle(added)} }}", f"DELETE DATA {{ {turtle(new)} }}"),
    ):
        inserted = apply(read(insert), given_)
        assert set(inserted.additions) == set(new)
        restored = apply(read(delete), inserted.statements)
        assert restored.statements == tuple(given_)
        assert set(restored.removals) == set(new)


_TERMS = st.sampled_from(["?x", "?y", "?z", "<https://x.example/a>", "<https://x.example/b>"])
_PATTERNS = st.lists(st.tuples(_TERMS, _TERMS, _TERMS | st.just('"7"')).map(" ".join), max_size=3).map(" . ".join)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(_TRIPLES, max_size=10, unique=True), _PATTERNS, _PATTERNS, _PATTERNS)
def test_an_update_does_what_the_engine_does(given_: list[Quad], where: str, deletes: str, inserts: str) -> None:
    """The oracle: pyoxigraph's own SPARQL Update over the same statements."""
    update = f"DELETE {{ {deletes} }} INSERT {{ {inserts} }} WHERE {{ {where} }}; DELETE WHERE {{ {where} }}"
    store = Store()
    store.extend(given_)
    store.update(update)
    assert set(apply(sparql(update), given_).statements) == set(store)


_PIECES = st.sampled_from(
    """INSERT DELETE DATA WHERE PREFIX|ex: BASE <http://x.example/> <a> ?x $y _:b [ ] ( ) { } ; . , a 1 's' \"\"\" \\
    @en ^^ # é ? < @prefix|solid:|<http://www.w3.org/ns/solid/terms#>. <>|a|solid:InsertDeletePatch solid:inserts
    solid:where""".replace("\n", " ").split()
).map(lambda piece: piece.replace("|", " ")) | st.sampled_from(["\n", "\r", "\r\n", "\x00", "\u2028"])


@settings(derandomize=True, max_examples=500, deadline=None)
@given(st.lists(_PIECES, max_size=14).map(" ".join))
def test_any_body_is_a_patch_or_a_refusal_of_ours(body: str) -> None:
    """Nothing but the closed list of failures leaves the readers, whatever they are given."""
    for read in (read_n3_patch, read_sparql_update):
        try:
            assert isinstance(read(body.encode(), BASE), Patch)
        except (Malformed, Invalid):
            continue
