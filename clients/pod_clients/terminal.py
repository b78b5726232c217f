"""What both command lines say things with.

What comes from a pod or a host is data: no markup, no control characters
reach the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import httpx
from rich.console import Console
from rich.table import Table

from pod_clients.errors import HostError

out = Console(markup=False, highlight=False)
complaints = Console(stderr=True, markup=False, highlight=False)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(value: object) -> str:
    """A value as text that moves no cursor and turns no line around."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(value))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Words in columns, without lines: read aloud, it is its content."""
    made = Table(box=None)
    for column in columns:
        made.add_column(printable(column), overflow="fold")
    for row in rows:
        made.add_row(*map(printable, row))
    return made


def fail(program: str, error: Exception) -> int:
    """Say in one sentence why a command failed; the exit code is 1."""
    if isinstance(error, httpx.HTTPError):
        sentence = f"the host does not answer ({type(error).__name__})."
    elif isinstance(error, HostError) and error.request:
        sentence = f"{error} The host's log has it as {error.request}."
    else:
        sentence = str(error)
    complaints.print(f"{program}: {printable(sentence)}")
    return 1
