from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message, Ping, Pong

from gochat.protocol.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MAX_FRAGMENTS,
    PING,
    PONG,
    TEXT,
    FrameReader,
    Item,
    MessageFault,
    Passthrough,
    client_frame,
    frame,
)

LIMIT = 70_000
KEY = b"\x01\x02\x03\xff"


def feed_all(chunks: Iterable[bytes], limit: int = LIMIT, opcode: int = TEXT) -> list[Item]:
    """The items; what passes without a cut of its own is joined."""
    reader = FrameReader(limit, opcode)
    items: list[Item] = []
    for chunk in chunks:
        for item in reader.feed(chunk):
            if isinstance(item, Passthrough) and items and isinstance(items[-1], Passthrough) and is_tail(items[-1]):
                items[-1] = Passthrough(items[-1].data + item.data)
            else:
                items.append(item)
    return items


def is_tail(item: Passthrough) -> bool:
    """Whether this began with a Close or a violation: a valid control frame that is not a Close is alone."""
    return item.data[0] not in (0x80 | PING, 0x80 | PONG) or item.data[1] < 0x80 or item.data[1] > 0x80 + 125


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(i % (len(stream) + 1) for i in at), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def bytewise(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


def wsproto_fails(passed: bytes) -> bool:
    """Whether wsproto fails the connection: a Close that the peer did not send."""
    peer = Connection(ConnectionType.SERVER)
    peer.receive_data(passed)
    closes = [event.code for event in peer.events() if isinstance(event, CloseConnection)]
    return closes == [1002] and peer.state is ConnectionState.OPEN


# --- what is taken


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 125, 126, 127, 128, 255, 256, 65_535, 65_536, LIMIT])
@pytest.mark.parametrize(("opcode", "values"), [(TEXT, 127), (BINARY, 251)])
def test_a_whole_message_is_unmasked(size: int, opcode: int, values: int) -> None:
    payload = bytes(i % values for i in range(size))
    stream = client_frame(opcode, payload)
    assert feed_all([stream], opcode=opcode) == [payload]
    assert feed_all([stream * 2], opcode=opcode) == [payload, payload]
    assert feed_all([stream[:7], stream[7:]], opcode=opcode) == [payload]


def test_the_mask_of_the_rfc_example() -> None:
    """RFC 6455, section 5.7: "Hello", masked and in one frame; then unmasked."""
    masked = bytes.fromhex("818537fa213d7f9f4d5158")
    assert client_frame(TEXT, b"Hello", key=bytes.fromhex("37fa213d")) == masked
    assert feed_all([masked]) == [b"Hello"]
    assert frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_server_frame_is_what_a_client_reads(size: int) -> None:
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frame(BINARY, b"x" * size))
    events = [event for event in client.events() if isinstance(event, Message)]
    assert b"".join(bytes(event.data) for event in events) == b"x" * size
    assert events[-1].message_finished


def test_fragments_are_joined_around_control_frames() -> None:
    ping, pong = client_frame(PING, b"are you there"), client_frame(PONG, b"")
    stream = (
        client_frame(TEXT, b"one")
        + client_frame(TEXT, b"t", fin=False)
        + ping
        + client_frame(CONTINUATION, b"w", fin=False)
        + pong
        + client_frame(CONTINUATION, b"o")
        + client_frame(TEXT, b"three")
    )
    assert feed_all([stream]) == [b"one", Passthrough(ping), Passthrough(pong), b"two", b"three"]
    assert feed_all(bytewise(stream)) == feed_all([stream])


def test_after_a_close_nothing_is_taken() -> None:
    close = client_frame(CLOSE, b"\x03\xe8")
    stream = client_frame(TEXT, b"one") + close + client_frame(TEXT, b"two")
    items = FrameReader(LIMIT, TEXT).feed(stream)
    assert items == [b"one", Passthrough(close), Passthrough(stream[-len(client_frame(TEXT, b"two")) :])]


# --- what is refused


@pytest.mark.parametrize("size", [101, 125, 126, 65_536, (1 << 63) - 1])
def test_a_message_over_the_limit_is_refused_by_its_header(size: int) -> None:
    short = bytes([0x81, 0x80 | size]) if size < 126 else b""
    longer = b"\x81\xfe" + size.to_bytes(2) if size < 65_536 else b"\x81\xff" + size.to_bytes(8)
    assert feed_all([(short or longer) + KEY], limit=100) == [MessageFault.TOO_LARGE]


