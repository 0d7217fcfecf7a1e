from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.protocol.ndjson import LineReader, TooLarge

LIMIT = 8


def feed_all(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    """The lines, and whether the reader then refused."""
    reader, lines = LineReader(LIMIT), []
    for chunk in chunks:
        try:
            lines += reader.feed(chunk)
        except TooLarge as refusal:
            return lines + refusal.lines, True
    return lines, False


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(i % (len(stream) + 1) for i in at), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(
    ("stream", "lines"),
    [
        (b"one\ntwo\n", [b"one", b"two"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b"\n\r\n\none\n\n", [b"one"]),
        (b"a\rb\n", [b"a\rb"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"no end", []),
        (b"12345678\n", [b"12345678"]),
        (b"12345678\r\n", [b"12345678"]),
    ],
)
def test_lines_come_without_their_ends(stream: bytes, lines: list[bytes]) -> None:
    assert feed_all([stream]) == (lines, False)
    assert feed_all([bytes([byte]) for byte in stream]) == (lines, False)


@pytest.mark.parametrize("over", [b"123456789\n", b"123456789", b"12345678\r\r\n", b"12345678\r9", b"1" * 99])
def test_a_line_over_the_limit_is_refused_after_the_lines_before_it(over: bytes) -> None:
    assert feed_all([b"one\n\ntwo\n" + over]) == ([b"one", b"two"], True)


def test_an_endless_line_is_refused_at_the_limit() -> None:
    reader = LineReader(LIMIT)
    for _ in range(LIMIT):
        assert reader.feed(b"x") == []
    with pytest.raises(TooLarge, match="longer than 8 bytes"):
        reader.feed(b"x")


def test_nothing_is_kept_between_whole_lines() -> None:
    reader = LineReader(LIMIT)
    for chunk in (b"one\n", b"two", b"\nthree\n"):
        reader.feed(chunk)
    assert reader._partial is None


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"1234567", b"\n", b"\r\n", b"\r", b"{}"]), max_size=20).map(b"".join),
    st.lists(st.integers(0, 200), max_size=12),
)
def test_any_split_of_the_stream_gives_the_same_lines(stream: bytes, at: list[int]) -> None:
    whole = feed_all([stream])
    assert feed_all(cut(stream, at)) == whole
    if not whole[1]:
        expected = [line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1]]
        assert whole[0] == [line for line in expected if line]
