"""Users who are online when the node crashes were seen a moment before, and noting that costs little."""

from __future__ import annotations

from collections import Counter

import trio
from trio.testing import MockClock

from gochat.session.seen import EVERY_S, keep_seen


async def test_everybody_is_noted_once_in_a_minute_a_few_at_a_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    online = {f"u{number}": None for number in range(600)}
    noted: list[tuple[str, int]] = []

    def now_ms() -> int:
        return int(trio.current_time() * 1000)

    begin = now_ms()
    nursery.start_soon(keep_seen, online, lambda user, ts: noted.append((user, ts)), now_ms)
    await trio.sleep(1.5)
    del online["u599"]
    await trio.sleep(EVERY_S - 1)
    assert Counter(user for user, _ in noted) == Counter(f"u{number}" for number in range(599)), "but who has gone"
    assert max(Counter(ts - begin for _, ts in noted).values()) == 600 // EVERY_S
