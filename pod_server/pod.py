"""The only way in and out of a pod: read, write, list; every byte passes the one decision here.

Called by web/, query/, landing/ and consent/.  It knows no HTTP header and no
SQL.  Reads decide and take bytes in one snapshot; writes are decided in a
snapshot, and the append carries what the decision rested on, so that the
writer can see whether it still stands (DESIGN law 2).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path as FilePath
from weakref import WeakValueDictionary

from pyoxigraph import Quad

from pod_server.asking import MOST_RULES, Asking, Rules, missing
from pod_server.errors import (
    ConditionFailed,
    Conflict,
    Missing,
    NotAcceptable,
    NotAllowed,
    TooLarge,
    UnsupportedFormat,
)
from pod_server.identity.clients import console_client
from pod_server.patch import Patch
from pod_server.patch.document import patched
from pod_server.rdf import READABLE, WRITABLE, Syntax, choose, parse, serialise, syntax_of
from pod_server.rdf.jobs import check_syntax, convert
from pod_server.rdf.vocabulary import LDP
from pod_server.representation import container_statements, last_modified, listing_turtle
from pod_server.store.bodies import INLINE_LIMIT, inline
from pod_server.store.contract import (
    Append,
    Body,
    BodySink,
    Commit,
    Delete,
    DeliveryRow,
    Edit,
    Entry,
    Exists,
    Moved,
    Put,
    Reading,
    Snapshot,
    Store,
    Version,
)
from pod_server.store.host import HostDatabase, PodRow
from pod_server.terms import (
    FOREVER,
    LANDED,
    LANDED_RULES,
    PUBLIC,
    ROOT,
    Caller,
    Face,
    Kind,
    Link,
    Mode,
    Path,
    Policy,
    Position,
    Readable,
    acl_of,
    ancestors_of,
    auxiliary_of,
    is_container,
    meta_of,
    parent_of,
)
from pod_server.workers import Workers

DECISIONS = 3
"""How often a write is decided again when what it rested on moved, before it is a Conflict."""


@dataclass(frozen=True, slots=True)
class Target:
    """A path in a pod."""

    pod: PodRow
    path: Path


@dataclass(frozen=True, slots=True)
class Representation:
    """What a reader gets.

    body: the bytes, or the file that holds them.  modes, public: what this
    caller and the public may do (WAC, section 6.1).  modified: seconds since
    1970.  stored_as: set while the bytes are still in the media type they
    were written in; ``converted`` gives them in the one that was chosen.
    """

    path: Path
    kind: Kind
    media_type: str
    body: bytes | FilePath
    size: int
    etag: str
    modified: float
    modes: Mode
    public: Mode
    stored_as: str | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """If-Match and If-None-Match (RFC 9110, section 13): ETags, or None when absent; "*" is the set of that alone."""

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None


NO_CONDITIONS = Conditions()


@dataclass(frozen=True, slots=True)
class Upload:
    """What a writer sends: its media type as sent, the bytes when they are at hand, and the body for the store.

    data is None for a body that was streamed to the store's sink.
    """

    media_type: str
    data: bytes | None
    body: Body

    @staticmethod
    def of(media_type: str, data: bytes) -> Upload:
        """An upload that is small enough to stay in memory."""
        return Upload(media_type, data, Body(hashlib.sha256(data).hexdigest(), len(data), data))


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write: where, whether it was created, and its new ETag."""

    path: Path
    created: bool
    etag: str


@dataclass(frozen=True, slots=True)
class Assembly:
    """All that a caller may query, at one position: the set's key and state, and the documents when asked for."""

    readable: Readable
    state: str
    documents: tuple[tuple[str, str, bytes], ...] | None


