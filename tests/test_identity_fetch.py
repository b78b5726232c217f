"""The one way out: nothing private is ever reached, in whatever spelling, and what is allowed is."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpcore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from identity_network import Canary, Map, answer, certificates

from pod_server.errors import Busy, Invalid, LimitReached, Missing, PodError, TooLarge, UnsupportedFormat
from pod_server.identity import Fetch
from pod_server.identity.addresses import is_public, literal

PUBLIC_V4, PUBLIC_V6 = "93.184.216.34", "2606:2800:220:1::1"
TYPE = "text/plain"


def names(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives the same addresses for every name."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def by_turns(*turns: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that rebinds: another address each time it is asked."""
    waiting = list(turns)

    async def resolve(host: str, port: int) -> Sequence[str]:
        return [waiting.pop(0)]

    return resolve


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Certificates for the example names."""
    return certificates(tmp_path_factory.mktemp("tls"))


HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "127.0.0.1.", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.1",
    "0x7F.0.0.1", "017700000001", "0177.0.0.1", "0177.0.0.0x1", "00127.0.0.1", "127.0.0.01", "0", "0.0.0.0",
    "0x", "localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "pods.localhost", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1]",
    "[fe80::1%25lo]", "[fc00::1]", "[fd00::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[3fff::1]", "192.0.0.9",
    "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.88.99.1", "198.18.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "１２７.0.0.1", "127。0。0。1", "ⓛocalhost", "ana@127.0.0.1",
    "ana:pw@127.0.0.1", "good.example@127.0.0.1", "127.0.0.1\\@good.example", "good.example\\@127.0.0.1",
    " 127.0.0.1", "127.0.0.1\t", "", "-x.example", "a..b", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_spelling_of_a_private_host_is_reached(scheme: str) -> None:
    """About 130 URLs, by the system's own resolver: all refused before a connection, none reaches the canary."""

    async def run() -> tuple[int, list[str]]:
        async with Canary().listening() as canary:
            fetch, kinds = Fetch(deadline=2.0), []
            for host in HOSTS:
                with pytest.raises(PodError) as refusal:
                    await fetch.get(f"{scheme}://{host}:{canary.port}/", TYPE)
                kinds.append(refusal.value.kind)
            return canary.connections, kinds

    hits, kinds = asyncio.run(run())
    assert hits == 0
    # a name that the resolver of this machine does not know is missing, everything else is refused
    assert kinds.count("invalid") >= len(HOSTS) - 4
    assert set(kinds) <= {"invalid", "missing"}


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://good.example/", "gopher://good.example/", "data:text/turtle,", "//good.example/",
     "good.example", "", "https://", "https:///x", "https://good.example:99999/", "https://good.example:0/",
     "https://good.example:x/", "https://[::1/", "https://good.example/a b", "https://good.example/\r\nX: y",
     "https://good.example/" + "x" * 5000, "javascript:alert(1)", "http://good.example/"],
)  # fmt: skip
def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    """Refused before anything is resolved or dialled."""
    network = Map(1)
    with pytest.raises(Invalid):
        asyncio.run(Fetch(resolve=names(PUBLIC_V4), network=network).get(url, TYPE))
    assert network.dialled == []


@pytest.mark.parametrize("private", ["127.0.0.1", "10.1.2.3", "::1", "::ffff:127.0.0.1", "fe80::1%lo", "100.100.0.1"])
@pytest.mark.parametrize("beside", [(), (PUBLIC_V4,)])
def test_a_name_with_any_private_address_is_refused(private: str, beside: tuple[str, ...]) -> None:
    """A resolver's answer that holds one private address is refused as a whole."""
    network = Map(1)
    with pytest.raises(Invalid, match="public addresses"):
        asyncio.run(Fetch(resolve=names(*beside, private), network=network).get("https://good.example/", TYPE))
    assert network.dialled == []


