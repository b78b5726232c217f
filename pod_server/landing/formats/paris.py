"""Local times of French meters, made instants: two nights of the year need care.

Called by load_curve.py.  It knows the zone of Paris and nothing of files.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

PARIS = ZoneInfo("Europe/Paris")
HALF_HOUR = timedelta(minutes=30)


def midnight(day: date) -> datetime:
    """The instant (UTC) at which a day begins in Paris."""
    return datetime.combine(day, time(), PARIS).astimezone(UTC)


def half_hours(day: date) -> int:
    """How many half-hours the day has: 46 or 50 when clocks change, else 48."""
    return (midnight(day + timedelta(days=1)) - midnight(day)) // HALF_HOUR


def candidates(wall: datetime) -> tuple[datetime, ...]:
    """The instants (UTC) that a wall-clock time in Paris can mean: none, one, or two in order."""
    found = {wall.replace(tzinfo=PARIS, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(at for at in found if at.astimezone(PARIS).replace(tzinfo=None) == wall))


def before_the_gap(wall: datetime) -> datetime | None:
    """The instant (UTC) of a wall-clock time that is the very moment clocks go forward; None for any other.

    An interval that ends at 02:00 on that night ends at 03:00 on the clock,
    and holders write either.
    """
    at = wall.replace(tzinfo=PARIS, fold=0).astimezone(UTC)
    just_before = (at - timedelta(seconds=1)).astimezone(PARIS).replace(tzinfo=None)
    return at if just_before == wall - timedelta(seconds=1) else None
