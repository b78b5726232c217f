"""A disk that fills up: a data folder on a small tmpfs of its own, in a namespace where we may mount one.

``run`` starts this file again inside the namespace; there it fills the disk
by small, large and repeated writes until each kind has been refused often,
and then looks at what is left.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[depth]) for depth in (1, 2)]

from bench.rows import Row, claim, none_of
from solid import Agent, free_port, running

SIZE = "24m"
BALLAST = 2 * 1024 * 1024
REFUSALS = 25
LARGE = 1_500_000
_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


def run(random_seed: int) -> list[Row]:
    """Mount, and drill inside."""
    place = Path(tempfile.mkdtemp(prefix="soak-full-"))
    try:
        if not _may_mount(place):
            return [Row("left out", "this kernel lets no ordinary user mount a tmpfs")]
        inside = [sys.executable, str(Path(__file__)), str(place), str(random_seed)]
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", _MOUNT, "sh", SIZE, str(place), *inside],
            stdout=subprocess.PIPE, text=True, timeout=360, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError("the drill inside the namespace broke off; see above")
        return [Row(**row) for row in json.loads(done.stdout.splitlines()[-1])]
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _may_mount(place: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-rm", "sh", "-c", _MOUNT, "sh", SIZE, str(place), "true"]
    return subprocess.run(tried, capture_output=True, check=False, timeout=20).returncode == 0


@dataclass
class Tally:
    """What was sent and what was said.  kept: what the host must hold, by name; refused: new names it must not."""

    kept: dict[str, bytes] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)


def drill(folder: Path, seed: int) -> list[Row]:
    """Everything, on a small disk that is mounted at folder."""
    ballast = folder / "ballast"
    ballast.write_bytes(os.urandom(BALLAST))
    port = free_port()
    with running(folder, port=port) as host:
        agent, root = host.agent("alice"), host.pod("alice") + "full/"
        tally = fill(agent, root, random.Random(seed))
        rows = [*_refused_well(tally), *_whole(agent, root, tally, "while full")]
        other = host.public.get(host.webid("bob")).status_code
        written = host.agent("bob").put(host.pod("bob") + "note", b"<#a> <#b> 1 .").status_code
        rows.append(claim("a pod that nobody had opened reads", other == 200, str(other)))
        rows.append(claim("writing to it is 507", written == 507, str(written)))
        rows.append(none_of("findings of verify while full", _verify(folder)))
        rows += _deleting(agent, root, tally)
        ballast.unlink()
        rows.append(claim("writes work again once there is room", _put(agent, root, "after", b"<#a> <#b> 1 .") == 201))
        tally.kept["after"] = b"<#a> <#b> 1 ."
        rows += [_left_behind(folder), *_whole(agent, root, tally, "once there is room")]
    with running(folder, port=port) as host:
        rows += _whole(host.agent("alice"), root, tally, "after a restart")
    rows.append(none_of("findings of verify at the end", _verify(folder)))
    return rows


def fill(agent: Agent, root: str, dice: random.Random) -> Tally:
    """Write until every kind of write has been refused often."""
    tally = Tally()
    for number, kind in enumerate(_kinds(dice)):
        if all(tally.refusals[each] >= REFUSALS for each in ("small", "large", "again")) or number > 20_000:
            return tally
        name = f"again{dice.randrange(4)}" if kind == "again" else f"{kind}{number}"
        body = _body(kind, number, dice)
        status = _put(agent, root, name, body)
        tally.statuses[status] += 1
        if status in (201, 204):
            tally.kept[name] = body
        else:
            tally.refusals[kind] += 1
            tally.refused |= {name} - tally.kept.keys()
    raise AssertionError("unreachable")


def _kinds(dice: random.Random) -> Iterator[str]:
    while True:
        yield dice.choices(("small", "large", "again"), (6, 1, 6))[0]


def _body(kind: str, number: int, dice: random.Random) -> bytes:
    if kind == "large":
        return dice.randbytes(LARGE + dice.randrange(1000))
    filler = dice.randbytes(dice.randrange(500, 12_000)).hex()
    return f'<#it> <#is> {number} ; <#pad> "{filler}" .'.encode()


def _put(agent: Agent, root: str, name: str, body: bytes) -> int:
    if not name.startswith("large"):
        return agent.put(root + name, body).status_code
    pieces = (body[at : at + 65536] for at in range(0, len(body), 65536))
    headers = {"Content-Type": "application/octet-stream"}
    return agent.ask("PUT", root + name, content=pieces, headers=headers).status_code


def _refused_well(tally: Tally) -> list[Row]:
    statuses = ", ".join(f"{count:,} of {status}" for status, count in sorted(tally.statuses.items()))
    whole = set(tally.statuses) <= {201, 204, 507}
    refused = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.refusals.items()))
    return [claim("every refusal is 507", whole and tally.statuses[507] > 0, statuses), Row("refused", refused)]


def _whole(agent: Agent, root: str, tally: Tally, when: str) -> list[Row]:
    """What is kept reads as it was acknowledged, is listed, and nothing else is there."""
    listing = agent.get(root, headers={"Accept": "application/n-triples"}).text
    contains = "<http://www.w3.org/ns/ldp#contains> <"
    listed = {
        line.split(contains)[1].split(">")[0].removeprefix(root) for line in listing.splitlines() if contains in line
    }
    hurt = [name for name, body in tally.kept.items() if agent.get(root + name).content != body]
    ghosts = [name for name in sorted(tally.refused) if agent.get(root + name).status_code != 404]
    return [
        none_of(f"of {len(tally.kept):,} documents, unreadable or changed {when}", len(hurt)),
        none_of(f"half made, or listed wrongly, {when}", len(ghosts) + len(listed ^ tally.kept.keys())),
    ]


def _deleting(agent: Agent, root: str, tally: Tally) -> list[Row]:
    """A citizen on a full disk deletes: either it works, or it is refused as everything else is."""
    names = [name for name in tally.kept if name.startswith("large")]
    told = Counter[int]()
    for name in names[:3]:
        status = agent.ask("DELETE", root + name).status_code
        told[status] += 1
        if status < 300:
            del tally.kept[name]
            tally.refused.add(name)
    figure = ", ".join(f"{count} of {status}" for status, count in told.items()) or "none to delete"
    return [claim("deleting on a full disk works or is 507", set(told) <= {200, 204, 205, 507}, figure)]


def _left_behind(folder: Path) -> Row:
    """Files of bodies that no document names: a refused upload must not keep the room that it was refused for."""
    import apsw

    count = 0
    for pod in (folder / "data" / "pods").glob("*/*/pod.sqlite"):
        connection = apsw.Connection(str(pod), flags=apsw.SQLITE_OPEN_READONLY)
        named = {hash_ for (hash_,) in connection.execute("SELECT hash FROM body WHERE bytes IS NULL")}
        connection.close()
        count += sum(file.name not in named for file in (pod.parent / "bodies").glob("*"))
    return none_of("files left behind by refused uploads", count)


def _verify(folder: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "pod_server", "verify", "--data", str(folder / "data")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if "0 findings" in done.stdout and done.returncode == 0:
        return 0
    sys.stderr.write(done.stdout + done.stderr)
    return max(1, done.stdout.count("\n") - 1)


if __name__ == "__main__":
    print(json.dumps([asdict(row) for row in drill(Path(sys.argv[1]), int(sys.argv[2]))]))
