"""The bot of the demo: a client like any other. It answers private messages, and messages of a group that say @bot.

In a private room it does not say the same small talk twice in a row: another bot would answer that for ever.
"""

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
#: Rooms of which the bot remembers what it said last.
MAX_ROOMS: Final = 1_000
HELLO: Final = "Hello! Ask me for `help`, and I tell what I can do."
WELCOME: Final = "You are welcome 😊"
NO_ANSWER: Final = "I am a simple bot and have no answer to that. `help` lists what I can do."
#: Answers to which another bot might give the same again.
SMALL_TALK: Final = (HELLO, WELCOME, NO_ANSWER)
HELP: Final = "`dice` rolls one, `time` tells the time, and `echo` says again what follows it. In a group, say @bot."


async def run_bot(url: str, token: TokenSource) -> None:
    """Answer until the session ends. Never raises: a demo without its bot is still a demo, and the log says why."""
    try:
        async with connect(url, token=token) as chat:
            bot = Bot(chat)
            for request in chat.welcome.requests:
                await bot.accept(request.user, request.last.body)
            async for event in chat:
                if isinstance(event, replies.Request):
                    await bot.accept(event.user, event.last.body)
                elif isinstance(event, Message) and event.sender != BOT and event.body is not None:
                    await bot.react_to(event.room, event.seq, event.body)
    except ClientError as error:
        log.warning("the bot has left: %s", error)


class Bot:
    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._said: dict[str, str] = {}
        """Its last words by room, for the rooms in which it spoke last."""

    async def accept(self, user: str, body: str) -> None:
        """Take the request of a stranger, and answer it."""
        try:
            await self._chat.accept(user)
            await self._say(self._chat.room(f"user:{user}"), answer(body))
        except Refused as error:
            log.info("the bot can't accept %s: %s", user, error)

    async def react_to(self, room: str, seq: int, body: str) -> None:
        """Read a message, and answer it if it is for the bot."""
        if not is_dm(room) and not _CALLED.search(body):
            return
        try:
            await self._chat.read(room, seq)
            await self._say(room, answer(_CALLED.sub("", body)))
        except Refused as error:
            log.info("the bot can't answer in %s: %s", room, error)

    async def _say(self, room: str, body: str) -> None:
        """Raises Refused; a rate limit is waited for."""
        if is_dm(room) and body in SMALL_TALK and self._said.get(room) == body:
            return
        self._said.pop(room, None)
        self._said[room] = body
        if len(self._said) > MAX_ROOMS:
            del self._said[next(iter(self._said))]
        await self._chat.typing(room)
        await trio.sleep(TYPING_S)
        await self._chat.send(room, body, patience_s=60)


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
            return HELLO
        case "thanks" | "thank" | "danke":
            return WELCOME
        case _:
            return NO_ANSWER
