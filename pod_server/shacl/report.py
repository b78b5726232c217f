"""Validation reports: what validation found, as values, as RDF and as one sentence.

Made by the compiled checks and by the fall-back; read by whoever refuses.  A
report holds values of the data that was checked: it goes to the one who sent
that data, and to nobody's log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pyoxigraph import BlankNode, Literal, NamedNode, Quad

from pod_server.rdf.vocabulary import SH, XSD
from pod_server.shacl.index import TYPE, Index, Term
from pod_server.shacl.paths import PropertyPath, path_statements, path_text, read_path

VIOLATION: Final = NamedNode(f"{SH}Violation")
CONFORMS: Final = NamedNode(f"{SH}conforms")
REPORT: Final = NamedNode(f"{SH}ValidationReport")
RESULT: Final = NamedNode(f"{SH}ValidationResult")
HAS_RESULT: Final = NamedNode(f"{SH}result")
FOCUS: Final = NamedNode(f"{SH}focusNode")
PATH: Final = NamedNode(f"{SH}resultPath")
VALUE: Final = NamedNode(f"{SH}value")
MESSAGE: Final = NamedNode(f"{SH}resultMessage")
SEVERITY: Final = NamedNode(f"{SH}resultSeverity")
COMPONENT: Final = NamedNode(f"{SH}sourceConstraintComponent")
SHAPE: Final = NamedNode(f"{SH}sourceShape")
_BOOLEAN: Final = NamedNode(f"{XSD}boolean")

_SENTENCES: Final = {
    "en": ("The data fits the shapes.", "{count} result(s) against the shapes; first, at {where}: {message}"),
    "fr": ("Les données suivent les formes.", "{count} écart(s) aux formes ; d'abord, à {where} : {message}"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """One finding (SHACL, section 3.6.2).

    path: None for a node shape.  value: None where the component speaks of
    no single value (counts, sh:hasValue).  message: language tag -> text,
    the key "" for a text without a tag.
    """

    focus: Term
    path: PropertyPath | None
    value: Term | None
    message: Mapping[str, str]
    severity: NamedNode
    component: NamedNode
    source_shape: Term

    def text(self, language: str) -> str:
        """The message in a language, else without a tag, else in English, else in any; "" where there is none."""
        for key in (language, language.split("-", 1)[0], "", "en"):
            if key in self.message:
                return self.message[key]
        return next(iter(self.message.values()), "")

    @property
    def where(self) -> str:
        """The focus node, and the path from it when there is one."""
        return f"{self.focus} {path_text(self.path)}" if self.path is not None else str(self.focus)


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a validation: it conforms when there is no result, of whatever severity (SHACL, section 3.6.1)."""

    results: tuple[Result, ...] = ()

    @property
    def conforms(self) -> bool:
        """True when nothing was found."""
        return not self.results

    def sentence(self, language: str = "en") -> str:
        """One sentence for people, in French or English."""
        good, bad = _SENTENCES.get(language.split("-", 1)[0], _SENTENCES["en"])
        if not self.results:
            return good
        first = self.results[0]
        return bad.format(count=len(self.results), where=first.where, message=first.text(language))

    def to_statements(self) -> list[Quad]:
        """The report as an sh:ValidationReport graph; the labels of its blank nodes follow from its content."""
        blanks = _fresh_blanks(self)
        report = next(blanks)
        statements = [
            Quad(report, TYPE, REPORT),
            Quad(report, CONFORMS, Literal("true" if self.conforms else "false", datatype=_BOOLEAN)),
        ]
        for result in self.results:
            node = next(blanks)
            statements.append(Quad(report, HAS_RESULT, node))
            statements += _result_statements(result, node, blanks)
        return statements


def _result_statements(result: Result, node: BlankNode, blanks: Iterator[BlankNode]) -> Iterator[Quad]:
    yield Quad(node, TYPE, RESULT)
    yield Quad(node, FOCUS, result.focus)
    if result.path is not None:
        path, statements = path_statements(result.path, blanks)
        yield Quad(node, PATH, path)
        yield from statements
    if result.value is not None:
        yield Quad(node, VALUE, result.value)
    for language, text in result.message.items():
        yield Quad(node, MESSAGE, Literal(text, language=language) if language else Literal(text))
    yield Quad(node, SEVERITY, result.severity)
    yield Quad(node, COMPONENT, result.component)
    yield Quad(node, SHAPE, result.source_shape)


def _fresh_blanks(report: Report) -> Iterator[BlankNode]:
    """Blank nodes that no result mentions: a label from the data must not name a node of the report."""
    mentioned = {
        term.value
        for result in report.results
        for term in (result.focus, result.value, result.source_shape)
        if isinstance(term, BlankNode)
    }
    number = 0
    while True:
        label = f"report{number}"
        number += 1
        if label not in mentioned:
            yield BlankNode(label)


def read_report(statements: list[Quad]) -> Report:
    """The report that a validation graph describes (SHACL, section 3.6); nested sh:detail results are left out."""
    index = Index(statements)
    return Report(tuple(_read_result(index, node) for node in index.inverse(HAS_RESULT)))


def _read_result(index: Index, node: Term) -> Result:
    def one(predicate: NamedNode) -> Term | None:
        return next(iter(index.objects(node, predicate)), None)

    path, focus = one(PATH), one(FOCUS)
    severity, component = one(SEVERITY), one(COMPONENT)
    return Result(
        focus=focus if focus is not None else node,
        path=None if path is None else read_path(index, path),
        value=one(VALUE),
        message=read_messages(index, node, MESSAGE),
        severity=severity if isinstance(severity, NamedNode) else VIOLATION,
        component=component if isinstance(component, NamedNode) else RESULT,
        source_shape=one(SHAPE) or node,
    )


def read_messages(index: Index, node: Term, predicate: NamedNode) -> dict[str, str]:
    """Language -> text; several texts of one language are joined."""
    texts: dict[str, str] = {}
    for value in index.objects(node, predicate):
        if isinstance(value, Literal):
            language = value.language or ""
            texts[language] = f"{texts[language]} {value.value}" if language in texts else value.value
    return texts
