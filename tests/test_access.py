"""Access-control documents to decisions: what is easily got wrong, landed data, links, and how long it holds."""

from __future__ import annotations

import math

import pytest

from pod_server.access import (
    CONDITION_TYPES,
    RuleText,
    compile_policy,
    decide,
    grant_rule,
    landed_rules,
    owner_rule,
    public_rule,
    read_rules,
    readable,
    root_rules,
    write_policy,
)
from pod_server.errors import Invalid
from pod_server.rdf import Syntax, parse
from pod_server.terms import (
    FOREVER,
    PUBLIC,
    ROOT,
    Caller,
    Face,
    Facts,
    Link,
    Mode,
    Path,
    Place,
    PodId,
    Policy,
    Position,
    Rule,
)

POD = "https://pod.example/ana/"
ANA, BEN, EVE = (f"https://{name}.example/#me" for name in ("ana", "ben", "eve"))
FRIENDS = "https://ana.example/groups#friends"
APP, OTHER_APP, CONSOLE = "https://app.example/id", "https://other.example/id", "https://pod.example/.host/console"
ISSUER, OTHER_ISSUER = "https://pod.example/", "https://login.example/"
NOW = 1_800_000_000.0
NOW_STAMP, LATER_STAMP = "2027-01-15T08:00:00Z", "2027-01-15T09:00:01+01:00"
PREFIXES = """@prefix acl: <http://www.w3.org/ns/auth/acl#>. @prefix foaf: <http://xmlns.com/foaf/0.1/>.
@prefix access: <https://w3id.org/self-data/access#>. @prefix xsd: <http://www.w3.org/2001/XMLSchema#>.
@prefix ex: <https://vocab.example/>. @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#>.
"""

READ, APPEND, WRITE, CONTROL = Mode.READ, Mode.APPEND, Mode.WRITE, Mode.CONTROL
ALL = READ | APPEND | WRITE | CONTROL
OWN = Place(ROOT, Face.OWN)
MEMBER = Place(Path("/notes/today"), Face.MEMBERS)
DOCUMENT = Place(ROOT, Face.CONTROL)
FACTS = Facts(NOW, {FRIENDS: frozenset({BEN})})


def policy(turtle: str, syntax: Syntax = Syntax.TURTLE) -> Policy:
    """The policy of a document about the pod's root."""
    return compile_policy(parse((PREFIXES + turtle).encode(), syntax, POD + ".acl"), POD, ROOT, Position(1))


def modes(turtle: str, caller: Caller, place: Place = OWN, facts: Facts = FACTS) -> Mode:
    """All modes that a document gives to a caller."""
    return decide(policy(turtle), caller, READ, place, facts).modes


def rule(parts: str, subject: str = f"acl:accessTo <{POD}>") -> str:
    """One authorization that is complete but for its parts."""
    return f"<#r> a acl:Authorization; {subject}; {parts} ."


def condition(parts: str) -> str:
    """Read for Ben, under what the parts say."""
    return rule(f"acl:agent <{BEN}>; acl:mode acl:Read; {parts}")


def signed_in(agent: str, client: str | None = None, issuer: str | None = None) -> Caller:
    """A caller with a WebID."""
    return Caller(agent, client, issuer)


CLIENT = f"acl:condition [ a acl:ClientCondition; acl:client <{APP}> ]"
ISSUED = f"acl:condition [ a acl:IssuerCondition; acl:issuer <{ISSUER}> ]"
BEN_READS = f"acl:agent <{BEN}>; acl:mode acl:Read"
TO_ROOT = f"acl:accessTo <{POD}>"

