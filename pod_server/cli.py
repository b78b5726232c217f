"""The command line: serve, demo, dev, pod, partner, link, sign-in, catalogue, backup, restore, verify.

The top of the house; nobody imports it.  Commands about pods and partners
speak to the running host, or to the data folder itself when no host runs.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
import uvicorn
from rich.console import Console
from rich.table import Table

from pod_server import __version__, logs
from pod_server.composition import Host, compose
from pod_server.config import Config, load
from pod_server.errors import Conflict, Invalid, Missing, PodError
from pod_server.landing import sandbox
from pod_server.landing.catalogue import DATA_SETS, find
from pod_server.provision import Provision
from pod_server.store import backup as copies
from pod_server.store import checkup
from pod_server.store.files import make_folder
from pod_server.store.host import HostDatabase, PodRow
from pod_server.store.sqlite import SqliteStore, take_lock
from pod_server.web.admin import Operator
from pod_server.workers import Workers

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="A host for personal data pods."
)
pod_app = typer.Typer(no_args_is_help=True, help="Make and list pods.")
partner_app = typer.Typer(no_args_is_help=True, help="Register data holders and tie their customers to pods.")
app.add_typer(pod_app, name="pod")
app_app = typer.Typer(no_args_is_help=True, help="Give apps credentials of their own.")
app.add_typer(partner_app, name="partner")
app.add_typer(app_app, name="app")
out = Console()
complaints = Console(stderr=True)

Data = Annotated[Path | None, typer.Option(help="The data folder.")]
Port = Annotated[int | None, typer.Option(help="The port to listen on.")]
Url = Annotated[str | None, typer.Option(help="The address that clients use, with its final slash.")]
Settings = Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.")]


def serve_host(config: Config, host: Host, when_up: Callable[[], None] = lambda: None) -> None:
    """Serve until told to stop; SIGTERM and SIGINT drain what is under way, five seconds at most."""
    settings = uvicorn.Config(
        host.application,
        host=config.bind,
        port=config.port,
        access_log=False,
        log_config=None,
        server_header=False,
        lifespan="on",
        forwarded_allow_ips=config.trust_proxy,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=32 * 1024,
    )
    server = _Server(settings, when_up)
    server.run()
    if not server.started:
        raise typer.Exit(1)


class _Server(uvicorn.Server):
    """A server that says when it answers."""

    def __init__(self, config: uvicorn.Config, when_up: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_up = when_up

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A stop that was asked for is no failure: the signal is not raised again once all is drained."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: Any = None) -> None:
        """Bind, then tell."""
        await super().startup(sockets)
        if self.started:
            self._when_up()


@app.command()
def serve(  # noqa: PLR0913, PLR0917 - one option per setting that is often given by hand
    data: Data = None,
    port: Port = None,
    bind: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    url: Url = None,
    config: Settings = None,
    allow_loopback: Annotated[bool | None, typer.Option(help="Let outgoing requests reach this machine.")] = None,
) -> None:
    """Serve the pods of a data folder."""
    settings = load(config, data=data, port=port, bind=bind, url=url, allow_loopback=allow_loopback)
    logs.start()
    host = compose(settings)
    _write_whereabouts(settings)
    serve_host(settings, host)


@app.command()
def dev(  # noqa: PLR0913, PLR0917 - one option per thing that a test host may need
    env: Annotated[Path, typer.Option(help="Where to write addresses and credentials, once the host answers.")],
    data: Annotated[Path, typer.Option(help="The data folder; the same one again means the same pods.")],
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
    users: Annotated[str, typer.Option(help="Names of pods, by commas.")] = "alice,bob",
    url: Url = None,
    allow_loopback: Annotated[bool, typer.Option(help="Let outgoing requests reach this machine.")] = False,
) -> None:
    """A host for tests: pods with known credentials, and a container that is open to everybody."""
    settings = load(None, {}, data=data, port=port, url=url, allow_loopback=allow_loopback)
    env.unlink(missing_ok=True)
    logs.start("WARNING")
    host = compose(settings)
    known = _dev_users(host, settings, [name.strip() for name in users.split(",") if name.strip()])
    first = next(iter(known.values()))
    content = {
        "idp": settings.base,
        "testContainer": first["pod"],
        "open": first["pod"] + "open/",
        "users": known,
        "admin": host.secrets.admin,
        "pid": os.getpid(),
    }
    _write_whereabouts(settings)
    serve_host(settings, host, lambda: _write_private(env, content))


def _dev_users(host: Host, config: Config, names: list[str]) -> dict[str, dict[str, str]]:
    """Pods and credentials, the same again for the same folder: a test host keeps its secrets in the clear."""
    file = config.data / "dev.json"
    known: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
    if any(not user["pod"].startswith(config.base) for user in known.values()):
        raise Conflict(f"The pods of {config.data} were made for another address than {config.base}.")
    for name in names:
        if name not in known:
            made = host.operator.add_pod(name, name.title(), open_folder=True)
            known[name] = {key: made[key] for key in ("webId", "pod", "clientId", "clientSecret")} | {
                "username": name,
                "password": secrets.token_urlsafe(12),
            }
            _write_private(file, known)
    return {name: known[name] for name in names}


def _write_private(file: Path, content: Any) -> None:
    aside = file.with_name(file.name + ".part")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT, 0o600), "w") as sink:
        json.dump(content, sink, indent=2)
    aside.rename(file)


def _write_whereabouts(config: Config) -> None:
    _write_private(config.data / "host.json", {"url": f"http://localhost:{config.port}/", "base": config.base})


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8000,
    data: Annotated[Path | None, typer.Option(help="The data folder; a fresh one in .demo by default.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Tell the story and end.")] = False,
    citizens: Annotated[int, typer.Option(help="How many citizens.")] = 20,
) -> None:
    """The main job, end to end: a city's partners deliver, an app asks, a citizen decides."""
    from pod_server.demo import run  # noqa: PLC0415 - the demo's generator is not loaded by any other command

    raise typer.Exit(run(port, data, once=once, citizens=citizens))


