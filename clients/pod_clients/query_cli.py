"""The command line ``pod-query``: a SPARQL query to a pod, its answer as a table, CSV or JSON.

Exit codes: 0 answered, 1 not.  An ASK prints true or false; a CONSTRUCT
prints N-Triples.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import httpx
import typer

from pod_clients.errors import ClientError
from pod_clients.pod import Pod
from pod_clients.rows import Rows
from pod_clients.session import Credentials, Session
from pod_clients.terminal import fail, out, table

PREFIX = "POD_QUERY"
_PROLOGUE = re.compile(r"\s*(?:#[^\n]*\n\s*|PREFIX\s+[^\s:]*:\s*<[^>]*>\s*|BASE\s*<[^>]*>\s*)*", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")

app = typer.Typer(add_completion=False)


class Format(StrEnum):
    """How the solutions of a SELECT are printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command()
def query(  # noqa: PLR0913 - one option per choice
    text: Annotated[str | None, typer.Argument(metavar="QUERY", help="The query.")] = None,
    *,
    pod: Annotated[str, typer.Option(help="The pod's address.")] = "",
    file: Annotated[Path | None, typer.Option(help="A file with the query instead.")] = None,
    credentials: Annotated[
        Path | None, typer.Option(help=f"JSON with issuer, clientId, clientSecret; else {PREFIX}_ISSUER and so on.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How solutions are printed.")] = Format.TABLE,
    union: Annotated[bool, typer.Option(help="Ask over all you may read; otherwise by FROM and GRAPH alone.")] = True,
) -> None:
    """Ask a pod a question in SPARQL."""
    asked = text if file is None else file.read_text()
    if not pod or asked is None or (text is not None and file is not None):
        raise ClientError("Give --pod URL, and a query or --file FILE.")
    with Session(Credentials.load(credentials, os.environ, PREFIX)) as session:
        _answer(Pod(pod, session), asked, form, union=union)


def _answer(pod: Pod, asked: str, form: Format, *, union: bool) -> None:
    kind = form_of(asked)
    if kind == "ASK":
        sys.stdout.write(f"{pod.ask(asked, union=union)}\n".lower())
    elif kind in ("CONSTRUCT", "DESCRIBE"):
        for statement in pod.construct(asked, union=union):
            sys.stdout.write(f"{statement} .\n")
    else:
        _PRINTERS[form](pod.sparql(asked, union=union))


def form_of(asked: str) -> str:
    """The word that a query begins with after its prologue, in capitals; "" when there is none."""
    prologue = _PROLOGUE.match(asked)
    found = _WORD.match(asked, prologue.end() if prologue else 0)
    return found[0].upper() if found else ""


def _table(rows: Rows) -> None:
    cells = [[row.get(name, "") for name in rows.variables] for row in rows]
    out.print(table(rows.variables, cells))
    out.print(f"{len(rows)} rows.")


def _csv(rows: Rows) -> None:
    writer = csv.DictWriter(sys.stdout, rows.variables, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def _json(rows: Rows) -> None:
    sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2, default=str) + "\n")


_PRINTERS = {Format.TABLE: _table, Format.CSV: _csv, Format.JSON: _json}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    try:
        app(arguments, prog_name="pod-query")
    except (ClientError, httpx.HTTPError, OSError) as error:
        sys.exit(fail("pod-query", error))
