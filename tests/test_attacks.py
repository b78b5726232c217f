"""What attackers tried, one row each: it was found open once, and each refusal has its positive control beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inprocess import Inside, inside
from solid import Agent
from test_revocation import BOB, Scene, allow, rules

from pod_server.access import compile_policy
from pod_server.consent.grants import Wish
from pod_server.errors import Invalid, Malformed
from pod_server.rdf import Syntax, parse
from pod_server.terms import START, Path, acl_of
from pod_server.web.paths import member_name, normal, split_target

TURTLE = {"Content-Type": "text/turtle"}
N3_HEAD = "@prefix solid: <http://www.w3.org/ns/solid/terms#>. <> a solid:InsertDeletePatch; "


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """A host with two pods."""
    with inside(tmp_path_factory.mktemp("town")) as found:
        found.add_pod("ana")
        found.add_pod("club")
        found.call(found.host.operator.add_partner, "grid", "Grid", "grid operator")
        yield found


BAD_MEDIA_TYPES = ["x/<y>", "a b/c d", "x/y{}", "x/%zz", "nothing", "/", "x/", "text/plain; \x7f"]


@pytest.mark.parametrize("media_type", BAD_MEDIA_TYPES)
def test_a_media_type_cannot_break_a_listing(town: Inside, media_type: str) -> None:
    """A stranger's Content-Type is a media type or 400; the inbox lists, and the pod answers queries."""
    inbox = f"{town.base}ana/inbox/"
    refused = town.public.ask("POST", inbox, content=b"x", headers={"Content-Type": media_type})
    assert refused.status_code == 400
    taken = town.public.ask("POST", inbox, content=b"x", headers={"Content-Type": "application/x-y+z^q"})
    assert taken.status_code == 201
    assert town.owner("ana").get(inbox).status_code == 200
    assert town.owner("ana").sparql(f"{town.base}ana/", "ASK { ?s ?p ?o }").status_code == 200


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40))
def test_every_slug_gives_a_name_that_can_be_reached(slug: str) -> None:
    """A name made from a Slug is in normal form: what Location says is what GET finds."""
    name = member_name(slug, False, "random")
    assert normal(name) == name
    assert split_target(f"/ana/{name}".encode()) == ("ana", f"/{name}")


@pytest.mark.parametrize("slug", ["a+b.txt", "a&b", "k=v", "C++", "a\\b", "tab\there"])
def test_odd_slugs_are_reachable(town: Inside, slug: str) -> None:
    """What is created can be read and deleted where Location says."""
    ana = town.owner("ana")
    made = ana.ask("POST", f"{town.base}ana/open/", content=b"x", headers={"Content-Type": "text/plain", "Slug": slug})
    assert made.status_code == 201
    location = made.headers["location"]
    assert ana.get(location).status_code == 200
    assert ana.ask("DELETE", location).status_code == 204


@pytest.mark.parametrize("path", ["open/v1.acl/x", "open/v1.acl/", "open/.acl/", "open/x.meta/y", "open/a.acl/b/c"])
def test_nobody_occupies_the_name_of_rules(town: Inside, path: str) -> None:
    """A container cannot take the name of an auxiliary resource, so an owner can always write rules."""
    assert town.public.ask("PUT", f"{town.base}ana/{path}", content=b"", headers=TURTLE).status_code == 400
    ana = town.owner("ana")
    ana.put(f"{town.base}ana/open/v1", "<> a <#V> .")
    own = rules(town.row("ana").owner, f"{town.base}ana/open/v1", "")
    assert ana.put(f"{town.base}ana/open/v1.acl", own).status_code in (201, 204)


def test_rules_have_a_size(town: Inside) -> None:
    """Rules over 64 kB are 413, by PUT and by PATCH; smaller ones are taken."""
    ana = town.owner("ana")
    url = f"{town.base}ana/open/sized"
    ana.put(url, "<> a <#S> .")
    own = rules(town.row("ana").owner, url, "")
    assert ana.put(f"{url}.acl", own + "\n# " + "x" * 70_000).status_code == 413
    assert ana.put(f"{url}.acl", own + "\n# " + "x" * 10_000).status_code == 201


