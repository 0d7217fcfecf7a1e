"""The same stage with the client library on it: it opens the sessions that it can open, and says by its methods all
that it has a method for. A plain connection does the rest, or it is left out, as frames that are none."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import trio

from gochat.client import Chat, Ended, Refused, connect
from gochat.client.events import Listed, Offline, Online
from gochat.errors import CLOSE_BY_NUMBER
from gochat.protocol.entries import UserEntry
from gochat.protocol.replies import Names, Welcome
from tests.conformance.stage import WAIT_S, Stage
from tests.conformance.transcript import MAY_BE_LATE, Frame, Received, Step, normal
from tests.conformance.wires import Nng
from tests.e2e.peer import address
from tests.waiting import until

Reply: TypeAlias = Any

#: The client takes this one for itself: the end of the connection comes as `Offline`.
GOAWAY = {"type": "goaway", "reason": "draining", "reconnect_ms": "<wait>"}
Say: TypeAlias = Callable[[Chat, dict[str, Any]], Awaitable[Reply] | AsyncIterator[Any]]

#: How each request is said, from its fields. Requests that are not here, the client sends by itself.
SAYINGS: dict[str, Say] = {
    "refresh": lambda chat, fields: chat.refresh(**fields),
    "send": lambda chat, fields: chat.send(**fields),
    "edit": lambda chat, fields: chat.edit(**fields),
    "delete": lambda chat, fields: chat.delete(**fields),
    "react": lambda chat, fields: chat.react(**fields),
    "read": lambda chat, fields: chat.read(**fields),
    "typing": lambda chat, fields: chat.typing(**fields),
    "history": lambda chat, fields: chat.page(**fields),
    "search": lambda chat, fields: (chat.search_users if fields.pop("in") == "users" else chat.search)(**fields),
    "groups": lambda chat, fields: chat.groups(**fields),
    "members": lambda chat, fields: chat.members(**fields),
    "names": lambda chat, fields: _names(chat, **fields),
    "watch": lambda chat, fields: chat.watch(**fields),
    "contacts": lambda chat, fields: chat.contacts(**fields),
    "requests": lambda chat, fields: chat.requests(**fields),
    "contact": lambda chat, fields: _CONTACT[fields.pop("action")](chat, **fields),
    "group": lambda chat, fields: _GROUP[fields.pop("action")](chat, **fields),
    "report": lambda chat, fields: chat.report(**fields),
    "reports": lambda chat, fields: chat.reports(**fields),
    "close_report": lambda chat, fields: chat.close_report(**fields),
    "admin": lambda chat, fields: _admin(chat, **fields),
    "audit": lambda chat, fields: chat.audit(**fields),
    "users": lambda chat, fields: chat.accounts(**fields),
    "rooms": lambda chat, fields: chat.rooms(**fields),
    "sessions": lambda chat, fields: chat.sessions(**fields),
    "suspensions": lambda chat, fields: chat.suspensions(**fields),
    "overview": lambda chat, fields: chat.overview(**fields),
    "mailboxes": lambda chat, fields: chat.mailboxes(**fields),
    "sanctions": lambda chat, fields: chat.sanctions(fields["name"]),
    "devices": lambda chat, fields: chat.devices(**fields),
    "sign_out": lambda chat, fields: chat.sign_out(**fields),
}
_CONTACT: dict[str, Callable[..., Awaitable[Reply]]] = {
    "add": Chat.add_contact,
    "remove": Chat.remove_contact,
    "accept": Chat.accept,
    "decline": Chat.decline,
    "block": Chat.block,
    "unblock": Chat.unblock,
}
_GROUP: dict[str, Callable[..., Awaitable[Reply]]] = {
    "create": Chat.create_group,
    "set": Chat.set_group,
    "add": Chat.add_users,
    "remove": Chat.remove_users,
    "role": Chat.set_role,
    "leave": Chat.leave_group,
    "delete": Chat.delete_group,
    "mute": lambda chat, name, **fields: chat.mute(name, **fields),
    "unmute": lambda chat, name, **fields: chat.unmute(name, **fields),
    "ban": lambda chat, name, **fields: chat.ban(name, **fields),
    "unban": lambda chat, name, **fields: chat.unban(name, **fields),
}


async def _names(chat: Chat, users: list[str]) -> Names:
    return Names(users=[UserEntry(user, name) for user, name in (await chat.names(users)).items()])


def _admin(
    chat: Chat, *, action: str, user: str | None = None, token: str | None = None, **more: Any
) -> Awaitable[None]:
    if user is None and token is None:
        raise TypeError("nobody is named")
    if action == "revoke":
        return chat.revoke_token(token, **more) if token else chat.revoke_tokens(user, **more)  # type: ignore[arg-type]
    return {"suspend": chat.suspend, "unsuspend": chat.unsuspend}[action](user, **more)  # type: ignore[operator]


class Said:
    """A session of the client library, and the events that it gave."""

    def __init__(self, chat: Chat, leave: trio.Event) -> None:
        self.chat = chat
        self.leave = leave
        self.events: deque[Frame | int] = deque()
        self._more = trio.Event()

    async def read(self) -> None:
        """Take events as they come. An event about the connection's end becomes the number that
        it was closed with."""
        while True:
            try:
                event = await anext(self.chat)
            except Ended as ended:
                self._put(ended.number or 0)
                return
            if isinstance(event, Offline):
                self._put(0)
            elif not isinstance(event, Online | Listed):
                self._put(as_frame(event))

    def _put(self, event: Frame | int) -> None:
        self.events.append(event)
        self._more.set()

    async def next(self) -> Frame | int:
        while not self.events:
            self._more = trio.Event()
            await self._more.wait()
        return self.events.popleft()


def as_frame(value: Any) -> Frame:
    """As it would be on the wire, in its normal form, without an id, without what is not set, and without keys: the
    client chooses one where the script has none."""
    frame: Frame = _plain(normal(msgspec.to_builtins(value)))
    frame.pop("id", None)
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if name != "key" and inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


class Unsayable(Exception):
    """The client has no method for that."""


class ClientStage(Stage):
    """`said` counts the steps that the client has said."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.said = 0
        self.chats: dict[str, Said] = {}
        self._to_open: set[str] = set()

    async def plays(self, step: Step) -> None:
        """Play the step and compare all that comes of it; or leave it out, where the client has the session and can't
        say it."""
        with trio.fail_after(WAIT_S):
            try:
                reply = await self._perform(step)
            except Unsayable:
                return
            for line in self.expects(step):
                if line.session not in self.chats:
                    assert plain(await self.receive(line.session)) == plain(line.frame)
                elif line.session == step.session and isinstance(line.frame, dict) and "id" in line.frame:
                    self.said += 1
                    while step.send is not None and step.send["type"] in MAY_BE_LATE and not same(reply, line.frame):
                        reply = await self._perform(step)
                    compare(reply, line.frame)
                elif expected(line) != GOAWAY:
                    assert await self.chats[line.session].next() == expected(line)

    async def _perform(self, step: Step) -> Reply:
        session, send = step.session, step.send
        if step.act == "open":
            self.chats.pop(session, None)
            self._to_open.add(session)
            return None
        if session in self._to_open:
            self._to_open.discard(session)
            if send is not None and welcomed(step) and set(send) <= {"type", "id", "client", "token", "device"}:
                return await self._enter(session, self._filled(send["token"]), send.get("device"))
            await super()._open(session, "")
        if session not in self.chats:
            return await self.do(step)
        if send is not None:
            return await self._say(self.chats[session].chat, self._filled(send))
        match step.act.partition(" ")[0]:
            case "close":
                await self._leave_chat(self.chats.pop(session))
            case "many":
                await self._say_often(self.chats[session], *step.act.split(" ", 2)[1:])
            case "wait":
                pass
            case _:
                raise Unsayable(step.act)
        return None

    async def _enter(self, session: str, token: str, device: str | None) -> Welcome:
        said: Said = await self._nursery.start(self._hold, token, device)
        self.chats[session] = said
        return said.chat.welcome

    async def _hold(self, token: str, device: str | None, task_status: trio.TaskStatus[Said]) -> None:
        url = (
            "nng+tcp://{}:{}".format(*address(self.node, "nng"))
            if self._wire is Nng
            else "ws://{}:{}/v1/ws".format(*address(self.node, "http"))
        )
        with contextlib.suppress(Ended):
            async with connect(url, token=token, device=device) as chat, trio.open_nursery() as nursery:
                said = Said(chat, trio.Event())
                nursery.start_soon(said.read)
                task_status.started(said)
                await said.leave.wait()
                nursery.cancel_scope.cancel()

    async def _leave_chat(self, said: Said) -> None:
        before = len(self.node.gateway.sessions)
        said.leave.set()
        await until(lambda: len(self.node.gateway.sessions) < before, pause_s=0.005)

    async def _say(self, chat: Chat, frame: Frame) -> Reply:
        fields = {name: value for name, value in frame.items() if name not in ("type", "id")}
        say = SAYINGS.get(frame["type"])
        if say is None:
            raise Unsayable(frame["type"])
        try:
            saying = say(chat, fields)
        except TypeError as error:  # a field for which the method has no argument
            raise Unsayable(str(error)) from None
        try:
            if isinstance(saying, AsyncIterator):
                return [entry async for entry in saying]
            reply = await saying
        except Refused as refused:
            return refused
        if isinstance(reply, msgspec.Struct):
            self._remember(msgspec.to_builtins(reply))
        return reply

    async def _say_often(self, said: Said, times: str, frame: str) -> None:
        for _ in range(int(times)):
            await self._say(said.chat, json.loads(frame))
            await said.next()


