"""Pages for people: their languages, header lines and phrases, the three doors, the catalogue, the refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path as FilePath

import pytest
from console_actors import Browser, Living, check_page, peopled

from pod_server.errors import KINDS
from pod_server.landing.catalogue import DATA_SETS
from pod_server.web.console import citizen, words
from pod_server.web.console.doors import VERDICTS
from pod_server.web.console.frame import POLICY, day, when
from pod_server.web.console.problems import PROBLEMS

CONSOLE = "/.host/console"
PUBLIC_PAGES = ("/", "/.host/partners", "/.host/developers", "/.host/problems/", "/.host/problems/invalid")
OWN_PAGES = ("/", "/grants", "/query", "/documents", "/history")
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    """One host for the tests that leave nothing behind: ana's pod with all data sets, ben's without any."""
    with peopled(tmp_path_factory.mktemp("console")) as found:
        yield found


@pytest.fixture
def ana(house: Living) -> Browser:
    """Ana, signed in."""
    return house.signed_in("ana")


@pytest.mark.parametrize("path", [*PUBLIC_PAGES, *(CONSOLE + own for own in OWN_PAGES)])
@pytest.mark.parametrize("language", words.LANGUAGES)
def test_pages_speak_the_reader_s_language(ana: Browser, path: str, language: str) -> None:
    """By Accept-Language and by ?lang=, which wins and stays in the links; the page is whole and inert."""
    preferred = ana.get(path, Accept_Language=f"de, {language};q=0.8")
    chosen = ana.get(f"{path}?lang={language}", Accept_Language="fr" if language == "en" else "en")
    for page in (preferred, chosen):
        assert page.status_code == 200
        assert f'<html lang="{language}">' in page.text
        check_page(page.text)
    assert f'href="/?lang={language}"' in chosen.text
    assert 'href="/"' in preferred.text


@pytest.mark.parametrize("path", [*PUBLIC_PAGES, CONSOLE + "/", CONSOLE + "/enter?token=x", "/.host/problems/none"])
def test_pages_carry_the_lines_that_keep_them_inert(house: Living, path: str) -> None:
    """Every page, refusals among them, forbids scripts, frames, sniffing and referrers; the console is kept nowhere."""
    answer = house.browser().get(path)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == ("no-store" if path.startswith(CONSOLE) else "no-cache")
    assert "'unsafe" not in POLICY


def test_the_doors_name_the_real_addresses(house: Living) -> None:
    """Whatever address a door shows is answered by the host itself."""
    for path in ("/", "/.host/partners", "/.host/developers"):
        page = house.browser().get(path)
        shown = set(re.findall(rf'href="({re.escape(house.base)}[^"]*)"', page.text))
        assert shown
        for address in shown - {f"{house.base}.host/deliveries"}:
            assert house.browser().get(address, Accept="*/*").status_code == 200, address


def test_static_files_are_the_known_ones(house: Living) -> None:
    """The sheet and the mark are served for good under the address that pages use; nothing else is there."""
    page = house.browser().get("/")
    for address in set(re.findall(r'(?:href|src)="(/\.host/static/[^"]+)"', page.text)):
        assert house.browser().get(address).headers["cache-control"].endswith("immutable")
    assert house.browser().get("/.host/static/..%2Fframe.py").status_code == 404
    assert house.browser().get("/.host/static/frame.py").status_code == 404


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (HTML, "text/html"),
        ("text/html", "text/html"),
        ("*/*", "text/turtle"),
        ("application/json", "application/json"),
        ("application/ld+json", "application/ld+json"),
        ("text/turtle, text/html;q=0.5", "text/turtle"),
        ("image/png", "text/turtle"),
    ],
)
def test_the_catalogue_is_a_page_for_people_alone(house: Living, accept: str, media_type: str) -> None:
    """People get a page, programs RDF or JSON, from one address; each form names every data set."""
    answer = house.browser().get("/.host/catalogue", Accept=accept)
    assert answer.headers["content-type"].split(";")[0] == media_type
    assert "Accept" in answer.headers["vary"]
    for row in DATA_SETS.values():
        assert row.id in answer.text


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_every_kind_of_refusal_has_a_page(house: Living, language: str) -> None:
    """The type of every problem that the host can send is a page with cause, mend and example in both languages."""
    for kind in [*(each.kind for each in KINDS), "internal"]:
        answer = house.browser().get(f"/.host/problems/{kind}", Accept_Language=language)
        assert answer.status_code == 200
        check_page(answer.text)
        problem = PROBLEMS[kind]
        for told in (problem.title, problem.cause, problem.mend):
            assert told.english != told.french
            assert (told.french if language == "fr" else told.english) in unescape(answer.text)
        assert problem.example in unescape(answer.text)


def test_an_unknown_refusal_is_a_page_too(house: Living) -> None:
    """An address that names no refusal says so, as a page."""
    answer = house.browser().get("/.host/problems/" + "%3Cb%3Enope", Accept_Language="fr")
    assert (answer.status_code, "Introuvable" in answer.text, "<b>nope" in answer.text) == (404, True, False)


def test_every_phrase_is_used_and_every_used_phrase_exists() -> None:
    """words.toml holds both languages of what the templates and the code ask for, and nothing else."""
    folder = FilePath(words.__file__).parent
    source = "".join(file.read_text() for file in [*folder.glob("templates/*.html"), *folder.glob("*.py")])
    named = set(re.findall(r"""["']([a-z][a-z0-9-]*)["']""", source))
    made = {f"{prefix}-{each}" for prefix, each in _made_keys()} | {
        f"holder: {row.holder}" for row in DATA_SETS.values()
    }
    for key, (english, french) in words.WORDS.items():
        assert english
        assert french
        assert key.removesuffix(".one").removesuffix(".many") in named | made, key
    direct = re.findall(r"""\b[tn]\(["']([a-z0-9-]+)["'](?! ~)""", source)
    for key in direct:
        assert key in words.WORDS or {f"{key}.one", f"{key}.many"} <= set(words.WORDS), key


def _made_keys() -> Iterator[tuple[str, str]]:
    yield from (("verdict", verdict) for verdict in VERDICTS)
    yield from (("month", str(month)) for month in range(1, 13))
    yield from (("said", said) for said in citizen.SAID)
    yield from (("wrong", field) for field in ("what", "address", "day"))
    yield from (("mode", mode) for mode in ("read", "append", "write", "control"))
    yield from (("audience", who) for who in ("public", "signed-in", "group", "agent"))
    for door in ("citizen", "partner", "developer"):
        yield from (("door", end) for end in (door, f"{door}-text", f"{door}-go"))


@pytest.mark.parametrize(
    ("language", "instant", "expected"),
    [
        ("en", 1710288000.0, "13 March 2024, 01:00"),
        ("fr", 1710288000.0, "13 mars 2024 à 01:00"),
        ("fr", 1719784800.0, "1er juillet 2024 à 00:00"),
        ("en", -1.0, "1 January 1970, 01:00"),
    ],
)
def test_times_are_told_in_paris(language: str, instant: float, expected: str) -> None:
    """Winter and summer time, and the first of a month, which French counts in words."""
    assert when(language, instant) == expected
    assert expected.startswith(day(language, instant))
