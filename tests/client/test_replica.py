"""A replica by itself: what it takes, what it keeps, and nobody else's."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from gochat.client import NotAReplica, Replica, Reset, replica_file, replica_rows
from gochat.client.replica import Began, Left, Told
from gochat.client.wire import Fact, Page
from gochat.domain.facts import Delete, Edit, Message, Reaction

TEA = "group:tea"


def message(seq: int, body: str = "", room: str = TEA) -> Message:
    return Message(room=room, seq=seq, ts=1_000 + seq, sender="bob", body=body or f"text {seq}")


def edit(seq: int, target: int, body: str | None) -> Edit:
    return Edit(room=TEA, seq=seq, ts=1_000 + seq, sender="bob", target=target, body=body)


def delete(seq: int, target: int) -> Delete:
    return Delete(room=TEA, seq=seq, ts=1_000 + seq, sender="bob", target=target)


def told(*facts: Fact, epoch: str | None = "a") -> list[Told]:
    return [Told(fact, epoch) for fact in facts]


def page(*entries: Fact, first: int | None = None, epoch: str = "a", head: int = 99, **more: Any) -> Page:
    return Page(room=TEA, epoch=epoch, entries=list(entries), head=head, complete=True, next=first, **more)


def bodies(replica: Replica, room: str = TEA) -> list[str | None]:
    return [message.body for message in replica.messages(room, limit=1_000)]


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    made = Replica(tmp_path / "ann.db")
    assert made.belongs_to("ann") is False
    return made


def test_facts_count_once_and_edits_and_deletions_are_followed(replica: Replica, tmp_path: Path) -> None:
    facts = [message(1, "one"), message(2, "two"), message(3, "three"), edit(4, 1, "uno"), delete(5, 2)]
    replica.store(told(*facts))
    replica.store(told(*facts[2:], message(6, "six")))
    replica.close()
    replica = Replica(tmp_path / "ann.db")
    assert bodies(replica) == ["uno", None, "three", "six"]
    first, second, *_ = replica.messages(TEA)
    assert (first.edited, second.deleted, first.sender) == (1_004, 1_005, "bob")
    assert replica.rooms() == [(TEA, 6, "a", 1)]
    assert [found.seq for found in replica.search("one")] == [] and replica.search("uno")[0].seq == 1
    assert replica.search("two") == []
    replica.store(told(edit(7, 2, "again")))
    assert bodies(replica)[1] is None, "what was deleted stays so"
    replica.store(told(*facts[:2]))
    assert bodies(replica) == ["uno", None, "three", "six"] and replica.rooms()[0].seq == 7, "what came again is old"


def test_facts_and_position_come_together_or_not_at_all(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(db: sqlite3.Connection, fact: Message) -> None:
        if fact.seq == 3:
            raise sqlite3.OperationalError("database or disk is full")
        put(db, fact)

    put = replica_rows._put
    replica.store(told(message(1)))
    with monkeypatch.context() as patched:
        patched.setattr(replica_rows, "_put", full)
        with pytest.raises(sqlite3.OperationalError):
            replica.store(told(message(2), message(3), message(4)))
    assert (replica.rooms()[0].seq, bodies(replica)) == (1, ["text 1"])
    replica.store(told(message(2), message(3), message(4)))
    assert (replica.rooms()[0].seq, len(bodies(replica))) == (4, 4)


@pytest.mark.parametrize("seq", [2, 3])
def test_a_fact_of_another_log_replaces_what_is_there_of_its_room(replica: Replica, seq: int) -> None:
    """The program may end before any list tells of it."""
    replica.store(told(message(1), epoch=None) + told(message(2)))
    assert len(bodies(replica)) == 2, "of the first one the log was not known"
    assert replica.store(told(message(seq, "new"), epoch="b")) is True
    assert bodies(replica) == ["new"] and replica.rooms() == [(TEA, seq, "b", seq)]
    assert replica.store([Began(TEA, 9, "c")]) is True and bodies(replica) == []


def test_pages_of_what_is_there(replica: Replica) -> None:
    replica.store(told(*(message(seq) for seq in range(1, 10))))
    assert [m.seq for m in replica.messages(TEA, limit=3)] == [7, 8, 9]
    assert [m.seq for m in replica.messages(TEA, before=7, limit=3)] == [4, 5, 6]
    assert [m.seq for m in replica.messages(TEA, after=7)] == [8, 9]
    assert replica.messages("group:nothing") == []


def test_older_messages_are_fetched_down_to_the_beginning_or_the_bound(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "ann.db", messages=8)
    assert replica.store([Began(TEA, 20, None)]) is True
    assert replica.wanted() == (TEA, 21)
    replica.store(told(message(21)))
    replica.fetched(page(message(18), message(20), first=18), 21)
    assert (replica.wanted(), replica.rooms()[0]) == ((TEA, 18), (TEA, 21, "a", 18))
    assert replica.wanted({TEA}) is None
    replica.fetched(page(message(17), message(18)), 19)  # an answer to an older question: it reaches over what is there
    assert [m.seq for m in replica.messages(TEA)] == [17, 18, 20, 21]
    assert replica.wanted() is None, "the beginning is here"
    replica.store([Reset(room=TEA, epoch="b", head=30)])
    assert (replica.messages(TEA), replica.wanted()) == ([], (TEA, 31))
    replica.fetched(page(message(29)), 31)
    assert replica.messages(TEA) == [], "a page of the log before"
    replica.fetched(page(*(message(seq) for seq in range(21, 31)), first=21, epoch="b"), 31)
    assert [m.seq for m in replica.messages(TEA)] == list(range(21, 31)) and replica.wanted() is None
    replica.store(told(message(31), epoch="b"))
    assert [m.seq for m in replica.messages(TEA)] == list(range(24, 32)), "a quarter past its bound"
    assert replica.rooms()[0].first == 24 and replica.wanted() is None


def test_a_page_that_does_not_connect_any_more_is_not_taken(replica: Replica) -> None:
    replica.store([Began(TEA, 20, "a")])
    assert replica.wanted() == (TEA, 21)
    assert replica.store(told(message(40))) is True, "what lies between can't be had"
    replica.fetched(page(message(19), first=19), 21)
    assert bodies(replica) == ["text 40"] and replica.wanted() == (TEA, 40)


def test_an_edit_whose_text_was_not_told_is_fetched(replica: Replica) -> None:
    replica.store(told(*(message(seq) for seq in range(1, 6))))
    assert replica.store(told(edit(6, 2, None), edit(7, 4, None))) is True
    assert replica.wanted() == (TEA, 5)
    replica.fetched(page(message(2, "new 2"), message(4, "new 4"), first=2), 5)
    assert bodies(replica) == ["text 1", "new 2", "new 4", "text 5"], "3 was deleted meanwhile"
    assert replica.wanted() is None
    replica.store(told(edit(8, 1, None)))
    replica.cannot_fetch(TEA)
    assert replica.wanted() is None


def begun(replica: Replica, *facts: Fact) -> None:
    """A room with the head 20, whose page is read then; these facts are stored before the page comes."""
    replica.store([Began(TEA, 20, "a"), Told(message(21), "a")])
    assert replica.wanted() == (TEA, 21)
    replica.store(told(*facts))


def test_a_message_that_was_deleted_while_its_page_came_does_not_come_back(replica: Replica) -> None:
    begun(replica, delete(22, 5), edit(23, 7, "edited, then deleted"), delete(24, 7))
    replica.fetched(page(*(message(seq) for seq in range(1, 21)), head=21), 21)
    assert [m.seq for m in replica.messages(TEA)] == [*range(1, 5), 6, *range(8, 22)]
    assert replica.search("text 5") == [] and replica.wanted() is None
    # The same message again in a page that knows of it all: whatever it says counts.
    replica.store(told(edit(25, 8, None)))
    replica.fetched(page(*(message(seq, f"as of 25: {seq}") for seq in (6, 8)), head=25), 9)
    assert bodies(replica)[:3] == ["as of 25: 6", "as of 25: 8", "text 9"]


def test_a_message_that_was_edited_while_its_page_came_is_fetched_again(replica: Replica) -> None:
    begun(replica, edit(22, 5, "new"), edit(23, 6, None))
    replica.fetched(page(*(message(seq) for seq in range(1, 21)), head=22), 21)
    assert replica.wanted() == (TEA, 7), "the page knew of the first edit, and not of the second"
    replica.fetched(page(*(message(seq, f"new {seq}") for seq in range(1, 7)), head=23), 7)
    assert bodies(replica)[4:7] == ["new 5", "new 6", "text 7"] and replica.wanted() is None


def test_a_page_from_before_an_edit_does_not_take_the_new_text_away(replica: Replica) -> None:
    """Where the old page was asked for because of another text of the room."""
    replica.store(told(*(message(seq) for seq in range(1, 11)), edit(11, 9, None)))
    assert replica.wanted() == (TEA, 10)
    replica.store(told(edit(12, 3, "new"), delete(13, 4), edit(14, 5, None)))
    replica.fetched(page(*(message(seq) for seq in range(1, 9)), message(9, "nine"), head=11), 10)
    assert bodies(replica)[2:9] == ["new", None, "text 5", "text 6", "text 7", "text 8", "nine"]
    assert replica.wanted() == (TEA, 6)


def test_a_page_that_is_too_old_is_asked_for_again(replica: Replica) -> None:
    """Of another node that is behind, or from before more changes than are kept."""
    begun(replica)
    replica.fetched(page(message(1), message(17), head=18), 21)
    assert bodies(replica) == ["text 21"] and replica.wanted() == (TEA, 21)
    seqs = range(22, 24 + replica_rows.LATE)
    replica.store(told(*(delete(seq, 5) for seq in seqs)))
    replica.fetched(page(message(5), head=22), 21)
    assert bodies(replica) == ["text 21"] and replica.wanted() == (TEA, 21)
    replica.fetched(page(message(5), head=23), 21)
    assert bodies(replica) == ["text 21"] and replica.wanted() is None
    with sqlite3.connect(replica.path) as db:
        assert db.execute("SELECT count(*) FROM change").fetchall() == [(replica_rows.LATE,)]
    db.close()


def test_other_facts_move_the_position_alone(replica: Replica) -> None:
    reaction = Reaction(room=TEA, seq=2, ts=1, sender="bob", target=1, emoji="👍", on=True)
    replica.store(told(message(1), reaction))
    assert (replica.rooms()[0].seq, bodies(replica)) == (2, ["text 1"])


def test_the_oldest_rooms_go_and_those_that_were_left(tmp_path: Path) -> None:
    replica = Replica(tmp_path / "ann.db", rooms=2)
    replica.store(told(message(1, room="group:a"), message(2, room="group:b"), message(3, room="group:c")))
    assert [kept.room for kept in replica.rooms()] == ["group:c", "group:b"]
    replica.store([Left(["group:c", "group:x"])])
    assert [kept.room for kept in replica.rooms()] == ["group:b"] and bodies(replica, "group:c") == []


def test_new_rooms_stand_in_the_order_of_their_latest_facts(tmp_path: Path) -> None:
    """Those that the list told of without a message, in that of what was fetched."""
    replica = Replica(tmp_path / "ann.db", rooms=3)
    replica.store([Began("group:a", 9, "a", 1_000), Began(TEA, 9, "a"), Began("group:z", 9, "a", 3_000)])
    assert [kept.room for kept in replica.rooms()] == ["group:z", "group:a", TEA]
    replica.fetched(page(message(2), message(9_000 - 1_000, "late"), first=2), 10)
    assert [kept.room for kept in replica.rooms()] == [TEA, "group:z", "group:a"]
    replica.store([Reset(room=TEA, epoch="b", head=1), Began("group:0", 9, "a", 2_000)])
    assert [kept.room for kept in replica.rooms()] == [TEA, "group:z", "group:0"], "the oldest goes"


def test_a_search_takes_whatever_is_typed(replica: Replica) -> None:
    replica.store(told(message(1, "Ein Café in Köln"), message(2, "limits.window"), message(3, "cafeteria")))
    assert [m.seq for m in replica.search("CAFE")] == [3, 1]
    assert [m.seq for m in replica.search("koln cafe")] == [1]
    assert [m.seq for m in replica.search("limits.win")] == [2]
    assert [m.seq for m in replica.search("cafe", limit=1)] == [3]
    assert replica.search("cafe", room="group:other") == []
    assert [m.seq for m in replica.search("limits.window in köln")] == []
    for odd in (
        "a " * 5_000,
        "\udc00",
        "\U0010ffff",
        "",
        " ",
        '"',
        "a AND",
        "NEAR(",
        "body:x",
        "*",
        "'; DROP TABLE message",
        "\0",
        "-x ^y",
        "_",
    ):
        replica.search(odd)
    assert len(replica.messages(TEA)) == 3


def bytes_of(path: Path) -> bytes:
    """All that lies in the file, and in those beside it."""
    return b"".join(file.read_bytes() for file in files_of(path)).lower()


def test_words_that_went_lie_in_no_byte_of_the_file(replica: Replica) -> None:
    """Whichever way they went; while the file is open too."""
    texts = {seq: f"Geheim{seq}wort und wieder Geheim{seq}wort" for seq in range(1, 300)}
    replica.store(told(*(message(seq, text) for seq, text in texts.items())))
    replica.store([Began("group:left", 0, "a"), Told(message(1, "geheimverlassen", room="group:left"), "a")])
    replica.store(told(edit(300, 7, "now harmless"), *(delete(seq, (seq - 300) * 3) for seq in range(301, 399))))
    replica.store(told(edit(399, 1, None)))
    replica.fetched(page(message(1, "also harmless"), *(message(seq, texts[seq]) for seq in (5, 10)), head=399), 11)
    replica.store([Left(["group:left"])])
    gone = {1, 2, 4, 7, 8, *range(3, 297, 3)}
    left = bytes_of(replica.path)
    assert [seq for seq in gone if b"geheim%dwort" % seq in left] == []
    assert b"geheimverlassen" not in left
    assert all(b"geheim%dwort" % seq in left for seq in set(texts) - gone), "the others are there"
    assert len(replica.search("geheim", limit=999)) == len(texts) - len(gone)
    replica.store([Reset(room=TEA, epoch="b", head=0)])
    assert b"geheim" not in bytes_of(replica.path)


def test_a_program_that_reads_holds_nobody_up(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old pages are cut off as soon as it is done."""
    monkeypatch.setattr(replica_file, "_BUSY_LOG_MS", 10)
    replica.store(told(message(1, "geheim")))
    reader = sqlite3.connect(replica.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM message").fetchall()
    replica.store(told(delete(2, 1)))
    assert bodies(replica) == [None]
    reader.close()
    replica.store(told(message(3), delete(4, 3)))
    assert b"geheim" not in bytes_of(replica.path)


def files_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


def test_nobody_but_the_owner_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ann.db"
    path.touch(0o644)
    old = os.umask(0)
    try:
        replica = Replica(path)
        replica.store(told(message(1)))
        assert len(files_of(path)) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files_of(path)} == {0o600}
    finally:
        os.umask(old)
    replica.close()
    assert files_of(path) == [path]


