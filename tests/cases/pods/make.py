"""Makes the fixture pod of the present format: run once per format, then kept as it is for ever.

``python tests/cases/pods/make.py v1``: one pod with documents, rules, a
delivery, reads and a large body, written by the code of that day.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from pod_server.store.bodies import inline
from pod_server.store.contract import Append, DeliveryRow, Put, Reading
from pod_server.store.sqlite import SqliteStore
from pod_server.terms import Caller, Kind
from pod_server.terms import Path as PodPath

POD = "0123456789abcdef0123456789abcdef"
ANA = Caller("https://ana.example/profile/card#me", "https://app.example/id", "https://idp.example/")
TURTLE = "text/turtle"
LARGE = bytes(range(256)) * 300


def put(path: str, body: bytes, kind: Kind = Kind.RDF, media_type: str = TURTLE) -> Put:
    """A small resource."""
    return Put(PodPath(path), kind, media_type, inline(body))


async def make(target: Path) -> None:
    """Write the pod and copy its folder."""
    with tempfile.TemporaryDirectory() as work:
        moment = 1700000000.0
        store = SqliteStore(Path(work), lambda: moment + 3600)
        store.create(
            POD, Append(ANA, moment, (Put(PodPath("/"), Kind.CONTAINER, TURTLE), put("/.acl", b"# rules", Kind.POLICY)))
        )  # type: ignore[arg-type]
        row = DeliveryRow("key", "link", "grid", "load-curve", "2023-11-14", "1", "00" * 32, "landed", moment)
        await store.append(
            POD, Append(ANA, moment, (put("/landed/grid/x.ttl", b"<#it> a <#Thing> ."),), deliveries=(row,))
        )  # type: ignore[arg-type]
        await store.append(POD, Append(ANA, moment, (put("/notes/caf%C3%A9", '<> <#p> "é" .'.encode()),)))  # type: ignore[arg-type]
        await store.append(POD, Append(ANA, moment, (put("/notes/.acl", b"# closer rules", Kind.POLICY),)))  # type: ignore[arg-type]
        sink = store.sink(POD)  # type: ignore[arg-type]
        sink.write(LARGE)
        body = await sink.finish()
        await store.append(
            POD, Append(ANA, moment, (Put(PodPath("/big.bin"), Kind.BINARY, "application/octet-stream", body),))
        )  # type: ignore[arg-type]
        store.note(POD, Reading(moment, "https://app.example/#it", None, "read", "/notes/caf%C3%A9"))  # type: ignore[arg-type]
        await asyncio.sleep(0.6)
        await store.close()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(Path(work) / "pods" / POD[:2] / POD, target)


if __name__ == "__main__":
    asyncio.run(make(Path(__file__).parent / sys.argv[1]))
