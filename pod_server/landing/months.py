"""When a month's total is told: once the month is over, and never before.

A total that grows with each night's delivery tells, to whoever reads it every
night, each day's value: a grant of months would be one of days.  Called by
work.py, which holds back what is not over, and by deliveries.py, which finds
the months that are over since and were held back.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pod_server.landing.items import Sibling
from pod_server.landing.mapping.load_curve import DAY_TOTALS
from pod_server.landing.siblings import MONTH_TOTALS, month_row, months_of_year
from pod_server.store.contract import Entry, Snapshot
from pod_server.terms import Path


def is_told(sibling: Sibling, today: date) -> bool:
    """Whether a contribution may be written: a month's is told from the first day after that month."""
    if sibling.kind != MONTH_TOTALS:
        return True
    return all(_is_over(month, today) for month, _ in sibling.contributions)


def _is_over(month: str, today: date) -> bool:
    return month < today.isoformat()[:7]


def held_back(snapshot: Snapshot, folder: str, sibling: Sibling, today: date) -> Iterator[tuple[Entry, Sibling]]:
    """Daily totals of months that are over and not told yet, of this year and the last, as siblings without news.

    folder: ``/landed/{partner}/{data set}/``.  Each comes with the entry of
    its document, so that the caller can see whose it is.
    """
    if sibling.kind != DAY_TOTALS:
        return
    year = int(sibling.path.split("/")[1])
    for each in (year - 1, year):
        told = snapshot.entry(Path(folder + months_of_year(each)))
        body = b"" if told is None else snapshot.body(told)
        for entry in snapshot.children(Path(f"{folder}day/{each:04}/")):
            month = entry.path[-11:-4]
            if _is_over(month, today) and f"<{month_row(month)}>".encode() not in body:
                yield entry, Sibling(entry.path.removeprefix(folder), DAY_TOTALS, (), sibling.shape)
