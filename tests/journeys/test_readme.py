"""The README as a new user follows it: its three paths, command by command, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ROOT
from solid import free_port

BIN = Path(sys.executable).parent
STARTED: list[subprocess.Popen[bytes]] = []


def blocks(heading: str) -> list[tuple[str, str]]:
    """The fenced blocks below a heading of the README, as (language, text)."""
    text = (ROOT / "README.md").read_text()
    section = re.split(r"^#+ ", text.partition(f"### {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[str]:
    """The commands of a block, continued lines joined, comments left out."""
    joined = block.replace("\\\n", " ")
    found, held = [], ""
    for line in joined.splitlines():
        held = f"{held}\n{line}" if held else line
        if held.count("'") % 2 == 0:
            found.append(re.sub(r"\s+#\s.*$", "", held).strip())
            held = ""
    return [command for command in found if command]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, in which the README's host runs until the paths are done."""
    home = tmp_path_factory.mktemp("newcomer")
    home.joinpath("port").write_text(str(free_port()))
    yield home
    for process in STARTED:
        process.terminate()
        process.wait(timeout=20)


def run(folder: Path, command: str, link: str = "") -> str:
    """Run one command of the README as it stands, but for the port and the link; its output."""
    port = (folder / "port").read_text()
    command = command.replace("--port 8000", f"--port {port}").replace("localhost:8000", f"localhost:{port}")
    command = command.replace("LINK", link).replace("/somewhere/else", str(folder / "copy"))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "POD_SERVER_PORT": port, "COLUMNS": "160"}
    if command.endswith("&"):
        with (folder / "host.log").open("wb") as log:
            process = subprocess.Popen(
                shlex.split(command.rstrip("& ")), cwd=folder, env=environment, stdout=log, stderr=log
            )
        STARTED.append(process)
        _await(f"http://localhost:{port}/.host/health")
        return ""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def _await(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"{url} does not answer")


def test_the_three_paths(folder: Path) -> None:
    """Host, partner and app: every command works as printed, and the app sees what was granted, no more, no longer."""
    [(_, hosting)] = blocks("I host pods")
    printed = {command: run(folder, command) for command in commands(hosting)}
    sign_in = next(json.loads(text)["url"] for command, text in printed.items() if " sign-in " in command)
    assert "0 findings" in printed[next(command for command in printed if " verify " in command)]

    (_, delivering), (language, snippet) = blocks("I am a partner and hold data about people")
    link, outputs = "", {}
    for command in commands(delivering):
        outputs[command] = run(folder, command, link)
        if "partner link" in command:
            link = json.loads(outputs[command])["link"]
    assert "landed" in outputs[commands(delivering)[-1]]
    assert language == "python"
    done = subprocess.run(
        [sys.executable, "-c", snippet.replace("LINK", link)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "unchanged" in done.stdout, done.stderr

    [(_, asking)] = blocks("I make an app")
    making, query = commands(asking)
    run(folder, making)
    assert "2024-03" not in run(folder, query)
    with httpx.Client(follow_redirects=True) as browser:
        _grant(browser, sign_in)
        assert "2024-03" in run(folder, query)
        _revoke(browser)
        assert "2024-03" not in run(folder, query)


def _grant(browser: httpx.Client, sign_in: str) -> None:
    """What ana does in her pages."""
    page = browser.get(sign_in)
    entered = browser.post(sign_in.partition("?")[0], data={"token": sign_in.partition("token=")[2]})
    assert (page.status_code, entered.status_code) == (200, 200)
    grants = str(entered.url).rstrip("/").removesuffix("/grants") + "/grants"
    form = browser.get(grants).text
    csrf = re.search(r'name="csrf" value="([^"]+)"', form)
    assert csrf is not None
    choice = re.search(r'<option value="([^"]*load-curve[^"]*month[^"]*)"', form)
    assert choice is not None, form[:3000]
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400))
    data = {"what": choice[1], "kind": "agent", "address": "https://begreen.example/app#it", "until": day}
    answer = browser.post(grants, data={"csrf": csrf[1], **data})
    assert answer.status_code == 200, answer.text
    browser.headers["x-grants"] = grants


def _revoke(browser: httpx.Client) -> None:
    grants = browser.headers["x-grants"]
    form = browser.get(grants).text
    match = re.search(
        r'<form[^>]*action="([^"]*)"[^>]*>(?:(?!</form>).)*?name="grant"(?:(?!</form>).)*</form>', form, re.DOTALL
    )
    assert match is not None, form[:4000]
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', match[0]))
    answer = browser.post(str(httpx.URL(grants).join(match[1])), data=fields)
    assert answer.status_code == 200, answer.text
