"""A sign-in is read at one moment, by a reader: what is merged already sends nobody to the commit thread."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat import store as stores
from gochat.domain import facts
from gochat.errors import StoreError
from gochat.ports.archive import Snapshot
from gochat.ports.journal import Committed
from gochat.store import Store, schema, setup
from gochat.store.read.merged_reader import LOOKS, unmerged_rooms
from gochat.store.write.committer import Committer, MergePace
from gochat.store.write.logs import Batch
from gochat.store.write.write_buffer import WriteBuffer, unmerged
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, message
from tests.store.conftest import PACES

OTHER = "dm:cat:dan"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Merges what it is asked for alone, so that rows stay in the tail."""
    async with stores.open(tmp_path / "gochat.db", pace=PACES["unmerged"]) as opened:
        yield opened


@pytest.fixture
def at_committer(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users whose welcome was put together in the commit thread."""
    users: list[str] = []
    read = Committer.read

    def noted(self: Committer, user: str, job: Callable[[sqlite3.Connection], Any]) -> Any:
        users.append(user)
        return read(self, user, job)

    monkeypatch.setattr(Committer, "read", noted)
    return users


async def say(store: Store, room: str, count: int = 1) -> int:
    """The number of the last transaction."""
    record, number = await store.journal.load(room), 0
    head = await store.archive.head(room)
    for seq in range(head + 1, head + count + 1):
        done = await append_to(store.journal, record, [message(room, seq, sender=room.split(":")[1])])
        assert isinstance(done, Committed)
        number = done.commit
    return number


def head(snapshot: Snapshot) -> int:
    return snapshot.contacts[0].head


def tail(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM tail").fetchone()[0])


async def test_a_row_that_outlives_the_merge_of_its_room_keeps_no_reader_away(
    store: Store, at_committer: list[str], tmp_path: Path
) -> None:
    with trio.fail_after(SOON):
        await say(store, OTHER, 2)
        number = await say(store, DM, 2)
        for _ in range(3):
            snapshot = await store.archive.welcome("bob", 15, [])
            assert (snapshot.commit, head(snapshot)) == (number, 2)
            assert tail(tmp_path / "gochat.db") == 2, "of the segment the other room is not merged"
        assert await say(store, DM) > number
        assert head(await store.archive.welcome("bob", 15, [])) == 3
    assert at_committer == []


async def test_rows_that_memory_has_forgotten_keep_no_reader_away(store: Store, at_committer: list[str]) -> None:
    """A slow job of the same reading transaction comes first; meanwhile all is merged, and the rows are deleted."""
    began, go_on = threading.Event(), threading.Event()
    found: list[Snapshot] = []

    def slow(connection: sqlite3.Connection) -> None:
        assert connection.execute("SELECT count(*) FROM tail").fetchone() == (2,)
        began.set()
        go_on.wait(SOON)

    async def sign_in() -> None:
        found.append(await store.archive.welcome("bob", 15, []))

    with trio.fail_after(SOON):
        await say(store, DM, 2)
        await store.archive.head(DM)
        before = await say(store, OTHER, 3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.archive._call, slow)
            nursery.start_soon(sign_in)
            while not began.is_set():
                await trio.sleep(0.001)
            assert await store.archive.head(OTHER) == 3
            await say(store, DM)
            go_on.set()
    (snapshot,) = found
    assert (snapshot.commit, head(snapshot)) == (before, 2), "it is of the moment at which its transaction began"
    assert at_committer == []


@pytest.mark.parametrize("at_once", [False, True], ids=["readers busy", "no pause"])
async def test_a_room_that_talks_before_each_look(
    store: Store, at_committer: list[str], monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    reader, looks = store.archive._merged_reader, []

    def talks_before(call: Any) -> Any:
        async def called(job: Any) -> Any:
            if job.__name__ == "read" and "unmerged_rooms" in job.__code__.co_names:
                looks.append(await say(store, DM))
            return await call(job)

        return called

    with trio.fail_after(SOON):
        await say(store, OTHER, 2)
        await say(store, DM, 2)
        monkeypatch.setattr(reader, "_call", talks_before(reader._call))
        if at_once:
            monkeypatch.setattr(reader, "_call_at_once", talks_before(reader._call_at_once))
        snapshot = await store.archive.welcome("bob", 15, [])
    assert len(looks) == (2 * LOOKS if at_once else LOOKS)
    assert (snapshot.commit, head(snapshot)) == (looks[-1], 2 + len(looks))
    assert at_committer == (["bob"] if at_once else [])


# ---------------------------------------------------------------------------------------------- any snapshot

ROOMS = ["dm:ann:bob", "dm:ann:cat", "dm:ann:dan", "dm:bob:cat"]


class _Watched(WriteBuffer):
    """Has `check` called between a transaction and what memory hears of it."""

    check: Callable[[], None] = staticmethod(lambda: None)

    def add(self, *args: Any, **kwargs: Any) -> None:
        self.check()
        super().add(*args, **kwargs)

    def forget(self, *args: Any) -> None:
        self.check()
        super().forget(*args)


class _World:
    """A committer, and readers that hold on to their snapshots."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.buffer = _Watched()
        pace = MergePace(quiet_s=0, at=1, slice=2, retry_s=0)
        self.committer = Committer(lambda: schema.connect(path), self.buffer, pace)
        self.heads = dict.fromkeys(range(1, len(ROOMS) + 1), 0)
        self.snapshots: list[tuple[sqlite3.Connection, set[int]]] = []
        self.vandal = sqlite3.connect(path, isolation_level=None)
        for room_pk in self.heads:
            self.say(room_pk)
        self.buffer.check = self.check

    def look(self) -> None:
        """One more reader comes, and the first goes where there are many."""
        connection = schema.connect(self.path, read_only=True)
        connection.execute("BEGIN")
        rooms = {room_pk for room_pk in unmerged(connection) if "ann" in ROOMS[room_pk - 1]}
        self.snapshots.append((connection, rooms))
        if len(self.snapshots) > 4:
            self.snapshots.pop(0)[0].close()

    def check(self) -> None:
        self.look()
        for connection, rooms in self.snapshots:
            assert set(unmerged_rooms(connection, self.buffer, "ann")) == rooms

    def record(self, room_pk: int, fact: facts.AnyFact) -> None:
        with contextlib.suppress(StoreError):
            (result,) = self.committer.commit([Batch(ROOMS[room_pk - 1], room_pk, [fact])], None)
            if isinstance(result, int):
                self.heads[room_pk] = fact.seq

    def say(self, room_pk: int) -> None:
        self.record(room_pk, message(ROOMS[room_pk - 1], self.heads[room_pk] + 1))

    def edit(self, room_pk: int) -> None:
        seq = self.heads[room_pk] + 1
        edit = facts.Edit(room=ROOMS[room_pk - 1], seq=seq, ts=1000 + seq, sender="ann", target=1, body="ho")
        self.record(room_pk, edit)

    def merge(self, room_pk: int) -> None:
        with contextlib.suppress(StoreError):
            self.committer.merge([room_pk])

    def idle(self, room_pk: int) -> None:
        for _ in range(room_pk):
            self.committer.idle()

    def fail(self, _: int) -> None:
        """As after an I/O error: the next call opens the database anew."""
        self.committer._discard(())

    def damage(self, room_pk: int) -> None:
        """A fact stands above the head: the log takes nothing, until it is mended."""
        self.vandal.execute(
            f"""INSERT OR IGNORE INTO fact (id, ts, kind, sender, n)
                SELECT (num << {schema.SEQ_BITS}) + head + 1, 1000, 0, 'ann', 1 FROM room WHERE num = ?""",
            (room_pk,),
        )

    def mend(self, room_pk: int) -> None:
        self.vandal.execute(
            f"""DELETE FROM fact WHERE id > (SELECT (num << {schema.SEQ_BITS}) + head FROM room WHERE num = ?1)
                AND id < (?1 + 1) << {schema.SEQ_BITS}""",
            (room_pk,),
        )

    def close(self) -> None:
        self.buffer.check = lambda: None
        for connection, _ in self.snapshots:
            connection.close()  # First of all: the committer waits for them.
        self.committer.close()
        self.vandal.close()


@contextlib.contextmanager
def world() -> Iterator[_World]:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/gochat.db"
        setup.prepare(path)
        with contextlib.closing(_World(path)) as made:
            yield made


COMMON = ["say", "say", "say", "idle", "merge"]
STEPS = st.tuples(st.sampled_from([*COMMON, *COMMON, "edit", "fail", "damage", "mend"]), st.integers(1, len(ROOMS)))


@settings(max_examples=50)
@given(st.lists(STEPS, min_size=10, max_size=40))
def test_of_each_snapshot_it_is_known_what_is_unmerged_in_it(steps: list[tuple[str, int]]) -> None:
    """However old it is, and at any moment of the writer: neither a room too few, which would lose messages, nor one
    too many, which would send a sign-in to the commit thread."""
    with world() as made:
        for name, room_pk in steps:
            getattr(made, name)(room_pk)
            made.check()


def test_where_a_row_is_damaged_any_room_of_the_user_may_be_unmerged() -> None:
    with world() as made, contextlib.closing(schema.connect(made.path, read_only=True)) as reader:
        made.say(4)
        assert unmerged_rooms(reader, WriteBuffer(), "ann") == []
        made.vandal.execute("UPDATE tail SET messages = 'nonsense'")
        assert unmerged_rooms(reader, made.buffer, "ann") == []
        assert unmerged_rooms(reader, WriteBuffer(), "ann") == [1, 2, 3], "memory does not know the row"
        made.vandal.execute("DELETE FROM tail")
