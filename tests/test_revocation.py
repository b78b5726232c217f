"""A revocation holds from its acknowledgement on: by policy, by group, by expiry, between decide and write."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest
from inprocess import Inside, inside
from solid import Agent

from pod_server.consent.grants import Wish
from pod_server.errors import Busy, LimitReached, Malformed, PodError
from pod_server.pod import Target, Upload
from pod_server.query.guard import UNION_DEFAULT_GRAPH, Dataset, inspect
from pod_server.query.views import Answer, Question, Views
from pod_server.store.contract import Append, Moved
from pod_server.terms import PUBLIC, Caller, Path
from pod_server.web import sparql

ACL = "@prefix acl: <http://www.w3.org/ns/auth/acl#> . @prefix foaf: <http://xmlns.com/foaf/0.1/> ."
BOB = "https://bob.example/card#me"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A host with two pods."""
    with inside(tmp_path_factory.mktemp("town")) as found:
        found.add_pod("ana")
        found.add_pod("club")
        yield found


def rules(owner: str, subject: str, extra: str) -> str:
    """An access-control document that keeps the owner and adds one authorization."""
    return (
        f"{ACL} <#owner> a acl:Authorization; acl:agent <{owner}>; acl:accessTo <{subject}>; acl:default <{subject}>;"
        f" acl:mode acl:Read, acl:Write, acl:Control . {extra}"
    )


def allow(subject: str, who: str, modes: str = "acl:Read", more: str = "") -> str:
    """One authorization."""
    about = f"acl:accessTo <{subject}>; acl:default <{subject}>"
    return f"<#other> a acl:Authorization; {who}; {about}; acl:mode {modes} {more} ."


class Scene:
    """Ana's folder with one note, and bob who may or may not read it."""

    def __init__(self, town: Inside, name: str) -> None:
        self.town = town
        self.ana = town.owner("ana")
        self.bob = town.app(BOB, "bob")
        self.folder = f"{town.base}ana/{name}/"
        self.owner = town.row("ana").owner
        assert self.ana.put(f"{self.folder}note", "<#it> <#says> 'hello' .").status_code == 201

    def set_rules(self, extra: str) -> None:
        """Replace the folder's rules."""
        assert self.ana.put(f"{self.folder}.acl", rules(self.owner, self.folder, extra)).status_code in (201, 204)

    def seen(self, who: Agent | None = None) -> tuple[int, int]:
        """What bob gets now: the status of a GET, and how many rows of a query."""
        who = who or self.bob
        query = f"SELECT * {{ ?s <{self.folder}note#says> ?o }}"
        return who.get(f"{self.folder}note").status_code, len(who.rows(f"{self.town.base}ana/", query))


def test_by_policy(town: Inside) -> None:
    """The next GET and the next query after a rule's removal are refused and empty; and a deleted document too."""
    scene = Scene(town, "policy")
    assert scene.seen() == (403, 0)
    for _ in range(3):
        scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>"))
        assert scene.seen() == (200, 1)
        scene.set_rules("")
        assert scene.seen() == (403, 0)
    scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>"))
    assert scene.seen() == (200, 1)
    assert scene.ana.ask("DELETE", f"{scene.folder}.acl").status_code == 204
    assert scene.seen() == (403, 0)


def test_by_group(town: Inside) -> None:
    """A member who leaves a group kept in another pod of this host loses what the group opened, at once."""
    scene, club = Scene(town, "group"), town.owner("club")
    group = f"{town.base}club/open/team"
    listed = f"<#us> a <http://www.w3.org/2006/vcard/ns#Group>; <http://www.w3.org/2006/vcard/ns#hasMember> <{BOB}> ."
    scene.set_rules(allow(scene.folder, f"acl:agentGroup <{group}#us>"))
    assert scene.seen() == (403, 0)
    for _ in range(3):
        assert club.put(group, listed).status_code in (201, 204)
        assert scene.seen() == (200, 1)
        assert club.put(group, "<#us> a <http://www.w3.org/2006/vcard/ns#Group> .").status_code == 204
        assert scene.seen() == (403, 0)
    club.put(group, listed)
    assert scene.seen() == (200, 1)
    assert club.ask("DELETE", group).status_code == 204
    assert scene.seen() == (403, 0)