def welcomed(step: Step) -> bool:
    return any(isinstance(line.frame, dict) and line.frame["type"] == "welcome" for line in step.received)


def expected(line: Received) -> Frame | int:
    """A client tells no number where it goes on by itself."""
    number = line.frame
    return 0 if isinstance(number, int) and CLOSE_BY_NUMBER[number].reconnect else plain(number)


def plain(frame: Frame | int) -> Frame | int:
    return as_frame(frame) if isinstance(frame, dict) else frame


def same(reply: Reply, frame: Frame) -> bool:
    try:
        compare(reply, frame)
    except AssertionError:
        return False
    return True


def compare(reply: Reply, frame: Frame) -> None:
    """Hold a method's result or error against the reply that the script has. Not all of it is returned: of a list its
    entries, of an `ok` without news nothing."""
    wanted = as_frame(frame)
    if isinstance(reply, Refused):
        told = (reply.code, reply.rule, reply.temporary, reply.unknown)
        assert told == (wanted["code"], wanted.get("rule"), wanted["temporary"], wanted.get("unknown", False))
        return
    assert wanted["type"] != "error", f"{reply} is no refusal"
    if isinstance(reply, list):
        (entries,) = [value for value in wanted.values() if isinstance(value, list)]
        assert [_plain(normal(msgspec.to_builtins(entry))) for entry in reply] == entries
    elif reply is None:
        assert wanted == {"type": "ok"}
    else:
        assert {"type": wanted["type"], **as_frame(reply)} == wanted