def test_another_user_finds_nothing(replica: Replica) -> None:
    replica.store(told(message(1, "a secret of ann's"), message(2)))
    assert replica.belongs_to("ann") is True and len(replica.messages(TEA)) == 2
    assert replica.belongs_to("eve") is False
    assert (replica.user, replica.rooms(), replica.messages(TEA), replica.search("secret")) == ("eve", [], [], [])
    assert b"secret" not in b"".join(file.read_bytes() for file in files_of(replica.path))
    replica.store(told(message(5, "one of eve's")))
    replica.wipe()
    assert (replica.user, replica.rooms()) == ("", [])
    assert b"eve" not in b"".join(file.read_bytes() for file in files_of(replica.path))


def test_other_files_are_left_as_they_are(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database, but long enough to be told from an empty one")
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE message (id)")
    db.close()
    for path in (text, other):
        path.chmod(0o644)
        before = path.read_bytes()
        with pytest.raises(NotAReplica):
            Replica(path)
        assert path.read_bytes() == before and stat.S_IMODE(path.stat().st_mode) == 0o644
    with pytest.raises(OSError, match="No such file"):
        Replica(tmp_path / "no" / "such" / "folder")


def test_a_file_of_another_version_begins_anew(replica: Replica) -> None:
    replica.store(told(message(1)))
    replica.close()
    with sqlite3.connect(replica.path) as db:
        db.execute("PRAGMA user_version = 0")
    db.close()
    again = Replica(replica.path)
    assert (again.user, again.rooms()) == ("", [])
    again.store(told(message(1)))
    assert bodies(again) == ["text 1"]


def test_two_programs_on_one_file(replica: Replica) -> None:
    other = Replica(replica.path)
    facts = [message(seq) for seq in range(1, 9)]
    replica.store(told(*facts[:3]))
    other.store(told(*facts[:6]))
    replica.store(told(*facts[3:]))
    assert bodies(other) == bodies(replica) == [f"text {seq}" for seq in range(1, 9)]