def secure(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    canary: Canary,
    resolve: Callable[[str, int], Awaitable[Sequence[str]]],
    url: str = "https://good.example/",
) -> tuple[object, list[str]]:
    """A fetch over true TLS in a network whose public addresses end at the canary: outcome, addresses dialled."""

    async def run() -> tuple[object, list[str]]:
        async with canary.listening(tls=tls[0]):
            network = Map(canary.port)
            try:
                found = await Fetch(resolve=resolve, network=network, tls=tls[1], deadline=2.0).get(url, TYPE)
            except PodError as refusal:
                return refusal, network.dialled
            return found, network.dialled

    return asyncio.run(run())


@pytest.mark.parametrize("address", [PUBLIC_V4, PUBLIC_V6, "64:ff9b::5db8:d822"])
def test_public_https_is_reached_at_the_checked_address(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], address: str
) -> None:
    """The control: a public host is fetched, dialled by its address, asked by its name, nothing else said."""
    canary = Canary()
    found, dialled = secure(tls, canary, names(address), "https://GOOD.example/a%20b/é?q=1#me")
    assert (found.media_type, found.body) == ("text/plain", b"hello")  # type: ignore[attr-defined]
    assert found.url == "https://GOOD.example/a%20b/é?q=1"  # type: ignore[attr-defined]
    assert dialled == [address]
    head = canary.requests[0].lower()
    assert head.startswith("get /a%20b/%c3%a9?q=1 http/1.1\r\n")
    assert "\r\nhost: good.example\r\n" in head
    assert "\r\naccept-encoding: identity\r\n" in head
    assert "cookie" not in head
    assert "authorization" not in head


