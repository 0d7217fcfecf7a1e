"""The asker's side of one command: turns its outcome into the reply that the request is due."""

from __future__ import annotations

from typing import Protocol

import msgspec

from gochat.domain.turn import Done, Outcome
from gochat.errors import BY_NAME, Denied
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.codec import Codec
from gochat.transports.outbox import Outbox


class Asker(Protocol):
    """What a ticket needs of its session."""

    codec: Codec
    outbox: Outbox

    def denied(self, denied: Denied, close: int | None = None) -> None: ...
    def settled(self) -> None: ...
    def pump(self) -> None: ...


#: What a request is answered with when it holds: the ack of a fact, `ok` with the fact of a group, only `ok`, or `ok`
#: with what one holds of a user.
ACK, OK_FACT, OK, OK_STATE = range(4)
ANSWERS: dict[type[req.AnyRequest], int] = {
    req.Send: ACK, req.Edit: ACK, req.Delete: ACK, req.React: ACK, req.GroupAction: OK_FACT, req.Read: OK,
    req.Typing: OK, req.Report: OK, req.ContactAction: OK_STATE,
}  # fmt: skip


class Pending:
    """One unsettled command of a session."""

    __slots__ = ("_answer", "_asker", "_epoch", "_id", "_room")

    def __init__(self, asker: Asker, request_id: replies.ReplyId, kind: type[req.AnyRequest], room: str, epoch: str):
        self._asker = asker
        self._id = request_id
        self._answer = ANSWERS[kind]
        self._room = room
        self._epoch = epoch

    def settle(self, outcome: Outcome) -> None:
        asker = self._asker
        asker.settled()
        if isinstance(outcome, Done):
            if self._id is not None:
                asker.outbox.put(asker.codec.encode(self._reply(outcome)))
        else:
            asker.denied(outcome)
            asker.outbox.put(asker.codec.encode(error_frame(self._id, outcome)))

    def flush(self) -> None:
        self._asker.outbox.flush()
        self._asker.pump()

    def _reply(self, done: Done) -> msgspec.Struct:
        if self._answer == ACK:
            return replies.Ack(
                id=self._id, room=self._room, seq=done.seq, epoch=self._epoch, ts=done.ts, duplicate=done.duplicate
            )
        if self._answer == OK_FACT:
            return replies.Ok(id=self._id, room=self._room, seq=done.seq)
        if self._answer == OK_STATE:
            return replies.Ok(id=self._id, room=self._room, head=done.seq, state=done.state)
        return replies.Ok(id=self._id)


def error_frame(request_id: replies.ReplyId, denied: Denied, close: int | None = None) -> replies.Error:
    return replies.Error(
        id=request_id, code=denied.code, message=denied.message, temporary=BY_NAME[denied.code].temporary,
        retry_after_ms=denied.retry_after_ms, rule=denied.rule, unknown=denied.unknown, close=close,
    )  # fmt: skip
