"""Work that a node does by itself from time to time: it lets old texts end, and drops actors that are idle."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from gochat.actors.actor import Registry
from gochat.actors.live import Live
from gochat.actors.messages import Submit
from gochat.actors.room import RoomActor
from gochat.actors.user import UserActor
from gochat.config.chat_sections import Retention as RetentionSettings
from gochat.domain import commands
from gochat.errors import Full, StoreError
from gochat.looking import next_look
from gochat.store.write.retention import FIRST, REST_S, Retention, cutoffs

log = logging.getLogger(__name__)

#: How often idle actors are looked for.
SWEEP_S: Final = 5.0
#: How often it is looked for texts that are too old.
RETENTION_S = 3600.0


async def expire_texts(
    settings: RetentionSettings, retention: Retention, rooms: Registry[RoomActor], now_ms: Callable[[], int]
) -> None:
    """Take away the texts that are too old, for ever; requests that are left without any ask no more."""
    while True:
        now = now_ms()
        found = cutoffs(settings.group_days, settings.private_days, now)
        # The requests are looked at also where the sweep ended early: what it met may be no matter of theirs.
        works: list[Callable[[], Awaitable[object]]] = [
            partial(retention.sweep, found, now),
            partial(withdraw_spent, retention, rooms),
        ]
        for work in works:
            try:
                await work()
            except (StoreError, Full) as error:
                log.warning("retention: %s; again in %.0f minutes", error, RETENTION_S / 60)
        await trio.sleep(RETENTION_S)


async def withdraw_spent(retention: Retention, rooms: Registry[RoomActor]) -> None:
    """Looks at all that wait, not only at those of this sweep: nothing is left undone by a crash. Raises StoreError,
    Full."""
    after: tuple[str, str] | None = FIRST
    while after is not None:
        found, after = await retention.spent_requests(after)
        for each in found:
            rooms.tell(each.room, Submit(commands.Withdraw(room=each.room, user=each.requester)))
            await trio.sleep(REST_S)


async def drop_idle(live: Live, rooms: Registry[RoomActor], users: Registry[UserActor], idle_s: float) -> None:
    """Drop actors without a turn for `idle_s`, for ever. A room that somebody's reading of the log depends on stays in
    memory."""
    while True:
        await trio.sleep_until(next_look(trio.current_time(), SWEEP_S))
        before = min(trio.current_time() - idle_s, live.oldest_reading())
        rooms.passivate_idle(before)
        users.passivate_idle(before)
