"""A reply that can't be built is an error for its asker, whose credit comes back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gochat.domain.commands import Send
from gochat.domain.turn import Done
from gochat.errors import Denied
from gochat.protocol.catalogue import Confirmation
from gochat.protocol.codec import LINE_JSON
from gochat.session.pending import Pending


class AskingSession:
    def __init__(self) -> None:
        self.codec, self.outbox, self.epoch, self.waiting, self.in_flight = self, self, "e", False, 1
        self.sent: list[Any] = []
        self.denials: list[str] = []

    def encode(self, frame: msgspec.Struct) -> bytes:
        if type(frame).__name__ != "Error":
            raise RuntimeError("a fault of the encoder")
        return LINE_JSON.encode(frame)

    def reply(self, data: bytes) -> None:
        self.sent.append(msgspec.json.decode(data))

    def denied(self, denied: Denied, close: int | None = None) -> None:
        self.denials.append(denied.code)

    def pump(self) -> None: ...


@pytest.mark.parametrize("confirmation", ["ack", "ok_state"])
def test_a_reply_that_cannot_be_built(confirmation: Confirmation) -> None:
    session: Any = AskingSession()
    command = Send(room="group:tea", user="ann", body="x")
    Pending(command=command, session=session, request_id=7, confirmation=confirmation).reply(Done(1, 1))
    assert [(frame["id"], frame["code"]) for frame in session.sent] == [(7, "internal")]
    assert (session.in_flight, session.denials) == (0, ["internal"])
