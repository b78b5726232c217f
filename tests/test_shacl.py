"""The shacl room: what it finds, what it refuses, what it says, and where its work ends."""

from __future__ import annotations

import pickle

import pytest
from bench import shacl_ratio
from pyoxigraph import NamedNode

from pod_server.errors import Invalid, LimitReached, Malformed
from pod_server.rdf import Syntax, canonical, parse, serialise
from pod_server.rdf.vocabulary import SH
from pod_server.shacl import Report, index, load_shapes, path_text, reading, validate
from pod_server.shacl.fallback import check_shapes, validate_beyond_core

PREFIXES = """
@prefix : <urn:x:> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
"""


def turtle(text: str) -> bytes:
    """Turtle with the prefixes of this file."""
    return (PREFIXES + text).encode()


def checked(shapes: str, data: str) -> Report:
    """The report on some data, both as Turtle without prefixes."""
    return validate(load_shapes(turtle(shapes)), parse(turtle(data), Syntax.TURTLE, "urn:data"))


def components(report: Report) -> list[str]:
    """The short names of what was found, in order."""
    return [result.component.value.removeprefix(SH).removesuffix("ConstraintComponent") for result in report.results]


# What a constraint finds: (constraint on :p of :n, good values, bad values, component)

CONSTRAINTS = [
    ("sh:class :C", ":c", ":n", "Class"),
    ("sh:datatype xsd:integer", "1, 007", '"1"', "Datatype"),
    ("sh:datatype xsd:integer", '"-1"^^xsd:integer', '"one"^^xsd:integer', "Datatype"),
    ("sh:datatype xsd:date", '"2024-02-29"^^xsd:date', '"2023-02-29"^^xsd:date', "Datatype"),
    (
        "sh:datatype xsd:dateTimeStamp",
        '"2024-01-01T00:00:00Z"^^xsd:dateTimeStamp',
        '"2024-01-01T00:00:00"^^xsd:dateTimeStamp',
        "Datatype",
    ),
    ("sh:datatype rdf:langString", '"a"@fr', '"a"', "Datatype"),
    ("sh:nodeKind sh:IRI", ":a", '"a"', "NodeKind"),
    ("sh:nodeKind sh:BlankNodeOrLiteral", '[], "a"', ":a", "NodeKind"),
    ("sh:minCount 2", "1, 2", "1", "MinCount"),
    ("sh:maxCount 1", "1", "1, 2", "MaxCount"),
    ("sh:minExclusive 1", "1.5, 2", "1", "MinExclusive"),
    ("sh:minInclusive 0.1", "1e-1", '"x"', "MinInclusive"),
    ("sh:maxExclusive 10", "9.99", "10", "MaxExclusive"),
    ("sh:maxInclusive 9007199254740993", "9007199254740993", "9007199254740994", "MaxInclusive"),
    ("sh:maxInclusive 3", "-INF", "3.1", "MaxInclusive"),
    ("sh:maxInclusive 3", "1", '"NaN"^^xsd:double', "MaxInclusive"),
    (
        'sh:minInclusive "2024-03-31T02:00:00+01:00"^^xsd:dateTimeStamp',
        '"2024-03-31T01:00:00Z"^^xsd:dateTime',
        '"2024-03-31T02:00:00"^^xsd:dateTime',
        "MinInclusive",
    ),
    ("sh:minLength 2", '"éé", :abc', '"é"', "MinLength"),
    ("sh:maxLength 2", '"éé"', "[]", "MaxLength"),
    ('sh:pattern "^[A-Z]{2}[0-9]+$"', '"FR76"', '"FR76\\n"', "Pattern"),
    ('sh:pattern "^fr" ; sh:flags "i"', '"FR76"', '"76FR"', "Pattern"),
    ('sh:pattern "^(a+)+$"', '"aaa"', f'"{"a" * 5000}b"', "Pattern"),
    ('sh:languageIn ("fr" "en")', '"a"@fr-BE', '"a"@de', "LanguageIn"),
    ("sh:uniqueLang true", '"a"@fr, "b"@en', '"a"@fr, "b"@fr', "UniqueLang"),
    ("sh:equals :same", '"s"', '"s", "t"', "Equals"),
    ("sh:disjoint :same", '"t"', '"s"', "Disjoint"),
    ("sh:lessThan :five", "4", "5", "LessThan"),
    ("sh:lessThanOrEquals :five", "5", "6", "LessThanOrEquals"),
    ("sh:not [ sh:nodeKind sh:IRI ]", '"a"', ":a", "Not"),
    ("sh:and ( [ sh:nodeKind sh:Literal ] [ sh:maxLength 1 ] )", '"a"', '"ab"', "And"),
    ("sh:or ( [ sh:datatype xsd:integer ] [ sh:datatype xsd:date ] )", "1", '"ab"', "Or"),
    ("sh:xone ( [ sh:nodeKind sh:Literal ] [ sh:maxLength 1 ] )", '"ab"', '"a"', "Xone"),
    ("sh:node [ sh:property [ sh:path :q ; sh:minCount 1 ] ]", "[ :q 1 ]", ":a", "Node"),
    ("sh:property [ sh:path :q ; sh:minCount 1 ]", "[ :q 1 ]", ":a", "MinCount"),
    ("sh:qualifiedValueShape [ sh:class :C ] ; sh:qualifiedMinCount 1", ":c, :a", ":a", "QualifiedMinCount"),
    ("sh:qualifiedValueShape [ sh:class :C ] ; sh:qualifiedMaxCount 0", ":a", ":c", "QualifiedMaxCount"),
    ("sh:hasValue 1", "1, 2", '"1", 01', "HasValue"),
    ("sh:in ( 1 :a )", ":a, 1", "01", "In"),
    ("sh:closed true ; sh:property [ sh:path :q ]", "[ :q 1 ]", "[ :r 1 ]", "Closed"),
    ("sh:closed true ; sh:ignoredProperties ( :q )", "[ :q 1 ]", "[ :r 1 ]", "Closed"),
]


