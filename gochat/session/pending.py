"""The session's side of one command: turns its outcome into the reply to the request."""

from __future__ import annotations

import logging
from typing import Protocol

from gochat.actors.actor import INTERNAL
from gochat.actors.messages import Submit
from gochat.connections import Outbox
from gochat.domain.turn import Done, Outcome
from gochat.errors import BY_NAME, Denied
from gochat.protocol import replies
from gochat.protocol.catalogue import Confirmation
from gochat.protocol.codec import Codec

log = logging.getLogger(__name__)


class AskingSession(Protocol):
    """The session, as far as the answer to its command needs it."""

    codec: Codec
    outbox: Outbox
    epoch: str
    waiting: bool
    """Whether frames wait to be carried out."""
    in_flight: int

    def denied(self, denied: Denied, close: int | None = None) -> None: ...
    def repeated(self) -> None: ...
    def pump(self) -> None: ...


class Pending(Submit, eq=False, kw_only=True):
    """One unsettled command of a session."""

    session: AskingSession
    request_id: replies.ReplyId
    confirmation: Confirmation

    def reply(self, outcome: Outcome) -> None:
        session = self.session
        session.in_flight -= 1
        try:
            if isinstance(outcome, Done):
                if outcome.duplicate:
                    self.give_back(outcome)
                    session.repeated()  # Its token is given back.
                if self.request_id is None:
                    return
                reply: replies.Reply
                if self.confirmation == "ack":
                    reply = replies.Ack(
                        id=self.request_id,
                        room=self.command.room,
                        seq=outcome.seq,
                        epoch=session.epoch,
                        ts=outcome.ts,
                        duplicate=outcome.duplicate,
                        request=outcome.asks,
                    )
                else:
                    reply = self._ok(outcome)
                data = session.codec.encode(reply)
            else:
                self.give_back(outcome)
                session.denied(outcome)
                data = session.codec.encode(error_frame(self.request_id, outcome))
        except Exception:
            log.exception("the answer to a request in %s could not be built", self.command.room)
            session.denied(INTERNAL)
            data = session.codec.encode(error_frame(self.request_id, INTERNAL))
        session.outbox.reply(data)

    def flush(self) -> None:
        session = self.session
        if session.outbox.size:
            session.outbox.flush()
        if session.waiting:
            session.pump()

    def _ok(self, done: Done) -> replies.Ok:
        if self.confirmation == "ok_fact":
            return replies.Ok(id=self.request_id, room=self.command.room, seq=done.seq)
        if self.confirmation == "ok_state":
            return replies.Ok(id=self.request_id, room=self.command.room, head=done.seq, state=done.state)
        return replies.Ok(id=self.request_id)


def error_frame(request_id: replies.ReplyId, denied: Denied, close: int | None = None) -> replies.Error:
    return replies.Error(
        id=request_id,
        code=denied.code,
        message=denied.message,
        temporary=BY_NAME[denied.code].temporary,
        retry_after_ms=denied.retry_after_ms,
        rule=denied.rule,
        unknown=denied.unknown,
        close=close,
    )
