"""The house itself: its sizes, its words, its documents against its code.  ``make check`` runs it."""

from __future__ import annotations

import ast
import re
import statistics
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from conftest import ROOT

from pod_server.config import PREFIX, Config
from pod_server.errors import KINDS, PodError
from pod_server.web.problems import STATUS, TITLES

PACKAGES = ("pod_server", "clients/pod_clients")
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(file: Path) -> Iterator[Function]:
    """Every function of a file, nested ones included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, Function):
            yield node


def length(node: Function) -> int:
    """Lines of a function without its docstring and decorators."""
    assert node.end_lineno is not None
    doc = node.body[0] if ast.get_docstring(node) is not None else None
    return node.end_lineno - node.lineno + 1 - ((doc.end_lineno or 0) - doc.lineno + 1 if doc else 0)


def test_functions_are_small() -> None:
    """Functions: median at most 10 lines, 95 of 100 at most 40, none over 80."""
    sizes = sorted(length(node) for file in SOURCES for node in functions(file))
    assert statistics.median(sizes) <= 10
    assert sizes[int(len(sizes) * 0.95)] <= 40
    assert sizes[-1] <= 80


def test_files_are_small() -> None:
    """No file over 800 lines, 95 of 100 at most 500."""
    sizes = sorted(len(file.read_text().splitlines()) for file in SOURCES)
    assert sizes[-1] <= 800
    assert sizes[int(len(sizes) * 0.95)] <= 500


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_public_says_what_it_is_for(file: Path) -> None:
    """Modules, public classes and public functions have docstrings."""
    tree = ast.parse(file.read_text())
    bare = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            bare += [node.name] if ast.get_docstring(node) is None else []
            if isinstance(node, ast.ClassDef):
                bare += [
                    f"{node.name}.{part.name}"
                    for part in node.body
                    if isinstance(part, Function)
                    and not part.name.startswith("_")
                    and not any(getattr(each, "id", "") == "override" for each in part.decorator_list)
                    and ast.get_docstring(part) is None
                ]
    assert not bare, bare


@pytest.mark.parametrize("file", TESTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_test_says_its_intent(file: Path) -> None:
    """Each test has a docstring, and none is skipped without a reason."""
    text = file.read_text()
    bare = [node.name for node in functions(file) if node.name.startswith("test_") and ast.get_docstring(node) is None]
    assert not bare, bare
    assert not re.search(r"pytest\.skip\(\)|mark\.skip\s*$", text, re.MULTILINE)


def test_every_failure_has_a_status_a_title_and_a_page() -> None:
    """The closed list of failures, its statuses, its titles and its pages are one list."""
    kinds = {kind.kind for kind in KINDS}
    assert kinds == {sub.kind for sub in PodError.__subclasses__() if sub.__module__ == "pod_server.errors"}
    assert kinds == set(STATUS)
    assert kinds | {"internal"} == set(TITLES)
    pages = tomllib.loads((ROOT / "pod_server/web/console/problems.toml").read_text())
    assert kinds | {"internal"} <= set(pages)


def test_errors_are_never_swallowed() -> None:
    """No handler catches everything and does nothing."""
    guilty = [
        f"{file.name}:{node.lineno}"
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
        and all(isinstance(each, ast.Pass) for each in node.body)
    ]
    assert not guilty, guilty


def test_settings_are_documented() -> None:
    """Each setting stands in the README with its name in the environment; there are at most 25."""
    readme = (ROOT / "README.md").read_text()
    names = [field.name for field in fields(Config)]
    assert len(names) <= 25
    missing = [name for name in names if f"`{name}`" not in readme]
    assert not missing, missing
    assert PREFIX in readme


def test_only_config_reads_the_environment() -> None:
    """The server's settings come from one place."""
    guilty = [
        str(file.relative_to(ROOT))
        for file in SOURCES
        if file.name != "config.py"
        and "pod_server" in file.parts
        and re.search(r"os\.environ|getenv", file.read_text())
    ]
    assert set(guilty) <= {"pod_server/workers.py", "pod_server/query/views.py", "pod_server/query/worker.py"}, guilty


def test_routes_are_documented() -> None:
    """Each public route of the host stands in the README."""
    readme = (ROOT / "README.md").read_text()
    routes = set()
    for file in (ROOT / "pod_server" / "web").rglob("*.py"):
        routes |= set(
            re.findall(
                r'router\.(?:get|post|api_route)\(\s*"(/(?:\.well-known|\.host|\{name\}/\.pod)[^"]*)"', file.read_text()
            )
        )
    documented = {route for route in routes if re.sub(r"\{.*?\}", "{}", route) in re.sub(r"\{.*?\}", "{}", readme)}
    assert routes, "the routes are found by their decorators"
    assert routes == documented, sorted(routes - documented)


def test_the_project_speaks_of_itself_alone() -> None:
    """No path of one machine, no registry's host, in anything that git tracks."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    words = re.compile("/" + "work/|/root" + r"/|registry\.np" + r"mjs|files\.python" + r"hosted|pypi\.o" + "rg/simple")
    guilty = []
    for name in listed.stdout.splitlines():
        file = ROOT / name
        if file.suffix in (".sqlite", ".png") or not file.exists():
            continue
        guilty += [name] if words.search(file.read_text(errors="replace")) else []
    assert not guilty, guilty


def test_the_front_matter_is_there() -> None:
    """README, licence, changelog and the lock file are what they should be."""
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()
    lock = (ROOT / "requirements.lock").read_text()
    assert "--hash=sha256:" in lock
    assert "index" not in lock
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) <= 25
