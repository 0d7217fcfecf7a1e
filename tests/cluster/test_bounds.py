"""Nothing that is large, late or refused ends a node, or leaves anybody waiting."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from gochat.actors import turn_bounds
from gochat.actors.actor import Registry
from gochat.actors.messages import Submit
from gochat.actors.room import RoomActor
from gochat.cluster import broadcast, faults, noting
from gochat.cluster import entry as entries
from gochat.cluster.barrier import WAIT_S
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.entry import Unfit, partition_of
from gochat.cluster.journal import joined
from gochat.cluster.memory import MemoryLog
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.noting import Noting
from gochat.cluster.ports import MOST_BYTES, PARTITIONS, Batch, Fence, Fences, Position
from gochat.cluster.repair import NOBODY
from gochat.domain import commands
from gochat.domain.turn import Done, Outcome
from gochat.errors import StoreError
from gochat.ports.journal import Overtaken
from gochat.replication import Noted, ReadUpTo, UserNoted
from tests.cluster.joining import caught_up, cluster_node, inline, joined_store, new_log, shared
from tests.cluster.samples import CODEC, TEA, entry
from tests.cluster.three import MemoryRing
from tests.contracts.journal import message

PATIENCE_S = 60
PARTITION = entries.partition_of(TEA)


# ---------------------------------------------------------------------------------------------- large turns


class Answers:
    """Takes the answers to so many commands."""

    def __init__(self, count: int) -> None:
        self.outcomes: list[Outcome] = []
        self._count = count
        self.all = trio.Event()

    def reply(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if len(self.outcomes) == self._count:
            self.all.set()

    def flush(self) -> None: ...


@pytest.mark.parametrize("bodies", [["\u20ac" * 4_000] * 100, ["short"] * 5_000], ids=["bytes", "facts"])
async def test_a_turn_over_the_bounds_of_an_entry_is_several(tmp_path: Path, bodies: list[str]) -> None:
    async with cluster_node(await new_log(), tmp_path, "north") as node:
        rooms = node.gateway.rooms
        with trio.fail_after(PATIENCE_S):
            await node.gateway.journal.wait_present()  # type: ignore[attr-defined]
            await ask(rooms, commands.Create(room=TEA, user="ann"))
            outcomes = await ask(rooms, *[commands.Send(room=TEA, user="ann", body=body) for body in bodies])
        seqs = [outcome.seq for outcome in outcomes if isinstance(outcome, Done)]
        assert len(seqs) == len(bodies) and seqs == list(range(seqs[0], seqs[0] + len(seqs)))


async def ask(rooms: Registry[RoomActor], *wanted: commands.AnyCommand) -> list[Outcome]:
    """The answers to commands that wait for the room together."""
    answers = Answers(len(wanted))
    for command in wanted:
        rooms.tell(TEA, Submit(command, answers))
    await answers.all.wait()
    return answers.outcomes


def test_an_entry_has_room_for_a_turn_and_one_more_command() -> None:
    assert turn_bounds.MOST_FACTS < entries.MOST_FACTS / 2
    assert turn_bounds.MOST_SIDE_RECORDS < entries.MOST_SIDE_RECORDS / 2
    assert turn_bounds.MOST_BYTES <= MOST_BYTES / 2


def test_an_entry_that_the_log_would_not_take_is_unfit() -> None:
    def of(size: int) -> bytes:
        return CODEC.encode(entry(facts=[message(TEA, 7, body="x" * size)]))

    beside = len(of(100_000)) - 100_000
    assert len(of(MOST_BYTES - beside)) == MOST_BYTES
    with pytest.raises(Unfit, match="bytes"):
        of(MOST_BYTES - beside + 1)


async def test_an_entry_that_the_log_does_not_take_costs_nobody_else_anything(autojump_clock: MockClock) -> None:
    server, ring = MemoryServer(), MemoryRing()
    await MemoryLog(server, "maker").create(0)
    refused: list[tuple[bytes, bool]] = []
    log = MemoryLog(server, "north")
    large = b"x" * (MOST_BYTES + 1)
    node = Broadcast(
        log,
        ring,
        "north",
        [0],
        lambda _: 1,
        lambda *_: None,
        refused=lambda data, error: refused.append((data, error.unknown)),
    )
    for data in (b"before", large, b"after"):
        node.send(0, data)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        with trio.fail_after(PATIENCE_S):
            while ring.end(0).n < 3:
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert refused == [(large, False)]
    assert [element.data for element in ring.kept[0]] == [b"", b"before", b"after"]
    assert not node._waiting


async def test_the_sender_of_one_is_told(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MOST_BYTES", 10 * MOST_BYTES)  # A fault in gochat.
    async with joined_store(await new_log(), "north", inline()) as (store, _):
        told: list[object] = []
        record = await store.journal.load(TEA)
        store.journal.append(record, [message(TEA, 1, body="x" * MOST_BYTES)], [], told.append)
        await trio.sleep(1)
        (error,) = told
        assert isinstance(error, StoreError) and not error.unknown
        await store.journal.barrier()


# ---------------------------------------------------------------------------------------------- large notes


async def test_notes_of_an_entry_have_so_many_bytes(autojump_clock: MockClock) -> None:
    sent: list[Sequence[Noted]] = []

    def send(partition: int, notes: Sequence[Noted], recorded: object) -> None:
        sent.append(notes)
        trio.lowlevel.current_trio_token().run_sync_soon(recorded)  # type: ignore[arg-type]

    notes = Noting(send)
    users = [f"user{n}" for n in range(400)]
    for user in users:
        notes.user(user, "\U0001f600" * 1_000, 1)
    with trio.fail_after(PATIENCE_S):
        await notes.flush()
    assert [note.user for each in sent for note in each] == users
    for each in sent:
        data = CODEC.encode(entry(kind="notes", room="", head=0, facts=(), side_records=each), entries.SITE)
        assert len(data) < MOST_BYTES
    assert len(sent) < 6

    sent.clear()
    notes.user("ann", "x" * noting.MOST_BYTES_AT_ONCE, 1)
    notes.user("bob", "Bob", 1)
    with trio.fail_after(PATIENCE_S):
        await notes.flush()
    assert [[note.user for note in each] for each in sent] == [["ann"], ["bob"]], "a long one goes alone"


def _timed() -> tuple[Noting, list[tuple[float, int]]]:
    """Notes that are recorded as soon as they are sent, and of each sending when it was, from now on, and how many."""
    sent: list[tuple[float, int]] = []
    began = trio.current_time()

    def send(partition: int, notes: Sequence[Noted], recorded: Callable[[], None]) -> None:
        sent.append((round(trio.current_time() - began, 3), len(notes)))
        recorded()

    return Noting(send), sent


async def test_the_first_position_leaves_at_once_and_later_ones_together(autojump_clock: MockClock) -> None:
    notes, sent = _timed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.run)
        for number in range(5):
            notes.read(TEA, f"user{number}", 1)
            await trio.sleep(0.01)
        assert sent == [(0, 1)]
        await trio.sleep(5)
        ((_, first), (at, others)) = sent
        assert (first, others) == (1, 4) and noting.WAIT_S <= at <= noting.WAIT_S + 0.02
        notes.got(TEA, "ann", 1)
        assert len(sent) == 3
        nursery.cancel_scope.cancel()


async def test_the_name_of_a_lone_user_leaves_with_those_of_half_a_second(autojump_clock: MockClock) -> None:
    notes, sent = _timed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.run)
        notes.user("ann", "Ann", 1)
        await trio.sleep(0.1)
        notes.user("bob", "Bob", 1)
        assert sent == []
        await trio.sleep(5)
        assert sent == [(noting.WAIT_S, 2)]
        nursery.cancel_scope.cancel()


async def test_positions_are_waited_for_and_no_names(autojump_clock: MockClock) -> None:
    """A sign-in notes a name, and waits for the positions that were noted before."""
    room = next(name for name in map("group:g{}".format, range(1_000)) if partition_of(name) == entries.SITE)
    sent: list[tuple[Sequence[Noted], Callable[[], None]]] = []
    notes = Noting(lambda partition, those, recorded: sent.append((those, recorded)))
    notes.user("ann", "Ann", 1)
    await notes.flush_positions()
    assert sent == [], "nothing is sent for it, and nothing waited for"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(notes.flush)
        await trio.sleep(1)
        (names, _) = sent.pop()
        assert names == [UserNoted("ann", "Ann", 1)]
        await notes.flush_positions()
        notes.read(room, "bob", 7)
        notes.read(room, "bob", 8)
        nursery.start_soon(notes.flush_positions)
        await trio.sleep(1)
        (positions, recorded) = sent.pop()
        assert positions == [ReadUpTo(room, "bob", 7)], "its partition is that of names, and it waits for none"
        recorded()
        await trio.sleep(1)
        (positions, recorded) = sent.pop()
        assert positions == [ReadUpTo(room, "bob", 8)]
        notes.user("bob", "Bob", 1)
        assert len(nursery.child_tasks) == 2
        recorded()
        await trio.sleep(1)
        assert len(nursery.child_tasks) == 1 and sent == []
        nursery.cancel_scope.cancel()


def test_no_note_is_larger_than_it_is_taken_for() -> None:
    for note in (UserNoted("ann", "\U0001f600" * 100, 1 << 62), UserNoted("u" * 64, None, 1)):
        assert len(msgspec.msgpack.encode(("user", note))) < noting._at_most(note)


# ---------------------------------------------------------------------------------------------- while others write


class Busy(MemoryLog):
    """A log that another node writes to while this one asks where it ends, and that this one reads at once."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node, read_wait_s=1.0)
        self._other = MemoryLog(server, "other")

    async def ends(self, partitions: Collection[int]) -> dict[int, Position]:
        found = await super().ends(partitions)
        term = found[PARTITION].term
        await self._other.append([Batch(PARTITION, term, [b"something"])])
        await trio.sleep(0.1)
        return found


