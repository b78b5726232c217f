"""Invented citizens and what four partners would deliver about them, in the partners' own file layouts.

Called by the demo, the sandbox for app developers and the benchmarks.  Same
seed, same bytes.  Nobody here exists: names are made up, telephone numbers
and bank codes lie in ranges that are given to no one.  Lives hold together:
a bill charges exactly the kilowatt-hours of its month's load curves.
"""

from __future__ import annotations

import calendar
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from pod_server.landing.formats.paris import HALF_HOUR, PARIS, half_hours, midnight
from pod_server.landing.items import Item

INSURER: Final = "insurer"
SUPPLIER: Final = "supplier"
GRID: Final = "grid"
TELECOM: Final = "telecom"
PARTNERS: Final = (INSURER, SUPPLIER, GRID, TELECOM)

_GIVEN = ("Ariane", "Basile", "Célestine", "Dorian", "Élodie", "Firmin", "Garance", "Honoré", "Inès", "Joachim")
_FAMILY_STARTS = ("Bréva", "Cornou", "Delfa", "Fontala", "Granvau", "Lessi", "Morvau", "Pélisso", "Rocqua", "Tavernou")
_FAMILY_ENDS = ("lin", "ret", "mont", "vier", "zac", "dière")
_STREETS = ("rue des Lilas", "avenue du Parc", "rue de la Fontaine", "quai des Tanneurs", "allée des Tilleuls")
_TOWNS = (
    ("LYON 06", "69006", "69386", Decimal("45.7690"), Decimal("4.8500")),
    ("LA ROCHELLE", "17000", "17300", Decimal("46.1603"), Decimal("-1.1511")),
    ("NANTES", "44000", "44109", Decimal("47.2184"), Decimal("-1.5536")),
)
_PRICE = Decimal("0.2016")
_STANDING = Decimal("12.44")


