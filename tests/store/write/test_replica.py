"""A database that follows a cluster's log holds what the log says, however the entries come and whatever cuts in."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from gochat.cluster import certify
from gochat.cluster.certifier import Certified, Certifying
from gochat.cluster.certify import DuplicateKeys, Valid, Void
from gochat.cluster.entry import Entry, partition_of
from gochat.cluster.ports import PARTITIONS
from gochat.domain import facts
from gochat.domain.ids import is_dm
from gochat.domain.record import Recorded, RoomRecord
from gochat.domain.side_records import Reported
from gochat.errors import StoreError
from gochat.replication import Answer, Applied, EpochIs, NodeIs, Piece, ReadUpTo, UserNoted
from gochat.store.portable import cluster
from gochat.store.read import rules
from gochat.store.schema import connect
from gochat.store.setup import prepare
from gochat.store.write import log_state, replica
from gochat.store.write.committer import PACE, Committer
from gochat.store.write.transaction import recorded
from gochat.store.write.write_buffer import WriteBuffer
from tests.cluster.histories import CODEC, DM, TEA, History
from tests.cluster.planting import plant

CERTIFYING = Certifying(CODEC, 0)
#: Tables that say how this database came to be, and not what the log says.
APART = ("_sqlite", "search", "message_word", "user_word", "folding", "boot", "clock", "meta", "tail", "sqlite_")


class Follower:
    """A database, opened anew whenever it was closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare(str(path))
        self.applied: list[Applied[Certified]] = []
        self.commits: list[int] = []
        self._committer: Committer | None = None

    @property
    def committer(self) -> Committer:
        if self._committer is None:
            self._committer = Committer(partial(connect, str(self.path)), WriteBuffer(), PACE._replace(quiet_s=0.0))
        return self._committer

    def take(self, partition: int, pieces: Sequence[Piece]) -> None:
        cycle = self.committer.follow(CERTIFYING, {partition: pieces})
        self.applied += cycle.applied[partition]
        self.commits.append(cycle.commit)

    def close(self) -> None:
        if self._committer is not None:
            self._committer.close()
            self._committer = None

    def tables(self) -> dict[str, list[Any]]:
        """All that follows from the log."""
        self.close()
        with closing(connect(str(self.path), read_only=True)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            found = {name: sorted(_rows(connection, name), key=repr) for name in names if not name.startswith(APART)}
            # How they share rows is a matter of how they came.
            found["log_entry"] = [log_state.after(connection, each, None, 10_000) for each in range(PARTITIONS)]
            return found

    def read(self, job: Callable[[sqlite3.Connection], Any]) -> Any:
        self.close()
        with closing(connect(str(self.path), read_only=True)) as connection:
            return job(connection)


def _rows(connection: sqlite3.Connection, table: str) -> list[Any]:
    """But for what is a matter of time: how far a room is in the search index, and a user's latest rooms in order."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    told = ", ".join(each for each in columns if each not in ("indexed", "latest"))
    return connection.execute(f"SELECT {told} FROM {table}").fetchall()


def placed(log: Sequence[bytes], first: int = 1) -> list[Piece]:
    return [((1, n), data) for n, data in enumerate(log, first)]


def follow(path: Path, history: History, random: Random) -> Follower:
    """Take the history's log in pieces of some size; between them messages are merged, or the node starts anew."""
    follower, partition = Follower(path), partition_of(history.room)
    pieces = placed(history.log)
    size = random.choice((1, 3, 10, 100))
    while pieces:
        count = random.randint(1, size)
        follower.take(partition, pieces[:count])
        del pieces[:count]
        chance = random.random()
        if chance < 0.2:
            follower.close()
        elif chance < 0.5:
            follower.committer.idle()
    follower.close()
    return follower


def compare(follower: Follower, history: History) -> None:
    """With the oracle, which is a fold in memory."""
    oracle, room = history.oracle, history.room
    assert follower.applied[-1].hash == oracle.hash
    found: RoomRecord | None = follower.read(lambda connection: rules.record(connection, room))
    expected = oracle.record(room)
    if found is None:
        assert not expected.head
        return
    expected.room_pk = found.room_pk
    assert found == expected
    seqs = [seq for place, seq in oracle.targets if place == room]
    targets = follower.read(lambda connection: rules.targets(connection, found.room_pk, seqs))
    assert targets == {seq: oracle.targets[room, seq] for seq in seqs}
    keys = [place[1:] for place in oracle.keys]
    known = follower.read(lambda connection: recorded(connection, found.room_pk, keys))
    assert known == {place[1:]: where for place, where in oracle.keys.items()}


def some(directory: Path, seeds: range, room: str | None = None) -> int:
    """Histories, each followed twice in pieces of other sizes; how many of their entries were valid."""
    valid = 0
    for seed in seeds:
        history = History(seed, room)
        history.run(50)
        followers = [follow(directory / f"{seed}-{n}.db", history, Random(seed * 2 + n)) for n in range(2)]
        for follower in followers:
            compare(follower, history)
        one, other = (follower.tables() for follower in followers)
        assert one == other
        valid += history.counts["Valid"]
    return valid


def test_what_the_log_says_stands_in_the_tables_however_it_came(tmp_path: Path) -> None:
    assert some(tmp_path, range(20)) > 100


@pytest.mark.long
def test_it_does_in_many_histories(tmp_path: Path) -> None:
    assert some(tmp_path, range(1_000, 1_400)) > 2_000


#: Faults that the histories must notice: each with its module, what stands there, what instead, and a room.
HOLES: dict[str, tuple[ModuleType, str, str, str | None]] = {
    "guards are kept": (replica, "known.guard = self._guards[room] = state.n", "self._guards[room] = state.n", None),
    "guards are written": (replica, "for room, guard in self._guards.items():", "for room, guard in ():", None),
    "edits of the cycle": (replica, "target.body, target.edit_seq, target.edit_ts = ", "_ = ", TEA),
    "relations of the cycle": (replica, "        self._relations[room] = relation\n", "        _ = relation\n", DM),
    "counters are kept": (log_state, "_encode(heard).decode())", '"{}")', None),
}


@pytest.mark.parametrize("hole", HOLES)
def test_what_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hole: str) -> None:
    module, rule, instead, room = HOLES[hole]
    plant(monkeypatch, module, rule, instead)
    with pytest.raises((AssertionError, StoreError)):
        some(tmp_path, range(60), room)


