"""When a delivery that failed is tried again. Pure: the random number comes in."""

from __future__ import annotations

#: The upper bound of the first pause; each further one is twice as long, up to the cap.
BASE_MS = 10_000
CAP_MS = 2 * 3_600_000
#: A notification that could not be delivered for so long is set aside as a dead letter.
GIVE_UP_MS = 24 * 3_600_000


def pause_ms(tries: int, chance: float, asked_ms: int = 0) -> int:
    """How long to wait after `tries` failures, 1 or more: exponential, with full jitter, so that what failed together
    does not come back together. `chance` is from 0 to 1; `asked_ms` is what the receiver asked for by Retry-After, and
    is never undercut, up to the cap."""
    bound = CAP_MS if tries > 20 else min(CAP_MS, BASE_MS << (tries - 1))
    return max(int(bound * chance), min(asked_ms, CAP_MS))


def next_try(first_ms: int, now_ms: int, tries: int, chance: float, asked_ms: int = 0) -> int | None:
    """When to try again what was first tried at `first_ms`; None: no more. The last try is made when the 24 hours are
    over, and not before."""
    end = first_ms + GIVE_UP_MS
    if now_ms >= end:
        return None
    return min(now_ms + pause_ms(tries, chance, asked_ms), end)
