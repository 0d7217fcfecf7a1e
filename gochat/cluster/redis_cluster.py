"""Redis Cluster: connections to its primaries, which pass for one link.

A slot that has moved and a primary that was replaced show as errors. The connections are dropped then, as a link is
after any error, and the next ones are made as another node says where the slots are. No redirection is followed. A
script that was sent on would meet a fence that names the slot's earlier server, and a slot that is half moved takes
nothing; the fences tell when it is whole, and the partition is repaired where it is then.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote, urlsplit

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from gochat.cluster.link import REPLICATION, TIMEOUT_S, Command, Link, ServerLink, connector, primary_id, raise_first
from gochat.cluster.ports import Element, Position
from gochat.cluster.slots import Address, SlotMap, slot_of, slot_of_key
from gochat.cluster.stream_readings import StreamReadings

PREFIXES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
PORT: Final = 6_379
#: Commands without a key go to the primary of this slot, from all nodes of gochat: they hear each other there.
HOME: Final = 0
#: So many nodes are asked where the slots are: one alone may be behind, as a primary is that comes back after it was
#: replaced.
ASKED: Final = 2
#: After so long a node that did not answer is asked like others again.
AVOIDED_S: Final = 10.0


class RedisCluster:
    """Makes links to the primaries of the Redis Cluster at an address like `redis+cluster://host1,host2:6380`.

    One of the hosts is enough to find it; those that it tells of are asked later, too. User, password, options and
    encryption (`rediss+cluster`) are for all of its nodes.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, *, password: str = "") -> None:
        """Raises ValueError for an address of another form."""
        parts = urlsplit(url)
        credentials, at, hosts = parts.netloc.rpartition("@")
        if parts.scheme not in PREFIXES or not hosts or parts.path not in ("", "/", "/0"):
            raise ValueError("the address of a Redis Cluster is redis+cluster://host1,host2")
        self._begin = f"{PREFIXES[parts.scheme]}://{credentials}{at}"
        self._end = f"/?{parts.query}" if parts.query else "/"
        self._password = password
        self._seeds = frozenset(_address(host) for host in hosts.split(","))
        self._told: frozenset[Address] = frozenset()
        """The nodes that were told of last."""
        self._failed_at: dict[Address, float] = {}
        """When nodes did not answer; by time.monotonic."""
        self._asking = threading.Lock()
        """Held while somebody asks where the slots are."""
        self._asked_at = float("-inf")
        self._map: SlotMap | None = None
        """The answer to the question of that time."""
        self.timeout_s = timeout_s
        for seed in self._seeds:
            self.link_to(seed)  # Raises where an option is not known.

    def __call__(self) -> ClusterLink:
        """A link that is still to be opened."""
        return ClusterLink(self)

    def link_to(self, address: Address) -> ServerLink:
        """A connection to one node, which is still to be opened."""
        host = f"[{address.host}]" if ":" in address.host else quote(address.host)
        url = f"{self._begin}{host}:{address.port}{self._end}"
        return connector(url, self.timeout_s, password=self._password)()

    def slots(self, opened: Callable[[ServerLink], None]) -> SlotMap:
        """Where the slots are, as that one of ASKED nodes says that knows of the latest changes. `opened` is told of
        each connection. All who come while one asks wait, and share one more question: where a primary is lost all of a
        node's links look for it, again and again. Raises RedisError or OSError."""
        came_at = time.monotonic()
        with self._asking:
            if self._map is None or self._asked_at < came_at:
                self._asked_at, self._map = time.monotonic(), None
                self._map = self._request_map(opened)
            return self._map

    def _request_map(self, opened: Callable[[ServerLink], None]) -> SlotMap:
        problems: list[str] = []
        found: list[SlotMap] = []
        for address in self._in_turn():
            link = self.link_to(address)
            opened(link)
            try:
                info, reply = link.call_all([("CLUSTER", "INFO"), ("CLUSTER", "SLOTS")])
                found.append(SlotMap(reply, address, info))
            except (AuthenticationError, NoPermissionError):
                raise
            except (RedisError, OSError) as error:
                self.failed(address)
                problems.append(f"{address}: {error}")
            finally:
                link.close()
            if len(found) == ASKED:
                break
        if not found:
            raise RedisConnectionError(f"no node of the Redis Cluster says where its slots are: {'; '.join(problems)}")
        latest = max(found, key=lambda one: one.recency)
        self._told = frozenset(latest.nodes)
        if not latest.serves:
            raise RedisConnectionError("the Redis Cluster does not serve: cluster_state is fail")
        return latest

    def failed(self, address: Address) -> None:
        """The node did not answer, or is no primary."""
        self._failed_at[address] = time.monotonic()

    def failed_lately(self, address: Address) -> bool:
        return self._failed_at.get(address, float("-inf")) > time.monotonic() - AVOIDED_S

    def _in_turn(self) -> list[Address]:
        """The nodes in any order, and last those that failed lately, which may keep one waiting."""
        known = sorted(self._seeds | self._told)
        random.shuffle(known)
        return sorted(known, key=self.failed_lately)


