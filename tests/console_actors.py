"""What the console's tests share: a host in this process, browsers that visit it, and a partner that delivers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
from inprocess import Clock
from landing_actors import CASES
from solid import Key

from pod_server.composition import Host, compose
from pod_server.config import Config
from pod_server.landing.catalogue import DATA_SETS
from pod_server.landing.items import Item
from pod_server.store.host import PodRow


@dataclass
class Living:
    """A host that serves in this process, its loop, and its clock."""

    host: Host
    loop: asyncio.AbstractEventLoop
    clock: Clock
    base: str

    def run(self, work: Any) -> Any:
        """Wait for something on the host's loop."""
        return self.loop.run_until_complete(work)

    def browser(self, client: str = "127.0.0.1", **headers: str) -> Browser:
        """Somebody with a browser, at an address."""
        transport = httpx.ASGITransport(self.host.application, client=(client, 50000))
        return Browser(self, httpx.AsyncClient(transport=transport, base_url=self.base, headers=headers))

    def signed_in(self, pod: str) -> Browser:
        """A citizen who has entered the console."""
        browser = self.browser()
        url = self.host.operator.sign_in(pod)["url"]
        entered = browser.post("/.host/console/enter", token=url.partition("token=")[2])
        assert entered.status_code == 303, entered.text
        return browser

    def pod(self, name: str) -> PodRow:
        """A pod's row."""
        row = self.host.database.pod(name)
        assert row is not None
        return row

    def partner(self, partner_id: str, name: str, holder: str) -> Partner:
        """A registered data holder with its credentials."""
        made = self.host.operator.add_partner(partner_id, name, holder)
        return Partner(self, self.browser(), partner_id, made["clientId"], made["clientSecret"])


@dataclass
class Partner:
    """A data holder that signs in as itself and delivers over HTTP."""

    living: Living
    browser: Browser
    id: str
    client_id: str
    secret: str
    key: Key = field(default_factory=Key)

    def link(self, pod: str) -> str:
        """A link's pseudonym."""
        return str(self.living.host.operator.add_link(self.id, pod, 0.0, None)["link"])

    def deliver(self, *items: Item) -> list[str]:
        """Deliver items; their outcomes."""
        url, lines = f"{self.living.base}.host/deliveries", "".join(_line(item) for item in items)
        token = self._token()
        headers = {"Authorization": f"DPoP {token}", "DPoP": self.key.proof("POST", url, token)}
        answer = self._post(url, content=lines, headers={**headers, "Content-Type": "application/x-ndjson"})
        told = [json.loads(line) for line in answer.text.splitlines()]
        assert "receipt" in told[-1], answer.text
        return [line["outcome"] for line in told[:-1]]

    def _token(self) -> str:
        url = f"{self.living.base}.host/oidc/token"
        answer = self._post(
            url,
            data={"grant_type": "client_credentials", "scope": "webid"},
            auth=(self.client_id, self.secret),
            headers={"DPoP": self.key.proof("POST", url)},
        )
        return str(answer.json()["access_token"])

    def _post(self, url: str, **more: Any) -> httpx.Response:
        answer: httpx.Response = self.living.run(self.browser.http.post(url, **more))
        assert answer.status_code == 200, answer.text
        return answer


def _line(item: Item) -> str:
    told = {name: getattr(item, name) for name in ("link", "data_set", "period", "version", "media_type")}
    return json.dumps({**told, "text": item.payload.decode()}) + "\n"


@dataclass
class Browser:
    """A browser without scripts: it keeps cookies, follows nothing, and sends forms."""

    living: Living
    http: httpx.AsyncClient
    seen: list[httpx.Response] = field(default_factory=list)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        return self._seen(self.http.get(path, headers={k.replace("_", "-"): v for k, v in headers.items()}))

    def post(self, path: str, **fields: str) -> httpx.Response:
        """Send a form as it is."""
        return self._seen(self.http.post(path, data=fields))

    def send(self, page: str, path: str, **fields: str) -> httpx.Response:
        """Open a page and send a form with the word that it carries."""
        return self.post(path, csrf=csrf_of(self.get(page)), **fields)

    def _seen(self, work: Any) -> httpx.Response:
        answer: httpx.Response = self.living.run(work)
        self.seen.append(answer)
        return answer


