"""What the readers hand to the mappings: one frozen record for each kind of thing, free of any layout.

Imported by formats/ and mapping/.  Amounts and measures are exact decimals;
None means that the partner said nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from pod_server.landing.formats.record import Findings


@dataclass(frozen=True, slots=True)
class Reading:
    """The average power (W) over the half-hour that begins at start (with the zone of Paris)."""

    start: datetime
    watts: Decimal
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Curve:
    """The load curve of one meter, its readings in order of time."""

    readings: tuple[Reading, ...]
    usage_point: str | None = None
    contract: str | None = None
    commune: str | None = None
    power: Decimal | None = None
    tariff: str | None = None
    processing: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """A service of an energy contract."""

    name: str
    active: bool | None = None
    start: date | None = None
    chosen: str | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """What the contract says about the meter; dials, the index (kWh) last read, the yearly use (kWh)."""

    counting: str | None = None
    dials: int | None = None
    last_index: Decimal | None = None
    kind: str | None = None
    yearly: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Contract:
    """An energy contract; power in kVA."""

    number: str
    vendor: str | None = None
    account: str | None = None
    name: str | None = None
    start: date | None = None
    end: date | None = None
    status: str | None = None
    usage_point: str | None = None
    energy: str | None = None
    help_line: str | None = None
    power: Decimal | None = None
    option: str | None = None
    meter: Meter | None = None
    next_reading: date | None = None
    self_reading: str | None = None
    tracking: str | None = None
    services: tuple[Service, ...] = ()
    iban: str | None = None
    payment: str | None = None


@dataclass(frozen=True, slots=True)
class Consumption:
    """The energy (kWh) that a bill charges, from one day to another."""

    start: date
    end: date
    kilowatt_hours: Decimal
    contract: str | None = None
    kind: str | None = None
    category: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice; amounts in euros."""

    number: str
    issued: date
    amount: Decimal
    vendor: str | None = None
    account: str | None = None
    title: str | None = None
    due: Decimal | None = None
    before: Decimal | None = None
    payable: date | None = None
    scheduled: date | None = None
    consumptions: tuple[Consumption, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """Where a telephone was: degrees (WGS 84), radius of uncertainty in metres."""

    at: datetime
    latitude: Decimal
    longitude: Decimal
    radius: Decimal
    phone: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody else than the citizen, or perhaps the citizen: a claim does not say."""

    prefix: str | None
    family: str | None
    given: str | None


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address."""

    street: str | None
    postcode: str | None
    city: str | None
    country: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim made to an insurer; kind is "Vehicule" or "Habitation"."""

    reference: str
    kind: str
    at: datetime
    member: str | None = None
    place: str | None = None
    place_kind: str | None = None
    plate: str | None = None
    driver: Person | None = None
    home: str | None = None
    address: Address | None = None


Record = Curve | Contract | Bill | Point | Claim


@dataclass(frozen=True, slots=True)
class Format:
    """A layout of a partner's file: how to tell it, and how to read it.

    recognises looks at the JSON value and never fails; read notes its faults
    in the findings and returns what could be read.
    """

    name: str
    recognises: Callable[[Any], bool]
    read: Callable[[Any, Findings], tuple[Record, ...]]


def first_of(value: Any) -> Any:
    """The first entry of a list, or the value itself; None for an empty list."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def has_keys(value: Any, *keys: str) -> bool:
    """True when the value (or its first entry) is an object with all these keys."""
    first = first_of(value)
    return isinstance(first, dict) and all(key in first for key in keys)
