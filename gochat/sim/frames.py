"""The protocol's frames as a simulated client writes and reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gochat.sim import plan as steps
from gochat.sim.evidence import Fact
from gochat.sim.network import Wire

Frame = dict[str, Any]
Trace = Callable[[str, bytes], None]

FACTS: Final = frozenset(("message", "edit", "delete", "reaction", "member", "group", "closed", "hidden"))

encode = msgspec.json.encode
decode = msgspec.json.decode


def fact_of(frame: Frame) -> Fact:
    return Fact(
        frame["seq"],
        frame["type"],
        frame.get("from", ""),
        frame.get("key"),
        frame.get("body"),
        users=tuple(frame.get("users", ())),
        change=frame.get("change", ""),
        target=frame.get("target", 0),
        shown_late=frame["type"] == "message" and ("edited" in frame or "deleted" in frame),
        ts=frame.get("ts", 0),
    )


def is_sent_once(frame: Frame) -> bool:
    """Whether it must not be sent again where nothing is known of it: it may have been carried out."""
    return frame["type"] == "send" and "key" not in frame


def group_change(step: steps.Group) -> Frame:
    frame: Frame = {"type": "group", "name": step.group, "action": step.action}
    if step.action in ("mute", "unmute"):
        return frame | {"user": step.user}
    return frame if step.action == "leave" else frame | {"users": [step.user]}


class Conversation:
    """Requests one after the other, on one connection: for what stands before and after the steps of the clients."""

    def __init__(self, name: str, wire: Wire, trace: Trace) -> None:
        self._name = name
        self._wire = wire
        self._trace = trace
        self._count = 0

    async def call(self, frame: Mapping[str, Any]) -> Frame:
        """The reply. Raises Gone."""
        self._count += 1
        self._wire.send(encode({"id": self._count, **frame}))
        while True:
            for line in (await self._wire.receive()).splitlines():
                reply: Frame = decode(line)
                if reply.get("id") == self._count:
                    self._trace(f"{self._name} <", line)
                    return reply
