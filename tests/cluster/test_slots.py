"""The slot of each command that gochat gives, and the map that a Redis Cluster gives of its slots."""

from __future__ import annotations

import pytest
from redis.exceptions import ConnectionError

from gochat.cluster import scripts
from gochat.cluster.link import Command, run
from gochat.cluster.slots import Address, SlotMap, slot_of

SLOT = 12_182
"""Of foo."""
ASKED = Address("10.0.0.1", 7_000)


@pytest.mark.parametrize(
    "command",
    [
        ("GET", "foo"),
        ("SET", "{foo}:layout", b"sealed", "NX"),
        ("EXISTS", "gc:{foo}:log"),
        ("XREVRANGE", "gc:{foo}:log", "+", "-", "COUNT", 1),
        ("XRANGE", "gc:{foo}:log", "-", "+", "COUNT", 1),
        ("HGETALL", "gc:{foo}:nodes"),
        ("HDEL", "gc:{foo}:offer:id", "instance"),
        run(scripts.APPEND, ["gc:{foo}:log", "gc:{foo}:fence"], 7, b"entry"),
    ],
)
def test_a_command_goes_where_its_keys_are(command: Command) -> None:
    assert slot_of(command) == SLOT


@pytest.mark.parametrize("command", [("TIME",), ("PUBLISH", "foo", b"x"), ("INFO", "replication"), ("EVAL", "x", 0)])
def test_a_command_without_a_key_has_no_slot(command: Command) -> None:
    assert slot_of(command) is None


def test_a_map_tells_of_primaries_and_replicas() -> None:
    reply = [
        [0, 99, [b"10.0.0.2", 7_000, b"id"], [b"::1", 7_001, b"id"]],
        [100, 199, [None, 7_000, b"id", []]],
        [300, 300, [b"", 7_002, b"id"]],
    ]
    found = SlotMap(reply, ASKED)
    assert [found.primary(slot) for slot in (0, 99, 100, 300)] == [
        ("10.0.0.2", 7_000),
        ("10.0.0.2", 7_000),
        ("10.0.0.1", 7_000),
        ("10.0.0.1", 7_002),
    ]
    assert found.primaries() == [("10.0.0.1", 7_000), ("10.0.0.1", 7_002), ("10.0.0.2", 7_000)]
    assert [str(address) for address in sorted(found.nodes)][-1] == "[::1]:7001"


def test_of_two_maps_one_is_later() -> None:
    info = b"cluster_state:%s\r\ncluster_current_epoch:%d\r\ncluster_my_epoch:99\r\n"
    found = [
        SlotMap([], ASKED, told).recency for told in (b"", info % (b"fail", 12), info % (b"ok", 9), info % (b"ok", 10))
    ]
    assert found == sorted(found) and len(set(found)) == 4


def test_a_slot_that_nobody_has_is_an_error() -> None:
    found = SlotMap([[0, 99, [b"10.0.0.2", 7_000, b"id"]]], ASKED)
    with pytest.raises(ConnectionError, match="slot 100"):
        found.primary(100)
