"""The errors of a client: one family, each with the facts that a caller decides by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import trio

from gochat.errors import (
    BAD_TOKEN,
    DRAINING,
    INVALID_TEXT,
    NO_HEARTBEAT,
    REPLACED,
    REVOKED,
    SLOW,
    TOKEN_ENDED,
    TOO_LARGE,
    VIOLATION,
    GochatError,
)
from gochat.protocol.replies import Error

#: Why the server closed a connection, for people who chat; the facts for programs stand in `gochat.errors`.
_WHY_CLOSED: Final = {
    DRAINING: "the server is stopping, perhaps to start again",
    SLOW: "too much waited to be read here",
    NO_HEARTBEAT: "the server had heard nothing from here for too long",
    TOKEN_ENDED: "the token has ended",
    BAD_TOKEN: "the token is missing, or was refused",
    VIOLATION: "the server did not understand this client",
    REPLACED: "the same user has connected again from the same device",
    REVOKED: "access has ended: the user was suspended or deleted, or the token revoked",
    INVALID_TEXT: "the server was sent text that is not UTF-8",
    TOO_LARGE: "more was sent at once than the server takes",
}


class ClientError(GochatError):
    """Base of every exception of the client."""


class BadUrl(ClientError):
    """The URL names no gochat server."""


class BadToken(ClientError):
    """The credential can be no token: it is empty, or holds characters that no token has."""


class Unreachable(ClientError):
    """There is no connection: it could not be made, or it broke. `number` is the close code, if there was one."""

    def __init__(self, reason: str, number: int | None = None) -> None:
        super().__init__(reason)
        self.number = number


class Garbled(Unreachable):
    """The peer sent bytes that are no frame of the protocol: it is no gochat server, or bytes were lost."""


class Refused(ClientError):
    """The server refused a request. `code` is for programs (gochat.errors.CODES), the text for people.

    With `temporary` the same request may succeed later, after `retry_after_ms` if that is set. With `unknown` it may
    have been carried out: repeat it with the same key.
    """

    def __init__(self, error: Error) -> None:
        super().__init__(f"{error.message} ({error.code})")
        self.code = error.code
        self.message = error.message
        self.temporary = error.temporary
        self.retry_after_ms = error.retry_after_ms
        self.rule = error.rule
        self.unknown = error.unknown

    @property
    def wait_s(self) -> float:
        """How long to wait before the request is repeated; 1 s where the server does not say."""
        return 1.0 if self.retry_after_ms is None else self.retry_after_ms / 1000


class Lost(ClientError):
    """The connection broke after the request was sent and before its reply came: it may have been carried out.

    Only for requests that are not safe to repeat (creating, leaving and deleting a group, mutes, bans, signing a device
    out, acts of an admin); all others are repeated.
    """


class Ended(ClientError):
    """The session is over and is not opened again. `number` is the close code, if the server gave one."""

    def __init__(self, reason: str, number: int | None = None) -> None:
        super().__init__(reason)
        self.number = number


def raise_alone(group: BaseExceptionGroup[BaseException]) -> None:
    """Raise the one exception of a group that is not a cancellation by itself, or else the group: callers need not
    see that a nursery was in use."""
    # A session ends by one exception, even where several tasks met it.
    errors = {id(error): error for error in _leaves(group) if not isinstance(error, trio.Cancelled)}
    if len(errors) != 1:
        raise group
    (error,) = errors.values()
    raise error from error.__cause__


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def why_closed(number: int) -> str:
    """The meaning of a close code, for people."""
    return f"{_WHY_CLOSED.get(number, 'the server closed the connection')} ({number})"