def csrf_of(page: httpx.Response) -> str:
    """The word that a page's forms carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found.group(1)


@contextmanager
def living(folder: Path, url: str = "") -> Iterator[Living]:
    """A host over a folder, served in this process until the block ends."""
    clock = Clock()
    config = Config(data=folder, port=8123, url=url, workers=1, view_workers=1)
    host = compose(config, clock)
    loop = asyncio.new_event_loop()
    try:
        with _lifespan(host, loop):
            yield Living(host, loop, clock, config.base)
    finally:
        loop.close()


@contextmanager
def _lifespan(host: Host, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """The server's part of ASGI's lifespan protocol."""
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    task = loop.create_task(host.application({"type": "lifespan", "asgi": {"version": "3.0"}}, told.get, said.put))

    def step(event: str) -> None:
        told.put_nowait({"type": event})
        answer = loop.run_until_complete(said.get())
        assert answer["type"] == f"{event}.complete", answer

    step("lifespan.startup")
    try:
        yield
    finally:
        step("lifespan.shutdown")
        loop.run_until_complete(task)


def example(link: str, data_set: str, name: str, period: str, version: str = "1") -> Item:
    """An item with the bytes of an example file."""
    payload = (CASES / data_set / f"{name}.json").read_bytes()
    return Item(link, data_set, period, version, "application/json", payload)


def deliver_all(partner: Partner, holder: str) -> None:
    """Tie a partner to ana's pod and deliver an example of each of its data sets."""
    link = partner.link("ana")
    for row in DATA_SETS.values():
        if row.holder == holder:
            name = Path(row.example).stem
            assert (CASES / row.id / f"{name}.json").exists()
            period = "event" if row.id == "insurance-claim" else "2024-03" if row.id == "bill" else "2024-03-12"
            assert partner.deliver(example(link, row.id, name, period)) == ["landed"]


class _Reader(HTMLParser):
    """Reads a page as a browser would: tags left open, ids, labels, headings, and whatever would run."""

    VOID = ("meta", "link", "input", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.fields: set[str] = set()
        self.references: set[str] = set()
        self.tags: list[str] = []
        self.active: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.labels |= {given.get("for") or ""} if tag == "label" else set()
        if tag in ("select", "textarea") or (tag == "input" and given.get("type") not in ("hidden", None)):
            self.fields.add(given.get("id") or "")
        for name in ("aria-labelledby", "aria-describedby"):
            self.references |= set((given.get(name) or "").split())
        self._look_for_active(tag, given)

    def _look_for_active(self, tag: str, given: dict[str, str | None]) -> None:
        elsewhere = [given.get(name) or "" for name in ("src", "action") if given.get(name)]
        elsewhere += [given["href"] or ""] if tag == "link" else []
        self.active += [tag] if tag in ("script", "iframe", "object", "base", "style") else []
        self.active += [name for name in given if name.startswith("on") or name == "style"]
        self.active += [address for address in elsewhere if not address.startswith("/") or address.startswith("//")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag


def check_page(text: str) -> None:
    """Whole, labelled, with landmarks and one heading, and nothing in it that acts or comes from elsewhere."""
    page = _Reader(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.fields <= page.labels
    assert page.references <= set(page.ids)
    assert page.tags.count("h1") == page.tags.count("main") == 1
    assert {"header", "nav", "main", "footer"} <= set(page.tags)
    assert page.active == []


@contextmanager
def peopled(folder: Path) -> Iterator[Living]:
    """A host where ana's pod holds all data sets and ben's none."""
    with living(folder) as found:
        found.host.operator.add_pod("ana", "Ana")
        found.host.operator.add_pod("ben", "Ben")
        for holder in sorted({row.holder for row in DATA_SETS.values()}):
            deliver_all(found.partner(holder.replace(" ", "-"), holder.title(), holder), holder)
        yield found