@pytest.mark.parametrize(("constraint", "good", "bad", "component"), CONSTRAINTS)
def test_constraint(constraint: str, good: str, bad: str, component: str) -> None:
    """Each component lets the good values pass and names itself once for the bad ones."""
    shapes = f":S a sh:NodeShape ; sh:targetNode :n ; sh:property [ sh:path :p ; {constraint} ] ."
    around = " ; :same 's' ; :five 5 . :c a :D . :D rdfs:subClassOf :C ."
    good, bad = (values.replace("-INF", '"-INF"^^xsd:double') for values in (good, bad))
    if component == "Equals":
        around = around.replace("'s'", '"s"')
    assert components(checked(shapes, f":n :p {good}{around}")) == []
    assert components(checked(shapes, f":n :p {bad}{around}")) == [component]


TARGETS = [
    ("sh:targetNode :n, :absent", ["n", "absent"]),
    ("sh:targetClass :C", ["m", "n"]),
    ("sh:targetSubjectsOf :p", ["n"]),
    ("sh:targetObjectsOf :p", ["m"]),
    ("a rdfs:Class", ["i"]),
    ("sh:targetNode :n ; sh:targetClass :C", ["n", "m"]),
    ("sh:targetNode :n ; sh:deactivated true", []),
    ("sh:description 'no target'", []),
]


@pytest.mark.parametrize(("target", "focus"), TARGETS)
def test_targets(target: str, focus: list[str]) -> None:
    """Each kind of target finds its focus nodes, each once."""
    data = ":m a :D . :n a :C ; :p :m . :D rdfs:subClassOf :C . :i a :S ."
    report = checked(f":S a sh:NodeShape ; {target} ; sh:minLength 1000 .", data)
    assert sorted(str(result.focus) for result in report.results) == sorted(f"<urn:x:{name}>" for name in focus)


