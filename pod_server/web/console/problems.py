"""What each kind of refusal means: cause, mend and an example, in English and French, from problems.toml.

Called by doors.py, which serves a page for each, and by frame.py for the
refusals of the citizen's own pages.  The rows are the closed list of
errors.py and "internal"; statuses are not known here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from pod_server.errors import KINDS
from pod_server.web.console.words import unbroken


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence in each language."""

    english: str
    french: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of refusal, told to people.  example: fields that an answer of this kind may carry, as JSON text."""

    kind: str
    title: Told
    cause: Told
    mend: Told
    example: str


def _read() -> Mapping[str, Problem]:
    content = tomllib.loads(Path(__file__).with_name("problems.toml").read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            kind: Problem(kind, _told(row["title"]), _told(row["cause"]), _told(row["mend"]), row["example"])
            for kind, row in content.items()
        }
    )


def _told(pair: Sequence[str]) -> Told:
    return Told(pair[0], unbroken(pair[1]))


PROBLEMS: Final = _read()
"""Every kind of refusal by its name."""

assert set(PROBLEMS) == {kind.kind for kind in KINDS} | {"internal"}, "every kind is told"  # noqa: S101 - at import
