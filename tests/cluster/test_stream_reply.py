"""The reply to XREAD is read the same however its bytes come, and another reply is told as what it is."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from redis.exceptions import InvalidResponse, ResponseError

from gochat.cluster.ports import MOST_BYTES, MOST_NUMBER, Element, Position
from gochat.cluster.stream_reply import read_reply, whole_reply

LOG, OTHER = b"gc:{c.0}:log", b"gc:{c.1}:log"
ENTRIES = {
    LOG: [Element(Position(1_000_017, n), bytes([n]) * n) for n in (0, 1, 2, 200)],
    OTHER: [Element(Position(18, 7), b"*2\r\n$4\r\n1-1\r\n"), Element(Position(18, 8), b"x" * 100_000)],
}


def bulk(data: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(data), data)


def reply(streams: dict[bytes, list[Element]]) -> bytes:
    said = b"*%d\r\n" % len(streams)
    for key, elements in streams.items():
        said += b"*2\r\n" + bulk(key) + b"*%d\r\n" % len(elements)
        for (term, n), data in elements:
            said += b"*2\r\n" + bulk(b"%d-%d" % (term, n)) + b"*2\r\n" + bulk(b"e") + bulk(data)
    return said


def pieces(data: bytes, *sizes: int) -> Callable[[], bytes]:
    """The bytes, cut after so many each time, and the rest; then none."""
    left = [data[begin:end] for begin, end in zip((0, *sizes), (*sizes, len(data)), strict=True)]
    return lambda: left.pop(0) if left else b""


def test_a_whole_reply() -> None:
    assert read_reply(pieces(reply(ENTRIES))) == ENTRIES


def test_byte_by_byte() -> None:
    data = reply({LOG: ENTRIES[LOG], OTHER: ENTRIES[OTHER][:1]})
    assert read_reply(pieces(data, *range(1, len(data)))) == {LOG: ENTRIES[LOG], OTHER: ENTRIES[OTHER][:1]}


def test_cut_anywhere() -> None:
    data, random = reply(ENTRIES), Random(1)
    for _ in range(200):
        assert read_reply(pieces(data, *sorted(random.sample(range(1, len(data)), random.randint(1, 9))))) == ENTRIES


@pytest.mark.parametrize(("length", "come"), [(MOST_BYTES, 1), (MOST_BYTES // 2, 2), (MOST_BYTES // 2 - 1, 3)])
def test_a_long_reply_is_cut_and_the_rest_left(length: int, come: int) -> None:
    elements = [Element(Position(1, n), b"x" * length) for n in range(1, 6)]
    cuts: list[None] = []
    found = read_reply(pieces(reply({LOG: ENTRIES[LOG], OTHER: elements})), lambda: cuts.append(None))
    assert found == {LOG: ENTRIES[LOG], OTHER: elements[:come]} and len(cuts) == 1
    cuts.clear()
    assert read_reply(pieces(reply({OTHER: elements[:come], LOG: ENTRIES[LOG]})), lambda: cuts.append(None)).keys() == {
        OTHER,
        LOG,
    }
    assert not cuts, "a stream that ends there is whole"


def test_nothing_came() -> None:
    assert read_reply(pieces(b"*-1\r\n")) == {}


def test_an_error() -> None:
    with pytest.raises(ResponseError, match="LOADING the data"):
        read_reply(pieces(b"-LOADING the data\r\n", 3))


@pytest.mark.parametrize("said", [b"+OK\r\n", b"*1\r\n+OK\r\n", b"*1\r\n*2\r\n$1\r\na\r\n*1\r\n:5\r\n"])
def test_another_reply(said: bytes) -> None:
    with pytest.raises(InvalidResponse):
        read_reply(pieces(said + b" " * 500))


@pytest.mark.parametrize("field", [b"f", b"ee", b"e\r\n"])
def test_an_entry_of_another_form_is_known_when_its_head_has_come(field: bytes) -> None:
    said = b"*1\r\n*2\r\n" + bulk(LOG) + b"*1\r\n*2\r\n" + bulk(b"1-2") + b"*2\r\n" + bulk(field) + bulk(b"x")

    def silent() -> bytes:
        pytest.fail("it waits for more")

    come = [said]
    with pytest.raises(InvalidResponse):
        read_reply(lambda: come.pop() if come else silent())


@pytest.mark.parametrize(
    "element", [Element(Position(1, 2), b"x" * (MOST_BYTES + 1)), Element(Position(MOST_NUMBER + 1, 2), b"x")]
)
def test_an_entry_out_of_bounds_is_no_entry(element: Element) -> None:
    with pytest.raises(InvalidResponse, match="FLUSHDB"):
        read_reply(pieces(reply({LOG: [element]})))


def test_the_end() -> None:
    data = reply(ENTRIES)
    for end in (0, 3, 40, 300, len(data) - 1):
        with pytest.raises(ConnectionError):
            read_reply(pieces(data[:end]))


def test_a_whole_reply_at_once() -> None:
    assert whole_reply(reply(ENTRIES)) == ENTRIES
    assert whole_reply(b"*-1\r\n") == {}, "the server has waited in vain"


def test_a_piece_is_no_reply() -> None:
    data = reply(ENTRIES)
    assert all(whole_reply(data[:length]) is None for length in range(1, len(data), 997))
    data = data[:1000]
    assert all(whole_reply(data[:length]) is None for length in range(1, len(data)))


def test_what_is_not_a_reply_at_once() -> None:
    assert whole_reply(b"-ERR no\r\n") is None, "the thread tells errors"
    long = [Element(Position(18, n), bytes(MOST_BYTES // 2 + 1)) for n in (1, 2, 3)]
    assert whole_reply(reply({LOG: long})) is None, "the thread leaves the rest unread"
    for other in (reply(ENTRIES) * 2, reply(ENTRIES) + b"\r\n", b"+OK\r\n"):
        with pytest.raises(InvalidResponse):
            whole_reply(other)