PATHS = [
    (":p", ["b", "c"], "<urn:x:p>"),
    ("[ sh:inversePath :p ]", ["z"], "^<urn:x:p>"),
    ("( :p :q )", ["d"], "(<urn:x:p>/<urn:x:q>)"),
    ("[ sh:alternativePath ( :p :r ) ]", ["b", "c", "e"], "(<urn:x:p>|<urn:x:r>)"),
    ("[ sh:zeroOrMorePath :p ]", ["a", "b", "c", "f"], "<urn:x:p>*"),
    ("[ sh:oneOrMorePath :p ]", ["b", "c", "f"], "<urn:x:p>+"),
    ("[ sh:zeroOrOnePath :p ]", ["a", "b", "c"], "<urn:x:p>?"),
    ("( [ sh:inversePath :p ] [ sh:inversePath ( :s :t ) ] )", ["y"], "(^<urn:x:p>/^(<urn:x:s>/<urn:x:t>))"),
    ("[ sh:inversePath [ sh:oneOrMorePath :p ] ]", ["z"], "^<urn:x:p>+"),
    ("[ sh:inversePath [ sh:alternativePath ( :p [ sh:inversePath :r ] ) ] ]", ["z", "e"], "^(<urn:x:p>|^<urn:x:r>)"),
]


@pytest.mark.parametrize(("path", "reached", "text"), PATHS)
def test_paths(path: str, reached: list[str], text: str) -> None:
    """Each form of path reaches its value nodes, and reads as SPARQL writes it."""
    data = ":a :p :b, :c ; :r :e . :b :q :d ; :p :f . :c :q :d . :z :p :a . :y :s :w . :w :t :z . :f :p :f ."
    report = checked(f":S sh:targetNode :a ; sh:path {path} ; sh:nodeKind sh:Literal .", data)
    assert sorted(str(result.value) for result in report.results) == sorted(f"<urn:x:{name}>" for name in reached)
    assert {path_text(result.path) for result in report.results if result.path} == {text}


def test_circular_data_ends() -> None:
    """A repeated path over a circle visits each node once."""
    shapes = ":S sh:targetNode :a ; sh:path [ sh:oneOrMorePath :p ] ; sh:maxCount 1 ."
    assert components(checked(shapes, ":a :p :b . :b :p :a .")) == ["MaxCount"]


# Refusals: (what is wrong, shapes that are refused, the nearest shapes that are taken)

