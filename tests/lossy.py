"""A disk that forgets: an SQLite VFS that knows what was synced, and can fail a sync.

Real SQLite on real files; the shim below it keeps, for each file, the bytes
as of its last sync.  What a power cut would leave is those bytes and nothing
else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw


class LossyDisk(apsw.VFS):
    """Registered under its name; durable maps each file to its content as of the last sync."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.durable: dict[str, bytes] = {}
        self.syncs = 0
        self.fail_after: int | None = None
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> LossyFile:  # noqa: N802 - SQLite's own name
        """Open through the shim."""
        return LossyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """A deleted file is gone from the durable state too."""
        super().xDelete(filename, syncdir)
        self.durable.pop(filename, None)

    def synced(self, filename: str) -> None:
        """Take a file's content as durable, or fail as told."""
        self.syncs += 1
        if self.fail_after is not None and self.syncs > self.fail_after:
            failure = apsw.IOError("the disk lost its mind")
            failure.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
            raise failure
        self.durable[filename] = Path(filename).read_bytes()

    def cut_power(self, root: Path, target: Path) -> None:
        """Write what would be left of everything below root into another folder."""
        for filename, content in self.durable.items():
            copy = target / Path(filename).relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)


class LossyFile(apsw.VFSFile):
    """One file of the disk."""

    def __init__(self, disk: LossyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._name = name.filename() if hasattr(name, "filename") else str(name)
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Sync for real, then take note."""
        super().xSync(flags)
        self._disk.synced(self._name)
