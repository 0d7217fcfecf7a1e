"""The bot answers those who write to it, and nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from gochat.client import Chat, connect
from gochat.config import Http, Nng, Settings, Tcp
from gochat.config import Node as NodeSettings
from gochat.demo.bot import HELLO, HELP, NO_ANSWER, answer, run_bot
from gochat.domain.facts import Message
from gochat.node import running
from tests.e2e.peer import address
from tests.tokens import issue


@asynccontextmanager
async def node_with_bot(folder: Path) -> AsyncIterator[Callable[[str], object]]:
    settings = Settings(
        node=NodeSettings(data=str(folder)), http=Http(bind="127.0.0.1:0"), tcp=Tcp(bind=""), nng=Nng(bind="")
    )
    async with running(settings) as node, trio.open_nursery() as nursery:
        host, port = address(node, "http")
        url = f"ws://{host}:{port}/v1/ws"
        nursery.start_soon(partial(run_bot, url, issue(node, "bot")))
        yield lambda user: connect(url, token=issue(node, user))
        nursery.cancel_scope.cancel()


async def heard(chat: Chat, sender: str) -> str:
    async for event in chat:
        if isinstance(event, Message) and event.sender == sender:
            return event.body or ""
    raise AssertionError


async def test_a_stranger_is_accepted_and_answered(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with node_with_bot(tmp_path) as sign_in, sign_in("eve") as eve:
            await eve.send("user:bot", "echo one", patience_s=60)
            assert await heard(eve, "bot") == "one"
            await eve.send("user:bot", "help", patience_s=60)
            assert await heard(eve, "bot") == HELP


async def test_it_does_not_talk_with_another_bot_for_ever(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with node_with_bot(tmp_path) as sign_in, sign_in("eve") as eve:
            for small_talk in (NO_ANSWER, HELLO):
                await eve.send("user:bot", small_talk, patience_s=60)
                assert await heard(eve, "bot") == small_talk
                await eve.send("user:bot", small_talk, patience_s=60)
            await eve.send("user:bot", "help", patience_s=60)
            assert await heard(eve, "bot") == HELP


async def test_in_a_group_it_answers_when_it_is_called(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with node_with_bot(tmp_path) as sign_in, sign_in("eve") as eve:
            await eve.send("user:bot", "hello", patience_s=60)
            await heard(eve, "bot")
            await eve.create_group("tea", users=["bot"])
            await eve.send("group:tea", "echo nobody", patience_s=60)
            await eve.send("group:tea", "@robot echo nobody, x@bot echo nobody", patience_s=60)
            await eve.send("group:tea", "@Bot echo you", patience_s=60)
            assert await heard(eve, "bot") == "you"


@pytest.mark.parametrize("body", ["", "  ", "echo", "`help`", "Dice!", "what is time?", "THANK you"])
def test_every_message_has_an_answer(body: str) -> None:
    assert answer(body)


def test_answers() -> None:
    assert answer("Echo  a   b") == "a b"
    assert answer("dice")[-1] in "123456"
    assert answer("`help`") == HELP