# pods, partners, links


@pod_app.command("add")
def pod_add(
    name: Annotated[str, typer.Argument(help="Its name in URLs: a-z, 0-9 and -.")],
    title: Annotated[str, typer.Option(help="The citizen's name, for people.")] = "",
    data: Data = None,
    config: Settings = None,
) -> None:
    """Make a pod; its credentials are shown this once."""
    _show(_operate(data, config, "add_pod", name=name, title=title))


@pod_app.command("list")
def pod_list(data: Data = None, config: Settings = None) -> None:
    """List the pods."""
    table = Table("name", "pod", "WebID")
    for row in _operate(data, config, "pods"):
        table.add_row(row["name"], row["pod"], row["webId"])
    out.print(table)


@partner_app.command("add")
def partner_add(
    partner: Annotated[str, typer.Argument(help="Its id in paths: a-z, 0-9 and -.")],
    name: Annotated[str, typer.Option(help="Its name, for people.")],
    holder: Annotated[str, typer.Option(help="What it is: insurer, electricity supplier, ...")],
    data: Data = None,
    config: Settings = None,
) -> None:
    """Register a partner; its credentials are shown this once."""
    _show(_operate(data, config, "add_partner", partner_id=partner, name=name, holder=holder))


@partner_app.command("list")
def partner_list(data: Data = None, config: Settings = None) -> None:
    """List the partners."""
    table = Table("partner", "name", "holder")
    for row in _operate(data, config, "partners"):
        table.add_row(row["partner"], row["name"], row["holder"])
    out.print(table)