def test_large_documents_are_patched_within_the_bound(town: Inside) -> None:
    """A document over 64 kB is patched in a worker and comes back whole."""
    ana, url = town.owner("ana"), f"{town.base}ana/large"
    body = "".join(f"<#s{number}> <#p> {number} .\n" for number in range(6000))
    assert ana.put(url, body).status_code == 201
    patch = f"{N3_HEAD}solid:inserts {{ <#n> <#p> 1 }}."
    assert ana.ask("PATCH", url, content=patch, headers={"Content-Type": "text/n3"}).status_code == 204
    assert len(ana.get(url, headers={"Accept": "application/n-triples"}).text.splitlines()) == 6001


def test_hidden_looks_as_if_absent(town: Inside) -> None:
    """Where a caller would get 404 for what is not there, they get the same for what is hidden."""
    scene = Scene(town, "hidden")
    ana, folder = scene.ana, scene.folder
    scene.set_rules(allow(folder, f"acl:agent <{BOB}>"))
    asked = ["secret", "secret.meta", "hid/", "hid/s", "deep/er/x"]

    def answers() -> list[tuple[int, str]]:
        found = []
        for path in asked:
            for method in ("GET", "HEAD", "DELETE"):
                answer = scene.bob.ask(method, folder + path)
                detail = answer.json()["detail"] if answer.content else ""
                found.append((answer.status_code, detail))
        return found

    before = answers()
    assert {status for status, _ in before} == {404, 403}
    for path in ("secret", "hid/s", "deep/er/x"):
        ana.put(folder + path, "<> a <#Secret> .")
    for subject in ("secret", "hid/", "deep/"):
        assert ana.put(f"{folder}{subject}.acl", rules(scene.owner, folder + subject, "")).status_code == 201
    assert answers() == before
    assert ana.get(f"{folder}secret").status_code == 200
    assert scene.bob.get(f"{folder}note").status_code == 200


def test_a_slug_tells_nothing_to_who_may_not_list(town: Inside) -> None:
    """In an inbox that a stranger may not read, a taken name and a free one get the same kind of answer."""
    inbox = f"{town.base}ana/inbox/"
    town.owner("ana").put(f"{inbox}taken", "x", "text/plain")

    def named(slug: str) -> bool:
        headers = {"Content-Type": "text/plain", "Slug": slug}
        return bool(town.public.ask("POST", inbox, content=b"x", headers=headers).headers["location"].endswith(slug))

    assert (named("taken"), named("free")) == (False, False)
    made = town.owner("ana").ask("POST", inbox, content=b"x", headers={"Content-Type": "text/plain", "Slug": "mine"})
    assert made.headers["location"].endswith("mine")


def test_a_private_group_tells_nothing(town: Inside) -> None:
    """A group in another's pod counts only when the public or the asking pod's owner may read it."""
    scene, club = Scene(town, "oracle"), town.owner("club")
    group = f"{town.base}club/private-list"
    club.put(group, f"<#g> <http://www.w3.org/2006/vcard/ns#hasMember> <{BOB}> .")
    scene.set_rules(allow(scene.folder, f"acl:agentGroup <{group}#g>"))
    assert scene.seen() == (403, 0)
    shown = f"<#owner2> a acl:Authorization; acl:agent <{scene.owner}>; acl:accessTo <{group}>; acl:mode acl:Read ."
    assert club.put(f"{group}.acl", rules(town.row("club").owner, group, shown)).status_code == 201
    assert scene.seen() == (200, 1)


def test_a_grant_through_an_app_rests_on_this_hosts_word(town: Inside) -> None:
    """A rule for the citizen through a client also names this issuer: no other may vouch for the client."""
    owner = town.row("ana").owner
    grant = town.grant("ana", Wish(owner, "grid", "load-curve", "month", client="https://diary.example/id"))
    path = Path("/landed/grid/load-curve/month/")
    with pytest.raises(Invalid):
        town.grant("ana", Wish(owner, "grid", "load-curve", "month"))

    def compiled() -> Any:
        with town.host.store.snapshot(town.row("ana").id) as snapshot:
            entry = snapshot.entry(acl_of(path))
            assert entry is not None
            iri = f"{town.base}ana{path}"
            return compile_policy(parse(snapshot.body(entry), Syntax.TURTLE, f"{iri}.acl"), iri, path, START)

    policy = town.call(compiled)
    through = [rule for rule in policy.rules if any("https://diary.example/id" in ids for ids in rule.clients)]
    assert through
    assert all(rule.issuers == (frozenset({town.base}),) for rule in through)
    town.revoke("ana", grant)


