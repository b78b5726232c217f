"""The tables of a pod's file and of the host's, their format numbers and the way forward from older ones.

Called when a file is made or first opened.  Rowid tables only: a large body
in a WITHOUT ROWID table made look-ups of other rows 1,000 times slower.
"""

from __future__ import annotations

import apsw

from pod_server.errors import Corrupt

POD_APPLICATION_ID = 0x504F4431  # "POD1"
HOST_APPLICATION_ID = 0x504F4448  # "PODH"

POD_TABLES = """
CREATE TABLE pod (key TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
CREATE TABLE resource (
  id INTEGER PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  parent TEXT NOT NULL,
  kind TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  version INTEGER NOT NULL,
  modified REAL NOT NULL,
  policy TEXT NOT NULL,
  face TEXT NOT NULL,
  body TEXT,
  seen INTEGER NOT NULL,
  cause TEXT NOT NULL
);
CREATE INDEX resource_parent ON resource (parent, path);
CREATE INDEX resource_policy ON resource (policy, face, seen);
CREATE TABLE body (
  id INTEGER PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  released REAL,
  bytes BLOB
);
CREATE INDEX body_released ON body (released) WHERE released IS NOT NULL;
CREATE TABLE change (
  position INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  agent TEXT,
  client TEXT,
  act TEXT NOT NULL,
  path TEXT NOT NULL,
  body TEXT,
  size INTEGER NOT NULL,
  cause TEXT NOT NULL,
  salt BLOB,
  digest BLOB NOT NULL,
  chain BLOB NOT NULL
);
CREATE TABLE delivery (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  link TEXT NOT NULL,
  partner TEXT NOT NULL,
  data_set TEXT NOT NULL,
  period TEXT NOT NULL,
  version TEXT NOT NULL,
  source TEXT NOT NULL,
  outcome TEXT NOT NULL,
  at REAL NOT NULL,
  position INTEGER NOT NULL,
  report TEXT NOT NULL
);
CREATE INDEX delivery_subject ON delivery (link, data_set, period);
CREATE TABLE reading (
  sequence INTEGER PRIMARY KEY,
  minute INTEGER NOT NULL,
  at REAL NOT NULL,
  agent TEXT,
  client TEXT,
  act TEXT NOT NULL,
  target TEXT NOT NULL,
  rows INTEGER,
  count INTEGER NOT NULL,
  salt BLOB,
  digest BLOB,
  chain BLOB
);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, at REAL NOT NULL, topic TEXT NOT NULL, payload TEXT NOT NULL);
"""

HOST_TABLES = """
CREATE TABLE host (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL);
CREATE TABLE pod (id TEXT NOT NULL UNIQUE, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE client (
  id TEXT NOT NULL UNIQUE,
  secret_hash BLOB,
  webid TEXT,
  partner TEXT,
  redirect_uris TEXT NOT NULL,
  name TEXT NOT NULL
);
CREATE TABLE partner (
  id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, holder TEXT NOT NULL, created REAL NOT NULL, suspended REAL
);
CREATE TABLE link (
  id TEXT NOT NULL UNIQUE, partner TEXT NOT NULL, pod TEXT NOT NULL, starts REAL NOT NULL, ends REAL
);
CREATE INDEX link_pod ON link (pod);
CREATE TABLE sign_in (token_hash BLOB NOT NULL UNIQUE, pod TEXT NOT NULL, expires REAL NOT NULL);
CREATE TABLE session (token_hash BLOB NOT NULL UNIQUE, pod TEXT NOT NULL, csrf TEXT NOT NULL, expires REAL NOT NULL);
"""

POD_STEPS: tuple[str, ...] = (POD_TABLES,)
"""Step n takes a pod's file from format n to n + 1; a released step is never edited."""
HOST_STEPS: tuple[str, ...] = (HOST_TABLES,)


_TABLES = frozenset({"pod", "resource", "body", "change", "delivery", "reading"})


def check_pod(connection: apsw.Connection) -> None:
    """Raises Corrupt unless the file is a pod's: ours, of a format that was ever released, its tables there."""
    if connection.pragma("user_version") == 0 or connection.pragma("application_id") != POD_APPLICATION_ID:
        raise Corrupt("The pod's file is empty, or was not made by this program.")
    found = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if missing := _TABLES - found:
        raise Corrupt(f"The pod's file lacks the table {min(missing)}.")


def bring_forward(connection: apsw.Connection, application_id: int, steps: tuple[str, ...]) -> bool:
    """Take a file to the newest format, each step in one transaction; True when something was done.

    Raises Corrupt for a file of another application or of a newer format.
    """
    found, version = connection.pragma("application_id"), connection.pragma("user_version")
    if version > len(steps):
        raise Corrupt(f"The file has format {version}; this program knows formats up to {len(steps)}.")
    if version and found != application_id:
        raise Corrupt("The file was not made by this program.")
    for number in range(version, len(steps)):
        with connection:
            connection.execute(steps[number])
            connection.execute(f"PRAGMA application_id = {application_id}; PRAGMA user_version = {number + 1}")
    return bool(version < len(steps))
