"""A question that the loop itself puts to the server, by a link that a thread owns but is not using.

A message waits for two answers of the server, to an append and to a reading. In a thread each costs two hand-overs on
top, one there and one back, some 130 us together. So the loop sends, waits for the socket, and takes the answer, where
that is short, whole, and no error; all else is the thread's: connections, TLS, several servers, whatever is long, comes
in pieces, or fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from redis.exceptions import InvalidResponse

from gochat.cluster.link import Link, ServerLink

T = TypeVar("T")

#: A question of many more bytes is for the thread to send.
MOST_SENT: Final = 1 << 16
_BULK: Final = re.compile(rb"\$\d+\r\n([^\r\n]+)\r\n")


class Exchange(NamedTuple, Generic[T]):
    """A question and the ways to its answer."""

    request: Callable[[], bytes]
    """What is sent: not much more than MOST_SENT."""
    wait_s: float
    """How long the server may wait before it answers."""
    parse: Callable[[bytes], T | None]
    """The answer, if these bytes are all of it. None: they are not, or the thread has to look at them. Raises
    InvalidResponse where they are more."""
    receive: Callable[[ServerLink, float], T]
    """In the thread: get the answer to what was sent. The server may still wait for so many seconds."""
    send_and_receive: Callable[[Link], T]
    """In the thread: both, by whatever link it has."""


def short_replies(data: bytes, count: int) -> list[bytes] | None:
    """So many replies, each a line. None: these bytes are something else. Raises InvalidResponse where they are more
    than the answer: something was answered that nobody has asked."""
    replies, at = [], 0
    while (found := _BULK.match(data, at)) is not None:
        replies.append(found[1])
        at = found.end()
    if len(replies) > count:
        raise InvalidResponse("more replies than questions")
    return replies if at == len(data) and len(replies) == count else None
