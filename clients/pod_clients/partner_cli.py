"""The command line ``pod-partner``: check, deliver and know what became of it.

Tables are words in columns, so that they can be read aloud; nothing depends
on colour or on a terminal.  Exit codes: 0 all good, 2 some not taken, 1 the
command failed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import httpx
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pod_clients.errors import ClientError
from pod_clients.items import Heading, Item, read_items
from pod_clients.partner import Partner, Report
from pod_clients.session import Credentials, Session
from pod_clients.terminal import complaints, fail, out, table

PREFIX = "POD_PARTNER"
ANY_LINK = "check"
SHOWN = 20

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Deliver to a pod host as a data holder.")

File = Annotated[Path, typer.Argument(help="A file, a folder of files, or .ndjson lines that are ready items.")]
DataSet = Annotated[str, typer.Option("--data-set", help="Which data set of the host's catalogue.")]
Known = Annotated[
    Path | None,
    typer.Option(
        "--credentials", help=f"The JSON that 'pod-server partner add' printed; else {PREFIX}_ISSUER and so on."
    ),
]
HostUrl = Annotated[str | None, typer.Option("--host", help="The host's address; by default the issuer's.")]
Period = Annotated[str | None, typer.Option(help="A day, a month, a year, from/until; by default the file's name.")]
Version = Annotated[str, typer.Option(help="Your own; a correction needs a new one.")]


def _credentials(file: Path | None) -> Credentials:
    found = Credentials.load(file, os.environ, PREFIX)
    if found is None:
        raise ClientError(f"Give --credentials FILE, or {PREFIX}_ISSUER, {PREFIX}_CLIENT_ID, {PREFIX}_CLIENT_SECRET.")
    return found


def _items(partner: Partner, file: Path, heading: Heading) -> list[Item]:
    split = partner.split_of(heading.data_set) if heading.data_set else None
    return list(read_items(file, heading, split))


@app.command()
def deliver(  # noqa: PLR0913 - one option per thing that a file does not say of itself
    file: File,
    *,
    data_set: DataSet = "",
    link: Annotated[str, typer.Option(help="The pseudonym of the customer's pod.")] = "",
    period: Period = None,
    version: Version = "1",
    dead_letters: Annotated[
        Path | None, typer.Option("--dead-letters", help="Where what is not taken goes, to be mended and sent again.")
    ] = None,
    credentials: Known = None,
    host: HostUrl = None,
) -> None:
    """Deliver a file, a folder or ready items."""
    known = _credentials(credentials)
    with Session(known) as session, ExitStack() as stack:
        partner = Partner(session, host or known.issuer)
        items = _items(partner, file, Heading(link, data_set, period, version))
        sink = stack.enter_context(_private(dead_letters)) if dead_letters is not None else None
        with _progress() as bar:
            task = bar.add_task("delivered", total=len(items))
            report = partner.deliver(items, progress=lambda _: bar.advance(task), dead_letters=sink)
    _show(report)
    if report.refused and dead_letters is not None:
        out.print(f"What was not taken is in {dead_letters}.")
    raise typer.Exit(2 if report.refused else 0)


@app.command()
def check(
    file: File, *, data_set: DataSet = "", period: Period = None, credentials: Known = None, host: HostUrl = None
) -> None:
    """Ask the host what it would say of a file; nothing is written."""
    known = _credentials(credentials)
    with Session(known) as session:
        partner = Partner(session, host or known.issuer)
        report = partner.check(_items(partner, file, Heading(ANY_LINK, data_set, period)))
    _show(report)
    raise typer.Exit(2 if report.refused else 0)


@app.command()
def status(credentials: Known = None, host: HostUrl = None) -> None:
    """Who you are to the host, and whether it takes deliveries."""
    known = _credentials(credentials)
    with Session(known) as session:
        found = Partner(session, host or known.issuer).status()
    rows = (
        ("you are partner", found.partner),
        ("your client id", found.client),
        ("the host", f"{found.host} version {found.version}"),
        ("it takes requests", "yes" if found.ready else "not yet"),
        ("its data sets", ", ".join(found.data_sets)),
    )
    out.print(table(("what", "is"), rows))


def _private(file: Path) -> BinaryIO:
    """A file that only its owner reads: dead letters hold personal data."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=complaints, transient=True
    )


def _show(report: Report) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(report.counts.items()))
    out.print(f"{report.items} items: {counts or 'nothing to send'}.")
    if report.receipts:
        out.print(f"{len(report.receipts)} receipts, each with a signature that holds.")
    if report.unsigned:
        out.print(f"{report.unsigned} answers were cut before their receipt; their verdicts stand.")
    if report.refused:
        shown = report.refused[:SHOWN]
        rows = [(each.item.data_set, each.item.period, each.outcome, each.english) for each in shown]
        out.print(table(("data set", "period", "verdict", "why"), rows))
    if len(report.refused) > SHOWN:
        out.print(f"And {len(report.refused) - SHOWN} more.")


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    try:
        app(arguments, prog_name="pod-partner")
    except (ClientError, httpx.HTTPError, OSError) as error:
        sys.exit(fail("pod-partner", error))
