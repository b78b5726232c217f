"""Access decisions over generated trees: ``readable`` equals ``decide``, and both equal WAC's own ASK queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import rdflib
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib.plugins.sparql import prepareQuery

from pod_server.access import RuleText, compile_policy, decide, read_rules, readable, write_policy
from pod_server.rdf import Syntax, parse
from pod_server.terms import (
    FOREVER,
    PUBLIC,
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
    in_landed,
    parent_of,
)

POD = "https://pod.example/ana"
NOW = 1_800_000_000.0
PEOPLE = [f"https://{name}.example/#me" for name in ("ana", "ben", "eve")]
CLIENTS = [f"https://{name}.example/id" for name in ("app", "console")]
ISSUERS = ["https://pod.example/", "https://login.example/"]
GROUPS = ["https://pod.example/ana/groups#kin", "https://pod.example/ana/groups#work"]
PARTNERS = ["power", "bank"]
PATHS = [
    Path(path)
    for path in (
        "/", "/note", "/a/", "/a/x", "/a/b/", "/a/b/y",
        "/landed/", "/landed/power/", "/landed/power/day/", "/landed/power/day/1", "/landed/bank/", "/landed/bank/z",
    )
]  # fmt: skip
MODES = [Mode.READ, Mode.APPEND, Mode.WRITE, Mode.CONTROL]
QUIET = settings(derandomize=True, deadline=None)


def some(values: list[str]) -> st.SearchStrategy[frozenset[str]]:
    """None, one or two of these."""
    return st.frozensets(st.sampled_from(values), max_size=2)


MODE_SETS = st.sets(st.sampled_from(MODES), min_size=1, max_size=3).map(lambda modes: Mode(sum(m.value for m in modes)))
LIMITS = st.lists(st.frozensets(st.sampled_from(CLIENTS), min_size=1), max_size=2).map(tuple)
ISSUER_LIMITS = st.lists(st.frozensets(st.sampled_from(ISSUERS), min_size=1), max_size=1).map(tuple)
ENDS = st.sampled_from([FOREVER, FOREVER, NOW - 1, NOW, NOW + 1, NOW + 60])
RULES = st.builds(
    Rule,
    modes=MODE_SETS,
    own=st.booleans(),
    members=st.booleans(),
    agents=some(PEOPLE),
    groups=some(GROUPS),
    public=st.sampled_from([False, False, True]),
    authenticated=st.sampled_from([False, False, True]),
    clients=st.just(()) | LIMITS,
    issuers=st.just(()) | ISSUER_LIMITS,
    until=ENDS,
).filter(
    lambda rule: (rule.own or rule.members) and bool(rule.agents or rule.groups or rule.public or rule.authenticated)
)
DOCUMENTS = st.lists(RULES, max_size=4).map(
    lambda rules: [RuleText(f"r{number}", rule) for number, rule in enumerate(rules)]
)
TREES = st.dictionaries(st.sampled_from(PATHS), DOCUMENTS, max_size=5)
CALLERS = st.one_of(
    st.just(PUBLIC),
    st.builds(Caller, st.sampled_from([*PEOPLE, None]), st.sampled_from([*CLIENTS, None]), st.sampled_from(ISSUERS)),
    st.builds(Caller, partner=st.sampled_from(PARTNERS), agent=st.sampled_from([*PEOPLE, None])),
)
LINKS = st.none() | st.builds(
    Link,
    st.just("pairwise"),
    st.sampled_from(PARTNERS),
    st.just(PodId("p")),
    st.sampled_from([NOW - 60, NOW, NOW + 1]),
    st.sampled_from([None, NOW, NOW + 60]),
)
FACTS = st.builds(Facts, st.just(NOW), st.dictionaries(st.sampled_from(GROUPS), some(PEOPLE)), LINKS)


@dataclass(frozen=True)
class Tree:
    """A pod's compiled policies, and the text they were compiled from."""

    policies: dict[Path, Policy]
    texts: dict[Path, str]

    def governing(self, path: Path) -> tuple[Path, Face] | None:
        """The nearest access-control document (WAC, section 5.1), and by which side it speaks."""
        at: Path | None = path
        while at is not None and at not in self.policies:
            at = parent_of(at)
        return None if at is None else (at, Face.OWN if at == path else Face.MEMBERS)

    def resources(self) -> Iterator[tuple[Place, tuple[Path, Face] | None]]:
        """Every resource and every access-control document, with what governs it."""
        for path in PATHS:
            governing = self.governing(path)
            yield Place(path, Face.OWN if governing is None else governing[1]), governing
            if path in self.policies:
                yield Place(path, Face.CONTROL), (path, Face.CONTROL)