@dataclass(frozen=True, slots=True)
class Citizen:
    """An invented citizen as the partners know them; latitude and longitude in degrees of home and of work."""

    seed: str
    given: str
    family: str
    prefix: str
    street: str
    city: str
    postcode: str
    commune: str
    home: tuple[Decimal, Decimal]
    work: tuple[Decimal, Decimal]
    msisdn: str
    usage_point: str
    account: str
    contract: str
    member: str
    plate: str
    iban: str
    base_watts: int
    occupants: int

    @property
    def name(self) -> str:
        """Given name and family name."""
        return f"{self.given} {self.family}"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a partner sends about one citizen: an item that has no link yet."""

    partner: str
    data_set: str
    period: str
    version: str
    payload: bytes
    media_type: str = "application/json"

    def item(self, link: str) -> Item:
        """The same as an Item for a link."""
        return Item(link, self.data_set, self.period, self.version, self.media_type, self.payload)


@dataclass(frozen=True, slots=True)
class Planted:
    """A delivery with a fault put in on purpose, the code it must be refused with, and a label for people."""

    delivered: Delivered
    code: str
    english: str
    french: str


def _dice(*parts: object) -> random.Random:
    return random.Random("|".join(map(str, parts)))  # noqa: S311 - repeatable inventions, no secrets


def citizens(count: int, seed: int) -> list[Citizen]:
    """So many invented citizens; the first ones stay the same when more are asked for."""
    return [_citizen(number, f"{seed}:{number}") for number in range(count)]


def _citizen(number: int, seed: str) -> Citizen:
    dice = _dice(seed, "citizen")
    city, postcode, commune, latitude, longitude = dice.choice(_TOWNS)
    feminine = dice.random() < 0.5
    return Citizen(
        seed=seed,
        given=_GIVEN[(dice.randrange(5) * 2 + (0 if feminine else 1)) % len(_GIVEN)],
        family=dice.choice(_FAMILY_STARTS) + dice.choice(_FAMILY_ENDS),
        prefix="Mme" if feminine else "M.",
        street=f"{dice.randrange(1, 90)} {dice.choice(_STREETS)}",
        city=city,
        postcode=postcode,
        commune=commune,
        home=(_moved(latitude, dice), _moved(longitude, dice)),
        work=(_moved(latitude, dice), _moved(longitude, dice)),
        msisdn=f"336399{80000 + number % 10000}",
        usage_point=f"{99000000000000 + number:014}",
        account=f"{6900000000 + number}",
        contract=f"{1900000000 + number}",
        member=f"{9000000 + number}{dice.choice('ABCDEFGHJKLMN')}",
        plate=f"{dice.choice('ABCDEFGH')}{dice.choice('ABCDEFGH')}-{dice.randrange(1, 1000):03}-ZZ",
        iban=_iban("FR", f"9999999999{number:011}00"),
        base_watts=dice.randrange(60, 160, 2),
        occupants=dice.randrange(1, 6),
    )


def _moved(degrees: Decimal, dice: random.Random) -> Decimal:
    return degrees + Decimal(dice.randrange(-300, 301)).scaleb(-4)


def _iban(country: str, account: str) -> str:
    digits = "".join(str(int(letter, 36)) for letter in f"{account}{country}00")
    return f"{country}{98 - int(digits) % 97:02}{account}"


def deliveries(citizen: Citizen, months: Sequence[str]) -> Iterator[Delivered]:
    """Everything that the four partners deliver for some months ("2024-03"), in the order in which it would come.

    The contract and one claim come with the first month; then for each day a
    load curve and the telephone's points, and a bill on the last day.
    """
    for number, month in enumerate(months):
        days = _days(month)
        if number == 0:
            yield contract(citizen, days[0])
        if number == 0 or _dice(citizen.seed, "claim", month).random() < 1 / 12:
            yield claim(citizen, month)
        for of in days:
            yield load_curve(citizen, of)
            yield geolocation(citizen, of)
        yield bill(citizen, month)


def _days(month: str) -> list[date]:
    first = date.fromisoformat(f"{month}-01")
    return [first + timedelta(days=count) for count in range(calendar.monthrange(first.year, first.month)[1])]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


def watts(citizen: Citizen, of: date) -> list[int]:
    """The average power (W, even) of each half-hour of a day: base load, mornings, evenings, winters, weekends."""
    dice = _dice(citizen.seed, "power", of)
    winter = 1 + 0.6 * math.cos((of.timetuple().tm_yday - 15) / 365.25 * 2 * math.pi)
    awake = 0.5 if of.weekday() < 5 else 0.9
    found = []
    for slot in range(half_hours(of)):
        hour = (midnight(of) + slot * HALF_HOUR).astimezone(PARIS).hour
        use = citizen.base_watts
        if 6 <= hour < 9 or 18 <= hour < 23:
            use += int(180 * citizen.occupants * winter * dice.uniform(0.5, 1.5))
        elif 9 <= hour < 18:
            use += int(90 * citizen.occupants * winter * awake * dice.uniform(0.2, 1.4))
        if dice.random() < 0.04:
            use += dice.randrange(1000, 2600, 2)
        found.append(use // 2 * 2)
    return found


def load_curve(citizen: Citizen, of: date) -> Delivered:
    """A day of half-hours from the grid operator: the layout of 2017 before 2019, that of 2023 after."""
    body = _curve_2017(citizen, of) if of.year < 2019 else _curve_v5(citizen, of)
    return Delivered(GRID, "load-curve", of.isoformat(), "1", _json(body))


def _curve_2017(citizen: Citizen, of: date) -> Any:
    reading_type = {
        "measurement_kind": "CDC",
        "start_measurement_period": of.isoformat(),
        "end_measurement_period": (of + timedelta(days=1)).isoformat(),
        "interval_length": "",
        "time_attribute": "30mn",
        "unit": "W",
        "flow_direction": "forward",
    }
    block = [{"value": str(value), "reading_number": str(number)} for number, value in enumerate(watts(citizen, of), 1)]
    reading = {"reading_type": reading_type, "interval_block": block}
    point = {"usage_point_id": citizen.usage_point, "meter_reading": reading}
    about = {"contract_power": "6", "fee_schedule": "Base", "INSEE_code": citizen.commune}
    return [{**about, "business_step": "comptage brut", "usage_point": [point]}]


def _curve_v5(citizen: Citizen, of: date) -> Any:
    readings = []
    for number, value in enumerate(watts(citizen, of), 1):
        end = (midnight(of) + number * HALF_HOUR).astimezone(PARIS).replace(tzinfo=None)
        row = {"value": str(value), "date": end.isoformat(" "), "interval_length": "PT30M", "measure_type": "B"}
        readings.append(row)
    return {
        "meter_reading": {
            "usage_point_id": citizen.usage_point,
            "start": of.isoformat(),
            "end": (of + timedelta(days=1)).isoformat(),
            "quality": "BRUT",
            "reading_type": {"unit": "W", "measurement_kind": "power", "aggregate": "average"},
            "interval_reading": readings,
        }
    }


def kilowatt_hours(citizen: Citizen, month: str) -> Decimal:
    """The energy of a month, exactly what its load curves add up to."""
    return sum((Decimal(sum(watts(citizen, of))) for of in _days(month)), Decimal(0)) / 2000


def bill(citizen: Citizen, month: str) -> Delivered:
    """The supplier's bill for a month, issued on its last day, with the consumption that it charges."""
    days, energy = _days(month), kilowatt_hours(citizen, month)
    total = str((energy * _PRICE + _STANDING).quantize(Decimal("0.01")))
    number = f"{citizen.contract}{month.replace('-', '')}"
    payable = (days[-1] + timedelta(days=15)).isoformat()
    invoice = {
        "vendor": "Électricité d'exemple",
        "balanceBeforeInvoice": "0.0",
        "clientId": citizen.account,
        "number": number,
        "date": f"{days[-1].isoformat()}T00:00:00.000Z",
        "paymentDueDate": payable,
        "scheduledPaymentDate": payable,
        "title": "FACTURE_MENSUELLE",
        "totalPaymentDue": total,
        "value": total,
    }
    statement = {
        "docType": "ConsumptionStatement",
        "docTypeVersion": "sandbox-1",
        "start": days[0].isoformat(),
        "end": days[-1].isoformat(),
        "value": str(energy),
        "contractNumber": citizen.contract,
        "billNumber": number,
        "statementType": "REEL",
        "statementCategory": "RELEVE_REEL_PAR_ERD_GRD",
        "statementReason": "RELEVE_PERIODIQUE",
    }
    return Delivered(SUPPLIER, "bill", month, "1", _json([invoice, statement]))