def test_by_expiry(town: Inside) -> None:
    """A grant with an end is void from that instant, warm views and caches included."""
    scene = Scene(town, "expiry")
    end = time.time() + 600
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    condition = (
        "; acl:condition [ a <https://w3id.org/self-data/access#ExpiryCondition> ;"
        f' <https://w3id.org/self-data/access#until> "{stamp}"^^<http://www.w3.org/2001/XMLSchema#dateTimeStamp> ]'
    )
    scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>", "acl:Read", condition))
    assert scene.seen() == (200, 1)
    pods, caller = town.host.pods, Caller(BOB, scene.bob.client_id, town.base)
    target = Target(town.row("ana"), Path("/expiry/note"))
    assert town.call(pods.read, caller, target).size > 0
    town.clock.ahead = 601
    try:
        with pytest.raises(PodError):
            town.call(pods.read, caller, target)
        seen = town.call(pods.assemble, caller, town.row("ana"), lambda *_: False)
        assert not any("/expiry/" in iri for iri, _, _ in seen.documents or ())
    finally:
        town.clock.ahead = 0
    assert scene.seen() == (200, 1)


def test_a_grants_end_reaches_landed_data(town: Inside) -> None:
    """A grant by the citizen with an end opens until then and not after."""
    wish = Wish("https://short.example/#it", "grid", "load-curve", "month", until=time.time() + 300)
    town.call(town.host.operator.add_partner, "grid", "Grid", "grid operator")
    town.grant("ana", wish)
    caller = Caller(wish.agent, "x", town.base)
    target = Target(town.row("ana"), wish.container)
    assert town.call(town.host.pods.read, caller, target).size > 0
    town.clock.ahead = 301
    with pytest.raises(PodError):
        town.call(town.host.pods.read, caller, target)
    town.clock.ahead = 0


def between(town: Inside, revoke: Callable[[], None]) -> list[str]:
    """Let something happen after a write was decided and before it is appended; how often it was decided."""
    store, decided = town.host.store, []
    original = store.append

    async def append(pod: str, change: Append) -> object:
        decided.append("decided")
        if len(decided) == 1:
            await asyncio.to_thread(revoke)
        return await original(pod, change)  # type: ignore[arg-type]

    town.host.pods._store = _Around(store, append)  # type: ignore[assignment]
    return decided


class _Around:
    """The real store, with one method seen from outside."""

    def __init__(self, store: object, append: object) -> None:
        self._store = store
        self.append = append

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def raw_append(town: Inside, path: str, body: str) -> Append:
    """A change of a document made behind the back of the writer under test."""
    from pod_server.store.bodies import inline
    from pod_server.store.contract import Put
    from pod_server.terms import Kind

    kind = Kind.POLICY if path.endswith(".acl") else Kind.RDF
    return Append(Caller("urn:test"), time.time(), (Put(Path(path), kind, "text/turtle", inline(body.encode())),))


CASES = ["policy", "group", "expiry", "new nearer policy"]


@pytest.mark.parametrize("case", CASES)
def test_between_decide_and_write(town: Inside, case: str) -> None:
    """A write whose right went away after it was decided, and before it was appended, is refused; else it is done."""
    name = "between-" + case.replace(" ", "-")
    scene = Scene(town, name)
    group = f"{town.base}club/open/{name}"
    members = f"<#us> <http://www.w3.org/2006/vcard/ns#hasMember> <{BOB}> ."
    end = time.time() + 600
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    expiry = (
        "; acl:condition [ a <https://w3id.org/self-data/access#ExpiryCondition> ;"
        f' <https://w3id.org/self-data/access#until> "{stamp}"^^<http://www.w3.org/2001/XMLSchema#dateTimeStamp> ]'
    )
    assert town.owner("club").put(group, members).status_code == 201
    who = f"acl:agentGroup <{group}#us>" if case == "group" else f"acl:agent <{BOB}>"
    scene.set_rules(allow(scene.folder, who, "acl:Read, acl:Write", expiry if case == "expiry" else ""))
    pods, store = town.host.pods, town.host.store
    caller = Caller(BOB, "x", town.base)
    target = Target(town.row("ana"), Path(f"/{name}/note"))
    upload = Upload.of("text/turtle", b"<#it> <#says> 'changed' .")
    ana, club = town.row("ana").id, town.row("club").id
    nothing = rules(scene.owner, scene.folder, "")

    def revoke() -> None:
        if case == "policy":
            town.run(store.append(ana, raw_append(town, f"/{name}/.acl", nothing)))
        elif case == "new nearer policy":
            own = rules(scene.owner, f"{scene.folder}note", "")
            town.run(store.append(ana, raw_append(town, f"/{name}/note.acl", own)))
        elif case == "group":
            town.run(store.append(club, raw_append(town, f"/open/{name}", "<#us> a <#Empty> .")))
        else:
            town.clock.ahead = 601

    assert town.run(pods.put(caller, target, upload)).created is False
    decided = between(town, revoke)
    try:
        with pytest.raises(PodError) as refused:
            town.run(pods.put(caller, target, replace(upload)))
        assert not isinstance(refused.value, Moved)
        assert refused.value.kind == "forbidden"
        assert decided == ["decided"]
    finally:
        town.clock.ahead = 0
        pods._store = store
    assert "changed" in scene.ana.get(f"{scene.folder}note").text


