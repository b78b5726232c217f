"""Grants: what the citizen lets an app read, written as access-control documents and taken back from them.

Called by the console and the operator's interface with the citizen's own
console caller.  The document is the truth: a grant is a rule in it with an id,
and the list of grants is read from it.  In WAC the nearest document replaces
what is inherited, so each restates the owner's rights (WAC, section 5.1).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pod_server.access import RuleText, grant_rule, landed_rules, read_rules, write_policy
from pod_server.errors import Invalid, Missing
from pod_server.identity.clients import console_client
from pod_server.landing.catalogue import find
from pod_server.pod import Pods, Target
from pod_server.rdf import Syntax, parse
from pod_server.store.host import PodRow, check_name
from pod_server.terms import FOREVER, LANDED, Caller, Mode, Path, acl_of


@dataclass(frozen=True, slots=True)
class Grant:
    """What an app may read.

    agent: the app's WebID, or the citizen's when client is set.  client: the
    app's URL, through which the agent must come.  partner, data_set,
    precision: what it opens.  until: seconds since 1970, None for no end.
    """

    id: str
    agent: str
    client: str | None
    partner: str
    data_set: str
    precision: str
    until: float | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be granted; as Grant, without an id."""

    agent: str
    partner: str
    data_set: str
    precision: str
    client: str | None = None
    until: float | None = None

    @property
    def container(self) -> Path:
        """The container that it opens."""
        return Path(f"{LANDED}{self.partner}/{self.data_set}/{self.precision}/")


class Consent:
    """Grants and revocations on one host.  random: a fresh word for each id."""

    def __init__(self, pods: Pods, base: str, random: Callable[[], str]) -> None:
        self._pods = pods
        self._base = base
        self._random = random

    def citizen(self, pod: PodRow) -> Caller:
        """The owner at the host's own console: the only caller who controls ``landed/``."""
        return Caller(pod.owner, console_client(self._base), self._base)

    async def grant(self, citizen: Caller, pod: PodRow, wish: Wish) -> Grant:
        """Let an app read one precision of one data set; in force when this returns.

        Raises Invalid for what cannot be granted, Forbidden unless the caller
        controls ``landed/``.
        """
        self._check(pod, wish)
        grant_id = "g" + self._random()
        issuer = None if wish.client is None else self._base
        rule = grant_rule(grant_id, wish.agent, Mode.READ, client=wish.client, issuer=issuer, until=wish.until)
        await self._change(citizen, pod, wish.container, lambda rules: [*rules, rule], f"grant:{grant_id}")
        return Grant(grant_id, wish.agent, wish.client, wish.partner, wish.data_set, wish.precision, wish.until)

    async def revoke(self, citizen: Caller, pod: PodRow, grant_id: str) -> Grant:
        """Take a grant back; void from the moment this returns.  Raises Missing when there is none of that id."""
        found = next((grant for grant in self.grants(citizen, pod) if grant.id == grant_id), None)
        if found is None:
            raise Missing("There is no such grant.")
        container = Path(f"{LANDED}{found.partner}/{found.data_set}/{found.precision}/")
        await self._change(
            citizen,
            pod,
            container,
            lambda rules: [rule for rule in rules if rule.name != grant_id],
            f"revoke:{grant_id}",
        )
        return found

    def grants(self, citizen: Caller, pod: PodRow) -> Sequence[Grant]:
        """Every grant in force or expired, read from the documents themselves."""
        found = []
        for target, body in self._pods.policies_below(citizen, pod, LANDED):
            parts = target.path.strip("/").split("/")
            if len(parts) == 4:
                _, partner, data_set, precision = parts
                place = (partner, data_set, precision)
                found += [_grant(text, place) for text in self._rules(target, body) if text.name.startswith("g")]
        return found

    async def _change(
        self,
        citizen: Caller,
        pod: PodRow,
        container: Path,
        change: Callable[[list[RuleText]], list[RuleText]],
        cause: str,
    ) -> None:
        target = Target(pod, container)

        def document(before: bytes | None) -> bytes:
            rules = self._rules(target, before) if before is not None else self._owner_rules(pod)
            return write_policy(self._pods.iri(target), change(rules)).encode()

        await self._pods.set_policy(citizen, target, document, cause)

    def _owner_rules(self, pod: PodRow) -> list[RuleText]:
        return list(landed_rules(pod.owner, console_client(self._base), self._base))

    def _rules(self, target: Target, body: bytes) -> list[RuleText]:
        document = self._pods.iri(Target(target.pod, acl_of(target.path)))
        return list(read_rules(parse(body, Syntax.TURTLE, document), self._pods.iri(target)))

    def _check(self, pod: PodRow, wish: Wish) -> None:
        data_set = find(wish.data_set)
        check_name(wish.partner)
        known = [precision.name for precision in data_set.precisions]
        if wish.precision not in known:
            raise Invalid(f"{wish.data_set} has the precisions {', '.join(known)}.", field="precision")
        for field, iri in (("agent", wish.agent), ("client", wish.client)):
            if iri is not None and urlsplit(iri).scheme not in ("http", "https"):
                raise Invalid(f"Only a URL can be granted; {iri[:200]!r} is none.", field=field)
        if wish.agent == pod.owner and wish.client is None:
            raise Invalid(
                "A grant to yourself needs an app: without one, every app of yours would read.", field="client"
            )
        if console_client(self._base) in (wish.client, wish.agent):
            raise Invalid("The console needs no grant.", field="client")


def _grant(text: RuleText, place: tuple[str, str, str]) -> Grant:
    rule = text.rule
    agent = next(iter(sorted(rule.agents)), "")
    client = next(iter(sorted(rule.clients[0])), None) if rule.clients else None
    until = None if rule.until == FOREVER else rule.until
    return Grant(text.name, agent, client, *place, until)
