"""The three layouts of a load curve: the grid operator's of 2017 and of 2023, and the supplier's half-hours.

Called by ../transform.py through LAYOUTS.  It never guesses a missing value:
a gap stays a gap, and the document says how many readings it has.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from pod_server.landing.formats.paris import HALF_HOUR, PARIS, before_the_gap, candidates, midnight
from pod_server.landing.formats.record import Findings, Record, records
from pod_server.landing.formats.records import Curve, Format, Reading, has_keys
from pod_server.landing.formats.values import (
    Bad,
    Converter,
    Good,
    between,
    code,
    day,
    documented,
    instant,
    local,
    number,
    one_of,
    power,
    text,
    usage_point,
)

_WATTS = documented(between("0", "1000000"))
_WATT_HOURS = between("0", "500000")
_COMMUNE = code(r"\d[0-9AB]\d{3}", "five characters (INSEE)")
_COUNT = documented(between("1", "100000", number))


def _exactly(known: str, wrong: str) -> Converter[str]:
    def convert(raw: Any) -> Good[str] | Bad:
        return Good(known) if raw == known else Bad(wrong, {"expected": known})

    return convert


class _Line:
    """The readings of one file on one line of time; each instant once."""

    def __init__(self) -> None:
        self.readings: dict[datetime, Reading] = {}
        self.last: datetime | None = None

    def add(self, record: Record, key: str, start: datetime, watts: Decimal, *, corrected: bool = False) -> None:
        """Put a reading at an instant (UTC), or blame the field that says it twice."""
        if start in self.readings:
            record.blame("same-instant-twice", key)
            return
        self.readings[start] = Reading(start.astimezone(PARIS), watts, corrected)

    def instant_of(self, record: Record, key: str, wall: datetime, told: str) -> datetime | None:
        """The instant (UTC) of a wall-clock time, by the order of the file where it comes twice."""
        found = candidates(wall)
        if not found and (edge := before_the_gap(wall)) is not None:
            found = (edge,)
        if not found:
            record.blame("skipped-hour", key)
            return None
        later = [at for at in found if self.last is None or at > self.last]
        self.last = later[0] if later else found[0]
        record.mend(told, key)
        if len(found) > 1:
            record.mend("repeated-hour", key)
        return self.last

    def sorted(self) -> tuple[Reading, ...]:
        """The readings in order of time."""
        return tuple(self.readings[at] for at in sorted(self.readings))


def _on_step(at: datetime) -> bool:
    return at.minute % 30 == 0 and at.second == 0 and at.microsecond == 0


# The grid operator's layout of 2017: numbered readings without a time.


def _read_2017(value: Any, findings: Findings) -> tuple[Curve, ...]:
    found = []
    for top in records(value, "", findings):
        about = Curve(
            (),
            power=top.may("contract_power", power),
            tariff=top.may("fee_schedule", text),
            commune=top.may("INSEE_code", _COMMUNE),
            processing=top.may("business_step", text),
        )
        for point in top.children("usage_point", needed=True):
            name = point.need("usage_point_id", usage_point)
            found.append(replace(about, readings=_numbered(point), usage_point=name))
    return tuple(found)


def _numbered(point: Record) -> tuple[Reading, ...]:
    meter = point.child("meter_reading", needed=True)
    kind = meter.child("reading_type", needed=True) if meter else None
    if meter is None or kind is None:
        return ()
    start, end = _announced_2017(kind)
    if start is None or end is None:
        return ()
    return _place_numbered(meter.children("interval_block", needed=True), start, end)


def _announced_2017(kind: Record) -> tuple[date | None, date | None]:
    kind.need("measurement_kind", _exactly("CDC", "unknown-type"))
    kind.need("unit", _exactly("W", "unknown-unit"))
    kind.may("flow_direction", _exactly("forward", "unknown-direction"))
    if kind.raw("interval_length") == "":
        kind.mend("empty-step", "interval_length")
    kind.may("interval_length", _exactly("PT30M", "unknown-step"))
    kind.need("time_attribute", _exactly("30mn", "unknown-step"))
    start, end = kind.need("start_measurement_period", day), kind.need("end_measurement_period", day)
    if start is not None and end is not None and not 0 < (end - start).days <= 366:
        kind.blame("reversed-period", "end_measurement_period")
        return None, None
    return start, end


def _place_numbered(rows: list[Record], start: date, end: date) -> tuple[Reading, ...]:
    line = _Line()
    first, past = midnight(start), midnight(end)
    for row in rows:
        place, watts = row.need("reading_number", _COUNT), row.need("value", _WATTS)
        if place is None or watts is None:
            continue
        at = first + (int(place) - 1) * HALF_HOUR
        if place != int(place) or at >= past:
            row.blame("outside-file-period", "reading_number")
            continue
        row.mend("counted-from-midnight", "reading_number")
        line.add(row, "reading_number", at, watts)
    return line.sorted()


# The grid operator's layout of 2023: end-stamped readings in local time.


def _read_v5(value: Any, findings: Findings) -> tuple[Curve, ...]:
    listed = isinstance(value, list)
    tops = records(value, "", findings) if listed else [Record(value, "", findings)]
    meters = [meter for top in tops if (meter := top.child("meter_reading", needed=True)) is not None]
    return tuple(_curve_v5(meter) for meter in meters)


def _curve_v5(meter: Record) -> Curve:
    kind = meter.child("reading_type", needed=True)
    if kind is not None:
        kind.need("unit", _exactly("W", "unknown-unit"))
        kind.may("measurement_kind", _exactly("power", "unknown-type"))
        kind.may("aggregate", _exactly("average", "unknown-type"))
    start, end = meter.may("start", day), meter.may("end", day)
    line = _Line()
    for row in meter.children("interval_reading", needed=True):
        _place_ended(row, line, start, end)
    return Curve(
        line.sorted(),
        usage_point=meter.need("usage_point_id", usage_point),
        processing=meter.may("quality", text),
    )


def _place_ended(row: Record, line: _Line, start: date | None, end: date | None) -> None:
    ended, watts = _instant_ended(row, line), row.need("value", _WATTS)
    row.need("interval_length", _exactly("PT30M", "unknown-step"))
    corrected = row.may("measure_type", code("[BC]", "B, C")) == "C"
    if ended is None or watts is None:
        return
    begun = ended - HALF_HOUR
    if not _on_step(begun):
        row.blame("off-step", "date")
    elif (start and begun < midnight(start)) or (end and begun >= midnight(end)):
        row.blame("outside-file-period", "date")
    else:
        row.mend("end-of-interval", "date")
        line.add(row, "date", begun, watts, corrected=corrected)


def _instant_ended(row: Record, line: _Line) -> datetime | None:
    raw = row.raw("date")
    if isinstance(raw, str) and isinstance(instant(raw), Good):
        told = row.need("date", instant)
        return told.astimezone(UTC) if told else None
    wall = row.need("date", local)
    return line.instant_of(row, "date", wall, "paris-time") if wall is not None else None


# The supplier's half-hours: an energy between two local times, without a unit.


def _read_supplier(value: Any, findings: Findings) -> tuple[Curve, ...]:
    lines: dict[str | None, _Line] = {}
    for row in records(value, "", findings):
        row.may("docType", one_of("org.fing.mesinfos.consumptionstatement"))
        row.need("statementReason", one_of("LinkyHalfHourElecConsumption"))
        row.leave("about-the-software", "docTypeVersion")
        row.leave("about-the-file", "statementType", "statementCategory")
        contract = row.may("contractNumber", code(r"[A-Za-z0-9]{1,32}", "letters and digits"))
        _place_energy(row, lines.setdefault(contract, _Line()))
    return tuple(Curve(line.sorted(), contract=contract) for contract, line in lines.items())


def _place_energy(row: Record, line: _Line) -> None:
    energy = row.need("value", _WATT_HOURS)
    begun = _instant_of_either(row, "start", line)
    ended = row.need("end", local)
    if begun is None or ended is None or energy is None:
        return
    if begun + HALF_HOUR not in _meanings(ended):
        row.blame("unknown-step", "end")
    elif not _on_step(begun):
        row.blame("off-step", "start")
    else:
        row.mend("supplier-paris-time", "end")
        row.mend("unit-absent", "value")
        line.add(row, "start", begun, energy * 2)


def _meanings(wall: datetime) -> tuple[datetime | None, ...]:
    if wall.tzinfo is not None:
        return (wall.astimezone(UTC),)
    return candidates(wall) or (before_the_gap(wall),)


def _instant_of_either(row: Record, key: str, line: _Line) -> datetime | None:
    wall = row.need(key, local)
    if wall is None:
        return None
    if wall.tzinfo is not None:
        return wall.astimezone(UTC)
    return line.instant_of(row, key, wall, "supplier-paris-time")


def _is_2017(value: Any) -> bool:
    return isinstance(value, list) and has_keys(value, "usage_point")


def _is_supplier(value: Any) -> bool:
    return isinstance(value, list) and has_keys(value, "start", "end", "value", "statementReason")


def _is_v5(value: Any) -> bool:
    return has_keys(value, "meter_reading")


LAYOUTS = (
    Format("grid-2017", _is_2017, _read_2017),
    Format("grid-v5", _is_v5, _read_v5),
    Format("supplier-half-hour", _is_supplier, _read_supplier),
)
