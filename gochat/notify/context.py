"""The part of notifications that sessions and calls of REST use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gochat.ports.notices import Notices
from gochat.ports.tokens import Identity


async def _nothing(identity: Identity) -> None:
    """No channel wants to know who signs in."""


class NotifyContext(msgspec.Struct, frozen=True, kw_only=True):
    """Built once by the node."""

    notices: Notices
    channels: Sequence[str] = ()
    """The names of those that are on."""
    push_key: str | None = None
    """The key that browsers subscribe with; None where Web Push is off."""
    wake: Callable[[], None] = lambda: None
    """Is called when something may have become due."""
    signed_in: Callable[[Identity], Awaitable[None]] = _nothing
    """Is told of each sign-in, which waits for it."""
