"""The slots of a Redis Cluster: which one a command's keys are in, and which primary each has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from gochat.cluster.link import Command

_EPOCH: Final = re.compile(rb"cluster_current_epoch:(\d+)")
#: Commands whose first argument is a key.
_KEYED: Final = frozenset({"DEL", "EXISTS", "GET", "HDEL", "HGETALL", "SET", "XRANGE", "XREVRANGE"})


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class SlotMap:
    """The Redis Cluster, as one of its nodes describes it."""

    def __init__(self, reply: Sequence[Any], asked: Address, info: bytes = b"") -> None:
        """`reply`: to CLUSTER SLOTS. `asked`: the node that gave it; one that does not know its own host leaves it
        out. `info`: its reply to CLUSTER INFO."""
        epoch = _EPOCH.search(info)
        self.serves = b"cluster_state:ok" in info
        """Whether the node that was asked takes commands."""
        self.recency = self.serves, int(epoch[1]) if epoch is not None else 0
        """Of two maps the greater one is later, but for one of a node that does not serve."""
        self._ranges: list[tuple[int, int, Address]] = []
        self.nodes: set[Address] = set()
        """Primaries and replicas."""
        for first, last, *nodes in reply:
            addresses = [Address((host or b"").decode() or asked.host, port) for host, port, *_ in nodes]
            self.nodes.update(addresses)
            self._ranges.append((first, last, addresses[0]))

    def primaries(self) -> list[Address]:
        return sorted({address for _, _, address in self._ranges})

    def primary(self, slot: int) -> Address:
        """Raises RedisConnectionError where no node has the slot."""
        for first, last, address in self._ranges:
            if first <= slot <= last:
                return address
        raise RedisConnectionError(f"no primary of the Redis Cluster has slot {slot}")


def slot_of_key(key: str) -> int:
    return key_slot(key.encode())


def slot_of(command: Command) -> int | None:
    """None for a command without a key. All keys of one command are in one slot."""
    name = command[0]
    if name == "EVALSHA":
        return slot_of_key(str(command[3]))
    return slot_of_key(str(command[1])) if name in _KEYED else None
