"""What to say of a result where the shape itself says nothing, in English and French.

Called by the constraints.  No value of the data is repeated here: a message
may end in a log or with a partner; the result's own fields carry the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pyoxigraph import Literal, NamedNode

from pod_server.shacl.index import Term

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "Class": ("The value is not of class {0}.", "La valeur n'est pas de la classe {0}."),
    "Datatype": ("The value is not a well-formed {0}.", "La valeur n'est pas un {0} bien formé."),
    "NodeKind": ("The value is not of kind {0}.", "La valeur n'est pas du genre {0}."),
    "MinCount": ("There are fewer than {0} values.", "Il y a moins de {0} valeur(s)."),
    "MaxCount": ("There are more than {0} values.", "Il y a plus de {0} valeur(s)."),
    "MinExclusive": ("The value is not greater than {0}.", "La valeur n'est pas supérieure à {0}."),
    "MinInclusive": ("The value is less than {0}.", "La valeur est inférieure à {0}."),
    "MaxExclusive": ("The value is not less than {0}.", "La valeur n'est pas strictement inférieure à {0}."),
    "MaxInclusive": ("The value is greater than {0}.", "La valeur est supérieure à {0}."),
    "MinLength": ("The value has fewer than {0} characters.", "La valeur a moins de {0} caractère(s)."),
    "MaxLength": ("The value has more than {0} characters.", "La valeur a plus de {0} caractère(s)."),
    "Pattern": ("The value does not match the pattern {0}.", "La valeur ne correspond pas au motif {0}."),
    "LanguageIn": ("The value is in none of the languages {0}.", "La valeur n'est dans aucune des langues {0}."),
    "UniqueLang": ("Several values are in language {0}.", "Plusieurs valeurs sont en langue {0}."),
    "Equals": ("The values are not those of {0}.", "Les valeurs ne sont pas celles de {0}."),
    "Disjoint": ("The value is also one of {0}.", "La valeur est aussi l'une de {0}."),
    "LessThan": ("The value is not less than that of {0}.", "La valeur n'est pas inférieure à celle de {0}."),
    "LessThanOrEquals": ("The value is greater than that of {0}.", "La valeur est supérieure à celle de {0}."),
    "Not": ("The value fits a shape that it must not.", "La valeur suit une forme qu'elle ne doit pas suivre."),
    "And": ("The value does not fit all the shapes.", "La valeur ne suit pas toutes les formes demandées."),
    "Or": ("The value fits none of the shapes.", "La valeur ne suit aucune des formes proposées."),
    "Xone": ("The value does not fit exactly one shape.", "La valeur ne suit pas exactement une des formes."),
    "Node": ("The value does not fit the shape {0}.", "La valeur ne suit pas la forme {0}."),
    "QualifiedMinCount": ("Fewer than {0} values fit the shape.", "Moins de {0} valeur(s) suivent la forme."),
    "QualifiedMaxCount": ("More than {0} values fit the shape.", "Plus de {0} valeur(s) suivent la forme."),
    "Closed": ("The shape does not admit the property {0}.", "La forme n'admet pas la propriété {0}."),
    "HasValue": ("The value {0} is missing.", "Il manque la valeur {0}."),
    "In": ("The value is not among those allowed.", "La valeur n'est pas parmi celles admises."),
}

Message = Mapping[str, str]


def default_message(component: str, parameter: str = "") -> Message:
    """The texts for a component (its local name without "ConstraintComponent") by language: en and fr."""
    english, french = _TEXTS[component]
    return {"en": english.format(parameter), "fr": french.format(parameter)}


def short(term: Term) -> str:
    """A term of a shape as people read it: the local name of an IRI, the bare text of a literal."""
    if isinstance(term, Literal):
        return term.value
    if isinstance(term, NamedNode):
        return term.value.rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
    return "..."