def test_certificate_must_be_of_the_host(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """TLS is verified against the name, and nothing is asked when it does not fit."""
    canary = Canary()
    refusal, _ = secure(tls, canary, names(PUBLIC_V4), "https://other.example/")
    assert isinstance(refusal, Missing)
    assert canary.requests == []


def test_unknown_certificate_is_refused_by_default(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """Without another word only the usual authorities are trusted."""

    async def run() -> list[str]:
        async with Canary().listening(tls=tls[0]) as canary:
            fetch = Fetch(resolve=names(PUBLIC_V4), network=Map(canary.port))
            with pytest.raises(Missing):
                await fetch.get("https://good.example/", TYPE)
            return canary.requests

    assert asyncio.run(run()) == []


def test_rebinding_finds_the_first_address_pinned(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A name is resolved once for each hop: what it says the second time is never dialled."""
    found, dialled = secure(tls, Canary(), by_turns(PUBLIC_V4, "127.0.0.1"))
    assert found.body == b"hello"  # type: ignore[attr-defined]
    assert dialled == [PUBLIC_V4]


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("https://127.0.0.1/", Invalid),
        ("https://[::1]/", Invalid),
        ("http://good.example/", Invalid),
        ("file:///etc/passwd", Invalid),
        ("//ana@evil.example/", Invalid),
        ("https://[::1/", Invalid),
        ("/again", Missing),
        ("", Missing),
    ],
)
def test_bad_redirects_are_refused(
    tls: tuple[ssl.SSLContext, ssl.SSLContext], location: str, kind: type[PodError]
) -> None:
    """Each hop is checked anew, and there are at most three."""
    again = answer(b"", f"Location: {location}", status="302 Found")
    canary = Canary({"/": again, "/again": again})
    refusal, dialled = secure(tls, canary, names(PUBLIC_V4))
    assert type(refusal) is kind
    assert set(dialled) == {PUBLIC_V4}
    assert len(dialled) == len(canary.requests) == (1 if kind is Invalid else 4)


def test_redirect_to_a_name_that_lies_on_loopback_is_refused(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """The address is checked on each hop, after resolving."""
    canary = Canary({"/": answer(b"", "Location: https://evil.example/", status="307 Temporary Redirect")})
    refusal, dialled = secure(tls, canary, by_turns(PUBLIC_V4, "127.0.0.1"))
    assert isinstance(refusal, Invalid)
    assert dialled == [PUBLIC_V4]
    assert len(canary.requests) == 1


def test_good_redirect_is_followed(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """The control: three hops to public hosts are followed, and the last URL is told."""
    hops = {
        "/": answer(b"", "Location: /1", status="301 Moved Permanently"),
        "/1": answer(b"", "Location: https://evil.example/2", status="303 See Other"),
        "/2": answer(b"", "Location: 3", status="308 Permanent Redirect"),
    }
    found, dialled = secure(tls, Canary(hops), names(PUBLIC_V4))
    assert found.url == "https://evil.example/3"  # type: ignore[attr-defined]
    assert dialled == [PUBLIC_V4] * 4


async def drip(writer: asyncio.StreamWriter) -> None:
    """A body of a byte now and then, without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(200):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_head(writer: asyncio.StreamWriter) -> None:
    """Headers without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(200):
        writer.write(f"X-{number}: y\r\n".encode())
        await writer.drain()
        await asyncio.sleep(0.02)


async def endless(writer: asyncio.StreamWriter) -> None:
    """A body without a length and without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x" * 4096)
        await writer.drain()


BIG = b"x" * 300_000
PAGES = {
    "/big": answer(BIG),
    "/big-chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n493e0\r\n" + BIG + b"\r\n0\r\n\r\n",
    "/endless": endless,
    "/long": b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
    "/liar": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999999\r\n\r\n",
    "/fits": answer(b"x" * 262_144),
    "/drip": drip,
    "/drip-head": drip_head,
    "/gzip": answer(b"\x1f\x8b", "Content-Encoding: gzip"),
    "/none": answer(b"", status="404 Not Found"),
    "/partial": answer(b"x", status="206 Partial Content"),
    "/error": answer(b"", status="500 Oops"),
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "/not-http": b"SSH-2.0-x\r\n\r\n",
    "/silent": b"",
    "/located": answer(b"hello", "Location: /none"),
    "/nowhere": answer(b"", status="302 Found"),
    "/sets": answer(b"", "Location: /ok", "Set-Cookie: a=b", status="302 Found"),
}


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("/big", TooLarge),
        ("/big-chunked", TooLarge),
        ("/endless", TooLarge),
        ("/long", TooLarge),
        ("/liar", Missing),
        ("/fits", 262_144),
        ("/drip", LimitReached),
        ("/drip-head", LimitReached),
        ("/gzip", UnsupportedFormat),
        ("/none", Missing),
        ("/partial", Missing),
        ("/error", Missing),
        ("/cut", Missing),
        ("/not-http", Missing),
        ("/silent", Missing),
        ("/sets", 5),
        ("/ok", 5),
        ("", 5),
        ("/located", 5),
        ("/nowhere", Missing),
    ],
)
def test_answers_are_bounded_in_time_and_size(path: str, outcome: type[PodError] | int) -> None:
    """On an allowed loopback: too large, too slow, compressed or broken answers are refused, good ones are not."""

    async def run() -> tuple[object, Canary]:
        async with Canary(dict(PAGES)).listening() as canary:
            fetch = Fetch(allow_loopback=True, deadline=0.5)
            try:
                return await fetch.get(f"http://127.0.0.1:{canary.port}{path}", TYPE), canary
            except PodError as refusal:
                return refusal, canary

    found, canary = asyncio.run(run())
    if isinstance(outcome, int):
        assert len(found.body) == outcome  # type: ignore[attr-defined]
    else:
        assert type(found) is outcome
    assert canary.requests
    assert not any("cookie" in head.lower() for head in canary.requests)


def test_development_reaches_loopback_and_nothing_else_private(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the operator's leave http and loopback are reached, by name too; a proxy of the environment is not."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def run() -> int:
        async with Canary().listening() as canary:
            fetch = Fetch(allow_loopback=True, deadline=2.0, resolve=names("127.0.0.1"))
            for host in ("127.0.0.1", "localhost", "LOCALHOST."):
                assert (await fetch.get(f"http://{host}:{canary.port}/", TYPE)).body == b"hello"
            network = Map(canary.port)
            for address in ("10.0.0.1", "169.254.169.254", "0.0.0.0", "fe80::1", "192.168.0.1", PUBLIC_V4):
                private = Fetch(allow_loopback=True, resolve=names(address), network=network)
                with pytest.raises(Invalid):
                    await private.get(f"http://good.example:{canary.port}/", TYPE)
            assert network.dialled == []
            for url in (f"http://0x7f.1:{canary.port}/", f"ftp://127.0.0.1:{canary.port}/"):
                with pytest.raises(Invalid):
                    await fetch.get(url, TYPE)
            return canary.connections

    assert asyncio.run(run()) == 3


def test_pinned_between_two_loopback_addresses() -> None:
    """Two canaries on two addresses and one port: only the address that was checked is reached."""

    async def run() -> tuple[int, int]:
        first, second = Canary(), Canary()
        async with first.listening("127.0.0.1"):
            second.port = first.port
            async with second.listening("127.0.0.2"):
                fetch = Fetch(allow_loopback=True, resolve=by_turns("127.0.0.2", "127.0.0.1"))
                await fetch.get(f"http://good.example:{first.port}/", TYPE)
        return first.connections, second.connections

    assert asyncio.run(run()) == (0, 1)


def test_too_many_at_once_is_busy() -> None:
    """No queue forms behind slow hosts; a finished fetch makes room."""

    async def run() -> None:
        async with Canary(dict(PAGES)).listening() as canary:
            fetch = Fetch(allow_loopback=True, deadline=0.5, concurrent=1)
            slow = asyncio.create_task(fetch.get(f"http://127.0.0.1:{canary.port}/drip", TYPE))
            await canary.reached.wait()
            with pytest.raises(Busy):
                await fetch.get(f"http://127.0.0.1:{canary.port}/ok", TYPE)
            with pytest.raises(LimitReached):
                await slow
            assert (await fetch.get(f"http://127.0.0.1:{canary.port}/ok", TYPE)).body == b"hello"

    asyncio.run(run())


def test_unknown_name_is_missing() -> None:
    """A resolver without an answer is told as missing, an empty answer is refused."""

    async def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("unknown")

    with pytest.raises(Missing):
        asyncio.run(Fetch(resolve=unknown).get("https://good.example/", TYPE))
    with pytest.raises(Invalid):
        asyncio.run(Fetch(resolve=names()).get("https://good.example/", TYPE))


@given(st.ip_addresses())
@settings(max_examples=500, derandomize=True)
def test_public_is_never_wider_than_the_registry(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Whatever is taken as public is global in IANA's registry, or translates to such an address."""
    if is_public(address) and not str(address).startswith("64:ff9b::"):
        assert address.is_global
        assert not address.is_private


@pytest.mark.parametrize("address", [PUBLIC_V4, "1.1.1.1", "2a00:1450::1", "64:ff9b::101:101"])
def test_public_addresses_are_public(address: str) -> None:
    """The control of the table above."""
    assert is_public(ipaddress.ip_address(address))


@given(st.from_regex(r"[0-9a-fx.:%\[\]a-z-]{0,30}", fullmatch=True))
@settings(max_examples=300, derandomize=True)
def test_a_host_is_an_address_a_name_or_refused(host: str) -> None:
    """No host is taken as a name that a resolver would read as an address."""
    try:
        address = literal(host)
    except ValueError:
        return
    last = host.removesuffix(".").rpartition(".")[2]
    assert address is not None or not (last.isdigit() or (last.startswith("0x") and last[2:].isdigit()))


def test_next_address_is_tried(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """A host whose first address does not answer is reached at its second; one without any answer is missing."""

    class Deaf(Map):
        async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
            if ":" in host:
                self.dialled.append(host)
                raise httpcore.ConnectError("no route")
            return await super().connect_tcp(host, port, *args, **options)

    async def run() -> list[str]:
        async with Canary().listening(tls=tls[0]) as canary:
            network = Deaf(canary.port)
            both = Fetch(resolve=names(PUBLIC_V6, PUBLIC_V4), network=network, tls=tls[1])
            assert (await both.get("https://good.example/", TYPE)).body == b"hello"
            with pytest.raises(Missing):
                await Fetch(resolve=names(PUBLIC_V6), network=network).get("https://good.example/", TYPE)
            return network.dialled

    assert asyncio.run(run()) == [PUBLIC_V6, PUBLIC_V4, PUBLIC_V6]
