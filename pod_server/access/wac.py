"""Web Access Control: an access-control document becomes a policy.

Web Access Control 1.0 (2024-05-12) and the conditions of its editor's draft of
2026, plus one condition of ours: an expiry.  Called by pod.py whenever such a
document is written or first read.  It must never raise on what a document
says: what is not understood grants nothing, and takes nothing from the
authorizations beside it (WAC, section 7.2).

acl:origin: an authorization that names an origin grants nothing here.  An
origin is a limit that only a browser keeps, and a limit that cannot be checked
must not be dropped; who wants to limit an app uses an acl:ClientCondition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad

from pod_server.rdf.vocabulary import ACL, FOAF, RDF, SELF_DATA, XSD
from pod_server.terms import FOREVER, Mode, Path, Policy, Position, Rule

ACCESS: Final = SELF_DATA + "access#"
CLIENT_CONDITION: Final = ACL + "ClientCondition"
ISSUER_CONDITION: Final = ACL + "IssuerCondition"
EXPIRY_CONDITION: Final = ACCESS + "ExpiryCondition"
UNTIL: Final = ACCESS + "until"
ANYONE: Final = FOAF + "Agent"

CONDITION_TYPES: Final[tuple[str, ...]] = (CLIENT_CONDITION, ISSUER_CONDITION, EXPIRY_CONDITION)
"""The condition types that are evaluated, to be signalled by ``Link rel="http://www.w3.org/ns/auth/acl#condition"``."""

_SUPERCLASS = ACL + "Condition"
_MODES = {
    ACL + "Read": Mode.READ,
    ACL + "Append": Mode.APPEND,
    ACL + "Write": Mode.WRITE,
    ACL + "Control": Mode.CONTROL,
}
_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)", re.ASCII)
_STAMP_TYPES = (XSD + "dateTimeStamp", XSD + "dateTime")

_Node = NamedNode | BlankNode
_Properties = dict[str, list[object]]


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule and the fragment id that names it in its document; "" when it has none (a blank node, another base)."""

    name: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the conditions of one authorization ask for together."""

    clients: tuple[frozenset[str], ...] = ()
    issuers: tuple[frozenset[str], ...] = ()
    until: float = FOREVER


def compile_policy(statements: Iterable[Quad], subject_iri: str, subject: Path, position: Position) -> Policy:
    """The policy that an access-control document states for the resource it is about.

    statements: of the document, parsed against its own IRI; those in named
    graphs do not count.  subject_iri: the resource's absolute IRI, compared
    character by character.  Never raises (WAC, sections 5.3 and 7.2).
    """
    rules = tuple(text.rule for text in read_rules(statements, subject_iri))
    return Policy(subject, position, rules)


def read_rules(statements: Iterable[Quad], subject_iri: str) -> list[RuleText]:
    """The authorizations that count for one resource, in the document's order, with their fragment ids."""
    described = _described(statements)
    found = []
    for node, properties in described.items():
        rule = _rule(properties, described, subject_iri)
        if rule is not None:
            found.append(RuleText(_fragment(node), rule))
    return found


def _described(statements: Iterable[Quad]) -> dict[_Node, _Properties]:
    described: dict[_Node, _Properties] = {}
    for quad in statements:
        node = quad.subject
        if isinstance(quad.graph_name, DefaultGraph) and isinstance(node, (NamedNode, BlankNode)):
            described.setdefault(node, {}).setdefault(quad.predicate.value, []).append(quad.object)
    return described


def _rule(properties: _Properties, described: dict[_Node, _Properties], subject_iri: str) -> Rule | None:
    """None unless type, object, mode and subject are all there (WAC, section 5.2) and every condition is understood."""
    if ACL + "Authorization" not in _iris(properties, RDF + "type") or ACL + "origin" in properties:
        return None
    own = subject_iri in _iris(properties, ACL + "accessTo")
    members = subject_iri in _iris(properties, ACL + "default")
    modes = _modes(properties)
    limits = _limits(properties.get(ACL + "condition", []), described)
    if not (own or members) or modes is Mode.NONE or limits is None:
        return None
    classes = _iris(properties, ACL + "agentClass")
    rule = Rule(
        modes=modes,
        own=own,
        members=members,
        agents=_iris(properties, ACL + "agent"),
        groups=_iris(properties, ACL + "agentGroup"),
        public=ANYONE in classes,
        authenticated=ACL + "AuthenticatedAgent" in classes,
        clients=limits.clients,
        issuers=limits.issuers,
        until=limits.until,
    )
    return rule if rule.agents or rule.groups or rule.public or rule.authenticated else None


def _modes(properties: _Properties) -> Mode:
    modes = Mode.NONE
    for iri in _iris(properties, ACL + "mode"):
        modes |= _MODES.get(iri, Mode.NONE)
    return modes


def _limits(conditions: Sequence[object], described: dict[_Node, _Properties]) -> _Limits | None:
    """All conditions together; None when one of them is not understood."""
    limits = _Limits()
    for node in conditions:
        properties = described.get(node) if isinstance(node, (NamedNode, BlankNode)) else None
        stated = _limits_of(properties) if properties is not None else None
        if stated is None:
            return None
        limits = _Limits(
            limits.clients + stated.clients, limits.issuers + stated.issuers, min(limits.until, stated.until)
        )
    return limits


def _limits_of(properties: _Properties) -> _Limits | None:
    kinds = _iris(properties, RDF + "type") - {_SUPERCLASS}
    if not kinds or not kinds.issubset(CONDITION_TYPES):
        return None
    clients = _one_of(properties, "client") if CLIENT_CONDITION in kinds else ()
    issuers = _one_of(properties, "issuer") if ISSUER_CONDITION in kinds else ()
    until = _until(properties) if EXPIRY_CONDITION in kinds else FOREVER
    if clients is None or issuers is None or until is None:
        return None
    return _Limits(clients, issuers, until)


def _one_of(properties: _Properties, name: str) -> tuple[frozenset[str], ...] | None:
    """The ids of which one must match; () when the class of all agents is named, None when nothing valid is."""
    values = properties.get(ACL + name, [])
    if not all(isinstance(value, NamedNode) for value in values):
        return None
    if ANYONE in _iris(properties, f"{ACL}{name}Class"):
        return ()
    return (_iris(properties, ACL + name),) if values else None


def _until(properties: _Properties) -> float | None:
    """Seconds since 1970; None unless exactly one date-time with a zone is given."""
    values = properties.get(UNTIL, [])
    value = values[0] if len(values) == 1 else None
    if not isinstance(value, Literal) or value.datatype.value not in _STAMP_TYPES:
        return None
    if not _STAMP.fullmatch(value.value):
        return None
    try:
        return datetime.fromisoformat(value.value).timestamp()
    except (ValueError, OverflowError):
        return None


def _iris(properties: _Properties, predicate: str) -> frozenset[str]:
    return frozenset(value.value for value in properties.get(predicate, ()) if isinstance(value, NamedNode))


def _fragment(node: _Node) -> str:
    return node.value.partition("#")[2] if isinstance(node, NamedNode) else ""
