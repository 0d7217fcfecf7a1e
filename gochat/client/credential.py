"""The credential of a session: a token, or a function that gives a new one whenever one is needed."""

from __future__ import annotations

import base64
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec

from gochat.client.errors import BadToken

TokenFunction: TypeAlias = Callable[[], str] | Callable[[], Awaitable[str]]
TokenSource: TypeAlias = str | TokenFunction

#: How long before its end a token is replaced; one that lives less than twice as long is replaced in its middle.
BEFORE_END_S: Final = 60.0
#: A function that goes on giving tokens about to end is not asked more often than this.
LEAST_S: Final = 5.0


class _Times(msgspec.Struct, gc=False):
    iat: int
    exp: int


_read_times = msgspec.json.Decoder(_Times).decode


async def obtain(source: TokenSource) -> str:
    """The token to sign in with now. Raises BadToken for a value that can be none, and any exception of the
    function."""
    given = source() if callable(source) else source
    token = await given if inspect.isawaitable(given) else given
    if not token:
        raise BadToken("there is no token to sign in with")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise BadToken("the token holds characters that no token has")
    return token


def refresh_in_s(token: str) -> float | None:
    """In how many seconds a token should be replaced; None for one that does not tell when it ends.

    The local clock is believed as long as its time is possible: one that is far off must not lead to refreshing without
    pause, or never.
    """
    try:
        body = token.split(".")[1]
        times = _read_times(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (IndexError, ValueError, msgspec.MsgspecError):
        return None
    whole_s = times.exp - times.iat
    left_s = times.exp - time.time()
    if not 0 < left_s <= whole_s:
        left_s = whole_s
    return max(LEAST_S, left_s - BEFORE_END_S if left_s >= 2 * BEFORE_END_S else left_s / 2)
