"""Where the script is played: a node, and sessions by the names that the script has for them."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import trio

from gochat.actors.actor import Registry
from gochat.auth import tokens as auth
from gochat.auth.claims import DEFAULT_SCOPES
from gochat.domain.turn import Turn
from gochat.errors import Full
from gochat.node import Node, running
from tests.certificates import localhost
from tests.conformance.transcript import Frame, Received, Step, normal
from tests.conformance.wires import Closed, Wire
from tests.e2e.conftest import make_settings
from tests.store.write.test_faults import full_disk
from tests.waiting import until

AnyStage = TypeVar("AnyStage", bound="Stage")

#: How long anything that the script waits for may take, on a machine that has much else to do.
WAIT_S = 60.0

SETTINGS: dict[str, dict[str, Any]] = {
    "limits": {"messages_per_s": 0.0, "refusals_per_s": 0.0, "reads_per_s": 0.0, "add_users": 5},
    "policy": {
        "strangers": "request", "request_messages": 2, "request_budget": 3, "add_budget": 3,
        "word_action": "refuse", "links": "deny", "own_domains": ["chat.example"], "words_file": "{words}",
    },
    # No ping comes unasked: on TCP it is an event, on a WebSocket it is none.
    "session": {"token_grace_s": 0.2, "heartbeat_s": 3_600.0},
    "auth": {"leeway_s": 0},
    "node": {"name": "node", "drain_s": 3.0},
}  # fmt: skip
WORDS = "frobnicate\n"


class Stage:
    """Plays one step after the other."""

    def __init__(self, node: Node, wire: type[Wire], trusted: Path, nursery: trio.Nursery, leave: trio.Event) -> None:
        self.node = node
        self.sessions: dict[str, Wire] = {}
        self._wires: list[Wire] = []
        self._wire = wire
        self._trusted = trusted
        self._nursery = nursery
        self._leave = leave
        self._count = 0
        self._asked: dict[str, object] = {}
        self._epochs: dict[str, str] = {}
        self._next = ""

    async def aclose(self) -> None:
        """Close every connection that was ever opened."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + WAIT_S):
            for wire in self._wires:
                await wire.close()

    async def play(self, step: Step) -> list[Received]:
        """Do what the step says; what then comes to the sessions that it names, as often as it names them."""
        with trio.fail_after(WAIT_S):
            await self.do(step)
            return [Received(line.session, await self.receive(line.session)) for line in self.expects(step)]

    def expects(self, step: Step) -> list[Received]:
        """All that comes of the step, as this transport has it: protocol.md, "nng", names the differences."""
        received = [
            line._replace(frame=0) if isinstance(line.frame, int) and line.frame in self._wire.untold else line
            for line in step.received
        ]
        if not self._wire.replies_first:
            return received
        return sorted(received, key=lambda line: not (isinstance(line.frame, dict) and "id" in line.frame))

    async def do(self, step: Step) -> None:
        if step.send is not None:
            await self.sessions[step.session].send(self.request(step.session, step.send))
            return
        act, _, rest = step.act.partition(" ")
        await self._acts[step.session == "node", act](self, step.session, rest)

    def request(self, session: str, frame: Frame) -> Frame:
        """The frame with an id of its own, unless it has one or says that it has none; placeholders are filled."""
        self._count += 1
        frame = {
            "type": frame["type"],
            "id": self._count,
            **{name: self._filled(value) for name, value in frame.items()},
        }
        if frame["id"] is None:
            del frame["id"]
        self._asked[session] = frame.get("id")
        return frame

    async def receive(self, session: str) -> Frame | int:
        """The next frame, in its normal form. An error that only says why the connection ends stands for that end."""
        try:
            frame = await self.sessions[session].receive()
            while frame["type"] == "error" and "close" in frame and "id" not in frame:
                frame = await self.sessions[session].receive()
        except Closed as closed:
            return closed.number or 0
        self._remember(frame)
        return normal(frame, self._asked.get(session))

    def _remember(self, frame: Frame) -> None:
        for entry in (frame, *frame.get("rooms", ()), *frame.get("contacts", ())):
            if "epoch" in entry and "room" in entry:
                self._epochs[entry["room"]] = entry["epoch"]
        self._next = frame.get("next") or self._next

    # ------------------------------------------------------------------------------------------ placeholders

    def _filled(self, value: Any) -> Any:
        """`<token USER>`, with scopes or a time to live; `<epoch ROOM>`, `<next>`, `<long CHARACTERS>`."""
        if isinstance(value, dict):
            return {name: self._filled(inner) for name, inner in value.items()}
        if not isinstance(value, str) or not (found := re.fullmatch(r"<(\w+) ?(.*)>", value)):
            return value
        kind, words = found[1], found[2].split()
        match kind:
            case "token":
                return self._token(*words)
            case "epoch":
                return self._epochs[words[0]]
            case "next":
                return self._next
            case "long":
                return "x" * int(words[0])
        raise ValueError(f"{value} stands for nothing")

    def _token(self, user: str, *more: str) -> str:
        scopes = [scope for scope in more if not scope[0].isdigit()] or list(DEFAULT_SCOPES)
        ttl_s = next((int(word.removesuffix("s")) for word in more if word[0].isdigit()), 3_600)
        return auth.issuer(self.node.settings).issue(user, now_s=int(time.time()), ttl_s=ttl_s, scopes=scopes)

    # ------------------------------------------------------------------------------------------ what else happens

    async def _open(self, session: str, _: str) -> None:
        self.sessions[session] = wire = await self._wire.connect(self.node, self._nursery, self._trusted)
        self._wires.append(wire)

    async def _close(self, session: str, _: str) -> None:
        """The session goes, and the node has noticed."""
        before = len(self.node.gateway.sessions)
        await self.sessions.pop(session).close()
        await until(lambda: len(self.node.gateway.sessions) < before, pause_s=0.005)

    async def _raw(self, session: str, value: str) -> None:
        self._asked.pop(session, None)
        await self.sessions[session].send(json.loads(value))

    async def _garbage(self, session: str, _: str) -> None:
        self._asked.pop(session, None)
        await self.sessions[session].garbage()

    async def _large(self, session: str, size: str) -> None:
        """A frame of a little more than so many bytes; the node may close before it has read all."""
        with contextlib.suppress(Exception):
            await self.sessions[session].send({"type": "ping", "pad": "x" * int(size)})

    async def _many(self, session: str, rest: str) -> None:
        """The same request so many times, each when the one before was answered; replies and facts are not told."""
        times, _, frame = rest.partition(" ")
        for _ in range(int(times)):
            request = self.request(session, json.loads(frame))
            await self.sessions[session].send(request)
            seq = 0
            while not seq:
                received = await self.sessions[session].receive()
                seq = received["seq"] if received.get("id") == request["id"] else 0
            while (await self.sessions[session].receive()).get("seq") != seq:
                pass

    async def _wait(self, _: str, __: str) -> None:
        """Nothing, but the next that comes to the session takes its time."""

    async def _drain(self, _: str, __: str) -> None:
        self._leave.set()

    async def _full(self, _: str, __: str) -> None:
        """The next command finds its user's mailbox full."""
        _once(Registry, "tell", _raises(Full("the mailbox is full")))

    async def _crash(self, _: str, __: str) -> None:
        """The next message crashes its decision."""
        _once(Turn, "_send", _raises(RuntimeError("on purpose")))

    async def _disk(self, session: str, rest: str) -> None:
        """The disk is full from now on, or is not."""
        if rest == "full":
            self._disk_is_full = contextlib.ExitStack()
            self._disk_is_full.enter_context(full_disk(self.node.database))
        else:
            self._disk_is_full.close()

    _acts: ClassVar = {
        (False, "open"): _open, (False, "close"): _close, (False, "raw"): _raw, (False, "garbage"): _garbage,
        (False, "large"): _large, (False, "many"): _many, (False, "wait"): _wait,
        (True, "drain"): _drain, (True, "mailbox"): _full, (True, "decision"): _crash, (True, "disk"): _disk,
    }  # fmt: skip


