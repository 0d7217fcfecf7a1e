"""The suite of `ports.Journal`. An implementation's tests give the fixture `store`, with a `journal` and an `archive`
of one fresh store, and take the suite over as a subclass."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gochat.domain import commands, facts
from gochat.domain.record import Recorded, RoomRecord
from gochat.errors import StoreError
from gochat.ports.journal import Committed, DuplicateKeys, Overtaken
from tests.appending import append_to
from tests.contracts.scribe import Scribe

TEA, DM = "group:tea", "dm:ann:bob"
#: For what must come; generous, since machines are shared.
SOON = 60


def message(room: str, seq: int, body: str = "hi", **fields: Any) -> facts.Message:
    return facts.Message(**{"room": room, "seq": seq, "ts": 1000 + seq, "sender": "ann", "body": body} | fields)


async def read_positions(store: Any, user: str, room: str) -> tuple[int, int]:
    """`read` and `unread` as the user's welcome tells them."""
    snapshot = await store.archive.welcome(user, 15, [])
    (entry,) = [entry for entry in (*snapshot.contacts, *snapshot.rooms) if entry.room == room]
    return entry.read, entry.unread


class JournalContract:
    # ------------------------------------------------------------------------------------------ load and append

    async def test_a_room_without_facts_loads_at_head_0(self, store: Any) -> None:
        tea, dm = await store.journal.load(TEA), await store.journal.load(DM)
        assert (tea.room, tea.head, tea.members) == (TEA, 0, {})
        assert tea.room_pk != dm.room_pk or tea.room_pk == dm.room_pk == 0, "a number is given when it is recorded"
        for room in (tea, dm):
            assert isinstance(await append_to(store.journal, room, [message(room.room, 1)]), Committed)
        tea, dm = await store.journal.load(TEA), await store.journal.load(DM)
        assert tea.room_pk and dm.room_pk and tea.room_pk != dm.room_pk

    async def test_what_was_appended_is_there_when_append_tells_so(self, store: Any) -> None:
        record = await store.journal.load(DM)
        result = await append_to(store.journal, record, [message(DM, 1), message(DM, 2)])
        assert isinstance(result, Committed)
        assert list(result.facts) == await store.archive.replay(DM, 0, 9, 9), "the facts are told as they are recorded"
        assert record.head == 0, "the record that names the room is not changed"
        loaded = await store.journal.load(DM)
        assert (loaded.head, loaded.ts, loaded.members) == (2, 1002, {})
        assert loaded.room_pk == (record.room_pk or result.room_pk) != 0
        assert await store.archive.head(DM) == 2

    async def test_append_calls_back_once_with_each_result(self, store: Any) -> None:
        record = await store.journal.load(DM)
        told: list[Any] = []
        with trio.fail_after(SOON):
            for seq, key in ((1, "k"), (2, "k"), (2, "l")):
                done = trio.Event()

                def tell(result: Any, done: trio.Event = done) -> None:
                    told.append(result)
                    done.set()
                    raise RuntimeError("what the teller raises goes no further")

                store.journal.append(record, [message(DM, seq, key=key)], (), tell)
                await done.wait()
        first, clash, second = told
        assert isinstance(first, Committed) and isinstance(second, Committed) and second.commit > first.commit
        assert clash == DuplicateKeys({("ann", "k"): Recorded(1, 1001)})
        assert await store.archive.head(DM) == 2

    async def test_a_room_loads_as_its_facts_made_it(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(
            commands.Create, title="Tea", users=("bob", "cat", "dan"), history="since_join", post="moderators"
        )
        await tea.made(commands.SetRole, member="bob", role="moderator")
        await tea.made(commands.Configure, "bob", title="")
        await tea.made(commands.Remove, users=("cat", "dan"))
        await tea.made(commands.Add, users=("dan",))
        await tea.made(commands.Leave, "bob")
        loaded = await store.journal.load(TEA)
        assert loaded == tea.folded() == tea.record
        assert (loaded.title, loaded.members, loaded.former) == ("", {"ann": "owner", "dan": "member"}, {"cat", "bob"})

    async def test_a_closed_room_loads_closed(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob",))
        await tea.made(commands.Close)
        loaded = await store.journal.load(TEA)
        assert loaded == tea.folded()
        assert loaded.closed and loaded.former == {"ann", "bob"}

    async def test_later_transactions_have_greater_numbers(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        for _ in range(3):
            await dm.said("hi")
        assert dm.commits == sorted(set(dm.commits))
        assert (await store.archive.welcome("ann", 15, [])).commit >= dm.commits[-1]

    async def test_appends_of_one_tick_share_a_transaction(self, store: Any) -> None:
        records = [await store.journal.load(f"dm:ann:u{n:03}") for n in range(200)]
        commits: list[int] = []

        async def append(record: RoomRecord) -> None:
            commits.append((await append_to(store.journal, record, [message(record.room, 1)])).commit)

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for record in records:
                    nursery.start_soon(append, record)
        assert len(commits) == 200
        assert len(set(commits)) == 1

    async def test_a_cancelled_append_disturbs_nobody(self, store: Any) -> None:
        mine, other = await store.journal.load(DM), await store.journal.load("dm:ann:cat")

        async def give_up() -> None:
            with trio.CancelScope() as scope:
                scope.cancel()
                await append_to(store.journal, mine, [message(DM, 1)])

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(give_up)
                nursery.start_soon(append_to, store.journal, other, [message(other.room, 1)])
            # It may have been recorded: whoever gave up loads the room again.
            mine = await store.journal.load(DM)
            result = await append_to(store.journal, mine, [message(DM, mine.head + 1)])
        assert isinstance(result, Committed)
        assert await store.archive.head(other.room) == 1

    # ------------------------------------------------------------------------------------------ other nodes

    async def test_a_barrier_returns_when_all_that_was_acknowledged_is_told(self, store: Any) -> None:
        heard: list[Any] = []
        store.journal.listen(heard.append)
        dm = await Scribe.at(store, DM)
        await dm.said("one")
        with trio.fail_after(SOON):
            await store.journal.barrier()
            await store.journal.barrier([DM, TEA])
        assert not store.journal.coming(DM) and not store.journal.coming(TEA)
        assert await store.archive.head(DM) == dm.head == 1
        assert [batch for batch in heard if batch.room == DM] == [], "of what this node decides it hears by the result"

    # ------------------------------------------------------------------------------------------ keys

    async def test_a_recorded_key_clashes_and_nothing_of_its_batch_is_recorded(self, store: Any) -> None:
        record = await store.journal.load(DM)
        await append_to(store.journal, record, [message(DM, 1, key="k"), message(DM, 2, key="l")])
        record = await store.journal.load(DM)
        result = await append_to(
            store.journal, record, [message(DM, 3, "fresh", key="m"), message(DM, 4, "repeat", key="l"), message(DM, 5)]
        )
        assert result == DuplicateKeys({("ann", "l"): Recorded(2, 1002)})
        assert (await store.journal.load(DM)).head == 2
        assert await store.lookups.recorded(record, [("ann", "m")]) == {}
        assert isinstance(await append_to(store.journal, record, [message(DM, 3, "fresh", key="m")]), Committed)

    async def test_a_key_is_its_senders_and_its_rooms_own(self, store: Any) -> None:
        dm, tea = await Scribe.at(store, DM), await Scribe.at(store, "dm:ann:cat")
        await dm.turn(
            commands.Send(room=DM, user="ann", body="x", key="k"), commands.Send(room=DM, user="bob", body="x", key="k")
        )
        await tea.turn(commands.Send(room=tea.room, user="ann", body="x", key="k"))
        found = await store.lookups.recorded(dm.record, [("ann", "k"), ("bob", "k"), ("ann", "K"), ("cat", "k")])
        assert found == {("ann", "k"): Recorded(1, 1000), ("bob", "k"): Recorded(2, 1000)}
        assert await store.lookups.recorded(tea.record, [("ann", "k"), ("bob", "k")]) == {
            ("ann", "k"): Recorded(1, 1000)
        }
        assert await store.lookups.recorded(tea.record, []) == {}

    async def test_a_clash_costs_only_its_own_batch(self, store: Any) -> None:
        rooms = [f"dm:ann:u{n}" for n in range(6)]
        scribes = [await Scribe.at(store, room) for room in rooms]
        for scribe in scribes:
            await scribe.turn(commands.Send(room=scribe.room, user="ann", body="first", key="k"))
        results: dict[str, Any] = {}

        async def append(scribe: Scribe, key: str) -> None:
            facts_ = [message(scribe.room, 2, key=key), message(scribe.room, 3)]
            results[scribe.room] = await append_to(store.journal, scribe.record, facts_)

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for n, scribe in enumerate(scribes):
                    nursery.start_soon(append, scribe, "k" if n % 3 == 1 else f"fresh {n}")
        clashed = [room for room in rooms if isinstance(results[room], DuplicateKeys)]
        assert clashed == [rooms[1], rooms[4]]
        assert len({results[room].commit for room in rooms if room not in clashed}) == 1
        for room in rooms:
            assert await store.archive.head(room) == (1 if room in clashed else 3)
            snapshot = await store.archive.welcome(room.rpartition(":")[2], 15, [])
            assert snapshot.contacts[0].unread == (1 if room in clashed else 3), "counts are not disturbed either"

    # ------------------------------------------------------------------------------------------ what can't be recorded

    @pytest.mark.parametrize(
        "bad", [{"body": "\ud800"}, {"ts": 1 << 63}, {"key": "\udfff"}, {"reply_to": 1 << 64}], ids=str
    )
    async def test_a_batch_that_cannot_be_written_costs_only_itself(self, store: Any, bad: dict[str, Any]) -> None:
        records = [await store.journal.load(f"dm:ann:u{n}") for n in range(3)]
        results: dict[int, Any] = {}

        async def append(n: int) -> None:
            batch = [message(records[n].room, 1), message(records[n].room, 2, **(bad if n == 1 else {}))]
            try:
                results[n] = await append_to(store.journal, records[n], batch)
            except StoreError as error:
                results[n] = error

        with trio.fail_after(SOON):
            async with trio.open_nursery() as nursery:
                for n in range(3):
                    nursery.start_soon(append, n)
            assert isinstance(results[0], Committed) and isinstance(results[2], Committed)
            assert isinstance(results[1], StoreError) and not results[1].unknown
            assert [await store.archive.head(record.room) for record in records] == [2, 0, 2]
            # The index is fed in between: it passes over what is not there.
            while not (await store.archive.search_messages("ann", "hi", None, 1, None))[0]:
                await trio.sleep(0.01)
            assert isinstance(await append_to(store.journal, records[1], [message(records[1].room, 1)]), Committed)

    async def test_a_seq_is_recorded_once(self, store: Any) -> None:
        """A batch that was decided on an older record is refused; or where other nodes decide, too, it is void, or told
        to be recorded behind what came first."""
        dm = await Scribe.at(store, DM)
        old = dm.record
        await dm.said("one")
        behind: list[facts.AnyFact] = []
        try:
            result = await append_to(store.journal, old, [message(DM, 1, "another")])
        except StoreError as error:
            assert not error.unknown
        else:
            if isinstance(result, Committed):
                behind = list(result.facts)
                assert [(fact.seq, fact.ts >= dm.log[0].ts) for fact in behind] == [(2, True)]
            else:
                assert result == Overtaken()
        assert (await store.archive.replay(DM, 0, 9, 9)) == [*dm.log, *behind]

    # ------------------------------------------------------------------------------------------ notes

    async def test_read_positions_only_rise(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("one", "two", "three")
        assert await read_positions(store, "bob", DM) == (0, 3)
        for noted, (read, unread) in [(2, (2, 1)), (1, (2, 1)), (3, (3, 0)), (2, (3, 0))]:
            store.journal.note_read(dm.record, "bob", noted)
            with trio.fail_after(SOON):
                await store.journal.flush_positions()
            assert await read_positions(store, "bob", DM) == (read, unread)

    async def test_a_read_position_is_durable_soon_without_a_flush(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("one")
        store.journal.note_read(dm.record, "bob", 1)
        with trio.fail_after(SOON):
            while await read_positions(store, "bob", DM) != (1, 0):
                await trio.sleep(0.02)

    async def test_sending_moves_ones_own_read_position(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("one", "two")
        await dm.said("three", user="bob")
        assert await read_positions(store, "bob", DM) == (3, 0)
        assert await read_positions(store, "ann", DM) == (2, 1)

    async def test_a_read_position_of_one_without_a_seat_is_nothing(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create)
        store.journal.note_read(tea.record, "zoe", 1)
        with trio.fail_after(SOON):
            await store.journal.flush_positions()
        assert await store.archive.membership("zoe", TEA) is None
        assert await store.journal.load(TEA) == tea.record

    async def test_what_came_to_devices_only_rises_and_is_durable_soon(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.made(commands.Contact, "bob", action="add")
        await dm.said("one", "two", "three")

        async def told() -> dict[str, int]:
            (entry,) = (await store.archive.welcome("ann", 15, [])).contacts
            return dict(entry.got)

        for noted, seq in [(2, 2), (1, 2), (3, 3), (2, 3)]:
            store.journal.note_got(dm.record, "bob", noted)
            with trio.fail_after(SOON):
                await store.journal.flush_positions()
            assert await told() == {"bob": seq}
        await dm.said("four")
        store.journal.note_got(dm.record, "bob", 4)
        with trio.fail_after(SOON):
            while await told() != {"bob": 4}:
                await trio.sleep(0.02)

    async def test_flushing_nothing_returns_at_once(self, store: Any) -> None:
        with trio.fail_after(SOON):
            await store.journal.flush_positions()

    async def test_names_and_times_last_seen_are_kept_apart(self, store: Any) -> None:
        journal = store.journal
        journal.note_user("ann", name="Ann B.")
        journal.note_user("ann", last_seen=5)
        journal.note_user("bob", last_seen=7)
        await self.noted(store, "ann", ("Ann B.", 5))
        assert await store.archive.users(["ann", "bob", "zoe"]) == {"ann": ("Ann B.", 5), "bob": ("bob", 7)}
        journal.note_user("ann", last_seen=9)
        await self.noted(store, "ann", ("Ann B.", 9))
        journal.note_user("ann", name="")
        await self.noted(store, "ann", ("ann", 9))

    async def test_a_name_that_cannot_be_written_stops_nothing(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        store.journal.note_user("bad", name="\ud800")
        store.journal.note_user("good", name="Good")
        with trio.fail_after(SOON):
            await dm.said("one")
        await self.noted(store, "good", ("Good", None))

    @staticmethod
    async def noted(store: Any, user: str, expected: tuple[str, int | None]) -> None:
        with trio.fail_after(SOON):
            while (await store.archive.users([user])).get(user) != expected:
                await trio.sleep(0.02)
