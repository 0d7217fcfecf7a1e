"""Rooms and people for one column of the matrix: the user who asks, and what stands between them and the room.

Everything is set up from outside, over REST and one TCP session each of the keeper of all groups and of an admin.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

import trio

from gochat.auth.claims import DEFAULT_SCOPES
from gochat.node import Node
from tests.e2e.peer import WAIT_S, Frame, TcpPeer, address
from tests.http.rest.client import issue
from tests.http.wiring import Client

Call = tuple[str, str, Any]

#: The users in every group beside the asker: one for each operation that would change their role.
KEEPER = "keeper"
MEMBERS = ("to.remove", "to.promote", "to.mute", "to.unmute", "to.ban", "to.meet")
MODERATORS = ("mod.to.remove", "mod.to.mute", "mod.to.ban")
OWNERS = ("own.to.remove", "own.to.mute", "own.to.ban", "own.to.demote")
NO_MESSAGE = 1_000_000
#: As many as may wait by default.
REQUEST_MESSAGES = 3


class Line:
    """One keep-alive connection to REST, for anybody: each call carries its token. Calls may be sent ahead."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._client: Client | None = None

    async def ask(self, token: str, calls: Iterable[Call]) -> list[tuple[int, Any]]:
        """Statuses and bodies, in the order of the calls: all are sent before the first answer is read."""
        if self._client is None:
            self._client = Client(await trio.open_tcp_stream(*address(self._node, "http")))
        client, calls = self._client, list(calls)
        answers = []
        with trio.fail_after(WAIT_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send, b"".join(_request(token, *call) for call in calls))
                for _ in calls:
                    answer = await client.response()
                    kind = answer.headers.get(b"content-type", b"")
                    answers.append((answer.status, json.loads(answer.body) if b"json" in kind else None))
        return answers

    async def done(self, token: str, *calls: Call) -> list[Any]:
        """The bodies of calls that must succeed."""
        answers = await self.ask(token, calls)
        for call, (status, body) in zip(calls, answers, strict=True):
            assert status < 300, (call, status, body)
        return [body for _, body in answers]

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.stream.aclose()


def _request(token: str, method: str, path: str, body: Any) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}"]
    headers = {}
    content = b""
    if body is not None:
        headers = body.get("headers", {}) if "headers" in body else {}
        content = json.dumps({name: value for name, value in body.items() if name != "headers"}).encode()
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Shared:
    """One signed-in TCP session that many tasks ask at once."""

    def __init__(self, peer: TcpPeer) -> None:
        self._peer = peer
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[trio.Event, list[Frame]]] = {}
        self._lock = trio.Lock()

    async def listen(self) -> None:
        while True:
            frame = await self._peer.receive()
            waiting = self._waiting.pop(frame.get("id", 0), None)
            if waiting is not None:
                waiting[1].append(frame)
                waiting[0].set()

    async def done(self, *requests: Frame) -> list[Frame]:
        """The replies to requests that must succeed; they are sent one after the other."""
        places = []
        async with self._lock:
            for request in requests:
                number = next(self._ids)
                place = (trio.Event(), [])
                self._waiting[number] = place
                places.append(place)
                await self._peer.send({**request, "id": number})
        replies = []
        with trio.fail_after(WAIT_S * 6):
            for request, (event, found) in zip(requests, places, strict=True):
                await event.wait()
                assert found[0]["type"] != "error", (request, found)
                replies.append(found[0])
        return replies


class World:
    """One node, and who sets the scene in it."""

    def __init__(self, node: Node, keeper: Shared, root: Shared) -> None:
        self.node = node
        self.keeper = keeper
        self.root = root
        self._numbers = itertools.count(1)
        self._tokens: dict[tuple[str, frozenset[str]], str] = {}

    def token(self, user: str, scopes: frozenset[str] = DEFAULT_SCOPES) -> str:
        found = self._tokens.get((user, scopes))
        if found is None:
            found = self._tokens[user, scopes] = issue(self.node, user, scopes)
        return found

    def number(self) -> int:
        return next(self._numbers)


