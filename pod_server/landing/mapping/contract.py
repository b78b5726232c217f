"""Energy contracts to documents: the contract, and apart from it how it is paid.

Called by ../transform.py.  The IBAN never stands in the contract's own
document, so that an app that may read the contract does not see it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pod_server.landing.formats.records import Contract, Meter, Service
from pod_server.landing.items import Document
from pod_server.landing.mapping import paths, turtle

SHAPE = "energy-contract"
_PREFIXES = ("saref", "schema", "sd-energy", "xsd")


def documents(contracts: Iterable[Contract]) -> tuple[Document, ...]:
    """One document for each contract, and one for its payment details where they are given."""
    found = []
    for contract in contracts:
        found.append(_contract(contract))
        if contract.iban or contract.payment:
            found.append(_payment(contract))
    return tuple(found)


def _contract(contract: Contract) -> Document:
    services = [(f"#service{number}", service) for number, service in enumerate(contract.services, 1)]
    head = turtle.subject(
        "#it",
        [
            ("a", "sd-energy:Contract"),
            ("schema:identifier", turtle.string(contract.number)),
            ("schema:name", turtle.string(contract.name)),
            ("schema:provider", "<#provider>" if contract.vendor else None),
            ("schema:accountId", turtle.string(contract.account)),
            ("schema:startDate", turtle.day(contract.start)),
            ("schema:endDate", turtle.day(contract.end)),
            ("schema:contactPoint", "<#help>" if contract.help_line else None),
            ("sd-energy:status", turtle.string(contract.status)),
            ("sd-energy:usagePoint", turtle.string(contract.usage_point)),
            ("sd-energy:energyKind", turtle.string(contract.energy)),
            ("sd-energy:subscribedPower", turtle.decimal(contract.power)),
            ("sd-energy:tariffOption", turtle.string(contract.option)),
            ("sd-energy:meter", "<#meter>" if contract.meter else None),
            ("sd-energy:nextReading", turtle.day(contract.next_reading)),
            ("sd-energy:selfReading", turtle.string(contract.self_reading)),
            ("sd-energy:tracking", turtle.string(contract.tracking)),
            ("sd-energy:service", turtle.links([iri for iri, _ in services])),
        ],
    )
    parts = [head, *_around(contract), *(_service(iri, service) for iri, service in services)]
    body = turtle.document(_PREFIXES, [part for part in parts if part])
    return Document(f"contract/{paths.file_name(contract.number)}.ttl", body, SHAPE)


def _around(contract: Contract) -> Iterable[str]:
    if contract.vendor:
        yield turtle.subject(
            "#provider", [("a", "schema:Organization"), ("schema:name", turtle.string(contract.vendor))]
        )
    if contract.help_line:
        yield turtle.subject(
            "#help", [("a", "schema:ContactPoint"), ("schema:telephone", turtle.string(contract.help_line))]
        )
    if contract.meter:
        yield _meter(contract.meter)


def _meter(meter: Meter) -> str:
    return turtle.subject(
        "#meter",
        [
            ("a", "saref:Meter"),
            ("sd-energy:counting", turtle.string(meter.counting)),
            ("sd-energy:dials", turtle.integer(meter.dials)),
            ("sd-energy:lastIndex", turtle.decimal(meter.last_index)),
            ("sd-energy:meterKind", turtle.string(meter.kind)),
            ("sd-energy:yearlyUse", turtle.decimal(meter.yearly)),
        ],
    )


def _service(iri: str, service: Service) -> str:
    return turtle.subject(
        iri,
        [
            ("a", "sd-energy:Service"),
            ("schema:name", turtle.string(service.name)),
            ("schema:startDate", turtle.day(service.start)),
            ("sd-energy:active", turtle.boolean(service.active)),
            ("sd-energy:chosen", turtle.string(service.chosen)),
        ],
    )


def _payment(contract: Contract) -> Document:
    name = paths.file_name(contract.number)
    path = f"payment/{name}.ttl"
    body = turtle.subject(
        "#it",
        [
            ("a", "sd-billing:PaymentTerms"),
            ("sd-billing:paysFor", f"<{paths.from_to(path, f'contract/{name}.ttl')}#it>"),
            ("sd-billing:iban", turtle.string(contract.iban)),
            ("sd-billing:paymentMeans", turtle.string(contract.payment)),
        ],
    )
    return Document(path, turtle.document(("sd-billing",), [body]), SHAPE)