class _Interrupted:
    """The real views; something happens after a first answer was made and before it can be sent."""

    def __init__(self, views: Views, meanwhile: Callable[[], Awaitable[object]]) -> None:
        self._views = views
        self._meanwhile = meanwhile
        self.asked = 0
        self.fresh = views.fresh

    async def ask(self, question: Question) -> Answer:
        """Let it happen once."""
        answer = await self._views.ask(question)
        self.asked += 1
        if self.asked == 1:
            await self._meanwhile()
        return answer


@pytest.mark.parametrize("case", [*CASES, "nothing"])
def test_during_a_query(town: Inside, case: str) -> None:
    """What was taken away while a query ran is not in its answer; when nothing was, it is, from the first answer."""
    name = "during-" + case.replace(" ", "-")
    scene = Scene(town, name)
    members = f"<#us> <http://www.w3.org/2006/vcard/ns#hasMember> <{BOB}> ."
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 600))
    expiry = (
        "; acl:condition [ a <https://w3id.org/self-data/access#ExpiryCondition> ;"
        f' <https://w3id.org/self-data/access#until> "{stamp}"^^<http://www.w3.org/2001/XMLSchema#dateTimeStamp> ]'
    )
    assert town.owner("club").put(f"{town.base}club/open/{name}", members).status_code == 201
    who = f"acl:agentGroup <{town.base}club/open/{name}#us>" if case == "group" else f"acl:agent <{BOB}>"
    scene.set_rules(allow(scene.folder, who, "acl:Read", expiry if case == "expiry" else ""))
    store, ana, club = town.host.store, town.row("ana").id, town.row("club").id

    async def revoke() -> None:
        if case == "policy":
            await store.append(ana, raw_append(town, f"/{name}/.acl", rules(scene.owner, scene.folder, "")))
        elif case == "new nearer policy":
            nearer = rules(scene.owner, f"{scene.folder}note", "")
            await store.append(ana, raw_append(town, f"/{name}/note.acl", nearer))
        elif case == "group":
            await store.append(club, raw_append(town, f"/open/{name}", "<#us> a <#Empty> ."))
        elif case == "expiry":
            town.clock.ahead = 601

    endpoint = town.host.endpoint
    views = endpoint._views
    interrupted = _Interrupted(views, revoke)
    endpoint._views = interrupted  # type: ignore[assignment]
    try:
        rows = town.run(query_of(town, f"SELECT * {{ ?s <{scene.folder}note#says> ?o }}"))
    finally:
        endpoint._views, town.clock.ahead = views, 0
    assert (rows, interrupted.asked) == ((1, 1) if case == "nothing" else (0, 2))


async def query_of(town: Inside, query: str) -> int:
    """How many rows bob gets over the union of what he may read."""
    caller = Caller(BOB, "x", town.base)
    dataset = Dataset((UNION_DEFAULT_GRAPH,))
    answer = await town.host.endpoint.ask(caller, town.row("ana"), inspect(query.encode()), dataset, "text/csv")
    return answer.rows


def test_rights_that_never_rest_are_busy(town: Inside) -> None:
    """When what the caller may read changes during every attempt, nothing is sent."""
    scene = Scene(town, "restless")
    scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>"))
    endpoint, store, ana = town.host.endpoint, town.host.store, town.row("ana").id
    views = endpoint._views

    async def change() -> None:
        restless.asked = 0
        path = f"/restless/{secrets.token_hex(4)}.acl"
        await store.append(ana, raw_append(town, path, rules(scene.owner, scene.folder, "")))

    restless = _Interrupted(views, change)
    endpoint._views = restless  # type: ignore[assignment]
    try:
        with pytest.raises(Busy):
            town.run(query_of(town, f"SELECT * {{ ?s <{scene.folder}note#says> ?o }}"))
    finally:
        endpoint._views = views
    assert town.run(query_of(town, f"SELECT * {{ ?s <{scene.folder}note#says> ?o }}")) == 1


