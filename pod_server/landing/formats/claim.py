"""The insurer's claims, in both variants: a vehicle with its driver, a home with its address (pilot layout).

Called by ../transform.py through LAYOUTS.
"""

from __future__ import annotations

from typing import Any

from pod_server.landing.formats.contract import REFERENCE
from pod_server.landing.formats.record import Findings, Record, records
from pod_server.landing.formats.records import Address, Claim, Format, Person, has_keys
from pod_server.landing.formats.values import code, instant, one_of, postcode, text

VEHICLE = "Vehicule"
HOME = "Habitation"
_PLATE = code(r"[A-Z]{2}-\d{3}-[A-Z]{2}|\d{1,4} ?[A-Z]{2,3} ?\d{2}", "AA-123-AA")


def _read(value: Any, findings: Findings) -> tuple[Claim, ...]:
    found, seen = [], set()
    for row in records(value, "", findings):
        claim = _claim(row)
        if claim is None:
            continue
        if claim.reference in seen:
            row.blame("given-twice", "ref")
        seen.add(claim.reference)
        found.append(claim)
    return tuple(found)


def _claim(row: Record) -> Claim | None:
    row.may("docType", one_of("InsuranceClaim"))
    row.leave("about-the-software", "docTypeVersion")
    reference, at = row.need("ref", REFERENCE), row.need("timestamp", instant)
    kind = row.need("type", one_of(VEHICLE, HOME))
    about: dict[str, Any] = {
        "member": row.may("societaire", REFERENCE),
        "place": row.may("lieuSurvenance", text),
        "place_kind": row.may("typeLieuSurvenance", text),
        "plate": row.may("immatriculationVehicule", _PLATE),
        "driver": _person(row.child("driver")),
        "home": row.may("natureLieu", text),
        "address": _address(row.child("address")),
    }
    if reference is None or at is None or kind is None:
        return None
    return Claim(reference, kind, at, **about)


def _person(row: Record | None) -> Person | None:
    if row is None:
        return None
    return Person(row.may("prefix", text), row.may("family", text), row.may("given", text))


def _address(row: Record | None) -> Address | None:
    if row is None:
        return None
    city = row.may("city", text)
    return Address(row.may("street", text), row.may("postCode", postcode(city)), city, row.may("country", text))


def _is_claim(value: Any) -> bool:
    return isinstance(value, list) and has_keys(value, "ref", "timestamp", "type")


LAYOUTS = (Format("insurer-claim", _is_claim, _read),)