def test_a_message_at_the_limit_is_taken() -> None:
    assert feed_all([client_frame(TEXT, b"x" * 100)], limit=100) == [b"x" * 100]
    halves = client_frame(TEXT, b"x" * 50, fin=False) + client_frame(CONTINUATION, b"x" * 50)
    assert feed_all([halves], limit=100) == [b"x" * 100]
    assert feed_all([halves], limit=99) == [MessageFault.TOO_LARGE]


def test_empty_fragments_are_bounded() -> None:
    start, more = client_frame(TEXT, b"", fin=False, key=KEY), client_frame(CONTINUATION, b"", fin=False, key=KEY)
    most = start + more * (MAX_FRAGMENTS - 2)
    assert feed_all([(most + client_frame(CONTINUATION, b"x")) * 2]) == [b"x", b"x"]
    assert feed_all([most + more + more]) == [MessageFault.TOO_LARGE]


@pytest.mark.parametrize(("allowed", "sent"), [(TEXT, BINARY), (BINARY, TEXT)])
def test_the_other_opcode_is_refused(allowed: int, sent: int) -> None:
    stream = client_frame(allowed, b"one") + client_frame(sent, b"two")
    assert feed_all([stream], opcode=allowed) == [b"one", MessageFault.WRONG_OPCODE]
    assert feed_all(bytewise(stream), opcode=allowed) == [b"one", MessageFault.WRONG_OPCODE]


def test_after_a_refusal_only_control_frames_come_so_that_the_closing_handshake_ends() -> None:
    close = client_frame(CLOSE, b"\x11\x98", key=KEY)
    stream = (
        client_frame(TEXT, b"x" * 101) + client_frame(TEXT, b"y" * 1000, fin=False) + client_frame(TEXT, b"z") + close
    )
    expected = [MessageFault.TOO_LARGE, Passthrough(close)]
    assert feed_all([stream], limit=100) == expected
    assert feed_all(bytewise(stream), limit=100) == expected
    assert feed_all(cut(stream, [3, 90, 300, 1100]), limit=100) == expected


# --- what violates the protocol

VIOLATIONS = {
    "rsv1": b"\xc1\x80" + KEY,
    "rsv3": b"\x91\x80" + KEY,
    "reserved data opcode": b"\x83\x80" + KEY,
    "reserved control opcode": b"\x8b\x80" + KEY,
    "no mask": b"\x81\x00",
    "unmasked ping": b"\x89\x00",
    "fragmented ping": b"\x09\x80" + KEY,
    "ping of 126 bytes": b"\x89\xfe\x00\x7e" + KEY + bytes(126),
    "continuation of nothing": client_frame(CONTINUATION, b"x"),
    "16-bit length that needs 7": b"\x81\xfe\x00\x7d" + KEY + bytes(125),
    "64-bit length that needs 16": b"\x81\xff" + (65_535).to_bytes(8) + KEY,
    "64-bit length with its highest bit": b"\x81\xff" + (1 << 63).to_bytes(8) + KEY,
}


@pytest.mark.parametrize("violation", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_and_all_after_it_pass_to_whom_it_is_one_too(violation: bytes) -> None:
    tail = client_frame(TEXT, b"two")
    stream = client_frame(TEXT, b"one") + violation + tail
    assert feed_all([stream]) == [b"one", Passthrough(violation + tail)]
    assert feed_all(bytewise(stream)) == [b"one", Passthrough(violation + tail)]
    assert wsproto_fails(violation)


@pytest.mark.parametrize(
    "violation",
    [client_frame(TEXT, b"new"), client_frame(BINARY, b"new"), b"\xc1\x80" + KEY],
    ids=["text", "binary", "compressed"],
)
def test_a_violation_inside_a_message_is_one_also_to_whom_that_message_is_unknown(violation: bytes) -> None:
    [item] = feed_all([client_frame(TEXT, b"begun", fin=False) + violation])
    assert isinstance(item, Passthrough)
    assert item.data.endswith(violation)
    assert wsproto_fails(item.data)


# --- properties

payloads = st.binary(max_size=300) | st.sampled_from([b"x" * 125, b"x" * 126, b"x" * 70_001])
control = st.builds(client_frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))


@st.composite
def messages(draw: st.DrawFn, opcode: int = TEXT) -> bytes:
    """A message in 1 to 4 frames, with control frames between them."""
    parts = draw(st.lists(st.text(max_size=40).map(str.encode), min_size=1, max_size=4))
    frames = [
        client_frame(opcode if i == 0 else CONTINUATION, part, fin=i == len(parts) - 1) for i, part in enumerate(parts)
    ]
    return b"".join(draw(st.just(b"") | control) + one for one in frames)