MATCHING = [
    # a name, a document, a caller, a place, the modes
    ("agent", rule(BEN_READS), signed_in(BEN), OWN, READ),
    ("another agent", rule(BEN_READS), signed_in(EVE), OWN, Mode.NONE),
    ("nobody", rule(BEN_READS), PUBLIC, OWN, Mode.NONE),
    ("no document text", "", signed_in(ANA), OWN, Mode.NONE),
    ("accessTo of another resource", rule(BEN_READS, f"acl:accessTo <{POD}x>"), signed_in(BEN), OWN, Mode.NONE),
    ("accessTo without the final slash", rule(BEN_READS, f"acl:accessTo <{POD[:-1]}>"), signed_in(BEN), OWN, Mode.NONE),
    ("accessTo in other letters", rule(BEN_READS, f"acl:accessTo <{POD.upper()}>"), signed_in(BEN), OWN, Mode.NONE),
    ("one of two resources", rule(BEN_READS, f"{TO_ROOT}, <{POD}x>"), signed_in(BEN), OWN, READ),
    ("relative accessTo", rule(BEN_READS, "acl:accessTo <./>"), signed_in(BEN), OWN, READ),
    ("accessTo is not inherited", rule(BEN_READS), signed_in(BEN), MEMBER, Mode.NONE),
    ("default is inherited", rule(BEN_READS, f"acl:default <{POD}>"), signed_in(BEN), MEMBER, READ),
    ("default is not for the resource itself", rule(BEN_READS, f"acl:default <{POD}>"), signed_in(BEN), OWN, Mode.NONE),
    ("default of another container", rule(BEN_READS, f"acl:default <{POD}x/>"), signed_in(BEN), MEMBER, Mode.NONE),
    ("defaultForNew is of the past", rule(BEN_READS, f"acl:defaultForNew <{POD}>"), signed_in(BEN), MEMBER, Mode.NONE),
    ("no type", f"<#r> {TO_ROOT}; {BEN_READS}.", signed_in(BEN), OWN, Mode.NONE),
    ("another type", f"<#r> a ex:Authorization; {TO_ROOT}; {BEN_READS}.", signed_in(BEN), OWN, Mode.NONE),
    ("no mode", rule(f"acl:agent <{BEN}>"), signed_in(BEN), OWN, Mode.NONE),
    ("no subject", rule("acl:mode acl:Read"), signed_in(BEN), OWN, Mode.NONE),
    ("no object", f"<#r> a acl:Authorization; {BEN_READS}.", signed_in(BEN), OWN, Mode.NONE),
    ("a blank node", f"[] a acl:Authorization; {TO_ROOT}; {BEN_READS}.", signed_in(BEN), OWN, READ),
    ("an agent as text", rule(f'acl:agent "{BEN}"; acl:mode acl:Read'), signed_in(BEN), OWN, Mode.NONE),
    ("control is not read", rule(f"acl:agent <{BEN}>; acl:mode acl:Control"), signed_in(BEN), OWN, CONTROL),
    ("write is append, not read", rule(f"acl:agent <{BEN}>; acl:mode acl:Write"), signed_in(BEN), OWN, WRITE | APPEND),
    ("append is not write", rule(f"acl:agent <{BEN}>; acl:mode acl:Append"), signed_in(BEN), OWN, APPEND),
    ("a mode mistyped", rule(f"acl:agent <{BEN}>; acl:mode acl:read, acl:Reed"), signed_in(BEN), OWN, Mode.NONE),
    ("a mode as text", rule(f'acl:agent <{BEN}>; acl:mode "acl:Read"'), signed_in(BEN), OWN, Mode.NONE),
    ("a foreign mode beside ours", rule(f"{BEN_READS}, ex:Write"), signed_in(BEN), OWN, READ),
    ("acl:Access is no mode", rule(f"acl:agent <{BEN}>; acl:mode acl:Access"), signed_in(BEN), OWN, Mode.NONE),
    (
        "a mode that the document declares",
        rule(f"acl:agent <{BEN}>; acl:mode ex:Write") + " ex:Write rdfs:subClassOf acl:Write .",
        signed_in(BEN),
        OWN,
        Mode.NONE,
    ),
    ("group member", rule(f"acl:agentGroup <{FRIENDS}>; acl:mode acl:Read"), signed_in(BEN), OWN, READ),
    ("not a member", rule(f"acl:agentGroup <{FRIENDS}>; acl:mode acl:Read"), signed_in(EVE), OWN, Mode.NONE),
    ("group that is absent", rule("acl:agentGroup <#gone>; acl:mode acl:Read"), signed_in(BEN), OWN, Mode.NONE),
    ("a group is no agent", rule(f"acl:agent <{FRIENDS}>; acl:mode acl:Read"), signed_in(BEN), OWN, Mode.NONE),
    ("public", rule("acl:agentClass foaf:Agent; acl:mode acl:Read"), PUBLIC, OWN, READ),
    ("public, signed in", rule("acl:agentClass foaf:Agent; acl:mode acl:Read"), signed_in(EVE), OWN, READ),
    ("authenticated", rule("acl:agentClass acl:AuthenticatedAgent; acl:mode acl:Read"), signed_in(EVE), OWN, READ),
    (
        "authenticated is not public",
        rule("acl:agentClass acl:AuthenticatedAgent; acl:mode acl:Read"),
        Caller(client=APP, issuer=ISSUER),
        OWN,
        Mode.NONE,
    ),
    ("a foreign class", rule("acl:agentClass ex:Everybody; acl:mode acl:Read"), signed_in(EVE), OWN, Mode.NONE),
    ("foaf:Agent as an agent", rule("acl:agent foaf:Agent; acl:mode acl:Read"), signed_in(EVE), OWN, Mode.NONE),
    ("origin is no way in", rule("acl:origin <https://app.example>; acl:mode acl:Read"), PUBLIC, OWN, Mode.NONE),
    ("nor is a limit dropped", rule(f"acl:origin <https://app.example>; {BEN_READS}"), signed_in(BEN), OWN, Mode.NONE),
    (
        "rules add up",
        rule(BEN_READS) + f"<#s> a acl:Authorization; {TO_ROOT}; acl:agentClass foaf:Agent; acl:mode acl:Append .",
        signed_in(BEN),
        OWN,
        READ | APPEND,
    ),
]


