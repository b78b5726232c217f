"""How a host is put together: every object, handed over by constructor, in one screen.

Called by cli.py and demo.py.  No container, no globals; what is not built
here does not exist.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import FastAPI

from pod_server.asking import Rules
from pod_server.config import Config
from pod_server.consent.grants import Consent
from pod_server.errors import Conflict
from pod_server.identity import DPoP, Fetch, Issuers, LocalDocument, Proofs, Provider, Replays, SigningKey, new_key
from pod_server.landing.deliveries import Deliveries
from pod_server.landing.receipts import Receipts, new_receipt_key
from pod_server.pod import Pods
from pod_server.provision import Provision
from pod_server.query.views import Views
from pod_server.rdf import Syntax, syntax_of
from pod_server.store import descriptors
from pod_server.store.contract import Clock
from pod_server.store.host import HostDatabase, Secrets, load_secrets
from pod_server.store.sqlite import SqliteStore
from pod_server.terms import PUBLIC
from pod_server.web import admin, deliveries, oidc, services, sparql
from pod_server.web.app import Front
from pod_server.web.console import pages
from pod_server.web.paths import split_target
from pod_server.web.resources import Resources
from pod_server.workers import Workers

PRELOAD = (
    "pod_server.rdf.jobs",
    "pod_server.patch.document",
    "pod_server.query.guard",
    "pod_server.landing.work",
    "pod_server.landing.transform:preload",
)
"""What a parsing worker loads before it gives up files."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host, composed: the application to serve, and the rooms that the command line speaks to."""

    application: Front
    operator: admin.Operator
    consent: Consent
    pods: Pods
    provider: Provider
    endpoint: sparql.Endpoint
    store: SqliteStore
    database: HostDatabase
    secrets: Secrets


def compose(config: Config, clock: Clock = time.time) -> Host:
    """Build a host over a data folder.  Raises Conflict when another process owns the folder."""
    base = config.base
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = _owned(config, clock)
    database = HostDatabase(config.data)
    kept = load_secrets(
        config.data, Secrets(secrets.token_bytes(32), new_key(), new_receipt_key(), secrets.token_urlsafe(32))
    )
    workers = Workers(config.workers, preload=PRELOAD)
    views = Views(config.view_workers, config.view_memory)
    rules = Rules(store, database, clock, base)
    pods = Pods(store, database, rules, workers, kept.etag)
    key, dpop = SigningKey(kept.signing), DPoP(Replays(clock()))
    provider = Provider(base, key, database, dpop, clock=clock, random=secrets.token_urlsafe)
    fetch = Fetch(allow_loopback=config.allow_loopback)
    issuers = Issuers(fetch, base, _local_documents(pods, base), clock=clock)
    proofs = Proofs(base, key, dpop, clock=clock, others=issuers)
    receipts = Receipts(kept.receipts)
    consent = Consent(pods, base, lambda: secrets.token_hex(8))
    operator = admin.Operator(store, database, Provision(store, database, clock, base), clock, base)
    landing = Deliveries(pods, database, workers, clock)
    endpoint = sparql.Endpoint(pods, views, workers, config.query_seconds, config.view_memory)
    life = _Life(workers, views, store, database)
    routers = (
        services.routes(receipts, life.is_ready, base),
        oidc.routes(provider, base),
        deliveries.routes(landing, proofs, receipts, clock, base),
        sparql.routes(endpoint, pods, proofs, base),
        admin.routes(operator, kept.admin),
        pages.routes(pages.Console(pods, database, consent, endpoint, clock, base)),
    )
    resources = Resources(pods, proofs, base, config.body_limit)
    front = Front(resources, services.services(routers, life.span, base), base)
    return Host(front, operator, consent, pods, provider, endpoint, store, database, kept)


def _owned(config: Config, clock: Clock) -> SqliteStore:
    """The store of a data folder; a command line that is just using it gets two seconds to finish."""
    descriptors.raise_limit()
    deadline = time.monotonic() + 2.0
    while True:
        try:
            return SqliteStore(config.data, clock)
        except Conflict:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


class _Life:
    """What starts with the server and ends with it."""

    def __init__(self, workers: Workers, views: Views, store: SqliteStore, database: HostDatabase) -> None:
        self._workers, self._views, self._store, self._database = workers, views, store, database
        self._ready = False

    def is_ready(self) -> bool:
        """Whether requests are served (workers may still be warming up)."""
        return self._ready

    @contextlib.asynccontextmanager
    async def span(self, _: FastAPI) -> AsyncIterator[None]:
        """Serve first: workers start in the background, and end before the store lets go."""
        self._workers.start()
        self._views.start()
        self._ready = True
        try:
            yield
        finally:
            self._ready = False
            await self._views.stop()
            await self._workers.stop()
            await self._store.close()
            self._database.close()


def _local_documents(pods: Pods, base: str) -> LocalDocument:
    """What this host itself serves is read from the store, never fetched: public documents by their IRI."""

    def read(iri: str) -> tuple[bytes, Syntax] | None:
        if not iri.startswith(base):
            return None
        name, path = split_target(("/" + iri.removeprefix(base)).encode())
        found = pods.read(PUBLIC, pods.locate(name, path))
        syntax = syntax_of(found.media_type)
        return (found.body, syntax) if isinstance(found.body, bytes) and syntax is not None else None

    return read
