"""One caller before one snapshot: asks the decision and remembers what the answers rested on.

Called by pod.py alone.  It brings access/ what access/ may not fetch: the
compiled policy of a path and the members of this host's groups, each cached
under its position, so that no cached thing outlives a change.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urldefrag

from pyoxigraph import NamedNode

from pod_server.access import compile_policy, decide, readable
from pod_server.errors import Forbidden, Missing, PodError, Unauthenticated
from pod_server.rdf import parse, syntax_of
from pod_server.rdf.vocabulary import VCARD
from pod_server.store.contract import Clock, Entry, Expectation, Governed, Snapshot, Store, Version
from pod_server.store.host import HostDatabase, PodRow
from pod_server.terms import (
    FOREVER,
    LANDED,
    PUBLIC,
    Caller,
    Face,
    Facts,
    Kind,
    Link,
    Mode,
    Path,
    Place,
    PodId,
    Policy,
    Position,
    Readable,
    Verdict,
    acl_of,
    ancestors_of,
    auxiliary_of,
)

CACHED_POLICIES = 4096
CACHED_GROUPS = 1024
MOST_RULES = 64 * 1024
"""Bytes of an access-control document or of a group: both are read on the way to a decision."""
_HAS_MEMBER = NamedNode(VCARD + "hasMember")

_Members = dict[str, frozenset[str]]
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


class Rules:
    """The compiled policies and groups of this host, cached by position."""

    def __init__(self, store: Store, host: HostDatabase, clock: Clock, base: str) -> None:
        self.clock = clock
        self._store = store
        self._host = host
        self.base = base
        self._policies: OrderedDict[tuple[PodId, Path, Position], Policy] = OrderedDict()
        self._groups: OrderedDict[tuple[PodId, Path, Position], _Members] = OrderedDict()

    def iri(self, pod: PodRow, path: Path) -> str:
        """The absolute IRI of a path in a pod."""
        return f"{self.base}{pod.name}{path}"

    def policy(self, pod: PodRow, snapshot: Snapshot, subject: Path, version: Position | None) -> Policy | None:
        """The compiled access-control document of a subject; None when it is not there.

        version: the document's, where the snapshot told it with the resource.
        """
        if version is None:
            entry = snapshot.entry(acl_of(subject))
            if entry is None:
                return None
            version = entry.version
        found = self._policies.get((pod.id, subject, version))
        return found if found is not None else self._compile(pod, snapshot, subject, version)

    def _compile(self, pod: PodRow, snapshot: Snapshot, subject: Path, version: Position) -> Policy | None:
        entry = snapshot.entry(acl_of(subject))
        if entry is None:
            return None
        policy = self.compiled(pod, subject, snapshot.body(entry), entry.media_type, entry.version)
        _remember(self._policies, (pod.id, subject, version), policy, CACHED_POLICIES)
        return policy

    def compiled(self, pod: PodRow, subject: Path, body: bytes, media_type: str, position: Position) -> Policy:
        """Compile an access-control document that may not be stored yet.  Raises Malformed."""
        syntax = syntax_of(media_type)
        assert syntax is not None  # noqa: S101 - the door takes access-control documents as RDF only
        statements = parse(body, syntax, self.iri(pod, acl_of(subject)))
        return compile_policy(statements, self.iri(pod, subject), subject, position)

    def members(self, group: str, asker: PodRow) -> tuple[frozenset[str], Version | None]:
        """Who is in a group of this host, and what that rests on; nobody for a group kept elsewhere.

        asker: the pod whose rules name the group.  In another pod it counts
        only when the public or the asker's owner may read it, else naming it
        would tell who is listed in a stranger's document.  A document over
        64 kB is no group.
        """
        document = urldefrag(group)[0]
        name, slash, rest = document.removeprefix(self.base).partition("/")
        pod = self._host.pod(name) if document.startswith(self.base) and slash else None
        if pod is None:
            return frozenset(), None
        path = Path("/" + rest)
        with self._store.snapshot(pod.id) as snapshot:
            entry = snapshot.entry(path)
            if entry is None or entry.kind is not Kind.RDF or entry.size > MOST_RULES:
                return frozenset(), Version(path, None if entry is None else entry.version, pod=pod.id)
            if pod.id != asker.id and not self._may_know(pod, snapshot, entry, asker.owner):
                return frozenset(), Version(path, entry.version, pod=pod.id)
            listed = self._groups.get((pod.id, path, entry.version))
            if listed is None:
                listed = self._read_groups(pod, snapshot, entry)
        return listed.get(group, frozenset()), Version(path, entry.version, pod=pod.id)

    def _may_know(self, pod: PodRow, snapshot: Snapshot, entry: Entry, owner: str) -> bool:
        policy = self.policy(pod, snapshot, entry.policy, entry.rules)
        place, facts = Place(entry.path, entry.face), Facts(self.clock())
        return any(decide(policy, who, Mode.READ, place, facts).allowed for who in (PUBLIC, Caller(owner)))

    def _read_groups(self, pod: PodRow, snapshot: Snapshot, entry: Entry) -> _Members:
        syntax = syntax_of(entry.media_type)
        found: dict[str, set[str]] = {}
        for quad in parse(snapshot.body(entry), syntax, self.iri(pod, entry.path)) if syntax else ():
            if quad.predicate == _HAS_MEMBER and isinstance(quad.object, NamedNode):
                found.setdefault(getattr(quad.subject, "value", ""), set()).add(quad.object.value)
        members = {group: frozenset(agents) for group, agents in found.items()}
        _remember(self._groups, (pod.id, entry.path, entry.version), members, CACHED_GROUPS)
        return members


@dataclass(slots=True)
class Asking:
    """A caller before a snapshot of a pod.

    expectations, until: what the answers given so far rested on; an append
    carries them.  link: the tie by which a partner writes.
    """

    rules: Rules
    pod: PodRow
    snapshot: Snapshot
    caller: Caller
    link: Link | None = None
    expectations: list[Expectation] = field(default_factory=list)
    until: float = FOREVER

    def verdict(self, path: Path, entry: Entry | None, mode: Mode, caller: Caller | None = None) -> Verdict:
        """The decision about a path that exists (entry) or might (None); caller None means the one who asks."""
        policy, place, mode = self._at(path, entry, mode)
        return decide(policy, self.caller if caller is None else caller, mode, place, self._facts(policy))

    def require(self, path: Path, mode: Mode, *, hides: bool = False) -> Verdict:
        """Insist on a mode, and remember what the answer rested on.

        hides: what the caller may not reach is to look as if it were not
        there, where that would be said.  Raises Unauthenticated, Forbidden or
        Missing.
        """
        policy, place, mode = self._at(path, self.snapshot.entry(path), mode)
        verdict = decide(policy, self.caller, mode, place, self._facts(policy))
        if not verdict.allowed or policy is None:
            raise self.hidden(path, mode) if hides else refusal(self.caller)
        self.until = min(self.until, verdict.until)
        self.expectations.append(Governed(path, policy.subject, policy.position))
        if policy.groups:
            self._remember_groups(policy)
        return verdict

    def _at(self, path: Path, entry: Entry | None, mode: Mode) -> tuple[Policy | None, Place, Mode]:
        """What decides there, and for what: every use of an access-control document asks for Control (WAC, 5.2)."""
        if entry is not None:
            subject, face, version = entry.policy, entry.face, entry.rules
        else:
            (subject, face), version = self.snapshot.governing(path), None
            mode = Mode.CONTROL if _is_policy(path) else mode
        if face is Face.CONTROL:
            mode = Mode.CONTROL
        return self.rules.policy(self.pod, self.snapshot, subject, version), Place(path, face), mode

    def hidden(self, path: Path, mode: Mode) -> PodError:
        """What to say of something out of reach: just what would be said if it were not there.

        Where the nearest container that the caller knows of would let them
        look for a new member, that is Missing; else the refusal.  Below
        ``landed/`` it is always the refusal, whatever is there.
        """
        if path.startswith(LANDED):
            return refusal(self.caller)
        mode = Mode.CONTROL if _is_policy(path) else mode
        for above in ancestors_of(path):
            entry = self.snapshot.entry(above)
            if entry is None:
                continue
            policy, place, _ = self._at(above, entry, mode)
            facts = self._facts(policy)
            own = decide(policy, self.caller, mode, place, facts)
            below = decide(policy, self.caller, mode, Place(path, Face.MEMBERS), facts)
            if own.modes or below.modes:
                return missing(path) if below.allowed else refusal(self.caller)
        return refusal(self.caller)

    def readable(self) -> Readable:
        """Every (policy, face) of the pod that the caller may read."""
        pairs = []
        groups: set[str] = set()
        for entry in self.snapshot.policies():
            subject = Path(entry.path[: -len(".acl")])
            policy = self.rules.policy(self.pod, self.snapshot, subject, entry.version)
            if policy is not None:
                pairs += [(policy, face) for face in Face]
                groups |= policy.groups
        members = {group: self.rules.members(group, self.pod)[0] for group in groups}
        return readable(pairs, self.caller, Facts(self.rules.clock(), members, self.link))

    def _facts(self, policy: Policy | None) -> Facts:
        groups = policy.groups if policy is not None else ()
        return Facts(self.rules.clock(), {group: self.rules.members(group, self.pod)[0] for group in groups}, self.link)

    def _remember_groups(self, policy: Policy) -> None:
        for group in policy.groups:
            version = self.rules.members(group, self.pod)[1]
            if version is not None:
                own = version.pod == self.pod.id
                self.expectations.append(Version(version.path, version.version, pod=None if own else version.pod))


def _is_policy(path: Path) -> bool:
    auxiliary = auxiliary_of(path)
    return auxiliary is not None and auxiliary[1] is Kind.POLICY


def missing(path: Path) -> Missing:
    """The sentence for what is not there, or must look so."""
    return Missing(f"There is nothing at {path}.")


def refusal(caller: Caller) -> PodError:
    """What to say to a caller who may not: prove who you are, or no."""
    if caller == PUBLIC:
        return Unauthenticated("This needs a proof of who is asking.")
    return Forbidden("No rule of this pod lets you do that.")


def _remember(cache: OrderedDict[_Key, _Kept], key: _Key, value: _Kept, most: int) -> None:
    cache[key] = value
    while len(cache) > most:
        cache.popitem(last=False)
