"""What a new pod holds before anyone writes to it: rules, profile, settings, inbox, and ``landed/``.

Called by the composition and the operator's interface.  A pod is durable and
whole before its name exists (DESIGN section 6).  All IRIs are relative, so
that a pod survives a move.
"""

from __future__ import annotations

from pod_server.access import RuleText, landed_rules, owner_rule, public_rule, root_rules, write_policy
from pod_server.errors import Conflict
from pod_server.identity.clients import console_client
from pod_server.identity.profile import (
    PREFERENCES,
    PRIVATE_TYPE_INDEX,
    PUBLIC_TYPE_INDEX,
    card,
    preferences,
    type_index,
)
from pod_server.store.bodies import inline
from pod_server.store.contract import Append, Clock, Edit, Put, Store
from pod_server.store.host import HostDatabase, PodRow, check_name, new_pod_id
from pod_server.terms import LANDED, ROOT, Caller, Kind, Mode, Path, acl_of

PROFILE = Path("/profile/card")
INBOX = Path("/inbox/")
TURTLE = "text/turtle"


class Provision:
    """Makes pods on one host.  base: the host's address with its final slash; it is the issuer too."""

    def __init__(self, store: Store, host: HostDatabase, clock: Clock, base: str) -> None:
        self._store = store
        self._host = host
        self._clock = clock
        self._base = base

    def webid(self, name: str) -> str:
        """The WebID of the citizen whose pod has that name."""
        return f"{self._base}{name}{PROFILE}#me"

    def pod(self, name: str, title: str = "", *, open_folder: bool = False) -> PodRow:
        """Make a pod and give it its name.

        title: the citizen's name for people.  open_folder: also make
        ``open/``, where the public may do everything, for test hosts.  Raises
        Conflict when the name is taken, Invalid when it is none, StorageFull.
        """
        check_name(name)
        if self._host.pod(name) is not None:
            raise Conflict(f"There is a pod named {name} already.")
        now = self._clock()
        edits = self._edits(name, title or name)
        if open_folder:
            edits += _open_edits()
        row = PodRow(new_pod_id(), name, self.webid(name), now)
        self._store.create(row.id, Append(Caller(), now, tuple(edits), cause="new pod"))
        self._host.add_pod(row)
        return row

    def _edits(self, name: str, title: str) -> list[Edit]:
        owner = "profile/card#me"
        profile = card(self.webid(name), title, f"{self._base}{name}/", self._base)
        landed = landed_rules(f"../{owner}", console_client(self._base), self._base)
        return [
            Put(ROOT, Kind.CONTAINER, TURTLE),
            _policy(ROOT, "./", root_rules(owner)),
            _document(PROFILE, profile),
            _policy(PROFILE, "card", (owner_rule("card#me"), public_rule(Mode.READ))),
            _document(Path("/" + PREFERENCES), preferences(self.webid(name), f"{self._base}{name}/")),
            _document(Path("/" + PRIVATE_TYPE_INDEX), type_index(listed=False)),
            _document(Path("/" + PUBLIC_TYPE_INDEX), type_index(listed=True)),
            _policy(
                Path("/" + PUBLIC_TYPE_INDEX),
                "publicTypeIndex.ttl",
                (owner_rule(f"../{owner}"), public_rule(Mode.READ)),
            ),
            Put(INBOX, Kind.CONTAINER, TURTLE),
            _policy(INBOX, "./", (owner_rule(f"../{owner}"), public_rule(Mode.APPEND))),
            Put(LANDED, Kind.CONTAINER, TURTLE),
            _policy(LANDED, "./", landed),
        ]


def _open_edits() -> list[Edit]:
    everything = Mode.READ | Mode.APPEND | Mode.WRITE | Mode.CONTROL
    open_folder = Path("/open/")
    rules = (owner_rule("../profile/card#me"), public_rule(everything, own=True, members=True))
    return [Put(open_folder, Kind.CONTAINER, TURTLE), _policy(open_folder, "./", rules)]


def _policy(subject: Path, reference: str, rules: tuple[RuleText, ...]) -> Put:
    """reference: the subject as the document next to it spells it, so that it survives a move."""
    return Put(acl_of(subject), Kind.POLICY, TURTLE, inline(write_policy(reference, rules).encode()))


def _document(path: Path, body: bytes) -> Put:
    return Put(path, Kind.RDF, TURTLE, inline(body))
