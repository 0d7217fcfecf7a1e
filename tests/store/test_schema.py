"""A new database is what the migrations make, and is never migrated again."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from pathlib import Path

from gochat.store import migrations, schema, setup


def _shape(connection: sqlite3.Connection) -> tuple[set[str], list[tuple[str, str]]]:
    made = {" ".join(sql.split()) for (sql,) in connection.execute("SELECT sql FROM sqlite_master") if sql}
    return made, connection.execute("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id").fetchall()


def test_a_database_of_the_first_release_is_migrated_in_no_time(tmp_path: Path) -> None:
    """20,000 private rooms: whoever wrote to each other may go on, and the statement that says so is not quadratic."""
    path = str(tmp_path / "old.db")
    with contextlib.closing(schema.connect(path)) as old:
        migrations.apply(old, before="m002_people")
        rooms = [(room_pk, f"dm:a:u{room_pk}") for room_pk in range(1, 20_001)]
        old.execute("BEGIN")
        old.executemany("INSERT INTO room (num, id, head, ts, messages, last) VALUES (?, ?, 1, 1, 1, 1)", rooms)
        for user in ("a", "u"):
            memberships = [(user if user == "a" else f"u{room_pk}", room_pk) for room_pk, _ in rooms]
            old.executemany("INSERT INTO seat VALUES (?, ?, 'dm', 1, 1, 0, NULL)", memberships)
        old.execute("COMMIT")
        began = time.process_time()
        setup.migrate(old, path)
        assert time.process_time() - began < 5, "quadratic, it takes minutes"
        assert old.execute("SELECT count(*), sum(contact) FROM relation").fetchone() == (40_000, 40_000)


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
