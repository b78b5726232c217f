"""What every page shares: the language, the templates, the header lines, and the page of a refusal.

Called by doors.py and citizen.py.  Templates escape by default and are given
values, never objects that can act; no page needs a script or anything from
elsewhere, and its header lines say so to the browser.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from pod_server.consent.grants import Consent
from pod_server.errors import Forbidden, PodError, Unauthenticated
from pod_server.landing.catalogue import DATA_SETS
from pod_server.pod import Pods
from pod_server.store.contract import Clock
from pod_server.store.host import HostDatabase
from pod_server.terms import Mode
from pod_server.web.console.problems import PROBLEMS
from pod_server.web.console.words import LANGUAGES, WORDS, number, say, say_count
from pod_server.web.problems import STATUS
from pod_server.web.sparql import Endpoint

ZONE = ZoneInfo("Europe/Paris")
"""The zone in which pages tell times."""
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none';"
    " base-uri 'none'"
)
_HERE = FilePath(__file__).parent
STATIC = {
    name: ((_HERE / "static" / name).read_bytes(), media_type)
    for name, media_type in (("style.css", "text/css; charset=utf-8"), ("mark.svg", "image/svg+xml"))
}
_VERSION = {name: hashlib.sha256(content).hexdigest()[:12] for name, (content, _) in STATIC.items()}


@dataclass(frozen=True, slots=True)
class Console:
    """The rooms that the pages show.  base: the host's address with its final slash."""

    pods: Pods
    database: HostDatabase
    consent: Consent
    endpoint: Endpoint
    clock: Clock
    base: str


class Frame:
    """Turns a template and values into an answer."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """A page in the language that the visitor reads best."""
        language = language_of(request)
        text = self._templates.get_template(template).render(
            **_shared(request, language), base=self._base, host=urlsplit(self._base).netloc, **values
        )
        return Response(text, status, headers=page_headers(request.url.path), media_type="text/html")

    def refused(self, request: Request, error: PodError) -> Response:
        """The page of a refusal: what it was, why, and what to do."""
        status = STATUS[error.kind]
        signed_out = isinstance(error, Unauthenticated)
        answer = self.page(
            request,
            "signed_out.html" if signed_out else "refused.html",
            status,
            problem=PROBLEMS[error.kind],
            detail=error.detail,
        )
        if signed_out:
            answer.headers["WWW-Authenticate"] = f'OneTimeLink realm="{self._base}"'
        if status == 503:
            answer.headers["Retry-After"] = str(error.fields.get("retry_after", 1))
        return answer

    def route_class(self) -> type[APIRoute]:
        """Routes whose refusals are pages, because people read them."""
        refused = self.refused

        class PageRoute(APIRoute):
            def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
                handle = super().get_route_handler()

                async def answer(request: Request) -> Response:
                    try:
                        return await handle(request)
                    except PodError as error:
                        return refused(request, error)

                return answer

        return PageRoute


def page_headers(path: str) -> dict[str, str]:
    """The header lines of a page: no script, no frame, nothing from elsewhere; a citizen's pages are kept nowhere."""
    private = path.startswith("/.host/console")
    return {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store" if private else "no-cache",
        "Vary": "Accept, Accept-Language",
    }


def language_of(request: Request) -> str:
    """``?lang=`` when it names one of ours, else what Accept-Language likes best, else English."""
    chosen = request.query_params.get("lang")
    if chosen in LANGUAGES:
        return chosen
    accepted = parse_accept_header(request.headers.get("accept-language"), LanguageAccept)
    return accepted.best_match(LANGUAGES, default=LANGUAGES[0]) or LANGUAGES[0]


def address(request: Request, target: str, /, **fields: str) -> str:
    """An address on this host that keeps the language which the visitor chose."""
    chosen = request.query_params.get("lang")
    if chosen in LANGUAGES:
        fields["lang"] = chosen
    return f"{target}?{urlencode(fields)}" if fields else target


def _shared(request: Request, language: str) -> dict[str, Any]:
    """What every template may call."""
    return {
        "language": language,
        "other": _in_language(request, "fr" if language == "en" else "en"),
        "here": request.url.path,
        "t": partial(say, language),
        "n": partial(say_count, language),
        "number": partial(number, language),
        "when": partial(when, language),
        "day": partial(day, language),
        "link": partial(address, request),
        "asset": _asset,
        "data_set_title": partial(data_set_title, language),
        "precision_title": partial(precision_title, language),
        "holder": partial(_holder, language),
        "modes": partial(_modes, language),
        "in_words": partial(_in_words, language),
    }


def _in_language(request: Request, language: str) -> str:
    """This page in the other language; what a form sent is not repeated."""
    fields = dict(parse_qsl(request.url.query)) if request.method in ("GET", "HEAD") else {}
    fields.pop("token", None)
    return f"{request.url.path}?{urlencode({**fields, 'lang': language})}"


def _asset(name: str) -> str:
    return f"/.host/static/{name}?v={_VERSION[name]}"


def _in_words(language: str, told: Any) -> str:
    """Whichever of a row's two sentences is in the language."""
    return str(told.french if language == "fr" else told.english)


def _holder(language: str, holder: str) -> str:
    key = f"holder: {holder}"
    return say(language, key) if key in WORDS else holder


def _modes(language: str, modes: Mode) -> str:
    return ", ".join(say(language, f"mode-{(mode.name or '').lower()}") for mode in Mode if mode in modes)


def when(language: str, instant: float) -> str:
    """An instant (seconds since 1970) as a day and a time in Paris."""
    local = _local(instant)
    return f"{_written(language, local)}{' à ' if language == 'fr' else ', '}{local:%H:%M}"


def day(language: str, instant: float) -> str:
    """The day of an instant in Paris."""
    return _written(language, _local(instant))


def _local(instant: float) -> datetime:
    return datetime.fromtimestamp(min(max(instant, 0.0), 253_000_000_000.0), UTC).astimezone(ZONE)


def _written(language: str, local: datetime) -> str:
    first = "1er" if language == "fr" and local.day == 1 else str(local.day)
    return f"{first} {say(language, f'month-{local.month}')} {local.year}"


def data_set_title(language: str, data_set: str) -> str:
    """The name of a data set for people; its id when the catalogue has no such row."""
    row = DATA_SETS.get(data_set)
    return row.title[language] if row is not None else data_set


def precision_title(language: str, data_set: str, precision: str) -> str:
    """The name of a precision for people; its id when the catalogue has no such row."""
    row = DATA_SETS.get(data_set)
    named: Mapping[str, Mapping[str, str]] = {each.name: each.title for each in row.precisions} if row else {}
    return named[precision][language] if precision in named else precision


def only_here(request: Request) -> None:
    """Raises Forbidden unless the visitor sits at the host's own machine."""
    if request.client is None or request.client.host not in ("127.0.0.1", "::1", "localhost", "testclient"):
        raise Forbidden("Sign-in links are opened on the machine of the host itself.")
