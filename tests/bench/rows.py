"""A figure with its bar, and the table of them all; every drill of the soak and every bench gives rows."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.  bar: what it must be, in words; holds: None when it has no bar.  room: who measured it."""

    what: str
    figure: str
    bar: str = ""
    holds: bool | None = None
    room: str = ""


def under(what: str, value: float, most: float, unit: str = "") -> Row:
    """A figure that must stay under a bar."""
    return Row(what, f"{value:.2f} {unit}".strip(), f"< {most:g} {unit}".strip(), value < most)


def none_of(what: str, count: int) -> Row:
    """Something of which there must be none."""
    return Row(what, f"{count:,}", "0", count == 0)


def claim(what: str, holds: bool, figure: str = "") -> Row:
    """Something that must be so."""
    return Row(what, figure or ("yes" if holds else "no"), "yes", holds)


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """Median, and the least and the most."""
    median, least, most = (number(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{median} ({least} to {most}, {len(values)} rounds)"


def gather(rooms: dict[str, Callable[[int], list[Row]]], names: Sequence[str], seed: int) -> list[Row]:
    """The rows of the rooms named, or of all; one that breaks gives a row that does not hold."""
    out, found = Console(stderr=True, highlight=False), list[Row]()
    for name in names or rooms:
        out.print(f"{name} ...")
        try:
            rows = rooms[name](seed)
        except Exception as error:
            out.print_exception()
            rows = [claim("ran to its end", holds=False, figure=f"{type(error).__name__}: {error}"[:300])]
        found += [replace(row, room=name) for row in rows]
    return found


def tell(title: str, rows: Sequence[Row]) -> int:
    """Print the table and what was missed; the exit code."""
    out = Console(highlight=False, width=None if Console().is_terminal else 150)
    table = Table("", "what", "figure", "bar", "", title=title, title_justify="left")
    before = ""
    for row in rows:
        verdict = {None: "", True: "[green]holds", False: "[bold red]MISSED"}[row.holds]
        table.add_row(row.room if row.room != before else "", row.what, row.figure, row.bar, verdict)
        before = row.room
    out.print(table)
    missed = [row for row in rows if row.holds is False]
    out.print(f"{machine()}. {len(missed)} of {sum(row.holds is not None for row in rows)} bars missed.")
    return 1 if missed else 0


def machine() -> str:
    """Where the figures come from."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {system}, Python {platform.python_version()}"