class ClusterLink:
    """`Link` to a Redis Cluster: a connection to each primary that is needed, and one to each stream that is read."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster
        self._map = SlotMap([], Address("", 0))
        self._links: dict[Address, ServerLink] = {}
        self._readings = StreamReadings(self._connect_to_streams)
        self._has_read = False
        self._lock = threading.Lock()
        self._all: list[ServerLink] = []
        """All connections, those that are being made too. Under the lock."""
        self._interrupted = False
        self.only: Mapping[int, str] | None = None
        self.is_spent = self.leaves_more = False

    def open(self) -> None:
        self._map = self._cluster.slots(self._opens)

    def _opens(self, link: ServerLink) -> None:
        """Called before each connection is made: one that is made when all were broken off would be overlooked."""
        with self._lock:
            if self._interrupted:
                raise ConnectionAbortedError("the connections were broken off")
            self._all.append(link)

    # ------------------------------------------------------------------------------------------ commands

    def call(self, *command: str | bytes | int) -> Any:
        slot = slot_of(command)
        return self._link(HOME if slot is None else slot).call(*command)

    def call_all(self, commands: Sequence[Command]) -> list[Any]:
        return raise_first(self.try_all(commands))

    def try_all(self, commands: Sequence[Command]) -> list[Any]:
        """As Link's; errors of a connection stand in the places of all replies that were to come by it."""
        replies: list[Any] = [None] * len(commands)
        sent: dict[ServerLink, list[int]] = {}
        for link, places in self._by_link(commands, replies).items():
            try:
                link.send_all([commands[place] for place in places])
                sent[link] = places
            except (RedisError, OSError) as error:
                _fill(replies, places, [error] * len(places))
        for link, places in sent.items():
            try:
                _fill(replies, places, link.receive_all(len(places)))
            except (RedisError, OSError) as error:
                _fill(replies, places, [error] * len(places))
        return replies

    def call_primary(self, commands: Sequence[Command]) -> tuple[Sequence[str], list[Any]]:
        problems: list[Any] = [None] * len(commands)
        by_link = self._by_link(commands, problems)
        raise_first(problems)
        for link, places in by_link.items():
            link.send_all([REPLICATION, *(commands[place] for place in places)])
        servers, replies = [""] * len(commands), list(problems)
        # All are received before one of them is looked at: no connection has a reply left.
        received = [(link.receive_all(len(places) + 1), places) for link, places in by_link.items()]
        for answers, places in received:
            info, *found = raise_first(answers)
            _fill(replies, places, found)
            _fill(servers, places, [primary_id(info)] * len(places))
        return servers, replies

    def primaries(self) -> Sequence[tuple[str, Link]]:
        return [(str(address), self._link_to(address)) for address in self._map.primaries()]

    def _by_link(self, commands: Sequence[Command], replies: list[Any]) -> dict[ServerLink, list[int]]:
        """The places of the commands by the connection that they go by. Where there is none, the reason is the
        reply."""
        slots = [slot_of(command) for command in commands]
        first = next((slot for slot in slots if slot is not None), HOME)
        found: dict[ServerLink, list[int]] = {}
        for place, slot in enumerate(slots):
            try:
                found.setdefault(self._link(first if slot is None else slot), []).append(place)
            except (RedisError, OSError) as error:
                replies[place] = error
        return found

    # ------------------------------------------------------------------------------------------ connections

    def _link(self, slot: int) -> ServerLink:
        """To the slot's primary."""
        link = self._link_to(self._map.primary(slot))
        self._check(slot, link)
        return link

    def _link_to(self, address: Address) -> ServerLink:
        link = self._links.get(address)
        if link is None:
            link = self._links[address] = self._connected(address, ServerLink.open)
        return link

    def _connected(self, address: Address, begin: Callable[[ServerLink], None]) -> ServerLink:
        link = self._cluster.link_to(address)
        self._opens(link)
        with self._told_of(address):
            begin(link)
        return link

    @contextmanager
    def _told_of(self, address: Address) -> Iterator[None]:
        """Have it remembered where the node does not answer."""
        try:
            yield
        except (RedisError, OSError):
            self._cluster.failed(address)
            raise

    def _connect_to_streams(self, keys: Sequence[str]) -> Sequence[ServerLink]:
        """All of them are asked who they are before the first one's answer is waited for."""
        slots = [slot_of_key(key) for key in keys]
        addresses = [self._map.primary(slot) for slot in slots]
        links = [self._connected(address, ServerLink.begin_to_connect) for address in addresses]
        for slot, address, link in zip(slots, addresses, links, strict=True):
            with self._told_of(address):
                link.end_connecting()
            self._check(slot, link)
        return links

    def _check(self, slot: int, link: ServerLink) -> None:
        if self.only is not None and self.only.get(slot) not in (None, link.server):
            raise ConnectionRefusedError("another server answers")

    def keep_to(self, servers: Mapping[int, str] | None) -> bool:
        self.only = servers
        return not self._interrupted

    def is_kept_to(self, servers: Mapping[int, str]) -> bool:
        return False  # Replies may be on their way that are older than the promise.

    def interrupt(self) -> None:
        with self._lock:
            self._interrupted = True
            links = list(self._all)
        for link in links:
            link.interrupt()

    def close(self) -> None:
        self._readings.close()
        for link in self._all:
            link.close()

    # ------------------------------------------------------------------------------------------ reading, hearing

    def read_streams(
        self, after: Mapping[str, Position], limit: int, wait_s: float | None
    ) -> dict[bytes, list[Element]]:
        if wait_s is not None:
            if not self._has_read:
                after = self._doubtful_first(after)
            waited = self._readings.read(after, limit, wait_s)
            self._has_read = True
            self.is_spent, self.leaves_more = self._readings.is_spent, self._readings.leaves_more
            return waited
        found: dict[bytes, list[Element]] = {}
        for key, position in after.items():
            link = self._link(slot_of_key(key))
            found |= link.read_streams({key: position}, limit, None)
            if link.is_spent:
                self.is_spent = True
                break
        return found

    def _doubtful_first(self, after: Mapping[str, Position]) -> Mapping[str, Position]:
        """Those whose primary did not answer lately: while it is away no connections are made, to all the others, that
        are dropped with the one that fails."""

        def is_trusted(key: str) -> bool:
            return not self._cluster.failed_lately(self._map.primary(slot_of_key(key)))

        return {key: after[key] for key in sorted(after, key=is_trusted)}

    def send(self, *command: str | bytes | int) -> None:
        self._link(HOME).send(*command)

    def receive(self) -> Any:
        return self._link(HOME).receive()

    def is_readable(self, wait_s: float) -> bool:
        return self._link(HOME).is_readable(wait_s)


def _fill(replies: list[Any], places: Sequence[int], found: Sequence[Any]) -> None:
    for place, reply in zip(places, found, strict=True):
        replies[place] = reply


def _address(text: str) -> Address:
    split = urlsplit(f"//{text}")
    if not split.hostname:
        raise ValueError(f"{text!r} is no host with or without a port")
    return Address(split.hostname, split.port or PORT)
