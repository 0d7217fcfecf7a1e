"""The suite of `ports.Lookups`. An implementation's tests give the fixture `store`, with a `journal`, `lookups` and an
`archive` of one fresh store, and take the suite over as a subclass."""

from __future__ import annotations

from typing import Any

import msgspec

from gochat.domain import commands
from gochat.domain.ids import MAX_SEQ, dm
from gochat.domain.record import Reacted, Recorded, Target
from gochat.domain.side_records import Added, Revoked, Suspended
from tests.contracts.journal import DM, TEA
from tests.contracts.scribe import Scribe


class LookupsContract:
    async def test_targets_are_the_messages_deleted_ones_included(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob",))
        one, two, three = await tea.said("one", "two", "three", user="bob")
        edit = await tea.made(commands.Edit, "bob", seq=two, body="TWO")
        delete = await tea.made(commands.Delete, seq=three)
        found = await store.lookups.targets(
            tea.record, [1, one, two, three, edit.seq, 99, 0, -1, MAX_SEQ, MAX_SEQ + 1, 1 << 70]
        )
        ts = tea.log[one - 1].ts
        assert found == {
            one: Target(author="bob", ts=ts, body="one"),
            two: Target(author="bob", ts=ts, body="TWO", edit_seq=edit.seq, edit_ts=edit.ts),
            three: Target(author="bob", ts=ts, body=None, delete_seq=delete.seq, delete_ts=delete.ts),
        }

    async def test_a_message_edited_in_its_own_batch_has_the_new_body(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.turn(
            commands.Send(room=DM, user="ann", body="helo"),
            commands.Edit(room=DM, user="ann", seq=1, body="hello"),
            commands.React(room=DM, user="bob", seq=1, emoji="+", on=True),
            commands.Send(room=DM, user="bob", body="x"),
            commands.Delete(room=DM, user="bob", seq=4),
        )
        assert {seq: t.body for seq, t in (await store.lookups.targets(dm.record, [1, 4])).items()} == {
            1: "hello",
            4: None,
        }
        assert await store.archive.replay(DM, 0, 9, 9) == dm.shown(edits=True)

    async def test_reacted_is_the_last_word(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        on = await dm.made(commands.React, "bob", seq=1, emoji="👍", on=True)
        places = [(1, "bob", "👍"), (1, "ann", "👍"), (1, "bob", "+"), (0, "bob", "👍"), (1 << 70, "bob", "👍")]
        assert await store.lookups.reacted(dm.record, places) == {places[0]: Reacted(on=True, seq=2, ts=on.ts)}
        off = await dm.made(commands.React, "bob", seq=1, emoji="👍", on=False)
        assert await store.lookups.reacted(dm.record, places) == {places[0]: Reacted(on=False, seq=3, ts=off.ts)}

    async def test_members_are_in_since_they_came_the_last_time(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob", "cat"))
        await tea.made(commands.Remove, users=("bob", "cat"))
        again = await tea.made(commands.Add, users=("bob",))
        found = await store.lookups.since(tea.record, ["ann", "bob", "cat", "zoe"])
        assert found == {"ann": 1, "bob": again.seq}

    async def test_only_users_who_left_by_themselves_have_left(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob", "cat", "dan"))
        await tea.made(commands.Leave, "bob")
        await tea.made(commands.Leave, "dan")
        await tea.made(commands.Remove, users=("cat",))
        await tea.made(commands.Add, users=("dan",))
        assert await store.lookups.left(tea.record, ["ann", "bob", "cat", "dan", "zoe"]) == {"bob"}

    async def test_additions_count_for_each_user_added(self, store: Any) -> None:
        adds = [Added("ann", 1000, 2), Added("bob", 1500, 1), Added("ann", 2000, 1)]
        await store.journal.append_side_records(adds)
        assert await store.lookups.adds("ann", 0) == [1000, 1000, 2000]
        assert await store.lookups.adds("ann", 1000) == [2000], "what was at that very time is not after it"
        assert await store.lookups.adds("zoe", 0) == []

    async def test_standing_is_suspensions_and_revocations_since_then(self, store: Any) -> None:
        kept, ended = Suspended("bob", True, 1000, None, "ann", "spam"), Suspended("cat", True, 1000, None, "ann")
        revoked = [Revoked("jti", "t1", 1000), Revoked("user", "dan", 2000)]
        await store.journal.append_side_records([kept, ended, *revoked, Suspended("cat", False, 1500, None, "ann")])
        assert await store.lookups.standing(0) == [kept, *revoked]
        assert await store.lookups.standing(1000) == [kept, revoked[1]]
        assert await store.lookups.deleted(["bob", "cat"]) == set()

    async def test_a_record_that_was_loaded_before_the_room_had_a_number_will_do(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        unnumbered = msgspec.structs.replace(dm.record, room_pk=0)
        assert await store.lookups.targets(unnumbered, [1]) == {}
        await dm.turn(commands.Send(room=DM, user="ann", body="hi", key="k"))
        assert (await store.lookups.targets(unnumbered, [1]))[1].body == "hi"
        assert await store.lookups.recorded(unnumbered, [("ann", "k")]) == {("ann", "k"): Recorded(1, dm.log[0].ts)}

    async def test_blocks_are_the_pairs_of_whom_either_has_blocked_the_other(self, store: Any) -> None:
        for one, other in (("ann", "bob"), ("bob", "cat"), ("ann", "zoe")):
            await (await Scribe.at(store, dm(one, other))).made(commands.Contact, one, action="block")
        await (await Scribe.at(store, dm("ann", "dan"))).made(commands.Contact, "ann", action="add")
        users = ["ann", "bob", "cat", "dan", "eve"]
        assert await store.lookups.blocks(["ann", "cat"], users) == {("ann", "bob"), ("cat", "bob")}
        assert await store.lookups.blocks([], users) == await store.lookups.blocks(users, []) == set()
