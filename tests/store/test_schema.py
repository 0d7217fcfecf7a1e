"""A new database is what the migrations make, and is never migrated again."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from gochat.store import migrations, schema, setup


def _shape(connection: sqlite3.Connection) -> tuple[set[str], list[tuple[str, str]]]:
    made = {" ".join(sql.split()) for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql}
    return made, connection.execute("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id").fetchall()


def test_made_anew_and_migrated_are_the_same(tmp_path: Path) -> None:
    setup.prepare(str(tmp_path / "new.db"))
    with (
        contextlib.closing(schema.connect(str(tmp_path / "new.db"))) as new,
        contextlib.closing(schema.connect(str(tmp_path / "migrated.db"))) as migrated,
    ):
        migrations.apply(migrated)
        assert _shape(new) == _shape(migrated)
        before = new.execute("SELECT epoch FROM meta").fetchall()
        migrations.apply(new)
        setup.migrate(new, "new.db")
        assert new.execute("SELECT epoch FROM meta").fetchall() == before, "applied once"
        assert {name for _, name in _shape(new)[1]} == schema.KNOWN
