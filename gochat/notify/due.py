"""Says who is notified of which message, and when. Pure: values in, a value out; `now_ms` comes in.

A message is due `after_ms` after it was recorded, for a user who has had no session since. All decisions are made then,
from what is known at that moment: a sign-in, a reading, a mute or a block in between needs no timer to be stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gochat.domain.notices import Candidate, Reader

MINUTE_MS = 60_000


class Timing(NamedTuple):
    """The operator's settings, in milliseconds."""

    after_ms: int = 5 * MINUTE_MS
    """From the recording of a message to its notification; 0: at once."""
    again_ms: int = 0
    """From one notification of a room to the next while the user reads nothing of it; 0: never."""


class Burst(NamedTuple):
    """The messages of one room that one notification is about, for one user."""

    user: str
    after: int
    """The messages have greater seqs than this."""
    first: Candidate
    """The oldest message that is due. It names the burst: worked out twice, it is the same (`burst_key`)."""
    latest: Candidate
    read: int
    """The user's read position."""


def decide(reader: Reader, newest_first: Sequence[Candidate], now_ms: int, timing: Timing) -> Burst | None:
    """The burst that the user is to be notified of now, if there is one.

    `newest_first` are messages of the room that nobody has been judged by before, or more. The latest message of a
    burst may be younger than `after_ms`; its first is not.
    """
    after = _begins_after(reader, now_ms, timing)
    if after is None:
        return None
    news = [message for message in newest_first if message.seq > after and is_news(reader, message)]
    due = [message for message in news if message.ts >= reader.seen_ms and message.ts + timing.after_ms <= now_ms]
    return Burst(reader.user, after, due[-1], news[0], reader.read) if due else None


def still_due(reader: Reader, newest_first: Sequence[Candidate], after: int, first_ts: int) -> Candidate | None:
    """The latest message of a burst that was found due and waits for its channel; None where it is not to be told any
    more: the user has been here or has read since, has muted the room, or its messages are gone or refused.

    `after` is the burst's, and `first_ts` the time of its first message. The clock is not asked: what was due stays so.
    """
    if (reader.muted and not reader.mentions) or reader.read > after or reader.seen_ms > first_ts:
        return None
    if reader.notified is not None and reader.read > reader.notified.read:
        return None
    return next((message for message in newest_first if message.seq > after and is_news(reader, message)), None)


def is_news(reader: Reader, message: Candidate) -> bool:
    """Whether the message counts for this user at all. In a muted room only mentions do, for users who want these."""
    if reader.muted and not (reader.mentions and reader.user in message.mentions):
        return False
    return message.sender != reader.user and message.seq >= reader.since and message.sender not in reader.refuses


def _begins_after(reader: Reader, now_ms: int, timing: Timing) -> int | None:
    """The seq after which a burst may begin; None where nothing may be told of the room now."""
    if reader.muted and not reader.mentions:
        return None
    notified = reader.notified
    if notified is None:
        return reader.read
    if reader.asked_at is not None and notified.upto > reader.asked_at:
        return None  # Of a request only the first message is told, however often it is repeated.
    if reader.read > notified.read:
        return reader.read
    if timing.again_ms and now_ms >= notified.ts + timing.again_ms:
        return max(reader.read, notified.upto)
    return None