NODE = ":S a sh:NodeShape ; sh:targetNode :n ; "
DEEP = "".join(f":S{n} a sh:NodeShape ; sh:node :S{n + 1} . " for n in range(40)) + ":S40 a sh:NodeShape ."
REFUSALS = [
    ("recursion through itself", ":S sh:targetNode :n ; sh:node :S .", ":S sh:node :T . :T a sh:NodeShape ."),
    (
        "recursion in a circle",
        ":S sh:not :T . :T sh:or ( :S ) .",
        ":S sh:not :T . :T sh:or ( :U ) . :U sh:minLength 1 .",
    ),
    ("recursion by property", ":S sh:property [ sh:path :p ; sh:node :S ] .", ":S sh:property [ sh:path :p ] ."),
    ("nesting without end", DEEP, DEEP.replace(":S20 a sh:NodeShape ; sh:node :S21", ":S20 a sh:NodeShape")),
    (
        "a path in a circle",
        ":S sh:path _:a . _:a sh:inversePath _:a . :S sh:minCount 1 .",
        ":S sh:path [ sh:inversePath :p ] .",
    ),
    ("a list in a circle", NODE + "sh:in _:l . _:l rdf:first 1 ; rdf:rest _:l .", NODE + "sh:in ( 1 ) ."),
    ("a list without an end", NODE + "sh:in [ rdf:first 1 ] .", NODE + "sh:in () ."),
    ("a path that is none", ":S sh:path [ :p :q ] ; sh:minCount 1 .", ":S sh:path :p ; sh:minCount 1 ."),
    ("a path of one step", ":S sh:path ( :p ) ; sh:minCount 1 .", ":S sh:path ( :p :p ) ; sh:minCount 1 ."),
    ("two paths", ":S sh:path :p, :q ; sh:minCount 1 .", ":S sh:path :p ; sh:minCount 1 ."),
    ("a property shape without path", NODE + "sh:property [ sh:minCount 1 ] .", NODE + "sh:property [ sh:path :p ] ."),
    ("a shape that is not there", NODE + "sh:node :T .", NODE + "sh:node :T . :T a sh:NodeShape ."),
    ("a literal as shape", NODE + "sh:node 4 .", NODE + "sh:node [] ."),
    ("a count on a node", NODE + "sh:minCount 1 .", ":S sh:path :p ; sh:minCount 1 ."),
    ("a count below zero", ":S sh:path :p ; sh:minCount -1 .", ":S sh:path :p ; sh:minCount 0 ."),
    ("a count that is none", ':S sh:path :p ; sh:maxCount "1" .', ":S sh:path :p ; sh:maxCount 1 ."),
    ("two counts", ":S sh:path :p ; sh:maxCount 1, 2 .", ":S sh:path :p ; sh:maxCount 2 ."),
    ("two datatypes", NODE + "sh:datatype xsd:date, xsd:time .", NODE + "sh:datatype xsd:date ."),
    ("a class that is no IRI", NODE + 'sh:class "C" .', NODE + "sh:class :C ."),
    ("a node kind of its own", NODE + "sh:nodeKind :IRI .", NODE + "sh:nodeKind sh:IRI ."),
    ("a limit without order", NODE + "sh:minInclusive :a .", NODE + "sh:minInclusive 1 ."),
    (
        "an ill-formed limit",
        NODE + 'sh:minInclusive "x"^^xsd:date .',
        NODE + 'sh:minInclusive "2024-01-01"^^xsd:date .',
    ),
    ("a blank target", ":S sh:targetNode [] .", ":S sh:targetNode :n ."),
    ("a severity that is no IRI", NODE + 'sh:severity "bad" .', NODE + "sh:severity :Bad ."),
    ("a pattern that is none", NODE + 'sh:pattern "(" .', NODE + 'sh:pattern "\\\\(" .'),
    ("a pattern too long", NODE + f'sh:pattern "{"a" * 1001}" .', NODE + f'sh:pattern "{"a" * 1000}" .'),
    ("a back-reference", NODE + 'sh:pattern "(a)\\\\1" .', NODE + 'sh:pattern "(a)\\\\\\\\1" .'),
    ("look-ahead", NODE + 'sh:pattern "(?=a)" .', NODE + 'sh:pattern "(?:a)" .'),
    ("unknown flags", NODE + 'sh:pattern "a" ; sh:flags "z" .', NODE + 'sh:pattern "a" ; sh:flags "i" .'),
    ("JavaScript", NODE + "sh:js [ sh:jsFunctionName 'f' ] .", NODE + "sh:name 'f' ."),
    ("a rule", NODE + "sh:rule [ a sh:TripleRule ] .", NODE + "sh:order 1 ."),
    ("a custom target", ":S a sh:NodeShape ; sh:target [] .", ":S a sh:NodeShape ; sh:targetNode :n ."),
    ("a misspelt term", NODE + "sh:maxLenght 1 .", NODE + "sh:maxLength 1 ."),
    ("an entailment", ":graph sh:entailment :rdfs .", ":graph owl:imports <https://nowhere.example/> ."),
]


