"""When users who are online were last seen, for whoever asks after a crash.

Their end is noted when it comes, but a node that crashes notes nothing. So all who are online are noted once in a
while, a few each second: a row for each user and minute, which goes along with commits that are made anyhow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import trio

from gochat.looking import next_look

#: How far the time last seen may be off after a crash.
EVERY_S = 60

Note = Callable[[str, int], None]


async def keep_seen(online: Collection[str], note: Note, now_ms: Callable[[], int]) -> None:
    """Note everybody in `online`, which changes meanwhile, once in `EVERY_S`, for ever."""
    while True:
        users = list(online)
        for second in range(EVERY_S):
            await trio.sleep_until(next_look(trio.current_time(), 1))
            for user in users[second::EVERY_S]:
                if user in online:
                    note(user, now_ms())
