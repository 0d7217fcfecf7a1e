"""The suite of `ports.Notices`. An implementation's tests give the fixture `store`, with a `journal`, `lookups` and
`notices` of one fresh store that keeps notices."""

from __future__ import annotations

from typing import Any

from gochat.domain import commands
from gochat.domain.notices import (
    MOST_DEVICES,
    MOST_SILENT,
    Addressed,
    Attempt,
    Bounds,
    Candidate,
    MentionsWanted,
    NewNotice,
    QuietHours,
    QuietSet,
    RoomLook,
    Route,
    Silenced,
    Subscribed,
    Subscription,
    UnseenRoom,
    Unsubscribed,
)
from gochat.domain.relationship import DAY_MS, RelationChange, of_room
from gochat.domain.side_records import Related, Revoked, Suspended
from tests.appending import append_to
from tests.contracts.journal import DM, TEA
from tests.contracts.scribe import Scribe

FAR = 1 << 50
HOOK = [Route("webhook", True)]
PUSH = [Route("push", False)]
BOUNDS = Bounds(waiting=100, dead=10)


def device(name: str) -> Subscription:
    return Subscription(f"https://push.example/{name}", "key", "auth")


async def unseen(store: Any) -> list[UnseenRoom]:
    return list(await store.notices.unseen(0, 100))


async def look(store: Any, room: UnseenRoom, after: str = "", limit: int = 100, **times: int) -> RoomLook:
    found: RoomLook = await store.notices.look(
        room, after, limit, **({"now_ms": FAR, "ripe_ts": FAR, "oldest_ts": 0} | times)
    )
    return found


def notice(user: str, room_pk: int, name: str = "", **fields: Any) -> NewNotice:
    base = {"after": 0, "upto": 1, "read": 0, "first_ts": 1000}
    return NewNotice(**{"id": name or f"ntf_{user}", "user": user, "room_pk": room_pk} | base | fields)


async def noted(store: Any, *users: str, routes: Any = HOOK, bounds: Bounds = BOUNDS) -> UnseenRoom:
    """A private room of ann and bob with a message, and notices for these users."""
    scribe = await Scribe.at(store, DM)
    await scribe.said("hi")
    (room,) = await unseen(store)
    await store.notices.add([notice(user, room.room_pk) for user in users], {}, routes, bounds, 5000)
    return room


