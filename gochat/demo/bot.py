"""The bot of the demo: a client like any other. It answers private messages, and messages of a group that say @bot."""

from __future__ import annotations

import logging
import random
import re
import time
from typing import Final

import trio

from gochat.client import Chat, ClientError, Refused, TokenSource, connect
from gochat.demo.story import BOT
from gochat.domain.facts import Message
from gochat.domain.ids import is_dm
from gochat.protocol import replies

log = logging.getLogger(__name__)

#: How long the bot seems to type: people see what that looks like.
TYPING_S: Final = 0.7
_CALLED: Final = re.compile(rf"(?<![\w@])@{BOT}\b", re.IGNORECASE)
HELP: Final = "`dice` rolls one, `time` tells the time, and `echo` says again what follows it. In a group, say @bot."


async def run_bot(url: str, token: TokenSource) -> None:
    """Answer until the session ends. Never raises: a demo without its bot is still a demo, and the log says why."""
    try:
        async with connect(url, token=token) as chat:
            for request in chat.welcome.requests:
                await _accept(chat, request.user, request.last.body)
            async for event in chat:
                if isinstance(event, replies.Request):
                    await _accept(chat, event.user, event.last.body)
                elif isinstance(event, Message) and event.sender != BOT and event.body is not None:
                    await _react_to(chat, event.room, event.seq, event.body)
    except ClientError as error:
        log.warning("the bot has left: %s", error)


async def _accept(chat: Chat, user: str, body: str) -> None:
    try:
        await chat.accept(user)
        await _say(chat, f"user:{user}", answer(body))
    except Refused as error:
        log.info("the bot can't accept %s: %s", user, error)


async def _react_to(chat: Chat, room: str, seq: int, body: str) -> None:
    if not is_dm(room) and not _CALLED.search(body):
        return
    try:
        await chat.read(room, seq)
        await _say(chat, room, answer(_CALLED.sub("", body)))
    except Refused as error:
        log.info("the bot can't answer in %s: %s", room, error)


async def _say(chat: Chat, to: str, body: str) -> None:
    """Raises Refused; a rate limit is waited for."""
    await chat.typing(to)
    await trio.sleep(TYPING_S)
    await chat.send(to, body, patience_s=60)


def answer(body: str) -> str:
    """The answer to a message."""
    words = body.split()
    match words[0].lower().strip("!?.,:`") if words else "":
        case "help":
            return HELP
        case "dice":
            return f"🎲 {random.randint(1, 6)}"  # a game
        case "time":
            return f"It is {time.strftime('%H:%M')} where I run."
        case "echo" if len(words) > 1:
            return " ".join(words[1:])
        case "hello" | "hi" | "hey" | "hallo":
            return "Hello! Ask me for `help`, and I tell what I can do."
        case "thanks" | "thank" | "danke":
            return "You are welcome 😊"
        case _:
            return "I am a simple bot and have no answer to that. `help` lists what I can do."
