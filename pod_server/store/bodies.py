"""Large bodies in files beside the pod's database, named by the hash of their content within that pod.

A file is written, synced and named before any append speaks of it, and
unlinked after the commit that let it go; a crash in between leaves at most a
file that nobody names, which the next opening sweeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path

from pod_server.errors import StorageFull
from pod_server.store.contract import Body
from pod_server.store.files import make_folder, sync_folder

INLINE_LIMIT = 64 * 1024
"""Bodies up to this size live inside the database."""


def inline(data: bytes) -> Body:
    """A body that is small enough to travel with its append."""
    return Body(hashlib.sha256(data).hexdigest(), len(data), data)


def file_of(pod_folder: Path, hash_: str) -> Path:
    """Where a large body is."""
    return pod_folder / "bodies" / hash_


class FileSink:
    """A large body on its way in; see contract.BodySink."""

    def __init__(self, pod_folder: Path) -> None:
        self._folder = pod_folder / "bodies"
        make_folder(self._folder)
        self._path = self._folder / f".incoming-{secrets.token_urlsafe(12)}"
        self._file = self._path.open("wb", buffering=256 * 1024)
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, piece: bytes) -> None:
        """Add a piece.  Raises StorageFull, after which the sink is abandoned."""
        self._hash.update(piece)
        self._size += len(piece)
        try:
            self._file.write(piece)
        except OSError as error:
            self.abandon()
            raise _full(error) from None

    async def finish(self) -> Body:
        """Sync the bytes, give them their name, sync the folder; on a thread, since a sync may take long."""
        return await asyncio.get_running_loop().run_in_executor(None, self._finish)

    def _finish(self) -> Body:

        name = self._hash.hexdigest()
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._folder / name)
        except OSError as error:
            self.abandon()
            raise _full(error) from None
        sync_folder(self._folder)
        return Body(name, self._size, None)

    def abandon(self) -> None:
        """Forget everything written."""
        with contextlib.suppress(OSError):  # the buffered rest does not fit either; the file goes anyway
            self._file.close()
        self._path.unlink(missing_ok=True)


def _full(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull("The disk has no room for this body; nothing was changed.")
    return error
