"""Questions to begin with: a few per data set, that answer over what partners deliver.

Called by the citizen's query page.  Queries are plain SPARQL, meant to be read
and changed by people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Example:
    """A question.  data_set: the row of the catalogue that it is about, "" for the pod as a whole."""

    id: str
    data_set: str
    english: str
    french: str
    query: str


_ENERGY = "PREFIX energy: <https://w3id.org/self-data/energy#>\nPREFIX sosa: <http://www.w3.org/ns/sosa/>\n\n"

EXAMPLES: Final = (
    Example(
        "months",
        "load-curve",
        "How many kilowatt-hours did I use each month?",
        "Combien de kilowattheures ai-je consommés chaque mois ?",
        _ENERGY
        + "SELECT ?month ?kWh ?days WHERE {\n  ?totals a energy:MonthlyTotals ; sosa:hasMember ?one .\n"
        + "  ?one energy:month ?month ; sosa:hasSimpleResult ?kWh ; energy:days ?days .\n} ORDER BY ?month",
    ),
    Example(
        "days",
        "load-curve",
        "On which days did I use most?",
        "Quels jours ai-je le plus consommé ?",
        _ENERGY
        + "SELECT ?day ?kWh WHERE {\n  ?totals a energy:DailyTotals ; sosa:hasMember ?one .\n"
        + "  ?one energy:day ?day ; sosa:hasSimpleResult ?kWh .\n} ORDER BY DESC(?kWh) LIMIT 10",
    ),
    Example(
        "contract",
        "energy-contract",
        "Which contract do I have, and for which power?",
        "Quel contrat ai-je, et pour quelle puissance ?",
        "PREFIX energy: <https://w3id.org/self-data/energy#>\nPREFIX schema: <https://schema.org/>\n\n"
        "SELECT ?name ?number ?since ?kVA WHERE {\n  ?contract a energy:Contract ; schema:name ?name ;\n"
        "    schema:identifier ?number .\n  OPTIONAL { ?contract schema:startDate ?since }\n"
        "  OPTIONAL { ?contract energy:subscribedPower ?kVA }\n}",
    ),
    Example(
        "bills",
        "bill",
        "What was I billed, and when?",
        "Qu'ai-je eu à payer, et quand ?",
        "PREFIX billing: <https://w3id.org/self-data/billing#>\nPREFIX dct: <http://purl.org/dc/terms/>\n"
        "PREFIX schema: <https://schema.org/>\n\n"
        "SELECT ?issued ?number ?amount ?currency WHERE {\n  ?bill a schema:Invoice ; dct:issued ?issued ;\n"
        "    schema:identifier ?number ; billing:amount ?sum .\n"
        "  ?sum schema:value ?amount ; schema:currency ?currency .\n} ORDER BY DESC(?issued) LIMIT 24",
    ),
    Example(
        "places",
        "geolocation",
        "How many hours did my telephone spend in each square of a kilometre?",
        "Combien d'heures mon téléphone a-t-il passées dans chaque carré d'un kilomètre ?",
        "PREFIX geo: <http://www.w3.org/2003/01/geo/wgs84_pos#>\n"
        "PREFIX location: <https://w3id.org/self-data/location#>\nPREFIX sosa: <http://www.w3.org/ns/sosa/>\n\n"
        "SELECT ?lat ?long (COUNT(DISTINCT ?hour) AS ?hours) WHERE {\n"
        "  ?trace a location:AreaTrace ; sosa:hasMember ?cell .\n"
        "  ?cell location:hour ?hour ; geo:lat ?lat ; geo:long ?long .\n"
        "} GROUP BY ?lat ?long ORDER BY DESC(?hours) LIMIT 20",
    ),
    Example(
        "claims",
        "insurance-claim",
        "Which claims does my insurer know of?",
        "Quels sinistres mon assureur connaît-il ?",
        "PREFIX insurance: <https://w3id.org/self-data/insurance#>\nPREFIX schema: <https://schema.org/>\n\n"
        "SELECT ?when ?reference ?place WHERE {\n  VALUES ?kind { insurance:VehicleClaim insurance:HomeClaim }\n"
        "  ?claim a ?kind ; schema:identifier ?reference ; schema:startDate ?when .\n"
        "  OPTIONAL { ?claim schema:location/schema:name ?place }\n} ORDER BY DESC(?when)",
    ),
    Example(
        "kinds",
        "",
        "What kinds of things are in my space?",
        "Quelles sortes de choses y a-t-il dans mon espace ?",
        "SELECT ?kind (COUNT(*) AS ?count) WHERE {\n  ?thing a ?kind .\n} GROUP BY ?kind ORDER BY DESC(?count)",
    ),
)
