"""The screen where the server answers late, refuses, or is gone: a scripted peer takes its place."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from gochat.client import Ended, Reset
from gochat.client.screen.desk import Desk
from gochat.client.screen.run import run
from gochat.client.screen.tasks import mark_read, obey
from tests.client.peer import TEA, Peer, listed
from tests.client.peer import message as said
from tests.client.screen.build import message, page
from tests.client.screen.desk_glass import DeskGlass, looking
from tests.client.talk import talking


async def test_a_message_is_no_longer_sending_once_its_fact_was_there(peer: Peer) -> None:
    """Whether the fact, the page or the ack comes first: the room's page may be on its way all the while."""
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        desk = Desk(chat, to=TEA, ring=lambda: None)
        nursery.start_soon(desk.unsent.run)

        async def send(seq: int, *, fact_first: bool = False) -> None:
            desk.unsent.write(TEA, "hello")
            sent = await visit.expect("send")
            if fact_first:
                desk.take(message(seq, sender="ann"))
            await visit.ack(sent, seq)
            await desk.unsent.settled()

        await send(1, fact_first=True)
        assert not desk.scene().drafts
        await send(2)
        assert len(desk.scene().drafts) == 1
        desk.newest_page(page([message(1), message(2)]))
        assert not desk.scene().drafts
        await send(3)
        desk.take(message(3, sender="ann"))
        assert not desk.scene().drafts
        await send(4)
        desk.take(Reset(room=TEA, epoch="e2", head=2))
        assert not desk.scene().drafts
        nursery.cancel_scope.cancel()


