"""Where vocab/ and shapes/ are: inside the installed package, else beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent


def shipped(folder: str, name: str = "") -> Path:
    """The path of a file (or of the folder, when name is empty) below ``vocab`` or ``shapes``.

    Raises FileNotFoundError when neither the package nor the checkout has it.
    """
    for root in (_PACKAGE, _PACKAGE.parent):
        found = root / folder / name
        if found.exists():
            return found
    raise FileNotFoundError(f"{folder}/{name}")
