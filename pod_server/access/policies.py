"""Access-control documents as text: what the host and consent/ write.

Turtle with fragment ids, never blank nodes, so that any one grant can be
named, patched and taken back.  Deterministic: the same rules give the same
bytes, and wac.py compiles them back to the same rules.  It decides nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from pod_server.access.wac import ACCESS, RuleText
from pod_server.errors import Invalid
from pod_server.rdf.vocabulary import ACL, FOAF, XSD
from pod_server.terms import FOREVER, Mode, Rule

ALL_MODES = Mode.READ | Mode.APPEND | Mode.WRITE | Mode.CONTROL

_HEAD = f"@prefix acl: <{ACL}> .\n@prefix foaf: <{FOAF}> .\n@prefix access: <{ACCESS}> .\n@prefix xsd: <{XSD}> .\n"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")
_NOT_IN_IRI = re.compile(r'[\x00-\x20<>"{}|^`\\\ud800-\udfff]')
_WORDS = {Mode.READ: "acl:Read", Mode.APPEND: "acl:Append", Mode.WRITE: "acl:Write", Mode.CONTROL: "acl:Control"}


def owner_rule(owner: str) -> RuleText:
    """Every mode for the owner (a WebID), on the resource and on what inherits from it."""
    return RuleText("owner", Rule(ALL_MODES, own=True, members=True, agents=frozenset({owner})))


def public_rule(modes: Mode, *, own: bool = True, members: bool = False) -> RuleText:
    """Modes for anyone, signed in or not."""
    return RuleText("public", Rule(modes, own=own, members=members, public=True))


def root_rules(owner: str, *, public_read: bool = False) -> tuple[RuleText, ...]:
    """The rules of a pod's root; public_read opens the root's own listing, never what is below it."""
    return (owner_rule(owner), public_rule(Mode.READ)) if public_read else (owner_rule(owner),)


def landed_rules(owner: str, console: str, issuer: str) -> tuple[RuleText, ...]:
    """The rules of ``landed/``: the owner reads and controls, through this host's console and sign-in alone.

    console: the console's client id.  issuer: this host's issuer.  Nobody
    writes by these rules: partners write by links.
    """
    rule = Rule(
        Mode.READ | Mode.CONTROL,
        own=True,
        members=True,
        agents=frozenset({owner}),
        clients=(frozenset({console}),),
        issuers=(frozenset({issuer}),),
    )
    return (RuleText("owner", rule),)


def grant_rule(  # noqa: PLR0913 - one keyword per thing that a citizen chooses
    name: str,
    agent: str,
    modes: Mode,
    *,
    client: str | None = None,
    issuer: str | None = None,
    until: float | None = None,
    own: bool = True,
    members: bool = True,
) -> RuleText:
    """One grant: to an app itself (agent is its WebID), or to an agent using an app (client is its URL).

    name: the fragment id, by which the grant is found again.  issuer: the
    only one whose word for the client counts; without it, whoever can make
    the agent's profile name an issuer of theirs can claim any client.  until:
    seconds since 1970, None for no end.
    """
    clients = () if client is None else (frozenset({client}),)
    issuers = () if issuer is None else (frozenset({issuer}),)
    rule = Rule(
        modes,
        own=own,
        members=members,
        agents=frozenset({agent}),
        clients=clients,
        issuers=issuers,
        until=FOREVER if until is None else until,
    )
    return RuleText(name, rule)


def write_policy(subject_iri: str, rules: Sequence[RuleText]) -> str:
    """The Turtle of an access-control document about one resource.

    subject_iri: absolute, or relative to the document, written as it is
    given.  Raises Invalid for a rule that would grant nothing, an id used
    twice, or text that is no IRI.
    """
    names = [text.name for text in rules]
    if len(set(names)) != len(names):
        raise Invalid("Two rules of one access-control document have the same id.", names=names)
    subject = _iri(subject_iri)
    return _HEAD + "".join(f"\n{_authorization(text, subject)}" for text in rules)


def _authorization(text: RuleText, subject: str) -> str:
    rule = text.rule
    if not _NAME.fullmatch(text.name):
        raise Invalid(f"{text.name[:100]!r} is not an id for a rule.", field="name")
    conditions = list(_conditions(text.name, rule))
    lines = [
        f"<#{text.name}> a acl:Authorization",
        *([f"acl:accessTo {subject}"] if rule.own else []),
        *([f"acl:default {subject}"] if rule.members else []),
        *_listed("acl:agent", rule.agents),
        *_listed("acl:agentGroup", rule.groups),
        *(["acl:agentClass foaf:Agent"] if rule.public else []),
        *(["acl:agentClass acl:AuthenticatedAgent"] if rule.authenticated else []),
        "acl:mode " + ", ".join(word for mode, word in _WORDS.items() if mode in rule.modes),
        *(f"acl:condition <#{name}>" for name, _ in conditions),
    ]
    _must_grant(text)
    return "".join(f"{part} .\n" for part in (" ;\n    ".join(lines), *(body for _, body in conditions)))


def _must_grant(text: RuleText) -> None:
    rule = text.rule
    someone = rule.agents or rule.groups or rule.public or rule.authenticated
    if not (someone and (rule.own or rule.members) and rule.modes and all(rule.clients) and all(rule.issuers)):
        raise Invalid(f"The rule {text.name} grants nothing to anyone.", field=text.name)


def _conditions(name: str, rule: Rule) -> Iterator[tuple[str, str]]:
    """Fragment id and statement of each condition; the dot keeps their ids apart from those of rules."""
    for kind, sets in (("client", rule.clients), ("issuer", rule.issuers)):
        for number, ids in enumerate(sets, start=1):
            key = f"{name}.{kind}-{number}"
            yield key, " ;\n    ".join((f"<#{key}> a acl:{kind.title()}Condition", *_listed(f"acl:{kind}", ids)))
    if rule.until != FOREVER:
        key = f"{name}.until"
        yield key, f'<#{key}> a access:ExpiryCondition ;\n    access:until "{_stamp(rule.until)}"^^xsd:dateTimeStamp'


def _listed(predicate: str, iris: Iterable[str]) -> list[str]:
    written = ", ".join(_iri(iri) for iri in sorted(iris))
    return [f"{predicate} {written}"] if written else []


def _iri(iri: str) -> str:
    if _NOT_IN_IRI.search(iri):
        raise Invalid(f"{iri[:200]!r} is not an IRI.", field="iri")
    return f"<{iri}>"


def _stamp(until: float) -> str:
    try:
        if math.isfinite(until):
            return datetime.fromtimestamp(until, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        pass
    raise Invalid(f"{until} is not an instant that can be written.", field="until")
