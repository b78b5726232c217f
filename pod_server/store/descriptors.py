"""How many files this process may hold open, and how they are shared out.

Called by the composition at the start, by the store when it sizes its
caches, and where an opening failed and somebody must be told why.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from dataclasses import dataclass

MOST = 65_536
"""More is never needed, and children that close all they might have inherited would take long."""
OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


@dataclass(frozen=True, slots=True)
class Share:
    """readers: connections that only read, for the host.  writers: writing connections, for each writer thread."""

    readers: int
    writers: int


def raise_limit() -> int:
    """Take as many descriptors as the system gives this process; the limit from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return limit()


def limit() -> int:
    """How many descriptors this process may have."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if soft == resource.RLIM_INFINITY else soft


def share(of: int) -> Share:
    """How many connections the store may keep: at three descriptors each, about half of all; sockets get the rest."""
    return Share(readers=min(256, max(4, of // 10)), writers=min(64, max(2, of // 40)))


def are_exhausted() -> bool:
    """Whether not one more file can be opened right now."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in OUT_OF_DESCRIPTORS
    return False