class NoticesContract:
    # ------------------------------------------------------------------------------------------ rooms with news

    async def test_a_room_is_marked_once_from_its_first_message_on(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.turn(commands.Create(room=TEA, user="ann", title="", users=("bob",)))
        await store.lookups.targets(tea.record, [1])
        assert await unseen(store) == [], "no message was sent"
        await tea.said("one")
        await tea.said("two", "three")
        await look(store, UnseenRoom(tea.record.room_pk, TEA, 0))
        (room,) = await unseen(store)
        assert (room.room_pk, room.room, room.ts) == (tea.record.room_pk, TEA, tea.log[2].ts)
        assert await store.notices.unseen(room.room_pk, 10) == []

    async def test_a_look_shows_members_and_messages_that_were_acked(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.turn(commands.Create(room=TEA, user="ann", title="", users=("bob", "cy")))
        await tea.said("one", "two")
        found = await look(store, UnseenRoom(tea.record.room_pk, TEA, 0))
        first, second = tea.log[-2:]
        assert found.messages == [
            Candidate(second.seq, second.ts, "ann", "two"),
            Candidate(first.seq, first.ts, "ann", "one"),
        ]
        assert (found.upto, found.next_user) == (tea.head, None)
        assert [reader.user for reader in found.readers] == ["bob", "cy"]

    async def test_members_come_in_slices(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.turn(commands.Create(room=TEA, user="ann", title="", users=tuple(f"u{n}" for n in range(5))))
        await tea.said("hi")
        users: list[str] = []
        after: str | None = ""
        while after is not None:
            found = await look(store, UnseenRoom(tea.record.room_pk, TEA, 0), after, 2)
            assert len(found.readers) <= 2
            users += [reader.user for reader in found.readers]
            after = found.next_user
        assert users == [f"u{n}" for n in range(5)]

    async def test_a_look_leaves_out_what_is_too_young_or_too_old_or_gone(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        for body in ("old", "gone", "ripe", "young"):
            await dm.said(body)
        await dm.made(commands.Delete, seq=2)
        await look(store, UnseenRoom(dm.record.room_pk, DM, 0))
        (room,) = await unseen(store)
        times = [fact.ts for fact in dm.log]
        found = await look(store, room, ripe_ts=times[2], oldest_ts=times[1])
        assert [message.body for message in found.messages] == ["young", "ripe"]
        assert found.upto == 3

    async def test_a_room_that_was_looked_at_has_nothing_next(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("one", "two")
        await look(store, UnseenRoom(dm.record.room_pk, DM, 0))
        (room,) = await unseen(store)
        (next_ts,) = (await store.notices.add([], {room.room_pk: 1}, HOOK, BOUNDS, 5000)).values()
        assert next_ts == dm.log[1].ts
        for upto in (2, 0, 1):
            assert await store.notices.add([], {room.room_pk: upto}, HOOK, BOUNDS, 5000) == {room.room_pk: None}
        assert await unseen(store) == []

    async def test_members_who_have_read_or_were_here_since_are_left_out(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        room = UnseenRoom(dm.record.room_pk, DM, 0)
        assert [reader.user for reader in (await look(store, room)).readers] == ["bob"]
        store.journal.note_user("bob", last_seen=dm.log[0].ts + 1)
        await store.journal.flush_notes()
        assert (await look(store, room)).readers == []
        await dm.said("more")
        store.journal.note_read(dm.record, "bob", 2)
        await store.journal.flush_positions()
        assert (await look(store, room)).readers == []

    async def test_what_was_looked_at_is_unseen_no_more_and_the_next_message_is(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("one")
        await dm.said("two")
        await look(store, UnseenRoom(dm.record.room_pk, DM, 0))
        (room,) = await unseen(store)
        assert await store.notices.add([], {room.room_pk: 1}, HOOK, BOUNDS, 0) == {room.room_pk: dm.log[1].ts}
        (room,) = await unseen(store)
        assert room.ts == dm.log[1].ts
        assert await store.notices.add([], {room.room_pk: 2}, HOOK, BOUNDS, 0) == {room.room_pk: None}
        assert await unseen(store) == []
        await dm.said("three")
        await look(store, UnseenRoom(dm.record.room_pk, DM, 0))
        assert [room.ts for room in await unseen(store)] == [dm.log[2].ts]

    # ------------------------------------------------------------------------------------------ what waits

    async def test_a_notice_waits_once_and_has_all_that_is_told(self, store: Any) -> None:
        room = await noted(store, "bob")
        await store.notices.add([notice("bob", room.room_pk)], {}, HOOK, BOUNDS, 6000)
        store.journal.note_user("ann", name="Änne")
        await store.journal.flush_notes()
        (found,) = await store.notices.due("webhook", 5000, 10)
        assert (found.id, found.user, found.room, found.tries, found.made_ts) == ("ntf_bob", "bob", DM, 0, 5000)
        assert (found.total, [message.body for message in found.messages]) == (1, ["hi"])
        assert found.reader is not None
        assert found.reader.notified is not None
        assert found.names == {"ann": "Änne"}
        assert await store.notices.due("webhook", 4999, 10) == []
        assert await store.notices.due("webhook", 5000, 10, ["bob"]) == []
        assert await store.notices.next_due("webhook") == 5000
        assert await store.notices.next_due("mail") is None

    async def test_what_was_delivered_is_gone_and_the_room_stays_quiet(self, store: Any) -> None:
        room = await noted(store, "bob")
        await store.notices.finish([Attempt("ntf_bob", "webhook", 0, "delivered", 6000)], BOUNDS)
        assert await store.notices.counts() == {}
        (reader,) = (await look(store, room)).readers
        assert reader.notified is not None
        assert (reader.notified.upto, reader.notified.ts) == (1, 5000)

    async def test_what_was_cancelled_leaves_the_room_as_if_nothing_had_been(self, store: Any) -> None:
        room = await noted(store, "bob")
        await store.notices.finish([Attempt("ntf_bob", "webhook", 0, "cancelled", 6000)], BOUNDS)
        (reader,) = (await look(store, room)).readers
        assert reader.notified is None

    async def test_unless_another_channel_has_delivered_it_or_will(self, store: Any) -> None:
        routes = [Route("webhook", True), Route("mail", True)]
        room = await noted(store, "bob", routes=routes)
        await store.notices.finish([Attempt("ntf_bob", "webhook", 0, "cancelled", 6000)], BOUNDS)
        (reader,) = (await look(store, room)).readers
        assert reader.notified is not None, "the mail still waits"
        await store.notices.finish([Attempt("ntf_bob", "mail", 0, "delivered", 6000)], BOUNDS)
        (reader,) = (await look(store, room)).readers
        assert reader.notified is not None

    async def test_a_retry_waits_for_its_time(self, store: Any) -> None:
        await noted(store, "bob")
        await store.notices.finish([Attempt("ntf_bob", "webhook", 0, "retry", 6000, 1, 9000, "no answer")], BOUNDS)
        assert await store.notices.due("webhook", 8999, 10) == []
        (found,) = await store.notices.due("webhook", 9000, 10)
        assert (found.tries, found.made_ts) == (1, 5000)
        (entry,) = await store.notices.entries(dead=False, limit=10)
        assert (entry.reason, entry.next_ts, entry.dead) == ("no answer", 9000, False)

    async def test_dead_letters_are_bounded_and_can_be_revived(self, store: Any) -> None:
        await noted(store, *(f"u{n}" for n in range(5)))
        attempts = [Attempt(f"ntf_u{n}", "webhook", 0, "dead", 6000 + n, 7, 0, "down") for n in range(5)]
        await store.notices.finish(attempts, Bounds(100, dead=3))
        assert await store.notices.counts() == {("webhook", "dead"): 3}
        dead = await store.notices.entries(dead=True, limit=10)
        assert [entry.id for entry in dead] == ["ntf_u4", "ntf_u3", "ntf_u2"]
        assert await store.notices.entries(dead=True, limit=10, channel="mail") == []
        assert await store.notices.due("webhook", FAR, 10) == []
        assert await store.notices.revive("mail", 9000) == 0
        assert await store.notices.revive(None, 9000) == 3
        (found, *_) = await store.notices.due("webhook", 9000, 10)
        assert (found.tries, found.made_ts) == (0, 9000)

    async def test_past_the_bound_a_notice_is_a_dead_letter(self, store: Any) -> None:
        await noted(store, "u1", "u2", "u3", bounds=Bounds(waiting=2))
        assert await store.notices.counts() == {("webhook", "waiting"): 2, ("webhook", "dead"): 1}

    async def test_dead_letters_of_a_full_channel_are_bounded_at_once(self, store: Any) -> None:
        await noted(store, *(f"u{n}" for n in range(9)), bounds=Bounds(waiting=2, dead=3))
        assert await store.notices.counts() == {("webhook", "waiting"): 2, ("webhook", "dead"): 3}

    async def test_the_dead_letters_of_one_user_leave_those_of_the_others(self, store: Any) -> None:
        bounds = Bounds(waiting=100, dead=5, of_user=3)
        room = await noted(store, "cy")
        await store.notices.finish([Attempt("ntf_cy", "webhook", 0, "dead", 6000)], bounds)
        for number in range(9):
            await store.notices.add([notice("bob", room.room_pk, f"ntf_{number}")], {}, HOOK, bounds, 5000)
            await store.notices.finish([Attempt(f"ntf_{number}", "webhook", 0, "dead", 7000 + number)], bounds)
        dead = await store.notices.entries(dead=True, limit=10)
        assert [entry.id for entry in dead] == ["ntf_8", "ntf_7", "ntf_6", "ntf_cy"]

    async def test_past_the_bound_of_a_user_nothing_is_kept_for_them_alone(self, store: Any) -> None:
        bounds = Bounds(waiting=100, of_user=1)
        room = await noted(store, "ann", "bob", bounds=bounds)
        tea = await Scribe.at(store, TEA)
        await tea.turn(commands.Create(room=TEA, user="cy", title="", users=("ann", "bob")))
        await tea.said("hi", user="cy")
        await store.notices.finish([Attempt("ntf_ann", "webhook", 0, "delivered", 6000)], bounds)
        more = [notice(user, tea.record.room_pk, f"ntf_tea_{user}") for user in ("ann", "bob")]
        await store.notices.add(more, {}, HOOK, bounds, 7000)
        waiting = await store.notices.entries(dead=False, limit=10)
        assert sorted((entry.user, entry.room) for entry in waiting) == [("ann", TEA), ("bob", DM)]
        readers = (await look(store, UnseenRoom(tea.record.room_pk, TEA, 0))).readers
        assert {reader.user: reader.notified is None for reader in readers} == {"ann": False, "bob": True}
        assert room.room == DM

    async def test_only_messages_from_the_users_time_in_the_room_are_counted(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.turn(commands.Create(room=TEA, user="ann", title="", users=("cy",), history="since_join"))
        await tea.said("one", "two", "three")
        await tea.turn(commands.Add(room=TEA, user="ann", users=("bob",)))
        await tea.said("four")
        await store.notices.add([notice("bob", tea.record.room_pk)], {}, HOOK, BOUNDS, 5000)
        (found,) = await store.notices.due("webhook", 5000, 10)
        assert (found.total, [message.body for message in found.messages]) == (1, ["four"])

    async def test_channels_that_are_off_keep_nothing(self, store: Any) -> None:
        await noted(store, "bob", routes=[Route("webhook", True), Route("mail", True)])
        await store.notices.keep_only(["mail"])
        assert await store.notices.counts() == {("mail", "waiting"): 1}
        assert len(await unseen(store)) == 1
        await store.notices.keep_only([])
        assert await store.notices.counts() == {}
        assert await unseen(store) == []

    async def test_whoever_left_has_no_reader(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.turn(commands.Create(room=TEA, user="ann", title="Tea", users=("bob",)))
        await tea.said("hi")
        await store.notices.add([notice("bob", tea.record.room_pk)], {}, HOOK, BOUNDS, 5000)
        (found,) = await store.notices.due("webhook", 5000, 10)
        assert (found.reader is not None, found.title) == (True, "Tea")
        await tea.turn(commands.Remove(room=TEA, user="ann", users=("bob",)))
        (found,) = await store.notices.due("webhook", 5000, 10)
        assert found.reader is None

    async def test_a_reader_knows_whom_they_refuse_and_who_asks(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        await dm.turn(commands.Contact(room=DM, user="bob", action="block"))
        (reader,) = (await look(store, UnseenRoom(dm.record.room_pk, DM, 0))).readers
        assert reader.refuses == {"ann"}

    async def test_only_those_are_refused_who_wrote_here(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob", "mal", "dan"))
        for other, action in (("mal", "block"), ("dan", "add"), ("eve", "block")):
            dm = await Scribe.at(store, f"dm:bob:{other}")
            await dm.turn(commands.Contact(room=dm.room, user="bob", action=action))
        for user in ("mal", "dan", "ann"):
            await tea.said("hi", user=user)
        readers = (await look(store, UnseenRoom(tea.record.room_pk, TEA, 0))).readers
        assert {reader.user: reader.refuses for reader in readers}["bob"] == {"mal"}

    async def test_a_user_who_was_declined_is_told_of_again_once_they_may_ask_again(self, store: Any) -> None:
        declined_ms, asked = 5000, of_room("dm:bob:dan").apply(RelationChange(1, 0, 4000, "dan", "ask"))
        change = RelationChange(2, 0, declined_ms, "bob", "decline")
        declined = [Related(change, asked.apply(change))]
        await append_to(store.journal, await store.journal.load("dm:bob:dan"), [], declined)
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob", "dan"))
        await tea.said("hi", user="dan")
        room_pk = tea.record.room_pk
        await store.notices.add([notice("bob", room_pk)], {}, HOOK, BOUNDS, 5000)
        for days, refused, total in ((29, {"dan"}, 0), (31, set(), 1)):
            now_ms = declined_ms + days * DAY_MS
            readers = (await look(store, UnseenRoom(room_pk, TEA, 0), now_ms=now_ms)).readers
            assert {reader.user: reader.refuses for reader in readers}["bob"] == refused
            (due,) = await store.notices.due("webhook", now_ms, 10)
            assert due.total == total

    # ------------------------------------------------------------------------------------------ what users want

    async def test_wishes_are_kept(self, store: Any) -> None:
        want = store.journal.append_side_records
        assert await store.notices.wishes("bob", 1000) == (None, [], 0, False)
        hours = QuietHours(1320, 420, "Europe/Vienna")
        await want([QuietSet("bob", hours), Silenced("bob", TEA, None, 1000), Silenced("bob", DM, 2000, 1000)])
        await want([Subscribed("bob", device("a"), 1000, None)])
        assert await store.notices.wishes("bob", 1000) == (hours, [(DM, 2000), (TEA, None)], 1, False)
        assert await store.notices.wishes("bob", 2000) == (hours, [(TEA, None)], 1, False)
        assert await store.notices.wishes("ann", 1000) == (None, [], 0, False)
        await want([QuietSet("bob", None), Silenced("bob", TEA, 0, 1000), Unsubscribed("bob", device("a").endpoint)])
        assert await store.notices.wishes("bob", 2000) == (None, [], 0, False)

    async def test_the_latest_address_is_kept(self, store: Any) -> None:
        want = store.journal.append_side_records
        assert await store.notices.address("bob") is None
        for address in ("old@mail.example", "bob@mail.example", None):
            await want([Addressed("bob", address)])
            assert await store.notices.address("bob") == address
        assert await store.notices.address("ann") is None

    async def test_a_silent_room_has_no_readers_until_then(self, store: Any) -> None:
        dm = await Scribe.at(store, DM)
        await dm.said("hi")
        await store.journal.append_side_records([Silenced("bob", DM, 2000, 1000)])
        room = UnseenRoom(dm.record.room_pk, DM, 0)
        assert (await look(store, room, now_ms=1999)).readers == []
        assert [reader.user for reader in (await look(store, room, now_ms=2000)).readers] == ["bob"]

    async def test_a_silent_room_has_the_readers_whom_it_mentions_if_they_want_it(self, store: Any) -> None:
        tea = await Scribe.at(store, TEA)
        await tea.made(commands.Create, users=("bob", "cat", "dan"))
        want = store.journal.append_side_records
        await want([Silenced(user, TEA, None, 1000) for user in ("bob", "cat", "dan")])
        await want([MentionsWanted("bob", True), MentionsWanted("bob", True), MentionsWanted("cat", True)])
        assert (await store.notices.wishes("bob", 1000)).mentions
        await tea.said("hi", "@bob and @dan")
        room = UnseenRoom(tea.record.room_pk, TEA, 0)
        found = await look(store, room)
        assert [(reader.user, reader.muted, reader.mentions) for reader in found.readers] == [("bob", True, True)]
        assert [list(message.mentions) for message in found.messages] == [["bob", "dan"], []]
        await want([MentionsWanted("bob", False)])
        assert not (await store.notices.wishes("bob", 1000)).mentions
        assert (await look(store, room)).readers == []

    async def test_mentions_by_refused_users_hide_no_others_of_a_silent_room(self, store: Any) -> None:
        tea, dm = await Scribe.at(store, TEA), await Scribe.at(store, "dm:bob:mal")
        await tea.made(commands.Create, users=("bob", "mal"))
        await dm.turn(commands.Contact(room=dm.room, user="bob", action="block"))
        await store.journal.append_side_records([Silenced("bob", TEA, None, 1000), MentionsWanted("bob", True)])
        await tea.said(*["hi"] * 60)
        (seq,) = await tea.said("@bob")
        for _ in range(7):
            await tea.said(*["@bob"] * 50, user="mal")
        await tea.said(*["hi"] * 60)
        found = await look(store, UnseenRoom(tea.record.room_pk, TEA, 0))
        assert seq in [message.seq for message in found.messages if "bob" in message.mentions]

    async def test_silent_rooms_have_a_bound(self, store: Any) -> None:
        await store.journal.append_side_records(
            [Silenced("bob", f"group:g{n}", None, 1000) for n in range(MOST_SILENT + 5)]
        )
        assert len((await store.notices.wishes("bob", 1000)).silent) == MOST_SILENT

    async def test_devices_have_a_bound_and_one_user_each(self, store: Any) -> None:
        want = store.journal.append_side_records
        await want([Subscribed("bob", device(str(n)), 1000 + n, None) for n in range(MOST_DEVICES + 2)])
        assert (await store.notices.wishes("bob", 0)).devices == MOST_DEVICES
        await noted(store, "bob", routes=PUSH)
        found = await store.notices.due("push", 5000, 100)
        assert {each.device for each in found} == {device(str(n)) for n in range(2, MOST_DEVICES + 2)}
        await want([Subscribed("eve", device("5"), 9000, None)])
        assert (await store.notices.wishes("bob", 0)).devices == MOST_DEVICES - 1
        assert len(await store.notices.due("push", 5000, 100)) == MOST_DEVICES - 1, "what waited for it is gone"

    async def test_where_nobody_can_be_reached_nobody_counts_as_notified(self, store: Any) -> None:
        room = await noted(store, "bob", routes=PUSH)
        (reader,) = (await look(store, room)).readers
        assert reader.notified is None

    async def test_a_device_that_is_gone_is_forgotten_and_a_slow_one_puts_off_the_rest(self, store: Any) -> None:
        want = store.journal.append_side_records
        await want([Subscribed("bob", device("a"), 1000, None), Subscribed("bob", device("b"), 1001, None)])
        room = await noted(store, "bob", routes=PUSH)
        await store.notices.add([notice("bob", room.room_pk, "ntf_2")], {}, PUSH, BOUNDS, 5000)
        targets = sorted({each.target for each in await store.notices.due("push", 5000, 100)})
        await store.notices.finish([Attempt("ntf_bob", "push", targets[0], "retry", 6000, 1, 9000, "slow")], BOUNDS)
        assert {each.target for each in await store.notices.due("push", 6000, 100)} == {targets[1]}
        await store.notices.finish([Attempt("ntf_bob", "push", targets[1], "gone", 6000)], BOUNDS)
        assert await store.notices.due("push", 6000, 100) == []
        assert (await store.notices.wishes("bob", 0)).devices == 1

    async def test_devices_end_with_tokens_and_suspensions(self, store: Any) -> None:
        want = store.journal.append_side_records

        async def subscribed() -> None:
            await want([Subscribed("bob", device("a"), 1, "j1"), Subscribed("bob", device("b"), 2, "j2")])

        for ends, left in (
            (Revoked("jti", "j1", 5), 1),
            (Revoked("user", "bob", 5), 0),
            (Suspended("bob", True, 5), 0),
            (Suspended("bob", False, 5), 2),
            (Revoked("user", "ann", 5), 2),
        ):
            await subscribed()
            await want([ends])
            assert (await store.notices.wishes("bob", 0)).devices == left, ends
