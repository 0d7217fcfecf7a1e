"""A bot that says back what follows `!echo`. GOCHAT_TOKEN=... python examples/bot.py"""

import os

import trio

from gochat.client import connect, facts, replies


async def main() -> None:
    async with connect(os.environ["GOCHAT_URL"], token=os.environ["GOCHAT_TOKEN"]) as chat:
        async for event in chat:
            match event:
                case replies.Request(user=user):
                    await chat.accept(user)
                case facts.Message(room=room, seq=seq, body=str(body)) if body.startswith("!echo "):
                    await chat.send(room, body[6:], reply_to=seq, key=f"echo-{seq}")


trio.run(main)
