"""The session against a scripted server: what a real one does only on bad days."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest
import trio
import trio.testing
import trio_websocket

from gochat.client import Chat, Ended, Lost, Offline, Online, Refused, Reset, Unreachable, connect
from gochat.client.errors import ClientError
from gochat.protocol import replies
from tests.client.peer import TEA, Peer, Visit, listed, message

R = TypeVar("R")


@asynccontextmanager
async def talking(
    peer: Peer, *rooms: dict[str, Any], queue: int = 1_000, **welcome: Any
) -> AsyncIterator[tuple[Chat, Visit]]:
    """A client, and its first connection as the server sees it."""
    visits: list[Visit] = []

    async def greet() -> None:
        visits.append(await peer.visit())
        await visits[0].welcome(*rooms, **welcome)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(greet)
            async with connect(peer.url, user="ann", queue=queue) as chat:
                yield chat, visits[0]


class Asking:
    """A call of the application that runs beside the test."""

    def __init__(self, nursery: trio.Nursery, call: Callable[[], Awaitable[Any]]) -> None:
        self._done = trio.Event()
        self._result: Any = None
        self._error: ClientError | None = None
        nursery.start_soon(self._run, call)

    async def _run(self, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            self._result = await call()
        except ClientError as error:
            self._error = error
        self._done.set()

    async def result(self) -> Any:
        with trio.fail_after(5):
            await self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


async def event(chat: Chat) -> Any:
    with trio.fail_after(5):
        return await anext(chat)


async def bodies(chat: Chat, count: int) -> list[str]:
    return [(await event(chat)).body for _ in range(count)]


# ---------------------------------------------------------------------------------------------- the first connection


async def test_hello_says_who_and_welcome_what(peer: Peer, nursery: trio.Nursery) -> None:
    async def use() -> str:
        async with connect(peer.url, token="abc", device="phone") as chat:
            return chat.user

    asking = Asking(nursery, use)
    visit = await peer.visit()
    hello = await visit.welcome()
    assert (hello["token"], hello["device"], hello.get("resume")) == ("abc", "phone", None)
    assert await asking.result() == "ann"
    assert await visit.closed()


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="refused"):
        async with connect("tcp://127.0.0.1:1", user="ann"):
            pytest.fail("there is nobody")


async def test_a_refused_hello_is_raised_as_such(peer: Peer, nursery: trio.Nursery) -> None:
    async def refuse() -> None:
        visit = await peer.visit()
        await visit.expect("hello")
        await visit.send({"type": "error", "code": "unauthorized", "message": "no", "temporary": False, "close": 4500})
        await visit.close()

    nursery.start_soon(refuse)
    with pytest.raises(Refused) as caught:
        async with connect(peer.url, token="abc"):
            pytest.fail("it was refused")
    assert caught.value.code == "unauthorized"
    assert await peer.idle()


async def test_a_server_that_speaks_something_else_is_unreachable(peer: Peer, nursery: trio.Nursery) -> None:
    async def babble() -> None:
        await (await peer.visit()).stream.send_all(b"220 mail.example.org ESMTP\r\n")

    nursery.start_soon(babble)
    with pytest.raises(Unreachable, match="protocol"):
        async with connect(peer.url, user="ann"):
            pytest.fail("that was no welcome")


async def test_connecting_can_be_given_up(peer: Peer) -> None:
    with trio.move_on_after(0.2) as patience:
        async with connect(peer.url, user="ann"):
            pytest.fail("nobody answered")
    assert patience.cancelled_caught


async def test_what_the_application_raises_comes_out_alone(peer: Peer, nursery: trio.Nursery) -> None:
    async def greet() -> None:
        await (await peer.visit()).welcome()

    nursery.start_soon(greet)
    with trio.fail_after(5), pytest.raises(ZeroDivisionError):
        async with connect(peer.url, user="ann"):
            raise ZeroDivisionError


async def test_a_token_that_no_header_can_hold_is_refused_unsent() -> None:
    with pytest.raises(ClientError, match="token") as caught:
        async with connect("ws://127.0.0.1:1", token="secret\r\nX: y"):
            pytest.fail("never")
    assert "secret" not in str(caught.value)


# ---------------------------------------------------------------------------------------------- requests


async def test_replies_find_their_requests_in_any_order(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        first = Asking(nursery, lambda: chat.send("user:bob", "one"))
        one = await visit.expect("send")
        second = Asking(nursery, lambda: chat.send("user:bob", "two"))
        two = await visit.expect("send")
        assert one["key"] != two["key"]
        await visit.ack(two, 2)
        await visit.ack(one, 1)
        assert ((await first.result()).seq, (await second.result()).seq) == (1, 2)


async def test_a_refusal_carries_what_programs_decide_by(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.send("user:bob", "one"))
        await visit.refuse(await visit.expect("send"), "rate_limited", temporary=True, retry_after_ms=250, rule="r")
        with pytest.raises(Refused, match=r"it is rate_limited \(rate_limited\)") as caught:
            await asking.result()
        refused = caught.value
        assert (refused.code, refused.temporary, refused.wait_s, refused.rule) == ("rate_limited", True, 0.25, "r")


async def test_with_patience_a_send_is_repeated_with_its_key(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.send("user:bob", "one", patience_s=2))
        first = await visit.expect("send")
        await visit.refuse(first, "rate_limited", temporary=True, retry_after_ms=10)
        second = await visit.expect("send")
        assert second["key"] == first["key"]
        await visit.ack(second, 7)
        assert (await asking.result()).seq == 7


async def test_patience_ends_before_a_wait_that_is_longer(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.send("user:bob", "one", patience_s=2))
        await visit.refuse(await visit.expect("send"), "busy", temporary=True, retry_after_ms=60_000)
        with pytest.raises(Refused):
            await asking.result()


async def test_a_request_that_no_frame_holds_is_refused_unsent(peer: Peer) -> None:
    async with talking(peer) as (chat, _):
        with pytest.raises(Refused) as caught:
            await chat.send("user:bob", "x" * 70_000)
        assert caught.value.code == "too_large"


async def test_a_call_that_is_given_up_leaves_the_session_whole(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        with trio.move_on_after(0.05):
            await chat.send("user:bob", "one")
        given_up = await visit.expect("send")
        asking = Asking(nursery, lambda: chat.send("user:bob", "two"))
        await visit.ack(given_up, 1)
        await visit.ack(await visit.expect("send"), 2)
        assert (await asking.result()).seq == 2


async def test_a_refresh_is_used_for_the_next_connection(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.refresh("newer"))
        await visit.reply(await visit.expect("refresh"), "ok")
        await asking.result()
        await visit.close()
        assert (await (await peer.visit()).welcome())["token"] == "newer"


async def test_history_goes_up_to_the_head_and_down_to_the_beginning(peer: Peer, nursery: trio.Nursery) -> None:
    async def collect(chat: Chat, **bounds: int) -> list[list[int]]:
        return [[fact.seq for fact in page.entries] async for page in chat.history(TEA, **bounds)]

    def page(*seqs: int, complete: bool = True) -> dict[str, Any]:
        entries = [message(seq) for seq in seqs]
        return {"room": TEA, "epoch": "e1", "entries": entries, "head": 5, "complete": complete}

    async with talking(peer) as (chat, visit):
        up = Asking(nursery, lambda: collect(chat, after=0))
        for after, seqs in ((0, (1, 2)), (2, (3, 4, 5))):
            request = await visit.expect("history")
            assert (request["after"], request["limit"]) == (after, 200)
            await visit.reply(request, "page", **page(*seqs))
        assert await up.result() == [[1, 2], [3, 4, 5]]
        down = Asking(nursery, lambda: collect(chat))
        for before, seqs in ((None, (4, 5)), (4, (1, 2, 3))):
            request = await visit.expect("history")
            assert request.get("before") == before
            await visit.reply(request, "page", **page(*seqs))
        assert await down.result() == [[4, 5], [1, 2, 3]]
        cut = Asking(nursery, lambda: collect(chat, after=0))
        await visit.reply(await visit.expect("history"), "page", **page(1, complete=False))
        with pytest.raises(Refused) as caught:
            await cut.result()
        assert caught.value.temporary


# ---------------------------------------------------------------------------------------------- broken connections


@pytest.mark.parametrize("half", [b"", b'{"type":"message","room":"group:te'])
async def test_after_a_cut_it_resumes_and_repeats(peer: Peer, nursery: trio.Nursery, half: bytes) -> None:
    async with talking(peer, listed(3)) as (chat, visit):
        await visit.send(message(4))
        asking = Asking(nursery, lambda: chat.send(TEA, "one"))
        sent = await visit.expect("send")
        await visit.stream.send_all(half)
        await visit.close()
        again = await peer.visit()
        hello = await again.welcome(listed(6))
        assert hello["resume"] == {TEA: {"seq": 4, "epoch": "e1"}}
        assert await again.expect("send") == sent
        await again.send(message(5), message(6), message(4))
        await again.ack(sent, 7)
        assert (await asking.result()).seq == 7
        assert await bodies(chat, 1) == ["m4"]
        assert isinstance(await event(chat), Offline)
        assert isinstance(await event(chat), Online)
        assert await bodies(chat, 2) == ["m5", "m6"]


async def test_what_is_asked_while_there_is_no_connection_waits_for_one(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        await visit.close()
        assert isinstance(await event(chat), Offline)
        asking = Asking(nursery, lambda: chat.create_group("tea"))
        again = await peer.visit()
        await again.welcome()
        await again.reply(await again.expect("group"), "ok", room=TEA, seq=1)
        assert (await asking.result()).seq == 1


async def test_what_is_not_safe_to_repeat_is_lost(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.create_group("tea"))
        await visit.expect("group")
        await visit.close()
        with pytest.raises(Lost):
            await asking.result()


async def test_watching_goes_on_after_a_reconnect(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.watch(["bob"]))
        await visit.reply(await visit.expect("watch"), "presence", users=[{"user": "bob", "online": False}])
        assert [entry.online for entry in await asking.result()] == [False]
        await visit.close()
        again = await peer.visit()
        await again.welcome()
        assert (await again.expect("watch"))["users"] == ["bob"]
        await again.send({"type": "presence", "users": [{"user": "bob", "online": True}]})
        assert isinstance(await event(chat), Offline)
        assert isinstance(await event(chat), Online)
        assert await event(chat) == replies.Presence(users=[replies.PresenceEntry(user="bob", online=True)])


async def test_the_pause_that_a_draining_server_asks_for_is_kept(peer: Peer) -> None:
    async with talking(peer) as (chat, visit):
        await visit.send(
            {"type": "goaway", "reason": "draining", "reconnect_ms": 123},
            {
                "type": "error",
                "code": "unavailable",
                "message": "the node is draining",
                "temporary": True,
                "close": 4000,
            },
        )
        await visit.close()
        assert await event(chat) == Offline("the node is draining", 0.123)
        await (await peer.visit()).welcome()


async def test_a_close_that_says_not_to_come_back_ends_the_session(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer, listed(3)) as (chat, visit):
        asking = Asking(nursery, lambda: chat.send(TEA, "one"))
        await visit.expect("send")
        await visit.send(
            message(4), {"type": "error", "code": "conflict", "message": "replaced", "temporary": False, "close": 4502}
        )
        await visit.close()
        assert await bodies(chat, 1) == ["m4"]
        for call in (lambda: event(chat), asking.result, lambda: chat.send(TEA, "two")):
            with pytest.raises(Ended, match="replaced") as caught:
                await call()
            assert caught.value.number == 4502
        assert await peer.idle()


async def test_a_token_that_is_over_ends_the_session(peer: Peer) -> None:
    async with talking(peer) as (chat, visit):
        await visit.close()
        again = await peer.visit()
        await again.expect("hello")
        await again.send(
            {"type": "error", "code": "unauthorized", "message": "over", "temporary": False, "close": 4500}
        )
        assert isinstance(await event(chat), Offline)
        with pytest.raises(Ended, match="over") as caught:
            await event(chat)
        assert caught.value.number == 4500


async def test_a_refusal_for_now_does_not_end_the_session(peer: Peer) -> None:
    async with talking(peer) as (_, visit):
        await visit.close()
        again = await peer.visit()
        await again.expect("hello")
        await again.send({"type": "error", "code": "busy", "message": "full", "temporary": True})
        await (await peer.visit()).welcome()


async def test_what_still_waits_when_the_application_leaves_is_told_so(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        sending = Asking(nursery, lambda: chat.send("user:bob", "one"))
        reading = Asking(nursery, lambda: anext(chat))
        await visit.expect("send")
    for asking in (sending, reading):
        with pytest.raises(Ended, match="closed"):
            await asking.result()


async def test_a_server_that_is_silent_is_asked_and_then_given_up(peer: Peer) -> None:
    async with talking(peer, heartbeat_s=0.1) as (chat, visit):
        await visit.expect("ping")
        await visit.send({"type": "pong"})
        await visit.expect("ping")
        assert "silent" in (await event(chat)).reason
        await (await peer.visit()).welcome()


async def test_a_ping_is_answered_once(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        await visit.send({"type": "ping"})
        assert await visit.expect("pong") == {"type": "pong"}
        asking = Asking(nursery, lambda: chat.send("user:bob", "one"))
        await visit.ack(await visit.expect("send"))
        await asking.result()


async def test_an_idle_session_does_nothing(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit):
        await visit.send({"type": "ping"}, message(2))
        await visit.expect("pong")
        await visit.reply(await visit.expect("resume"), "ok", head=2)
        await visit.send(message(1), message(2))
        assert await bodies(chat, 2) == ["m1", "m2"]
        with trio.fail_after(2):
            await trio.testing.wait_all_tasks_blocked(0.05)


# ---------------------------------------------------------------------------------------------- catching up


async def test_a_lag_is_paged_and_resumed(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit):
        await visit.send({"type": "lag", "room": TEA, "epoch": "e1", "head": 300})
        request = await visit.expect("history")
        assert request["after"] == 0
        entries = [message(seq) for seq in range(1, 201)]
        await visit.reply(request, "page", room=TEA, epoch="e1", entries=entries, head=300, complete=True)
        request = await visit.expect("resume")
        assert (request["seq"], request["epoch"]) == (200, "e1")
        await visit.reply(request, "ok", head=300)
        await visit.send(*(message(seq) for seq in range(201, 302)))
        assert await bodies(chat, 301) == [f"m{seq}" for seq in range(1, 302)]


async def test_catching_up_waits_while_the_server_can_not(peer: Peer) -> None:
    async with talking(peer, listed(0)) as (chat, visit):
        await visit.send(message(2))
        await visit.refuse(await visit.expect("resume"), "unavailable", temporary=True, retry_after_ms=10)
        request = await visit.expect("history")
        await visit.reply(
            request, "page", room=TEA, epoch="e1", entries=[message(1), message(2)], head=2, complete=True
        )
        assert await bodies(chat, 2) == ["m1", "m2"]


async def test_a_reset_is_told_and_the_room_goes_on(peer: Peer) -> None:
    async with talking(peer, listed(9)) as (chat, visit):
        await visit.send({"type": "reset", "room": TEA, "epoch": "e2", "head": 5})
        request = await visit.expect("resume")
        assert (request["seq"], request["epoch"]) == (5, "e2")
        await visit.reply(request, "ok", head=5)
        await visit.send(message(6))
        assert await event(chat) == Reset(room=TEA, epoch="e2", head=5)
        assert await bodies(chat, 1) == ["m6"]


async def test_a_rewind_forgets_what_waits_and_begins_again(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer, listed(2)) as (chat, visit):
        await visit.send(message(3), message(1, "group:other"))
        asking = Asking(nursery, lambda: chat.rewind(TEA, 1))
        await visit.reply(
            await visit.expect("history"), "page", room=TEA, epoch="e1", entries=[message(3)], head=3, complete=True
        )
        await asking.result()
        request = await visit.expect("resume")
        assert request["seq"] == 1
        await visit.reply(request, "ok", head=3)
        await visit.send(message(2), message(3))
        assert (await event(chat)).room == "group:other"
        assert await bodies(chat, 2) == ["m2", "m3"]


# ---------------------------------------------------------------------------------------------- a slow application


async def flood(visit: Visit, begin: int, kilobytes: int) -> int:
    """Write facts until the client has taken nothing for a while; the seq of the last whole one."""
    padded = [message(seq) | {"body": "x" * 1_000} for seq in range(begin, begin + kilobytes)]
    for fact in padded:
        with trio.move_on_after(0.5) as patience:
            await visit.send(fact)
        if patience.cancelled_caught:
            return int(fact["seq"]) - 1
    return padded[-1]["seq"]


async def test_an_application_that_does_not_read_stops_the_server(peer: Peer) -> None:
    async with talking(peer, listed(0), queue=10) as (chat, visit):
        stopped_at = await flood(visit, 1, 100_000)
        assert stopped_at < 50_000
        assert len(chat._session.inbox) == 10
        for seq in range(1, stopped_at + 1):
            assert (await event(chat)).seq == seq


async def test_an_application_that_does_not_read_is_still_signed_in_again(peer: Peer) -> None:
    async with talking(peer, listed(0), queue=3) as (chat, visit):
        await visit.send(*(message(seq) for seq in range(1, 4)))
        while len(chat._session.inbox) < 3:  # noqa: ASYNC110  # nothing tells from outside
            await trio.sleep(0.01)
        await visit.close()
        await (await peer.visit()).welcome(listed(3), session="second")
        with trio.fail_after(5):
            while chat.welcome.session != "second":  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_call_gets_its_reply_past_a_full_queue_and_nothing_is_lost(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer, listed(0), queue=10) as (chat, visit):
        await visit.send(*(message(seq) for seq in range(1, 31)))
        asking = Asking(nursery, lambda: chat.send(TEA, "one"))
        await visit.ack(await visit.expect("send"), 31)
        assert (await asking.result()).seq == 31
        assert len(chat._session.inbox) == 10
        with trio.move_on_after(0.2):
            pytest.fail(f"nothing is asked for before there is space: {await visit.receive()}")
        assert await bodies(chat, 5) == [f"m{seq}" for seq in range(1, 6)]
        request = await visit.expect("resume")
        assert request["seq"] == 10
        await visit.reply(request, "ok", head=31)
        await visit.send(*(message(seq) for seq in range(11, 32)))
        assert await bodies(chat, 26) == [f"m{seq}" for seq in range(6, 32)]


# ---------------------------------------------------------------------------------------------- WebSocket


@asynccontextmanager
async def websocket_server(
    handler: Callable[[trio_websocket.WebSocketRequest], Awaitable[None]],
) -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, handler, "127.0.0.1", 0, None)
        yield f"ws://127.0.0.1:{server.port}/v1/ws"
        nursery.cancel_scope.cancel()


async def test_a_close_code_of_a_websocket_counts() -> None:
    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        headers = dict(request.headers)
        assert headers[b"authorization"] == b"Bearer abc"
        assert request.proposed_subprotocols == ("gochat.v1.json",)
        websocket = await request.accept(subprotocol="gochat.v1.json")
        assert "abc" not in await websocket.get_message()
        await websocket.aclose(4503, "revoked")

    with trio.fail_after(5):
        async with websocket_server(handler) as url:
            with pytest.raises(Unreachable) as caught:
                async with connect(url, token="abc"):
                    pytest.fail("it was closed")
    assert caught.value.number == 4503


@pytest.mark.parametrize("cancelled", [False, True])
async def test_leaving_says_goodbye(cancelled: bool) -> None:
    codes: list[int] = []
    welcome = msgspec.json.encode(
        replies.Welcome(
            user="ann", session="s", node="n", server="scripted", heartbeat_s=30, limits=replies.Limits(),
            contacts=[], rooms=[], requests=[],
        )
    )  # fmt: skip

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.get_message()
        await websocket.send_message(welcome.decode())
        try:
            await websocket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            assert closed.reason is not None
            codes.append(closed.reason.code)

    with trio.fail_after(5):
        async with websocket_server(handler) as url:
            with trio.CancelScope() as scope:
                async with connect(url, user="ann"):
                    if cancelled:
                        scope.cancel()
                        await trio.sleep_forever()
            assert codes == [1000]


async def test_a_refused_upgrade_says_so() -> None:
    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        await request.reject(403, body=b"no")

    with trio.fail_after(5):
        async with websocket_server(handler) as url:
            with pytest.raises(Unreachable, match="403"):
                async with connect(url, user="ann"):
                    pytest.fail("it was refused")


async def test_a_server_that_goes_away_in_the_handshake_is_not_waited_for(peer: Peer, nursery: trio.Nursery) -> None:
    async def leave() -> None:
        visit = await peer.visit()
        await visit.stream.receive_some()
        await visit.close()

    nursery.start_soon(leave)
    with trio.fail_after(3), pytest.raises(Unreachable, match="handshake"):
        async with connect(peer.url.replace("tcp", "ws"), user="ann"):
            pytest.fail("it has left")


# ---------------------------------------------------------------------------------------------- people

DM = "dm:ann:bob"
BOB = {"user": "bob", "name": "bob", "online": True, "room": DM, "epoch": "e1", "head": 5, "read": 5, "unread": 0}


async def test_an_accept_asks_for_what_waited(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer, contacts=[BOB]) as (chat, visit):
        asking = Asking(nursery, lambda: chat.accept("bob"))
        request = await visit.expect("contact")
        assert (request["user"], request["action"]) == ("bob", "accept")
        await visit.reply(request, "ok", room=DM, head=6, state="contact")
        resume = await visit.expect("resume")
        assert (resume["room"], resume["seq"]) == (DM, 5)
        await visit.reply(resume, "ok", head=6)
        await visit.send(message(6, DM))
        assert await bodies(chat, 1) == ["m6"]
        assert (await asking.result()).state == "contact"


async def test_so_does_an_accept_on_another_device(peer: Peer) -> None:
    async with talking(peer, contacts=[BOB]) as (chat, visit):
        last = {"seq": 6, "ts": 6, "from": "bob", "body": "m6"}
        await visit.send({"type": "request", "user": "bob", "name": "bob", "room": DM, "head": 6, "last": last})
        await visit.send({"type": "contact", "user": "bob", "state": "contact"})
        assert isinstance(await event(chat), replies.Request)
        assert await event(chat) == replies.Contact(user="bob", state="contact")
        resume = await visit.expect("resume")
        await visit.reply(resume, "ok", head=6)
        await visit.send(message(6, DM))
        assert await bodies(chat, 1) == ["m6"]


async def test_a_decline_asks_for_nothing(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer, contacts=[BOB]) as (chat, visit):
        asking = Asking(nursery, lambda: chat.decline("bob"))
        await visit.reply(await visit.expect("contact"), "ok", room=DM, head=6, state="declined")
        assert (await asking.result()).state == "declined"
        await visit.send({"type": "contact", "user": "bob", "state": "declined"})
        assert isinstance(await event(chat), replies.Contact)
        sending = Asking(nursery, lambda: chat.send("user:bob", "x"))
        await visit.ack(await visit.expect("send"), 7)
        await sending.result()


async def test_what_an_admin_does_is_not_done_twice(peer: Peer, nursery: trio.Nursery) -> None:
    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, lambda: chat.suspend("bob", seconds=60))
        request = await visit.expect("admin")
        assert (request["action"], request["user"], request["seconds"]) == ("suspend", "bob", 60)
        await visit.close()
        with pytest.raises(Lost):
            await asking.result()


async def test_lists_are_read_to_their_end(peer: Peer, nursery: trio.Nursery) -> None:
    async def all_of() -> list[str]:
        return [entry.user async for entry in chat.contacts()]

    async with talking(peer) as (chat, visit):
        asking = Asking(nursery, all_of)
        for users, cursor in ((["bob", "eve"], "eve"), (["kim"], None)):
            request = await visit.expect("contacts")
            assert request.get("cursor") == (None if cursor else "eve")
            entries = [{"user": user, "name": user, "state": "contact"} for user in users]
            await visit.reply(request, "contacts", contacts=entries, **({"next": cursor} if cursor else {}))
        assert await asking.result() == ["bob", "eve", "kim"]