@pytest.mark.parametrize(("name", "turtle", "caller", "place", "expected"), MATCHING, ids=[row[0] for row in MATCHING])
def test_an_authorization_gives_what_it_says(
    name: str, turtle: str, caller: Caller, place: Place, expected: Mode
) -> None:
    """WAC, sections 4 and 5: objects, modes and subjects, one row each."""
    assert modes(turtle, caller, place) == expected


BEN_BY_APP = signed_in(BEN, APP, ISSUER)
CONDITIONS = [
    ("client matches", CLIENT, BEN_BY_APP, READ),
    ("another client", CLIENT, signed_in(BEN, OTHER_APP, ISSUER), Mode.NONE),
    ("no client", CLIENT, signed_in(BEN), Mode.NONE),
    ("one of two clients", CLIENT.replace(f"<{APP}>", f"<{APP}>, <{OTHER_APP}>"), signed_in(BEN, OTHER_APP), READ),
    ("two conditions of one client each", f"{CLIENT}; {CLIENT.replace(APP, OTHER_APP)}", BEN_BY_APP, Mode.NONE),
    (
        "two conditions that share a client",
        f"{CLIENT}; {CLIENT.replace(f'<{APP}>', f'<{APP}>, <{OTHER_APP}>')}",
        BEN_BY_APP,
        READ,
    ),
    ("any client", "acl:condition [ a acl:ClientCondition; acl:clientClass foaf:Agent ]", signed_in(BEN), READ),
    ("a foreign class", "acl:condition [ a acl:ClientCondition; acl:clientClass ex:Good ]", BEN_BY_APP, Mode.NONE),
    ("issuer matches", ISSUED, BEN_BY_APP, READ),
    ("another issuer", ISSUED, signed_in(BEN, APP, OTHER_ISSUER), Mode.NONE),
    ("issuer but for its slash", ISSUED, signed_in(BEN, APP, ISSUER[:-1]), Mode.NONE),
    ("client and issuer", f"{CLIENT}; {ISSUED}", BEN_BY_APP, READ),
    ("client, not issuer", f"{CLIENT}; {ISSUED}", signed_in(BEN, APP, OTHER_ISSUER), Mode.NONE),
    ("issuer, not client", f"{CLIENT}; {ISSUED}", signed_in(BEN, OTHER_APP, ISSUER), Mode.NONE),
    (
        "one node of both types",
        f"acl:condition [ a acl:ClientCondition, acl:IssuerCondition; acl:client <{APP}>; acl:issuer <{ISSUER}> ]",
        signed_in(BEN, APP, OTHER_ISSUER),
        Mode.NONE,
    ),
    ("the superclass beside", CLIENT.replace("a acl", "a acl:Condition, acl"), BEN_BY_APP, READ),
    ("an unknown condition", "acl:condition [ a ex:MoonCondition ]", BEN_BY_APP, Mode.NONE),
    ("an unknown one beside a known", f"{CLIENT}; acl:condition [ a ex:MoonCondition ]", BEN_BY_APP, Mode.NONE),
    ("an unknown type on a known", CLIENT.replace("a acl", "a ex:Moon, acl"), BEN_BY_APP, Mode.NONE),
    ("no type", f"acl:condition [ acl:client <{APP}> ]", BEN_BY_APP, Mode.NONE),
    ("the superclass alone", f"acl:condition [ a acl:Condition; acl:client <{APP}> ]", BEN_BY_APP, Mode.NONE),
    ("no client named", "acl:condition [ a acl:ClientCondition ]", BEN_BY_APP, Mode.NONE),
    ("a client as text", f'acl:condition [ a acl:ClientCondition; acl:client "{APP}" ]', BEN_BY_APP, Mode.NONE),
    ("described elsewhere", "acl:condition <https://ana.example/c>", BEN_BY_APP, Mode.NONE),
    ("a condition as text", 'acl:condition "none"', BEN_BY_APP, Mode.NONE),
    (
        "a condition with a name",
        f"acl:condition <#c> . <#c> a acl:ClientCondition; acl:client <{APP}>",
        BEN_BY_APP,
        READ,
    ),
]


