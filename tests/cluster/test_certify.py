"""Verdicts one by one, and a history whose verdicts and hashes are golden.

`python -m tests.cluster.test_certify` writes the golden history anew, for entries that were added at its end.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from gochat.cluster import entry as entries
from gochat.cluster.certify import (
    HORIZON,
    REPEAT,
    Judgement,
    Stop,
    Valid,
    Void,
    next_hash,
    record_numbers,
    room_number,
)
from gochat.cluster.entry import partition_of
from gochat.cluster.ports import PARTITIONS
from gochat.domain import facts
from gochat.domain.record import Recorded
from gochat.domain.relationship import Relation, RelationChange, Side
from gochat.domain.side_records import Related, Reported, Revoked, Sanctioned
from gochat.ports.journal import DuplicateKeys
from tests.cluster.replica import Replica, reason
from tests.cluster.samples import CODEC, DM, TEA, entry

GOLDEN = Path(__file__).parent / "golden" / "history.tsv"


class Bench:
    """One partition, and entries of a node that knows all of it unless the test says otherwise."""

    def __init__(self, room: str = TEA) -> None:
        self.room = room
        self.replica = Replica(CODEC, partition_of(room))
        self.counter = 0
        self.lines: list[str] = []

    def read(self, data: bytes) -> Judgement:
        judged = self.replica.read(data)
        self.lines.append(f"{data.hex()}\t{reason(judged)}\t{self.replica.hash.hex()}")
        return judged

    def add(self, *added: facts.AnyFact, **changed: object) -> Judgement:
        self.counter += 1
        given: dict[str, object] = {
            "room": self.room,
            "counter": self.counter,
            "base": self.replica.n,
            "head": self.replica.record(self.room).head,
            "ts": 1_000 + self.replica.n,
            "check": (self.replica.n, self.replica.hash),
            "facts": added,
        }
        return self.read(CODEC.encode(entry(**{**given, **changed})))

    def next(self, ahead: int = 1, sender: str = "ann") -> dict[str, object]:
        record = self.replica.record(self.room)
        return {"room": self.room, "seq": record.head + ahead, "ts": 1_000 + self.replica.n, "sender": sender}

    def message(self, body: str = "x", sender: str = "ann", **changed: object) -> facts.Message:
        return facts.Message(**{**self.next(1, sender), "body": body, **changed})  # type: ignore[arg-type]

    def made(self) -> Judgement:
        users = ["ann", "bob"]
        return self.add(
            facts.Member(**self.next(), users=["ann"], change="added", role="owner", title="Tea"),
            facts.Member(**self.next(2), users=users[1:], change="added", role="member"),
        )


@pytest.fixture
def tea() -> Bench:
    bench = Bench()
    bench.read(b"")
    bench.made()
    return bench


def valid(judged: Judgement) -> Valid:
    assert isinstance(judged.verdict, Valid), judged
    return judged.verdict


def test_a_marker_begins_a_term_and_is_no_entry(tea: Bench) -> None:
    assert tea.read(b"") == (None, REPEAT)


def test_a_batch_that_nothing_came_before_stays_as_it_is(tea: Bench) -> None:
    message = tea.message()
    assert list(valid(tea.add(message)).facts) == [message]


def test_a_batch_is_numbered_where_it_stands(tea: Bench) -> None:
    behind = {"base": tea.replica.n, "head": 2, "ts": 900}
    first, second = tea.message("first"), tea.message("second")
    tea.add(first)
    verdict = valid(tea.add(second, **behind))
    assert [(fact.seq, fact.ts) for fact in verdict.facts] == [(4, first.ts)], "and time does not fall"
    assert not verdict.raises_guard


@pytest.mark.parametrize("fields", [{}, {"reply_to": 3}])
def test_time_does_not_fall_where_the_seqs_stay(tea: Bench, fields: dict[str, int]) -> None:
    first = tea.message("first")
    tea.add(first)
    (fact,) = valid(tea.add(tea.message("late", ts=900, **fields), ts=900)).facts
    assert (fact.seq, fact.ts) == (4, first.ts)


def test_what_the_decision_read_must_not_have_changed(tea: Bench) -> None:
    behind = {"base": tea.replica.n, "head": 2}
    message = tea.message(sender="bob")
    tea.add(facts.Member(**tea.next(), users=["bob"], change="removed"))
    assert tea.add(message, **behind).verdict == Void("guard")
    assert valid(tea.add(tea.message()))


def test_a_fact_is_guarded_or_looked_at_one_by_one() -> None:
    """A new kind of fact belongs into `GUARDED`, unless `certify` knows what of it may go past others."""
    looked_at = {facts.Message, facts.Edit, facts.Delete, facts.Reaction}
    assert {*facts.GUARDED, *looked_at} == set(typing.get_args(facts.RecordedFact))


def test_sanctions_change_what_others_read(tea: Bench) -> None:
    behind = {"base": tea.replica.n}
    assert valid(tea.add(side_records=[Sanctioned("bob", "mute", True, 1)])).raises_guard
    assert tea.add(tea.message(sender="bob"), **behind).verdict == Void("guard")


def test_a_void_entry_changes_nothing_but_its_producer(tea: Bench) -> None:
    tea.add(side_records=[Sanctioned("bob", "mute", True, 1)])
    before = dict(tea.replica.tables())
    tea.add(tea.message(), base=1)
    after = tea.replica.tables()
    assert {name for name in before if before[name] != after[name]} <= {"n", "hash", "counters"}
    assert after["counters"] == {("n1", "b7"): tea.counter}


def test_the_same_entry_again_is_a_repeat(tea: Bench) -> None:
    tea.add(tea.message())
    data = CODEC.encode(entry(counter=2, base=tea.replica.n, facts=[tea.message()], head=3))
    assert tea.read(data).verdict == REPEAT
    assert tea.add(tea.message(), counter=1, boot="b8").verdict != REPEAT, "another boot counts anew"


def test_a_producer_that_is_void_is_not_heard_again(tea: Bench) -> None:
    data = CODEC.encode(entry(counter=9, base=1, head=2, facts=[tea.message()]))
    assert tea.read(data).verdict == Void("guard")
    assert tea.read(data).verdict == REPEAT


def test_a_node_that_was_put_out_records_nothing(tea: Bench) -> None:
    tea.replica.forgotten.add("n1")
    assert tea.add(tea.message()).verdict == Void("forgotten")
    assert tea.add(tea.message(), instance="n2", counter=1).verdict != Void("forgotten")


@pytest.mark.parametrize(("ahead", "expected"), [(0, "base"), (1, "Valid"), (HORIZON, "Valid"), (HORIZON + 1, "old")])
def test_a_decision_is_neither_old_nor_of_the_future(ahead: int, expected: str) -> None:
    bench = Bench()
    bench.replica.n = HORIZON + 50
    base = bench.replica.n + 1 - ahead
    assert reason(bench.add(bench.message(), base=base)) == expected


def test_a_head_that_the_log_does_not_have_is_void(tea: Bench) -> None:
    message = facts.Message(room=TEA, seq=9, ts=1, sender="ann", body="x")
    assert tea.add(message, head=8).verdict == Void("head")


def test_a_key_takes_effect_once(tea: Bench) -> None:
    behind = {"base": tea.replica.n, "head": 2}
    again = tea.message("again", key="k")
    tea.add(tea.message("first", key="k"))
    assert tea.add(again, **behind).verdict == DuplicateKeys({("ann", "k"): Recorded(3, 1_002)})
    assert valid(tea.add(tea.message("bob's own", "bob", key="k")))


def test_an_edit_may_have_a_condition(tea: Bench) -> None:
    tea.add(tea.message("one"))
    first = tea.add(facts.Edit(**tea.next(), target=3, body="two"), expected={4: 3})
    assert valid(first)
    late = facts.Edit(**tea.next(), target=3, body="three")
    assert tea.add(late, expected={5: 3}).verdict == Void("condition")
    assert valid(tea.add(facts.Edit(**tea.next(), target=3, body="three"), expected={5: 4}))


def test_a_report_of_an_own_message_moves_along(tea: Bench) -> None:
    behind = {"base": tea.replica.n, "head": 2}
    flagged = tea.message("flagged")
    tea.add(tea.message("first"))
    verdict = valid(tea.add(flagged, side_records=[Reported(3, 1, rule="words.listed")], **behind))
    assert verdict.side_records == [Reported(4, 1, rule="words.listed")]


def test_a_report_is_of_the_message_as_it_was_before_the_batch(tea: Bench) -> None:
    tea.add(tea.message())
    report = Reported(3, 1, "bob")
    assert valid(tea.add(facts.Delete(**tea.next(), target=3), side_records=[report]))
    assert tea.add(side_records=[report]).verdict == Void("deleted")


def test_a_block_stands_above_all_that_came_before_it() -> None:
    bench = Bench(DM)
    friends = Relation(("ann", "bob"), Side(contact=True), Side(contact=True), 2)
    bench.replica.records[DM] = bench.replica.record(DM)
    bench.replica.records[DM].relation = friends
    change = RelationChange(3, 0, 1, "ann", "block")
    bench.add(bench.message(sender="bob"))
    bench.add(bench.message(sender="bob"), base=0, head=1)
    verdict = valid(bench.add(side_records=[Related(change, friends.apply(change))], base=0, head=0))
    (made,) = verdict.side_records
    assert isinstance(made, Related)
    assert made.change.at == 2
    assert made.after.one.blocked_at == 2
    late = bench.message(sender="bob")
    assert bench.add(late, base=1).verdict == Void("guard")


def test_a_change_of_a_relation_that_does_not_follow_is_void() -> None:
    bench = Bench(DM)
    change = RelationChange(5, 0, 1, "ann", "block")
    assert bench.add(side_records=[Related(change, Relation(("ann", "bob")))]).verdict == Void("unfit")
    own = Bench("dm:ann:ann")
    assert own.add(side_records=[Related(change, Relation(("ann", "ann")))]).verdict == Void("unfit")


def test_forged_and_unfit_entries_are_void_and_a_later_version_stops(tea: Bench) -> None:
    partition = partition_of(TEA)
    data = bytearray(CODEC.encode(entry()))
    data[-1] ^= 1
    assert tea.replica.judge(bytes(data)) == (None, Void("forged"))
    nonsense = bytes((entries.VERSION,)) + b"\x90"
    assert tea.replica.judge(CODEC._mac(partition, nonsense) + nonsense) == (None, Void("unfit"))
    later = bytes((entries.VERSION + 1,)) + b"?"
    assert isinstance(tea.replica.judge(CODEC._mac(partition, later) + later).verdict, Stop)


def test_what_concerns_the_site_is_taken_as_it_is() -> None:
    bench = Bench("")
    revoked = Revoked("jti", "t", 3)
    assert valid(bench.add(kind="site", side_records=[revoked], base=0)).side_records == [revoked]


def test_certification_changes_neither_the_entry_nor_the_replica(tea: Bench) -> None:
    behind = {"base": tea.replica.n, "head": 2}
    second = tea.message("second")
    tea.add(tea.message("first"))
    data = CODEC.encode(entry(counter=9, facts=[second], **behind))
    before = str(tea.replica.tables())
    assert tea.replica.judge(data) == tea.replica.judge(data)
    assert str(tea.replica.tables()) == before


# ---------------------------------------------------------------------------------------------- numbers, hashes


def test_numbers_are_nobody_elses() -> None:
    rooms = [room_number(k, p, above=160) for k in range(1, 50) for p in range(PARTITIONS)]
    assert len(set(rooms)) == len(rooms)
    assert min(rooms) > 160
    records = [
        number
        for n in range(1, 5)
        for p in range(PARTITIONS)
        for number in record_numbers(n, p, entries.MOST_SIDE_RECORDS, above=160)
    ]
    assert len(set(records)) == len(records)
    assert min(records) > 160
    assert record_numbers(10**9, 15, 1)[0] < 2**53, "browsers keep them as they are"
    assert all(number % PARTITIONS == 3 for number in (*record_numbers(7, 3, 9, above=160), room_number(2, 3, 160)))


def test_the_hash_tells_histories_apart() -> None:
    one = Valid([facts.Message(room=TEA, seq=1, ts=1, sender="ann", body="x")], (), {}, False)
    other = Valid([facts.Message(room=TEA, seq=2, ts=1, sender="ann", body="x")], (), {}, False)
    hashes = {
        next_hash(before, data, verdict)
        for before in (b"", b"12345678")
        for data in (b"", b"a", b"b")
        for verdict in (one, other, Void("guard"), REPEAT, DuplicateKeys({}))
    }
    assert len(hashes) == 30
    assert {len(hash_) for hash_ in hashes} == {8}


def history() -> Iterator[str]:
    """A history with every verdict in it."""
    tea = Bench()
    tea.read(b"")
    tea.made()
    behind = {"base": tea.replica.n, "head": 2}
    tea.add(tea.message("one", key="k", ts=1_002))
    data = CODEC.encode(entry(counter=3, facts=[tea.message("two", seq=3, ts=900)], **behind))
    tea.counter = 3
    tea.read(data)
    tea.read(data)
    tea.add(tea.message("again", key="k"))
    tea.add(facts.Edit(**tea.next(), target=3, body="ONE"), facts.Reaction(**tea.next(2), target=4, emoji="+", on=True))
    tea.add(facts.Edit(**tea.next(), target=3, body="ONE"))
    tea.add(facts.Delete(**tea.next(), target=3), side_records=[Reported(3, 5, "bob"), Reported(4, 5, rule="r")])
    tea.add(facts.Edit(**tea.next(), target=3, body="?"))
    tea.add(facts.Member(**tea.next(), users=["bob"], change="removed"))
    tea.add(tea.message("late", "bob"), base=5)
    tea.read(b"nonsense")
    tea.read(b"")
    yield from tea.lines


def test_a_history_has_its_verdicts_and_hashes() -> None:
    assert GOLDEN.read_text(encoding="utf-8").splitlines() == list(history())
    verdicts = {line.split("\t")[1] for line in history()}
    assert verdicts == {"Valid", "Repeat", "DuplicateKeys", "guard", "same", "deleted", "forged"}


if __name__ == "__main__":
    GOLDEN.write_text("".join(f"{line}\n" for line in history()), encoding="utf-8")