def test_ended_queries_are_in_the_read_log(town: Inside) -> None:
    """A query that the engine refused or a limit ended has seen the pod too: it is logged, with no rows."""
    endpoint = town.host.endpoint
    numbers = " ".join(map(str, range(300)))
    product = " ".join(f"VALUES ?v{n} {{ {numbers} }}" for n in range(5))
    before = queries_logged(town)
    endpoint._seconds, seconds = 0.3, endpoint._seconds
    try:
        with pytest.raises(LimitReached):
            town.run(query_of(town, f"SELECT (COUNT(*) AS ?n) {{ {product} }}"))
        with pytest.raises(Malformed):
            town.run(query_of(town, "SELECT * { ?s ?p }"))
    finally:
        endpoint._seconds = seconds
    after = queries_logged(town)
    assert (after[0] - before[0], after[1] - before[1]) == (2, 0)
    assert town.run(query_of(town, "SELECT ?x { VALUES ?x { 1 2 3 } }")) == 3
    after = queries_logged(town)
    assert (after[0] - before[0], after[1] - before[1]) == (3, 3)


def queries_logged(town: Inside) -> tuple[int, int]:
    """How many queries of bob's the pod has logged, and how many rows they gave, once the log is on disk."""
    time.sleep(0.5)

    def logged() -> tuple[int, int]:
        with town.host.store.snapshot(town.row("ana").id) as snapshot:
            every = snapshot.readings(limit=10_000)
        mine = [each for each in every if (each.agent, each.act) == (BOB, "query")]
        return sum(each.count for each in mine), sum(each.rows or 0 for each in mine)

    found: tuple[int, int] = town.call(logged)
    return found


def test_answers_act_for_nobody(town: Inside) -> None:
    """An answer opened in a browser is not sniffed and runs nothing; each pod has a public of its own."""
    answer = town.http.get(f"{town.base}ana/.pod/sparql", params={"query": "ASK {}"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    ana, club = town.row("ana"), town.row("club")
    assert sparql._word_of(PUBLIC, ana) != sparql._word_of(PUBLIC, club)
    assert sparql._word_of(Caller(BOB), ana) == sparql._word_of(Caller(BOB), club)


def test_a_harmless_change_in_between_is_decided_again(town: Inside) -> None:
    """When the rules move and still allow the write, it is decided again and done."""
    scene = Scene(town, "harmless")
    scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>", "acl:Read, acl:Write"))
    pods, store = town.host.pods, town.host.store
    target = Target(town.row("ana"), Path("/harmless/note"))
    same = rules(scene.owner, scene.folder, allow(scene.folder, f"acl:agent <{BOB}>", "acl:Read, acl:Write"))

    def touch() -> None:
        town.run(store.append(town.row("ana").id, raw_append(town, "/harmless/.acl", same)))

    decided = between(town, touch)
    try:
        upload = Upload.of("text/turtle", b"<#it> <#says> 'again' .")
        town.run(pods.put(Caller(BOB, "x", town.base), target, upload))
    finally:
        pods._store = store
    assert decided == ["decided", "decided"]
    assert "again" in scene.ana.get(f"{scene.folder}note").text


def test_faces_agree_with_the_oracle(town: Inside) -> None:
    """Root readable and members not, the reverse, Control without Read: GET, SPARQL and listing say the same."""
    ana, owner = town.owner("ana"), town.row("ana").owner
    table = {
        "root-only": ("acl:accessTo", "acl:Read", {"": True, "m": False, ".acl": False}),
        "members-only": ("acl:default", "acl:Read", {"": False, "m": True, ".acl": False}),
        "control-only": ("acl:accessTo", "acl:Control", {"": False, "m": False, ".acl": True}),
        "both": ("acl:accessTo <{0}>; acl:default", "acl:Read", {"": True, "m": True, ".acl": False}),
    }
    bob = town.app(BOB, "bob again")
    for name, (face, mode, expected) in table.items():
        folder = f"{town.base}ana/faces/{name}/"
        ana.put(f"{folder}m", f"<#it> <#in> '{name}' .")
        grant = f"<#bob> a acl:Authorization; acl:agent <{BOB}>; {face.format(folder)} <{folder}>; acl:mode {mode} ."
        assert ana.put(f"{folder}.acl", rules(owner, folder, grant)).status_code == 201
        got = {path: bob.get(folder + path).status_code == 200 for path in expected}
        assert got == expected, name
        query = f'SELECT DISTINCT ?g {{ GRAPH ?g {{ ?s ?p ?o }} FILTER(STRSTARTS(STR(?g), "{folder}")) }}'
        graphs = {row["g"] for row in bob.rows(f"{town.base}ana/", query)}
        by_get = {folder + path for path, allowed in expected.items() if allowed}
        answer = bob.sparql(
            f"{town.base}ana/", query, union=False, headers={"Accept": "application/sparql-results+json"}
        )
        named = {binding["g"]["value"] for binding in answer.json()["results"]["bindings"]}
        assert named == by_get, name
        assert graphs <= by_get
        if expected[""]:
            assert (f"<{folder}m>" in bob.get(folder).text) == expected["m"]
