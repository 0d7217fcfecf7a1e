"""From a request to its outcome: the same way as a frame's, with a ticket that somebody waits for."""

from __future__ import annotations

from typing import Final

import msgspec
import trio

from gochat.actors.messages import Submit
from gochat.domain.commands import AnyCommand
from gochat.domain.draft import CHANGED
from gochat.domain.turn import Done, Outcome
from gochat.errors import Denied, Full
from gochat.http.rest.context import Call
from gochat.http.rest.refused import Refused
from gochat.protocol.catalogue import to_command
from gochat.protocol.requests import AnyRequest

#: How long a request waits for its command to be settled; a healthy node takes milliseconds.
SETTLE_S: Final = 10.0


class Settlement:
    """The ticket of one command."""

    __slots__ = ("_outcome", "_settled")

    def __init__(self) -> None:
        self._settled = trio.Event()
        self._outcome: Outcome | None = None

    def reply(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._settled.set()

    def flush(self) -> None:
        """Nothing waits: the response is sent by its own task."""

    async def outcome(self) -> Outcome:
        """The command's outcome. After SETTLE_S it is `unavailable`: the command may still be carried out, and nobody
        here will know."""
        with trio.move_on_after(SETTLE_S):
            await self._settled.wait()
        return self._outcome or Denied(
            "unavailable", "the answer did not come in time", retry_after_ms=1000, unknown=True
        )


def check_form(call: Call, request: AnyRequest) -> None:
    """Raises Refused where `carry_out` would refuse the request for its form alone: bad form is reported before a
    failed precondition."""
    command = to_command(request, call.who, call.context.limits)
    if isinstance(command, Denied):
        raise Refused(command)


async def carry_out(call: Call, request: AnyRequest, *, expects: object = None) -> tuple[AnyCommand, Done]:
    """Carry out the command of a frame with this request; it is durable on return. `expects`: a condition that the
    command takes along, so that of two who ask at once, on any node, one finds that it no longer holds. Raises
    Refused."""
    command = to_command(request, call.who, call.context.limits)
    if isinstance(command, Denied):
        raise Refused(command)
    if expects is not None:
        command = msgspec.structs.replace(command, expects=expects)
    reply_to = Settlement()
    try:
        user = call.context.users.at(call.identity.user)
        user.tell(Submit(command, reply_to))
    except Full as full:
        raise Refused(Denied("busy", str(full), retry_after_ms=200)) from full
    outcome = await reply_to.outcome()
    if isinstance(outcome, Denied):
        raise Refused(outcome, status=412 if outcome == CHANGED else None)
    if outcome.duplicate:
        user.quota.refused()
    return command, outcome