valid_streams = st.tuples(
    st.lists(messages() | control, max_size=8).map(b"".join),
    st.sampled_from([b"", client_frame(CLOSE, b""), client_frame(CLOSE, b"\x03\xe8bye")]),
).map(b"".join)
any_frame = st.builds(
    client_frame,
    st.sampled_from([CONTINUATION, TEXT, TEXT, TEXT, BINARY, CLOSE, PING, PONG, 3, 15]),
    payloads,
    fin=st.booleans(),
)
any_streams = st.lists(any_frame | messages() | st.binary(max_size=8), max_size=8).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(any_streams, st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from([100, LIMIT]))
def test_any_split_of_the_stream_gives_the_same_items(stream: bytes, at: list[int], limit: int) -> None:
    assert feed_all(cut(stream, at), limit) == feed_all([stream], limit)


def by_wsproto(stream: bytes) -> list[bytes | tuple[str, bytes]]:
    connection = Connection(ConnectionType.SERVER)
    connection.receive_data(stream)
    seen: list[bytes | tuple[str, bytes]] = []
    message = b""
    for event in connection.events():
        if isinstance(event, Message):
            message += event.data.encode() if isinstance(event.data, str) else bytes(event.data)
            if event.message_finished:
                seen.append(message)
                message = b""
        elif isinstance(event, Ping | Pong):
            seen.append((type(event).__name__, bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            seen.append(("Close", str(event.code).encode()))
    return seen


@settings(max_examples=150, deadline=None)
@given(valid_streams, st.lists(st.integers(0, 2_000), max_size=8))
def test_on_valid_streams_it_agrees_with_wsproto(stream: bytes, at: list[int]) -> None:
    seen: list[bytes | tuple[str, bytes]] = []
    for item in feed_all(cut(stream, at)):
        assert not isinstance(item, MessageFault)
        seen += by_wsproto(item.data) if isinstance(item, Passthrough) else [item]
    assert seen == by_wsproto(stream)


def test_nothing_is_kept_between_whole_messages() -> None:
    reader = FrameReader(LIMIT, TEXT)
    stream = client_frame(TEXT, b"a" * 500, fin=False) + client_frame(CONTINUATION, b"b")
    for byte in bytewise(stream):
        reader.feed(byte)
    assert reader._partial is None
    assert reader._message is None


# ---------------------------------------------------------------------------------------------- text is UTF-8

#: RFC 3629: too long a form, a surrogate, above U+10FFFF, a stray byte, a character that does not end.
NOT_UTF8 = [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80", b"\xe2\x82", b'{"x":"\xff"}']


@pytest.mark.parametrize("bad", NOT_UTF8)
@pytest.mark.parametrize("size", [0, 200, 70_000])
def test_text_that_is_no_utf8_is_refused(bad: bytes, size: int) -> None:
    data = client_frame(TEXT, b"one") + client_frame(TEXT, b"x" * size + bad) + client_frame(TEXT, b"two")
    assert FrameReader(100_000, TEXT).feed(data) == [b"one", MessageFault.NOT_UTF8]
    reader = FrameReader(100_000, TEXT)
    assert [item for byte in data for item in reader.feed(bytes([byte]))] == [b"one", MessageFault.NOT_UTF8]
    assert FrameReader(100_000, BINARY).feed(client_frame(BINARY, bad)) == [bad]


def test_a_character_may_be_cut_by_fragments_and_a_bad_one_is_refused_at_its_fragment() -> None:
    text = "κόσμε €😀".encode()
    for cut in range(1, len(text)):
        reader = FrameReader(1000, TEXT)
        first = client_frame(TEXT, text[:cut], fin=False)
        assert reader.feed(first + client_frame(0, text[cut:])) == [text]
        assert reader.feed(client_frame(TEXT, "é".encode())) == ["é".encode()], "nothing is left of the one before"
    reader = FrameReader(1000, TEXT)
    assert reader.feed(client_frame(TEXT, b"ab\xce", fin=False)) == []
    assert reader.feed(client_frame(0, b"\xce", fin=False)) == [MessageFault.NOT_UTF8], "before the message is whole"
    reader = FrameReader(1000, TEXT)
    assert reader.feed(client_frame(TEXT, b"ab\xce", fin=False) + client_frame(0, b"")) == [MessageFault.NOT_UTF8]


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_what_is_text_is_what_python_decodes(payload: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    pieces = [payload[start:end] for start, end in pairwise(edges)]
    data = b"".join(
        client_frame(TEXT if number == 0 else 0, piece, fin=number == len(pieces) - 1)
        for number, piece in enumerate(pieces)
    )
    try:
        payload.decode()
    except UnicodeDecodeError:
        assert FrameReader(1000, TEXT).feed(data) == [MessageFault.NOT_UTF8]
    else:
        assert FrameReader(1000, TEXT).feed(data) == [payload]
