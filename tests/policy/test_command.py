"""`gochat policy test` as a shell sees it, on a real database."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gochat.commands import EXIT_CONFIG, EXIT_FAILED, EXIT_OK, EXIT_USAGE
from gochat.domain import facts
from gochat.store.rows import WRITTEN, written
from gochat.store.schema import SEQ_BITS, connect
from gochat.store.setup import prepare
from tests import forked

DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
NO_LIMIT = "[limits]\nmessages_per_s = 0\n"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    Path("config.toml").write_text('[policy]\nlinks = "allow"\n')


def gochat(*arguments: str, code: int = EXIT_OK) -> subprocess.CompletedProcess[str]:
    done = forked.run(["policy", "test", *arguments])
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done


def objects(*arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in gochat("new.toml", "--json", *arguments).stdout.splitlines()]


class Database:
    """Rooms and messages, written as the store writes them."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir()
        prepare(str(path))
        self.connection = connect(str(path))
        self._rooms: dict[str, tuple[int, int]] = {}

    def say(self, room: str, sender: str, body: str, *, ago_ms: int = 0) -> None:
        num, head = self._rooms.get(room, (len(self._rooms) + 1, 0))
        if not head:
            self.connection.execute(
                "INSERT INTO room (num, id, head, ts, messages, last) VALUES (?, ?, 0, 0, 0, 0)", (num, room)
            )
        self._rooms[room] = num, head + 1
        fact = facts.Message(room=room, seq=head + 1, ts=NOW_MS - ago_ms, sender=sender, body=body)
        row = written(num << SEQ_BITS, fact, head + 1)
        self.connection.execute(f"INSERT INTO fact ({WRITTEN}) VALUES ({','.join('?' * len(row))})", row)

    def add_contact(self, user: str, peer: str) -> None:
        self.connection.execute("INSERT INTO relation (user, peer, num, contact) VALUES (?, ?, 1, 1)", (user, peer))

    def delete(self, body: str) -> None:
        self.connection.execute("UPDATE fact SET body = NULL, delete_seq = 9 WHERE body = ?", (body,))


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database(Path("data/gochat.db"))
    with contextlib.closing(database.connection):
        yield database


def test_it_lists_what_would_change(database: Database) -> None:
    database.say("group:tea", "ann", "good evening")
    database.say("group:tea", "ann", "a \x1b[2J grobnik \u202eand " + "more " * 20)
    database.say("group:tea", "bob", "shit happens")
    database.say("group:tea", "bob", "a grobnik long ago", ago_ms=40 * DAY_MS)
    database.say("group:tea", "bob", "a grobnik, deleted")
    database.delete("a grobnik, deleted")
    Path("words").write_text("grobnik\n")
    Path("new.toml").write_text('[policy]\nwords_file = "words"\nword_action = "flag"\nlinks = "allow"\n' + NO_LIMIT)
    ann, bob, summary = objects()
    assert (ann["message"], ann["sender"], ann["rule"]) == ("group:tea:2", "ann", "words.listed")
    assert (ann["was"], ann["would_be"]) == ("allowed", "flagged")
    assert str(ann["body"]).startswith("a \\x1b[2J grobnik \\u202eand more")
    assert len(str(ann["body"])) < 80
    assert (bob["message"], bob["was"], bob["would_be"]) == ("group:tea:3", "refused", "allowed")
    assert summary["messages"] == 3
    text = gochat("new.toml").stdout
    assert "group:tea:2  ann  words.listed: allowed -> flagged  a \\x1b[2J grobnik" in text
    assert "3 messages: 1 allowed -> flagged, 1 refused -> allowed" in text.splitlines()[-1]
    assert objects("--against", "50d")[-1]["messages"] == 4


def test_links_between_contacts_are_judged_by_the_receivers_list(database: Database) -> None:
    for sender in "ann", "bob":
        database.say("dm:ann:bob", sender, f"{sender} says evil.com")
    database.say("dm:ann:ann", "ann", "evil.com, for later")
    database.say("group:tea", "ann", "evil.com for all")
    database.add_contact("bob", "ann")
    Path("new.toml").write_text('[policy]\nlinks = "contacts"\n' + NO_LIMIT)
    *found, _ = objects()
    assert [(one["message"], one["rule"], one["would_be"]) for one in found] == [
        ("dm:ann:bob:2", "links.contacts", "refused"),
        ("group:tea:1", "links.contacts", "refused"),
    ]


def test_it_counts_what_a_limit_would_have_refused(database: Database) -> None:
    for number in range(10):
        database.say("group:tea", "ann", f"one {number}", ago_ms=(10 - number) * 500)
        database.say("group:cake", "ann", f"two {number}", ago_ms=(10 - number) * 500)
        database.say("group:tea", "bob", f"slow {number}", ago_ms=(10 - number) * 20_000)
    Path("new.toml").write_text('[policy]\nlinks = "allow"\n[limits]\nmessages_per_s = 0.1\nmessage_burst = 5\n')
    user, summary = objects()
    assert user == {"type": "user", "user": "ann", "sent": 20, "was": 15, "would_be": 15}
    assert (summary["limited"], summary["limited_users"]) == (15, 1)
    assert "ann  messages_per_s: 15 of 20 refused -> 15" in gochat("new.toml").stdout


def test_the_limit_bounds_the_list_and_not_the_counts(database: Database) -> None:
    for number in range(5):
        database.say("group:tea", "ann", f"evil.com {number}", ago_ms=number)
    Path("new.toml").write_text("")
    found = objects("--limit", "2")
    assert [one["type"] for one in found] == ["message", "message", "user", "summary"]
    assert found[-1]["changes"] == [{"was": "allowed", "would_be": "refused", "count": 5}]
    assert "3 more messages" in gochat("new.toml", "--limit", "2").stderr


def test_what_is_wrong_is_a_line(database: Database) -> None:
    Path("new.toml").write_text('[policy]\nwords_file = "absent"\n')
    assert "absent: policy.words_file: no such file" in gochat("new.toml", code=EXIT_CONFIG).stderr
    assert "new2.toml" in gochat("new2.toml", code=EXIT_CONFIG).stderr
    gochat("new.toml", "--against", "soon", code=EXIT_USAGE)
    Path("config.toml").write_text('[node]\ndata = "elsewhere"\n')
    Path("new.toml").write_text("")
    assert "there is no file elsewhere/gochat.db\nhint: --data" in gochat("new.toml", code=EXIT_FAILED).stderr
    assert not Path("elsewhere").exists()
    gochat("new.toml", "--data", "data")
    Path("elsewhere").mkdir()
    Path("elsewhere/gochat.db").write_bytes(b"no database at all" * 100)
    assert "can't be read" in gochat("new.toml", code=EXIT_FAILED).stderr


def test_it_reads_beside_a_writer(database: Database) -> None:
    database.say("group:tea", "ann", "evil.com")
    Path("new.toml").write_text("")
    database.connection.execute("BEGIN IMMEDIATE")
    database.say("group:tea", "ann", "evil.com, not committed yet")
    assert objects()[-1]["messages"] == 1
    database.connection.execute("COMMIT")
    assert objects()[-1]["messages"] == 2
