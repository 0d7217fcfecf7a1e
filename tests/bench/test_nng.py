"""Loads over nng, and the socket that packs their lines."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.faults import Fault
from bench.load.outcome import Length
from bench.load.requests import REP, REQ, RequestSocket, message
from bench.load.wire import NNG
from bench.scenarios import dm, fanout, nng
from bench.scenarios.stage import Stage
from tests.bench.stages import GOCHAT, SHARED

WELCOME = b'{"type":"welcome","session":"s"}\n'


def stage(folder: Path) -> Stage:
    return Stage(folder, SHARED, NNG, GOCHAT)


def test_private_messages_are_counted(tmp_path: Path) -> None:
    options = dm.Options(Length(5.0, messages=60), pairs=4, windows=(1, 16), turns=1, yardsticks=False)
    measures, _ = dm.run(stage(tmp_path), options)
    assert [(measure.load, measure.messages) for measure in measures] == [
        ("dm 4 pairs W=1", 60),
        ("dm 4 pairs W=16", 60),
    ]


def test_every_delivery_is_counted(tmp_path: Path) -> None:
    options = fanout.Options(Length(5.0, messages=60), members=20, window=16, turns=1, yardsticks=False)
    ((measure,), _) = fanout.run(stage(tmp_path), options)
    assert (measure.messages, measure.deliveries) == (60, 1_200)


def test_a_request_costs_something_over_the_echo(tmp_path: Path) -> None:
    measures, bounds = nng.run(stage(tmp_path), nng.Options(Length(5.0, messages=60), clients=(1, 3), turns=1))
    assert [(measure.load, measure.target) for measure in measures] == [
        (f"nng {kind} {clients}", target)
        for kind in ("ping", "send")
        for clients in ("1 client", "3 clients")
        for target in ("gochat", "tcp", "echo", "over echo")
    ]
    assert all(measure.messages == 60 for measure in measures if measure.target != "over echo")
    assert {bound.load for bound in bounds} == {"nng ping 1 client", "nng ping 3 clients"}


# ------------------------------------------------------------------------------------------------ the socket


@pytest.fixture
def ends() -> Iterator[tuple[RequestSocket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server, closing(RequestSocket()) as mine:
        mine.settimeout(20)
        mine.connect(server.getsockname())
        with server.accept()[0] as peer:
            peer.settimeout(20)
            yield mine, peer


def request(peer: socket.socket) -> tuple[int, bytes]:
    """The next request, and its number."""
    size = int.from_bytes(exactly(peer, 8), "big")
    body = exactly(peer, size)
    return int.from_bytes(body[:4], "big") & 0x7FFF_FFFF, body[4:]


def exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += peer.recv(count - len(data))
    return data


def test_lines_that_are_given_meanwhile_share_the_next_request(ends: tuple[RequestSocket, socket.socket]) -> None:
    mine, peer = ends
    mine.sendall(b'{"type":"hello"}\n')
    for line in (b'{"a":1}\n', b'{"b":2}\n'):
        mine.sendall(line)
    assert exactly(peer, 8) == REQ
    number, body = request(peer)
    assert body == b'{"type":"hello"}\n'
    peer.sendall(REP + message(number, WELCOME))
    assert mine.recv(100) == WELCOME
    assert request(peer) == (number + 1, b'{"session":"s","a":1}\n{"b":2}\n')


def test_it_polls_while_nothing_is_asked_and_reads_replies_in_parts(
    ends: tuple[RequestSocket, socket.socket],
) -> None:
    mine, peer = ends
    mine.sendall(b"{}\n")
    exactly(peer, 8)
    request(peer)
    peer.sendall(REP + message(1, WELCOME))
    mine.recv(100)
    mine.setblocking(False)
    number, body = request(peer)
    assert body.startswith(b'{"session":"s","type":"poll"')
    reply = message(number, b"one\ntwo\n") + message(number, b"")
    found = b""
    for at in range(len(reply)):
        peer.sendall(reply[at : at + 1])
        select.select([mine], [], [], 20)
        try:
            found += mine.recv(100)
        except BlockingIOError:
            continue
    assert found == b"one\ntwo\n"
    assert b"poll" in request(peer)[1]


def test_another_protocol_is_a_fault(ends: tuple[RequestSocket, socket.socket]) -> None:
    mine, peer = ends
    mine.sendall(b"{}\n")
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n")
    with pytest.raises(Fault, match="not a REP socket"):
        mine.recv(100)
