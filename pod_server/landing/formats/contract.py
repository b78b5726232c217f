"""The electricity supplier's contract file (pilot layout: a list of one object for each contract).

Called by ../transform.py through LAYOUTS.
"""

from __future__ import annotations

from typing import Any

from pod_server.landing.formats.record import Findings, Record, records
from pod_server.landing.formats.records import Contract, Format, Meter, Service, has_keys
from pod_server.landing.formats.values import (
    between,
    code,
    day,
    iban,
    number,
    phone,
    power,
    text,
    usage_point,
    yes_or_no,
)

REFERENCE = code(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,63}", "letters and digits")


def _read(value: Any, findings: Findings) -> tuple[Contract, ...]:
    found, seen = [], set()
    for row in records(value, "", findings):
        contract = _contract(row)
        if contract is None:
            continue
        if contract.number in seen:
            row.blame("given-twice", "number")
        seen.add(contract.number)
        found.append(contract)
    return tuple(found)


def _contract(row: Record) -> Contract | None:
    number_ = row.need("number", REFERENCE)
    start, end = row.need("start", day), row.may("end", day)
    if start and end and end < start:
        row.blame("reversed-period", "end")
    row.leave("inner-reference", "terminationGrounds")
    statement = row.child("statement")
    found = Contract(
        number=number_ or "",
        vendor=row.may("vendor", text),
        account=row.may("clientId", REFERENCE),
        name=row.may("name", text),
        start=start,
        end=end,
        status=row.may("status", text),
        usage_point=row.may("pdl", usage_point),
        energy=row.may("energie", text),
        help_line=row.may("troubleshootingPhone", phone),
        power=row.may("power", power),
        option=row.may("contractSubcategory1", text),
        meter=_meter(row.child("counter")),
        next_reading=_next_reading(statement),
        self_reading=statement.may("saisieReleveConfiance", text) if statement else None,
        tracking=statement.may("saisieSuiviConso", text) if statement else None,
        services=tuple(_service(inner) for inner in row.children("services")),
        iban=row.may("iban", iban),
        payment=row.may("paymentMeans", text),
    )
    return found if number_ else None


def _meter(row: Record | None) -> Meter | None:
    if row is None:
        return None
    dials = row.may("nombreRoues", between("1", "12"))
    return Meter(
        counting=row.may("comptage", text),
        dials=int(dials) if dials is not None else None,
        last_index=row.may("dernierIndex", between("0", "100000000")),
        kind=row.may("type", text),
        yearly=row.may("annualConsumption", between("0", "100000000", number)),
    )


def _next_reading(row: Record | None) -> Any:
    if row is None:
        return None
    announced = row.may("prochaineReleve", day)
    if announced is not None and row.raw("prochaineDateFermetureReelle") == row.raw("prochaineReleve"):
        row.leave("repeats", "prochaineDateFermetureReelle")
    return announced


def _service(row: Record) -> Service:
    key = "nom" if row.has("nom") else "name"
    row.leave("about-the-offer", "valuesAvailable")
    return Service(
        name=row.need(key, text) or "",
        active=row.may("activ" if row.has("activ") else "status", yes_or_no),
        start=row.may("start", day),
        chosen=row.may("valueSubscribed", text),
    )


def _is_contract(value: Any) -> bool:
    return isinstance(value, list) and (has_keys(value, "pdl") or has_keys(value, "number", "counter"))


LAYOUTS = (Format("supplier-contract", _is_contract, _read),)