def tree_of(documents: dict[Path, list[RuleText]]) -> Tree:
    """Written as Turtle and compiled back, so that the whole way is under test."""
    texts = {path: write_policy(POD + path, rules) for path, rules in documents.items()}
    policies = {}
    for number, (path, text) in enumerate(texts.items(), start=1):
        statements = parse(text.encode(), Syntax.TURTLE, f"{POD}{path}.acl")
        policies[path] = compile_policy(statements, POD + path, path, Position(number))
    return Tree(policies, texts)


@settings(QUIET, max_examples=150)
@given(DOCUMENTS)
def test_a_written_document_compiles_to_its_rules(rules: list[RuleText]) -> None:
    """Writing then reading is the identity, ids included, and the text is the same each time."""
    text = write_policy("./", rules)
    assert text == write_policy("./", rules)
    assert read_rules(parse(text.encode(), Syntax.TURTLE, f"{POD}/.acl"), POD + "/") == rules


@settings(QUIET, max_examples=150)
@given(TREES, CALLERS, FACTS)
def test_readable_is_decide_for_every_resource(
    documents: dict[Path, list[RuleText]], caller: Caller, facts: Facts
) -> None:
    """The set form and the single form agree on every resource and every access-control document of a tree."""
    tree = tree_of(documents)
    pairs = {governing for _, governing in tree.resources() if governing is not None}
    answer = readable([(tree.policies[path], face) for path, face in sorted(pairs)], caller, facts)
    earliest = FOREVER
    for place, governing in tree.resources():
        policy = None if governing is None else tree.policies[governing[0]]
        verdict = decide(policy, caller, Mode.READ, place, facts)
        assert verdict.allowed is (governing in answer.faces)
        earliest = min(earliest, verdict.until)
    if caller.partner is None:
        assert answer.until == earliest


@settings(QUIET, max_examples=150)
@given(TREES, CALLERS, FACTS, st.sampled_from(MODES))
def test_a_verdict_is_true_until_it_says(
    documents: dict[Path, list[RuleText]], caller: Caller, facts: Facts, mode: Mode
) -> None:
    """Asked again at any instant before its end, a verdict is the same, whether it allowed or denied."""
    tree = tree_of(documents)
    for place, governing in tree.resources():
        policy = None if governing is None else tree.policies[governing[0]]
        verdict = decide(policy, caller, mode, place, facts)
        assert verdict.until > facts.now
        for later in (NOW + 0.5, NOW + 1, NOW + 59, NOW + 60, NOW + 61):
            if later < verdict.until:
                again = decide(policy, caller, mode, place, replace(facts, now=later))
                assert (again.allowed, again.modes) == (verdict.allowed, verdict.modes)


# --- the oracle: WAC, section 5.3.4, run by rdflib; its examples' UNION is read as a join, since as printed the second
# branch ties the mode to no subject at all ---