@pytest.mark.parametrize(("bad", "good"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_refusals(bad: str, good: str) -> None:
    """What cannot be checked is refused when it is loaded, and its neighbour is taken."""
    load_shapes(turtle(good))
    with pytest.raises(Invalid):
        load_shapes(turtle(bad))


def test_shapes_that_do_not_parse() -> None:
    """Bytes that are not Turtle are malformed, with the line."""
    with pytest.raises(Malformed) as caught:
        load_shapes(b"<urn:a> <urn:b> .\n")
    assert caught.value.fields["line"] == 1


def test_number_of_shapes() -> None:
    """Ten thousand shapes load and one more is refused."""
    many = "".join(f":S{n} a sh:NodeShape .\n" for n in range(reading.MAX_SHAPES))
    assert load_shapes(turtle(many)).count == reading.MAX_SHAPES
    with pytest.raises(Invalid, match="at most 10000"):
        load_shapes(turtle(many + ":T a sh:NodeShape ."))


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Property shapes shared 14 levels deep make 2^14 results; the work ends at its limit, and 3 levels pass."""
    monkeypatch.setattr(index, "MAX_STEPS", 20_000)

    def doubled(levels: int) -> str:
        inner = "".join(
            f":S{n} sh:path :p ; sh:property :L{n}, :R{n} . "
            f":L{n} sh:path :p ; sh:property :S{n + 1} . :R{n} sh:path :p ; sh:property :S{n + 1} . "
            for n in range(levels)
        )
        return f":S sh:targetNode :n ; sh:property :S0 . {inner} :S{levels} sh:path :p ; sh:minCount 2 ."

    assert len(checked(doubled(3), ":n :p :n .").results) == 8
    with pytest.raises(LimitReached):
        checked(doubled(14), ":n :p :n .")


def test_shared_shapes_are_asked_once() -> None:
    """Node shapes shared 30 levels deep are decided once for each node, not 2^30 times."""
    inner = "".join(f":S{n} sh:and ( :S{n + 1} :S{n + 1} ) . " for n in range(30))
    assert checked(f":S sh:targetNode :n ; sh:node :S0 . {inner} :S30 sh:minLength 1 .", "").conforms


# Reports

LABELLED = """:S a sh:NodeShape ; sh:targetNode :n ; sh:property :P .
:P sh:path ( :p [ sh:inversePath :q ] ) ; sh:minCount 1 ; sh:severity sh:Warning ;
  sh:message "Trop peu"@fr, "Too few"@en, "Few" ."""


def test_result_says_all() -> None:
    """A result carries focus, path, severity, component, shape and the shape's messages by language."""
    (result,) = checked(LABELLED, "").results
    assert result.focus == NamedNode("urn:x:n")
    assert result.value is None
    assert result.severity == NamedNode(f"{SH}Warning")
    assert result.source_shape == NamedNode("urn:x:P")
    assert result.message == {"fr": "Trop peu", "en": "Too few", "": "Few"}
    assert (result.text("fr-BE"), result.text("de")) == ("Trop peu", "Few")


def test_messages_of_our_own() -> None:
    """Without sh:message there is one in English and one in French, and neither repeats the value."""
    (result,) = checked(":S sh:targetNode 'secret' ; sh:maxLength 3 .", "").results
    assert result.message == {
        "en": "The value has more than 3 characters.",
        "fr": "La valeur a plus de 3 caractère(s).",
    }


def test_sentence() -> None:
    """One sentence, in either language, English for any other."""
    good, bad = Report(), checked(LABELLED, "")
    assert good.conforms
    assert good.sentence("fr") == "Les données suivent les formes."
    assert good.sentence("de") == "The data fits the shapes."
    assert not bad.conforms
    assert bad.sentence("fr").endswith(": Trop peu")
    assert bad.sentence("en") == "1 result(s) against the shapes; first, at <urn:x:n> (<urn:x:p>/^<urn:x:q>): Too few"


def test_report_as_rdf() -> None:
    """The report is a standard graph, its path described, and nodes of the data keep apart from its own."""
    report = checked(":S sh:targetClass :C ; sh:path [ sh:zeroOrOnePath :p ] ; sh:maxCount 0 .", "_:report1 a :C .")
    expected = """
[] a sh:ValidationReport ; sh:conforms false ; sh:result [ a sh:ValidationResult ; sh:focusNode _:f ;
  sh:resultPath [ sh:zeroOrOnePath :p ] ; sh:resultSeverity sh:Violation ; sh:sourceShape :S ;
  sh:sourceConstraintComponent sh:MaxCountConstraintComponent ;
  sh:resultMessage "There are more than 0 values."@en, "Il y a plus de 0 valeur(s)."@fr ] ."""
    wanted = parse(turtle(expected), Syntax.TURTLE, "urn:report")
    assert canonical(report.to_statements()) == canonical(wanted)
    assert report.to_statements() == report.to_statements()


def test_values_cross_process_borders() -> None:
    """Shapes and reports pickle, and mean the same afterwards."""
    shapes = load_shapes(turtle(LABELLED))
    again = pickle.loads(pickle.dumps(shapes))
    report = validate(shapes, [])
    assert validate(again, []) == report
    assert pickle.loads(pickle.dumps(report)) == report


# Beyond SHACL Core

SPARQL = """:S a sh:NodeShape ; sh:targetNode :n ; sh:sparql [
  sh:message "No p" ; sh:select '''SELECT $this WHERE { FILTER NOT EXISTS { $this <urn:x:p> ?value } %s }''' ] ."""


def test_sparql_goes_to_the_fall_back() -> None:
    """A SPARQL constraint is flagged with its reason, and checked."""
    shapes = load_shapes(turtle(SPARQL % ""))
    assert shapes.needs_fallback == f"<{SH}select> is beyond SHACL Core"
    assert load_shapes(turtle(NODE + "sh:minLength 1 .")).needs_fallback is None
    assert components(checked(SPARQL % "", "")) == ["SPARQL"]
    assert checked(SPARQL % "", ":n :p 1 .").conforms


def test_sparql_can_be_turned_off() -> None:
    """Where strangers bring shapes, SPARQL in them is refused and Core is taken."""
    load_shapes(turtle(NODE + "sh:minLength 1 ."), allow_sparql=False)
    with pytest.raises(Invalid, match="SHACL Core alone"):
        load_shapes(turtle(SPARQL % ""), allow_sparql=False)


@pytest.mark.parametrize(
    "addition", ["service <https://nowhere.example/> { ?a ?b ?c }", "#\n SERVICE ?x { ?a ?b ?c }", "} #\\\\u0053\n {"]
)
def test_queries_do_not_reach_out(addition: str) -> None:
    """A query that names a service, however it is written, is refused; the word in a text or a comment is not."""
    load_shapes(turtle(SPARQL % '# SERVICE\n FILTER("SERVICE <x>" != "FROM")\n'))
    with pytest.raises(Invalid):
        load_shapes(turtle(SPARQL % addition))


def test_prefixes_do_not_smuggle() -> None:
    """A namespace that would close its IRI and go on as a query is refused."""
    good = ':x sh:declare [ sh:prefix "x" ; sh:namespace "urn:x:from:" ] . ' + SPARQL % ""
    load_shapes(turtle(good))
    with pytest.raises(Invalid, match="namespace"):
        load_shapes(turtle(good.replace("urn:x:from:", "urn:x> SELECT * FROM <https://nowhere.example/")))


def test_broken_query_is_refused() -> None:
    """A query that the engine cannot read makes the shapes invalid, and not the process fail."""
    with pytest.raises(Invalid):
        checked(SPARQL % "FILTER(", "")


def test_fall_back_keeps_lexical_forms() -> None:
    """The fall-back does not normalise: 007 is not 7, and an ill-formed integer is found."""
    shapes = parse(
        turtle(":S sh:targetNode :n ; sh:path :p ; sh:in ( 7 ) ; sh:datatype xsd:integer ."), Syntax.TURTLE, "urn:s"
    )

    def found(value: str) -> list[str]:
        data = parse(turtle(f":n :p {value} ."), Syntax.TURTLE, "urn:d")
        return sorted(components(validate_beyond_core(shapes, data)))

    assert found("7") == []
    assert found("007") == ["In"]
    assert found('"x"^^xsd:integer') == ["Datatype", "In"]


def test_check_shapes() -> None:
    """SHACL for SHACL finds what is wrong with shapes, by their own nodes."""
    assert check_shapes(turtle(NODE + "sh:minLength 1 .")).conforms
    report = check_shapes(turtle(NODE + "sh:minLength 1, 2 ."))
    assert {str(result.focus) for result in report.results} == {"<urn:x:S>"}


def test_bench_measures_the_same_work() -> None:
    """The bench's day conforms, and one broken reading in it is found."""
    shapes, good = load_shapes(shacl_ratio.SHAPES), shacl_ratio.day()
    assert validate(shapes, parse(good, Syntax.TURTLE, "urn:day")).conforms
    bad = good.replace(b"+01:00", b"", 1)
    assert components(validate(shapes, parse(bad, Syntax.TURTLE, "urn:day"))) == ["Datatype"]


def test_serialised_report_parses() -> None:
    """Any report can be written in Turtle."""
    report = checked(LABELLED, "")
    again = parse(serialise(report.to_statements(), Syntax.TURTLE), Syntax.TURTLE, "urn:r")
    assert canonical(again) == canonical(report.to_statements())
