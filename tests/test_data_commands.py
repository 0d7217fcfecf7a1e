"""The commands that work on a data folder, as a shell sees them, beside a node that is a real process."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from gochat.commands import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE
from gochat.commands.user import _tell
from gochat.store.portable.delete_user import Removed
from tests import forked

NODE = ["serve", "--data", "data", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0", "--nng", ""]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent))


def gochat(*arguments: str, code: int = EXIT_OK) -> subprocess.CompletedProcess[str]:
    done = forked.run(list(arguments))
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


@contextmanager
def serving(end: signal.Signals = signal.SIGTERM) -> Iterator[str]:
    """A node on ./data; its TCP address."""
    with subprocess.Popen(
        [sys.executable, "-m", "gochat", *NODE], stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.send_signal(end)


def said(url: str) -> None:
    for user, to, body in ("ann", "bob", "green tea"), ("bob", "ann", "black tea"):
        gochat("send", "--url", url, "--as", user, f"user:{to}", body)


def rows(file: str, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as db:
        return db.execute(query).fetchall()


def test_a_folder_has_one_node_and_readers_need_no_lock() -> None:
    with serving(signal.SIGKILL) as url:
        said(url)
        for command in (NODE, ["room", "import", "x.sqlite"], ["user", "delete", "ann", "--yes"]):
            done = gochat(*command, code=EXIT_CONFIG)
            assert f"{Path('data').absolute()}: node.data: another gochat works in this folder (process " in done.stderr
            assert "hint: stop it first, or name another folder with --data\n" in done.stderr
            assert done.stdout == ""
        told = json.loads(gochat("room", "export", "dm:ann:bob", "dm.sqlite", "--json").stdout)
        assert (told["messages"], told["bytes"]) == (2, Path("dm.sqlite").stat().st_size)
        told = json.loads(gochat("user", "export", "ann", "ann.sqlite", "--json").stdout)
        assert (told["messages"], told["received"]) == (1, 1)
    with serving():  # A lock ends with its process, however that ends.
        pass


def test_a_room_moves_and_a_user_goes() -> None:
    with serving() as url:
        said(url)
        said(url)
    done = gochat("room", "export", "dm:ann:bob", "dm.sqlite")
    assert (done.stdout, done.stderr) == ("", "4 facts exported\n")
    assert oct(Path("dm.sqlite").stat().st_mode & 0o777) == "0o600"
    assert json.loads(gochat("room", "import", "dm.sqlite", "--data", "new/er", "--json").stdout)["added"] == 4
    assert "4 facts, 0 new" in gochat("room", "import", "dm.sqlite", "--data", "new/er").stderr
    gochat("room", "export", "dm:ann:bob", "new.sqlite", "--data", "new/er")
    assert rows("dm.sqlite", "SELECT * FROM fact") == rows("new.sqlite", "SELECT * FROM fact")
    gochat("room", "export", "dm:ann:bob", "then.db", "--as-of", "1")
    assert rows("then.db", "SELECT body FROM messages") == [("green tea",)]
    gochat("room", "export", "dm:ann:bob", "then.db", "--as-of", "2999-01-01")
    assert len(rows("then.db", "SELECT body FROM messages")) == 4

    assert "--yes" in gochat("user", "delete", "ann", code=EXIT_USAGE).stderr
    assert gochat("user", "delete", "ann", "--yes").stdout.startswith("2 messages deleted\n")
    assert json.loads(gochat("user", "delete", "ann", "--yes", "--json").stdout)["messages"] == 0
    gochat("room", "export", "dm:ann:bob", "dm.sqlite")
    assert rows("dm.sqlite", "SELECT sender, body FROM messages") == [
        ("ann", None),
        ("bob", "black tea"),
        ("ann", None),
        ("bob", "black tea"),
    ]
    with serving() as url:
        told = gochat("send", "--url", url, "--as", "bob", "user:ann", "still there?", code=EXIT_FAILED).stderr
        assert "there is no such user" in told
    assert "is released" in gochat("user", "release", "ann").stdout
    assert "released already" in gochat("user", "release", "ann", code=EXIT_FAILED).stderr
    with serving() as url:
        assert "#7" in gochat("send", "--url", url, "--as", "bob", "user:ann", "still there?").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["room", "export", "group:tea", "x.sqlite"], EXIT_FAILED, "there is no file data/gochat.db"),
        (["room", "export", "user:bob", "x.sqlite"], EXIT_USAGE, "dm:ONE:OTHER"),
        (["room", "export", "group:tea", "x.sqlite", "--as", "ann"], EXIT_USAGE, "FILE.jsonl"),
        (["room", "export", "group:tea", "x.jsonl", "--as-of", "7"], EXIT_USAGE, "FILE.sqlite"),
        (["room", "export", "group:tea", "x.sqlite", "--as-of", "noon"], EXIT_USAGE, "2026-02-03T18:00Z"),
        (["room", "export", "group:tea", "x.tar"], EXIT_USAGE, "FILE.sqlite"),
        (["room", "import", "x.sqlite"], EXIT_FAILED, "there is no file x.sqlite"),
        (["room", "import", "x.sqlite", "--as", "tea"], EXIT_USAGE, "group:NAME"),
        (["user", "export", "ann", "x.sqlite"], EXIT_FAILED, "there is no file data/gochat.db"),
        (["user", "export", "Ann", "x.sqlite"], EXIT_USAGE, "small letters"),
        (["user", "delete", "ann", "--yes"], EXIT_FAILED, "there is no file data/gochat.db"),
        (["user", "export", "ann", "-"], EXIT_USAGE, "this goes to a file"),
        (["backup", "-"], EXIT_USAGE, "this goes to a file"),
    ],
)
def test_what_can_not_be_is_one_line(arguments: list[str], code: int, told: str) -> None:
    assert told in gochat(*arguments, code=code).stderr
    assert not list(Path().glob("*x.*")) and not list(Path().glob(".*")) and not Path("-").exists()


def test_one_of_a_kind_is_told_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    one = Removed("ann", 1, 1, 1, 1, {}, 1, 1, 1)
    _tell(one)
    assert capsys.readouterr().out.splitlines() == [
        "1 message deleted",
        "1 reaction taken back",
        "1 group left",
        "1 group closed",
        "1 key removed",
        "1 contact or block removed",
        "1 report emptied",
    ]


def written(file: str) -> int:
    """Its size; nothing where it is not there yet, or no longer."""
    try:
        return Path(file).stat().st_size
    except FileNotFoundError:
        return 0


def test_an_import_that_is_killed_leaves_nothing_half() -> None:
    """Killed at some point of a second's work; where, only the kernel knows."""
    with serving() as url:
        said(url)
    with closing(sqlite3.connect("data/gochat.db")) as db, db:
        (last,) = db.execute("SELECT max(id) FROM fact").fetchone()
        db.execute(
            "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x + 1 FROM c WHERE x < 50000) INSERT INTO fact"
            " (id, ts, kind, sender, body, n) SELECT ? + x, (SELECT ts FROM room), 0, 'ann', 'again', 2 + x"
            " FROM c",
            (last,),
        )
        db.execute("UPDATE room SET head = head + 50000, messages = messages + 50000, last = last + 50000")
    gochat("room", "export", "dm:ann:bob", "dm.sqlite")
    process = subprocess.Popen([sys.executable, "-m", "gochat", "room", "import", "dm.sqlite", "--data", "new"])
    while process.poll() is None and written("new/gochat.db-wal") < 200_000:
        os.sched_yield()
    process.kill()
    process.wait()
    # Killed while the tables are made, there is none of them yet.
    tables = rows("new/gochat.db", "SELECT count(*) FROM sqlite_schema WHERE name = 'fact'")
    assert tables == [(0,)] or rows("new/gochat.db", "SELECT count(*) FROM fact") in ([(0,)], [(50_002,)])
    told = json.loads(gochat("room", "import", "dm.sqlite", "--data", "new", "--json").stdout)
    assert told["facts"] == 50_002
