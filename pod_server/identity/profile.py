"""WebID profile documents: the one a new pod gets, and what any of them says about issuers.

Called when a pod is made, and by external.py.  Pure.  IRIs inside the pod are
written relative, so that the document survives a move.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from pyoxigraph import Literal, NamedNode, Quad

from pod_server.rdf.vocabulary import SOLID

PREFERENCES: Final = "settings/prefs.ttl"
PUBLIC_TYPE_INDEX: Final = "settings/publicTypeIndex.ttl"
PRIVATE_TYPE_INDEX: Final = "settings/privateTypeIndex.ttl"
"""Where, below the root of a storage, the settings of a new pod lie."""

_OIDC_ISSUER: Final = NamedNode(SOLID + "oidcIssuer")

_CARD: Final = """\
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix pim: <http://www.w3.org/ns/pim/space#> .
@prefix solid: <http://www.w3.org/ns/solid/terms#> .

<> a foaf:PersonalProfileDocument ;
    foaf:maker {me} ;
    foaf:primaryTopic {me} .

{me} a foaf:Person ;
    foaf:name {name} ;
    pim:storage {storage} ;
    pim:preferencesFile {preferences} ;
    solid:publicTypeIndex {types} ;
    solid:oidcIssuer {issuer} .
"""

_PREFERENCES: Final = """\
@prefix pim: <http://www.w3.org/ns/pim/space#> .
@prefix solid: <http://www.w3.org/ns/solid/terms#> .

<> a pim:ConfigurationFile .

{me} solid:privateTypeIndex <privateTypeIndex.ttl> .
"""


def card(webid: str, name: str, storage: str, issuer: str) -> bytes:
    """A profile document in Turtle, to be stored at the WebID without its fragment (WebID Profile 1.0).

    webid, storage, issuer: absolute IRIs; storage ends with a slash.  name:
    for people, any text.  Raises ValueError when an IRI is none.
    """
    document, _, fragment = webid.partition("#")
    return _CARD.format(
        me=_iri(f"#{fragment}" if fragment else ""),
        name=str(Literal(name)),
        storage=_iri(_relative(storage, document)),
        preferences=_iri(_relative(storage + PREFERENCES, document)),
        types=_iri(_relative(storage + PUBLIC_TYPE_INDEX, document)),
        issuer=_iri(issuer),
    ).encode()


def preferences(webid: str, storage: str) -> bytes:
    """The preferences file in Turtle, to be stored at ``PREFERENCES``, for the owner's eyes alone."""
    document, hash_, fragment = webid.partition("#")
    return _PREFERENCES.format(me=_iri(_relative(document, storage + PREFERENCES) + hash_ + fragment)).encode()


def type_index(*, listed: bool) -> bytes:
    """An empty type index in Turtle (Type Indexes 1.0); listed: the public one."""
    kind = "ListedDocument" if listed else "UnlistedDocument"
    return f"@prefix solid: <{SOLID}> .\n\n<> a solid:TypeIndex, solid:{kind} .\n".encode()


def issuers_of(statements: Iterable[Quad], webid: str) -> frozenset[str]:
    """The issuers that a profile names for a WebID (Solid-OIDC, section 9.1), as they are spelt there."""
    return frozenset(
        statement.object.value
        for statement in statements
        if statement.predicate == _OIDC_ISSUER
        and isinstance(statement.object, NamedNode)
        and isinstance(statement.subject, NamedNode)
        and statement.subject.value == webid
    )


def _iri(value: str) -> str:
    if any(character in '<>"{}|^`\\' or character <= " " for character in value):
        raise ValueError("not an IRI")
    return f"<{value}>"


def _relative(target: str, document: str) -> str:
    """A reference from a document to a target of the same origin; the target as it is for another origin."""
    there, here = urlsplit(target), urlsplit(document)
    if (there.scheme, there.netloc) != (here.scheme, here.netloc):
        return target
    way = posixpath.relpath(there.path, posixpath.dirname(here.path))
    return way.rstrip("/") + "/" if there.path.endswith("/") else way
