"""A frame is carried out by its row, and whatever goes wrong is answered once and leaves the session's credit whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gochat.actors.user import UserActor
from gochat.errors import VIOLATION, Full
from gochat.protocol import requests as req
from gochat.protocol.catalogue import CATALOGUE, granted
from gochat.protocol.codec import LINE_JSON
from gochat.session.dispatch import client_session
from tests.actors.house import TEA, run
from tests.actors.test_live import Peer, Town, Wire, in_town

SEND = {"type": "send", "to": TEA, "body": "x"}


def town(act: Callable[[Town, Peer], Awaitable[None]]) -> None:
    """Run with ann, who has a group and is signed in."""

    async def signed_in(here: Town) -> None:
        await here.house.tea("bob")
        ann = Peer(here, "ann")
        await here.house.settled()
        ann.wire.frames.clear()
        await act(here, ann)
        await here.house.settled()
        assert ann.session.in_flight == 0, "each request has given its credit back"

    run(lambda: in_town(1, signed_in))


async def answers(here: Town, peer: Peer) -> list[tuple[Any, str]]:
    """The id of each answer so far, and its type or code."""
    await here.house.settled()
    return [(frame.get("id"), frame.get("code", frame["type"])) for frame in peer.wire.frames if "seq" not in frame]


def test_a_command_that_is_badly_formed_is_refused_and_the_next_one_is_not() -> None:
    async def act(here: Town, ann: Peer) -> None:
        ann.ask(**SEND | {"id": 1, "to": "nobody"})
        ann.ask(**SEND | {"id": 2, "body": " "})
        ann.ask(**SEND | {"id": 3})
        await here.house.settled()
        assert await answers(here, ann) == [(1, "bad_request"), (2, "bad_request")]
        assert [frame["id"] for frame in ann.wire.frames if frame["type"] == "ack"] == [3]

    town(act)


def test_what_is_no_request_is_told_with_its_id() -> None:
    async def act(here: Town, ann: Peer) -> None:
        for payload in (b"{", b'{"type":"fly","id":7}', b'{"type":"ping","id":8}'):
            ann.session.receive(payload)
        assert await answers(here, ann) == [(None, "bad_request"), (7, "bad_request"), (8, "pong")]

    town(act)


def test_a_full_mailbox_is_busy() -> None:
    async def act(here: Town, ann: Peer) -> None:
        def full(actor: UserActor, mail: Any) -> None:
            raise Full(f"the mailbox of {actor.address} is full")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(UserActor, "tell", full)
            ann.ask(**SEND | {"id": 1})
        assert await answers(here, ann) == [(1, "busy")]

    town(act)


def test_a_command_that_cannot_be_told_is_answered_too() -> None:
    async def act(here: Town, ann: Peer) -> None:
        def crash(actor: UserActor, mail: Any) -> None:
            raise RuntimeError("a fault of the server")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(UserActor, "tell", crash)
            ann.ask(**SEND | {"id": 1})
        assert await answers(here, ann) == [(1, "internal")]

    town(act)


def test_a_request_that_crashes_costs_the_session_no_more_than_an_answer() -> None:
    async def act(here: Town, ann: Peer) -> None:
        def crash(*_: Any) -> Any:
            raise RuntimeError("a fault of the server")

        rows = granted(frozenset({"chat:write"}))
        ann.session.granted = {**rows, req.Send: CATALOGUE[req.Send]._replace(to_command=crash)}
        ann.ask(**SEND | {"id": 1})
        ann.ask(type="typing", id=2, room=TEA)
        assert await answers(here, ann) == [(1, "internal"), (2, "ok")]

    town(act)


def test_what_the_token_does_not_grant_is_refused_by_the_name_of_the_scope() -> None:
    async def act(here: Town, ann: Peer) -> None:
        ann.session.granted = granted(frozenset({"chat:read"}))
        ann.ask(**SEND | {"id": 1})
        ann.ask(type="group", id=2, name="tea", action="leave")
        ann.ask(type="audit", id=3)
        ann.ask(type="groups", id=4)
        assert await answers(here, ann) == [(1, "forbidden"), (2, "forbidden"), (3, "forbidden"), (4, "groups")]
        said = [frame["message"] for frame in ann.wire.frames if frame["type"] == "error"]
        assert said == [f"the token lacks the scope {scope}" for scope in ("chat:write", "groups:write", "admin")]

    town(act)


@pytest.mark.parametrize(
    "payload", [b"{", msgspec.json.encode(SEND), b'{"type":"ping"}', b'{"type":"audit"}', b'{"type":"pong"}']
)
def test_nothing_is_carried_out_before_the_hello(payload: bytes) -> None:
    async def act(here: Town, ann: Peer) -> None:
        wire = Wire(here.spawn, here.pause)
        session = client_session(here.gateway, wire, LINE_JSON, None)  # type: ignore[arg-type]
        session.receive(payload)
        assert wire.closing is not None and wire.closing[0] == VIOLATION
        session.receive(msgspec.json.encode({"type": "ping", "id": 1}))
        await here.house.settled()
        assert [frame["type"] for frame in wire.frames] == ["error"]

    town(act)
