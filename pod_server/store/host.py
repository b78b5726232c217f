"""The host's own database: pods and their names, clients, partners, links, sign-ins; and the host's secrets.

Called by pod.py (to find a pod), identity/ (clients), landing/ (links) and
the CLI.  It holds no pod content.  Rare, small writes: they run on the loop,
each one durable before it returns.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

import apsw

from pod_server.errors import Conflict, Invalid, Missing
from pod_server.identity.clients import Client, hash_secret
from pod_server.store.files import open_writer, sync_file, sync_folder
from pod_server.store.schema import HOST_APPLICATION_ID, HOST_STEPS, bring_forward
from pod_server.terms import Link, PodId

NAME_LENGTH = 63
_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


@dataclass(frozen=True, slots=True)
class PodRow:
    """A pod: its opaque id, its name in URLs, its owner's WebID, when it was made (seconds since 1970)."""

    id: PodId
    name: str
    owner: str
    created: float


@dataclass(frozen=True, slots=True)
class Partner:
    """A data holder: its id in paths, its name for people, its holder type, and since when it is suspended."""

    id: str
    name: str
    holder: str
    created: float
    suspended: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A citizen signed in to the console.  csrf: the word that every form must carry."""

    pod: str
    csrf: str
    expires: float


class HostDatabase:
    """host.db, with the pod list in memory."""

    def __init__(self, root: FilePath) -> None:
        self._connection = open_writer(root / "host.db")
        bring_forward(self._connection, HOST_APPLICATION_ID, HOST_STEPS)
        rows = self._connection.execute("SELECT id, name, owner, created FROM pod")
        self._pods: dict[str, PodRow] = {row[1]: PodRow(*row) for row in rows}
        self._by_id: dict[str, PodRow] = {row.id: row for row in self._pods.values()}

    def close(self) -> None:
        """Checkpoint and let go."""
        self._connection.close()

    # pods

    @property
    def by_name(self) -> Mapping[str, PodRow]:
        """Every pod by its name, kept up to date."""
        return self._pods

    def pod(self, name: str) -> PodRow | None:
        """The pod of a name, None when there is none."""
        return self._pods.get(name)

    def pod_of_id(self, pod_id: PodId) -> PodRow | None:
        """The pod of an opaque id, None when there is none."""
        return self._by_id.get(pod_id)

    def pods(self) -> Sequence[PodRow]:
        """All pods."""
        return list(self._pods.values())

    def add_pod(self, row: PodRow) -> None:
        """Make a created pod visible.  Raises Conflict when the name is taken, Invalid when it is no name."""
        check_name(row.name)
        if row.name in self._pods:
            raise Conflict(f"There is a pod named {row.name} already.")
        self._connection.execute("INSERT INTO pod VALUES (?,?,?,?)", (row.id, row.name, row.owner, row.created))
        self._pods[row.name] = self._by_id[row.id] = row

    # clients; the seam is identity.clients.Clients

    def find(self, client_id: str) -> Client | None:
        """See identity.clients.Clients."""
        row = self._connection.execute(
            "SELECT id, secret_hash, webid, partner, redirect_uris, name FROM client WHERE id = ?", (client_id,)
        ).fetchone()
        if row is None:
            return None
        id_, secret_hash, webid, partner, redirect_uris, name = row
        return Client(id_, secret_hash, webid, partner, tuple(json.loads(redirect_uris)), name)

    def add(self, client: Client) -> None:
        """See identity.clients.Clients."""
        try:
            self._connection.execute(
                "INSERT INTO client VALUES (?,?,?,?,?,?)",
                (
                    client.id,
                    client.secret_hash,
                    client.webid,
                    client.partner,
                    json.dumps(client.redirect_uris),
                    client.name,
                ),
            )
        except apsw.ConstraintError:
            raise Conflict(f"There is a client {client.id} already.") from None

    # partners and links

    def partner(self, partner_id: str) -> Partner | None:
        """The partner of an id, None when there is none."""
        row = self._connection.execute("SELECT * FROM partner WHERE id = ?", (partner_id,)).fetchone()
        return Partner(*row) if row else None

    def partners(self) -> Sequence[Partner]:
        """All partners."""
        return [Partner(*row) for row in self._connection.execute("SELECT * FROM partner ORDER BY id")]

    def add_partner(self, partner: Partner) -> None:
        """Register a partner.  Raises Conflict, Invalid."""
        check_name(partner.id)
        try:
            self._connection.execute(
                "INSERT INTO partner VALUES (?,?,?,?,?)",
                (partner.id, partner.name, partner.holder, partner.created, partner.suspended),
            )
        except apsw.ConstraintError:
            raise Conflict(f"There is a partner {partner.id} already.") from None

    def link(self, link_id: str) -> Link | None:
        """The link of a pseudonym, None when there is none."""
        row = self._connection.execute(
            "SELECT id, partner, pod, starts, ends FROM link WHERE id = ?", (link_id,)
        ).fetchone()
        return Link(*row) if row else None

    def links_of(self, pod: PodId) -> Sequence[Link]:
        """All links into a pod, ended ones included."""
        rows = self._connection.execute("SELECT id, partner, pod, starts, ends FROM link WHERE pod = ?", (pod,))
        return [Link(*row) for row in rows]

    def add_link(self, link: Link) -> None:
        """Tie a partner's customer to a pod.  Raises Missing when there is no such partner."""
        if self.partner(link.partner) is None:
            raise Missing(f"There is no partner {link.partner}.")
        self._connection.execute(
            "INSERT INTO link VALUES (?,?,?,?,?)", (link.id, link.partner, link.pod, link.starts, link.ends)
        )

    def end_link(self, link_id: str, at: float) -> None:
        """Close a link from an instant on; it stays, for what was delivered under it."""
        self._connection.execute(
            "UPDATE link SET ends = min(ifnull(ends, ?), ?) WHERE id = ? RETURNING id", (at, at, link_id)
        )

    # sign-ins and sessions of the console

    def add_sign_in(self, token: str, pod: str, expires: float) -> None:
        """Remember a one-time sign-in link; only its hash is kept."""
        self._connection.execute("INSERT INTO sign_in VALUES (?,?,?)", (hash_secret(token), pod, expires))

    def use_sign_in(self, token: str, now: float) -> str | None:
        """The pod of a one-time link, which is void from now on; None when it is unknown, used or expired."""
        row = self._connection.execute(
            "DELETE FROM sign_in WHERE token_hash = ? RETURNING pod, expires", (hash_secret(token),)
        ).fetchall()
        return str(row[0][0]) if row and float(row[0][1] or 0) > now else None

    def add_session(self, token: str, session: Session) -> None:
        """Remember a session; only the hash of its token is kept."""
        self._connection.execute(
            "INSERT INTO session VALUES (?,?,?,?)", (hash_secret(token), session.pod, session.csrf, session.expires)
        )

    def session(self, token: str, now: float) -> Session | None:
        """The session of a cookie, None when it is unknown or expired."""
        row = self._connection.execute(
            "SELECT pod, csrf, expires FROM session WHERE token_hash = ? AND expires > ?", (hash_secret(token), now)
        ).fetchone()
        return Session(*row) if row else None

    def end_session(self, token: str) -> None:
        """Forget a session: its cookie is void from now on."""
        self._connection.execute("DELETE FROM session WHERE token_hash = ?", (hash_secret(token),))

    def forget_expired(self, now: float) -> None:
        """Drop the one-time links and sessions that have run out."""
        self._connection.execute("DELETE FROM sign_in WHERE expires <= ?", (now,))
        self._connection.execute("DELETE FROM session WHERE expires <= ?", (now,))


