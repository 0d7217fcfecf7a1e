"""The framings, seen from the client."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from bench.faults import Fault
from bench.load.wire import WEBSOCKET, WIRES, Wire, websocket_frame

PAYLOADS = st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=300), max_size=6)


def of_server(payload: bytes) -> bytes:
    """A frame as a server sends it."""
    return Connection(ConnectionType.SERVER).send(TextMessage(data=payload.decode()))


def stream(wire: Wire, payloads: list[bytes]) -> bytes:
    return b"".join(of_server(payload) if wire is WEBSOCKET else wire.frame(payload) for payload in payloads)


@pytest.mark.parametrize("wire", WIRES.values(), ids=lambda wire: wire.name)
@given(texts=PAYLOADS, step=st.integers(1, 40))
def test_any_cut_of_the_stream_gives_the_same_frames(wire: Wire, texts: list[str], step: int) -> None:
    payloads = [text.encode() for text in texts]
    data, found, rest = stream(wire, payloads), [], b""
    for start in range(0, len(data), step):
        rest += data[start : start + step]
        whole, used = wire.split(rest)
        found += whole
        rest = rest[used:]
    assert (found, rest) == (payloads, b"")


@pytest.mark.parametrize("size", [1, 125, 126, 4096])
def test_a_server_reads_what_the_client_frames(size: int) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(websocket_frame(b"x" * size))
    (event,) = server.events()
    assert isinstance(event, TextMessage)
    assert event.data == "x" * size


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536])
def test_every_form_of_the_length_is_read(size: int) -> None:
    assert WEBSOCKET.split(of_server(b"x" * size) + b"\x81") == ([b"x" * size], len(of_server(b"x" * size)))


def test_a_close_frame_is_a_fault_that_names_the_code() -> None:
    with pytest.raises(Fault, match="4001 slow"):
        WEBSOCKET.split(b"\x88\x06\x0f\xa1slow")


def test_pings_and_pongs_are_passed_over() -> None:
    assert WEBSOCKET.split(b"\x89\x00\x8a\x01x" + of_server(b"hi")) == ([b"hi"], 9)


@pytest.mark.parametrize("first", [0x01, 0x80, 0x82, 0xC1])
def test_what_a_server_may_not_send_is_a_fault(first: int) -> None:
    with pytest.raises(Fault, match="first byte"):
        WEBSOCKET.split(bytes((first, 1)) + b"x")


def test_a_sign_of_life_is_a_valid_frame_of_a_client() -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(WEBSOCKET.alive)
    assert [type(event).__name__ for event in server.events()] == ["Pong"]