# ---------------------------------------------------------------------------------------------- one entry


def entry(counter: int, room: str = TEA, **fields: Any) -> bytes:
    given = {"instance": "north", "boot": "1", "room": room, "base": 0, "ts": 1_000, "counter": counter}
    return CODEC.encode(Entry(**{**given, **fields}), partition_of(room) if room else fields.pop("partition", 0))


def message(room: str, seq: int, **fields: Any) -> facts.Message:
    return facts.Message(**{"room": room, "seq": seq, "ts": 1_000, "sender": "ann", "body": "x", **fields})


def test_an_entry_that_the_database_cannot_take_is_void_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only a fault makes one: here certification forgets that keys are taken once."""
    from gochat.cluster import certify

    log = [b"", *(entry(n, facts=[message(TEA, 1, key="k" if n == 2 else f"k{n % 3}")]) for n in range(1, 5))]
    plant(monkeypatch, certify, "if known is not None:", "if False:")
    follower = Follower(tmp_path / "a.db")
    follower.take(partition_of(TEA), placed(log))
    verdicts = [type(applied.ruling.verdict) for applied in follower.applied[1:]]
    assert verdicts == [Valid, Valid, Valid, Void]
    alone = Follower(tmp_path / "b.db")
    for piece in placed(log):
        alone.take(partition_of(TEA), [piece])
    assert follower.applied[-1].hash == alone.applied[-1].hash
    assert follower.tables() == alone.tables()


def test_entries_of_one_cycle_see_those_before_them(tmp_path: Path) -> None:
    on = facts.Reaction(room=TEA, seq=2, ts=1_000, sender="bob", target=1, emoji="+", on=True)
    log = [
        b"",
        entry(1, facts=[message(TEA, 1)]),
        entry(2, head=1, facts=[on]),
        entry(3, head=1, facts=[on]),
        entry(4, head=1, facts=[facts.Delete(room=TEA, seq=2, ts=1_000, sender="ann", target=1)]),
        entry(5, head=1, facts=[facts.Edit(room=TEA, seq=2, ts=1_000, sender="ann", target=1, body="y")]),
    ]
    follower = Follower(tmp_path / "a.db")
    follower.take(partition_of(TEA), placed(log))
    verdicts = [applied.ruling.verdict for applied in follower.applied[2:]]
    assert [each.reason if isinstance(each, Void) else "" for each in verdicts] == ["", "same", "", "deleted"]


@pytest.mark.parametrize("size", [1, 4])
def test_a_report_of_what_is_not_there_yet_hides_it_from_nobody(tmp_path: Path, size: int) -> None:
    log = [
        entry(1, facts=[message(TEA, 1)]),
        entry(2, head=1, side_records=[Reported(2, 1_000, "bob")]),
        entry(3, head=1, facts=[message(TEA, 2)]),
        entry(4, base=3, head=2, facts=[message(TEA, 3, reply_to=2)]),
    ]
    follower = Follower(tmp_path / "a.db")
    for begin in range(0, len(log), size):
        follower.take(partition_of(TEA), placed(log[begin : begin + size], 1 + begin))
    verdicts = [applied.ruling.verdict for applied in follower.applied]
    assert [type(each) for each in verdicts] == [Valid, Void, Valid, Valid]


class _Counting(Certifying):
    """Counts the entries that are judged."""

    judged = 0

    def judge(self, data: bytes, n: int, partition: int, replica: Any) -> Certified:
        self.judged += 1
        return super().judge(data, n, partition, replica)


@pytest.mark.parametrize("merged", [True, False])
def test_keys_that_come_again_and_again_do_not_have_the_entries_beside_them_judged_twice(
    tmp_path: Path, merged: bool
) -> None:
    """The same key, sent to two nodes at once."""
    follower, partition, counting = Follower(tmp_path / "a.db"), partition_of(TEA), _Counting(CODEC, 0)
    follower.take(partition, placed([entry(1, facts=[message(TEA, 1)])]))
    follower.take(partition, placed([entry(2, head=1, facts=[message(TEA, 2, key="k")])], 2))
    if merged:
        follower.close()
    n, cycles, beside = 2, 30, 20
    for _ in range(cycles):
        keys = ["k", *(f"{n}-{each}" for each in range(beside))]
        log = [entry(n + i, head=2, facts=[message(TEA, 3, key=key)]) for i, key in enumerate(keys, 1)]
        cycle = follower.committer.follow(counting, {partition: placed(log, n + 1)})
        verdicts = [type(applied.ruling.verdict) for applied in cycle.applied[partition]]
        assert verdicts == [DuplicateKeys, *[Valid] * beside]
        n += len(log)
    assert counting.judged < 1.1 * cycles * (beside + 1)


@pytest.mark.parametrize("merged", [True, False])
def test_a_key_is_known_to_be_recorded_though_the_entry_does_not_hold(tmp_path: Path, merged: bool) -> None:
    """No index refuses an entry that writes nothing. The history's hash has the verdict, so it must be the same whether
    the message of the key has been merged, as on one node, or not, as on another."""
    log = [
        b"",
        entry(1, facts=[message(TEA, 1)]),
        entry(2, head=1, facts=[message(TEA, 2, key="k", reply_to=1)]),
        entry(3, head=2, facts=[facts.Delete(room=TEA, seq=3, ts=1_000, sender="ann", target=1)]),
        entry(4, head=2, facts=[message(TEA, 3, key="k", reply_to=1)]),
    ]
    follower = Follower(tmp_path / "a.db")
    for piece in placed(log):
        follower.take(partition_of(TEA), [piece])
        if merged:
            follower.close()
    assert follower.applied[-1].ruling.verdict == DuplicateKeys({("ann", "k"): Recorded(2, 1_000)})


def fail_once(monkeypatch: pytest.MonkeyPatch, follower: Follower, *, took_effect: bool) -> None:
    """Have the next COMMIT fail, whether or not the disk takes it."""
    writer = follower.committer._writer
    assert writer is not None
    finish = writer._finish

    def fail(*args: Any, **fields: Any) -> None:
        if took_effect:
            finish(*args, **fields)
        else:
            writer.connection.execute("ROLLBACK")
        writer.committing = True
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(writer, "_finish", fail)


@pytest.mark.parametrize("took_effect", [True, False])
def test_after_a_commit_that_failed_the_same_may_be_asked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, took_effect: bool
) -> None:
    follower, partition = Follower(tmp_path / "a.db"), partition_of(TEA)
    follower.take(partition, placed([b""]))
    fail_once(monkeypatch, follower, took_effect=took_effect)
    pieces = placed([entry(1, facts=[message(TEA, 1)])], 2)
    with pytest.raises(StoreError):
        follower.take(partition, pieces)
    follower.take(partition, pieces)
    assert isinstance(follower.applied[-1].ruling.verdict, Valid)
    assert follower.read(lambda connection: connection.execute("SELECT count(*) FROM fact").fetchone()) == (1,)
    follower.take(partition, placed([entry(2, facts=[message(TEA, 1)])], 3))
    (last,) = follower.applied[-1].ruling.facts
    assert last.seq == 2


@pytest.mark.parametrize("took_effect", [True, False])
def test_after_a_commit_that_failed_another_partition_may_come_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, took_effect: bool
) -> None:
    """A repair records its partition while the reader of another one waits to try again."""
    follower, partition = Follower(tmp_path / "a.db"), partition_of(TEA)
    other, third = ((partition + n) % PARTITIONS for n in (1, 2))
    for each in (partition, other, third):
        follower.take(each, placed([b""]))
    fail_once(monkeypatch, follower, took_effect=took_effect)
    news = {partition: placed([entry(1, facts=[message(TEA, 1)])], 2), third: placed([b""], 2)}
    with pytest.raises(StoreError):
        follower.committer.follow(CERTIFYING, news)
    between = follower.committer.follow(CERTIFYING, {other: placed([b""], 2)})
    assert list(between.applied) == [other], "nobody who repairs one is told of the others"
    fail_once(monkeypatch, follower, took_effect=False)
    with pytest.raises(StoreError):
        follower.committer.follow(CERTIFYING, {other: placed([b""], 3)})
    again = follower.committer.follow(CERTIFYING, news)
    assert {each: [applied.place for applied in found] for each, found in again.applied.items()} == {
        partition: [(1, 2)],
        third: [(1, 2)],
    }
    assert isinstance(again.applied[partition][0].ruling.verdict, Valid)
    assert list(follower.committer.follow(CERTIFYING, {other: placed([b""], 3)}).applied) == [other]
    assert follower.read(lambda connection: connection.execute("SELECT count(*) FROM fact").fetchone()) == (1,)


def test_rooms_have_the_same_numbers_on_every_node(tmp_path: Path) -> None:
    rooms = [f"group:r{n}" for n in range(40)]
    numbers = []
    for name, order in (("a", rooms), ("b", rooms[::-1])):
        follower = Follower(tmp_path / f"{name}.db")
        logs: dict[int, list[bytes]] = {}
        for n, room in enumerate(rooms, 1):
            logs.setdefault(partition_of(room), [b""]).append(entry(n, room, facts=[message(room, 1)]))
        for partition in dict.fromkeys(map(partition_of, order)):
            follower.take(partition, placed(logs[partition]))
        numbers.append(follower.read(lambda c: dict(c.execute("SELECT id, num FROM room"))))
    assert numbers[0] == numbers[1]
    assert len(set(numbers[0].values())) == len(rooms)


def test_notes_nodes_and_the_epoch_are_kept(tmp_path: Path) -> None:
    assert is_dm(DM)
    follower, partition = Follower(tmp_path / "a.db"), partition_of(DM)
    reads = CODEC.encode(
        Entry(instance="n", boot="1", counter=2, kind="notes", base=0, ts=1, side_records=[ReadUpTo(DM, "bob", 1)]),
        partition,
    )
    follower.take(partition, placed([b"", entry(1, DM, facts=[message(DM, 1)]), reads]))
    site = [
        Entry(instance="n", boot="1", counter=1, kind="notes", base=0, ts=1, side_records=[UserNoted("ann", "Ann", 5)]),
        Entry(instance="n", boot="1", counter=2, kind="nodes", base=0, ts=1, side_records=[EpochIs("e1")]),
        Entry(instance="n", boot="1", counter=3, kind="nodes", base=0, ts=1, side_records=[EpochIs("e2")]),
        Entry(instance="n", boot="1", counter=4, kind="nodes", base=0, ts=1, side_records=[NodeIs("x", "forgotten")]),
        Entry(instance="n", boot="1", counter=5, kind="nodes", base=0, ts=1, side_records=[NodeIs("x", "here")]),
        Entry(instance="x", boot="1", counter=1, kind="notes", base=0, ts=1, side_records=[UserNoted("ann", "X", 6)]),
    ]
    follower.take(0, placed([b"", *(CODEC.encode(each) for each in site)]))
    assert isinstance(follower.applied[-1].ruling.verdict, Void), "a node that was forgotten says nothing any more"
    assert follower.read(lambda c: c.execute("SELECT read FROM seat WHERE user = 'bob'").fetchone()) == (1,)
    assert follower.read(lambda c: c.execute("SELECT name, last_seen FROM user").fetchall()) == [("Ann", 5)]
    assert follower.read(log_state.epoch) == "e1", "the second one did not know of the first"
    assert follower.read(log_state.load)[0].nodes == {"x": "forgotten"}


def test_answers_are_kept_in_the_database_and_stay_out_of_another_nodes(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "a.db")
    for answers in ({0: Answer("s1", 2), 3: Answer("s2", 7)}, {0: Answer("s3", 3)}):
        follower.committer.run(partial(log_state.save_answers, given=answers), synced=True)
        assert follower.read(log_state.answers) == answers
    cluster.mark(tmp_path / "a.db", cluster.Copy("c1", "town", b""))
    assert follower.read(log_state.answers) == {}, "a node that joins with a backup has answered nobody"


@pytest.mark.parametrize("first", range(8, 16))
def test_an_old_entry_that_comes_again_is_void_whatever_is_still_known_of_its_producer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, first: int
) -> None:
    """Somebody who may write to the server, and can't sign, puts it into the log once more, at `first` and after, about
    where the counters of its producer are dropped: at once where each entry is a cycle, later where many are."""
    for module in (certify, log_state):
        monkeypatch.setattr(module, "HORIZON", 10)
    partition = partition_of(TEA)

    def noted(instance: str, counter: int, n: int) -> bytes:
        notes = [ReadUpTo(TEA, instance, n)]
        one = Entry(
            instance=instance, boot="1", counter=counter, kind="notes", base=n - 1, ts=1_000, side_records=notes
        )
        return CODEC.encode(one, partition)

    old = [noted("north", counter, 1 + counter) for counter in (1, 2)]
    log = [b"", *old, *(noted("south", n, n) for n in range(4, first)), *old, *old]
    at_once, singly = Follower(tmp_path / "1.db"), Follower(tmp_path / "2.db")
    at_once.take(partition, placed(log))
    for piece in placed(log):
        singly.take(partition, [piece])
    assert [each.hash for each in at_once.applied] == [each.hash for each in singly.applied]
    assert at_once.tables() == singly.tables()