class Pods:
    """All pods of this host, through the decision."""

    def __init__(self, store: Store, host: HostDatabase, rules: Rules, workers: Workers, etag_key: bytes) -> None:
        self._store = store
        self._rules = rules
        self._workers = workers
        self._etag_key = etag_key
        self._clock = rules.clock
        self._by_name = host.by_name
        self._console = console_client(rules.base)
        self._patching: WeakValueDictionary[tuple[str, Path], asyncio.Lock] = WeakValueDictionary()
        """Patches of one document wait for each other here, so that none is decided in vain."""

    # finding

    def locate(self, name: str, path: Path) -> Target:
        """The pod of a name, and a path in it.  Raises Missing when there is no such pod."""
        pod = self._by_name.get(name)
        if pod is None:
            raise Missing("There is no such pod.")
        return Target(pod, path)

    def iri(self, target: Target) -> str:
        """The absolute IRI of a target."""
        return self._rules.iri(target.pod, target.path)

    # reading

    def read(self, caller: Caller, target: Target, accept: str | None = None) -> Representation:
        """A representation that the caller may have, and accepts.

        accept: the Accept header, None means anything.  Raises
        Unauthenticated, Forbidden, Missing (only to one who may read),
        NotAcceptable.
        """
        with self._store.snapshot(target.pod.id) as snapshot:
            entry = snapshot.entry(target.path)
            asking = Asking(self._rules, target.pod, snapshot, caller)
            verdict = asking.verdict(target.path, entry, Mode.READ)
            if not verdict.allowed:
                raise asking.hidden(target.path, Mode.READ)
            if entry is None:
                raise missing(target.path)
            public = verdict if caller == PUBLIC else asking.verdict(target.path, entry, Mode.READ, PUBLIC)
            if entry.kind is Kind.CONTAINER:
                found = self._listing(asking, entry, accept)
            else:
                found = self._document(asking, entry, accept)
        self._note(caller, target.pod, "read", target.path)
        return replace(found, modes=verdict.modes | public.modes, public=public.modes)

    def may_still_read(self, caller: Caller, target: Target) -> bool:
        """Whether a read that is under way may go on: decided again, as of now."""
        with self._store.snapshot(target.pod.id) as snapshot:
            asking = Asking(self._rules, target.pod, snapshot, caller)
            return asking.verdict(target.path, snapshot.entry(target.path), Mode.READ).allowed

    def _document(self, asking: Asking, entry: Entry, accept: str | None) -> Representation:
        media_type = entry.media_type if not accept or accept == "*/*" else _chosen(entry.media_type, accept)
        stored_as = None if media_type == entry.media_type else entry.media_type
        body: bytes | FilePath | None = None
        if entry.size > INLINE_LIMIT and stored_as is None:
            body = asking.snapshot.file(entry)
        if body is None:
            body = asking.snapshot.body(entry)
        tag = self._etag(asking.snapshot.incarnation, entry, media_type)
        size = len(body) if isinstance(body, bytes) else entry.size
        return Representation(
            entry.path, entry.kind, media_type, body, size, tag, entry.modified, Mode.NONE, Mode.NONE, stored_as
        )

    async def converted(self, target: Target, found: Representation) -> Representation:
        """The same representation in the media type that was chosen; in a worker when it is large."""
        if found.stored_as is None or not isinstance(found.body, bytes):
            return found
        work = (found.body, found.stored_as, found.media_type, self.iri(target))
        if len(found.body) > INLINE_LIMIT:
            body = await self._workers.run(convert, *work)
        else:
            body = convert(*work)
        return replace(found, body=body, size=len(body), stored_as=None)

    def _listing(self, asking: Asking, entry: Entry, accept: str | None) -> Representation:
        media_type = choose(accept, WRITABLE)
        if media_type is None:
            raise NotAcceptable("A container is given as RDF.", available=list(WRITABLE))
        members = self.members(asking, entry)
        iri = asking.rules.iri(asking.pod, entry.path)
        root = asking.rules.iri(asking.pod, Path(""))
        if media_type == Syntax.TURTLE.media_type:
            body = listing_turtle(iri, members, root)
        else:
            body = serialise(container_statements(iri, members, root), syntax_of(media_type) or Syntax.N_TRIPLES)
        tag = self._etag(asking.snapshot.incarnation, entry, media_type, members)
        modified = last_modified(entry, members)
        return Representation(entry.path, entry.kind, media_type, body, len(body), tag, modified, Mode.NONE, Mode.NONE)

    def _etag(self, incarnation: str, entry: Entry, media_type: str, members: Sequence[Entry] | None = None) -> str:
        """A strong ETag of one representation (RFC 9110, section 8.8.3).

        It is an HMAC of the pod's incarnation, the resource's version, the
        format and, for a container, the members that this caller sees: it
        moves when what the caller may read moved, and tells nothing else
        (DESIGN law 4).
        """
        word = f"{incarnation}\n{entry.path}\n{entry.version}\n{media_type}"
        if members is not None:
            word += "".join(f"\n{member.path}\t{member.version}" for member in members)
        digest = hmac.digest(self._etag_key, word.encode(), "sha256")
        return f'"{urlsafe_b64encode(digest[:15]).decode()}"'

    @staticmethod
    def members(asking: Asking, container: Entry) -> list[Entry]:
        """The members of a container that the caller may read; one decision for all that share policy and face."""
        decided: dict[tuple[Path, Face], bool] = {}
        seen = []
        for child in asking.snapshot.children(container.path):
            key = _key(child)
            if key not in decided:
                decided[key] = asking.verdict(child.path, child, Mode.READ).allowed
            if decided[key]:
                seen.append(child)
        return seen

    def log_query(self, caller: Caller, pod: PodRow, data_sets: str, rows: int) -> None:
        """Write a query into the pod's read log: what it could see, how many rows it gave."""
        self._note(caller, pod, "query", data_sets, rows)

    def _note(self, caller: Caller, pod: PodRow, act: str, target: str, rows: int | None = None) -> None:
        """Reads by others are truth too (DESIGN section 4); the owner's own console is not another."""
        if caller.client == self._console and caller.agent == pod.owner:
            return
        self._store.note(pod.id, Reading(self._clock(), caller.agent, caller.client, act, target, rows))

    def assemble(self, caller: Caller, pod: PodRow, is_fresh: Callable[[Readable, str], bool]) -> Assembly:
        """What a caller may query, from one snapshot; the documents only when nobody holds them at that state.

        Documents are (IRI, media type, bytes); container listings are among
        them, with the members that a GET would show.
        """
        with self._store.snapshot(pod.id) as snapshot:
            asking = Asking(self._rules, pod, snapshot, caller)
            seen = asking.readable()
            state = f"{snapshot.incarnation}.{snapshot.fingerprint(seen.faces)}"
            if is_fresh(seen, state):
                return Assembly(seen, state, None)
            return Assembly(seen, state, tuple(self._documents(asking, seen)))

    def _documents(self, asking: Asking, seen: Readable) -> Iterable[tuple[str, str, bytes]]:
        pod, rules = asking.pod, asking.rules
        for entry in asking.snapshot.documents(seen.faces):
            iri = rules.iri(pod, entry.path)
            if entry.kind is Kind.CONTAINER:
                members = [child for child in asking.snapshot.children(entry.path) if _key(child) in seen.faces]
                yield iri, Syntax.TURTLE.media_type, listing_turtle(iri, members, rules.iri(pod, Path("")))
            else:
                yield iri, entry.media_type, asking.snapshot.body(entry)

    # writing

    def check_write(self, caller: Caller, target: Target, mode: Mode) -> None:
        """Refuse early what the caller may not write, before any body is taken.  It is decided again at the write."""
        with self._store.snapshot(target.pod.id) as snapshot:
            asking = Asking(self._rules, target.pod, snapshot, caller)
            self._refuse_landed(asking, target.path)
            asking.require(target.path, mode)

    def sink(self, target: Target) -> BodySink:
        """A place for a body that is too large to stay in memory."""
        return self._store.sink(target.pod.id)

    async def put(
        self, caller: Caller, target: Target, upload: Upload, conditions: Conditions = NO_CONDITIONS
    ) -> Written:
        """Create or replace (RFC 9110, section 9.3.4; Solid Protocol, section 5.3).

        Raises Malformed or Invalid for what does not parse, ConditionFailed,
        Conflict, NotAllowed for what no client may replace, StorageFull.
        """
        statements = await self._checked(target, upload)
        kind = _kind(target.path, upload.media_type)

        def plan(asking: Asking) -> Append:
            entry = asking.snapshot.entry(target.path)
            self._refuse_landed(asking, target.path)
            asking.require(target.path, Mode.WRITE)
            self._check_conditions(asking, target.path, entry, conditions)
            if entry is None:
                self._require_creation(asking, target.path)
            self._check_policy(asking, target.path, upload)
            return self._append(asking, _edits(target.path, kind, upload, statements))

        commit = await self._decided(caller, target, plan)
        return self._written(target, commit, upload.media_type)

    async def post(self, caller: Caller, container: Target, names: tuple[str, str], upload: Upload) -> Written:
        """Create a member of a container under a name of the server's choice (Solid Protocol, section 5.3).

        names: the wanted path segment and the one to take when that is gone,
        with a final slash for a container.  A caller who may not see what is
        there gets the second one always: a taken name would tell.  Raises Missing when there is no
        such container.
        """
        target = Target(container.pod, Path(container.path + names[0]))
        statements = await self._checked(target, upload)
        kind = _kind(target.path, upload.media_type)

        def plan(asking: Asking) -> Append:
            nonlocal target
            self._refuse_landed(asking, container.path)
            asking.require(container.path, Mode.APPEND)
            if asking.snapshot.entry(container.path) is None:
                raise Missing(f"There is no container {container.path}.")
            knows = asking.verdict(container.path, asking.snapshot.entry(container.path), Mode.READ).allowed
            if not knows or asking.snapshot.taken(target.path):
                target = Target(container.pod, Path(container.path + names[1]))
            asking.expectations.append(Version(target.path, None))
            return self._append(asking, _edits(target.path, kind, upload, statements))

        commit = await self._decided(caller, container, plan)
        return self._written(target, commit, upload.media_type)

    async def patch(
        self, caller: Caller, target: Target, patch: Patch, conditions: Conditions = NO_CONDITIONS
    ) -> Written:
        """Change an RDF document in place, or create it (Solid Protocol, section 5.3.1)."""
        if is_container(target.path):
            raise NotAllowed("A container is not patched; patch its description resource.", allow=["GET", "PUT"])
        lock = self._patching.setdefault((target.pod.id, target.path), asyncio.Lock())
        async with lock:
            return await self._patched(caller, target, patch, conditions)

    async def _patched(self, caller: Caller, target: Target, patch: Patch, conditions: Conditions) -> Written:
        for _ in range(DECISIONS):
            with self._store.snapshot(target.pod.id) as snapshot:
                asking = Asking(self._rules, target.pod, snapshot, caller)
                before = self._may_patch(asking, target.path, patch, conditions)
                body = None if before is None else snapshot.body(before)
            self._log_patch(caller, target, patch)
            upload = await self._patched_upload(target, patch, before, body)
            try:
                commit = await self._store.append(target.pod.id, self._patch_append(asking, target, before, upload))
            except Moved:
                continue
            return self._written(target, commit, upload.media_type)
        raise Conflict("What this write depends on keeps changing; try again.", retry_after=1)

    def _may_patch(self, asking: Asking, path: Path, patch: Patch, conditions: Conditions) -> Entry | None:
        """Everything that can be refused before the patch is looked into; the document as it is now."""
        entry = asking.snapshot.entry(path)
        self._refuse_landed(asking, path)
        asking.require(path, patch.modes_needed())
        self._check_conditions(asking, path, entry, conditions)
        if entry is None:
            self._require_creation(asking, path)
        asking.expectations.append(Version(path, None if entry is None else entry.version))
        return entry

    async def _patched_upload(self, target: Target, patch: Patch, before: Entry | None, body: bytes | None) -> Upload:
        media_type = Syntax.TURTLE.media_type if before is None else before.media_type
        work = (patch, body, media_type, self.iri(target))
        large = body is not None and len(body) > INLINE_LIMIT
        written, after = await self._workers.run(patched, *work) if large else patched(*work)
        if len(after) <= INLINE_LIMIT:
            return Upload.of(written, after)
        sink = self._store.sink(target.pod.id)
        sink.write(after)
        return Upload(written, after, await sink.finish())

    def _patch_append(self, asking: Asking, target: Target, before: Entry | None, upload: Upload) -> Append:
        self._check_policy(asking, target.path, upload)
        kind = _kind(target.path, upload.media_type) if before is None else before.kind
        return self._append(asking, (Put(target.path, kind, upload.media_type, upload.body),))

    def _log_patch(self, caller: Caller, target: Target, patch: Patch) -> None:
        """A patch with a condition reads, whether it fits or not."""
        if Mode.READ in patch.modes_needed():
            self._note(caller, target.pod, "read", target.path)

    async def delete(self, caller: Caller, target: Target, conditions: Conditions = NO_CONDITIONS) -> None:
        """Remove a resource (Solid Protocol, section 5.4): Write on it and its container, which must be empty."""
        path = target.path
        if path in (ROOT, acl_of(ROOT)):
            raise NotAllowed("The root of a pod and its access rules are not deleted.", allow=["GET", "PUT"])

        def plan(asking: Asking) -> Append:
            entry = asking.snapshot.entry(path)
            self._refuse_landed(asking, path)
            asking.require(path, Mode.WRITE, hides=True)
            if auxiliary_of(path) is None:
                asking.require(parent_of(path) or ROOT, Mode.WRITE)
            if entry is None:
                raise missing(path)
            self._check_conditions(asking, path, entry, conditions)
            return self._append(asking, (Delete(path),))

        await self._decided(caller, target, plan)

    @contextmanager
    def owner_view(self, caller: Caller, pod: PodRow) -> Iterator[Snapshot]:
        """The pod with its logs, for the owner at the console alone: whoever controls ``landed/``.

        Raises Unauthenticated or Forbidden.  Never kept across an await.
        """
        with self._store.snapshot(pod.id) as snapshot:
            Asking(self._rules, pod, snapshot, caller).require(acl_of(LANDED), Mode.CONTROL)
            yield snapshot

    def landing_view(self, pod: PodRow) -> AbstractContextManager[Snapshot]:
        """The pod as the landing engine sees it, to merge with what is there; nothing of it leaves the host."""
        return self._store.snapshot(pod.id)

    async def land(
        self,
        caller: Caller,
        pod: PodRow,
        plan: Callable[[Snapshot], tuple[Link | None, Sequence[tuple[Path, bytes]], Sequence[DeliveryRow]]],
    ) -> Commit:
        """A partner's documents and their verdicts, in one append, decided from the link.

        plan is called with a snapshot, again when something moved: it gives
        the link as it is now (None when nothing may land), the documents
        (Turtle, each below the partner's own container; what it read of them
        is expected to stand) and the verdicts.
        """

        def planned(asking: Asking) -> Append:
            link, documents, rows = plan(asking.snapshot)
            asking.link = link
            edits = []
            for path, body in documents:
                asking.require(path, Mode.WRITE)
                entry = asking.snapshot.entry(path)
                asking.expectations.append(Version(path, None if entry is None else entry.version))
                edits.append(Put(path, Kind.RDF, Syntax.TURTLE.media_type, inline(body)))
            cause = "" if link is None else delivered_by(link)
            return replace(self._append(asking, tuple(edits)), deliveries=tuple(rows), cause=cause)

        return await self._decided(caller, Target(pod, LANDED), planned)

    def policies_below(self, caller: Caller, pod: PodRow, container: Path) -> list[tuple[Target, bytes]]:
        """The access-control documents below a container that the caller controls, with their subjects."""
        with self._store.snapshot(pod.id) as snapshot:
            asking = Asking(self._rules, pod, snapshot, caller)
            return [
                (Target(pod, entry.policy), snapshot.body(entry))
                for entry in snapshot.policies()
                if entry.path.startswith(container) and asking.verdict(entry.path, entry, Mode.CONTROL).allowed
            ]

    async def set_policy(
        self, caller: Caller, target: Target, document: Callable[[bytes | None], bytes], cause: str
    ) -> None:
        """Write a container's access-control document on the citizen's word.

        document: from the present one (Turtle, None when there is none) to
        the next; called again when something moved.  cause: names the grant
        or the revocation in the log.
        """
        path = acl_of(target.path)

        def plan(asking: Asking) -> Append:
            asking.require(path, Mode.CONTROL)
            entry = asking.snapshot.entry(path)
            before = None if entry is None else asking.snapshot.body(entry)
            upload = Upload.of(Syntax.TURTLE.media_type, document(before))
            self._check_policy(asking, path, upload)
            asking.expectations.append(Version(path, None if entry is None else entry.version))
            edits: tuple[Edit, ...] = (Put(path, Kind.POLICY, upload.media_type, upload.body),)
            if asking.snapshot.entry(target.path) is None:
                edits = (Put(target.path, Kind.CONTAINER, Syntax.TURTLE.media_type), *edits)
            return replace(self._append(asking, edits), cause=cause)

        await self._decided(caller, target, plan)

    # how a write is decided

    async def _decided(self, caller: Caller, target: Target, plan: Callable[[Asking], Append]) -> Commit:
        """Decide in a snapshot, append, and decide again when the writer says that something moved."""
        for _ in range(DECISIONS):
            with self._store.snapshot(target.pod.id) as snapshot:
                append = plan(Asking(self._rules, target.pod, snapshot, caller))
            try:
                return await self._store.append(target.pod.id, append)
            except Moved:
                continue
        raise Conflict("What this write depends on keeps changing; try again.", retry_after=1)

    def _append(self, asking: Asking, edits: tuple[Edit, ...]) -> Append:
        return Append(asking.caller, self._clock(), edits, expectations=tuple(asking.expectations), until=asking.until)

    @staticmethod
    def _require_creation(asking: Asking, path: Path) -> None:
        """Creating asks for Append on the container that gets the new member (WAC, section 5.2)."""
        auxiliary = auxiliary_of(path)
        if auxiliary is not None:
            if asking.snapshot.entry(auxiliary[0]) is None or auxiliary_of(auxiliary[0]) is not None:
                raise Conflict(f"There is no resource that {path} would be about.", path=path)
            asking.expectations.append(Exists(auxiliary[0], exists=True))
            return
        nearest = next((above for above in ancestors_of(path) if asking.snapshot.entry(above)), ROOT)
        asking.expectations.append(Exists(path, exists=False))
        asking.require(nearest, Mode.APPEND)

    @staticmethod
    def _refuse_landed(asking: Asking, path: Path) -> None:
        """``landed/`` is made by the host alone (405 to whoever may read it); its rules change under Control only."""
        if not path.startswith(LANDED):
            return
        if path == LANDED_RULES:
            asking.require(path, Mode.CONTROL)
            raise NotAllowed("The rules of landed/ change by grants, in the console.", allow=["GET", "HEAD", "OPTIONS"])
        auxiliary = auxiliary_of(path)
        if auxiliary is not None and auxiliary[1] is Kind.POLICY:
            return
        asking.require(path, Mode.READ)
        raise NotAllowed("Partners' data is written by deliveries alone.", allow=["GET", "HEAD", "OPTIONS"])

    def _check_conditions(self, asking: Asking, path: Path, entry: Entry | None, conditions: Conditions) -> None:
        if conditions == NO_CONDITIONS:
            return
        tags = self._tags(asking, entry) if entry is not None else frozenset()
        wanted, unwanted = conditions.if_match, conditions.if_none_match
        if wanted is not None and not (wanted & tags or ("*" in wanted and entry is not None)):
            raise ConditionFailed("If-Match does not hold: the resource is not at that ETag.", path=path)
        if unwanted is not None and (unwanted & tags or ("*" in unwanted and entry is not None)):
            raise ConditionFailed("If-None-Match does not hold: the resource is there.", path=path)
        asking.expectations.append(Version(path, None if entry is None else entry.version, strict=True))

    def _tags(self, asking: Asking, entry: Entry) -> frozenset[str]:
        """The ETags of every representation of a resource, as this caller would get them."""
        members = self.members(asking, entry) if entry.kind is Kind.CONTAINER else None
        formats = {entry.media_type, *WRITABLE} if entry.kind is not Kind.BINARY else {entry.media_type}
        incarnation = asking.snapshot.incarnation
        return frozenset(self._etag(incarnation, entry, media_type, members) for media_type in formats)

    def _check_policy(self, asking: Asking, path: Path, upload: Upload) -> None:
        """An access-control document must compile, and the root's must leave the owner in control (409)."""
        auxiliary = auxiliary_of(path)
        if auxiliary is None or auxiliary[1] is not Kind.POLICY:
            return
        if upload.body.size > MOST_RULES or upload.data is None:
            raise TooLarge(f"Access rules may have at most {MOST_RULES} bytes.", limit=MOST_RULES)
        policy = self._rules.compiled(asking.pod, auxiliary[0], upload.data, upload.media_type, Position(0))
        if auxiliary[0] == ROOT and not _keeps_owner(policy, asking.pod.owner):
            raise Conflict("The owner's Control over the root of the pod cannot be removed.", path=path)

    def _written(self, target: Target, commit: Commit, media_type: str) -> Written:
        with self._store.snapshot(target.pod.id) as snapshot:
            entry, incarnation = snapshot.entry(target.path), snapshot.incarnation
        own = entry is not None and entry.version <= commit.position and entry.kind is not Kind.CONTAINER
        tag = self._etag(incarnation, entry, media_type) if own and entry is not None else ""
        return Written(target.path, target.path in commit.created, tag)

    async def _checked(self, target: Target, upload: Upload) -> list[Quad]:
        """The statements of an upload that claims to be RDF; parsed in a worker when it is large."""
        syntax = syntax_of(upload.media_type)
        if syntax is None:
            if is_container(target.path) or auxiliary_of(target.path) is not None:
                raise UnsupportedFormat("This resource is RDF.", supported=list(READABLE))
            return []
        assert upload.data is not None  # noqa: S101 - web/ keeps RDF bodies at hand
        iri = self.iri(target)
        if len(upload.data) > INLINE_LIMIT:
            await self._workers.run(check_syntax, upload.data, syntax.name, iri)
            return []
        return parse(upload.data, syntax, iri) if upload.data or not is_container(target.path) else []


