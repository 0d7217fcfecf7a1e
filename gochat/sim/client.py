"""A client that takes its steps, comes back when its connection breaks, and asks again for whatever was not answered.

It is what a stranger could have written from docs/reference/protocol.md, and it writes down all that it saw: evidence
for the checker, which sees nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from gochat.sim import plan as steps
from gochat.sim.evidence import Asked, Evidence, Fact, Look, Name
from gochat.sim.frames import FACTS, Frame, Trace, decode, encode, fact_of, group_change, is_sent_once
from gochat.sim.network import Connect, Gone, Wire

#: Messages that are sent and not acked.
WINDOW: Final = 4
#: How long it waits for a sign of life before it asks for one, or gives the connection up.
PATIENCE_S: Final = 5.0
#: Pauses before it connects again, and before it asks again where it was not told when.
RECONNECT_S: Final = 0.1
RETRY_S: Final = 0.3
PAGE: Final = 100

_IGNORED: Final = frozenset(("read", "got", "typing", "presence", "contact", "request", "pong", "ok"))


class _Request:
    """Something to be done, until it is known what came of it."""

    def __init__(self, frame: Frame, asked: Asked) -> None:
        self.frame = frame
        self.asked = asked
        self.connection = 0
        """The last one that it was sent on; 0: it waits to be sent."""
        self.done = trio.Event()


class Client:
    """`run` takes the steps and then goes on listening, for ever."""

    def __init__(
        self,
        plan: steps.ClientPlan,
        nodes: Sequence[str],
        rooms: Sequence[str],
        connect: Connect,
        token: str,
        evidence: Evidence,
        trace: Trace,
    ) -> None:
        self.name = plan.name
        self.user = plan.user
        self.finished = False
        """Whether all steps are taken, and all requests answered."""
        self._steps = plan.steps
        self._nodes = nodes
        self._go_to(plan.node)
        self._connect = connect
        self._token = token
        self._evidence = evidence
        self._trace = trace
        self._held = dict.fromkeys(rooms, 0)
        """The last seq of each room."""
        self._heard: dict[str, list[Fact]] = {room: [] for room in rooms}
        evidence.heard[self.name] = self._heard
        evidence.users[self.name] = self.user
        self._requests: dict[str, _Request] = {}
        self._count = 0
        self._connection = 0
        self._wire: Wire | None = None
        self._welcomed = False
        self._epochs: dict[str, str] = {}
        """By room that of the log which its `held` belongs to."""
        self._epoch: str | None = None
        """That of every log, as the welcome of this connection tells it."""
        self._mine: list[tuple[str, int]] = []
        """Room and seq of its own messages that were acked."""
        self._closing = False
        self._lagging: set[str] = set()
        """Rooms with a gap in what was told, until they are resumed."""
        self._resuming: dict[str, list[Frame]] = {}
        """By room that it has asked to be told again, the frames since then: after the answer they come once more."""
        self._retries: trio.Nursery

    # ------------------------------------------------------------------------------------------ taking steps

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            self._retries = nursery
            nursery.start_soon(self._stay_connected)
            for step in self._steps:
                await trio.sleep(step.after_ms / 1000)
                await self._take(step)
            for request in list(self._requests.values()):
                await request.done.wait()
            self.finished = True

    async def look_again(self) -> None:
        """Read a room, on the connection that is there."""
        room = next(iter(self._heard), None)
        if room is not None:
            await self._take(steps.Look(room=room))

    def waits_for(self) -> str:
        """The thing that it waits for, in words; empty: nothing."""
        frames = [encode(request.frame).decode() for request in self._requests.values()]
        if frames:
            return f"an answer to {frames[0]}" + (f", and {len(frames) - 1} more" if frames[1:] else "")
        if self.finished:
            return ""
        return "a step" if self._welcomed else "a connection"

    async def _take(self, step: steps.AnyStep) -> None:
        match step:
            case steps.Send(room=room, keyed=keyed):
                await self._send(room, keyed=keyed)
            case steps.Edit(back=back) if back < len(self._mine):
                room, seq = self._mine[-1 - back]
                await self._ask_for({"type": "edit", "room": room, "seq": seq, "body": f"{self._next('e')} edited"})
            case steps.Delete(back=back) if back < len(self._mine):
                room, seq = self._mine[-1 - back]
                await self._ask_for({"type": "delete", "room": room, "seq": seq})
            case steps.React(room=room, seq=most, on=on):
                known = [fact.seq for fact in self._heard.get(room, ()) if fact.kind == "message" and fact.seq <= most]
                if known:
                    await self._ask_for(
                        {"type": "react", "room": room, "seq": known[-1], "emoji": "\N{THUMBS UP SIGN}", "on": on}
                    )
            case steps.Guess(room=room):
                await self._send(room)
                seq = self._held.get(room, 0) + sum(
                    request.frame["type"] == "send" and request.frame["to"] == room
                    for request in self._requests.values()
                )
                await self._ask_for({"type": "edit", "room": room, "seq": seq, "body": f"{self._next('e')} guessed"})
            case steps.Group():
                await self._ask_for(group_change(step))
            case steps.Contact(user=user, action=action):
                await self._ask_for({"type": "contact", "user": user, "action": action})
            case steps.Look(room=room):
                await self._ask_for({"type": "history", "room": room, "limit": PAGE})
            case steps.Reconnect(node=node) if self._wire is not None:
                self._go_to(node or self._nodes[0])
                self._closing = True
                self._wire.close()
            case steps.Resume(room=room) if self._welcomed:
                self._resume(room)
            case steps.Pause(for_ms=for_ms) if self._wire is not None:
                wire = self._wire
                wire.reading = trio.Event()
                await trio.sleep(for_ms / 1000)
                wire.reading.set()

    def _resume(self, room: str) -> None:
        """Have a room told again that nothing was left out of."""
        if room in self._lagging or room in self._resuming:
            return
        self._resuming[room] = []
        epoch = {"epoch": self._epochs[room]} if room in self._epochs else {}
        self._put({"type": "resume", "id": f"s:{room}", "room": room, "seq": self._held[room], **epoch})

    def _go_to(self, node: str) -> None:
        """Try this machine first from now on."""
        first = self._nodes.index(node)
        self._nodes = [*self._nodes[first:], *self._nodes[:first]]

    async def _send(self, room: str, *, keyed: bool = True) -> None:
        open_now = [request for request in self._requests.values() if request.frame["type"] == "send"]
        if len(open_now) >= WINDOW:
            await open_now[0].done.wait()
        key = self._next("m")
        if not keyed:
            body = f"{key} without a key"
            self._evidence.sent_once[body] = (room, self.user)
            self._begin({"type": "send", "to": room, "body": body})
            return
        name, body = Name(room, self.user, key), f"{key} in {room}"
        self._evidence.sent[name] = body
        self._begin({"type": "send", "to": room, "key": key, "body": body})

    async def _ask_for(self, frame: Frame) -> None:
        await self._begin(frame).done.wait()

    def _next(self, kind: str) -> str:
        self._count += 1
        return f"{self.name}-{kind}{self._count}"

    def _begin(self, frame: Frame) -> _Request:
        request_id = self._next("q")
        asked = Asked(self.name, self.user, frame, trio.current_time())
        self._evidence.asked.append(asked)
        request = self._requests[request_id] = _Request({"id": request_id, **frame}, asked)
        self._try(request)
        return request

    def _try(self, request: _Request) -> None:
        """Send it, if it is not answered and not on its way on this connection."""
        if not self._welcomed or request.done.is_set() or request.connection == self._connection:
            return
        if request.asked.connection and request.asked.connection != self._connection:
            if is_sent_once(request.frame):
                self._give_up(request)
                return
            request.asked.maybe_before = True
        request.connection = request.asked.connection = self._connection
        request.asked.tries += 1
        if request.asked.frame["type"] == "history":
            request.asked.at = trio.current_time()
        self._put(request.frame)

    # ------------------------------------------------------------------------------------------ connections

    async def _stay_connected(self) -> None:
        while True:
            try:
                self._wire = self._connect(self._nodes[0])
                self._connection += 1
                self._epoch = None
                self._evidence.served[self.name, self._connection] = self._wire.instance
                await self._converse(self._wire)
            except Gone as gone:
                self._trace(f"{self.name} lost", str(gone.code).encode())
                if gone.code is not None and gone.code >= 4500:
                    self._evidence.complaints.append(f"{self.name}: closed with {gone.code}")
            if self._wire is not None:
                self._wire.close()
            self._wire, self._welcomed = None, False
            if self._closing:
                self._closing = False
            else:
                self._nodes = [*self._nodes[1:], self._nodes[0]]
            await trio.sleep(RECONNECT_S)

    async def _converse(self, wire: Wire) -> None:
        """Raises Gone."""
        resume = {
            room: {"seq": seq} | ({"epoch": self._epochs[room]} if room in self._epochs else {})
            for room, seq in self._held.items()
        }
        self._put({"type": "hello", "id": "hello", "token": self._token, "device": self.name, "resume": resume})
        asked_at = trio.current_time()
        pinged = False
        while True:
            data = None
            with trio.move_on_after(PATIENCE_S):
                data = await wire.receive()
            if data is None:
                if not wire.reading.is_set():
                    continue
                if pinged or not self._welcomed:
                    wire.sever(node_told=False)
                    raise Gone
                pinged = True
                self._put({"type": "ping", "id": "ping"})
                continue
            pinged = False
            for line in data.splitlines():
                self._trace(f"{self.name} <", line)
                self._take_in(decode(line), asked_at)

    def _put(self, frame: Frame) -> None:
        line = encode(frame)
        shown = encode({**frame, "token": "..."}) if "token" in frame else line
        self._trace(f"{self.name} >", shown)
        if self._wire is not None:
            try:
                self._wire.send(line)
            except Gone:
                return  # The listening task finds it out too, and connects again.

    # ------------------------------------------------------------------------------------------ taking in

    def _take_in(self, frame: Frame, asked_at: float) -> None:
        kind, reply_to = frame["type"], frame.get("id")
        if self._is_to_come_again(frame):
            self._resuming[frame["room"]].append(frame)
        elif kind in FACTS:
            self._hear(frame["room"], fact_of(frame), live=True)
        elif kind == "welcome":
            self._welcome(frame, asked_at)
        elif kind == "reset":
            self._start_anew(frame["room"], frame["epoch"], frame["head"])
        elif reply_to in self._requests:
            self._take_answer(self._requests[reply_to], frame)
        elif isinstance(reply_to, str) and reply_to[:2] in ("p:", "r:"):
            self._catch_up(reply_to[2:], frame)
        elif isinstance(reply_to, str) and reply_to[:2] == "s:":
            held_back = self._resuming.pop(reply_to[2:])
            for each in held_back if kind == "error" else ():
                self._take_in(each, asked_at)
        elif kind == "lag":
            self._fall_behind(frame["room"])
        elif kind == "ping":
            self._put({"type": "pong"})
        elif kind in ("goaway", "error"):
            if kind == "error" and frame.get("close") is None and not frame["temporary"]:
                self._evidence.complaints.append(f"{self.name} was told {frame}")
        elif kind not in _IGNORED:
            self._evidence.complaints.append(f"{self.name} was told {frame}")

    def _fall_behind(self, room: str) -> None:
        if room in self._lagging:
            self._evidence.complaints.append(f"{self.name} was told twice that {room} lags")
        self._lagging.add(room)
        self._page(room)

    def _is_to_come_again(self, frame: Frame) -> bool:
        """Whether it comes once more, of a room that is about to be told again."""
        if frame.get("room") not in self._resuming:
            return False
        return frame["type"] == "lag" or (frame["type"] in FACTS and frame["seq"] > self._held[frame["room"]])

    def _welcome(self, frame: Frame, asked_at: float) -> None:
        self._welcomed = True
        self._lagging, self._resuming = set(), {}
        self._epoch = frame["epoch"]
        now = trio.current_time()
        for entry in frame["rooms"]:
            self._note_epoch(entry)
            self._evidence.looks.append(
                Look(
                    self.name,
                    self.user,
                    entry["room"],
                    asked_at,
                    now,
                    entry["head"],
                    not frame.get("incomplete", False),
                    self._connection,
                )
            )
        for request in list(self._requests.values()):
            request.connection = 0
            self._try(request)

    def _note_epoch(self, frame: Frame) -> None:
        if "epoch" not in frame:
            return
        self._epochs.setdefault(frame["room"], frame["epoch"])
        if self._epoch != frame["epoch"]:
            # With another epoch every client has to come again: else it would never hear what the log has lost.
            self._evidence.complaints.append(
                f"{self.name} was told of {frame['epoch']}, on a connection of {self._epoch}"
            )

    def _start_anew(self, room: str, epoch: str, head: int) -> None:
        """The room's log is another one."""
        known = self._epochs.get(room)
        self._evidence.resets.append((self.name, room, known, epoch))
        hearings = self._evidence.hearings.get(self.name, {}).pop(room, [])
        for fact, (connection, _) in zip(self._heard.get(room, ()), hearings, strict=True):
            self._evidence.before_resets.append((self.name, room, connection, fact))
        self._heard[room] = []
        self._evidence.begins[self.name, room] = self._held[room] = head
        self._epochs[room] = epoch
        self._mine = [place for place in self._mine if place[0] != room]

    def _hear(self, room: str, fact: Fact, *, live: bool) -> None:
        self._held[room] = fact.seq
        if self._epoch is not None:
            self._epochs.setdefault(room, self._epoch)
        self._heard.setdefault(room, []).append(fact)
        at = trio.current_time()
        self._evidence.hearings.setdefault(self.name, {}).setdefault(room, []).append((self._connection, at))
        if not live or fact.key is None or fact.sender != self.user:
            return
        for request in self._requests.values():
            if (
                request.frame.get("key") == fact.key
                and request.asked.tries == 1
                and request.connection == self._connection
            ):
                self._evidence.complaints.append(f"{self.name} heard {room}:{fact.seq} before the ack")

    def _take_answer(self, request: _Request, reply: Frame) -> None:
        asked = request.asked
        if reply["type"] == "error" and reply["temporary"] and is_sent_once(request.frame):
            self._give_up(request)
            return
        if reply["type"] == "error" and reply["temporary"]:
            asked.maybe_before |= reply.get("unknown", False)
            request.connection = 0
            pause_s = reply.get("retry_after_ms", RETRY_S * 1000) / 1000
            self._retries.start_soon(self._try_later, request, pause_s)
            return
        del self._requests[request.frame["id"]]
        asked.answered_at = trio.current_time()
        asked.reply = reply
        self._note_epoch(reply)
        if reply["type"] == "error" and reply["code"] == "internal":
            self._evidence.complaints.append(f"{self.name}: {request.frame} was answered {reply}")
        if asked.frame["type"] == "send" and reply["type"] == "ack" and "key" in asked.frame:
            self._evidence.acks.append((Name(reply["room"], self.user, asked.frame["key"]), reply["seq"]))
            self._mine.append((reply["room"], reply["seq"]))
        elif reply["type"] == "page":
            self._evidence.looks.append(
                # A node that is one of several may answer a live session a moment before it has heard of the latest.
                Look(
                    self.name,
                    self.user,
                    reply["room"],
                    asked.at,
                    asked.answered_at,
                    reply["head"],
                    len(self._nodes) == 1,
                    self._connection,
                )
            )
        request.done.set()

    def _give_up(self, request: _Request) -> None:
        """It may have been carried out."""
        del self._requests[request.frame["id"]]
        request.done.set()

    async def _try_later(self, request: _Request, pause_s: float) -> None:
        await trio.sleep(pause_s)
        self._try(request)

    def _page(self, room: str) -> None:
        self._put({"type": "history", "id": f"p:{room}", "room": room, "after": self._held[room], "limit": PAGE})

    def _catch_up(self, room: str, reply: Frame) -> None:
        """The answer to a page of a room that lags, or to its resuming."""
        if reply["type"] == "ok":
            self._lagging.discard(room)
        if reply["type"] == "page":
            for entry in reply["entries"]:
                self._hear(room, fact_of(entry), live=False)
            if reply["entries"] and self._held[room] < reply["head"]:
                self._page(room)
            else:
                self._put({"type": "resume", "id": f"r:{room}", "room": room, "seq": self._held[room]})
        elif reply["type"] == "error" and reply["temporary"]:
            self._retries.start_soon(self._page_later, room, self._connection)

    async def _page_later(self, room: str, connection: int) -> None:
        await trio.sleep(RETRY_S)
        if connection == self._connection and self._welcomed:
            self._page(room)
