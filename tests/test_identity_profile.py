"""Profiles: the card of a new pod, and the issuers that a profile names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyoxigraph import Literal, NamedNode, Quad

from pod_server.identity import card, issuers_of
from pod_server.identity.profile import PREFERENCES, PRIVATE_TYPE_INDEX, PUBLIC_TYPE_INDEX, preferences, type_index
from pod_server.rdf import Syntax, parse
from pod_server.rdf.vocabulary import FOAF, PIM, RDF, SOLID

HOST = "https://pods.example/"
ANA = f"{HOST}ana/profile/card#me"
STORAGE = f"{HOST}ana/"


def said(statements: list[Quad], subject: str, predicate: str) -> set[str]:
    """The objects of a subject and predicate."""
    return {
        statement.object.value
        for statement in statements
        if statement.subject.value == subject and statement.predicate.value == predicate
    }


def test_card_says_what_clients_look_for() -> None:
    """Storage, issuer, name, settings and types, at the WebID's own document."""
    document = ANA.partition("#")[0]
    statements = parse(card(ANA, "Ana Núñez", STORAGE, HOST), Syntax.TURTLE, document)
    assert said(statements, ANA, PIM + "storage") == {STORAGE}
    assert said(statements, ANA, SOLID + "oidcIssuer") == {HOST}
    assert said(statements, ANA, FOAF + "name") == {"Ana Núñez"}
    assert said(statements, ANA, RDF + "type") == {FOAF + "Person"}
    assert said(statements, document, RDF + "type") == {FOAF + "PersonalProfileDocument"}
    assert said(statements, ANA, PIM + "preferencesFile") == {STORAGE + PREFERENCES}
    assert said(statements, ANA, SOLID + "publicTypeIndex") == {STORAGE + PUBLIC_TYPE_INDEX}
    assert issuers_of(statements, ANA) == {HOST}


def test_card_survives_a_move() -> None:
    """Parsed at another place, the same bytes speak of that place; only the issuer stays."""
    moved = "https://elsewhere.example/a/b/profile/card"
    statements = parse(card(ANA, "Ana", STORAGE, HOST), Syntax.TURTLE, moved)
    me = moved + "#me"
    assert said(statements, me, PIM + "storage") == {"https://elsewhere.example/a/b/"}
    assert said(statements, me, SOLID + "publicTypeIndex") == {"https://elsewhere.example/a/b/" + PUBLIC_TYPE_INDEX}
    assert said(statements, me, SOLID + "oidcIssuer") == {HOST}


def test_card_on_a_subdomain_and_of_another_storage() -> None:
    """A pod at a host's root, a WebID without fragment, a storage elsewhere."""
    webid = "https://ana.pods.example/profile/card"
    statements = parse(card(webid, "Ana", "https://ana.pods.example/", HOST), Syntax.TURTLE, webid)
    assert said(statements, webid, PIM + "storage") == {"https://ana.pods.example/"}
    statements = parse(card(webid, "Ana", STORAGE, HOST), Syntax.TURTLE, webid)
    assert said(statements, webid, PIM + "storage") == {STORAGE}


@given(st.text(max_size=50))
@settings(max_examples=200, derandomize=True)
def test_any_name_is_carried_and_says_nothing_else(name: str) -> None:
    """No name breaks out of its literal."""
    document = ANA.partition("#")[0]
    statements = parse(card(ANA, name, STORAGE, HOST), Syntax.TURTLE, document)
    assert said(statements, ANA, FOAF + "name") == {name}
    assert len(statements) == 9


@pytest.mark.parametrize("issuer", ["https://x/> . <#me> <https://evil/> <https://x/", "https://x/ y", 'https://x/"'])
def test_iri_that_is_none_is_refused(issuer: str) -> None:
    """An IRI cannot smuggle statements in; a good one is taken (the tests above)."""
    with pytest.raises(ValueError, match="not an IRI"):
        card(ANA, "Ana", STORAGE, issuer)


def test_settings_documents_parse_where_they_lie() -> None:
    """Preferences name the private index for the WebID; indexes say which of the two they are."""
    statements = parse(preferences(ANA, STORAGE), Syntax.TURTLE, STORAGE + PREFERENCES)
    assert said(statements, ANA, SOLID + "privateTypeIndex") == {STORAGE + PRIVATE_TYPE_INDEX}
    for listed, kind in ((True, "ListedDocument"), (False, "UnlistedDocument")):
        index = parse(type_index(listed=listed), Syntax.TURTLE, STORAGE)
        assert said(index, STORAGE, RDF + "type") == {SOLID + "TypeIndex", SOLID + kind}


def test_issuers_are_those_named_for_the_webid() -> None:
    """Another subject's issuer, another predicate and a literal do not count; several do."""
    me, issuer = NamedNode(ANA), NamedNode(SOLID + "oidcIssuer")
    statements = [
        Quad(me, issuer, NamedNode("https://a.example/")),
        Quad(me, issuer, NamedNode("https://b.example")),
        Quad(me, issuer, Literal("https://c.example/")),
        Quad(me, NamedNode(SOLID + "other"), NamedNode("https://d.example/")),
        Quad(NamedNode(HOST), issuer, NamedNode("https://e.example/")),
    ]
    assert issuers_of(statements, ANA) == {"https://a.example/", "https://b.example"}
