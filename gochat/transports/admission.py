"""Who may connect: the caps and counts that all listeners of a node share.

Over a cap the newest connection is the one to go. Those who have not signed in have caps of their own, in all and for
each address, so that strangers cost strangers and never those who are in.
"""

from __future__ import annotations

import socket
from collections.abc import Container

import msgspec

#: What an IPv4 address is behind when a dual-stack socket shows it (RFC 4291, section 2.5.5.2).
_MAPPED = bytes(10) + b"\xff\xff"


class Statistics(msgspec.Struct, frozen=True):
    """Connections of every transport, now and since the start."""

    open: int
    unauthenticated: int
    addresses: int
    """Addresses (of IPv6: /64 networks) that have a connection which is not signed in."""
    accepted: int
    refused_capacity: int
    refused_unauthenticated: int
    refused_address: int
    failed: int
    """Connections ended by an exception that nobody expected; each left one line in the log."""
    exhausted: int
    """Pauses of accepting, for want of file descriptors or memory."""


class Lease:
    """One connection's place. It counts as unauthenticated until its handler says otherwise."""

    __slots__ = ("_connections", "_key", "_stranger", "direct", "handle", "loopback", "peer")

    def __init__(
        self, connections: Connections, handle: socket.socket, peer: str, loopback: bool, direct: bool
    ) -> None:
        self.handle = handle
        """The connected socket, non-blocking. The accept loop closes it when the handler returns."""
        self.direct = direct
        """Whether bytes may be written to `handle` past the stream (no TLS)."""
        self.peer = peer
        """The other end's address, without its port. Behind a proxy it is the proxy's."""
        self.loopback = loopback
        """Whether both the listener and the peer have loopback addresses; a proxy may still stand between."""
        self._connections = connections
        self._key: str | bytes | None = None
        self._stranger = True

    def authenticated(self) -> None:
        """The peer proved who it is: it no longer counts against the caps of those who did not. May be repeated."""
        if self._stranger:
            self._stranger = False
            self._connections.signed_in(self)

    def count_as(self, address: str) -> bool:
        """Count it under the address that a trusted proxy speaks for. False: that one is at its cap, so close."""
        return not self._stranger or self._connections.move(self, address)


class Connections:
    """The books. `capacity` bounds all connections, `unauthenticated` those that have not signed in, `per_address` the
    same for one address, or one /64 of IPv6: what a single customer is given. An address in `exempt` (a proxy) has no
    cap of its own; `Lease.count_as` names those it speaks for.
    """

    def __init__(
        self, *, capacity: int, unauthenticated: int, per_address: int, exempt: Container[str] = frozenset()
    ) -> None:
        self._capacity = capacity
        self._most_strangers = unauthenticated
        self._per_address = per_address
        self._exempt = exempt
        self._open = 0
        self._strangers = 0
        self._by_address: dict[str | bytes, int] = {}
        self._accepted = 0
        self._refused_capacity = 0
        self._refused_unauthenticated = 0
        self._refused_address = 0
        self._failed = 0
        self._exhausted = 0

    def admit(self, handle: socket.socket, peer: str, *, loopback: bool, direct: bool) -> Lease | None:
        """A place, to be given back with `release`; None when a cap is reached."""
        if self._open >= self._capacity:
            self._refused_capacity += 1
            return None
        if self._strangers >= self._most_strangers:
            self._refused_unauthenticated += 1
            return None
        lease = Lease(self, handle, peer, loopback, direct)
        if peer not in self._exempt and not self.move(lease, peer):
            return None
        self._accepted += 1
        self._open += 1
        self._strangers += 1
        return lease

    def release(self, lease: Lease) -> None:
        """The connection is over. Once for each lease."""
        lease.authenticated()
        self._open -= 1

    def signed_in(self, lease: Lease) -> None:
        self._strangers -= 1
        self._leave_address(lease)

    def move(self, lease: Lease, address: str) -> bool:
        self._leave_address(lease)
        key = _customer(address)
        count = self._by_address.get(key, 0)
        if count >= self._per_address:
            self._refused_address += 1
            return False
        self._by_address[key] = count + 1
        lease._key = key
        return True

    def note_failed(self) -> None:
        self._failed += 1

    def note_exhausted(self) -> None:
        self._exhausted += 1

    def statistics(self) -> Statistics:
        return Statistics(
            open=self._open,
            unauthenticated=self._strangers,
            addresses=len(self._by_address),
            accepted=self._accepted,
            refused_capacity=self._refused_capacity,
            refused_unauthenticated=self._refused_unauthenticated,
            refused_address=self._refused_address,
            failed=self._failed,
            exhausted=self._exhausted,
        )

    def _leave_address(self, lease: Lease) -> None:
        key, lease._key = lease._key, None
        if key is None:
            return
        if self._by_address[key] == 1:
            del self._by_address[key]
        else:
            self._by_address[key] -= 1


def _customer(address: str) -> str | bytes:
    """What an address counts as: itself, or its /64 (RFC 6177: the least that an IPv6 site is given)."""
    if ":" not in address:
        return address
    packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    if packed.startswith(_MAPPED):
        return socket.inet_ntop(socket.AF_INET, packed[len(_MAPPED) :])
    return packed[:8]