@pytest.mark.parametrize(("name", "parts", "caller", "expected"), CONDITIONS, ids=[row[0] for row in CONDITIONS])
def test_every_condition_must_hold(name: str, parts: str, caller: Caller, expected: Mode) -> None:
    """Conditions only ever take away; what is not understood takes everything of its authorization."""
    assert modes(condition(parts), caller) == expected


def until(*values: str) -> str:
    """An expiry condition with these values."""
    return "acl:condition [ a access:ExpiryCondition" + "".join(f"; access:until {value}" for value in values) + " ]"


EXPIRIES = [
    (until(f'"{LATER_STAMP}"^^xsd:dateTimeStamp'), NOW + 1),
    (until(f'"{LATER_STAMP}"^^xsd:dateTime'), NOW + 1),
    (until('"2027-01-15T08:00:00.5Z"^^xsd:dateTimeStamp'), NOW + 0.5),
    (until(f'"{LATER_STAMP}"^^xsd:dateTimeStamp') + "; " + until('"2099-01-01T00:00:00Z"^^xsd:dateTimeStamp'), NOW + 1),
    (until(f'"{NOW_STAMP}"^^xsd:dateTimeStamp'), None),
    (until('"2026-01-01T00:00:00Z"^^xsd:dateTimeStamp'), None),
    (until('"2099-01-01T00:00:00"^^xsd:dateTimeStamp'), None),
    (until('"2099-01-01"^^xsd:date'), None),
    (until('"2099-02-30T00:00:00Z"^^xsd:dateTimeStamp'), None),
    (until('"2099-01-01T00:00:00Z"'), None),
    (until('"2099-W01-1T00:00:00Z"^^xsd:dateTimeStamp'), None),
    (until('"99999-01-01T00:00:00Z"^^xsd:dateTimeStamp'), None),
    (until("<https://never.example/>"), None),
    (until(f'"{LATER_STAMP}"^^xsd:dateTimeStamp', '"2099-01-01T00:00:00Z"^^xsd:dateTimeStamp'), None),
    (until(), None),
]


@pytest.mark.parametrize(("parts", "end"), EXPIRIES)
def test_a_grant_ends_when_it_says(parts: str, end: float | None) -> None:
    """It holds up to its end and not at it; a date that is not one, or has no zone, grants nothing at all."""
    compiled = policy(condition(parts))
    verdict = decide(compiled, signed_in(BEN), READ, OWN, FACTS)
    assert verdict.allowed is (end is not None)
    assert verdict.until == (FOREVER if end is None else end)
    if end is not None:
        assert decide(compiled, signed_in(BEN), READ, OWN, Facts(math.nextafter(end, 0))).allowed
        assert not decide(compiled, signed_in(BEN), READ, OWN, Facts(end)).allowed


