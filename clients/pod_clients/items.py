"""What a partner sends and gets back: items, verdicts, and how files become items.

Used by partner.py and the command line.  A file's bytes are cut, never
rewritten: what the host keeps the hash of is what the partner wrote.
"""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pod_clients.errors import ClientError

ITEMS_A_REQUEST: Final = 200
BYTES_A_REQUEST: Final = 4 * 1024 * 1024
BYTES_A_LINE: Final = 8 * 1024 * 1024
GOOD: Final = frozenset(("landed", "unchanged", "rectified", "would-land"))
"""The outcomes after which an item needs no more care."""
READY: Final = (".ndjson", ".jsonl")
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to deliver: for a link, of a data set, for a period, in a version.

    payload: the partner's own file bytes.  link, data_set, period and version
    together make a delivery idempotent.
    """

    link: str
    data_set: str
    period: str
    version: str
    payload: bytes = field(repr=False)
    media_type: str = "application/json"

    def line(self) -> bytes:
        """The item as a line of a delivery, line end included."""
        document: dict[str, str] = {
            "link": self.link,
            "data_set": self.data_set,
            "period": self.period,
            "version": self.version,
            "media_type": self.media_type,
        }
        try:
            document["text"] = self.payload.decode()
        except UnicodeDecodeError:
            document["base64"] = base64.b64encode(self.payload).decode()
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"

    @property
    def source(self) -> str:
        """SHA-256 (hex) of the payload, as verdicts tell it."""
        return hashlib.sha256(self.payload).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an item.

    outcome: the host's word, or "refused" when the host would not even read
    the line.  english, french: a sentence for people when it is not good.
    faults: each with code, where, value, english and french.
    """

    item: Item = field(repr=False)
    outcome: str
    english: str = ""
    french: str = ""
    faults: tuple[Mapping[str, Any], ...] = ()
    repaired: int = 0
    left_out: int = 0
    content: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the item needs no more care."""
        return self.outcome in GOOD

    def dead_letter(self) -> bytes:
        """The item as a line that can be mended and sent again, with why it was not taken."""
        document = json.loads(self.item.line())
        document["verdict"] = {
            "outcome": self.outcome,
            "english": self.english,
            "french": self.french,
            "faults": list(self.faults),
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Split:
    """How a file of many records is cut: a JSON array, by the first characters of a field of its records."""

    field: str
    length: int


@dataclass(frozen=True, slots=True)
class Heading:
    """What a file does not say of itself.

    period: None takes a file's name without its ending.  version: opaque; a
    correction needs a new one.
    """

    link: str
    data_set: str
    period: str | None = None
    version: str = "1"


def read_items(path: Path, heading: Heading, split: Split | None = None) -> Iterator[Item]:
    """The items of a file, of a folder of files (by name), or of lines that are ready items.  Raises ClientError."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                yield from read_items(file, heading, split)
    elif not path.is_file():
        raise ClientError(f"There is no file {path}.")
    elif path.suffix.lower() in READY:
        yield from _ready(path, heading)
    else:
        media_type = mimetypes.guess_type(path.name)[0] or "application/json"
        yield from items_of(path.read_bytes(), heading, split, name=path.stem, media_type=media_type)


def items_of(
    payload: bytes,
    heading: Heading,
    split: Split | None = None,
    *,
    name: str = "",
    media_type: str = "application/json",
) -> Iterator[Item]:
    """The items of a file's bytes: one, or one for each part that the split tells apart.

    name: the period to take when the heading has none.  What cannot be cut
    as the split says goes whole, so that the host can say what is wrong.
    """
    parts = cut(payload, split) if split is not None else None
    whole = heading.period or name
    if not whole and parts is None:
        raise ClientError("The period of this file is not known; give one.")
    for period, part in parts if parts is not None else [(whole, payload)]:
        yield Item(heading.link, heading.data_set, period, heading.version, part, media_type)


def cut(payload: bytes, split: Split) -> list[tuple[str, bytes]] | None:
    """Period and bytes of each part, in order of first appearance; None when the file is not such an array."""
    try:
        text = payload.decode()
        records = list(_records(text))
    except (ValueError, RecursionError):
        return None
    parts: dict[str, list[str]] = {}
    for value, written in records:
        key = value.get(split.field) if isinstance(value, dict) else None
        if not isinstance(key, str) or len(key) < split.length:
            return None
        parts.setdefault(key[: split.length], []).append(written)
    return [(period, f"[{','.join(written)}]".encode()) for period, written in parts.items()] or None


def _records(text: str) -> Iterator[tuple[Any, str]]:
    """Each element of a JSON array that has some, and the text it was written in; else raises ValueError."""
    decoder = json.JSONDecoder()
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("not an array")
    mark = ","
    while mark == ",":
        at = _after_space(text, at + 1)
        value, end = decoder.raw_decode(text, at)
        yield value, text[at:end]
        at = _after_space(text, end)
        mark = text[at : at + 1]
    if mark != "]" or _after_space(text, at + 1) != len(text):
        raise ValueError("more than an array")


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _ready(path: Path, heading: Heading) -> Iterator[Item]:
    with path.open("rb") as source:
        for number, line in enumerate(source, 1):
            if line.strip():
                yield item_of(line, heading, f"{path}, line {number}")


def item_of(line: bytes, heading: Heading, where: str) -> Item:
    """A line that is a ready item; what it leaves out comes from the heading.  Raises ClientError naming where."""
    try:
        document = json.loads(line)
        if not isinstance(document, dict):
            raise TypeError("no JSON object")
        payload = _payload(document)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ClientError(f"{where}: this is not an item with its text or base64 ({error}).") from None
    given = {
        name: str(document.get(name) or getattr(heading, name) or "")
        for name in ("link", "data_set", "period", "version")
    }
    lacking = [name for name, value in given.items() if not value]
    if lacking:
        raise ClientError(f"{where}: the item lacks {', '.join(lacking)}.")
    return Item(**given, payload=payload, media_type=str(document.get("media_type", "application/json")))


def _payload(document: Mapping[str, Any]) -> bytes:
    if isinstance(document.get("text"), str):
        return str(document["text"]).encode()
    return base64.b64decode(document["base64"], validate=True)


def batches(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    """The items in requests of at most 200 items and about 4 MB; one that is larger goes alone."""
    batch: list[Item] = []
    size = 0
    for item in items:
        length = len(item.line())
        if batch and (len(batch) >= ITEMS_A_REQUEST or size + length > BYTES_A_REQUEST):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
