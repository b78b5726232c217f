"""Pod resources over real HTTP: what goes in comes out, and each method does what the Solid Protocol says."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
from typing import Any

import httpx
import pytest
from solid import Agent, TestHost

TURTLE = "text/turtle"
N3 = "@prefix solid: <http://www.w3.org/ns/solid/terms#>. <> a solid:InsertDeletePatch; "


@pytest.fixture(scope="module")
def ana(host: TestHost) -> Agent:
    """The owner of the pod alice, with a script's credentials."""
    return host.agent("alice")


@pytest.fixture(scope="module")
def root(host: TestHost) -> str:
    """The pod alice."""
    return host.pod("alice")


EXACT = {
    "turtle with comments, prefixes and accents": (
        TURTLE,
        '# première ligne\r\n@prefix é: <#> .\n<> é:à "007" .\n'.encode(),
    ),
    "turtle of many kilobytes": (TURTLE, b"".join(b'<#s%d> <#p> "%d" .\n' % (n, n) for n in range(9000))),
    "json-ld as written": ("application/ld+json", b'{ "@id": "",\n "http://e.org/p" : [1, 1.0, "007"] }'),
    "n-triples": ("application/n-triples", b'<http://e.org/s> <http://e.org/p> "\\u00e9" .'),
    "trig with graphs": ("application/trig", b"<#g> { <#s> <#p> 1 }"),
    "rdf/xml": (
        "application/rdf+xml",
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""/></rdf:RDF>',
    ),
    "binary": ("image/png", bytes(range(256)) * 3),
    "empty": ("text/plain", b""),
    "media type parameters": ("text/plain; charset=iso-8859-1", "é".encode("latin-1")),
}


@pytest.mark.parametrize("case", EXACT)
def test_exact_bytes_come_back(ana: Agent, root: str, case: str) -> None:
    """A resource is its bytes: what was PUT is what GET returns, with its media type and length."""
    media_type, body = EXACT[case]
    url = f"{root}exact/{abs(hash(case))}"
    assert ana.put(url, body, media_type).status_code == 201
    found = ana.get(url)
    assert (found.content, found.headers["content-type"]) == (body, media_type)
    assert found.headers["content-length"] == str(len(body))
    head = ana.ask("HEAD", url)
    assert head.headers["etag"] == found.headers["etag"]
    assert head.headers["content-length"] == str(len(body))
    assert head.content == b""


