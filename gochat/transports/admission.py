"""Admission of connections: the caps and counts that all listeners of a node share.

Strangers, connections that have not signed in, have caps of their own, in number, in bytes and for each address. Over
a cap it is never the newcomer who pays: the oldest stranger of the address that holds most of them is closed. So a
stranger who holds connections costs other strangers nothing, and signed-in users nothing either.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Container, Iterator

import msgspec

#: The bytes before an IPv4 address when a dual-stack socket shows it (RFC 4291, section 2.5.5.2).
_MAPPED = bytes(10) + b"\xff\xff"

#: The limits for whose sake a stranger may be closed.
EVICTED_FOR = ("capacity", "unauthenticated", "address", "bytes", "open_files")


class Statistics(msgspec.Struct, frozen=True):
    """Connections of every transport, now and since the start."""

    open: int
    unauthenticated: int
    unauthenticated_bytes: int
    """The bytes that strangers have sent, and those held for them."""
    addresses: int
    """Addresses (of IPv6: /64 networks) that have a connection which is not signed in."""
    accepted: int
    refused: int
    """At the cap of all connections, with nobody but signed-in users."""
    evicted: dict[str, int]
    """Strangers closed to make room, by the limit that was reached, one of EVICTED_FOR."""
    failed: int
    """Connections ended by an exception that nobody expected; each left one line in the log."""
    exhausted: int
    """Pauses of accepting, for want of file descriptors or memory."""


class Slot:
    """One connection's place. It counts as a stranger until its handler says otherwise."""

    __slots__ = ("_connections", "_key", "_stranger", "answering", "direct", "handle", "held", "peer")

    def __init__(self, connections: Connections, handle: socket.socket, peer: str, direct: bool) -> None:
        self.handle = handle
        """The connected socket, non-blocking. The accept loop closes it when the handler returns."""
        self.direct = direct
        """Whether bytes may be written to `handle` past the stream (no TLS)."""
        self.peer = peer
        """The other end's address, without its port. Behind a proxy it is the proxy's."""
        self.answering = False
        """Whether it waits for the answer to a request with a good token: among the strangers of its address it is
        closed last."""
        self.held = 0
        """Bytes that are kept for it, while it is a stranger."""
        self._connections = connections
        self._key: str | bytes = b""
        self._stranger = True

    @property
    def stranger(self) -> bool:
        """Whether it has neither signed in nor been closed to make room."""
        return self._stranger

    def authenticated(self) -> None:
        """The peer proved who it is: it no longer counts against the caps of those who did not. May be repeated."""
        if self._stranger:
            self._connections.signed_in(self)

    def count_as(self, address: str) -> None:
        """Count it under the address that a trusted proxy speaks for. Another stranger of that address, or this one,
        may be closed for it."""
        if self._stranger:
            self._connections.move(self, address)

    def hold(self, count: int) -> None:
        """So many more bytes (negative: fewer) are kept for it. Past the bound the stranger that holds most is closed:
        perhaps this one, which then sees the end of its stream."""
        if self._stranger:
            self._connections.hold(self, count)

    def let_go(self) -> None:
        """Nothing is kept for it any more."""
        self.hold(-self.held)