def test_a_verdict_holds_until_the_first_loss_among_what_it_says() -> None:
    """The earliest end among the rules that gave anything; rules for others and past ones do not count."""
    rules = [
        grant_rule("a", BEN, READ, until=NOW + 50),
        grant_rule("b", BEN, APPEND, until=NOW + 20),
        grant_rule("c", EVE, READ, until=NOW + 1),
        grant_rule("d", BEN, CONTROL, until=NOW - 1),
    ]
    compiled = policy(write_policy(POD, rules))
    assert decide(compiled, signed_in(BEN), READ, OWN, FACTS).until == NOW + 20
    assert decide(compiled, signed_in(BEN), WRITE, OWN, FACTS).until == NOW + 20
    assert decide(compiled, PUBLIC, READ, OWN, FACTS).until == FOREVER
    assert readable([(compiled, Face.OWN)], signed_in(BEN), FACTS).until == NOW + 20


def test_statements_in_named_graphs_do_not_count() -> None:
    """An access-control document speaks by its default graph alone."""
    trig = rule(BEN_READS).removesuffix(".")
    assert policy(f"{{ {trig} }}", Syntax.TRIG).rules
    assert not policy(f"<#g> {{ {trig} }}", Syntax.TRIG).rules


def test_what_grants_nothing_is_no_rule() -> None:
    """An incomplete or misunderstood authorization leaves no trace in the policy, and costs no decision anything."""
    assert len(policy(rule(BEN_READS)).rules) == 1
    for parts in (f"acl:agent <{BEN}>; acl:mode acl:Access", "acl:mode acl:Read", f"{BEN_READS}; acl:condition <#x>"):
        assert policy(rule(parts)).rules == ()


def test_no_policy_and_no_mode_are_denied() -> None:
    """Deny by default: nothing to go by, or nothing asked for."""
    everything = policy(rule("acl:agentClass foaf:Agent; acl:mode acl:Read, acl:Write, acl:Control"))
    assert decide(everything, PUBLIC, ALL, OWN, FACTS).allowed
    assert not decide(everything, PUBLIC, Mode.NONE, OWN, FACTS).allowed
    assert not decide(None, signed_in(ANA), READ, OWN, FACTS).allowed
    assert not decide(everything, PUBLIC, READ, OWN, Facts(math.nan)).allowed


def test_several_modes_ask_for_all_of_them() -> None:
    """A patch that reads and writes is refused to one who may only write."""
    compiled = policy(rule(f"acl:agent <{BEN}>; acl:mode acl:Write"))
    assert decide(compiled, signed_in(BEN), WRITE | APPEND, OWN, FACTS).allowed
    assert not decide(compiled, signed_in(BEN), WRITE | READ, OWN, FACTS).allowed


@pytest.mark.parametrize("mode", [READ, APPEND, WRITE, CONTROL])
def test_the_document_itself_asks_for_control_alone(mode: Mode) -> None:
    """Every use of an access-control document asks for Control, by accessTo; other rights do not count."""
    assert modes(rule(f"acl:agent <{BEN}>; acl:mode acl:Control"), signed_in(BEN), DOCUMENT) == ALL
    assert decide(
        policy(rule(f"acl:agent <{BEN}>; acl:mode acl:Control")), signed_in(BEN), mode, DOCUMENT, FACTS
    ).allowed
    assert modes(rule(f"acl:agent <{BEN}>; acl:mode acl:Read, acl:Write"), signed_in(BEN), DOCUMENT) == Mode.NONE
    inherited = rule(f"acl:agent <{BEN}>; acl:mode acl:Control", f"acl:default <{POD}>")
    assert modes(inherited, signed_in(BEN), DOCUMENT) == Mode.NONE


# --- landed data and links ---

