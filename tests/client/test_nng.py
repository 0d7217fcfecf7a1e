"""The client over nng, where that differs from a stream: polls, the end of a session, and what nng leaves behind."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pynng
import pytest
import trio
from msgspec import Struct

from gochat.client import Chat, Ended, Offline, Online, Refused, Unreachable, connect
from gochat.client import nng as transport
from gochat.client.links import parse_url
from gochat.client.session import Session
from gochat.client.wire import encode, encode_sent
from gochat.domain import facts
from gochat.errors import REVOKED
from gochat.node import Node, running
from gochat.protocol import replies
from tests import certificates
from tests.client.command import gochat
from tests.client.command import running as command
from tests.client.conftest import Start, enter, url
from tests.client.places import DM, room, welcome
from tests.client.places import message as fact
from tests.docs.relay import Relay
from tests.e2e.conftest import make_settings
from tests.e2e.peer import address
from tests.tokens import issue
from tests.transports.req import REP_HELLO, Peer, message

WAIT_S = 60.0


async def messages(chat: Chat, count: int) -> list[int]:
    """The seqs of so many messages, as they come; other events are passed over."""
    found: list[int] = []
    with trio.fail_after(WAIT_S):
        while len(found) < count:
            event = await anext(chat)
            if isinstance(event, facts.Message):
                found.append(event.seq)
    return found


async def event(chat: Chat, kind: type[Any]) -> Any:
    with trio.fail_after(WAIT_S):
        while not isinstance(found := await anext(chat), kind):
            pass
    return found


async def test_events_come_without_being_asked_for(node: Node) -> None:
    async with enter(node, "ann", "nng") as ann, enter(node, "bob", "ws") as bob:
        for number in range(1, 4):
            await bob.send("user:ann", "hi")
            assert await messages(ann, 1) == [number]
        await ann.typing("user:bob")
        assert (await event(bob, replies.Typing)).sender == "ann"


async def test_a_goodbye_ends_the_session_at_once(node: Node) -> None:
    async with enter(node, "ann", "nng"):
        assert len(node.gateway.sessions) == 1
    assert not node.gateway.sessions


async def test_requests_that_are_made_at_once_share_few_exchanges_and_keep_their_order(node: Node) -> None:
    """Together they are more than fits into one."""
    acked: list[int] = []

    async def say(chat: Chat, number: int) -> None:
        acked.append((await chat.send("user:ann", f"{number} " + "é" * 2_000)).seq)

    with trio.fail_after(WAIT_S):
        async with enter(node, "ann", "nng") as ann:
            async with trio.open_nursery() as nursery:
                for number in range(128):
                    nursery.start_soon(say, ann, number)
            assert sorted(acked) == list(range(1, 129))
            assert await messages(ann, 128) == list(range(1, 129))


async def test_a_request_that_does_not_fit_beside_the_secret_is_refused_here(start: Start) -> None:
    limits = {"frame_bytes": 16_384, "add_users": 1_000}
    with trio.fail_after(WAIT_S):
        async with start(limits=limits) as node, enter(node, "ann", "nng") as ann:
            await ann.create_group("tea")
            # Some bytes less than fit without the secret.
            names = [f"{number:03}".ljust(61, "x") for number in range(255)]
            with pytest.raises(Refused, match="too_large"):
                await ann.add_users("tea", names)
            with pytest.raises(Refused, match="not_found"):
                await ann.add_users("other", names[:-1])
            assert (await ann.send("group:tea", "still here")).seq == 2


def test_hello_names_no_more_rooms_than_one_request_holds() -> None:
    session = Session(parse_url("nng+tcp://127.0.0.1"), token="t", device=None, queue=1)
    session.positions.welcomed(welcome(*(room(1, room=f"group:{number:064}") for number in range(1_000))))
    hello = session._hello()
    assert hello.resume is not None and 300 < len(hello.resume) < 1_000
    assert len(encode(hello)) < session.calls.frame_bytes


async def test_an_application_that_reads_nothing_holds_little_and_misses_nothing(start: Start) -> None:
    async with (
        start(limits={"outbox_bytes": 65_536}) as node,
        enter(node, "ann", "nng", queue=5) as ann,
        enter(node, "bob", "tcp") as bob,
    ):
        for number in range(300):
            await bob.send("user:ann", f"{number} " + "x" * 1_000)
        assert len(ann._session.inbox) <= 5 + transport.FULL_FRAMES
        assert await messages(ann, 300) == list(range(1, 301))
        assert (await ann.send("user:bob", "all read")).seq == 301


@asynccontextmanager
async def relayed(node: Node) -> AsyncIterator[tuple[Relay, str]]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    relay = Relay(listener)
    relay.target = address(node, "nng")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay.serve)
        yield relay, "nng+tcp://{}:{}".format(*relay.address)
        nursery.cancel_scope.cancel()


async def test_after_a_cut_it_goes_on_and_leaves_no_session_behind(node: Node) -> None:
    async with (
        relayed(node) as (relay, where),
        connect(where, token=issue(node, "ann")) as ann,
        enter(node, "bob", "tcp") as bob,
    ):
        for number in range(1, 4):
            before = set(node.gateway.sessions)
            await relay.cut(relay.target)
            await bob.send("user:ann", "while ann is away, or is not")
            await event(ann, Offline)
            await event(ann, Online)
            assert await messages(ann, 1) == [number]
            after = set(node.gateway.sessions)
            assert len(after) == 2 and after != before


async def test_a_session_that_has_ended_is_opened_again_and_its_requests_are_repeated(node: Node) -> None:
    async with enter(node, "ann", "nng") as ann:
        (session,) = node.gateway.sessions.values()
        # As after a silence: the reply to the next request says that there is no such session.
        session.connection._pairs._connections.clear()  # type: ignore[attr-defined]
        with trio.fail_after(WAIT_S):
            assert (await ann.send("user:ann", "hello again")).seq == 1


async def test_the_end_is_told_with_its_number(node: Node) -> None:
    async with enter(node, "ann", "nng") as ann:
        (session,) = node.gateway.sessions.values()
        session.close(REVOKED, "enough")
        with trio.fail_after(WAIT_S), pytest.raises(Ended) as caught:
            await anext(ann)
        assert caught.value.number == REVOKED


async def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    settings = make_settings(tmp_path / "data", nng={"bind": "tcp://127.0.0.1:0"}, session={"heartbeat_s": 0.2})
    async with (
        running(settings) as node,
        relayed(node) as (relay, where),
        connect(where, token=issue(node, "ann")) as ann,
    ):
        relay.swallow()
        assert "silent" in (await event(ann, Offline)).reason
        await event(ann, Online)
        assert (await ann.send("user:ann", "it is back")).seq == 1


@asynccontextmanager
async def secure_node(folder: Path) -> AsyncIterator[Node]:
    pem = str(certificates.localhost(folder))
    nng = {"bind": "tls+tcp://127.0.0.1:0", "tls_cert": pem, "tls_key": pem}
    async with running(make_settings(folder / "data", nng=nng)) as node:
        yield node


async def test_tls_is_checked_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with trio.fail_after(WAIT_S):
        async with secure_node(tmp_path) as node:
            port = dict(node.addresses)["nng+tls"].rpartition(":")[2]
            token = issue(node, "ann")
            with pytest.raises(Unreachable, match="TLS: the handshake failed"):
                async with connect(f"nng+tls+tcp://localhost:{port}", token=token):
                    pytest.fail("nobody vouches for this certificate")
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "localhost.pem"))
            with pytest.raises(Unreachable, match="TLS: the handshake failed"):
                async with connect(f"nng+tls+tcp://127.0.0.1:{port}", token=token):
                    pytest.fail("the certificate has another name")
            async with connect(f"nng+tls+tcp://localhost:{port}", token=token) as ann:
                assert (await ann.send("user:ann", "note")).seq == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_reason_is_the_system_s_own(host: str) -> None:
    with trio.fail_after(WAIT_S), pytest.raises(Unreachable) as caught:
        async with connect(f"nng+tcp://{host}:1", token="abc"):
            pytest.fail("nobody listens there")
    assert str(caught.value) == "connection refused"


async def test_commands_speak_it(node: Node) -> None:
    where = url(node, "nng")
    sent = await gochat(node, "send", "user:bob", "hello", "--as", "ann", GOCHAT_URL=where)
    assert (sent.code, sent.out) == (0, "user:bob #1\n"), sent.err
    async with (
        command(node, "tail", "user:bob", "--from", "1", "--as", "ann", "--url", where) as tail,
        command(node, "chat", "user:bob", "--as", "ann", "--url", where) as chat,
        enter(node, "bob", "nng") as bob,
    ):
        await chat.type("hello from the terminal")
        await tail.prints("hello from the terminal")
        await bob.send("user:ann", "heard")
        await chat.prints("heard")
        await tail.prints("heard")


# ------------------------------------------------------------------------------------------------ the order of replies


def answer(number: int, *frames: Struct) -> bytes:
    """A reply as it travels."""
    return message(b"".join(encode_sent(frame) + b"\n" for frame in frames), number)


@asynccontextmanager
async def scripted(serve: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a server that lets one client in, then does as `serve` says."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def accept(stream: trio.SocketStream) -> None:
        peer = Peer(stream)
        await peer.greet()
        number, (hello,) = await peer.request()
        assert hello["type"] == "hello"
        await stream.send_all(answer(number, welcome()))
        await serve(peer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, accept, [listener])
        yield "nng+tcp://{}:{}".format(*listener.socket.getsockname())
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("first", ["poll", "send"])
async def test_facts_are_handed_on_in_the_order_of_the_replies(first: str) -> None:
    """The server may carry out a request before the poll that was sent before it. Of a room that nothing was known of,
    facts that are taken for old ones are never asked for."""
    polled = trio.Event()

    async def serve(peer: Peer) -> None:
        poll_number, (poll,) = await peer.request()
        polled.set()
        send_number, (send,) = await peer.request()
        assert (poll["type"], send["type"]) == ("poll", "send")
        seqs = (1, 2) if first == "poll" else (2, 1)
        told = [
            answer(poll_number, fact(seqs[0], DM)),
            answer(send_number, replies.Ack(id=send["id"], room=DM, epoch="e1", seq=2, ts=1), fact(seqs[1], DM)),
        ]
        await peer.stream.send_all(b"".join(told if first == "poll" else reversed(told)))
        await trio.sleep_forever()

    with trio.fail_after(WAIT_S):
        async with scripted(serve) as where, connect(where, token="abc") as ann:
            await polled.wait()
            assert (await ann.send("user:bob", "hello")).seq == 2
            assert await messages(ann, 2) == [1, 2]


# ------------------------------------------------------------------------------------------------ what nng leaves


@asynccontextmanager
async def deaf() -> AsyncIterator[str]:
    """A REP socket's address that reads nothing once it has said what it is."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(REP_HELLO)
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, greet, [listener])
        yield "tcp://{}:{}".format(*listener.socket.getsockname())
        nursery.cancel_scope.cancel()


async def test_sends_that_are_cancelled_leave_nothing_behind() -> None:
    """Without being freed, each would keep its message: 60 MB."""
    with trio.fail_after(WAIT_S):
        async with deaf() as where:
            with pynng.Req0(opener=pynng.lib.nng_req0_open_raw, async_backend="trio") as socket:
                await trio.to_thread.run_sync(partial(socket.dial, where, block=True))
                peaks = []
                for _ in range(3):
                    for _ in range(1_000):
                        with trio.CancelScope() as scope:
                            scope.cancel()
                            await transport._send(socket, transport.LAST_HOP, b"x" * 20_000)
                    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
                assert peaks[-1] - peaks[0] < 10_000, peaks


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gochat.client.session.GREET_S", 0.2)
    with trio.fail_after(WAIT_S):
        async with deaf() as where:
            with pytest.raises(Unreachable, match="no answer within"):
                async with connect(f"nng+{where}", token="abc"):
                    pytest.fail("it never answers")
