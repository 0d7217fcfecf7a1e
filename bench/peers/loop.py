"""Drives a load on a peer: one epoll set, the watch for silence, and the clocks around it.

gochat's own loads have more to them (plans, processes, curves over time); a comparison wants a loop that can be read
at a glance, the same for every server.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from bench import procfs
from bench.faults import Broken, Fault, Gone
from bench.histogram import Histogram
from bench.load.outcome import Length, Supply
from bench.peers.client import Member

#: Sockets a round, so that no socket waits for another's second turn.
_ROUND = 256
_ALIVE_S = 10.0


class Load(Protocol):
    """One way to load a server. Everything may raise Fault."""

    sent: int
    """Messages sent since the connections were opened."""

    @property
    def listeners(self) -> Sequence[Member]:
        """Members that never send."""

    def readers(self) -> Mapping[Member, Callable[[], None]]:
        """The function to call when a member's socket is readable, by member."""

    def begin(self, supply: Supply, latency: Histogram) -> None:
        """Send the first messages of a stretch, and hold to `supply` for the rest."""

    def complete(self) -> bool:
        """Whether everything owed is there. Asked once a round."""

    def owed(self) -> str:
        """The deliveries and acks that are still owed, in words."""


class Stretch(NamedTuple):
    """One stretch of load, from the first send until everything owed was there."""

    messages: int
    seconds: float
    latency: Histogram
    """Nanoseconds."""
    generator_cpu: float
    """The load's share of the time that it could have its core."""
    server_cpu_us: float
    """A message."""
    server_rss_mb: float


class Loop(NamedTuple):
    """A load with its epoll set. Both may be called as often as is wanted."""

    warm_up: Callable[[Length], None]
    """Drive for a tenth of the length, unmeasured."""
    measure: Callable[[Length], Stretch]


@contextmanager
def driven(load: Load, pid: int) -> Iterator[Loop]:
    """`pid` is the server's."""
    epoll = select.epoll()
    readers: dict[int, Callable[[], None]] = {}
    for member, reader in load.readers().items():
        member.unblock()
        epoll.register(member.sock.fileno(), select.EPOLLIN)
        readers[member.sock.fileno()] = reader

    def warm_up(length: Length) -> None:
        _drive(load, epoll, readers, length.warm_up(), Histogram())

    def measure(length: Length) -> Stretch:
        sent, latency = load.sent, Histogram()
        server, mine, waited, began = procfs.cpu_s(pid), time.process_time(), _waited_s(), time.perf_counter()
        _drive(load, epoll, readers, length, latency)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - mine
        had_s = max(seconds - (_waited_s() - waited), cpu_s)
        messages, server = load.sent - sent, procfs.cpu_s(pid) - server
        if not messages:
            raise Broken("nothing was sent in the time given: give it more --seconds")
        rss_mb = procfs.rss_bytes(pid) / 1e6
        return Stretch(messages, seconds, latency, cpu_s / had_s, server * 1e6 / messages, rss_mb)

    try:
        yield Loop(warm_up, measure)
    finally:
        epoll.close()


def _drive(
    load: Load, epoll: select.epoll, readers: Mapping[int, Callable[[], None]], length: Length, latency: Histogram
) -> None:
    """Send for that long, then wait for what is owed. Raises Fault for anything amiss."""
    clock = time.perf_counter_ns
    began = heard = alive = clock()
    wait_s = min(1.0, length.patience_s)
    try:
        load.begin(Supply(length, began), latency)
        while not load.complete():
            ready = epoll.poll(wait_s, _ROUND)
            now = clock()
            if ready:
                heard = now
            elif now - heard > length.patience_s * 1e9:
                raise Fault(f"nothing came for {length.patience_s:g} s, owed: {load.owed()}")
            if now - alive > _ALIVE_S * 1e9:
                alive = now
                for member in load.listeners:
                    member.say_alive()
            for fd, _ in ready:
                readers[fd]()
    except OSError as error:
        raise Gone(f"a connection broke: {error}") from None


def _waited_s() -> float:
    """How long the load was ready to run while another program had its core; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