LANDED_PLACE = Place(Path("/landed/"), Face.OWN)
READING = Place(Path("/landed/power/meter/day/2026-01-01"), Face.MEMBERS)
OTHERS = Place(Path("/landed/bank/accounts/day/2026-01-01"), Face.MEMBERS)
POWER = Caller(partner="power")
LINK = Link("pairwise-1", "power", PodId("p"), NOW - 10, NOW + 10)


def landed(*more: RuleText) -> Policy:
    """The policy of ``landed/`` with grants added to it."""
    text = write_policy(POD, [*landed_rules(ANA, CONSOLE, ISSUER), *more])
    return policy(text)


def test_landed_opens_to_the_owner_through_the_console_alone() -> None:
    """Any other app, or another host's sign-in, gets nothing there without a grant; nobody writes."""
    for place in (LANDED_PLACE, READING):
        assert decide(landed(), signed_in(ANA, CONSOLE, ISSUER), READ, place, FACTS).modes == READ | CONTROL
        for client, issuer in ((APP, ISSUER), (CONSOLE, OTHER_ISSUER), (None, ISSUER), (None, None)):
            assert decide(landed(), signed_in(ANA, client, issuer), READ, place, FACTS).modes == Mode.NONE
    assert decide(
        landed(), signed_in(ANA, CONSOLE, ISSUER), CONTROL, Place(LANDED_PLACE.path, Face.CONTROL), FACTS
    ).allowed


def test_rules_never_give_writing_in_landed() -> None:
    """Not even every mode for everybody: below ``landed/`` append and write come from links."""
    everything = policy(write_policy(POD, [public_rule(ALL, members=True)]))
    assert decide(everything, PUBLIC, READ, READING, FACTS).modes == READ | CONTROL
    assert decide(everything, PUBLIC, READ, LANDED_PLACE, FACTS).modes == READ | CONTROL
    assert decide(everything, PUBLIC, READ, Place(Path("/landedness"), Face.MEMBERS), FACTS).modes == ALL


def test_both_kinds_of_grant_open_landed() -> None:
    """To the app itself, and to the citizen using the app; never to another citizen using that app."""
    to_app = landed(grant_rule("g1", "https://app.example/#agent", READ, until=NOW + 5))
    verdict = decide(to_app, signed_in("https://app.example/#agent", APP), READ, READING, FACTS)
    assert (verdict.allowed, verdict.until) == (True, NOW + 5)
    to_ana = landed(grant_rule("g2", ANA, READ, client=APP))
    assert decide(to_ana, signed_in(ANA, APP, ISSUER), READ, READING, FACTS).allowed
    assert not decide(to_ana, signed_in(EVE, APP, ISSUER), READ, READING, FACTS).allowed
    assert not decide(to_ana, signed_in(ANA, OTHER_APP, ISSUER), READ, READING, FACTS).allowed


LINKS = [
    # a link, a place, the modes, until when
    (LINK, READING, APPEND | WRITE, NOW + 10),
    (LINK, Place(Path("/landed/power/"), Face.MEMBERS), APPEND | WRITE, NOW + 10),
    (Link("p", "power", PodId("p"), NOW, None), READING, APPEND | WRITE, FOREVER),
    (None, READING, Mode.NONE, FOREVER),
    (Link("p", "bank", PodId("p"), NOW - 10), READING, Mode.NONE, FOREVER),
    (Link("p", "power", PodId("p"), NOW - 10, NOW), READING, Mode.NONE, FOREVER),
    (Link("p", "power", PodId("p"), NOW + 3, NOW + 9), READING, Mode.NONE, NOW + 3),
    (Link("p", "power", PodId("p"), NOW + 3, NOW + 3), READING, Mode.NONE, FOREVER),
    (LINK, OTHERS, Mode.NONE, FOREVER),
    (LINK, LANDED_PLACE, Mode.NONE, FOREVER),
    (LINK, Place(Path("/landed/power"), Face.MEMBERS), Mode.NONE, FOREVER),
    (LINK, Place(Path("/landed/powerful/x"), Face.MEMBERS), Mode.NONE, FOREVER),
    (LINK, Place(READING.path, Face.CONTROL), Mode.NONE, FOREVER),
    (LINK, OWN, Mode.NONE, FOREVER),
    (LINK, Place(Path("/power/x"), Face.MEMBERS), Mode.NONE, FOREVER),
]


