"""A server in memory: the data and the rules of one primary, which `scripts.py` states for Redis, and the faults that
befall it. Without a thread, and on the loop's clock, so that a simulation runs it in virtual time.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from random import Random
from typing import Any, Final, TypeVar

import msgspec
import trio

from gochat.cluster import faults
from gochat.cluster.ports import (
    MOST_BYTES,
    Batch,
    Element,
    Fence,
    Fences,
    Member,
    Position,
    PutBack,
    Refusal,
    Refused,
    ServerAway,
    Unsealed,
    ballot_of,
    term_of,
)

T = TypeVar("T")

#: Messages that may wait for one subscription; past it the server breaks it.
MOST_MESSAGES: Final = 10_000


class Primary:
    """The data of one server. Each method is one script or command: nothing comes between its steps."""

    def __init__(self, server: str, now_ms: Callable[[], int]) -> None:
        self.server = server
        self.now_ms = now_ms
        self.alive = True
        self.full = False
        self.streams: dict[int, list[Element]] = {}
        self.fence_of: dict[int, Fence] = {}
        self.offers: dict[tuple[int, str], dict[str, tuple[Position, int, int]]] = {}
        """By partition and server the answers of each node: its end, the ballot, and when."""
        self.nodes: dict[str, tuple[str, int, bytes]] = {}
        self.leases: dict[str, tuple[str, int]] = {}
        """The holder of each, and until when."""
        self.inboxes: set[Inbox] = set()
        self.changed = trio.Event()
        """Set, and replaced, when there is something new to read."""

    def successor(self, server: str, missing: int) -> Primary:
        """A replica of this one that lacks the last entries of each partition."""
        new = Primary(server, self.now_ms)
        new.streams = {partition: kept for partition, kept in self._without_tails(missing).items() if kept}
        new.fence_of = dict(self.fence_of)
        new.offers = {place: dict(offers) for place, offers in self.offers.items()}
        new.nodes = dict(self.nodes)
        new.leases = dict(self.leases)
        return new

    def become(self, server: str, missing: int) -> None:
        """Be demoted and promoted again; see faults.Promoted."""
        self.server = server
        self.streams = {partition: kept for partition, kept in self._without_tails(missing).items() if kept}

    def _without_tails(self, missing: int) -> dict[int, list[Element]]:
        return {partition: stream[: max(0, len(stream) - missing)] for partition, stream in self.streams.items()}

    def lose_everything(self) -> None:
        self.streams, self.fence_of, self.offers, self.nodes, self.leases = {}, {}, {}, {}, {}

    def die(self) -> None:
        self.alive = False
        self.wake()
        self.unsubscribe()

    def unsubscribe(self) -> None:
        for inbox in self.inboxes:
            inbox.end()
        self.inboxes = set()

    def wake(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def end(self, partition: int) -> Position | None:
        stream = self.streams.get(partition)
        return stream[-1].position if stream else None

    def _need_memory(self) -> None:
        if self.full:
            raise Refused("the server is out of memory")

    # ------------------------------------------------------------------------------------------ the log

    def create(self, partition: int, salt: int) -> Fence | None:
        self._need_memory()
        if partition in self.streams or partition in self.fence_of:
            return None
        fence = Fence(self.server, term_of(1, salt))
        self.streams[partition] = [Element(Position(fence.term, 1), b"")]
        self.fence_of[partition] = fence
        self.wake()
        return fence

    def append(self, batch: Batch) -> Position | Refusal:
        self._need_memory()
        if self.fence_of.get(batch.partition) != Fence(self.server, batch.term):
            return "fenced"
        stream = self.streams.get(batch.partition)
        if not stream:
            del self.fence_of[batch.partition]
            return "lost"
        n = stream[-1].position.n
        stream += [Element(Position(batch.term, n + i), data) for i, data in enumerate(batch.entries, 1)]
        self.wake()
        return stream[-1].position

    def read(self, after: Mapping[int, Position], limit: int) -> dict[int, list[Element]]:
        found = {}
        for partition, position in after.items():
            stream = self.streams.get(partition)
            if stream and stream[-1].position > position:
                first = bisect_right(stream, position, key=lambda element: element.position)
                found[partition] = _within_bytes(stream[first : first + limit])
        return found

    def has_more(self, found: Mapping[int, Sequence[Element]]) -> bool:
        """Whether something follows in one of the partitions of which these were read."""
        return any(self.end(partition) != elements[-1].position for partition, elements in found.items())

    def ends(self, partitions: Collection[int]) -> dict[int, Position]:
        found = {partition: self.end(partition) for partition in partitions}
        return {partition: end for partition, end in found.items() if end is not None}

    def begins(self, partitions: Collection[int]) -> dict[int, Position]:
        return {p: self.streams[p][0].position for p in partitions if self.streams.get(p)}

    def fences(self, partitions: Collection[int]) -> Fences:
        return Fences(
            dict.fromkeys(partitions, self.server),
            {p: self.fence_of[p] for p in partitions if p in self.fence_of and p in self.streams},
        )

    def _sealed(self, partition: int, server: str) -> Fence | None:
        fence = self.fence_of.get(partition)
        if fence is None or fence.server != server:
            return None
        if partition not in self.streams:
            del self.fence_of[partition]
            return None
        return fence

    def put_back(self, partition: int, server: str, previous: Position | None, elements: Sequence[Element]) -> PutBack:
        self._need_memory()
        if server != self.server:
            return "other"
        if self._sealed(partition, server) is not None:
            return "sealed"
        if self.end(partition) != previous:
            return "not_next"
        self.streams.setdefault(partition, []).extend(elements)
        self.wake()
        return "done"

    def drop(self, partition: int, server: str, end: Position) -> bool:
        if server != self.server or self._sealed(partition, server) is not None or self.end(partition) != end:
            return False
        del self.streams[partition]
        return True

    def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        self._need_memory()
        if server != self.server:
            return 0
        offers = self.offers.setdefault((partition, server), {})
        offers[instance] = (end, ballot, self.now_ms())
        return max(offered for _, offered, _ in offers.values())

    def withdraw(self, partition: int, server: str, instance: str) -> None:
        self.offers.get((partition, server), {}).pop(instance, None)

    def seal(
        self,
        partition: int,
        server: str,
        need: int,
        counting: Collection[str] | None,
        seen: Position | None,
        life_ms: int,
        salt: int,
    ) -> Fence | Unsealed:
        self._need_memory()
        if server != self.server:
            return "other"
        sealed = self._sealed(partition, server)
        if sealed is not None:
            return sealed
        offers = self.offers.get((partition, server), {})
        now_ms, end = self.now_ms(), self.end(partition)
        if seen is not None and seen != end:
            return "moved"
        highest = max((offered for _, offered, _ in offers.values()), default=0)
        counted = [
            at_ms
            for name, (_, offered, at_ms) in offers.items()
            if offered == highest and (counting is None or name in counting)
        ]
        if sum(abs(now_ms - at_ms) < life_ms for at_ms in counted) < need:
            return "wait"
        reached = 0 if end is None else ballot_of(end.term)
        ballot = highest or reached + 1
        if end is None or ballot <= reached or any(offered > end for offered, _, _ in offers.values()):
            return "short"
        fence = Fence(server, term_of(ballot, salt))
        self.streams[partition].append(Element(Position(fence.term, end.n + 1), b""))
        self.fence_of[partition] = fence
        self.offers.pop((partition, server), None)
        self.wake()
        return fence

    def end_term(self, partition: int, fence: Fence) -> bool:
        if fence.server != self.server or self.fence_of.get(partition) != fence:
            return False
        del self.fence_of[partition]
        self.wake()
        return True

    def trim(self, partition: int, before: Position, keep: int, cap: int) -> int:
        stream = self.streams.get(partition)
        if not stream:
            return 0
        kept = max(1, keep, min(cap, stream[-1].position.n - before.n + 1))
        dropped = max(0, len(stream) - kept)
        del stream[:dropped]
        return dropped

    # ------------------------------------------------------------------------------------------ the bulletin

    def beat(self, instance: str, boot: str, info: bytes, life_ms: int | None) -> bool:
        """`life_ms`: after how long without a beat another boot's place may be taken; None: never."""
        self._need_memory()
        known = self.nodes.get(instance)
        if known is not None and known[0] != boot and (life_ms is None or abs(self.now_ms() - known[1]) <= life_ms):
            return False
        self.nodes[instance] = (boot, self.now_ms(), info)
        return True

    def members(self) -> list[Member]:
        now_ms = self.now_ms()
        return [
            Member(name, boot, abs(now_ms - at_ms), info) for name, (boot, at_ms, info) in sorted(self.nodes.items())
        ]

    def leave(self, instance: str, boot: str) -> None:
        if instance in self.nodes and self.nodes[instance][0] == boot:
            del self.nodes[instance]

    def hold(self, name: str, holder: str, life_ms: int) -> bool:
        self._need_memory()
        known = self.leases.get(name)
        if known is not None and known[0] != holder and self.now_ms() < known[1]:
            return False
        self.leases[name] = holder, self.now_ms() + life_ms
        return True

    def release(self, name: str, holder: str) -> None:
        if name in self.leases and self.leases[name][0] == holder:
            del self.leases[name]

    def publish(self, channel: str, message: bytes) -> None:
        for inbox in self.inboxes:
            inbox.put(channel, message)


