"""The file of an outage journal: made once and whole, and read through before anything is added to it."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from state.spool.entries import COLUMNS, digest
from state.spool.errors import SpoolError
from state.spool.folder import make_last

NAME = "outage.sqlite"
_APPLICATION = 0x4C4F4A31
_VERSION = 1
_FULL = 2
_SCHEMA = f"""
CREATE TABLE tasks (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    method TEXT,
    request_id TEXT,
    fields TEXT NOT NULL,
    key_digest BLOB,
    request BLOB NOT NULL,
    first BLOB NOT NULL,
    digest BLOB NOT NULL
);
CREATE UNIQUE INDEX tasks_by_key ON tasks (owner, method, request_id) WHERE request_id IS NOT NULL;
CREATE INDEX tasks_by_owner ON tasks (owner);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


def opened(folder: Path) -> sqlite3.Connection:
    """A connection to the folder's journal, which is made when there is none. One thread may use it.

    A rollback journal and not a write-ahead log: what is committed is then in the file itself, whose pages
    and length can be checked. A log that has lost its end looks like one that never had it.

    Raises:
        SpoolError: The file is damaged, or no journal that this release can read; it is left as it is.
    """
    path = folder / NAME
    try:
        if not path.exists():
            _make(path)
        connection = _connect(path)
        try:
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        raise _damaged(path, "it cannot be read") from error
    except OSError as error:
        raise SpoolError(f"the outage journal {path} cannot be used: {error.strerror}") from error
    return connection


def _make(path: Path) -> None:
    """Whole or not at all: an empty file there would look like one that has lost everything."""
    if _has_content(path.with_name(f"{NAME}-journal")):
        raise _damaged(path, "it is missing, and its rollback journal is not")
    new = path.with_suffix(".new")
    for leftover in (new, new.with_name(f"{new.name}-journal")):
        leftover.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with closing(_connect(new)) as connection:
        connection.executescript(_SCHEMA)
    new.rename(path)
    make_last(path.parent)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode = TRUNCATE", "synchronous = FULL", "fullfsync = ON", "trusted_schema = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "application_id") != _APPLICATION:
        raise _damaged(path, "it has lost its beginning, or is something else")
    if _pragma(connection, "user_version") != _VERSION:
        raise SpoolError(f"the outage journal {path} was written by another release: let that one drain it")
    if _pragma(connection, "synchronous") != _FULL or _pragma(connection, "journal_mode") != "truncate":
        raise SpoolError(f"the outage journal {path} cannot be made durable here: choose another folder")
    if _pragma(connection, "integrity_check") != "ok":
        raise _damaged(path, "its pages do not fit together")
    for row in connection.execute(f"SELECT digest, {COLUMNS} FROM tasks"):  # noqa: S608 - a constant
        if row["digest"] != digest(tuple(row)[1:]):
            raise _damaged(path, "a task in it has changed")


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _damaged(path: Path, how: str) -> SpoolError:
    return SpoolError(
        f"the outage journal {path} is damaged: {how}. It may hold accepted tasks: restore it, "
        "or move it away to start without them"
    )