class Connections:
    """The books. `capacity` bounds all connections, `unauthenticated` the strangers among them, `unauthenticated_bytes`
    what is kept for these together, and `per_address` their number from one address, or one /64 of IPv6: what a single
    customer is given. An address in `exempt` (a proxy) has no cap of its own; `Slot.count_as` names those it speaks
    for. Every call costs the same, however many there are, but for the one that passes the bound in bytes.
    """

    def __init__(
        self,
        *,
        capacity: int,
        unauthenticated: int,
        per_address: int,
        unauthenticated_bytes: int = 1 << 25,
        exempt: Container[str] = frozenset(),
    ) -> None:
        self._capacity = capacity
        self._most_strangers = unauthenticated
        self._most_bytes = unauthenticated_bytes
        self._per_address = per_address
        self._exempt = exempt
        self._open = 0
        self._strangers = 0
        self._held = 0
        self._by_address: dict[str | bytes, dict[Slot, None]] = {}
        """The strangers of each address, the oldest first."""
        self._by_count: dict[int, dict[str | bytes, None]] = {}
        """The addresses that have so many strangers, so that those with most are found at once."""
        self._most = 0
        """The largest number of strangers that an address has."""
        self._accepted = 0
        self._refused = 0
        self._evicted: Counter[str] = Counter()
        self._failed = 0
        self._exhausted = 0

    def admit(self, handle: socket.socket, peer: str, *, direct: bool) -> Slot | None:
        """A place, to be given back with `release`; None when all are taken by users who have signed in."""
        if self._open >= self._capacity and not self.evict("capacity"):
            self._refused += 1
            return None
        if self._strangers >= self._most_strangers:
            self.evict("unauthenticated")
        slot = Slot(self, handle, peer, direct)
        self._accepted += 1
        self._open += 1
        self._strangers += 1
        self._enter_address(slot, peer)
        return slot

    def release(self, slot: Slot) -> None:
        """The connection is over. Once for each slot."""
        slot.authenticated()
        self._open -= 1

    def evict(self, limit: str) -> bool:
        """Close the oldest stranger of an address that holds most of them, for want of what `limit` bounds. False:
        there is none."""
        if not self._strangers:
            return False
        self._close_oldest(next(iter(self._by_count[self._most])), limit)
        return True

    def signed_in(self, slot: Slot) -> None:
        self._leave_address(slot)
        self._strangers -= 1
        self._held -= slot.held
        slot.held = 0
        slot._stranger = False

    def move(self, slot: Slot, address: str) -> None:
        if customer(address) != slot._key:
            self._leave_address(slot)
            self._enter_address(slot, address)

    def hold(self, slot: Slot, count: int) -> None:
        slot.held += count
        self._held += count
        while self._held > self._most_bytes:
            self._close(max(self._all_strangers(), key=_held), "bytes")

    def note_failed(self) -> None:
        self._failed += 1

    def note_exhausted(self) -> None:
        self._exhausted += 1

    def statistics(self) -> Statistics:
        return Statistics(
            open=self._open,
            unauthenticated=self._strangers,
            unauthenticated_bytes=self._held,
            addresses=len(self._by_address),
            accepted=self._accepted,
            refused=self._refused,
            evicted=dict(self._evicted),
            failed=self._failed,
            exhausted=self._exhausted,
        )

    def _enter_address(self, slot: Slot, address: str) -> None:
        key = slot._key = customer(address)
        slots = self._by_address.setdefault(key, {})
        if len(slots) >= self._per_address and address not in self._exempt:
            self._close_oldest(key, "address")
            slots = self._by_address.setdefault(key, {})
        slots[slot] = None
        self._count(key, len(slots) - 1, len(slots))

    def _leave_address(self, slot: Slot) -> None:
        slots = self._by_address[slot._key]
        del slots[slot]
        self._count(slot._key, len(slots) + 1, len(slots))
        if not slots:
            del self._by_address[slot._key]

    def _count(self, key: str | bytes, before: int, now: int) -> None:
        """An address has one stranger more or less than before."""
        if before:
            del self._by_count[before][key]
            if not self._by_count[before]:
                del self._by_count[before]
        if now:
            self._by_count.setdefault(now, {})[key] = None
        if now > self._most or self._most not in self._by_count:
            self._most = now

    def _close_oldest(self, key: str | bytes, limit: str) -> None:
        slots = self._by_address[key]
        self._close(next((slot for slot in slots if not slot.answering), next(iter(slots))), limit)

    def _close(self, slot: Slot, limit: str) -> None:
        """It is out of the books at once; its own task finds the end of the stream and closes the socket."""
        self._evicted[limit] += 1
        self.signed_in(slot)
        try:
            slot.handle.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The peer has gone by itself.

    def _all_strangers(self) -> Iterator[Slot]:
        for slots in self._by_address.values():
            yield from slots


def _held(slot: Slot) -> int:
    return slot.held


def customer(address: str) -> str | bytes:
    """The customer that an address counts as: itself, or its /64 (RFC 6177: the least that an IPv6 site is given)."""
    if ":" not in address:
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])
    return packed[:8]
