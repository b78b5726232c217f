"""A small Solid client for tests, apart from the clients we ship: a real server in a child process, DPoP by hand."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

UNION = "http://www.w3.org/ns/solid/sparql#union-default-graph"


def free_port() -> int:
    """A port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An ES256 key that makes DPoP proofs (RFC 9449)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.jwk = {
            "kty": "EC",
            "crv": "P-256",
            "x": b64(numbers.x.to_bytes(32, "big")),
            "y": b64(numbers.y.to_bytes(32, "big")),
        }

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """A fresh proof for one request."""
        claims: dict[str, Any] = {
            "htm": method,
            "htu": url.split("?", maxsplit=1)[0],
            "iat": int(time.time()),
            "jti": secrets.token_urlsafe(12),
        }
        if token is not None:
            claims["ath"] = b64(hashlib.sha256(token.encode()).digest())
        head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}
        signed = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@dataclass
class Agent:
    """Somebody with credentials; ``None`` for the public."""

    http: httpx.Client
    idp: str
    client_id: str | None = None
    client_secret: str | None = None
    key: Key = field(default_factory=Key)
    token: str | None = None

    def headers(self, method: str, url: str) -> dict[str, str]:
        """Authorization and proof for one request."""
        if self.client_id is None:
            return {}
        if self.token is None:
            self._sign_in()
        assert self.token is not None
        return {"Authorization": f"DPoP {self.token}", "DPoP": self.key.proof(method, url, self.token)}

    def _sign_in(self) -> None:
        url = f"{self.idp}.host/oidc/token"
        pair = ":".join(quote(part or "", safe="") for part in (self.client_id, self.client_secret))
        basic = base64.b64encode(pair.encode()).decode()
        answer = self.http.post(
            url,
            data={"grant_type": "client_credentials", "scope": "webid"},
            headers={"Authorization": f"Basic {basic}", "DPoP": self.key.proof("POST", url)},
        )
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]

    def ask(self, method: str, url: str, **more: Any) -> httpx.Response:
        """One request as this agent."""
        headers = {**self.headers(method, url), **more.pop("headers", {})}
        return self.http.request(method, url, headers=headers, **more)

    def get(self, url: str, **more: Any) -> httpx.Response:
        """GET."""
        return self.ask("GET", url, **more)

    def put(self, url: str, body: bytes | str, media_type: str = "text/turtle", **headers: str) -> httpx.Response:
        """PUT with a media type; further headers with underscores for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body.encode() if isinstance(body, str) else body
        return self.ask("PUT", url, content=content, headers={"Content-Type": media_type, **named})

    def sparql(self, pod: str, query: str, union: bool = True, **more: Any) -> httpx.Response:
        """A query over a pod; over all that is readable unless told otherwise."""
        data = {"query": query, **({"default-graph-uri": UNION} if union else {})}
        return self.ask("POST", f"{pod}.pod/sparql", data=data, **more)

    def rows(self, pod: str, query: str) -> list[dict[str, str]]:
        """The bindings of a SELECT over the union, as plain texts."""
        answer = self.sparql(pod, query, headers={"Accept": "application/sparql-results+json"})
        assert answer.status_code == 200, answer.text
        bindings = answer.json()["results"]["bindings"]
        return [{name: value["value"] for name, value in binding.items()} for binding in bindings]


@dataclass
class TestHost:
    """A host in a child process, and the people who know it."""

    __test__ = False
    base: str
    folder: Path
    users: dict[str, dict[str, str]]
    admin_token: str
    process: subprocess.Popen[bytes]
    http: httpx.Client

    def agent(self, name: str) -> Agent:
        """A pod's owner with a script's credentials."""
        user = self.users[name]
        return Agent(self.http, self.base, user["clientId"], user["clientSecret"])

    @property
    def public(self) -> Agent:
        """Somebody without credentials."""
        return Agent(self.http, self.base)

    def pod(self, name: str) -> str:
        """The root of a pod."""
        return self.users[name]["pod"]

    def webid(self, name: str) -> str:
        """The WebID of a pod's owner."""
        return self.users[name]["webId"]

    def operate(self, route: str, **given: Any) -> dict[str, Any]:
        """Something as the operator."""
        answer = self.http.post(
            f"{self.base}.host/admin/{route}", json=given, headers={"Authorization": f"Bearer {self.admin_token}"}
        )
        assert answer.status_code < 300, answer.text
        document: dict[str, Any] = answer.json()
        return document

    def app(self, webid: str, name: str = "app") -> Agent:
        """An app that signs in as itself."""
        made = self.operate("clients", webId=webid, name=name)
        return Agent(self.http, self.base, made["clientId"], made["clientSecret"])

    def partner(self, partner_id: str, holder: str = "grid operator") -> Agent:
        """A registered data holder."""
        made = self.operate("partners", id=partner_id, name=partner_id.title(), holder=holder)
        return Agent(self.http, self.base, made["clientId"], made["clientSecret"])

    def link(self, partner: str, pod: str, starts: float = 0.0) -> str:
        """A link's pseudonym."""
        return str(self.operate("links", partner=partner, pod=pod, starts=starts)["link"])

    def deliver(self, partner: Agent, *items: dict[str, Any]) -> list[dict[str, Any]]:
        """Deliver items; the verdict lines, the receipt last."""
        url = f"{self.base}.host/deliveries"
        content = "".join(json.dumps(item) + "\n" for item in items)
        answer = partner.ask("POST", url, content=content.encode(), headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def console(self, name: str) -> httpx.Client:
        """A browser in which the citizen is signed in to the console."""
        url = self.operate("sign-in", pod=name)["url"]
        browser = httpx.Client(follow_redirects=True, timeout=30)
        page = browser.get(url)
        assert page.status_code == 200, page.text
        token = url.partition("token=")[2]
        entered = browser.post(f"{self.base}.host/console/enter", data={"token": token})
        assert entered.status_code == 200, entered.text
        return browser

    def stop(self) -> int:
        """End the host as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@contextmanager
def running(folder: Path, users: str = "alice,bob", port: int | None = None, **env: str) -> Iterator[TestHost]:
    """A test host over a folder, until the block ends; it may be killed inside."""
    port = port or free_port()
    file = folder / "env.json"
    file.unlink(missing_ok=True)
    with (folder / "host.log").open("ab") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "pod_server", "dev", "--port", str(port)),
                *("--data", str(folder / "data"), "--users", users, "--env", str(file)),
            ],
            env={**os.environ, **env},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 30
        while not file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((folder / "host.log").read_text()[-3000:])
            time.sleep(0.01)
        known = json.loads(file.read_text())
        with httpx.Client(timeout=60) as http:
            yield TestHost(known["idp"], folder, known["users"], known["admin"], process, http)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
