"""The data sets that partners can land, one row each, and the same rows as DCAT.

Called by the landing engine, the console and the deliveries route.  Rows are
facts about holders and their files; what is enabled on a host is the
operator's choice and is passed in.  It reads no configuration and no pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urljoin

from pyoxigraph import Literal, NamedNode, Quad

from pod_server.errors import Missing
from pod_server.landing.transform import LAYOUTS
from pod_server.rdf import shipped
from pod_server.rdf.vocabulary import DCAT, DCT, DPV, RDF, SELF_DATA, XSD

__all__ = ["DATA_SETS", "DataSet", "Precision", "Split", "as_statements", "find", "shipped"]

_PD: Final = "https://w3id.org/dpv/pd#"
_GDPR: Final = "https://w3id.org/dpv/legal/eu/gdpr#"
_LANDING: Final = SELF_DATA + "landing#"


@dataclass(frozen=True, slots=True)
class Precision:
    """A grain in which a data set is kept, and so the unit of a grant.

    name: first segment of the documents' paths.  title: by language, "en"
    and "fr".  cadence: ISO 8601 duration between two values, "" for events.
    rule: a document's path, with variables.  others: it holds fields about
    other people or means of payment, and no default grant opens it.
    """

    name: str
    title: Mapping[str, str]
    cadence: str
    rule: str
    others: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """How a client cuts a file of many records into items: a JSON array, by the first characters of a field."""

    field: str
    length: int


@dataclass(frozen=True, slots=True)
class DataSet:
    """One row of the catalogue.

    title: by language, "en" and "fr".  vocabulary: IRI of the domain's terms.
    shape: base name in shapes/.  formats: the layouts that are taken.
    precisions: finest first.  latency and retention (at the holder) are ISO
    8601 durations.  purpose and category are DPV IRIs.  third_party: key paths
    in the holder's file that name other people.  split: None means one item a
    file.
    """

    id: str
    holder: str
    title: Mapping[str, str]
    vocabulary: str
    shape: str
    formats: tuple[str, ...]
    precisions: tuple[Precision, ...]
    latency: str
    purpose: str
    category: str
    legal_basis: str
    retention: str
    example: str
    generator: str
    third_party: tuple[str, ...] = ()
    split: Split | None = None
    enabled: bool = True

    @property
    def finest(self) -> Precision:
        """The precision in which the partner delivers."""
        return self.precisions[0]

    def as_json(self) -> dict[str, Any]:
        """The row in JSON-ready values, its fields by their names."""
        return asdict(self)


_ROWS = (
    DataSet(
        id="load-curve",
        holder="grid operator",
        title={"en": "Electricity load curve", "fr": "Courbe de charge électrique"},
        vocabulary=SELF_DATA + "energy#",
        shape="load-curve",
        formats=LAYOUTS["load-curve"],
        precisions=(
            Precision(
                "half-hour",
                {"en": "each half-hour", "fr": "chaque demi-heure"},
                "PT30M",
                "half-hour/{year-month}/{date}.ttl",
            ),
            Precision("day", {"en": "daily totals", "fr": "totaux journaliers"}, "P1D", "day/{year}/{year-month}.ttl"),
            Precision(
                "month",
                {"en": "monthly totals, once the month is over", "fr": "totaux mensuels, une fois le mois écoulé"},
                "P1M",
                "month/{year}.ttl",
            ),
        ),
        latency="P1D",
        purpose=DPV + "RightsFulfilment",
        category=_PD + "ServiceConsumptionBehaviour",
        legal_basis="GDPR Art. 20",
        retention="P2Y",
        example="tests/cases/load-curve/grid-v5.json",
        generator="grid",
    ),
    DataSet(
        id="energy-contract",
        holder="electricity supplier",
        title={"en": "Electricity contract", "fr": "Contrat d'électricité"},
        vocabulary=SELF_DATA + "energy#",
        shape="energy-contract",
        formats=LAYOUTS["energy-contract"],
        precisions=(
            Precision("contract", {"en": "the contract", "fr": "le contrat"}, "", "contract/{number}.ttl"),
            Precision(
                "payment",
                {"en": "how it is paid", "fr": "comment il est payé"},
                "",
                "payment/{number}.ttl",
                others=True,
            ),
        ),
        latency="P1D",
        purpose=DPV + "RightsFulfilment",
        category=_PD + "ServiceConsumptionBehaviour",
        legal_basis="GDPR Art. 20",
        retention="P5Y",
        example="tests/cases/energy-contract/supplier-contract.json",
        generator="supplier",
    ),
    DataSet(
        id="bill",
        holder="electricity supplier",
        title={"en": "Electricity bills", "fr": "Factures d'électricité"},
        vocabulary=SELF_DATA + "billing#",
        shape="bill",
        formats=LAYOUTS["bill"],
        precisions=(Precision("bill", {"en": "each bill", "fr": "chaque facture"}, "", "bill/{year}/{number}.ttl"),),
        latency="P1D",
        purpose=DPV + "RightsFulfilment",
        category=_PD + "Transactional",
        legal_basis="GDPR Art. 15",
        retention="P10Y",
        example="tests/cases/bill/supplier-bill.json",
        generator="supplier",
    ),
    DataSet(
        id="geolocation",
        holder="telecom operator",
        title={"en": "Places of the telephone", "fr": "Lieux du téléphone"},
        vocabulary=SELF_DATA + "location#",
        shape="geolocation",
        formats=LAYOUTS["geolocation"],
        precisions=(
            Precision("exact", {"en": "each point", "fr": "chaque point"}, "PT15M", "exact/{year-month}/{date}.ttl"),
            Precision(
                "area",
                {"en": "about a kilometre, by hour", "fr": "au kilomètre, par heure"},
                "PT1H",
                "area/{year-month}/{date}.ttl",
            ),
        ),
        latency="PT1H",
        purpose=DPV + "RightsFulfilment",
        category=_PD + "Location",
        legal_basis="GDPR Art. 20",
        retention="P1Y",
        example="tests/cases/geolocation/telecom-points.json",
        generator="telecom",
        split=Split("timestamp", 10),
    ),
    DataSet(
        id="insurance-claim",
        holder="insurer",
        title={"en": "Insurance claims", "fr": "Sinistres d'assurance"},
        vocabulary=SELF_DATA + "insurance#",
        shape="insurance-claim",
        formats=LAYOUTS["insurance-claim"],
        precisions=(
            Precision("claim", {"en": "each claim", "fr": "chaque sinistre"}, "", "claim/{year}/{ref}.ttl"),
            Precision(
                "others", {"en": "who drove", "fr": "qui conduisait"}, "", "others/{year}/{ref}.ttl", others=True
            ),
        ),
        latency="P1D",
        purpose=DPV + "RightsFulfilment",
        category=_PD + "Insurance",
        legal_basis="GDPR Art. 15",
        retention="P5Y",
        example="tests/cases/insurance-claim/insurer-claim-vehicle.json",
        generator="insurer",
        third_party=("driver.prefix", "driver.family", "driver.given"),
    ),
)

DATA_SETS: Mapping[str, DataSet] = MappingProxyType({row.id: row for row in _ROWS})
"""Every row by its id."""


def find(data_set: str) -> DataSet:
    """The row of a data set; raises Missing when there is none."""
    row = DATA_SETS.get(data_set)
    if row is None:
        raise Missing(f"No data set is called {data_set[:80]}.", field="data_set")
    return row


def as_statements(base: str) -> list[Quad]:
    """The catalogue as DCAT 3 and DPV, without blank nodes.

    base: the IRI of the catalogue document, such as
    ``https://pods.example/.host/catalogue``; rows are named ``{base}#{id}``,
    shapes are beside it.
    """
    catalogue = NamedNode(base)
    found = [_said(catalogue, RDF + "type", NamedNode(DCAT + "Catalog"))]
    for row in _ROWS:
        found.append(_said(catalogue, DCAT + "dataset", NamedNode(f"{catalogue.value}#{row.id}")))
        found += _row(row, base, NamedNode(f"{catalogue.value}#{row.id}"))
    return found


def _said(subject: NamedNode, predicate: str, value: NamedNode | Literal) -> Quad:
    return Quad(subject, NamedNode(predicate), value)


def _row(row: DataSet, base: str, it: NamedNode) -> Iterator[Quad]:
    yield _said(it, RDF + "type", NamedNode(DCAT + "Dataset"))
    yield _said(it, DCT + "identifier", Literal(row.id))
    yield _said(it, DCT + "conformsTo", NamedNode(urljoin(base, f"shapes/{row.shape}")))
    for language, title in row.title.items():
        yield _said(it, DCT + "title", Literal(title, language=language))
    yield _said(it, DCT + "references", NamedNode(row.vocabulary.removesuffix("#")))
    yield _said(it, DPV + "hasPurpose", NamedNode(row.purpose))
    yield _said(it, DPV + "hasPersonalData", NamedNode(row.category))
    yield _said(it, DPV + "hasRight", NamedNode(f"{_GDPR}A{row.legal_basis.rsplit(' ', 1)[-1]}"))
    yield _said(it, _LANDING + "legalBasis", Literal(row.legal_basis))
    yield _said(it, _LANDING + "holderType", Literal(row.holder))
    yield _said(it, _LANDING + "latency", _duration(row.latency))
    yield _said(it, _LANDING + "retention", _duration(row.retention))
    yield _said(it, _LANDING + "enabled", _boolean(row.enabled))
    for layout in row.formats:
        yield _said(it, _LANDING + "format", Literal(layout))
    for field in row.third_party:
        yield _said(it, _LANDING + "thirdPartyField", Literal(field))
    for rank, precision in enumerate(row.precisions, 1):
        yield from _precision(it, precision, rank)


def _precision(it: NamedNode, precision: Precision, rank: int) -> Iterator[Quad]:
    one = NamedNode(f"{it.value}-{precision.name}")
    yield _said(it, _LANDING + "precision", one)
    yield _said(it, DCAT + "distribution", one)
    yield _said(one, RDF + "type", NamedNode(_LANDING + "Precision"))
    yield _said(one, DCT + "identifier", Literal(precision.name))
    for language, title in precision.title.items():
        yield _said(one, DCT + "title", Literal(title, language=language))
    yield _said(one, DCAT + "mediaType", NamedNode("http://www.w3.org/ns/iana/media-types/text/turtle#Resource"))
    yield _said(one, _LANDING + "rank", Literal(str(rank), datatype=NamedNode(XSD + "integer")))
    yield _said(one, _LANDING + "documentRule", Literal(precision.rule))
    yield _said(one, _LANDING + "othersOnly", _boolean(precision.others))
    if precision.cadence:
        yield _said(one, DCAT + "temporalResolution", _duration(precision.cadence))


def _duration(written: str) -> Literal:
    return Literal(written, datatype=NamedNode(XSD + "duration"))


def _boolean(value: bool) -> Literal:
    return Literal(str(value).lower(), datatype=NamedNode(XSD + "boolean"))
