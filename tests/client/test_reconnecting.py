"""The session when connections break, and what it does to miss nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from gochat.client import Ended, Listed, Lost, Offline, Online, Reset, confirmed
from gochat.protocol import replies
from gochat.protocol.entries import PresenceEntry
from tests.client.peer import TEA, Peer, Visit, listed, message
from tests.client.talk import Asking, bodies, event, talking
from tests.waiting import until


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
        assert await event(chat) == replies.Presence(users=[PresenceEntry(user="bob", online=True)])


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
        with trio.fail_after(60):
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


async def test_after_a_reset_lower_seqs_are_confirmed(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirmed, "EVERY_S", 0.01)
    async with talking(peer, listed(9), confirms=True) as (_, visit):
        await visit.send(message(10))
        assert (await visit.expect("got"))["seq"] == 10
        await visit.send({"type": "reset", "room": TEA, "epoch": "e2", "head": 5})
        await visit.reply(await visit.expect("resume"), "ok", head=5)
        await visit.send(message(6))
        assert (await visit.expect("got"))["seq"] == 6


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
        await until(lambda: len(chat._session.inbox) == 3)
        await visit.close()
        await (await peer.visit()).welcome(listed(3), session="second")
        await until(lambda: chat.welcome.session == "second")


async def test_an_application_that_does_not_read_collects_no_lists(peer: Peer) -> None:
    entry = {"user": "zed", "name": "Zed", "state": "contact", **listed(0, "dm:ann:zed")}
    many = [{**listed(0, f"dm:ann:u{n}"), "user": f"u{n}", "name": "U", "online": False} for n in range(15)]
    async with talking(peer, listed(0), queue=20) as (chat, visit):
        for number in range(3):
            await visit.close()
            visit = await peer.visit()
            await visit.welcome(listed(0), contacts=many, session=f"{number}")
            await visit.reply(await visit.expect("contacts"), "contacts", contacts=[entry])
            await until(lambda: any(isinstance(one, Listed) for one in chat._session.inbox._items))
        told = [await event(chat) for _ in range(len(chat._session.inbox))]
        assert [one for one in told if isinstance(one, Online)] == [Online(chat.welcome)]
        assert chat.welcome.session == "2"
        assert sum(isinstance(one, Listed) for one in told) == 1
        assert told.index(Online(chat.welcome)) == len(told) - 2, "in their order"


async def test_events_that_are_told_once_find_their_place_in_a_full_queue(peer: Peer, nursery: trio.Nursery) -> None:
    last = {"seq": 1, "ts": 1, "from": "eve", "body": "hello"}

    def request(user: str, head: int) -> dict[str, Any]:
        return {"type": "request", "user": user, "name": user, "room": f"dm:ann:{user}", "head": head, "last": last}

    def read(seq: int, user: str = "ann") -> dict[str, Any]:
        return {"type": "read", "room": TEA, "from": user, "seq": seq}

    def presence(user: str, online: bool) -> dict[str, Any]:
        return {"type": "presence", "users": [{"user": user, "online": online}]}

    async with talking(peer, listed(0), queue=3) as (chat, visit):
        asking = Asking(nursery, lambda: chat.page(TEA))
        asked = await visit.expect("history")
        await visit.send(*(message(seq) for seq in range(1, 4)))
        for seq in range(1, 50):
            await visit.send(
                request("eve", seq),
                read(seq),
                read(seq, "bob"),
                {"type": "typing", "room": TEA, "from": "bob"},
                presence("bob", seq % 2 == 0),
                {"type": "contact", "user": "carl", "state": "contact" if seq % 2 else "blocked"},
            )
        await visit.send(request("fay", 1))
        await visit.reply(asked, "page", room=TEA, epoch="e1", entries=[], head=0, complete=True)
        await asking.result()
        assert await bodies(chat, 3) == ["m1", "m2", "m3"]
        told = [await event(chat) for _ in range(len(chat._session.inbox))]
        assert [(type(one).__name__, getattr(one, "head", None) or getattr(one, "seq", None)) for one in told] == [
            ("Request", 49),
            ("Read", 49),
            ("Presence", None),
            ("Contact", None),
            ("Request", 1),
        ]
        assert (told[2].users[0].online, told[3].state) == (False, "contact")


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
