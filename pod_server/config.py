"""What the operator can set: read once, checked all at once, then frozen.

The only module that reads the environment or the configuration file.  Each
key is ``data`` in TOML, ``POD_SERVER_DATA`` in the environment, ``--data`` on
the command line; the later wins.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from pod_server.errors import Invalid

PREFIX = "POD_SERVER_"


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, with their defaults.

    data: the folder that holds everything.  bind, port: where to listen.
    url: the address that clients use, with its final slash; empty means
    http://localhost:{port}/.  allow_loopback: outgoing requests may go to
    this machine, for development.  trust_proxy: addresses of proxies whose
    forwarding headers count, comma-separated.  workers: processes for parsing
    and landing.  view_workers: processes that hold query views.  view_memory,
    body_limit in bytes; query_seconds: when a query is ended.
    """

    data: Path = Path("data")
    bind: str = "127.0.0.1"
    port: int = 8000
    url: str = ""
    allow_loopback: bool = False
    trust_proxy: str = "127.0.0.1,::1"
    workers: int = 2
    view_workers: int = 2
    view_memory: int = 512 * 1024 * 1024
    body_limit: int = 1024 * 1024 * 1024
    query_seconds: float = 10.0

    @property
    def base(self) -> str:
        """The host's external address, with its final slash."""
        return self.url or f"http://localhost:{self.port}/"


def load(file: Path | None, environment: Mapping[str, str] | None = None, **given: Any) -> Config:
    """Defaults, then the file, then the environment, then what the command line gives (None means not given).

    Raises Invalid with every error at once, each naming its key and source.
    """
    environment = os.environ if environment is None else environment
    errors: list[str] = []
    values: dict[str, Any] = {}
    values.update(_from_file(file, errors))
    values.update(_from_environment(environment))
    values.update({key: value for key, value in given.items() if value is not None})
    hints = get_type_hints(Config)
    for key in list(values):
        if key not in hints:
            errors.append(f"{key} is not a setting")
            del values[key]
        else:
            values[key] = _as(hints[key], key, values[key], errors)
    if not errors:
        errors += _contradictions(Config(**values))
    if errors:
        raise Invalid("The configuration does not hold: " + "; ".join(errors) + ".", errors=errors)
    return Config(**values)


def _from_file(file: Path | None, errors: list[str]) -> Mapping[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        errors.append(f"{file} cannot be read ({error})")
        return {}


def _from_environment(environment: Mapping[str, str]) -> Mapping[str, str]:
    names = {PREFIX + field.name.upper(): field.name for field in fields(Config)}
    return {names[key]: value for key, value in environment.items() if key in names}


def _as(kind: type, key: str, value: Any, errors: list[str]) -> Any:
    try:
        if kind is bool and isinstance(value, str):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[value.lower()]
        return kind(value)
    except (ValueError, TypeError, KeyError):
        errors.append(f"{key} is {value!r}, which is not a {kind.__name__}")
        return None


def _contradictions(config: Config) -> list[str]:
    errors = []
    address = urlsplit(config.base)
    if address.scheme not in ("http", "https") or not address.netloc or not config.base.endswith("/"):
        errors.append(f"url is {config.base!r}; it must be http(s)://host/ with its final slash")
    if not 0 <= config.port <= 65535:
        errors.append(f"port is {config.port}; it must be between 0 and 65535")
    positive = ("workers", "view_workers", "view_memory", "body_limit", "query_seconds")
    return errors + [f"{key} must be above 0" for key in positive if getattr(config, key) <= 0]