def delivered_by(link: Link) -> str:
    """The cause that the log gives for what came over a link."""
    return f"delivery:{link.partner}:{link.id}"


def _keeps_owner(policy: Policy, owner: str) -> bool:
    """Whether the owner controls the resource by some rule without a condition or an end."""
    return any(
        rule.own and Mode.CONTROL in rule.modes and owner in rule.agents and not (rule.clients or rule.issuers)
        for rule in policy.rules
        if rule.until == FOREVER
    )


@lru_cache(maxsize=8192)
def _kind(path: Path, media_type: str) -> Kind:
    if is_container(path):
        return Kind.CONTAINER
    auxiliary = auxiliary_of(path)
    if auxiliary is not None:
        return auxiliary[1]
    return Kind.RDF if syntax_of(media_type) is not None else Kind.BINARY


def _edits(path: Path, kind: Kind, upload: Upload, statements: Sequence[Quad]) -> tuple[Edit, ...]:
    """What a PUT or POST changes; the statements sent with a container become its description resource."""
    if kind is not Kind.CONTAINER:
        return (Put(path, kind, upload.media_type, upload.body),)
    if any(statement.predicate.value == LDP + "contains" for statement in statements):
        raise Conflict("Which members a container has is said by the server alone.", path=path)
    made = Put(path, Kind.CONTAINER, Syntax.TURTLE.media_type)
    if not statements:
        return (made,)
    return made, Put(meta_of(path), Kind.DESCRIPTION, upload.media_type, upload.body)


@lru_cache(maxsize=1024)
def _chosen(own: str, accept: str) -> str:
    """The media type to answer with: as stored when it is wanted as much as any other."""
    others = tuple(media for media in WRITABLE if media != own) if syntax_of(own) is not None else ()
    media_type = choose(accept, (own.split(";", maxsplit=1)[0], *others))
    if media_type is None:
        raise NotAcceptable(f"This resource is {own}.", available=[own, *others])
    return own if media_type == own.split(";", maxsplit=1)[0] else media_type


def _key(entry: Entry) -> tuple[Path, Face]:
    return entry.policy, entry.face
