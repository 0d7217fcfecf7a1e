"""One connection writes to a database, and brings its log file into it. The fixture in tests/conftest.py watches the
whole suite for it."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gochat.store import schema, setup

ROOT = Path(__file__).parents[3]
#: The files that open a database by themselves: one in memory, a new file that nobody else knows, or the replica of a
#: client, which no node opens, and one program at a time.
OTHERS = {
    "gochat/client/replica_file.py",
    "gochat/commands/doctor.py",
    "gochat/sim/disk.py",
    "gochat/store/portable/backup.py",
    "gochat/store/portable/file_schema.py",
}


def test_nobody_opens_a_database_past_the_one_door() -> None:
    found = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "gochat").rglob("*.py")
        if re.search(r"sqlite3\.(connect|dbapi2|Connection\()", file.read_text(encoding="utf-8"))
    }
    assert found == OTHERS | {"gochat/store/schema.py"}


def test_a_second_writer_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "gochat.db")
    setup.prepare(path)
    (tmp_path / "link").symlink_to(path)
    with closing(schema.connect(path)):
        for name in (path, str(tmp_path / "link"), f"{tmp_path}/./gochat.db"):
            with pytest.raises(RuntimeError, match="already"):
                schema.connect(name)
        with closing(schema.connect(str(tmp_path / "other.db"))):
            pass
    with closing(schema.connect(path)):
        pass


def test_one_that_reads_makes_no_checkpoint_not_even_as_the_last(tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    setup.prepare(str(path))
    writer = schema.connect(str(path))
    reader = schema.connect(str(path), read_only=True)
    assert reader.execute("SELECT count(*) FROM room").fetchone() == (0,)
    writer.execute("INSERT INTO user (id) VALUES ('ann')")
    before, log_file = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    # As a crash leaves it: the descriptors are gone, and nothing was brought into the file.
    reader.set_authorizer(None)  # These are tried on purpose.
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO user (id) VALUES ('bob')")
    reader.close()
    copy = tmp_path / "copy.db"
    copy.write_bytes(before)
    Path(f"{copy}-wal").write_bytes(log_file)
    writer.close()
    last = schema.connect(str(copy), read_only=True)
    assert last.execute("SELECT id FROM user").fetchall() == [("ann",)]
    last.close()
    assert copy.read_bytes() == before and Path(f"{copy}-wal").read_bytes() == log_file


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_which_versions_have_the_bug(version: tuple[int, ...], has: bool) -> None:
    assert schema.has_wal_reset_bug(version) is has
