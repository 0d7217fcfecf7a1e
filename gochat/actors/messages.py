"""The mail that actors get. A piece of mail carries whom to answer; it is settled exactly once."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gochat.domain.commands import AnyCommand
from gochat.domain.limits import TokenBucket
from gochat.domain.turn import Done, Outcome
from gochat.errors import Denied


class Ticket(Protocol):
    """The asker's side of one request. Neither method waits or raises."""

    def settle(self, outcome: Outcome) -> None:
        """Answer the request. The bytes may wait for `flush`, so that an ack and its fact leave together."""

    def flush(self) -> None:
        """Let the answer leave."""


class Submit(msgspec.Struct):
    """A command to a room."""

    command: AnyCommand
    ticket: Ticket
    refusal: Denied | None = None
    """What the user's own limits say. The room may know something that goes before it: a recorded key, no such room."""
    bucket: TokenBucket | None = None
    """Where a token was taken for this; it is given back if it turns out that none was due."""

    def settle(self, outcome: Outcome) -> None:
        """Answer the asker. A token is due for what was done now, and for what words or links refused."""
        if self.bucket is not None:
            free = outcome.duplicate if isinstance(outcome, Done) else outcome.code not in ("censored", "external_link")
            if free:
                self.bucket.give_back()
        self.ticket.settle(outcome)
