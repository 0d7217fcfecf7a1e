"""The port of the channels: a notification goes out, and one of three things comes of it.

A channel waits for its receiver and for nothing else, within its own time-out. It raises nothing but cancellation:
whatever a receiver does is `Retry`, `GONE` or `DELIVERED`. The same suite is run over every channel.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, TypeAlias

from gochat.domain.notices import ChannelName, Subscription
from gochat.notify.notification import Notification


class Delivered(NamedTuple):
    """The receiver has it, and answers for it from now on."""


class Gone(NamedTuple):
    """There is no such receiver any more: it is forgotten, and nothing is sent there again."""

    reason: str = ""
    """The answer that said so, for the operator, as in `Retry`; empty where nobody was asked."""


class Retry(NamedTuple):
    """Nobody knows whether the receiver has it: it is sent again later, with the same id."""

    reason: str
    """For the operator; without secrets, addresses of users, or anything that was said."""
    after_ms: int = 0
    """The pause that the receiver asked for; 0: it asked for none."""


Result: TypeAlias = Delivered | Gone | Retry
DELIVERED: Final = Delivered()
GONE: Final = Gone()


Target: TypeAlias = Subscription | str | None
"""Where it goes: a device, a mail address, or, for the webhook, nowhere but to the one URL there is."""


class Channel(Protocol):
    """One way out of the node."""

    name: ChannelName
    everybody: bool
    """Whether it may reach any user; else those alone of whom an address or a device is known."""

    async def send(self, notification: Notification, target: Target) -> Result:
        """Deliver once. Never raises for what the receiver does, and ends within the channel's time-out."""
