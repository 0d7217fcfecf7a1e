"""The mail that actors get. A piece of mail carries whom to answer; it is settled exactly once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from gochat.domain.commands import AnyCommand
from gochat.domain.limits import SlidingWindow, TokenBucket
from gochat.domain.moderation import Flag
from gochat.domain.turn import Done, Outcome
from gochat.errors import Denied

log = logging.getLogger(__name__)


class ReplyTo(Protocol):
    """The asker's side of one request. Neither method waits or raises."""

    def reply(self, outcome: Outcome) -> None:
        """Answer the request. The bytes may wait for `flush`, so that an ack and its fact leave together."""

    def flush(self) -> None:
        """Let the answer leave, and whatever else waits for the same session. After several answers in a row to one
        session this is called for one of them."""


class Unheard:
    """Takes the answers to commands that no session asked for."""

    __slots__ = ()

    def reply(self, outcome: Outcome) -> None:
        """Nobody is told."""

    def flush(self) -> None:
        """Nothing waits."""


UNHEARD: Final = Unheard()


class JudgedCommand(NamedTuple):
    """The verdict of the rules for words and links on a command."""

    command: AnyCommand
    refusal: Denied | None = None
    flags: tuple[Flag, ...] = ()
    """Why moderators should look at it."""


class Submit(msgspec.Struct):
    """A command to a room."""

    command: AnyCommand
    reply_to: ReplyTo = UNHEARD
    """Gets the outcome. A session's command takes its own answer (session/pending.py): one object less a message."""
    refusal: Denied | None = None
    """The refusal by the user's own limits. The room may know something that goes before it: a recorded key, no such
    room."""
    bucket: TokenBucket | None = None
    """Where a token was taken for this; it is given back if it turns out that none was due."""
    flags: tuple[Flag, ...] = ()
    if_strangers: JudgedCommand | None = None
    """The verdict that holds instead where the receivers do not have the sender as a contact: only the room knows."""
    asks: SlidingWindow | None = None
    """How many strangers the sender may still ask."""
    adds: SlidingWindow | None = None
    """How many users who do not have the sender as a contact the sender may still add to groups."""
    origin: object = None
    """The session that asks; its own action is no news to it."""

    def reply(self, outcome: Outcome) -> None:
        """Answer the asker, and give back a token that was not due. Called exactly once; must not wait."""
        self.give_back(outcome)
        self.reply_to.reply(outcome)

    def flush(self) -> None:
        """Let the answer leave, as `ReplyTo.flush` does."""
        self.reply_to.flush()

    def give_back(self, outcome: Outcome) -> None:
        """A token is due for what was done now, and for what words or links refused."""
        if self.bucket is not None:
            free = outcome.duplicate if isinstance(outcome, Done) else outcome.code not in ("censored", "external_link")
            if free:
                self.bucket.give_back()


def flush_all(batch: Sequence[Submit]) -> None:
    """Let the answers to a batch leave. Those that one session asked for in a row leave together. A fault of one is
    logged: those of others leave all the same."""
    last = None
    for mail in batch:
        if mail.origin is None or mail.origin is not last:
            try:
                mail.flush()
            except Exception:
                log.exception("%s: an answer could not leave", mail.command.room)
            last = mail.origin
