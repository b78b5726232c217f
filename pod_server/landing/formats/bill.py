"""The electricity supplier's bills, alone or with the consumptions they charge (pilot layout).

Called by ../transform.py through LAYOUTS.  Amounts are euros and energies are
kilowatt-hours: the supplier bills in nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pod_server.landing.formats.contract import REFERENCE
from pod_server.landing.formats.record import Findings, Record, records
from pod_server.landing.formats.records import Bill, Consumption, Format, first_of, has_keys
from pod_server.landing.formats.values import amount, between, day, one_of, text


def _read(value: Any, findings: Findings) -> tuple[Bill, ...]:
    rows = records(value, "", findings)
    bills: dict[str, Bill] = {}
    for row in rows:
        if not _is_consumption(row) and (bill := _bill(row)) is not None:
            if bill.number in bills:
                row.blame("given-twice", "number")
            bills[bill.number] = bill
    named = {given.strip() for row in rows if isinstance(given := row.raw("number"), str)}
    for row in rows:
        if _is_consumption(row):
            _charge(row, bills, named)
    return tuple(bills.values())


def _is_consumption(row: Record) -> bool:
    return row.has("billNumber")


def _bill(row: Record) -> Bill | None:
    row.leave("inner-reference", "pdfurl")
    row.leave("about-the-software", "docType", "docTypeVersion")
    number, issued, total = row.need("number", REFERENCE), row.need("date", day), row.need("value", amount)
    about: dict[str, Any] = {
        "vendor": row.may("vendor", text),
        "account": row.may("clientId", REFERENCE),
        "title": row.may("title", text),
        "due": row.may("totalPaymentDue", amount),
        "before": row.may("balanceBeforeInvoice", amount),
        "payable": row.may("paymentDueDate", day),
        "scheduled": row.may("scheduledPaymentDate", day),
    }
    if number is None or issued is None or total is None:
        return None
    return Bill(number, issued, total, **about)


def _charge(row: Record, bills: dict[str, Bill], named: set[str]) -> None:
    row.may("docType", one_of("ConsumptionStatement", "org.fing.mesinfos.consumptionstatement"))
    row.leave("about-the-software", "docTypeVersion")
    number = row.need("billNumber", REFERENCE)
    start, end = row.need("start", day), row.need("end", day)
    energy = row.need("value", between("0", "10000000"))
    about = {
        "contract": row.may("contractNumber", REFERENCE),
        "kind": row.may("statementType", text),
        "category": row.may("statementCategory", text),
        "reason": row.may("statementReason", text),
    }
    if number is not None and number not in named:
        row.blame("bill-unknown", "billNumber")
    elif start and end and end < start:
        row.blame("reversed-period", "end")
    elif number in bills and start and end and energy is not None:
        charged = Consumption(start, end, energy, **about)
        bills[number] = replace(bills[number], consumptions=(*bills[number].consumptions, charged))


def _is_bills(value: Any) -> bool:
    first = first_of(value)
    return (
        isinstance(value, list)
        and isinstance(first, dict)
        and (has_keys(value, "number", "date") or has_keys(value, "billNumber", "value"))
    )


LAYOUTS = (Format("supplier-bill", _is_bills, _read),)