@partner_app.command("link")
def partner_link(
    partner: Annotated[str, typer.Argument(help="The partner's id.")],
    pod: Annotated[str, typer.Argument(help="The pod's name.")],
    since: Annotated[str, typer.Option(help="From which day on, as 2024-01-31.")] = "1970-01-01",
    data: Data = None,
    config: Settings = None,
) -> None:
    """Tie a partner's customer to a pod; prints the pseudonym that the partner uses."""
    starts = _day(since)
    _show(_operate(data, config, "add_link", partner=partner, pod=pod, starts=starts, ends=None))


def _day(text: str) -> float:
    """The first instant of a day (UTC), as links count.  Raises Invalid."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Invalid(f"{text!r} is no day; write it as 2024-01-31.") from None


@partner_app.command("unlink")
def partner_unlink(
    link: Annotated[str, typer.Argument(help="The link's id.")], data: Data = None, config: Settings = None
) -> None:
    """Close a link from now on."""
    _show(_operate(data, config, "end_link", link_id=link))


@app_app.command("add")
def app_add(
    webid: Annotated[str, typer.Argument(help="Its WebID, a URL of its own.")],
    name: Annotated[str, typer.Option(help="Its name, for people.")],
    data: Data = None,
    config: Settings = None,
) -> None:
    """Give an app credentials to sign in as itself; they are shown this once.  It may read nothing until granted."""
    _show(_operate(data, config, "add_app", webid=webid, name=name))


@app.command("sign-in")
def sign_in(
    pod: Annotated[str, typer.Argument(help="The pod's name.")], data: Data = None, config: Settings = None
) -> None:
    """A one-time link into the citizen's pages, good for 15 minutes."""
    _show(_operate(data, config, "sign_in", pod=pod))


@app.command()
def catalogue() -> None:
    """Print the data sets that this host knows how to land."""
    table = Table("data set", "holder", "title", "precisions")
    for row in DATA_SETS.values():
        table.add_row(row.id, row.holder, row.title["en"], ", ".join(each.name for each in row.precisions))
    out.print(table)


@app.command()
def sample(
    data_set: Annotated[str, typer.Argument(help="A data set of the catalogue.")],
    month: Annotated[str, typer.Option(help="Of which month, as 2024-03.")] = "2024-03",
    seed: Annotated[int, typer.Option(help="Another seed is another invented citizen.")] = 1,
) -> None:
    """Print a partner's file of an invented citizen, in the format that the partner really delivers."""
    find(data_set)
    _day(f"{month}-01")
    citizen = sandbox.citizens(1, seed)[0]
    made = next(each for each in sandbox.deliveries(citizen, [month]) if each.data_set == data_set)
    sys.stdout.write(made.payload.decode() + "\n")
    complaints.print(f"data set {made.data_set}, period {made.period}, as partner {made.partner!r} delivers it")


_ROUTES = {
    "add_pod": ("POST", "pods", {}),
    "pods": ("GET", "pods", {}),
    "add_partner": ("POST", "partners", {"partner_id": "id"}),
    "partners": ("GET", "partners", {}),
    "add_app": ("POST", "apps", {"webid": "webId"}),
    "add_link": ("POST", "links", {}),
    "end_link": ("POST", "links/end", {"link_id": "link"}),
    "sign_in": ("POST", "sign-in", {}),
}


def _operate(data: Path | None, file: Path | None, action: str, **given: Any) -> Any:
    """Do something as the operator: on the data folder itself, or through the host that owns it."""
    config = load(file, data=data)
    if action != "add_pod" and not (config.data / "host.db").exists():
        raise Missing(f"There is no host in {config.data}.")
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        store = SqliteStore(config.data, time.time)
    except Conflict:
        return _ask_host(config, action, given)
    database = HostDatabase(config.data)
    try:
        provision = Provision(store, database, time.time, config.base)
        operator = Operator(store, database, provision, time.time, config.base)
        return getattr(operator, action)(**given)
    finally:
        asyncio.run(store.close())
        database.close()


