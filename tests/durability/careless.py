"""A gochat that does not sync its commits: what the power-loss tests must find out. Runs as the command line does."""

from __future__ import annotations

import sqlite3
import sys

from gochat.cli import main
from gochat.store import schema, store


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with `synchronous` at NORMAL, whatever is asked of it later."""
    connection = schema.connect(path, read_only=read_only)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.set_authorizer(_no_other)
    return connection


def _no_other(action: int, first: str | None, *_: object) -> int:
    asked = action == sqlite3.SQLITE_PRAGMA and first == "synchronous"
    return sqlite3.SQLITE_IGNORE if asked else sqlite3.SQLITE_OK


if __name__ == "__main__":
    store.connect = connect  # type: ignore[attr-defined]
    sys.exit(main())
