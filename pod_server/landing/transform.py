"""One item to documents: detect the layout, read it strictly, map it, check it by shape.  Pure.

Called by the landing engine inside a worker process that may be forbidden to
open files: ``preload`` reads the shapes beforehand.  An item is taken whole
or refused whole; nothing here writes, and nothing a payload says is trusted
before its shape has held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NoReturn

from pod_server.errors import Invalid
from pod_server.landing.formats import bill as bill_format
from pod_server.landing.formats import claim as claim_format
from pod_server.landing.formats import contract as contract_format
from pod_server.landing.formats import geolocation as geolocation_format
from pod_server.landing.formats import load_curve as load_curve_format
from pod_server.landing.formats import values
from pod_server.landing.formats.record import Findings
from pod_server.landing.formats.records import Format
from pod_server.landing.formats.sayings import fault
from pod_server.landing.formats.strict import load
from pod_server.landing.items import Document, Fault, Item, Sibling, Transformed
from pod_server.landing.mapping import bill, claim, contract, geolocation, load_curve
from pod_server.rdf import Syntax, parse, shipped
from pod_server.shacl import Shapes, load_shapes, path_text, validate

_BASE = "https://pod.invalid/landed/"
_SHOWN = 50

Days = Callable[[Any], list[date]]
Written = tuple[tuple[Document, ...], tuple[Sibling, ...]]


@dataclass(frozen=True, slots=True)
class _Way:
    """How one data set is read and written; series are held to the period that the item announces."""

    layouts: tuple[Format, ...]
    write: Callable[[Any], Written]
    days_of: Days
    shape: str
    series: bool = False


def _alone(write: Callable[[Any], tuple[Document, ...]]) -> Callable[[Any], Written]:
    return lambda records: (write(records), ())


def _no_days(_: Any) -> list[date]:
    return []


_WAYS = {
    "load-curve": _Way(
        load_curve_format.LAYOUTS, load_curve.documents, load_curve.days_of, load_curve.SHAPE, series=True
    ),
    "geolocation": _Way(
        geolocation_format.LAYOUTS,
        _alone(geolocation.documents),
        geolocation.days_of,
        geolocation.SHAPE,
        series=True,
    ),
    "bill": _Way(bill_format.LAYOUTS, _alone(bill.documents), bill.days_of, bill.SHAPE),
    "energy-contract": _Way(contract_format.LAYOUTS, _alone(contract.documents), _no_days, contract.SHAPE),
    "insurance-claim": _Way(claim_format.LAYOUTS, _alone(claim.documents), claim.days_of, claim.SHAPE),
}
LAYOUTS = {data_set: tuple(layout.name for layout in way.layouts) for data_set, way in _WAYS.items()}
"""Data set id -> the names of the layouts that are taken."""


@lru_cache(maxsize=len(_WAYS))
def _shapes(name: str) -> Shapes:
    return load_shapes(shipped("shapes", f"{name}.ttl").read_bytes())


def preload() -> None:
    """Read every shape and every table once, so that ``transform`` opens no file afterwards."""
    for way in _WAYS.values():
        _shapes(way.shape)
    values.iban("FR1420041010050500013M02606")


def transform(item: Item) -> Transformed:
    """The documents of one item, with what was repaired and left out on the way.

    Raises Invalid when anything is wrong, with fields report (at most 50
    faults, as dicts), french (the sentence for the citizen) and coverage
    (leaf values by what became of them).
    """
    way = _WAYS.get(item.data_set)
    if way is None:
        _refuse([fault("unknown-layout", "", item.data_set, expected=", ".join(_WAYS))])
    if item.media_type.split(";", 1)[0].strip().lower() not in ("application/json", "text/json"):
        _refuse([fault("wrong-media-type", "", item.media_type, expected="application/json")])
    value, wrong = load(item.payload)
    if wrong is not None:
        _refuse([wrong])
    layout = next((layout for layout in way.layouts if layout.recognises(value)), None)
    if layout is None:
        _refuse([_unknown(value, way.layouts)])
    return _read_and_write(item, way, layout, value)


def _unknown(value: Any, layouts: Sequence[Format]) -> Fault:
    if value == []:
        return fault("no-records", "", "")
    return fault("unknown-layout", "", "", expected=", ".join(layout.name for layout in layouts))


def _read_and_write(item: Item, way: _Way, layout: Format, value: Any) -> Transformed:
    findings = Findings(value)
    records = layout.read(value, findings)
    days = way.days_of(records)
    if way.series:
        _hold_to_period(item.period, days, findings)
    documents, siblings = _written(way, records, findings)
    findings.close()
    if findings.refused:
        _refuse(findings.faults, findings.coverage)
    return Transformed(
        documents=documents,
        siblings=siblings,
        repaired=findings.repaired,
        left_out=findings.left_out,
        mapped=findings.coverage["mapped"],
        first_day=days[0].isoformat() if days else None,
        last_day=days[-1].isoformat() if days else None,
    )


def _written(way: _Way, records: Any, findings: Findings) -> Written:
    if findings.refused:
        return (), ()
    documents, siblings = way.write(records)
    if not documents:
        findings.blame("no-records", "", {})
    elif len({document.path for document in documents}) < len(documents):
        findings.blame("several-meters" if way.series else "given-twice", "", {})
    else:
        for document in documents:
            _check(document, findings)
    return documents, siblings


def _check(document: Document, findings: Findings) -> None:
    base = _BASE + document.path
    report = validate(_shapes(document.shape), parse(document.body, Syntax.TURTLE, base))
    if report.conforms:
        return
    for result in report.results:
        path = path_text(result.path) if result.path is not None else ""
        where = f"{document.path} {_short(result.focus, base)} {_short(path, base)}".strip()
        findings.blame_shape(where, _short(result.value, base), result.text("en"), result.text("fr"))


def _short(term: Any, base: str) -> str:
    if term is None:
        return ""
    written = str(getattr(term, "value", term)).removeprefix(base)
    return written.rsplit("#", 1)[-1] if written.startswith("http") else written


def _hold_to_period(period: str, days: Iterable[date], findings: Findings) -> None:
    announced = covered(period)
    if announced is None:
        findings.blame("outside-period", "period", {}, {"period": period})
        return
    first, last = announced
    for of in days:
        if not first <= of <= last:
            findings.blame("outside-period", of.isoformat(), {}, {"period": period})


def covered(period: str) -> tuple[date, date] | None:
    """The first and last day of a period: a day, a month, a year, or from/until; None when it is none of these.

    The end of a "from/until" is not part of it.
    """
    start, slash, until = period.partition("/")
    try:
        if slash:
            return date.fromisoformat(start), date.fromisoformat(until) - timedelta(days=1)
        return _calendar(start)
    except (ValueError, OverflowError):
        return None


def _calendar(period: str) -> tuple[date, date] | None:
    if len(period) == 10:
        return date.fromisoformat(period), date.fromisoformat(period)
    if len(period) == 7:
        first = date.fromisoformat(f"{period}-01")
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        return first, after - timedelta(days=1)
    if len(period) == 4:
        return date(int(period), 1, 1), date(int(period), 12, 31)
    return None


def _refuse(faults: Sequence[Fault], coverage: dict[str, int] | None = None) -> NoReturn:
    first = faults[0]
    more = (coverage or {}).get("faults", len(faults)) - 1
    where = f" ({first.where})" if first.where else ""
    raise Invalid(
        f"{first.english}{where}" + (f" And {more} more." if more > 0 else ""),
        report=[asdict(found) for found in faults[:_SHOWN]],
        french=f"{first.french}{where}" + (f" Et {more} autre(s)." if more > 0 else ""),
        coverage=coverage or {},
    )