@pytest.mark.parametrize(("link", "place", "expected", "end"), LINKS)
def test_a_partner_writes_by_its_link_and_does_nothing_else(
    link: Link | None, place: Place, expected: Mode, end: float
) -> None:
    """Whatever the rules say, were it everything for everybody; and also where there is no policy."""
    everything = policy(write_policy(POD, [public_rule(ALL, members=True)]))
    for governing in (everything, None):
        verdict = decide(governing, POWER, APPEND, place, Facts(NOW, link=link))
        assert (verdict.allowed, verdict.modes, verdict.until) == (APPEND in expected, expected, end)
    assert readable([(everything, place.face)], POWER, Facts(NOW, link=link)).faces == frozenset()


def test_a_link_serves_nobody_but_its_partner() -> None:
    """The fact of a link gives nothing to a citizen, nor to a partner without a name."""
    facts = Facts(NOW, link=LINK)
    assert not decide(landed(), signed_in(ANA, CONSOLE, ISSUER), WRITE, READING, facts).allowed
    nameless = Facts(NOW, link=Link("p", "", PodId("p"), NOW))
    assert not decide(None, Caller(partner=""), WRITE, Place(Path("/landed//x"), Face.MEMBERS), nameless).allowed
    assert decide(None, POWER, WRITE, READING, facts).allowed


# --- the documents that are written ---


def test_the_root_belongs_to_its_owner() -> None:
    """The owner does everything everywhere; a public listing opens the root and nothing below it."""
    private, listed = (policy(write_policy("./", root_rules(ANA, public_read=flag))) for flag in (False, True))
    for place in (OWN, MEMBER, DOCUMENT):
        assert decide(private, signed_in(ANA), ALL, place, FACTS).allowed
        assert decide(private, PUBLIC, READ, place, FACTS).modes == Mode.NONE
    assert decide(listed, PUBLIC, READ, OWN, FACTS).modes == READ
    assert decide(listed, PUBLIC, READ, MEMBER, FACTS).modes == Mode.NONE


def test_a_document_is_read_back_with_its_ids() -> None:
    """A grant is found again by its id, added to what was there, and taken back alone."""
    rules = [owner_rule(ANA), grant_rule("g1", BEN, READ, client=APP, until=NOW), public_rule(READ)]
    text = write_policy(POD, rules)
    statements = parse(text.encode(), Syntax.TURTLE, POD + ".acl")
    assert read_rules(statements, POD) == rules
    assert write_policy(POD, read_rules(statements, POD)) == text
    assert not [quad for quad in statements if not hasattr(quad.subject, "value")]


UNWRITABLE = [
    [owner_rule(ANA), owner_rule(BEN)],
    [owner_rule("https://ana.example/> . <#x> a <y")],
    [owner_rule("https://ana.example/\ud800")],
    [grant_rule("g 1", BEN, READ)],
    [grant_rule("g.1", BEN, READ)],
    [grant_rule("", BEN, READ)],
    [grant_rule("g", BEN, Mode.NONE)],
    [grant_rule("g", BEN, READ, own=False, members=False)],
    [grant_rule("g", BEN, READ, until=math.nan)],
    [grant_rule("g", BEN, READ, until=1e15)],
    [RuleText("g", Rule(READ, own=True))],
    [RuleText("g", Rule(READ, own=True, public=True, clients=(frozenset(),)))],
]


@pytest.mark.parametrize("rules", UNWRITABLE)
def test_what_would_not_read_back_is_not_written(rules: list[RuleText]) -> None:
    """Text that breaks out of its IRI, an id used twice, a grant of nothing: refused, not written."""
    with pytest.raises(Invalid):
        write_policy(POD, rules)


def test_the_conditions_are_the_ones_signalled() -> None:
    """Each type that a Link header names is one that a document may use."""
    assert {iri.rpartition("#")[2] for iri in CONDITION_TYPES} == {
        "ClientCondition",
        "IssuerCondition",
        "ExpiryCondition",
    }
