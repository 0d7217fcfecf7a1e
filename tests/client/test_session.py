"""The session against a scripted server: what a real one does only on bad days."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
import trio_websocket

from gochat.client import Chat, Lost, Refused, Unreachable, connect
from gochat.client.errors import ClientError
from gochat.client.links import DIAL_S
from gochat.protocol import replies
from tests.client.peer import TEA, Peer, message
from tests.client.talk import Asking, bodies, event, talking

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
        async with connect("tcp://127.0.0.1:1", token="abc"):
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
        async with connect(peer.url, token="abc"):
            pytest.fail("that was no welcome")


async def test_connecting_can_be_given_up(peer: Peer) -> None:
    with trio.move_on_after(0.2) as patience:
        async with connect(peer.url, token="abc"):
            pytest.fail("nobody answered")
    assert patience.cancelled_caught


async def test_what_the_application_raises_comes_out_alone(peer: Peer, nursery: trio.Nursery) -> None:
    async def greet() -> None:
        await (await peer.visit()).welcome()

    nursery.start_soon(greet)
    with trio.fail_after(60), pytest.raises(ZeroDivisionError):
        async with connect(peer.url, token="abc"):
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

    with trio.fail_after(60):
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
            user="ann",
            session="s",
            node="n",
            server="scripted",
            heartbeat_s=30,
            limits=replies.Limits(),
            contacts=[],
            rooms=[],
            requests=[],
        )
    )

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        websocket = await request.accept()
        await websocket.get_message()
        await websocket.send_message(welcome.decode())
        try:
            await websocket.get_message()
        except trio_websocket.ConnectionClosed as closed:
            assert closed.reason is not None
            codes.append(closed.reason.code)

    with trio.fail_after(60):
        async with websocket_server(handler) as url:
            with trio.CancelScope() as scope:
                async with connect(url, token="abc"):
                    if cancelled:
                        scope.cancel()
                        await trio.sleep_forever()
            assert codes == [1000]


async def test_a_refused_upgrade_says_so() -> None:
    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        await request.reject(403, body=b"no")

    with trio.fail_after(60):
        async with websocket_server(handler) as url:
            with pytest.raises(Unreachable, match="403"):
                async with connect(url, token="abc"):
                    pytest.fail("it was refused")


async def test_a_server_that_goes_away_in_the_handshake_is_not_waited_for(peer: Peer, nursery: trio.Nursery) -> None:
    async def leave() -> None:
        visit = await peer.visit()
        await visit.stream.receive_some()
        await visit.close()

    nursery.start_soon(leave)
    with trio.fail_after(DIAL_S * 0.9), pytest.raises(Unreachable, match="handshake"):
        async with connect(peer.url.replace("tcp", "ws"), token="abc"):
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
