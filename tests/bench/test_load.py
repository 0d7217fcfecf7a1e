"""The code of all loads: signs of life, the supply of messages, and sends that the kernel does not take at once."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress

import pytest

from bench.faults import Fault
from bench.load.book import Book
from bench.load.client import Address, Client
from bench.load.frames import Bodies, Log, decode_welcome
from bench.load.loop import Driver, Load
from bench.load.outcome import Length, Supply
from bench.load.person import Person
from bench.load.sender import Sender
from bench.load.wire import LINES

PATIENCE_S = 60.0


@pytest.fixture
def ends() -> Iterator[tuple[Client, socket.socket]]:
    """A client and the server's end of its connection, with small buffers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with closing(Client(Address("127.0.0.1", server.getsockname()[1], LINES), "ann")) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            with server.accept()[0] as peer:
                peer.settimeout(PATIENCE_S)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield client, peer


class Listening(Load):
    """A load that sends nothing, and is complete when the server has heard of the client."""

    def __init__(self, client: Client, peer: socket.socket) -> None:
        self.listeners = [client]
        self._peer = peer
        self.heard = b""

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        return {self.listeners[0]: lambda: None}

    def begin(self, supply: Supply, book: Book) -> None:
        self._peer.setblocking(False)

    def complete(self) -> bool:
        with suppress(BlockingIOError):
            self.heard += self._peer.recv(100)
        return bool(self.heard)

    def owed(self) -> str:
        return "a sign of life"


def test_a_client_that_only_listens_gives_signs_of_life(ends: tuple[Client, socket.socket]) -> None:
    load = Listening(*ends)
    with closing(Driver(load, alive_s=0.01)) as driver:
        driver.drive(Length(0.1, patience_s=PATIENCE_S))
    assert load.heard == b"\n"


def test_silence_is_a_fault_that_says_what_is_owed(ends: tuple[Client, socket.socket]) -> None:
    with (
        closing(Driver(Listening(*ends))) as driver,
        pytest.raises(Fault, match=r"nothing came for 0\.05 s, owed: a sign"),
    ):
        driver.drive(Length(0.1, patience_s=0.05))


def test_bytes_before_the_load_begins_are_a_fault(ends: tuple[Client, socket.socket]) -> None:
    client, peer = ends
    peer.sendall(b'{"type":"pong"}\n{"type":"message"}\n')
    assert client.payload() == b'{"type":"pong"}'
    with pytest.raises(Fault, match=r'ann: unexpected before the load began: .*"message"'):
        client.unblock()


def test_a_request_that_is_refused_is_a_fault(ends: tuple[Client, socket.socket]) -> None:
    client, peer = ends
    peer.sendall(b'{"type":"member"}\n{"type":"error","id":1,"code":"conflict","message":"the name is taken"}\n')
    with pytest.raises(Fault, match="ann: conflict: the name is taken"):
        client.replies(1)


def test_replies_may_overtake_each_other_and_events_come_between(ends: tuple[Client, socket.socket]) -> None:
    client, peer = ends
    peer.sendall(b'{"type":"ack","id":2,"seq":1}\n{"type":"message","seq":1}\n{"type":"ack","id":1,"seq":2}\n')
    assert [(frame.id, frame.seq) for frame in client.replies(2)] == [(2, 1), (1, 2)]


def test_an_upgrade_that_is_refused_is_a_fault(ends: tuple[Client, socket.socket]) -> None:
    client, peer = ends
    peer.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 3\r\n\r\n101")
    with pytest.raises(Fault, match=r"ann: the upgrade was answered .HTTP/1\.1 503 Service"):
        client.upgraded()


def test_a_sign_in_that_is_refused_is_a_fault() -> None:
    with pytest.raises(Fault, match="ann: error instead of welcome: unauthorized the token is over"):
        decode_welcome(b'{"type":"error","code":"unauthorized","message":"the token is over"}', "ann")


def test_what_the_kernel_does_not_take_goes_with_the_next_bytes(ends: tuple[Client, socket.socket]) -> None:
    client, peer = ends
    client.unblock()
    bodies, count = Bodies(3000), 100
    sender = Sender(client, "group:g", Log("group:g", "ann", 0, bodies), bodies, keys=False)
    sender.send(count, 0)
    peer.sendall(b'{"type":"ack","id":1,"room":"group:g","seq":1}\n')
    lines: list[bytes] = []
    with peer.makefile("rb") as reader:
        while len(lines) < count:
            lines.append(reader.readline())
            peer.sendall(b'{"type":"typing"}\n')
            sender.receive()
    assert [line.count(b'"id":%d,' % number) for number, line in enumerate(lines, 1)] == [1] * count
    assert (sender.sent, sender.acked) == (count, 1)


def test_an_answer_that_nobody_waits_for_is_a_fault(ends: tuple[Client, socket.socket]) -> None:
    client, peer = ends
    client.unblock()
    bodies = Bodies(100)
    sender = Sender(client, "group:g", Log("group:g", "ann", 0, bodies), bodies, keys=True)
    sender.send(1, 0)
    peer.sendall(b'{"type":"ack","id":1,"room":"group:g","seq":1}\n' * 2)
    with pytest.raises(Fault, match="ann: an answer to id 1, which is not open"):
        sender.receive()


def test_a_supply_by_count_gives_no_more_than_it_has() -> None:
    supply = Supply(Length(0.0, messages=100), 0)
    assert [supply.take(64, 10**12) for _ in range(3)] == [64, 36, 0]


def test_a_supply_by_time_ends_with_it() -> None:
    supply = Supply(Length(2.0), 0)
    assert [supply.take(64, now) for now in (0, 1_999_999_999, 2_000_000_000)] == [64, 64, 0]


def test_rooms_that_no_list_names_are_resumed_with_the_epoch_of_the_welcome(ends: tuple[Client, socket.socket]) -> None:
    listed = b'{"type":"welcome","rooms":[{"room":"group:a","head":3,"epoch":"e1"}],"epoch":"e1"}'
    person = Person(ends[0], decode_welcome(listed, "ann"), "a token", ["group:a"], ["dm:ann:bob"])
    assert person.positions() == {"group:a": {"seq": 3, "epoch": "e1"}, "dm:ann:bob": {"seq": 0, "epoch": "e1"}}