def contract(citizen: Citizen, at: date) -> Delivered:
    """The supplier's contract as it stands on a day."""
    body = {
        "vendor": "Électricité d'exemple",
        "clientId": citizen.account,
        "number": citizen.contract,
        "name": "Tarif Bleu",
        "start": (at - timedelta(days=900)).isoformat(),
        "end": None,
        "status": "CONTRAT_ACTIF",
        "terminationGrounds": None,
        "pdl": citizen.usage_point,
        "energie": "Électricité",
        "troubleshootingPhone": "+33199000000",
        "power": "6 kVA",
        "contractSubcategory1": "OPTION_BASE",
        "counter": {"comptage": "BASE", "nombreRoues": "005", "dernierIndex": "69988.0", "type": "LINKY"},
        "statement": {
            "prochaineReleve": (at + timedelta(days=180)).isoformat(),
            "saisieReleveConfiance": "SAISIE_IMPOSSIBLE_LINKY",
            "saisieSuiviConso": "SAISIE_POSSIBLE",
        },
        "services": [
            {"name": "PRELEVEMENT_AUTOMATIQUE", "status": "true", "valueSubscribed": "10"},
            {"name": "FACTURE_ELECTRONIQUE", "status": "true", "valueSubscribed": None},
        ],
        "paymentMeans": "PRELEVEMENT",
        "iban": citizen.iban,
    }
    return Delivered(SUPPLIER, "energy-contract", at.isoformat(), "1", _json([body]))


