"""What the loop asked is not answered, or not any more: nobody gets the answer of another, and nothing hangs."""

from __future__ import annotations

from functools import partial

import pytest
import trio
import trio.testing

from gochat.cluster.link import CHUNK
from gochat.cluster.ports import ServerAway
from tests.cluster.exchanging import answer, bulk, scene
from tests.cluster.real import PATIENCE_S


@pytest.mark.parametrize("was_asked", [True, False])
async def test_nobody_gets_the_answer_to_a_question_whose_asker_has_gone(was_asked: bool) -> None:
    async with scene() as it:
        stream = await it.opened()
        with trio.CancelScope() as scope:
            if not was_asked:
                scope.cancel()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(it.ask, wait_s=PATIENCE_S))
                assert await stream.receive_some()
                scope.cancel()
        assert scope.cancelled_caught
        if was_asked:
            assert await stream.receive_some() == b"", "what it answers now is for nobody"
            stream = await it.opened()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, stream, b"next")
            assert await it.ask() == [b"next"]
        assert it.asked.ways == ["loop"]


async def test_a_piece_of_what_is_long_is_not_looked_at() -> None:
    """It would be looked at once more when all has come."""
    async with scene() as it:
        stream = await it.opened()
        head = len(bulk(bytes(CHUNK))) - CHUNK - 2
        for line in (bytes(CHUNK - head - 2) + b"\r\n" + bytes(1000), b"short"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer, stream, line)
                assert await it.ask() == [line]
        assert it.asked.looks == 1


@pytest.mark.parametrize("come", [b"$6\r\nsec", b"$6\r\nsecond\r\n", b"-OOM no room\r\n", b""])
async def test_an_asker_that_goes_while_the_answer_comes(monkeypatch: pytest.MonkeyPatch, come: bytes) -> None:
    """Once the loop has seen something of it, and before the thread has taken up the rest; or, with nothing, before all
    was sent."""
    async with scene() as it:
        stream = await it.opened()
        question = it.asked.exchange(wait_s=PATIENCE_S)._replace(parse=lambda data: None)
        with trio.CancelScope() as scope:

            def send_some(data: bytes) -> int:
                scope.cancel()
                return len(data) // 2

            if come:
                await stream.send_all(come)
                it.on_peek(scope.cancel)
            else:
                monkeypatch.setattr(it.links[0], "send_now", send_some)
            await it.thread.exchange(question)
        assert scope.cancelled_caught
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, stream, b"next")
            assert await it.ask() == [b"next"]


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_server_is_away_once_it_has_had_its_time(mock_clock: trio.testing.MockClock, is_silent: bool) -> None:
    mock_clock.rate = 1
    async with scene(timeout_s=2 * PATIENCE_S) as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                if is_silent:
                    with pytest.raises(ServerAway, match="does not answer"):
                        await it.ask(wait_s=PATIENCE_S)
                else:
                    assert await it.ask(wait_s=PATIENCE_S) == [b"late"]

            nursery.start_soon(ask)
            assert await stream.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump((2.5 + is_silent) * PATIENCE_S)
            if not is_silent:
                await stream.send_all(bulk(b"late"))
        if is_silent:
            await it.opened()


async def test_a_server_that_hangs_up_is_away() -> None:
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:

            async def hang_up() -> None:
                await stream.receive_some()
                await stream.aclose()

            nursery.start_soon(hang_up)
            with pytest.raises(ServerAway):
                await it.ask()
        await it.opened()


@pytest.mark.parametrize("how", ["renew", "close", "keep_to"])
async def test_a_question_that_is_broken_off(how: str) -> None:
    async with scene() as it:
        stream = await it.opened()
        async with trio.open_nursery() as nursery:
            ended: list[str] = []

            async def ask() -> None:
                with pytest.raises(ServerAway):
                    await it.ask(wait_s=PATIENCE_S)
                ended.append("exchange")

            nursery.start_soon(ask)
            assert await stream.receive_some()
            if how == "keep_to":

                async def meet_nobody() -> None:
                    await it.accepted()

                nursery.start_soon(meet_nobody)
                await it.thread.keep_to({1: "another server"})
                assert ended == ["exchange"], "no answer of another server is handed over any more"
                await it.thread.keep_to(None)
            else:
                getattr(it.thread, how)()
        if how == "close":
            with pytest.raises(ServerAway, match="closed"):
                await it.ask()
            await it.ended()
        else:
            await it.opened()


@pytest.mark.parametrize("how", ["renew", "close"])
@pytest.mark.parametrize("is_seen", [False, True])
async def test_the_rest_of_an_answer_is_not_looked_for_on_another_connection(how: str, is_seen: bool) -> None:
    async with scene() as it:
        stream = await it.opened()

        break_off = getattr(it.thread, how)

        async def break_off_later() -> None:
            while it.asked.ways != ["rest"]:
                await trio.testing.wait_all_tasks_blocked()
            break_off()

        await stream.send_all(b"$6\r\nsec")
        async with trio.open_nursery() as nursery:
            if is_seen:
                nursery.start_soon(break_off_later)
            else:
                it.on_peek(break_off)
            with pytest.raises(ServerAway):
                await it.ask()
        assert len(it.links) == 1, "none is made for what it can't answer"
        if how == "close":
            await it.ended()
        else:
            it.asked.ways.clear()
            await it.opened()


async def test_calls_have_their_turn_beside_one_who_always_asks() -> None:
    async with scene() as it:
        stream = await it.opened()
        asked: list[bytes] = []

        async def call(name: str) -> None:
            await it.thread.call(lambda link: link.call(name))

        async def ask_always() -> None:
            while True:
                await it.ask()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_always)
            assert await stream.receive_some()
            for name in ("first", "second", "third"):
                nursery.start_soon(call, name)
                await trio.testing.wait_all_tasks_blocked()
            for _ in range(4):
                await stream.send_all(bulk(b"an answer"))
                asked.append((await stream.receive_some()).split(b"\r\n")[2])
            nursery.cancel_scope.cancel()
        assert asked[:3] == [b"first", b"second", b"third"]
