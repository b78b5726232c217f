"""Claims to documents: the claim, and apart from it who drove.

Called by ../transform.py.  A driver's name is about somebody who may not be
the citizen, so it goes to ``others/``, which no default grant opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pod_server.landing.formats.claim import VEHICLE
from pod_server.landing.formats.records import Address, Claim, Person
from pod_server.landing.items import Document
from pod_server.landing.mapping import paths, turtle

SHAPE = "insurance-claim"
_PREFIXES = ("schema", "sd-insurance", "xsd")


def documents(claims: Iterable[Claim]) -> tuple[Document, ...]:
    """One document for each claim, and one for the driver where there is one."""
    found = []
    for claim in claims:
        found.append(_claim(claim))
        if claim.driver is not None:
            found.append(_driver(claim, claim.driver))
    return tuple(found)


def days_of(claims: Iterable[Claim]) -> list[date]:
    """The days on which the events happened, in order."""
    return sorted({claim.at.date() for claim in claims})


def _path(precision: str, claim: Claim) -> str:
    return paths.in_year(precision, claim.at.year, paths.file_name(claim.reference))


def _claim(claim: Claim) -> Document:
    placed = claim.place or claim.address or claim.place_kind
    head = turtle.subject(
        "#it",
        [
            ("a", "sd-insurance:VehicleClaim" if claim.kind == VEHICLE else "sd-insurance:HomeClaim"),
            ("schema:identifier", turtle.string(claim.reference)),
            ("schema:startDate", turtle.stamp(claim.at)),
            ("schema:location", "<#place>" if placed else None),
            ("sd-insurance:member", turtle.string(claim.member)),
            ("sd-insurance:plate", turtle.string(claim.plate)),
            ("sd-insurance:homeKind", turtle.string(claim.home)),
        ],
    )
    parts = [head, *(_place(claim) if placed else ())]
    return Document(_path("claim", claim), turtle.document(_PREFIXES, [part for part in parts if part]), SHAPE)


def _place(claim: Claim) -> Iterable[str]:
    yield turtle.subject(
        "#place",
        [
            ("a", "schema:Place"),
            ("schema:name", turtle.string(claim.place)),
            ("schema:address", "<#address>" if claim.address else None),
            ("sd-insurance:placeKind", turtle.string(claim.place_kind)),
        ],
    )
    if claim.address:
        yield _address(claim.address)


def _address(address: Address) -> str:
    return turtle.subject(
        "#address",
        [
            ("a", "schema:PostalAddress"),
            ("schema:streetAddress", turtle.string(address.street)),
            ("schema:postalCode", turtle.string(address.postcode)),
            ("schema:addressLocality", turtle.string(address.city)),
            ("schema:addressCountry", turtle.string(address.country)),
        ],
    )


def _driver(claim: Claim, driver: Person) -> Document:
    path = _path("others", claim)
    body = turtle.subject(
        "#driver",
        [
            ("a", "schema:Person"),
            ("schema:honorificPrefix", turtle.string(driver.prefix)),
            ("schema:familyName", turtle.string(driver.family)),
            ("schema:givenName", turtle.string(driver.given)),
            ("sd-insurance:droveIn", f"<{paths.from_to(path, _path('claim', claim))}#it>"),
        ],
    )
    return Document(path, turtle.document(("schema", "sd-insurance"), [body]), SHAPE)