ONTOLOGY = """
@prefix acl: <http://www.w3.org/ns/auth/acl#>. @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#>.
acl:Read a rdfs:Class. acl:Control a rdfs:Class. acl:Write a rdfs:Class. acl:Append rdfs:subClassOf acl:Write.
"""
ASK = """
PREFIX acl: <http://www.w3.org/ns/auth/acl#>
PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
PREFIX vcard: <http://www.w3.org/2006/vcard/ns#>
ASK {{
  ?authorization a acl:Authorization ; acl:{object} $resource ; acl:mode ?mode .
  $requiredMode rdfs:subClassOf* ?mode .
  {subject}
}}
"""
SUBJECTS = {
    "agent": "?authorization acl:agent $agent .",
    "class": "?authorization acl:agentClass $agentClass .",
    "group": "?authorization acl:agentGroup ?agentGroup . ?agentGroup vcard:hasMember $agent .",
}
QUERIES = {
    (object_, name): prepareQuery(ASK.format(object=object_, subject=subject))
    for object_ in ("accessTo", "default")
    for name, subject in SUBJECTS.items()
}
ACL = rdflib.Namespace("http://www.w3.org/ns/auth/acl#")
HAS_MEMBER = rdflib.URIRef("http://www.w3.org/2006/vcard/ns#hasMember")
EVERYONE = rdflib.URIRef("http://xmlns.com/foaf/0.1/Agent")


def conditions_hold(rule: Rule, caller: Caller) -> bool:
    """The conditions of an authorization, evaluated beside the queries."""
    return (
        all(caller.client in ids for ids in rule.clients)
        and all(caller.issuer in ids for ids in rule.issuers)
        and rule.until > NOW
    )


def oracle_graph(path: Path, rules: list[RuleText], caller: Caller, facts: Facts) -> rdflib.Graph:
    """A document without the authorizations whose conditions fail, with the groups and the classes of modes."""
    standing = [text for text in rules if conditions_hold(text.rule, caller)]
    graph = rdflib.Graph()
    graph.parse(data=write_policy(POD + path, standing), format="turtle", publicID=f"{POD}{path}.acl")
    graph.parse(data=ONTOLOGY, format="turtle")
    for group, agents in facts.groups.items():
        for agent in agents:
            graph.add((rdflib.URIRef(group), HAS_MEMBER, rdflib.URIRef(agent)))
    return graph


def asked(graph: rdflib.Graph, resource: Path, object_: str, mode: str, caller: Caller) -> bool:
    """WAC's own answer for one mode, by the authorizations that name this resource."""
    inputs = {"resource": rdflib.URIRef(POD + resource), "requiredMode": ACL[mode]}
    asks = [("class", {"agentClass": EVERYONE})]
    if caller.agent is not None:
        agent = {"agent": rdflib.URIRef(caller.agent)}
        asks += [("class", {"agentClass": ACL.AuthenticatedAgent}), ("agent", agent), ("group", agent)]
    return any(graph.query(QUERIES[object_, name], initBindings=inputs | more).askAnswer is True for name, more in asks)


def expected(governing: tuple[Path, Face], graph: rdflib.Graph, landed: bool, caller: Caller) -> Mode:
    """What the oracle gives where a document governs, writing in landed left out."""
    path, face = governing
    if face is Face.CONTROL:
        return Mode(15) if asked(graph, path, "accessTo", "Control", caller) else Mode.NONE
    object_ = "accessTo" if face is Face.OWN else "default"
    given_ = [mode for mode in MODES if asked(graph, path, object_, str(mode.name).title(), caller)]
    modes = Mode(sum(mode.value for mode in given_))
    return modes & (Mode.READ | Mode.CONTROL) if landed else modes


@settings(QUIET, max_examples=150)
@given(
    st.dictionaries(st.sampled_from(PATHS), DOCUMENTS, min_size=1, max_size=3),
    CALLERS.filter(lambda caller: caller.partner is None),
    FACTS,
)
def test_decide_is_what_wac_itself_asks(documents: dict[Path, list[RuleText]], caller: Caller, facts: Facts) -> None:
    """Every cell (face, mode) of a generated tree equals the ASK queries of WAC, section 5.3.4."""
    tree = tree_of(documents)
    graphs = {path: oracle_graph(path, rules, caller, facts) for path, rules in documents.items()}
    cells = {(governing, in_landed(place.path)): place for place, governing in tree.resources()}
    for (governing, landed), place in cells.items():
        if governing is not None:
            verdict = decide(tree.policies[governing[0]], caller, Mode.READ, place, facts)
            assert verdict.modes == expected(governing, graphs[governing[0]], landed, caller), (place, governing)