async def test_a_barrier_is_passed_while_others_write(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with inline() as store:
        parts = shared(server, "north")
        async with joined(store.replica, parts._replace(log=Busy(server, "north"))) as journal:
            journal.listen(lambda batch: None)
            with trio.fail_after(PATIENCE_S):
                await caught_up(journal)
            with trio.fail_after(WAIT_S / 2):
                await journal.barrier()


class Resealed(MemoryLog):
    """A log that is sealed anew while this node looks at its fences, and that this one reads at once."""

    def __init__(self, server: MemoryServer, node: str) -> None:
        super().__init__(server, node)
        self._server = server
        self._other = MemoryLog(server, "other")
        self.kept_to: list[Mapping[int, str] | None] = []
        self.reseals = False

    async def fences(self, partitions: Collection[int]) -> Fences:
        found = await super().fences(partitions)
        if self.reseals:
            self.reseals = False
            self._server.strike(faults.Promoted())
            now = await self._other.fences([0])
            assert isinstance(await self._other.seal(0, now.servers[0], 0), Fence)
            await trio.sleep(0.1)
        return found

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        self.kept_to.append(servers)
        await super().keep_to(servers)


async def test_a_server_that_is_sealed_during_a_look_is_no_old_one(autojump_clock: MockClock) -> None:
    server, ring = MemoryServer(), MemoryRing()
    log = Resealed(server, "north")
    await log.create(0)
    node = Broadcast(log, ring, "north", [0], lambda _: 1, lambda *_: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        await trio.sleep(1)
        term, log.reseals = ring.end(0).term, True
        node.send(0, b"x")
        await trio.sleep(2)
        assert ring.end(0).term > term and ring.kept[0][-1].data == b"x"
        assert not any(NOBODY in (servers or {}).values() for servers in log.kept_to)
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------------------------------------- nodes that come and go


async def test_a_node_that_closes_does_not_wait_to_be_away(autojump_clock: MockClock) -> None:
    server = await new_log()
    async with inline() as store, joined(store.replica, shared(server, "north")) as journal:
        journal.listen(lambda batch: None)
        await caught_up(journal)
        server.strike(faults.Unreachable(node="north"))
        async with trio.open_nursery() as nursery:

            async def refused() -> None:
                with trio.fail_after(PATIENCE_S), pytest.raises(StoreError, match="closing"):
                    await journal._membership.away()

            nursery.start_soon(refused)
            await trio.sleep(1)
            journal._sender.is_closed = True
            for counter in list(journal._own._patient):
                own = journal._own.take(counter)
                assert own is not None
                own.tell(Overtaken())
        server.strike(faults.Mended(node="north"))


async def test_a_node_is_away_once_there_is_room_for_it(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with inline() as store, joined(store.replica, shared(await new_log(), "north")) as journal:
        journal.listen(lambda batch: None)
        await caught_up(journal)
        monkeypatch.setattr(broadcast, "MOST_PENDING", 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal._membership.away)
            await trio.sleep(1)
            assert "north" in journal.members
            monkeypatch.setattr(broadcast, "MOST_PENDING", 1)
        states = [of.nodes["north"] for of in journal._inbox.partitions]
        assert states == ["away"] * PARTITIONS
