"""Requests that wait for their reply, in the order they were made, over any number of connections. No I/O.

When a connection breaks, requests that are safe to repeat are sent again on the next one, in the same order: a keyed
`send` is one message however often it is sent, and a change that was made already is acked as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from gochat.protocol import requests as req
from gochat.protocol.requests import AnyRequest


def repeatable(request: AnyRequest) -> bool:
    """Whether carrying the request out twice is the same as once, and is answered the same."""
    if isinstance(request, req.Send):
        return request.key is not None
    if isinstance(request, req.GroupAction):
        # A mute or ban that is set again counts from then on.
        return request.action in ("set", "add", "remove", "role", "unmute", "unban")
    # A position belongs to the connection that it was asked on: the next `hello` carries all of them. An admin's act
    # counts from when it is done, and stands in the audit log each time. A session that has ended is not found.
    return not isinstance(request, req.Resume | req.AdminAction | req.SignOut)


class Pending:
    """Requests by id, each with its bytes.

    Ids are never used again, so that a late reply finds no request rather than another one.
    """

    __slots__ = ("_last", "_sent", "_unsent")

    def __init__(self) -> None:
        self._last = 0
        self._sent: dict[int, tuple[AnyRequest, bytes]] = {}
        self._unsent: dict[int, tuple[AnyRequest, bytes]] = {}

    def __len__(self) -> int:
        return len(self._sent) + len(self._unsent)

    def next_id(self) -> int:
        self._last += 1
        return self._last

    def open(self, number: int, request: AnyRequest, payload: bytes) -> None:
        """Take a request under an id of its own; `payload` is the whole frame, that id in it."""
        self._unsent[number] = (request, payload)

    def close(self, number: int) -> None:
        """The reply has come, or nobody waits for it any more. An unknown id is no error."""
        if self._sent.pop(number, None) is None:
            self._unsent.pop(number, None)

    def take(self) -> Sequence[bytes]:
        """The frames to be sent now; from here on they count as sent."""
        taken = self._unsent
        self._sent.update(taken)
        self._unsent = {}
        return [payload for _, payload in taken.values()]

    def broken(self) -> list[int]:
        """The connection is gone. Returns the ids of requests that were sent and are not safe to repeat; the rest will
        be taken again."""
        lost = [number for number, (request, _) in self._sent.items() if not repeatable(request)]
        for number in lost:
            del self._sent[number]
        self._unsent = {**self._sent, **self._unsent}
        self._sent = {}
        return lost
