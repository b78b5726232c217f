"""Where documents go below ``landed/{partner}/{data set}/``: the first segment is the precision.

Called by the mappings and ../siblings.py; the catalogue tells the same rules
to people.  Names come from partners' references, so they are made safe here.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from datetime import date

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def file_name(reference: str) -> str:
    """The reference itself where it is a safe name of at most 64 characters, else a safe form with a short hash.

    The hash keeps two references apart that differ only in what was removed.
    """
    if _SAFE.fullmatch(reference):
        return reference
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", reference, flags=re.ASCII).strip("-.")[:48]
    return f"{kept or 'ref'}-{hashlib.sha256(reference.encode()).hexdigest()[:12]}"


def in_month(precision: str, day: date) -> str:
    """A document for each day, in a container for each month."""
    return f"{precision}/{day.isoformat()[:7]}/{day.isoformat()}.ttl"


def in_year(precision: str, year: int, name: str) -> str:
    """A document for a month or an event, in a container for each year."""
    return f"{precision}/{year:04}/{name}.ttl"


def from_to(source: str, target: str) -> str:
    """The relative IRI of one document as seen from another."""
    return posixpath.relpath(target, posixpath.dirname(source))
