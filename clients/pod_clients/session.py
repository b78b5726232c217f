"""Sessions: HTTP requests that are signed in, retried when the host is busy, and refused in one shape.

Used by partner.py and pod.py, and by programs of their own.  ``Session`` is
for plain code, ``AsyncSession`` for asyncio; both share proofs.py.  Without
credentials a session asks as the public.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self

import httpx

from pod_clients.errors import ClientError, host_error
from pod_clients.proofs import SignIn

TIMEOUT = httpx.Timeout(10.0, read=120.0, write=60.0)
ATTEMPTS = 6
LONGEST_PAUSE = 60.0
BUSY = (429, 503)
_dice = secrets.SystemRandom()

_NAMES = {
    "issuer": ("issuer", "idp"),
    "client_id": ("clientId", "client_id"),
    "client_secret": ("clientSecret", "client_secret"),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client signs in with.  issuer: its URL, as the host spells it."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)

    @staticmethod
    def of(document: Mapping[str, Any]) -> Credentials:
        """From JSON, in the spelling of ``pod-server partner add`` or in OAuth's.  Raises ClientError."""
        found = {name: next((document[key] for key in keys if key in document), None) for name, keys in _NAMES.items()}
        missing = [_NAMES[name][0] for name, value in found.items() if not isinstance(value, str) or not value]
        if missing:
            raise ClientError(f"The credentials lack {' and '.join(missing)}.")
        return Credentials(**{name: str(value) for name, value in found.items()})

    @staticmethod
    def load(file: Path | None, environment: Mapping[str, str], prefix: str) -> Credentials | None:
        """From a JSON file, or else from PREFIX_ISSUER, PREFIX_CLIENT_ID and PREFIX_CLIENT_SECRET; None for neither."""
        if file is not None:
            return Credentials.of(_read(file))
        given = {name: environment[key] for name in _NAMES if (key := f"{prefix}_{name.upper()}") in environment}
        return Credentials.of(given) if given else None


def _read(file: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ClientError(f"{file} cannot be read as credentials ({error}).") from None
    if not isinstance(document, dict):
        raise ClientError(f"{file} is not a JSON object.")
    return document


def pause_before(attempt: int, response: httpx.Response | None = None) -> float:
    """Seconds to wait before the next attempt (the first is 0): what Retry-After says, else doubling with some luck."""
    said = _retry_after(response) if response is not None else None
    if said is not None:
        return min(said, LONGEST_PAUSE)
    return float(min(0.25 * 2**attempt * _dice.uniform(0.5, 1.5), LONGEST_PAUSE))


def _retry_after(response: httpx.Response) -> float | None:
    """Retry-After in seconds, as a number or a date (RFC 9110, section 10.2.3)."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


class _Signed:
    """What both sessions share: who they are."""

    def __init__(self, credentials: Credentials | None, clock: Callable[[], float]) -> None:
        self.sign_in = None
        if credentials is not None:
            self.sign_in = SignIn(credentials.issuer, credentials.client_id, credentials.client_secret, clock)

    def claims(self) -> Mapping[str, Any]:
        """What the present token says about this client; empty before the first request, and for the public."""
        return self.sign_in.claims() if self.sign_in is not None else {}


class Session(_Signed):
    """A session for plain code; use it as a context manager, in one thread.

    clock: seconds since 1970.  sleep: how a pause is spent.  transport: of
    httpx, for hosts that are reached in another way.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(credentials, clock)
        self._client = httpx.Client(auth=self.sign_in, timeout=TIMEOUT, transport=transport)
        self.sleep = sleep

    def request(self, method: str, url: str, **given: Any) -> httpx.Response:
        """A successful answer, its body read; given: as for httpx.  Raises HostError, httpx.TransportError."""
        with self.stream(method, url, **given) as response:
            response.read()
            return response

    @contextmanager
    def stream(self, method: str, url: str, **given: Any) -> Iterator[httpx.Response]:
        """A successful answer whose body is still to be read.  Waits and asks again while the host is busy."""
        for attempt in range(ATTEMPTS):
            with self._client.stream(method, url, **given) as response:
                if not response.is_error:
                    yield response
                    return
                response.read()
            if response.status_code not in BUSY or attempt == ATTEMPTS - 1:
                raise host_error(response)
            self.sleep(pause_before(attempt, response))

    def exchange(self, method: str, url: str, **given: Any) -> httpx.Response:
        """The answer whatever its status, asked once; for those who read headers of refusals."""
        return self._client.request(method, url, **given)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncSession(_Signed):
    """As Session, for asyncio."""

    def __init__(
        self,
        credentials: Credentials | None = None,
        *,
        clock: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(credentials, clock)
        self._client = httpx.AsyncClient(auth=self.sign_in, timeout=TIMEOUT, transport=transport)

    async def request(self, method: str, url: str, **given: Any) -> httpx.Response:
        """See Session.request."""
        async with self.stream(method, url, **given) as response:
            await response.aread()
            return response

    @asynccontextmanager
    async def stream(self, method: str, url: str, **given: Any) -> AsyncIterator[httpx.Response]:
        """See Session.stream."""
        for attempt in range(ATTEMPTS):
            async with self._client.stream(method, url, **given) as response:
                if not response.is_error:
                    yield response
                    return
                await response.aread()
            if response.status_code not in BUSY or attempt == ATTEMPTS - 1:
                raise host_error(response)
            await asyncio.sleep(pause_before(attempt, response))

    async def exchange(self, method: str, url: str, **given: Any) -> httpx.Response:
        """See Session.exchange."""
        return await self._client.request(method, url, **given)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