def _within_bytes(elements: list[Element]) -> list[Element]:
    """Those up to the one with which they have MOST_BYTES."""
    size = 0
    for place, element in enumerate(elements, 1):
        size += len(element.data)
        if size >= MOST_BYTES:
            return elements[:place]
    return elements


class Inbox:
    """The messages that wait for one subscription."""

    def __init__(self, channels: Collection[str]) -> None:
        self._channels = frozenset(channels)
        self._messages: list[tuple[str, bytes]] = []
        self._news = trio.Event()
        self._ended = False

    def put(self, channel: str, message: bytes) -> None:
        if channel in self._channels and not self._ended:
            self._messages.append((channel, message))
            self._news.set()
            if len(self._messages) > MOST_MESSAGES:
                self.end()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def receive(self) -> list[tuple[str, bytes]]:
        try:
            await self._news.wait()
        except trio.Cancelled:
            self.end()
            raise
        if self._ended:
            raise ServerAway("the subscription is broken")
        messages, self._messages = self._messages, []
        self._news = trio.Event()
        return messages


class MemoryServer:
    """The address that nodes connect to: the primary behind it, and whatever befalls their calls.

    Calls of nodes that were given up are carried out when their time has come and somebody calls or waits.
    """

    def __init__(
        self, *, random: Random | None = None, now_ms: Callable[[], int] | None = None, timeout_s: float = 0.5
    ) -> None:
        """`timeout_s`: how long a caller waits for a reply that does not come."""
        self._random = random or Random()
        self._now_ms = now_ms or (lambda: int(trio.current_time() * 1000))
        self._ahead_ms = 0
        self._timeout_s = timeout_s
        self._faults: deque[faults.ReplyLost | faults.Late | faults.RequestLost] = deque()
        """Of each the calls that it still strikes are counted in `calls`."""
        self._unreachable: set[str | None] = set()
        self._slow: dict[str | None, float] = {}
        self._late: list[tuple[float, int, Primary, Callable[[Primary], Any]]] = []
        self._order = count()
        self.primary = Primary(self._new_id(), self._server_ms)
        self._old: list[Primary] = []
        """Primaries that live on after a failover."""
        self._dump: Primary | None = None
        """Written by faults.Dumped."""

    def _server_ms(self) -> int:
        return self._now_ms() + self._ahead_ms

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(160):040x}"

    def salt(self, below: int) -> int:
        return self._random.randrange(below)

    # ------------------------------------------------------------------------------------------ faults

    def strike(self, fault: faults.AnyFault) -> None:
        """Let it happen."""
        match fault:
            case faults.ReplyLost() | faults.Late() | faults.RequestLost():
                self._faults.append(fault)
            case faults.Unreachable(node=node):
                self._unreachable.add(node)
            case faults.Mended(node=node):
                self._unreachable.discard(node)
            case faults.Slow(node=node, delay_s=delay_s):
                self._slow[node] = delay_s
            case faults.ClockSet(ahead_ms=ahead_ms):
                self._ahead_ms = ahead_ms
            case _:
                self._strike_data(fault)

    def _strike_data(self, fault: faults.AnyFault) -> None:
        match fault:
            case faults.Full(on=on):
                self.primary.full = on
            case faults.TailLost(entries=entries):
                self._fail_over(entries).die()
            case faults.TwoPrimaries(entries=entries):
                self._old.append(self._fail_over(entries))
            case faults.Flipped() if self._old:
                self._old.append(self.primary)
                self.primary = self._old.pop(0)
            case faults.OldGone():
                while self._old:
                    self._old.pop().die()
            case faults.EverythingLost(restarted=True):
                old, self.primary = self.primary, Primary(self._new_id(), self._server_ms)
                old.die()
            case faults.EverythingLost():
                self.primary.lose_everything()
            case faults.Dumped():
                self._dump = self.primary.successor(self.primary.server, 0)
            case faults.Restored():
                dump = self._dump or Primary("", self._now_ms)
                old, self.primary = self.primary, dump.successor(self._new_id(), 0)
                old.die()
            case faults.StreamLost(partition=partition):
                self.primary.streams.pop(partition, None)
            case faults.Promoted(entries=entries):
                self.primary.become(self._new_id(), entries)
            case faults.Unsubscribed():
                self.primary.unsubscribe()

    def _fail_over(self, missing: int) -> Primary:
        """Put a replica in the primary's place, and return the old one."""
        old, self.primary = self.primary, self.primary.successor(self._new_id(), missing)
        return old

    def _take_fault(self, node: str) -> faults.ReplyLost | faults.Late | faults.RequestLost | None:
        for index, fault in enumerate(self._faults):
            if fault.node in (None, node):
                del self._faults[index]
                if fault.calls > 1:
                    self._faults.insert(index, msgspec.structs.replace(fault, calls=fault.calls - 1))
                return fault
        return None

    # ------------------------------------------------------------------------------------------ calls

    def run_late(self) -> None:
        """Carry out the calls whose time has come, on the primary that they were sent to, whatever it is now."""
        while self._late and self._late[0][0] <= trio.current_time():
            _, _, primary, job = heapq.heappop(self._late)
            try:
                job(primary)
            except ServerAway:
                pass  # Refused, and nobody is there to hear it.

    def next_late(self) -> float:
        """The loop's time when the next of them is to be carried out."""
        return self._late[0][0] if self._late else float("inf")

    async def carry_out(self, node: str, primary: Primary, job: Callable[[Primary], T]) -> T:
        """One call of a node that is connected to `primary`. Raises ServerAway."""
        await trio.lowlevel.checkpoint()
        delay_s = max(self._slow.get(node, 0.0), self._slow.get(None, 0.0))
        if delay_s:
            await trio.sleep(delay_s)
        self.run_late()
        if not self._unreachable.isdisjoint((node, None)):
            await self._time_out()
        if not primary.alive:
            raise ServerAway("the connection was reset")
        fault = self._take_fault(node)
        if fault is None:
            return job(primary)
        if isinstance(fault, faults.Late):
            heapq.heappush(self._late, (trio.current_time() + fault.delay_s, next(self._order), primary, job))
        elif isinstance(fault, faults.ReplyLost):
            job(primary)
        await self._time_out()
        raise AssertionError  # For the type checker: the line above raises.

    async def _time_out(self) -> None:
        await trio.sleep(self._timeout_s)
        raise ServerAway("the server did not answer in time")
