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
