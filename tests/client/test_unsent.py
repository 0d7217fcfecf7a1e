"""Messages that are written and not yet acked: in order, kept, dropped, tried again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from gochat.client import Chat
from gochat.client.unsent import MAX_MESSAGES, Draft, Unsendable, Unsent
from gochat.protocol.replies import Ack, Error
from tests.client.peer import TEA, Peer, Visit, listed
from tests.client.talk import talking


class Writer:
    """An Unsent at work, and what it told."""

    def __init__(self, chat: Chat) -> None:
        self.acked: list[tuple[str, int]] = []
        self.refused: list[str] = []
        self.waits: list[float] = []
        self.unsent = Unsent(
            chat,
            on_ack=self._acked,
            on_refused=self._refused,
            on_wait=lambda refused, _: self.waits.append(refused.wait_s),
        )

    def _acked(self, draft: Draft, ack: Ack) -> None:
        self.acked.append((draft.body, ack.seq))

    def _refused(self, draft: Draft) -> None:
        self.refused.append(draft.body)

    async def settled(self) -> None:
        with trio.fail_after(60):
            await self.unsent.settled()


@asynccontextmanager
async def writing(peer: Peer) -> AsyncIterator[tuple[Writer, Visit]]:
    async with talking(peer, listed(0)) as (chat, visit), trio.open_nursery() as nursery:
        writer = Writer(chat)
        nursery.start_soon(writer.unsent.run)
        yield writer, visit
        nursery.cancel_scope.cancel()


def bodies(writer: Writer) -> list[str]:
    return [draft.body for draft in writer.unsent]


async def test_messages_leave_one_after_the_other_in_the_order_they_were_written(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        for body in ("one", "two", "three"):
            writer.unsent.write(TEA, body)
        assert bodies(writer) == ["one", "two", "three"]
        for seq, body in enumerate(("one", "two", "three"), 1):
            sent = await visit.expect("send")
            assert sent["body"] == body
            await visit.ack(sent, seq)
        await writer.settled()
        assert writer.acked == [("one", 1), ("two", 2), ("three", 3)]
        assert not writer.unsent


async def test_a_message_that_is_refused_for_good_is_kept_and_those_behind_it_go_on(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        writer.unsent.write(TEA, "rude")
        writer.unsent.write(TEA, "nice", reply_to=1)
        await visit.refuse(await visit.expect("send"), "censored")
        sent = await visit.expect("send")
        assert (sent["body"], sent["reply_to"]) == ("nice", 1)
        await visit.ack(sent)
        await writer.settled()
        assert writer.refused == bodies(writer) == ["rude"]
        (draft,) = writer.unsent
        assert writer.unsent.retry(draft.number) is draft
        again = await visit.expect("send")
        assert again["key"] == draft.key, "the same message, however often it is tried"
        await visit.ack(again, 2)
        await writer.settled()
        assert not writer.unsent


async def test_what_is_refused_for_now_is_repeated_in_its_place(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        writer.unsent.write(TEA, "one")
        writer.unsent.write(TEA, "two")
        await visit.refuse(await visit.expect("send"), "rate_limited", temporary=True, retry_after_ms=1)
        for body in ("one", "two"):
            sent = await visit.expect("send")
            assert sent["body"] == body
            await visit.ack(sent)
        await writer.settled()
        assert writer.waits == [0.001]


async def test_a_refusal_that_asks_for_hours_is_for_the_person_to_decide_on(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        writer.unsent.write("user:eve", "hello")
        fields: dict[str, Any] = {"temporary": True, "retry_after_ms": 3_600_000, "rule": "request.budget"}
        await visit.refuse(await visit.expect("send"), "rate_limited", **fields)
        await writer.settled()
        assert writer.refused == ["hello"]


async def test_a_message_written_while_offline_is_sent_on_the_next_connection(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        await visit.close()
        writer.unsent.write(TEA, "later")
        second = await peer.visit()
        assert bodies(writer) == ["later"]
        await second.welcome(listed(0))
        await second.ack(await second.expect("send"))
        await writer.settled()
        assert writer.acked == [("later", 1)]


async def test_dropping_takes_back_what_waits_and_what_was_refused(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        first, second, third = (writer.unsent.write(TEA, body) for body in ("one", "two", "three"))
        sent = await visit.expect("send")
        assert writer.unsent.drop(second.number) is second
        assert writer.unsent.drop(first.number) is first, "it is on its way, and nobody waits for its ack any more"
        assert writer.unsent.drop(99) is None
        assert writer.unsent.retry(third.number) is None, "it was not refused"
        await visit.ack(sent)
        last = await visit.expect("send")
        assert last["body"] == "three"
        await visit.refuse(last, "forbidden")
        await writer.settled()
        assert writer.unsent.drop(third.number) is third
        assert not writer.unsent
        assert writer.acked == []


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("others", [0, 2])
async def test_a_message_that_is_dropped_as_its_reply_comes_takes_no_other_with_it(
    peer: Peer, others: int, refused: bool
) -> None:
    async with writing(peer) as (writer, visit):
        first, *behind = [writer.unsent.write(TEA, f"{number}") for number in range(1 + others)]
        sent = await visit.expect("send")
        reply = (
            Error(id=sent["id"], code="forbidden", message="", temporary=False)
            if refused
            else Ack(id=sent["id"], room=TEA, seq=1, epoch="e1", ts=1)
        )
        # The reader takes the reply, and the keyboard drops the message before the task that sends has seen it.
        assert writer.unsent._chat._session.calls.answered(reply)
        assert writer.unsent.drop(first.number) is first
        for draft in behind:
            again = await visit.expect("send")
            assert again["body"] == draft.body
            await visit.ack(again, 1 + draft.number)
        await writer.settled()
        await trio.testing.wait_all_tasks_blocked()
        recorded = [draft.body for draft in behind] if refused else ["0", *(draft.body for draft in behind)]
        assert [body for body, _ in writer.acked] == recorded
        assert writer.refused == bodies(writer) == [], "a message that was dropped is not set aside"


async def test_there_is_a_bound(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        for number in range(MAX_MESSAGES):
            writer.unsent.write(TEA, f"{number}")
        with pytest.raises(Unsendable, match="not sent yet"):
            writer.unsent.write(TEA, "one too many")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.unsent.space)
            await trio.testing.wait_all_tasks_blocked()
            await visit.ack(await visit.expect("send"))


async def test_a_new_text_is_an_edit(peer: Peer) -> None:
    async with writing(peer) as (writer, visit):
        writer.unsent.write(TEA, "better", edits=7)
        sent = await visit.expect("edit")
        assert (sent["seq"], sent["body"]) == (7, "better")
        await visit.ack(sent, 8)
        await writer.settled()
