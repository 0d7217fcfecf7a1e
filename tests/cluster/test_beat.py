"""News that a node tells of itself are believed where they are signed, for this start of this node, within bounds."""

from __future__ import annotations

import msgspec
import pytest

from gochat.cluster.beat import MAC_BYTES, MOST_BYTES, BeatCodec, Info
from gochat.cluster.ports import PARTITIONS, Member

CLUSTER, SECRET = "0123456789abcdef", "the secret of all nodes, of some length"
CODEC = BeatCodec(CLUSTER, SECRET)
INFO = Info("north", "http://10.0.0.1:8080", 1, dict.fromkeys(range(PARTITIONS), (7, 9)), -3, "abc")


def told(data: bytes, *, instance: str = "i", boot: str = "b") -> Info | None:
    return CODEC.decode(Member(instance, boot, 0, data))


def test_what_a_node_tells_is_read() -> None:
    assert told(CODEC.encode("i", "b", INFO)) == INFO


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * MAC_BYTES,
        msgspec.msgpack.encode(INFO),
        BeatCodec(CLUSTER, SECRET + "!").encode("i", "b", INFO),
        BeatCodec("f" * 16, SECRET).encode("i", "b", INFO),
        CODEC.encode("j", "b", INFO),
        CODEC.encode("i", "c", INFO),
        CODEC.encode("i", "b", INFO)[:-1] + b"x",
    ],
    ids=["nothing", "mac alone", "no mac", "other secret", "other cluster", "other node", "other start", "changed"],
)
def test_what_another_wrote_is_not_believed(data: bytes) -> None:
    assert told(data) is None


def test_a_field_does_not_run_into_the_next() -> None:
    assert told(CODEC.encode("ib", "", INFO)) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"reads": -1},
        {"seen": {PARTITIONS: (1, 1)}},
        {"seen": {0: (1, 1 << 62)}},
        {"ahead_ms": 1 << 63},
        {"url": "http://" + "a" * MOST_BYTES},
    ],
)
def test_what_is_out_of_bounds_is_not_read(changed: dict[str, object]) -> None:
    assert told(CODEC.encode("i", "b", msgspec.structs.replace(INFO, **changed))) is None


def test_a_name_can_be_printed() -> None:
    found = told(CODEC.encode("i", "b", msgspec.structs.replace(INFO, name="no\x1b[2Jrth\n", url="http://a\x9b")))
    assert found is not None
    assert (found.name, found.url) == ("no?[2Jrth?", "http://a?")


def test_a_beat_of_a_release_that_does_not_tell_what_it_writes_is_of_the_first_version() -> None:
    body = msgspec.msgpack.encode(list(msgspec.structs.astuple(INFO))[:6])
    data = CODEC._mac("i", "b", body) + body
    assert told(data) == INFO and INFO.writes == 1
    assert CODEC.writes(Member("i", "b", 0, data)) is None


@pytest.mark.parametrize("more", [[], ["of a later release", {"x": 1}]])
def test_a_version_is_known_where_nothing_else_of_the_beat_can_be_read(more: list[object]) -> None:
    for first in ("north", {"name": "north"}, b"\xff", None):
        body = msgspec.msgpack.encode([first, 1, "2", [], None, -1, 2, *more])
        data = CODEC._mac("i", "b", body) + body
        assert told(data) is None
        assert CODEC.writes(Member("i", "b", 0, data)) == 2
    assert CODEC.writes(Member("j", "b", 0, data)) is None, "another node's"


@pytest.mark.parametrize("number", [True, -1, "2", 1 << 62, None])
def test_a_version_that_is_none_is_not_told(number: object) -> None:
    body = msgspec.msgpack.encode(["north", 1, 2, 3, 4, 5, number])
    assert CODEC.writes(Member("i", "b", 0, CODEC._mac("i", "b", body) + body)) is None
    for body in (b"", b"\xc1", msgspec.msgpack.encode({"writes": 2})):
        assert CODEC.writes(Member("i", "b", 0, CODEC._mac("i", "b", body) + body)) is None


def test_fields_that_a_later_release_adds_are_passed_over() -> None:
    body = msgspec.msgpack.encode([*msgspec.structs.astuple(INFO), "new", 7])
    assert told(CODEC._mac("i", "b", body) + body) == INFO