class Stage:
    """The names and numbers that an operation needs: filled in by `set_up`."""

    def __init__(self, world: World, place: str, relation: str, asker: str) -> None:
        self.world = world
        self.token = self.strange_token = ""
        """The asker's, with the scopes of the cell; and another user's."""
        self.relation = relation
        self.asker = asker
        number = world.number()
        self.other = f"o{number}"
        """Another user: of a private room the other one, of a group somebody in it."""
        self.new = f"n{number}"
        """A name that is not there yet: a group's, a user's."""
        self.fellow = f"f{number}"
        self.own = (NO_MESSAGE, NO_MESSAGE)
        """Seqs of the asker's own messages: to edit and react to, and to delete."""
        self.others = (NO_MESSAGE, NO_MESSAGE)
        self.report = NO_MESSAGE
        if place == "group":
            self.name = f"g{number}"
            self.room = f"group:{self.name}"
        else:
            one = asker if relation != "others" else self.fellow
            two = asker if relation == "own" else self.other
            self.room = self.name = "dm:" + ":".join(sorted((one, two)))
        self.in_group = place == "group"
        self.meets = self.other if relation != "own" else asker
        """Whom contact is made with: in one's own room oneself."""

    async def set_up(self, line: Line, *, bare: bool) -> Stage:
        """`bare`: only the relation, without messages and reports."""
        if self.in_group:
            await self._group(line, bare)
        elif self.relation in ("own", "others"):
            await self._apart(line)
        else:
            await self._two(line, bare)
        if not bare and self.relation != "own":
            await self._reported(self.others[0])
        elif not bare:
            await self._reported(self.own[0])
        return self

    # ------------------------------------------------------------------------------------------ groups

    async def _group(self, line: Line, bare: bool) -> None:
        relation, asker, keeper = self.relation, self.asker, self.world.keeper
        others = () if bare else (*MEMBERS, *MODERATORS, *OWNERS)
        users = [*others, *([] if relation == "stranger" else [asker])]
        roles = [] if bare else [*((user, "moderator") for user in MODERATORS), *((user, "owner") for user in OWNERS)]
        if relation in ("owner", "moderator"):
            roles.append((asker, relation))
        await keeper.done(
            self._on_group("create", users=users),
            *(self._on_group("role", user=user, role=role) for user, role in roles),
        )
        if not bare:
            self.others = await self._said(line, KEEPER)
            self.own = self.others if relation == "stranger" else await self._said(line, asker)
        if relation in ("muted", "banned"):
            await keeper.done(self._on_group("mute" if relation == "muted" else "ban", user=asker))
        elif relation == "removed":
            await keeper.done(self._on_group("remove", users=[asker]))

    def _on_group(self, action: str, **fields: Any) -> Frame:
        return {"type": "group", "name": self.name, "action": action, **fields}

    # ------------------------------------------------------------------------------------------ private rooms

    async def _two(self, line: Line, bare: bool) -> None:
        relation, asker, other = self.relation, self.asker, self.other
        mine, theirs = self.world.token(asker), self.world.token(other)
        contact: Call = ("PUT", f"/v1/contacts/{other}", None)
        if not bare or relation == "contact":
            await line.done(mine, contact)
            await line.done(theirs, ("PUT", f"/v1/contacts/{asker}", None))
        if not bare:
            self.own, self.others = await self._said(line, asker), await self._said(line, other)
            if relation != "contact":
                await line.done(mine, ("DELETE", f"/v1/contacts/{other}", None))
                await line.done(theirs, ("DELETE", f"/v1/contacts/{asker}", None))
        if relation in ("asked", "asked-out", "declined"):
            times = REQUEST_MESSAGES if relation == "asked-out" else 1
            await line.done(mine, *[self._message(f"user:{other}")] * times)
        if relation in ("receiver", "decliner"):
            await line.done(theirs, self._message(f"user:{asker}"))
        if relation == "declined":
            await line.done(theirs, ("DELETE", f"/v1/requests/{asker}", None))
        if relation == "decliner":
            await line.done(mine, ("DELETE", f"/v1/requests/{other}", None))
        if relation == "blocked":
            await line.done(theirs, ("PUT", f"/v1/blocks/{asker}", None))
        if relation == "blocker":
            await line.done(mine, ("PUT", f"/v1/blocks/{other}", None))

    async def _apart(self, line: Line) -> None:
        """One's own room, or that of two others."""
        if self.relation == "own":
            self.own = await self._said(line, self.asker)
            return
        for one, two in (self.other, self.fellow), (self.fellow, self.other):
            await line.done(self.world.token(one), ("PUT", f"/v1/contacts/{two}", None))
        self.others = await self._said(line, self.other)
        self.own = await self._said(line, self.fellow)

    # ------------------------------------------------------------------------------------------ messages

    async def _said(self, line: Line, user: str) -> tuple[int, int]:
        keyed = self._message(self.room, **{"Idempotency-Key": "recorded"})
        first, second = await line.done(self.world.token(user), keyed, self._message(self.room))
        return first["seq"], second["seq"]

    def _message(self, to: str, **headers: str) -> Call:
        return "POST", "/v1/messages", {"to": to, "body": "tea", "headers": headers}

    async def _reported(self, seq: int) -> None:
        root = self.world.root
        await root.done({"type": "report", "room": self.room, "seq": seq})
        (told,) = await root.done({"type": "reports", "room": self.room})
        self.report = told["reports"][0]["report"]
