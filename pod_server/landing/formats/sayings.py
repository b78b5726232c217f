"""What landing says about a value, in the citizen's words: one row a code, English and French.

Called by every reader; ``fault`` is the only maker of Fault values in
formats/.  It holds sentences alone and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pod_server.landing.items import Fault

REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "too-large": ("The file has more than {limit} bytes.", "Le fichier dépasse {limit} octets."),
    "too-deep": ("The file is nested deeper than 64 levels.", "Le fichier est imbriqué sur plus de 64 niveaux."),
    "not-utf8": ("The file is not valid UTF-8 text.", "Le fichier n'est pas un texte UTF-8 valide."),
    "not-json": ("The file is not valid JSON.", "Le fichier n'est pas du JSON valide."),
    "key-twice": ("The same key appears twice in one object.", "La même clé apparaît deux fois dans un objet."),
    "number-out-of-bounds": ("A number is too large or too small.", "Un nombre est trop grand ou trop petit."),
    "wrong-media-type": ("This data set arrives as {expected}.", "Ce jeu de données arrive en {expected}."),
    "unknown-layout": (
        "The file is in none of the layouts known for this data set: {expected}.",
        "Le fichier n'a aucune des formes connues pour ce jeu de données : {expected}.",
    ),
    "wrong-kind": ("A {expected} is expected here.", "Une valeur de type « {expected} » est attendue ici."),
    "missing-field": ("A field that must be there is absent.", "Un champ obligatoire est absent."),
    "missing-value": ("A field that must be filled is empty.", "Un champ obligatoire est vide."),
    "not-text": (
        "The text holds characters that cannot be written.",
        "Le texte contient des caractères qui ne peuvent pas être écrits.",
    ),
    "too-long": ("The text has more than 2,000 characters.", "Le texte dépasse 2 000 caractères."),
    "not-a-date": ("This is not a date (year-month-day).", "Ce n'est pas une date (année-mois-jour)."),
    "impossible-date": ("This day does not exist in the calendar.", "Ce jour n'existe pas dans le calendrier."),
    "doubled-date": (
        "Two dates are written one after the other: it cannot be told which one is meant.",
        "Deux dates sont écrites l'une à la suite de l'autre : on ne sait pas laquelle est la bonne.",
    ),
    "implausible-date": (
        "The year is before 1900 or after 2100.",
        "L'année est antérieure à 1900 ou postérieure à 2100.",
    ),
    "not-a-time": ("This is not a date and a time.", "Ce n'est pas une date avec une heure."),
    "impossible-time": ("This time of day does not exist.", "Cette heure n'existe pas."),
    "no-zone": (
        "The time has no zone, and the format does not say which one is meant: the instant is unknown.",
        "L'heure est donnée sans fuseau et le format ne dit pas lequel : l'instant est inconnu.",
    ),
    "skipped-hour": (
        "This local time does not exist: clocks went forward that night.",
        "Cette heure locale n'existe pas : les horloges ont avancé cette nuit-là.",
    ),
    "same-instant-twice": (
        "Two readings are given for the same instant.",
        "Deux mesures sont données pour le même instant.",
    ),
    "off-step": ("The reading does not fall on a half-hour.", "La mesure ne tombe pas sur une demi-heure."),
    "outside-period": (
        "The reading lies outside the period {period}.",
        "La mesure est en dehors de la période {period}.",
    ),
    "outside-file-period": (
        "The reading number goes past the period that the file announces.",
        "Le numéro de mesure dépasse la période annoncée par le fichier.",
    ),
    "not-a-number": ("This is not a number.", "Ce n'est pas un nombre."),
    "not-an-amount": (
        "This is not an amount in euros and cents, written in digits.",
        "Ce n'est pas un montant en euros et centimes, écrit en chiffres.",
    ),
    "out-of-range": ("The number is outside {expected}.", "Le nombre est hors de l'intervalle {expected}."),
    "not-a-code": ("A code of the form {expected} is expected.", "Un code de la forme {expected} est attendu."),
    "not-yes-or-no": ("Neither true nor false.", "Ni vrai ni faux."),
    "unknown-type": ("The type is not known: {expected}.", "Le type est inconnu : {expected}."),
    "unknown-unit": ("The unit is not the expected one: {expected}.", "L'unité n'est pas celle attendue : {expected}."),
    "unknown-step": (
        "The step between two readings is not half an hour.",
        "Le pas entre deux mesures n'est pas d'une demi-heure.",
    ),
    "unknown-direction": (
        "This is not energy that was drawn from the grid.",
        "Il ne s'agit pas d'énergie soutirée du réseau.",
    ),
    "iban-too-short": (
        "The IBAN has {length} characters; {expected} are needed in this country.",
        "L'IBAN a {length} caractères ; il en faut {expected} dans ce pays.",
    ),
    "iban-wrong": (
        "The check digits of the IBAN do not match: a character was mistyped.",
        "La clé de contrôle de l'IBAN est fausse : un caractère est erroné.",
    ),
    "postcode-wrong": (
        "The postcode does not have five digits, and the city does not tell which one it is.",
        "Le code postal n'a pas cinq chiffres et la ville ne permet pas de le retrouver.",
    ),
    "phone-wrong": ("This telephone number cannot exist.", "Ce numéro de téléphone ne peut pas exister."),
    "bill-unknown": (
        "The consumption is said to be of a bill that is not in this file.",
        "La consommation renvoie à une facture absente de ce fichier.",
    ),
    "given-twice": ("Two records have the same reference.", "Deux enregistrements ont la même référence."),
    "reversed-period": ("The end comes before the start.", "La fin précède le début."),
    "several-meters": (
        "The file speaks of several meters; one file for each is expected.",
        "Le fichier parle de plusieurs compteurs ; un fichier par compteur est attendu.",
    ),
    "no-records": ("The file holds no record.", "Le fichier ne contient aucun enregistrement."),
    "shape": ("{english}", "{french}"),
}
"""Why an item is refused whole."""

REPAIRED: Final[Mapping[str, tuple[str, str]]] = {
    "number-as-text": (
        "The number was written as text; it is kept as a number.",
        "Le nombre était écrit comme un texte ; il est gardé comme un nombre.",
    ),
    "decimal-comma": ("The decimal comma was turned into a point.", "La virgule décimale a été changée en point."),
    "yes-or-no-as-text": (
        "True or false was written as text; it is kept as true or false.",
        "Vrai ou faux était écrit comme un texte ; la valeur est gardée comme vrai ou faux.",
    ),
    "unit-in-text": (
        "The unit was written beside the number; the number alone is kept, in kVA.",
        "L'unité était écrite à côté du nombre ; seul le nombre est gardé, en kVA.",
    ),
    "midnight-without-zone": (
        "A date came as midnight without a zone; the day as written is kept.",
        "La date était donnée comme minuit sans fuseau ; le jour tel qu'écrit est gardé.",
    ),
    "paris-time": (
        "Local time without a zone: read as Paris time, as the format's documentation says.",
        "Heure locale sans fuseau : lue à l'heure de Paris, comme le dit la documentation du format.",
    ),
    "supplier-paris-time": (
        "Local time without a zone: read as Paris time, because French meters are read by Paris days.",
        "Heure locale sans fuseau : lue à l'heure de Paris, car les compteurs français sont relevés par jour de Paris.",
    ),
    "end-of-interval": (
        "The time marks the end of its half-hour; the start is kept, and midnight belongs to the day before.",
        "L'heure marque la fin de la demi-heure ; le début est gardé, et minuit appartient à la veille.",
    ),
    "counted-from-midnight": (
        "The readings are numbered and have no time; each got the start of its half-hour, from midnight in Paris.",
        "Les mesures sont numérotées sans heure ; chacune reçoit le début de sa demi-heure, depuis minuit à Paris.",
    ),
    "repeated-hour": (
        "This local time comes twice that night; the order of the readings tells which one it is.",
        "Cette heure locale revient deux fois cette nuit-là ; l'ordre des mesures dit laquelle.",
    ),
    "empty-step": (
        "The step was left empty; half an hour is taken from the field beside it.",
        "Le pas était vide ; la demi-heure est lue dans le champ voisin.",
    ),
    "unit-absent": (
        "The value had no unit: watt-hours per half-hour, as odd values show; kept in watts, twice the number.",
        "La valeur était sans unité : des wattheures par demi-heure, vu les impairs ; gardée en watts, le double.",
    ),
    "usage-point-short": (
        "The usage point has 11 digits where 14 are usual; it is kept as the holder wrote it.",
        "Le point de livraison a 11 chiffres au lieu de 14 ; il est gardé tel que le détenteur l'écrit.",
    ),
    "postcode-by-city": (
        "The postcode was incomplete; it was completed from the district that the city names.",
        "Le code postal était incomplet ; il est complété par l'arrondissement que la ville indique.",
    ),
    "phone-notation": (
        "The telephone number was written in the international notation.",
        "Le numéro de téléphone a été réécrit en notation internationale.",
    ),
    "type-misspelt": (
        "The name of the type was misspelt; it is read as {expected}.",
        "Le nom du type était mal orthographié ; il est lu comme {expected}.",
    ),
}
"""What was mended on the way in."""

LEFT_OUT: Final[Mapping[str, tuple[str, str]]] = {
    "empty": ("The field is empty.", "Le champ est vide."),
    "about-the-software": (
        "It tells which program made the file, nothing about you.",
        "Cela dit quel programme a fait le fichier, rien sur vous.",
    ),
    "about-the-offer": (
        "It tells what could be chosen, not what you chose.",
        "Cela dit ce qui pouvait être choisi, pas ce que vous avez choisi.",
    ),
    "about-the-file": (
        "It tells how the file is organised, and is said by the document itself.",
        "Cela dit comment le fichier est organisé, ce que le document dit par lui-même.",
    ),
    "inner-reference": (
        "It points to a file inside the holder's system that is not part of the delivery.",
        "Cela renvoie à un fichier interne du détenteur, absent de la livraison.",
    ),
    "repeats": ("It repeats another field.", "Cela répète un autre champ."),
    "unknown-field": (
        "This field is not known, so it has no place in the vocabulary yet.",
        "Ce champ n'est pas connu : il n'a pas encore de place dans le vocabulaire.",
    ),
}
"""Why a value has no place in the documents, though the item is taken."""

_ALL = {**REFUSED, **REPAIRED, **LEFT_OUT}


def fault(code: str, where: str, value: object, **words: object) -> Fault:
    """A Fault of a known code, its sentences filled in; the value is cut at 80 characters."""
    english, french = _ALL[code]
    shown = "" if value is None else str(value).encode("utf-8", "replace").decode()
    where = where.encode("utf-8", "replace").decode()
    return Fault(code, where[:200], shown[:80], english.format(**words), french.format(**words))
