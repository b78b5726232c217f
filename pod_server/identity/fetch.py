"""The one guarded way out of the host to the network.

Called by external.py (issuers, keys, WebIDs) and by whoever else must read a
remote document.  https and public addresses only: the address is checked after
resolving, and the connection goes to that very address, anew on each redirect.
No cookies, no proxies, no credentials, no compression, nothing of the
environment.  It must never be asked for what this host itself serves.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import httpcore
import httpx

from pod_server.errors import Busy, Invalid, LimitReached, Missing, TooLarge, UnsupportedFormat
from pod_server.identity.addresses import Address, is_public, literal

MAX_BODY: Final = 256 * 1024
MAX_REDIRECTS: Final = 3
MAX_URL: Final = 4096
_HEADERS: Final = (("Accept-Encoding", "identity"), ("Connection", "close"), ("User-Agent", "pod-server"))
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_UNREACHABLE: Final = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError)
_SocketOptions = Iterable[tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host name and a port to the addresses it has now, as texts; raises OSError when there are none."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document from elsewhere; url: after redirects, media_type: without parameters, "" when not said."""

    url: str
    media_type: str
    body: bytes


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses that the system's resolver gives."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Fetch:
    """Reads remote documents.

    allow_loopback: for development, also http and https to this machine
    itself, and still nothing else that is private.  deadline: seconds for
    everything, redirects included.  network, tls: what connects and which
    certificates are trusted, the real ones when None.
    """

    def __init__(  # noqa: PLR0913 - one positional, the rest by name
        self,
        allow_loopback: bool = False,
        *,
        resolve: Resolve = system_resolve,
        deadline: float = 5.0,
        concurrent: int = 32,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolve = resolve
        self._deadline = deadline
        self._free = concurrent
        self._network = network or httpcore.AnyIOBackend()
        self._tls = tls or httpx.create_ssl_context(trust_env=False)

    async def get(self, url: str, accept: str) -> Fetched:
        """The document at a URL (200 only), at most 256 kB, at most 3 redirects.

        Raises Invalid (a URL or an address that is not spoken to), Missing (no
        answer, or another status: field status), TooLarge, LimitReached (the
        deadline), UnsupportedFormat (a compressed body), Busy (too many at once).
        """
        if self._free <= 0:
            raise Busy("Too many remote documents are being read.", retry_after=5)
        self._free -= 1
        try:
            async with asyncio.timeout(self._deadline):
                return await self._follow(url, accept)
        except TimeoutError:
            raise LimitReached("The remote document took too long.", limit="time") from None
        except _UNREACHABLE:
            raise Missing("The remote host does not answer.") from None
        finally:
            self._free += 1

    async def _follow(self, url: str, accept: str) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._once(url, accept)
            if isinstance(answer, Fetched):
                return answer
            try:
                url = urljoin(url, answer)
            except ValueError:
                raise Invalid("The remote document is redirected to what is no URL.") from None
        raise Missing("The remote document is behind too many redirects.")

    async def _once(self, url: str, accept: str) -> Fetched | str:
        """The document, or where it says it is."""
        target = _target(url)
        secure = target.scheme == b"https"
        if not secure and not self._allow_loopback:
            raise Invalid("Only https is fetched.", url=url)
        headers = [("Accept", accept), *_HEADERS]
        way = _CheckedNetwork(self._network, self._resolve, secure=secure, loopback=self._allow_loopback)
        async with (
            httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=way) as pool,
            pool.stream("GET", target, headers=headers) as response,
        ):
            said = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in _REDIRECTS and b"location" in said:
                return said[b"location"]
            if response.status != 200:
                raise Missing("The remote document is not there.", status=response.status)
            if said.get(b"content-encoding", "identity").lower() != "identity":
                raise UnsupportedFormat("The remote document is compressed although that was not accepted.")
            body = await _body(response, said.get(b"content-length", ""))
            media_type = said.get(b"content-type", "").partition(";")[0].strip().lower()
            return Fetched(url.partition("#")[0], media_type, body)


async def _body(response: httpcore.Response, length: str) -> bytes:
    if length.isdecimal() and int(length[:20]) > MAX_BODY:
        raise TooLarge("The remote document is too large.", limit=MAX_BODY)
    body = bytearray()
    async for chunk in response.aiter_stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise TooLarge("The remote document is too large.", limit=MAX_BODY)
    return bytes(body)


def _target(url: str) -> httpcore.URL:
    """The URL taken apart once, so that what was checked is what is asked; raises Invalid."""
    if len(url) > MAX_URL or not url.isprintable() or " " in url or "\\" in url:
        raise Invalid("The URL is too long, or holds characters that no URL has.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        literal(host)
    except ValueError as error:
        raise Invalid(f"The URL's host is refused: {error}.", url=url) from None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or port == 0:
        raise Invalid("The URL is not a plain https URL without credentials.", url=url)
    path = quote(parts.path or "/", safe="/%:=&~+!$,;'@()*")
    query = "?" + quote(parts.query, safe="/%:=&~+!$,;'@()*?") if parts.query else ""
    return httpcore.URL(scheme=parts.scheme, host=host, port=port, target=path + query)


class _CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Resolves once, checks every address found, and connects to a checked address, never to the name."""

    def __init__(
        self, network: httpcore.AsyncNetworkBackend, resolve: Resolve, *, secure: bool, loopback: bool
    ) -> None:
        self._network = network
        self._resolve = resolve
        self._secure = secure
        self._loopback = loopback

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: _SocketOptions | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address of the host that answers."""
        failure: Exception = OSError("no address")
        for address in await self._addresses(host, port):
            try:
                return await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[Address]:
        """All addresses of the host; refused as a whole when one of them may not be spoken to."""
        spelt = literal(host)
        found = [spelt] if spelt else [ipaddress.ip_address(text) for text in await self._resolve(host, port)]
        if not found or not all(self._allowed(address) for address in found):
            raise Invalid("The URL's host does not lie at public addresses.", host=host)
        return found

    def _allowed(self, address: Address) -> bool:
        return (self._loopback and address.is_loopback) or (self._secure and is_public(address))