def check_name(name: str) -> None:
    """Raises Invalid unless a name can be a path segment and a DNS label: [a-z0-9-], at most 63."""
    if not name or len(name) > NAME_LENGTH or not set(name) <= _NAME_LETTERS or name[0] == "-" or name[-1] == "-":
        raise Invalid(f"{name!r} is no name: use 1 to 63 of a-z, 0-9 and -, not at either end.")


def new_pod_id() -> PodId:
    """An opaque id that tells nothing and is safe as a folder's name."""
    return PodId(secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Secrets:
    """What only the host knows; in a file of its own, so that a backup of the data is not a backup of the keys.

    etag: key of the ETags' HMAC.  signing: the issuer's ES256 key (PEM).
    receipts: the Ed25519 key of receipts (PEM).  admin: the operator's token.
    """

    etag: bytes
    signing: bytes
    receipts: bytes
    admin: str


def load_secrets(root: FilePath, make: Secrets) -> Secrets:
    """The secrets of a data folder; ``make`` is kept when there are none yet."""
    file = root / "secrets.json"
    if not file.exists():
        content = {
            "etag": make.etag.hex(),
            "signing": make.signing.decode(),
            "receipts": make.receipts.decode(),
            "admin": make.admin,
        }
        aside = file.with_suffix(".part")
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as out:
            json.dump(content, out)
        sync_file(aside)
        aside.rename(file)
        sync_folder(root)
    kept = json.loads(file.read_text())
    return Secrets(bytes.fromhex(kept["etag"]), kept["signing"].encode(), kept["receipts"].encode(), kept["admin"])
