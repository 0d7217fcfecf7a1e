"""A notification tells what its user may see at the moment of sending, whatever was so when the message was due."""

from __future__ import annotations

import trio

from gochat.domain import commands
from gochat.domain.relationship import DAY_MS, Action
from gochat.domain.turn import RoomRules
from gochat.notify.due import MINUTE_MS, Timing
from gochat.notify.notification import Notification
from gochat.store.write.retention import cutoffs
from tests.contracts.scribe import Scribe
from tests.notify.town import DM, HOUR, TEA, Build, Town


async def waiting(town: Town) -> None:
    """Messages become due, and wait: the channel is down."""
    town.channels[0].down = True
    await trio.sleep(310)
    assert await town.store.notices.counts() != {}


async def sent(town: Town) -> list[Notification]:
    """All that is told once the channel is there again; nothing waits afterwards."""
    town.channels[0].down = False
    await trio.sleep(3 * HOUR)
    assert await town.store.notices.counts() == {}
    return [notification for notification, _ in town.channels[0].received]


async def contact(town: Town, room: str, user: str, action: Action) -> None:
    scribe = await Scribe.at(town.store, room)
    scribe.now_ms = town.now_ms()
    await scribe.turn(commands.Contact(room=room, user=user, action=action))


async def test_an_edit_is_told_as_it_is_when_sent(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    await town.said(dm, "first words")
    await waiting(town)
    await dm.made(commands.Edit, seq=1, body="second thoughts")
    (told,) = await sent(town)
    assert told.body == "second thoughts"


async def test_a_deleted_message_is_told_neither_nor_counted(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    await town.said(dm, "one", "two", "three")
    await waiting(town)
    await dm.made(commands.Delete, seq=3)
    (told,) = await sent(town)
    assert (told.body, told.count, told.seq) == ("two", 2, 2)


async def test_where_all_are_deleted_nothing_is_told(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    await town.said(dm, "one")
    await waiting(town)
    await dm.made(commands.Delete, seq=1)
    assert await sent(town) == []


async def test_an_expired_message_is_told_neither(autojump_clock: object, build: Build) -> None:
    town = build()
    await town.said(await town.dm(), "one")
    await waiting(town)
    assert await town.store.retention.sweep(cutoffs(1, 1, town.now_ms() + 2 * DAY_MS), town.now_ms()) == 1
    assert await sent(town) == []


async def test_a_block_before_it_is_sent_is_heeded(autojump_clock: object, build: Build) -> None:
    town = build()
    await town.said(await town.dm(), "one")
    await waiting(town)
    await contact(town, DM, "bob", "block")
    assert await sent(town) == []


async def test_blocked_users_are_not_counted_in_a_group(autojump_clock: object, build: Build) -> None:
    town = build()
    tea = await town.group("bob", "mal", "cy")
    await contact(town, "dm:bob:mal", "bob", "block")
    await town.said(tea, "from ann")
    for _ in range(30):
        await town.said(tea, "from mal", user="mal")
    await trio.sleep(400)
    told = {each.user: each for each, _ in town.channels[0].received}
    assert (told["bob"].sender, told["bob"].count, told["bob"].body) == ("ann", 1, "from ann")
    assert (told["cy"].sender, told["cy"].count) == ("mal", 31)


async def test_blocked_users_can_not_hide_the_messages_of_others(autojump_clock: object, build: Build) -> None:
    """However much they write: only so many of the latest messages are looked at."""
    town = build()
    tea = await town.group("bob", "mal", "mel", "cy")
    for blocked in ("mal", "mel"):
        await contact(town, f"dm:bob:{blocked}", "bob", "block")
    await town.said(tea, *["from mel"] * 60, user="mel")
    await town.said(tea, "from ann")
    for _ in range(3):
        await town.said(tea, *["from mal"] * 100, user="mal")
    await trio.sleep(400)
    told = {each.user: each for each, _ in town.channels[0].received}
    assert (told["bob"].sender, told["bob"].count, told["bob"].body) == ("ann", 1, "from ann")
    assert told["cy"].count == 361


async def test_members_are_told_of_nothing_from_before_they_came(autojump_clock: object, build: Build) -> None:
    town = build()
    tea = await town.group("bob")
    await town.said(tea, "one", "two")
    await trio.sleep(10)
    await tea.turn(commands.Remove(room=TEA, user="ann", users=("bob",)))
    await town.said(tea, "without bob")
    await tea.made(commands.Add, users=("bob",))
    await town.said(tea, "welcome back")
    await trio.sleep(400)
    (told,) = [each for each, _ in town.channels[0].received]
    assert (told.user, told.count, told.body) == ("bob", 1, "welcome back")


async def test_of_a_group_that_was_closed_nothing_is_told(autojump_clock: object, build: Build) -> None:
    town = build()
    tea = await town.group("bob")
    await town.said(tea, "hi")
    await waiting(town)
    await tea.made(commands.Close)
    assert await sent(town) == []


async def test_a_group_and_a_sender_have_the_names_of_the_moment(autojump_clock: object, build: Build) -> None:
    town = build()
    tea = await town.group("bob")
    await town.said(tea, "hi")
    await waiting(town)
    await tea.turn(commands.Configure(room=TEA, user="ann", title="Coffee"))
    town.store.journal.note_user("ann", name="Änne")
    await town.store.journal.flush_notes()
    (told,) = await sent(town)
    assert (told.room_title, told.sender_name) == ("Coffee", "Änne")


async def test_senders_who_have_blocked_the_user_since_are_told_by_their_ids(
    autojump_clock: object, build: Build
) -> None:
    town = build()
    town.store.journal.note_user("ann", name="Änne")
    await town.store.journal.flush_notes()
    await town.said(await town.dm(), "hi")
    await waiting(town)
    await contact(town, DM, "ann", "block")
    (told,) = await sent(town)
    assert (told.sender, told.sender_name) == ("ann", "ann")


async def test_of_a_stranger_nothing_is_told_once_declined(autojump_clock: object, build: Build) -> None:
    town = build()
    dm = await town.dm()
    dm.rules = RoomRules()
    await town.said(dm, "may I?")
    await waiting(town)
    await dm.made(commands.Contact, user="bob", action="decline")
    assert await sent(town) == []


async def test_a_room_that_falls_quiet_gets_no_reminder(autojump_clock: object, build: Build) -> None:
    """`again_minutes` lets later messages be told: it repeats nothing, and does not come back to a room by itself."""
    town = build(timing=Timing(5 * MINUTE_MS, 60 * MINUTE_MS))
    dm = await town.dm()
    await town.said(dm, "one")
    await trio.sleep(HOUR / 2)
    await town.said(dm, "two")
    await trio.sleep(3 * HOUR)
    assert town.told == [("bob", 1)], "nobody has written since the hour was over"
    await town.said(dm, "three")
    await trio.sleep(400)
    assert town.told == [("bob", 1), ("bob", 2)], "the later two"
