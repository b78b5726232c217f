"""Large bodies in files beside the pod's database, named by the hash of their content within that pod.

A file is written, synced and named before any append speaks of it, and
unlinked after the commit that let it go; a crash in between leaves at most a
file that nobody names, which is swept an hour later.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from pod_server.store.contract import Body
from pod_server.store.files import make_folder, refusal, sync_folder, syncing

INLINE_LIMIT = 64 * 1024
"""Bodies up to this size live inside the database."""
KEEP_UNNAMED_SECONDS = 3600.0
"""An upload under way, or one that waits for its append, is younger than this."""


def inline(data: bytes) -> Body:
    """A body that is small enough to travel with its append."""
    return Body(hashlib.sha256(data).hexdigest(), len(data), data)


def file_of(pod_folder: Path, hash_: str) -> Path:
    """Where a large body is."""
    return pod_folder / "bodies" / hash_


def left_over(pod_folder: Path, now: float, is_named: Callable[[str], bool]) -> Iterator[Path]:
    """Files of bodies that nobody names and that no upload under way can still need.  now: seconds since 1970."""
    folder = pod_folder / "bodies"
    for file in folder.iterdir() if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if not is_named(file.name) and now - file.stat().st_mtime > KEEP_UNNAMED_SECONDS:
                yield file


class FileSink:
    """A large body on its way in; see contract.BodySink.  fatal: ends the process when a sync failed."""

    def __init__(self, pod_folder: Path, fatal: Callable[[str], None]) -> None:
        self._folder = pod_folder / "bodies"
        self._fatal = fatal
        self._path = self._folder / f".incoming-{secrets.token_urlsafe(12)}"
        try:
            make_folder(self._folder)
            self._file = self._path.open("wb", buffering=256 * 1024)
        except OSError as error:
            raise refusal(error) from None
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
            raise refusal(error) from None

    async def finish(self) -> Body:
        """Sync the bytes, give them their name, sync the folder; on a thread, since a sync may take long."""
        return await asyncio.get_running_loop().run_in_executor(None, self._finish)

    def _finish(self) -> Body:
        name = self._hash.hexdigest()
        try:
            self._file.flush()
            with syncing(self._fatal):
                os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._folder / name)
            with syncing(self._fatal):
                sync_folder(self._folder)
        except OSError as error:
            self.abandon()
            raise refusal(error) from None
        return Body(name, self._size, None)

    def abandon(self) -> None:
        """Forget everything written."""
        with contextlib.suppress(OSError):  # the buffered rest does not fit either; the file goes anyway
            self._file.close()
        self._path.unlink(missing_ok=True)