def test_large_binaries_stream_both_ways(ana: Agent, root: str) -> None:
    """Forty megabytes go up in pieces and come down whole, in a file of the pod's own."""
    piece = os.urandom(1 << 20)

    def pieces() -> Any:
        yield from (piece for _ in range(40))

    url = f"{root}big.bin"
    answer = ana.ask("PUT", url, content=pieces(), headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 201
    digest, size = hashlib.sha256(), 0
    with ana.http.stream("GET", url, headers=ana.headers("GET", url)) as stream:
        for received in stream.iter_bytes():
            digest.update(received)
            size += len(received)
    assert size == 40 << 20
    assert digest.digest() == hashlib.sha256(piece * 40).digest()
    assert ana.ask("DELETE", url).status_code == 204


FORMATS = {
    "application/ld+json": "application/ld+json",
    "application/n-triples": "application/n-triples",
    "text/turtle;q=0.2, application/ld+json;q=0.9": "application/ld+json",
    "*/*": TURTLE,
    "text/*": TURTLE,
    "application/ld+json, text/turtle": TURTLE,
}


@pytest.mark.parametrize("accept", FORMATS)
def test_negotiation(ana: Agent, root: str, accept: str) -> None:
    """RDF comes in the syntax that is asked for (Solid Protocol, section 5.5); as stored when that is as good."""
    url = f"{root}formats/{abs(hash(accept))}"
    ana.put(url, "<#s> <#p> 1, 2 .")
    found = ana.get(url, headers={"Accept": accept})
    assert found.headers["content-type"] == FORMATS[accept]
    assert "Accept" in found.headers["vary"]


def test_json_ld_comes_back_as_turtle(ana: Agent, root: str) -> None:
    """JSON-LD in, Turtle out; what cannot be given is 406 with what can."""
    url = f"{root}ld"
    ana.put(url, b'{"@id": "", "http://e.org/p": "x"}', "application/ld+json")
    assert '"x"' in ana.get(url, headers={"Accept": TURTLE}).text
    refused = ana.get(url, headers={"Accept": "image/png"})
    assert refused.status_code == 406
    assert TURTLE in refused.json()["available"]
    assert ana.put(f"{root}pic", b"x", "image/png").status_code == 201
    assert ana.get(f"{root}pic", headers={"Accept": "text/turtle"}).status_code == 406
    assert ana.get(f"{root}pic", headers={"Accept": "image/*"}).status_code == 200


def test_etags_and_conditions(ana: Agent, root: str) -> None:
    """If-Match and If-None-Match decide as RFC 9110 section 13 says, on each method."""
    url = f"{root}conditions"
    first = ana.put(url, "<> <#v> 1 .", If_None_Match="*")
    assert first.status_code == 201
    assert ana.put(url, "<> <#v> 2 .", If_None_Match="*").status_code == 412
    tag = ana.get(url).headers["etag"]
    assert tag == first.headers["etag"]
    assert ana.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert ana.put(url, "<> <#v> 2 .", If_Match=tag).status_code == 204
    assert ana.put(url, "<> <#v> 3 .", If_Match=tag).status_code == 412
    assert ana.ask("DELETE", url, headers={"If-Match": tag}).status_code == 412
    patch = N3 + "solid:inserts { <> <#w> 1 }."
    stale = ana.ask("PATCH", url, content=patch, headers={"Content-Type": "text/n3", "If-Match": tag})
    assert stale.status_code == 412
    as_json = ana.get(url, headers={"Accept": "application/ld+json"}).headers["etag"]
    assert as_json != ana.get(url).headers["etag"]
    assert ana.put(url, "<> <#v> 4 .", If_Match=as_json).status_code == 204
    assert ana.ask("DELETE", url, headers={"If-Match": "*"}).status_code == 204
    assert ana.put(url, "<> <#v> 5 .", If_Match="*").status_code == 412


def test_containers(ana: Agent, root: str) -> None:
    """Containers are made on the way, list their members, and go only when empty."""
    assert ana.put(f"{root}c/d/e", "<> a <#E> .").status_code == 201
    listing = ana.get(f"{root}c/").text
    assert "BasicContainer" in listing
    assert f"<{root}c/d/>" in listing
    assert ana.ask("DELETE", f"{root}c/").status_code == 409
    assert ana.put(f"{root}c/d/", b"").status_code == 204
    assert ana.put(f"{root}c", "<> a <#C> .").status_code == 409
    assert ana.put(f"{root}c/d/e/f", "<> a <#F> .").status_code == 409
    assert ana.put(f"{root}c/", f"<> <http://www.w3.org/ns/ldp#contains> <{root}c/x> .").status_code == 409
    for path in ("c/d/e", "c/d/", "c/"):
        assert ana.ask("DELETE", root + path).status_code == 204
        assert ana.get(root + path).status_code == 404


def test_post_names_members(ana: Agent, root: str) -> None:
    """POST takes the Slug where it is free and allowed, else a name of the server's own."""
    ana.put(f"{root}posts/", b"")

    def post(slug: str | None, link: str | None = None) -> httpx.Response:
        headers = {"Content-Type": TURTLE}
        headers |= {"Slug": slug} if slug is not None else {}
        headers |= {"Link": link} if link else {}
        return ana.ask("POST", f"{root}posts/", content=b"" if link else b"<> a <#P> .", headers=headers)

    assert post("one").headers["location"] == f"{root}posts/one"
    second = post("one").headers["location"]
    assert second not in (f"{root}posts/one", f"{root}posts/")
    for slug in ("x.acl", ".meta", "../../up", "", None):
        location = post(slug).headers["location"]
        assert location.startswith(f"{root}posts/")
        assert "/" not in location.removeprefix(f"{root}posts/")
        assert not location.endswith((".acl", ".meta"))
    container = post("box", '<http://www.w3.org/ns/ldp#BasicContainer>; rel="type"')
    assert container.headers["location"] == f"{root}posts/box/"
    assert ana.ask("POST", f"{root}none/", content=b"", headers={"Content-Type": TURTLE}).status_code == 404
    assert ana.ask("POST", f"{root}posts/one", content=b"", headers={"Content-Type": TURTLE}).status_code == 405


def test_patches(ana: Agent, root: str) -> None:
    """N3 Patch inserts and deletes, creates what is missing, and refuses what does not hold (409)."""
    url = f"{root}patched"

    def patch(text: str, media_type: str = "text/n3") -> int:
        return ana.ask("PATCH", url, content=text, headers={"Content-Type": media_type}).status_code

    assert patch(N3 + 'solid:inserts { <#s> <#p> "007" }.') == 201
    assert patch(N3 + 'solid:inserts { <#s> <#p> "é" }; solid:deletes { <#s> <#p> "007" }.') == 204
    assert '"é"' in ana.get(url).text
    assert patch(N3 + 'solid:deletes { <#s> <#p> "007" }.') == 409
    assert patch(N3 + "solid:where { ?s <#none> ?o }; solid:deletes { ?s <#none> ?o }.") == 409
    assert patch("this is no n3") == 400
    assert patch("<> a <#Nothing> .") == 422
    assert patch("INSERT DATA { <#s> <#q> 1 }", "application/sparql-update") == 204
    assert patch("{}", "application/json") == 415
    assert ana.ask("PATCH", url, content=b"x").status_code == 400


def test_protected_things(ana: Agent, root: str) -> None:
    """The root, its rules and the owner's Control over it stay (405, 409)."""
    assert ana.ask("DELETE", root).status_code == 405
    assert ana.ask("DELETE", f"{root}.acl").status_code == 405
    rules = ana.get(f"{root}.acl").text
    assert ana.put(f"{root}.acl", "# nothing left").status_code == 409
    locked = rules.replace("acl:Control", "acl:Append")
    assert ana.put(f"{root}.acl", locked).status_code == 409
    assert ana.put(f"{root}.acl", "<#broken> a").status_code == 400
    assert ana.get(f"{root}.acl").text == rules
    assert ana.put(f"{root}.acl", rules).status_code == 204
    assert ana.put(f"{root}nothing.acl", rules).status_code == 409
    assert ana.put(f"{root}.acl.acl", rules).status_code in (403, 409)
    assert ana.put(f"{root}x.acl", b"png", "image/png").status_code == 415


def test_who_may(host: TestHost, ana: Agent, root: str) -> None:
    """Anonymous is 401 with a challenge, somebody else 403, and neither learns what exists."""
    url = f"{root}private/note"
    ana.put(url, "<> a <#Secret> .")
    bob = host.agent("bob")
    for path in ("private/note", "private/none", "private/", "none/"):
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            headers = {"Content-Type": "text/n3" if method == "PATCH" else TURTLE}
            refused = host.public.ask(method, root + path, headers=headers)
            assert refused.status_code == 401, (method, path)
            assert "DPoP" in refused.headers["www-authenticate"]
            assert bob.ask(method, root + path, headers=headers).status_code == 403, (method, path)
    known, unknown = bob.get(url), bob.get(f"{root}private/none")
    assert {name for name in known.headers if name != "x-request-id"} == {
        name for name in unknown.headers if name != "x-request-id"
    }
    assert {**known.json(), "request": 0} == {**unknown.json(), "request": 0}
    assert ana.get(url).status_code == 200


def test_what_headers_say(host: TestHost, ana: Agent, root: str) -> None:
    """A client finds its way by Link, Allow, WAC-Allow and the CORS lines."""
    found = ana.get(root, headers={"Origin": "https://app.example"})
    links = found.headers["link"]
    for relation in ('rel="acl"', 'pim/space#Storage>; rel="type"', "storageDescription", "sparql#endpoint"):
        assert relation in links
    assert found.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-credentials" not in found.headers
    assert "WAC-Allow" in found.headers["access-control-expose-headers"]
    assert found.headers["wac-allow"] == 'user="read append write control",public=""'
    refused = host.public.get(root, headers={"Origin": "https://app.example"})
    assert refused.headers["access-control-allow-origin"] == "https://app.example"
    preflight = host.public.ask(
        "OPTIONS",
        root,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization, dpop",
        },
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-headers"] == "authorization, dpop"
    assert "PUT" in preflight.headers["access-control-allow-methods"]
    profile = host.public.get(f"{root}profile/card").text
    assert "solid:oidcIssuer" in profile
    assert "pim:storage" in profile
    assert host.public.get(root.rstrip("/")).status_code == 308


ACTIVE = ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/javascript"]


@pytest.mark.parametrize("media_type", ACTIVE)
def test_content_never_acts_as_the_host(ana: Agent, root: str, media_type: str) -> None:
    """Active types come sandboxed, unsniffed and as attachments; a picture comes without the attachment."""
    url = f"{root}active/{media_type.replace('/', '-')}"
    ana.put(url, b"<svg onload='x'/>", media_type)
    found = ana.get(url)
    assert "sandbox" in found.headers["content-security-policy"]
    assert found.headers["x-content-type-options"] == "nosniff"
    assert found.headers["content-disposition"] == "attachment"
    ana.put(f"{root}active/pic", b"x", "image/png")
    assert "content-disposition" not in ana.get(f"{root}active/pic").headers


REFUSED_PATHS = [
    *("a%00b", "a%2Fb", "a%5Cb", "%", "%zz", "%ff", "a//b", "%2e%2e/x", "a/%2e/b"),
    *("x" * 3000, "/".join("y" * 80)),
]
SPELLINGS = {
    "caf%C3%A9": "caf%c3%a9",
    "Abc": "%41bc",
    "a%20b": "a%20b",
    "a+b": "a+b",
    "a;b=c": "a;b=c",
    "$": "$",
    "~user": "%7Euser",
    "dots..in.it": "dots..in.it",
}


@pytest.mark.parametrize("path", REFUSED_PATHS, ids=lambda path: path[:20])
def test_paths_that_are_none(ana: Agent, root: str, path: str) -> None:
    """Encoded slashes, control characters, dot and empty segments, bad escapes and endless paths are 400."""
    assert _raw_put(ana, root, path) == 400


@pytest.mark.parametrize("path", SPELLINGS)
def test_one_name_is_one_resource(ana: Agent, root: str, path: str) -> None:
    """However it is escaped, a path is one resource: created once, replaced by its other spelling."""
    assert _raw_put(ana, root, path) == 201
    assert _raw_put(ana, root, SPELLINGS[path]) == 204


def _raw_put(ana: Agent, root: str, path: str) -> int:
    """PUT with the path exactly as given: client libraries would tidy it."""
    port = httpx.URL(root).port or 80
    raw = f"/alice/odd/{path}"
    url = f"http://localhost:{port}{raw}"
    connection = http.client.HTTPConnection("localhost", port, timeout=20)
    headers = ana.headers("PUT", url) | {"Content-Type": TURTLE}
    connection.putrequest("PUT", raw, skip_host=False)
    for name, value in {**headers, "Content-Length": "12"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"<> a <#Odd>.")
    status = connection.getresponse().status
    connection.close()
    return status


BAD_WRITES: dict[str, tuple[dict[str, str], bytes, int]] = {
    "a body without a media type": ({}, b"x", 400),
    "a compressed body": ({"Content-Type": TURTLE, "Content-Encoding": "gzip"}, b"x", 415),
    "turtle that does not parse": ({"Content-Type": TURTLE}, b"<> a ", 400),
    "turtle that is not utf-8": ({"Content-Type": TURTLE}, b"<> <#p> \"\xff\" .", 400),
    "json-ld that is not json": ({"Content-Type": "application/ld+json"}, b"{", 400),
    "json-ld with a context elsewhere": (
        {"Content-Type": "application/ld+json"}, b'{"@context": "https://example.org/c", "a": 1}', 400,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_WRITES)
def test_bad_input_changes_nothing(ana: Agent, root: str, case: str) -> None:
    """Each fault is a problem document, and what was there stays as it was."""
    headers, body, status = BAD_WRITES[case]
    url = f"{root}faulty"
    ana.put(url, "<> <#kept> true .")
    refused = ana.ask("PUT", url, content=body, headers=headers)
    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    problem = refused.json()
    assert problem["type"].endswith(("malformed", "unsupported-format"))
    assert problem["request"] == refused.headers["x-request-id"]
    assert ana.get(url).text == "<> <#kept> true ."


def test_a_thousand_writers_of_one_etag(host: TestHost, ana: Agent, root: str) -> None:
    """Of 1,000 concurrent PUTs on one ETag one succeeds and 999 get 412 (battery R03)."""
    url = f"{root}contended"
    ana.put(url, "<> <#n> 0 .")
    tag = ana.get(url).headers["etag"]

    async def one(http: httpx.AsyncClient, number: int) -> int:
        headers = {**ana.headers("PUT", url), "Content-Type": TURTLE, "If-Match": tag}
        answer = await http.put(url, content=f"<> <#n> {number} .", headers=headers)
        return answer.status_code

    async def all_of_them() -> list[int]:
        limits = httpx.Limits(max_connections=256)
        async with httpx.AsyncClient(limits=limits, timeout=60) as http:
            return await asyncio.gather(*(one(http, number) for number in range(1, 1001)))

    statuses = asyncio.run(all_of_them())
    assert statuses.count(204) == 1
    assert statuses.count(412) == 999
    assert ana.get(url).text == f"<> <#n> {statuses.index(204) + 1} ."


def test_two_hundred_patches_all_hold(ana: Agent, root: str) -> None:
    """200 concurrent N3 patches of one document are all in it afterwards (battery R04)."""
    url = f"{root}many-patches"

    async def one(http: httpx.AsyncClient, number: int) -> int:
        body = N3 + f"solid:inserts {{ <#s> <#p> {number} }}."
        answer = await http.patch(url, content=body, headers={**ana.headers("PATCH", url), "Content-Type": "text/n3"})
        return answer.status_code

    async def all_of_them() -> list[int]:
        async with httpx.AsyncClient(timeout=60) as http:
            return await asyncio.gather(*(one(http, number) for number in range(200)))

    assert set(asyncio.run(all_of_them())) <= {201, 204}
    listed = ana.get(url, headers={"Accept": "application/n-triples"}).text
    assert len(listed.splitlines()) == 200
