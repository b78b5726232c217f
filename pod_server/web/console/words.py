"""What the pages say, in English and French: the phrases of words.toml, chosen by language and count.

Called by the templates through frame.py.  Phrases are data, for translators;
they never hold markup, so that everything put into one is escaped with it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

LANGUAGES: Final = ("en", "fr")
_GLUED = re.compile(" (?=[;:?!»])|(?<=«) ")


def _read() -> Mapping[str, tuple[str, str]]:
    content = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
    return MappingProxyType({key: (english, unbroken(french)) for key, (english, french) in content.items()})


def unbroken(french: str) -> str:
    """French with the spaces that no line may break at: before ; : ? ! and inside quotation marks."""
    return _GLUED.sub("\u00a0", french)


WORDS: Final = _read()
"""Every phrase by its key: English, French."""


def say(language: str, key: str, **values: object) -> str:
    """A phrase in a language, its values filled in; a key that is missing is a fault of the page."""
    return WORDS[key][LANGUAGES.index(language)].format(**values)


def say_count(language: str, key: str, count: int, **values: object) -> str:
    """A phrase about a number of things: French counts zero as one."""
    single = count == 1 or (language == "fr" and count == 0)
    return say(language, f"{key}.{'one' if single else 'many'}", count=number(language, count), **values)


def number(language: str, value: int) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}".replace(",", "\u202f") if language == "fr" else f"{value:,}"