def geolocation(citizen: Citizen, of: date) -> Delivered:
    """The telephone's points of a day, every half-hour while its owner is awake."""
    dice = _dice(citizen.seed, "place", of)
    points = []
    for slot in range(27):
        at = datetime.combine(of, time(8), UTC) + slot * HALF_HOUR + timedelta(seconds=dice.randrange(60))
        latitude, longitude = citizen.work if of.weekday() < 5 and 2 <= slot < 19 else citizen.home
        point = {
            "docType": "fr.orange.geopoint",
            "docTypeVersion": "sandbox-1",
            "msisdn": citizen.msisdn,
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "latitude": float(latitude),
            "longitude": float(longitude),
            "radius": dice.choice((85, 120, 339, 740, 1500)),
        }
        points.append(point)
    return Delivered(TELECOM, "geolocation", of.isoformat(), "1", _json(points))


def claim(citizen: Citizen, month: str) -> Delivered:
    """A claim that the insurer holds, about a vehicle or a home."""
    dice = _dice(citizen.seed, "claim of", month)
    at = datetime.combine(dice.choice(_days(month)), time(dice.randrange(24), dice.randrange(60)), PARIS)
    reference = f"F{at:%y%m%d}{dice.randrange(1000):03}B"
    body: dict[str, Any] = {
        "docType": "InsuranceClaim",
        "docTypeVersion": "sandbox-1",
        "type": "Vehicule" if dice.random() < 0.5 else "Habitation",
        "societaire": citizen.member,
        "timestamp": at.isoformat(timespec="minutes"),
        "lieuSurvenance": citizen.city,
        "ref": reference,
        "typeLieuSurvenance": "Agglomération",
    }
    if body["type"] == "Vehicule":
        driver = {"prefix": citizen.prefix, "family": citizen.family, "given": citizen.given}
        body |= {"immatriculationVehicule": citizen.plate, "driver": driver}
    else:
        address = {"street": citizen.street, "postCode": citizen.postcode, "city": citizen.city, "country": "FRANCE"}
        body |= {"natureLieu": "Appartement", "address": address}
    return Delivered(INSURER, "insurance-claim", reference, "1", _json([body]))


def planted_faults() -> tuple[Planted, ...]:
    """One delivery for each kind of fault that the demo shows, each refused whole with the code told."""
    citizen = citizens(1, 31)[0]
    return (
        Planted(
            _changed(geolocation(citizen, date(2016, 9, 30)), "timestamp", lambda at: at.replace("09-30", "09-31")),
            "impossible-date",
            "a point on 31 September",
            "un point le 31 septembre",
        ),
        Planted(
            _changed(claim(citizen, "2015-07"), "timestamp", lambda at: at[:16]),
            "no-zone",
            "a claim whose time has no zone",
            "un sinistre dont l'heure n'a pas de fuseau",
        ),
        Planted(
            _changed(bill(citizen, "2016-03"), "totalPaymentDue", lambda _: "trente euros"),
            "not-an-amount",
            "an amount written in words",
            "un montant écrit en lettres",
        ),
        Planted(
            _changed(bill(citizen, "2016-07"), "end", lambda day: day + day),
            "doubled-date",
            "two dates in one field",
            "deux dates dans un champ",
        ),
        Planted(
            _changed(contract(citizen, date(2016, 5, 1)), "iban", lambda iban: iban[:19]),
            "iban-too-short",
            "an IBAN of 19 characters",
            "un IBAN de 19 caractères",
        ),
    )


def _changed(delivered: Delivered, field: str, change: Any) -> Delivered:
    rows = json.loads(delivered.payload)
    for row in rows:
        if field in row:
            row[field] = change(row[field])
    return replace(delivered, payload=_json(rows))
