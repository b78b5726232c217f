"""The one decision: who may do what, and until when the answer holds.

``decide`` answers for one place, ``readable`` for all (policy, face) pairs of
a pod at once; both ask the same function.  Called by pod.py for every request
and by query/ for every view.  Deny by default: no policy, no rule, no proof,
no fact means no.  It must never look anything up, nor be asked with facts that
a follower keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pod_server.terms import (
    FOREVER,
    LANDED,
    Caller,
    Face,
    Facts,
    Link,
    Mode,
    Place,
    Policy,
    Readable,
    Rule,
    Verdict,
    partner_of,
)

# Modes as bits: the operators of enum.Flag cost more than all the rest of a decision.
_MODES: Final = tuple(Mode(bits) for bits in range(16))
_READ, _APPEND, _WRITE, _CONTROL = (mode.value for mode in (Mode.READ, Mode.APPEND, Mode.WRITE, Mode.CONTROL))
_ALL: Final = _READ | _APPEND | _WRITE | _CONTROL
_NOBODY: Final[frozenset[str]] = frozenset()


def decide(policy: Policy | None, caller: Caller, mode: Mode, place: Place, facts: Facts) -> Verdict:
    """Whether the caller may do all of mode at a place, and everything they may do there.

    policy: the place's governing policy, None denies.  mode: several modes
    ask for all of them, NONE is denied.  At face CONTROL the place is the
    access-control document itself: Control by the policy's own rules opens it
    whole, nothing else does (WAC, section 5.3.1); to create a document that
    does not exist yet, ask for CONTROL at the subject's own place.  The
    verdict holds until the first instant at which any of the granted modes
    may be lost, or (a link that starts later) gained.
    """
    if caller.partner is not None:
        bits, until = _by_link(caller.partner, place, facts)
    elif policy is None:
        bits, until = 0, FOREVER
    else:
        bits, until = _by_rules(policy, place.face, caller, facts)
        if place.face is not Face.CONTROL and place.path.startswith(LANDED):
            bits &= _READ | _CONTROL
    wanted = mode.value
    return Verdict(wanted != 0 and bits & wanted == wanted, _MODES[bits], until)


def readable(policies_and_faces: Iterable[tuple[Policy, Face]], caller: Caller, facts: Facts) -> Readable:
    """Every given (policy, face) whose resources the caller may read, and until when that holds.

    Equal to ``decide(..., Mode.READ, ...)`` for each resource of the pair:
    reading depends on nothing else of a place.
    """
    faces, until = set(), FOREVER
    if caller.partner is None:
        for policy, face in policies_and_faces:
            bits, holds = _by_rules(policy, face, caller, facts)
            if bits & _READ:
                faces.add((policy.subject, face))
            until = min(until, holds)
    return Readable(frozenset(faces), until)


def _by_rules(policy: Policy, face: Face, caller: Caller, facts: Facts) -> tuple[int, float]:
    """The modes that the rules of one face give, and the earliest end among the rules that gave any."""
    bits, until, members = 0, FOREVER, face is Face.MEMBERS
    for rule in policy.rules:
        if (rule.members if members else rule.own) and rule.until > facts.now and _speaks_of(rule, caller, facts):
            bits |= rule.modes.value
            until = min(until, rule.until)
    if face is Face.CONTROL:
        return (_ALL if bits & _CONTROL else 0), until
    # acl:Append is a subclass of acl:Write (WAC, section 4.2).
    return (bits | _APPEND if bits & _WRITE else bits), until


def _speaks_of(rule: Rule, caller: Caller, facts: Facts) -> bool:
    if not (rule.public or (caller.agent is not None and _names(rule, caller.agent, facts))):
        return False
    if rule.clients and not all(caller.client in ids for ids in rule.clients):
        return False
    return not rule.issuers or all(caller.issuer in ids for ids in rule.issuers)


def _names(rule: Rule, agent: str, facts: Facts) -> bool:
    if rule.authenticated or agent in rule.agents:
        return True
    return any(agent in facts.groups.get(group, _NOBODY) for group in rule.groups)


def _by_link(partner: str, place: Place, facts: Facts) -> tuple[int, float]:
    """A partner appends and writes below its own container while its link holds, and does nothing else anywhere."""
    link = facts.link
    if link is None or link.partner != partner or not _is_ground_of(partner, place):
        return 0, FOREVER
    if link.holds_at(facts.now):
        return _APPEND | _WRITE, FOREVER if link.ends is None else link.ends
    return 0, _start(link, facts.now)


def _is_ground_of(partner: str, place: Place) -> bool:
    if not partner or place.face is Face.CONTROL or partner_of(place.path) != partner:
        return False
    return place.path.startswith(f"/landed/{partner}/")


def _start(link: Link, now: float) -> float:
    to_come = now < link.starts and (link.ends is None or link.starts < link.ends)
    return link.starts if to_come else FOREVER