async def test_what_was_typed_is_told_when_the_server_ends_the_session(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit):
        shown = DeskGlass(chat, TEA)

        async def end() -> None:
            while (await visit.receive())["type"] != "group":
                pass
            shown.press(*"half", "meta enter", *"a thought", "meta 1", *"/jo")
            await shown.sees("[gochat] /jo")
            await visit.send(
                {"type": "error", "code": "conflict", "message": "replaced", "temporary": False, "close": 4502}
            )
            await visit.close()

        shown.type("/topic Green tea")
        with pytest.RaisesGroup(Ended, flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(end)
                await run(shown.desk, shown)
        assert shown.desk.unfinished() == [
            "  to group:tea: /topic Green tea",
            "  to group:tea: half\n      | a thought",
            "  /jo",
        ]


async def test_what_waits_is_seen_while_there_is_no_connection(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit), looking(chat, TEA) as ann:
        while (history := await visit.receive())["type"] != "history":
            assert history["type"] in ("members", "names")
        await visit.reply(history, "page", room=TEA, epoch="e1", entries=[], head=0, complete=True)
        await visit.close()
        await ann.sees("no connection")
        ann.type("kept", "/search x")
        await ann.sees("<ann> kept [waits]", "1 waiting", "not done: there is no connection")
        second = await peer.visit()
        await second.welcome(listed(0))
        while (sent := await second.receive())["type"] != "send":
            assert sent["type"] in ("members", "names")
        assert sent["body"] == "kept"
        await second.ack(sent)
        await ann.no_longer_sees("no connection, trying")


async def test_a_command_whose_answer_is_lost_is_not_told_as_undone(peer: Peer) -> None:
    async with talking(peer, listed(1)) as (chat, visit), looking(chat, TEA) as ann:
        ann.type("/search x")
        while (await visit.receive())["type"] != "search":
            pass
        await visit.close()
        await ann.sees("it may have been done: ")


async def test_a_message_that_is_deleted_while_its_page_is_read_is_not_shown(peer: Peer) -> None:
    async with talking(peer, listed(200)) as (chat, visit), looking(chat, TEA) as ann:

        async def asked() -> dict[str, Any]:
            while (request := await visit.receive())["type"] != "history":
                if request["type"] == "members":
                    await visit.reply(request, "members", room=TEA, members=[])
            return request

        def told(request: dict[str, Any], *seqs: int) -> Any:
            entries = [said(seq) for seq in seqs]
            return visit.reply(request, "page", room=TEA, epoch="e1", entries=entries, head=200, complete=True)

        await told(await asked(), *range(190, 201))
        await ann.sees("m200")
        ann.press("page up")
        older = await asked()
        await visit.send(said(201), {**said(202), "type": "delete", "target": 188})
        await ann.sees("m201")
        await told(older, *range(180, 190))
        await ann.sees("m187", "m189", "#188 <bob> (deleted)")


async def test_a_command_means_the_message_that_was_marked_when_it_was_typed(peer: Peer) -> None:
    async with talking(peer, listed(3)) as (chat, visit):
        desk = Desk(chat, to=TEA, ring=lambda: None)
        desk.newest_page(page([message(seq, sender="ann") for seq in (1, 2, 3)]))
        desk.viewport.rows(60, 20, [])
        for _ in range(3):
            desk.viewport.select(-1)
        assert desk.viewport.selected == 1
        desk.insert("/delete")
        desk.submit()
        desk.viewport.selected = None  # Esc, while the command waits for its turn.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey, desk)
            desk.signal.set()
            deleted = await visit.expect("delete")
            nursery.cancel_scope.cancel()
        assert deleted["seq"] == 1


async def test_a_new_group_takes_no_text_that_is_being_typed(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        desk = Desk(chat, to="user:bob", ring=lambda: None)
        nursery.start_soon(obey, desk)
        await trio.testing.wait_all_tasks_blocked()
        desk.insert("/group create milk")
        desk.submit()
        created = await visit.expect("group")
        desk.insert("between ")
        await visit.reply(created, "ok")
        while desk.commands:
            await trio.sleep(0.01)
        desk.insert("us")
        assert (desk.state.current, desk.composer.text) == ("dm:ann:bob", "between us")
        nursery.cancel_scope.cancel()


async def test_a_mark_goes_with_the_log_that_it_was_in(peer: Peer) -> None:
    async with talking(peer, listed(3)) as (chat, _):
        desk = Desk(chat, to=TEA, ring=lambda: None)
        desk.newest_page(page([message(seq) for seq in range(1, 61)]))
        desk.viewport.rows(60, 20, [])
        desk.viewport.select(-1)
        desk.viewport.scroll(30)
        assert desk.viewport.selected == 60 and not desk.viewport.follows
        desk.take(Reset(room=TEA, epoch="e2", head=2))
        assert desk.viewport.selected is None, "what is typed would answer another message"
        assert desk.viewport.follows


async def test_commands_that_wait_when_the_log_is_put_back_come_to_nothing(peer: Peer) -> None:
    """Their numbers are those of other messages."""
    async with talking(peer, listed(3)) as (chat, _):
        desk = Desk(chat, to=TEA, ring=lambda: None)
        desk.newest_page(page([message(seq) for seq in (1, 2, 3)]))
        desk.insert("/delete 3")
        desk.submit()
        desk.take(Reset(room=TEA, epoch="e2", head=2))
        assert not desk.commands
        assert "/delete 3" in desk.state.timeline(TEA).entries[-1].note


async def test_what_was_read_is_told_again_where_the_server_did_not_take_it(peer: Peer) -> None:
    async with talking(peer, {**listed(3), "unread": 3}) as (chat, visit):
        desk = Desk(chat, to=TEA, ring=lambda: None)
        desk.newest_page(page([message(seq) for seq in (1, 2, 3)]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mark_read, desk)
            await trio.testing.wait_all_tasks_blocked()
            desk.signal.set()
            read = await visit.expect("read")
            await visit.refuse(read, "unavailable", temporary=True)
            assert (await visit.expect("read"))["seq"] == 3
            nursery.cancel_scope.cancel()


async def test_rooms_that_a_list_can_not_read_are_named(peer: Peer) -> None:
    async with talking(peer, rooms_next="c") as (chat, visit), looking(chat, None) as ann:
        while (groups := await visit.receive())["type"] != "groups":
            pass
        await visit.reply(groups, "groups", groups=[], unreadable=["group:tea"])
        await ann.sees("the server can't read group:tea: its database is damaged")
