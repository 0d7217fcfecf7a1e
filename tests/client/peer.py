"""A scripted server for what a real one can't be made to do on demand: lag, reset, silence, a cut in mid-frame."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from gochat.protocol.ndjson import LineReader

TEA = "group:tea"


def message(seq: int, room: str = TEA) -> dict[str, Any]:
    return {"type": "message", "room": room, "seq": seq, "ts": seq, "from": "bob", "body": f"m{seq}"}


def listed(head: int, room: str = TEA, epoch: str = "e1") -> dict[str, Any]:
    return {"room": room, "title": "", "role": "member", "epoch": epoch, "head": head, "read": 0, "unread": 0}


class Visit:
    """One connection, as the server sees it. Everything that waits, waits at most 5 s."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._reader = LineReader(1 << 20)
        self._lines: list[bytes] = []

    async def receive(self) -> dict[str, Any]:
        """The next frame; pings of the client are passed over."""
        with trio.fail_after(60):
            while not self._lines:
                data = await self.stream.receive_some()
                if not data:
                    raise EOFError
                self._lines = self._reader.feed(data)
        frame: dict[str, Any] = json.loads(self._lines.pop(0))
        return frame

    async def expect(self, kind: str) -> dict[str, Any]:
        frame = await self.receive()
        assert frame["type"] == kind, frame
        return frame

    async def send(self, *frames: dict[str, Any]) -> None:
        with trio.fail_after(60):
            await self.stream.send_all(b"".join(json.dumps(frame).encode() + b"\n" for frame in frames))

    async def welcome(self, *rooms: dict[str, Any], **fields: Any) -> dict[str, Any]:
        """Answer the `hello`, which is returned."""
        hello = await self.expect("hello")
        limits = {
            "frame_bytes": 65_536,
            "body_chars": 4_000,
            "add_users": 200,
            "group_members": 9,
            "window": 128,
            "sessions": 20,
            "messages_per_s": 1.0,
            "message_burst": 1,
            "key_days": None,
        }
        frame = {
            "type": "welcome",
            "user": "ann",
            "session": "s",
            "node": "n",
            "server": "scripted",
            "heartbeat_s": 30,
            "limits": limits,
            "contacts": [],
            "rooms": list(rooms),
            "requests": [],
            "epoch": "e1",
        }
        await self.send(frame | fields)
        return hello

    async def reply(self, request: dict[str, Any], kind: str, **fields: Any) -> None:
        await self.send({"type": kind, "id": request["id"], **fields})

    async def ack(self, request: dict[str, Any], seq: int = 1) -> None:
        await self.reply(request, "ack", room=TEA, seq=seq, epoch="e1", ts=1)

    async def refuse(self, request: dict[str, Any], code: str, temporary: bool = False, **fields: Any) -> None:
        await self.reply(request, "error", code=code, message=f"it is {code}", temporary=temporary, **fields)

    async def close(self) -> None:
        await self.stream.aclose()

    async def closed(self) -> bool:
        """Whether the client has closed, and said nothing before."""
        with trio.fail_after(60):
            return not await self.stream.receive_some()


class Peer:
    """Accepts connections one at a time."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self.visits: list[Visit] = []

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self._listener.socket.getsockname()[1]}"

    async def visit(self) -> Visit:
        """The next connection."""
        with trio.fail_after(60):
            visit = Visit(await self._listener.accept())
        self.visits.append(visit)
        return visit

    async def idle(self, seconds: float = 0.3) -> bool:
        """Whether nobody connects for so long."""
        with trio.move_on_after(seconds):
            await self._listener.accept()
            return False
        return True


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    scripted = Peer(listener)
    try:
        yield scripted
    finally:
        with trio.move_on_after(1, shield=True):
            for visit in scripted.visits:
                await visit.close()
            await listener.aclose()
