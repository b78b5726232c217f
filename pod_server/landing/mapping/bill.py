"""Bills to documents: one each, with the consumptions it charges.

Called by ../transform.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from pod_server.landing.formats.records import Bill, Consumption
from pod_server.landing.items import Document
from pod_server.landing.mapping import paths, turtle

SHAPE = "bill"
_PREFIXES = ("dct", "qudt", "schema", "sd-billing", "unit", "xsd")


def documents(bills: Iterable[Bill]) -> tuple[Document, ...]:
    """One document for each bill."""
    return tuple(_bill(bill) for bill in bills)


def days_of(bills: Iterable[Bill]) -> list[date]:
    """Every day that the bills speak of: issued, or charged from and to."""
    found: set[date] = set()
    for bill in bills:
        found.add(bill.issued)
        for charged in bill.consumptions:
            found |= {charged.start, charged.end}
    return sorted(found)


def _bill(bill: Bill) -> Document:
    charged = [(f"#use{number}", use) for number, use in enumerate(bill.consumptions, 1)]
    head = turtle.subject(
        "#it",
        [
            ("a", "schema:Invoice"),
            ("schema:identifier", turtle.string(bill.number)),
            ("dct:issued", turtle.day(bill.issued)),
            ("schema:description", turtle.string(bill.title)),
            ("schema:provider", "<#provider>" if bill.vendor else None),
            ("schema:accountId", turtle.string(bill.account)),
            ("sd-billing:amount", "<#amount>"),
            ("sd-billing:balanceBefore", "<#before>" if bill.before is not None else None),
            ("schema:totalPaymentDue", "<#due>" if bill.due is not None else None),
            ("schema:paymentDueDate", turtle.day(bill.payable)),
            ("schema:scheduledPaymentDate", turtle.day(bill.scheduled)),
            ("sd-billing:charges", turtle.links([iri for iri, _ in charged])),
        ],
    )
    parts = [head, *_around(bill), *(_use(iri, use) for iri, use in charged)]
    body = turtle.document(_PREFIXES, [part for part in parts if part])
    return Document(paths.in_year("bill", bill.issued.year, paths.file_name(bill.number)), body, SHAPE)


def _around(bill: Bill) -> Iterable[str]:
    yield _money("#amount", bill.amount)
    if bill.before is not None:
        yield _money("#before", bill.before)
    if bill.due is not None:
        yield _money("#due", bill.due)
    if bill.vendor:
        yield turtle.subject("#provider", [("a", "schema:Organization"), ("schema:name", turtle.string(bill.vendor))])


def _money(iri: str, amount: Decimal) -> str:
    value = turtle.decimal(amount)
    return turtle.subject(iri, [("a", "schema:MonetaryAmount"), ("schema:value", value), ("schema:currency", '"EUR"')])


def _use(iri: str, use: Consumption) -> str:
    return turtle.subject(
        iri,
        [
            ("a", "sd-billing:Consumption"),
            ("schema:startDate", turtle.day(use.start)),
            ("schema:endDate", turtle.day(use.end)),
            ("qudt:numericValue", turtle.decimal(use.kilowatt_hours)),
            ("qudt:hasUnit", "unit:KiloW-HR"),
            ("sd-billing:contractNumber", turtle.string(use.contract)),
            ("sd-billing:readingKind", turtle.string(use.kind)),
            ("sd-billing:readingCategory", turtle.string(use.category)),
            ("sd-billing:readingReason", turtle.string(use.reason)),
        ],
    )
