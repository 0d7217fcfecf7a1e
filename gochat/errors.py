"""The one table of errors, the one table of close codes, and the exception families.

A *code* is API: clients, HTTP and the command line decide by it. A *message* is for people.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Code(NamedTuple):
    """One row of the error table."""

    name: str
    http: int
    temporary: bool
    """Whether the same request may succeed later without being changed."""
    meaning: str


#: In order of precedence: where several apply, the first one is the answer. Between `forbidden` and
#: `not_found` a recorded idempotency key is answered with its ack, whatever would refuse it today.
CODES: tuple[Code, ...] = (
    Code("too_large", 413, False, "The frame or the body is over its limit."),
    Code("bad_request", 400, False, "The request is not well formed, or its type is unknown."),
    Code("unauthorized", 401, False, "The token is missing, wrong or over."),
    Code("forbidden", 403, False, "The token lacks the scope, or the user lacks the role."),
    Code("not_found", 404, False, "There is no such room, message or user for the user who asks."),
    Code("not_member", 403, False, "The user was a member of this room and no longer is."),
    Code("blocked", 403, False, "One of the two users has blocked the other."),
    Code("declined", 403, False, "The receiver has declined, or has not answered yet."),
    Code("rate_limited", 429, True, "Too many messages; `retry_after_ms` says when to repeat."),
    Code("censored", 422, False, "The text contains a listed word."),
    Code("external_link", 422, False, "The text links to a foreign site."),
    Code("conflict", 409, False, "The request contradicts the present state."),
    Code("busy", 503, True, "A queue is full; repeat after `retry_after_ms`."),
    Code("unavailable", 503, True, "The server can't do this now; with `unknown` it may have been recorded."),
    Code("internal", 500, False, "A fault of the server; it has been logged."),
)

BY_NAME: dict[str, Code] = {code.name: code for code in CODES}


class Denied(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A request was refused. A value, not an exception: rules return it, replies carry it."""

    code: str
    message: str
    retry_after_ms: int | None = None
    rule: str | None = None
    unknown: bool = False
    """Only with `unavailable`: the request may have been recorded; repeat it with the same key."""

    @property
    def temporary(self) -> bool:
        return BY_NAME[self.code].temporary

    @property
    def http(self) -> int:
        return BY_NAME[self.code].http


class Close(NamedTuple):
    """One row of the table of close codes."""

    number: int
    name: str
    reconnect: bool
    meaning: str


#: 4000-4499: the client should reconnect. 4500-4999: it should not.
DRAINING, SLOW, NO_HEARTBEAT, TOKEN_ENDED = 4000, 4001, 4002, 4003
BAD_TOKEN, VIOLATION, REPLACED, REVOKED, TOO_LARGE = 4500, 4501, 4502, 4503, 4504
#: RFC 6455's own, which every WebSocket client knows.
INVALID_TEXT = 1007

#: The text that refuses a sign-in without a token, on every transport.
NO_TOKEN = "a token is needed; `gochat token issue USER` makes one, on the server's machine"  # noqa: S105

CLOSES: tuple[Close, ...] = (
    Close(DRAINING, "draining", True, "The node is draining; reconnect after `reconnect_ms`."),
    Close(SLOW, "slow", True, "The peer read nothing for 30 s while bytes waited for it."),
    Close(NO_HEARTBEAT, "no_heartbeat", True, "Nothing came from the peer for two heartbeats."),
    Close(TOKEN_ENDED, "token_ended", True, "This sign-in has ended; a new token makes a new one."),
    Close(BAD_TOKEN, "bad_token", False, "No token, or a wrong one."),
    Close(VIOLATION, "violation", False, "The protocol was violated."),
    Close(REPLACED, "replaced", False, "The same user and device connected again."),
    Close(REVOKED, "revoked", False, "Access has ended: the user was suspended or deleted, or the token revoked."),
    Close(INVALID_TEXT, "invalid_text", False, "A WebSocket's text was no UTF-8."),
    Close(TOO_LARGE, "too_large", False, "A frame was over the limit."),
)

CLOSE_BY_NUMBER: dict[int, Close] = {close.number: close for close in CLOSES}


class GochatError(Exception):
    """Base of every exception that gochat raises on purpose. Its text is one line, fit to be shown."""


class UnderWay(GochatError):
    """It is not done yet, and can't be taken back: it will be done, or may be. The text says by whom, and when."""


class Lives(GochatError):
    """A node is not to be put out, since it gives signs of life."""


class CantListen(GochatError):
    """The address is taken, or not for this process to take."""


class ConfigError(GochatError):
    """A setting can't be used. Names the key, where it was set, and the values that are allowed."""

    hint = "`gochat config init FILE` writes a file that explains every key"
    """The remedy, for people."""

    def __init__(self, key: str, source: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{source}: {key}: {problem}")
        if hint is not None:
            self.hint = hint
        self.key = key
        self.source = source
        self.problem = problem


class AuthError(GochatError):
    """A token was refused. The text says why without repeating the token."""


class StoreError(GochatError):
    """The store could not do it.

    With `unknown` the write may have happened: the caller reads the log again before it goes on.
    """

    def __init__(self, problem: str, *, unknown: bool = False) -> None:
        super().__init__(problem)
        self.unknown = unknown


class NotCurrent(StoreError):
    """Another node is known to have acknowledged something that is not recorded here yet: an answer would be out of
    date. The caller refuses for now, and the client comes again, here or to another node."""


class Damaged(StoreError):
    """The database does not hold what was written: trying again is of no use."""


def again(error: BaseException) -> StoreError:
    """The same error once more, for one who must have their own: an exception is raised once."""
    kind = Damaged if isinstance(error, Damaged) else StoreError
    return kind(str(error), unknown=getattr(error, "unknown", False))


def store_refusal(error: Exception, doing: str) -> Denied:
    """The refusal that tells a peer of a store that failed. `doing` names the action that fails now, where it may
    succeed later."""
    if isinstance(error, Damaged):
        return Denied("internal", "the server's database is damaged here; its operator has to restore it")
    unknown = isinstance(error, StoreError) and error.unknown
    return Denied("unavailable", doing, retry_after_ms=1000, unknown=unknown)


class TooCostly(StoreError):
    """A search would look at more than one search may. The text says what takes less; it is for whoever searched."""


class Full(GochatError):
    """A bounded queue is full. Nothing was taken; the caller answers `busy`."""
