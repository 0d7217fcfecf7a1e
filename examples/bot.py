"""A bot that says back what follows `!echo`. GOCHAT_TOKEN=... python examples/bot.py"""

import os

import trio

from gochat.client import Refused, connect, facts, replies


async def main() -> None:
    async with connect(os.environ["GOCHAT_URL"], token=os.environ["GOCHAT_TOKEN"]) as chat:
        async for event in chat:
            try:
                match event:
                    case replies.Request(user=user):
                        await chat.accept(user)
                    case facts.Message(body=str(body)) if event.sender != chat.user and body.startswith("!echo "):
                        await chat.send(event.room, body[6:], reply_to=event.seq, key=f"re-{event.seq}", patience_s=60)
            except Refused as refused:
                print(refused)  # a request that was taken back, a group that has ended: the others go on


trio.run(main)
