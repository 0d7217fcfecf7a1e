"""Socket.IO 4 over WebSocket alone (EIO=4): packets by hand, since a client in the load's process must be cheap.

`40{auth}` connects, `42N[event, data]` is an event that wants ack N, `43N[value]` is the ack.
"""

from __future__ import annotations

from bench.load.wire import websocket_frame
from bench.peers.base import Inbox, Marks, Settings, Step, body
from bench.peers.websocket import say, upgrade

ACK = b'["ok"]'


class SocketIO:
    """The protocol; the two servers are told apart by who runs it."""

    settings = Settings(
        stored="nothing",
        settled="ack callback, called after the emit",
        setup="WebSocket only, pings every 300 s, no compression",
    )
    room_copy = True
    room_acks = True
    direct_acks = True

    def greeting(self, user: str, room: str | None) -> list[Step]:
        steps = [
            upgrade("/socket.io/?EIO=4&transport=websocket", rb'.*0\{"sid"'),
            say(b'40{"user":"%s"}' % user.encode(), rb'40\{"sid"'),
        ]
        if room:
            steps.append(say(b'420["join",{"room":"%s"}]' % room.encode(), rb'430\["ok"\]'))
        return steps

    def to_room(self, room: str, number: int) -> bytes:
        text = b'42%d["room",{"room":"%s","body":"%s"}]' % (number, room.encode(), body(number))
        return websocket_frame(text)

    def to_user(self, user: str, number: int) -> bytes:
        text = b'42%d["direct",{"to":"%s","body":"%s"}]' % (number, user.encode(), body(number))
        return websocket_frame(text)

    def inbox(self) -> Inbox:
        return Marks(ACK)