def _raises(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def _once(owner: type, name: str, instead: Callable[..., Any]) -> None:
    """The next call of this method does something else."""
    real = getattr(owner, name)

    def call(*arguments: Any, **named: Any) -> Any:
        setattr(owner, name, real)
        return instead(*arguments, **named)

    setattr(owner, name, call)


@contextlib.asynccontextmanager
async def staged(wire: type[Wire], folder: Path, kind: type[AnyStage] = Stage) -> AsyncIterator[AnyStage]:  # type: ignore[assignment]
    """A stage with a node on an empty data folder, and nobody on it."""
    trusted, words = localhost(folder), folder / "words.txt"
    words.write_text(WORDS)
    here = {"trusted": str(trusted), "words": str(words)}
    sections = {name: dict(fields) for name, fields in SETTINGS.items()}
    for name, fields in wire.settings.items():
        sections.setdefault(name, {}).update(fields)
    for fields in sections.values():
        fields.update({name: value.format(**here) for name, value in fields.items() if isinstance(value, str)})
    settings = make_settings(folder / "data", **sections)
    leave = trio.Event()

    async def run(task_status: trio.TaskStatus[Node]) -> None:
        async with running(settings) as node:
            task_status.started(node)
            await leave.wait()

    async with trio.open_nursery() as nodes, trio.open_nursery() as nursery:
        node = await nodes.start(partial(run))
        stage = kind(node, wire, trusted, nursery, leave)
        try:
            yield stage
        finally:
            await stage.aclose()
            nursery.cancel_scope.cancel()
            leave.set()