HOST_SECONDS = 5.0
"""How long a host that is just starting gets to answer."""


def _ask_host(config: Config, action: str, given: dict[str, Any]) -> Any:
    import httpx  # noqa: PLC0415 - takes 80 ms, and `serve` never needs it

    method, route, names = _ROUTES[action]
    body = {names.get(key, key): value for key, value in given.items()} if method == "POST" else None
    deadline = time.monotonic() + HOST_SECONDS
    while True:
        try:
            address = json.loads((config.data / "host.json").read_text())["url"]
            token = json.loads((config.data / "secrets.json").read_text())["admin"]
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.request(method, f"{address}.host/admin/{route}", headers=headers, json=body)
            break
        except (httpx.TransportError, FileNotFoundError) as error:
            if time.monotonic() > deadline:
                raise Missing(f"The host that owns {config.data} does not answer ({type(error).__name__}).") from None
            time.sleep(0.1)
    document = answer.json()
    if answer.is_error:
        raise PodError(document.get("detail", answer.text))
    return document[action] if action in ("pods", "partners") else document


def _show(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


# copies


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The folder to copy to; only what moved is copied again.")],
    data: Data = None,
    config: Settings = None,
) -> None:
    """Copy all pods while the host runs; each is consistent in itself.  Host secrets are not copied."""
    settings = load(config, data=data)
    tally = copies.backup_host(settings.data, target)
    _tell(tally, f"copied to {target}. Keep {settings.data / 'secrets.json'} apart, and safe.")


def _tell(tally: copies.Tally, done: str) -> None:
    """What was copied, and what could not be: exit code 1 when there is any of it."""
    for failure in tally.failures:
        out.print(f"{failure.where}: {failure.sentence}")
    missed = f" {len(tally.failures)} pods could not be copied." if tally.failures else ""
    out.print(f"{tally.pods - len(tally.failures)} pods {done}{missed}")
    raise typer.Exit(1 if tally.failures else 0)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="A folder that backup wrote.")],
    data: Data = None,
    config: Settings = None,
) -> None:
    """Put a backup into a data folder that has no pods yet."""
    settings = load(config, data=data)
    copies.check_restore(source, settings.data)
    make_folder(settings.data)
    lock = take_lock(settings.data)
    try:
        tally = copies.restore_host(source, settings.data)
    finally:
        os.close(lock)
    _tell(tally, f"restored into {settings.data}.")


@app.command()
def verify(data: Data = None, config: Settings = None) -> None:
    """Check every pod: files, hashes, chains, counts; and say what confines the workers."""
    settings = load(config, data=data)
    rows = copies.pods_of(settings.data)
    found = sum(_verify_one(settings, row) for row in rows)
    out.print(f"{len(rows)} pods checked, {found} findings. Workers are {asyncio.run(_confinement())}.")
    raise typer.Exit(1 if found else 0)


def _verify_one(config: Config, row: PodRow) -> int:
    folder = copies.folder_in(config.data, row.id)
    findings = checkup.verify_pod(folder)
    for finding in findings:
        out.print(f"{row.name}: {finding.where}: {finding.sentence}")
    left = 0 if findings else checkup.unnamed(folder, time.time())
    if left:
        out.print(f"{row.name}: a note: {left} files of refused uploads wait to be swept.")
    return len(findings)


async def _confinement() -> str:
    workers = Workers(1)
    workers.start()
    try:
        found = await workers.confinement()
    finally:
        await workers.stop()
    return "confined by seccomp" if found.kind == "seccomp" else f"not confined ({found.reason})"


@app.command()
def version() -> None:
    """Print the version."""
    sys.stdout.write(__version__ + "\n")


def main() -> None:
    """The entry point: a refusal is one sentence on standard error, and exit code 1."""
    try:
        app()
    except PodError as error:
        complaints.print(f"[bold]pod-server:[/bold] {error.detail}")
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
