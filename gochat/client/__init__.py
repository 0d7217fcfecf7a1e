"""The Python client of gochat, for trio.

async with gochat.client.connect("ws://127.0.0.1:8080/v1/ws", token=os.environ["GOCHAT_TOKEN"]) as chat:
    await chat.send("user:bob", "hello")
    async for event in chat:
        ...
"""

from gochat.client.chat import Chat, connect
from gochat.client.credential import TokenSource
from gochat.client.errors import BadToken, BadUrl, ClientError, Ended, Lost, Refused, Unreachable
from gochat.client.events import Event, Listed, Offline, Online
from gochat.client.positions import Reset
from gochat.client.replica import NotAReplica, Replica
from gochat.client.wire import Fact, Page, Unknown
from gochat.domain import facts
from gochat.protocol import replies

__all__ = [
    "BadToken",
    "BadUrl",
    "Chat",
    "ClientError",
    "Ended",
    "Event",
    "Fact",
    "Listed",
    "Lost",
    "NotAReplica",
    "Offline",
    "Online",
    "Page",
    "Refused",
    "Replica",
    "Reset",
    "TokenSource",
    "Unknown",
    "Unreachable",
    "connect",
    "facts",
    "replies",
]
