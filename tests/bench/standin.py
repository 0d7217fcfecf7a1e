"""A server that records nothing and speaks just enough of the contract for the load, over WebSocket and TCP. On demand
it does one thing wrong, at message `--at`, to the user `--victim` (or to everyone); or at the delivery `--nth`, counted
over all who get any.

Faults: drop, repeat, swap, body (of a fact); ack (a wrong seq); refuse (an error); forget (the rooms, in `welcome`);
short (a replay, by one); page (of history, by one); die (the process ends).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

Put = Callable[[bytes], None]


class Chat:
    def __init__(self, fault: str, at: int, nth: int, victim: str, kept: Path) -> None:
        self._fault, self._at, self._nth, self._victim, self._kept = fault, at, nth, victim, kept
        self._members: dict[str, list[str]] = json.loads(kept.read_text()) if kept.exists() else {}
        self._heads: dict[str, int] = defaultdict(int)
        self._sessions: dict[str, list[Put]] = defaultdict(list)
        self._facts: dict[str, list[bytes]] = defaultdict(list)
        self._keys: dict[tuple[str, str, str], int] = {}
        self._held: dict[tuple[str, str], bytes] = {}
        self._delivered = 0

    def hello(self, user: str, resume: dict[str, dict[str, Any]], put: Put) -> None:
        forgot = self._fault == "forget"
        mine = [] if forgot else [room for room, members in self._members.items() if user in members]
        told: dict[str, list[dict[str, str]]] = {"dm": [], "group": []}
        for room in mine:
            told[room.split(":")[0]].append({"room": room, "head": self._heads[room], "epoch": "0"})
        lists = {"contacts": told["dm"], "rooms": told["group"], "requests": []}
        put(encoded({"type": "welcome", "id": 0, "user": user, **lists}))
        for room, position in resume.items():
            short = -1 if self._fault == "short" else None
            for fact in self._facts[room][position["seq"] : short]:
                put(fact)
        self._sessions[user].append(put)

    def keep(self) -> None:
        self._kept.parent.mkdir(exist_ok=True)
        self._kept.write_text(json.dumps(self._members))

    def bye(self, user: str, put: Put) -> None:
        self._sessions[user].remove(put)

    def request(self, user: str, frame: dict[str, Any], put: Put) -> None:
        number = {"id": frame["id"]} if "id" in frame else {}
        if frame["type"] == "send":
            self._send(user, frame, put)
        elif frame["type"] == "group":
            room = f"group:{frame['name']}"
            self._members.setdefault(room, [user]).extend(frame["users"])
            fact = {"type": "member", "room": room, "seq": self._next(room), "users": frame["users"]}
            self._facts[room].append(encoded(fact))
            put(encoded({"type": "ok", **number, "room": room, "seq": self._heads[room]}))
        elif frame["type"] == "contact":
            put(encoded({"type": "ok", **number, "state": "contact"}))
        elif frame["type"] == "ping":
            put(encoded({"type": "pong", **number}))
        elif frame["type"] == "history":
            self._page(frame, put)
        elif frame["type"] == "search":
            put(encoded({"type": "results", **number, "entries": []}))
        elif number:
            put(encoded({"type": "ok", **number}))

    def _next(self, room: str) -> int:
        self._heads[room] += 1
        return self._heads[room]

    def _page(self, frame: dict[str, Any], put: Put) -> None:
        room, limit = frame["room"], frame.get("limit", 50)
        stop = min(frame.get("before", 1 << 40) - 1, self._heads[room])
        start = max(0, stop - limit)
        facts = self._facts[room][start:stop]
        if self._fault == "page" and frame["id"] == self._at:
            facts = facts[1:]
        entries = b",".join(facts).decode()
        head = json.dumps({"type": "page", "id": frame["id"], "room": room, "epoch": "0", "head": self._heads[room]})
        put(f'{head[:-1]},"complete":true,"entries":[{entries}]}}'.encode())

    def _send(self, user: str, frame: dict[str, Any], put: Put) -> None:
        kind, _, name = frame["to"].partition(":")
        room = ":".join(["dm", *sorted((user, name))]) if kind == "user" else frame["to"]
        place = (user, room, frame.get("key", ""))
        if place[2] and place in self._keys:
            ack = {"type": "ack", "id": frame["id"], "room": room, "seq": self._keys[place], "duplicate": True}
            put(encoded(ack))
            return
        members = self._members.setdefault(room, room.split(":")[1:])
        seq, number = self._next(room), frame["id"]
        self._keys[place] = seq
        hit = number == self._at
        if hit and self._fault == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if hit and self._fault == "refuse":
            put(encoded({"type": "error", "id": number, "code": "busy", "message": "a queue is full"}))
        acked = seq + 1 if hit and self._fault == "ack" else seq
        put(encoded({"type": "ack", "id": number, "room": room, "seq": acked, "epoch": "0", "ts": 0}))
        fact = {"type": "message", "room": room, "seq": seq, "ts": 0, "from": user, "body": frame["body"]}
        plain = encoded(fact)
        self._facts[room].append(plain)
        other = encoded({**fact, "body": fact["body"][::-1]})
        for member in members:
            # A member without a session gets nothing: a fault there would be one that nobody can see.
            if sessions := self._sessions[member]:
                for payload in self._faulty(member, room, plain, other, hit):
                    for session in sessions:
                        session(payload)

    def _faulty(self, member: str, room: str, fact: bytes, other: bytes, hit: bool) -> list[bytes]:
        self._delivered += 1
        if self._nth:
            hit = self._delivered == self._nth
        # Until the next fact of the same room: between two rooms there is no order that could be wrong.
        held = [self._held.pop((member, room))] if (member, room) in self._held else []
        if not hit or self._victim not in (member, "everyone"):
            return [fact, *held]
        if self._fault == "swap":
            self._held[member, room] = fact
        return {"drop": [], "swap": [], "repeat": [fact, fact], "body": [other]}.get(self._fault, [fact])


def encoded(frame: dict[str, Any]) -> bytes:
    return json.dumps(frame).encode()


def user_of(token: str) -> str:
    claims = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


async def serve(
    chat: Chat, read: Callable[[], Awaitable[list[bytes]]], write: Callable[[list[bytes]], Awaitable[None]]
) -> None:
    """One connection: `read` gives frames, none at the end; `write` takes them."""
    outbox, waiting = trio.open_memory_channel[bytes](100_000)

    async def pump() -> None:
        with suppress(ConnectionClosed, trio.BrokenResourceError):
            async for payload in waiting:
                payloads = [payload]
                while waiting.statistics().current_buffer_used:
                    payloads.append(waiting.receive_nowait())
                await write(payloads)

    put = outbox.send_nowait
    user = ""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pump)
        while payloads := await read():
            for payload in payloads:
                frame = json.loads(payload)
                if frame["type"] == "hello":
                    user = user_of(frame["token"])
                    chat.hello(user, frame.get("resume", {}), put)
                else:
                    chat.request(user, frame, put)
        nursery.cancel_scope.cancel()
    if user:
        chat.bye(user, put)


async def over_tcp(chat: Chat, stream: trio.SocketStream) -> None:
    rest = b""

    async def read() -> list[bytes]:
        nonlocal rest
        with suppress(trio.BrokenResourceError):
            while data := await stream.receive_some():
                *lines, rest = (rest + data).split(b"\n")
                if found := [line for line in lines if line]:
                    return found
        return []

    await serve(chat, read, lambda payloads: stream.send_all(b"".join(payload + b"\n" for payload in payloads)))


async def over_websocket(chat: Chat, request: WebSocketRequest) -> None:
    connection = await request.accept(subprotocol="gochat.v1.json")

    async def read() -> list[bytes]:
        try:
            message = await connection.get_message()
            return [message if isinstance(message, bytes) else message.encode()]
        except ConnectionClosed:
            return []

    async def write(payloads: list[bytes]) -> None:
        for payload in payloads:
            await connection.send_message(payload.decode())

    await serve(chat, read, write)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", default="")
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--nth", type=int, default=0)
    parser.add_argument("--victim", default="everyone")
    for name in ("--data", "--http", "--tcp"):
        parser.add_argument(name, required=True)
    args = parser.parse_args()
    chat = Chat(args.fault, args.at, args.nth, args.victim, Path(args.data) / "rooms.json")
    http, tcp = (int(bind.rpartition(":")[2]) for bind in (args.http, args.tcp))
    async with trio.open_nursery() as nursery:
        websockets = await nursery.start(serve_websocket, partial(over_websocket, chat), "127.0.0.1", http, None)
        lines = await nursery.start(partial(trio.serve_tcp, partial(over_tcp, chat), tcp, host="127.0.0.1"))
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            # In the words of a node, which the harness waits for; from then on it may send the signal.
            print(f"listening on http://127.0.0.1:{websockets.port}", flush=True)
            print(f"listening on tcp://127.0.0.1:{lines[0].socket.getsockname()[1]}", flush=True)
            async for _ in signals:
                nursery.cancel_scope.cancel()
    chat.keep()


if __name__ == "__main__":
    trio.run(main)
