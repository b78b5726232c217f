"""A hundred power cuts at random moments under eight writers: what was acknowledged is on the disk."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path as FilePath

from bench.rows import Row, none_of
from contracts.test_store import POD, change, document, genesis, read
from lossy import LossyDisk

from pod_server.store.sqlite import SqliteStore

CUTS = 100
WRITERS = 8
WRITES = 250


@dataclass(frozen=True, slots=True)
class Cut:
    """What was acknowledged before a moment, and what the disk would hold after a cut at it."""

    acknowledged: tuple[int, ...]
    durable: dict[str, bytes]


class CutDisk(LossyDisk):
    """A lossy disk that notes, at random syncs, what a cut just before the sync would leave."""

    def __init__(self, name: str, dice: random.Random, acknowledged: list[int]) -> None:
        super().__init__(name)
        self.cuts: list[Cut] = []
        self._dice = dice
        self._acknowledged = acknowledged

    def synced(self, filename: str) -> None:
        """Perhaps cut before the sync counts, perhaps after: acknowledgements first, they may grow meanwhile."""
        chance = self._dice.random()
        if chance < 0.2:
            self.cuts.append(Cut(tuple(self._acknowledged), dict(self.durable)))
        super().synced(filename)
        if chance > 0.8:
            self.cuts.append(Cut(tuple(self._acknowledged), dict(self.durable)))


def run(random_seed: int) -> list[Row]:
    """Write, cut, look."""
    dice = random.Random(random_seed)
    place = FilePath(tempfile.mkdtemp(prefix="soak-power-"))
    (place / "data").mkdir()
    try:
        cuts = asyncio.run(_written(place / "data", dice, f"cut-{random_seed}"))
        chosen = dice.sample(cuts, min(CUTS, len(cuts)))
        toll: Counter[str] = Counter()
        for number, cut in enumerate(chosen):
            _left_of(cut, place / "data", place / f"cut{number}")
            toll += asyncio.run(_looked_at(place / f"cut{number}", cut))
            shutil.rmtree(place / f"cut{number}")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return [
        Row("power cuts, at random moments before and after syncs", str(len(chosen)), str(CUTS), len(chosen) == CUTS),
        Row("acknowledged writes looked for", f"{sum(len(cut.acknowledged) for cut in chosen):,}"),
        none_of("acknowledged writes lost", toll["lost"]),
        none_of("torn", toll["torn"]),
        none_of("findings of verify", toll["findings"]),
    ]


def _body(name: int) -> bytes:
    return b"%d " % name * (50 + name % 400)


async def _written(root: FilePath, dice: random.Random, name: str) -> list[Cut]:
    store = SqliteStore(root, time.time)
    store.create(POD, genesis())
    await store.close()
    acknowledged: list[int] = []
    disk = CutDisk(name, dice, acknowledged)
    disk.durable = _files(root)
    store = SqliteStore(root, time.time, vfs=name)

    async def writer(who: int) -> None:
        for number in range(WRITES):
            await store.append(POD, change(document(f"/w{who * 1000 + number}", _body(who * 1000 + number))))
            acknowledged.append(who * 1000 + number)
            if dice.random() < 0.3:
                await asyncio.sleep(dice.random() * 0.003)

    await asyncio.gather(*(writer(who) for who in range(WRITERS)))
    await store.close()
    return disk.cuts


def _files(root: FilePath) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in root.rglob("pod.sqlite*")}


def _left_of(cut: Cut, root: FilePath, target: FilePath) -> None:
    """Write what a cut left of everything below root into another folder."""
    for filename, content in cut.durable.items():
        copy = target / FilePath(filename).relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(content)


async def _looked_at(target: FilePath, cut: Cut) -> Counter[str]:
    """Open what a cut left, and count what is wrong with it."""
    store, toll = SqliteStore(target, time.time), Counter[str]()
    try:
        toll["findings"] = len(store.verify(POD))
        for name in cut.acknowledged:
            found = read(store, f"/w{name}")
            toll["lost" if found is None else "torn"] += found != _body(name)
    finally:
        await store.close()
    return toll