def test_a_download_ends_where_a_revocation_meets_it(town: Inside) -> None:
    """A large body that is under way when its reader loses the right is cut; one that nobody revokes is whole."""
    scene = Scene(town, "download")
    scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>"))
    size = 40 << 20
    sent = scene.ana.ask(
        "PUT", f"{scene.folder}big", content=bytes(size), headers={"Content-Type": "application/x-big"}
    )
    assert sent.status_code == 201
    url = f"{scene.folder}big"
    taken = _slow_read(scene.bob, url, lambda: None)
    assert taken == size
    taken = _slow_read(scene.bob, url, lambda: scene.set_rules(""))
    assert taken < size


def _slow_read(agent: Agent, url: str, after_first: Any) -> int:
    """Bytes of a body that come, when something happens after its first piece."""
    taken = 0
    with httpx.Client(timeout=20) as http, http.stream("GET", url, headers=agent.headers("GET", url)) as stream:
        try:
            for piece in stream.iter_raw(65536):
                if not taken:
                    worker = threading.Thread(target=after_first)
                    worker.start()
                    worker.join()
                taken += len(piece)
        except httpx.RemoteProtocolError:
            pass  # the host cut it, which is what is counted
    return taken


def test_the_same_bytes_have_one_representation(town: Inside) -> None:
    """A document with blank nodes converts to the same bytes each time, as its strong ETag says."""
    ana, url = town.owner("ana"), f"{town.base}ana/blank"
    ana.put(url, "<#s> <#p> [ <#q> [ <#r> 1 ] ], [ <#q> 2 ] .")
    got = {(found.headers["etag"], found.content) for found in (_as_json(ana, url) for _ in range(6))}
    assert len(got) == 1


def _as_json(agent: Agent, url: str) -> httpx.Response:
    return agent.get(url, headers={"Accept": "application/ld+json"})


def test_statements_about_statements_are_refused(town: Inside) -> None:
    """RDF 1.2's triple terms are 400 at the door; the same without them is taken."""
    ana, url = town.owner("ana"), f"{town.base}ana/star"
    assert ana.put(url, "<#s> <#p> <<( <#a> <#b> <#c> )>> .").status_code == 400
    assert ana.put(url, "<#s> <#p> <#c> .").status_code == 201


def test_headers_have_a_bound(town: Inside) -> None:
    """Header lines of more than 32 kB in all are a problem; 8 kB are not."""
    url = f"{town.base}ana/profile/card"
    assert town.public.get(url, headers={"X-Pad": "x" * 40_000}).status_code in (400, 413, 431)
    assert town.public.get(url, headers={"X-Pad": "x" * 8_000}).status_code == 200


def test_registrations_have_a_pace(town: Inside) -> None:
    """Dynamic registration is open, and slow: the thirty-first within a minute is told to come back."""
    url = f"{town.base}.host/oidc/register"
    statuses = [
        town.http.post(url, json={"redirect_uris": ["https://app.example/back"]}).status_code for _ in range(32)
    ]
    assert statuses[0] == 201
    assert statuses[-1] == 503


def test_a_conditional_patch_is_a_read(town: Inside) -> None:
    """A patch with a condition is in the log of reads, and its two ways not to fit say the same."""
    scene = Scene(town, "asking")
    scene.set_rules(allow(scene.folder, f"acl:agent <{BOB}>", "acl:Read, acl:Write"))
    true, false = "solid:where { ?x <#says> 'hello' }", "solid:where { ?x <#says> 'bye' }"

    def said(where: str) -> str:
        body = f"{N3_HEAD}{where}; solid:deletes {{ <#never> <#there> 1 }}."
        answer = scene.bob.ask("PATCH", f"{scene.folder}note", content=body, headers={"Content-Type": "text/n3"})
        assert answer.status_code == 409
        return str(answer.json()["detail"])

    assert said(true) == said(false)
    time.sleep(0.5)

    def reads() -> int:
        with town.host.store.snapshot(town.row("ana").id) as snapshot:
            return sum(each.count for each in snapshot.readings(limit=10_000) if each.target == "/asking/note")

    assert town.call(reads) >= 2


BAD_TARGETS = [b"/ana/x.acl/y", b"/ana/.meta/y"]


@pytest.mark.parametrize("target", BAD_TARGETS)
def test_auxiliary_names_hold_nothing(target: bytes) -> None:
    """The path itself is refused."""
    with pytest.raises(Malformed):
        split_target(target)
    assert split_target(b"/ana/x.acl") == ("ana", "/x.acl")
