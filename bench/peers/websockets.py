"""The websockets library, with its `broadcast`, on uvloop; the little protocol in JSON is the app's own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.load.wire import websocket_frame
from bench.peers.base import Inbox, Marks, Running, Settings, Step, body
from bench.peers.process import APPS, PYTHON, running
from bench.peers.python_socketio import package_version
from bench.peers.websocket import say, upgrade
from bench.server import Cores


class Websockets:
    name = "websockets"
    settings = Settings(
        stored="nothing",
        settled="an ack of the app's own, after the broadcast",
        setup="uvloop, no pings, no compression",
    )
    room_copy = True
    room_acks = True
    direct_acks = True

    def missing(self) -> str | None:
        return None if package_version("websockets", "uvloop") else "websockets (PyPI) is not in .build/peers/venv"

    def version(self) -> str:
        return package_version("websockets")

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        return running(lambda port: [PYTHON, APPS / "websockets_chat.py", str(port)], folder, cores)

    def greeting(self, user: str, room: str | None) -> list[Step]:
        hello = b'{"user":"%s","room":"%s"}' % (user.encode(), (room or "none").encode())
        return [upgrade("/", b""), say(hello, b'"welcome"')]

    def to_room(self, room: str, number: int) -> bytes:
        text = b'{"type":"room","id":%d,"room":"%s","body":"%s"}' % (number, room.encode(), body(number))
        return websocket_frame(text)

    def to_user(self, user: str, number: int) -> bytes:
        text = b'{"type":"user","id":%d,"to":"%s","body":"%s"}' % (number, user.encode(), body(number))
        return websocket_frame(text)

    def inbox(self) -> Inbox:
        return Marks(b'"ack"')
