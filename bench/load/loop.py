"""What every load has: the epoll set, the watch for silence, the signs of life, and the clocks around it all."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from bench.faults import Fault, Gone
from bench.histogram import Histogram
from bench.load.client import Client
from bench.load.outcome import Length, Outcome, Supply

#: Sockets a round, so that no socket waits for another's second turn.
_ROUND = 256


class Load(Protocol):
    """One way to load a server. Everything may raise Fault."""

    @property
    def sent(self) -> int:
        """Messages sent since the connections were opened."""

    @property
    def listeners(self) -> Sequence[Client]:
        """Clients that never send."""

    def readers(self) -> Mapping[Client, Callable[[], None]]:
        """What to call when a client's socket is readable."""

    def begin(self, supply: Supply, latency: Histogram) -> None:
        """Send the first messages of a stretch, and hold to `supply` for the rest."""

    def complete(self) -> bool:
        """Whether everything owed is there. Asked once a round."""

    def owed(self) -> str:
        """What is not there yet, in words."""


class Driver:
    """Runs a load on one epoll set, stretch after stretch on the same connections."""

    def __init__(self, load: Load, alive_s: float = 10.0) -> None:
        """`alive_s`: between signs of life of clients that only listen; a server asks after 30 s of silence."""
        self._load = load
        self._alive_s = alive_s
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        for client, reader in load.readers().items():
            client.unblock()
            self._epoll.register(client.sock.fileno(), select.EPOLLIN)
            self._readers[client.sock.fileno()] = reader

    def drive(self, length: Length) -> Outcome:
        """Send for that long, then wait for what is owed. Raises Fault for anything amiss."""
        load, latency = self._load, Histogram()
        sent = load.sent
        cpu_began, began = time.process_time(), time.perf_counter_ns()
        try:
            load.begin(Supply(length, began), latency)
            self._rounds(began, length.patience_s)
        except OSError as error:
            raise Gone(f"a connection broke: {error}") from None
        seconds, cpu_s = (time.perf_counter_ns() - began) / 1e9, time.process_time() - cpu_began
        return Outcome(load.sent - sent, seconds, cpu_s, latency)

    def close(self) -> None:
        """The connections stay open: they are their owner's."""
        self._epoll.close()

    def _rounds(self, now: int, patience_s: float) -> None:
        poll, clock, readers, load = self._epoll.poll, time.perf_counter_ns, self._readers, self._load
        heard = alive = now
        wait_s = min(1.0, patience_s, self._alive_s)
        while not load.complete():
            ready = poll(wait_s, _ROUND)
            now = clock()
            if ready:
                heard = now
            elif now - heard > patience_s * 1e9:
                raise Fault(f"nothing came for {patience_s:g} s, owed: {load.owed()}")
            if now - alive > self._alive_s * 1e9:
                alive = now
                for client in load.listeners:
                    client.say_alive()
            for fd, _ in ready:
                readers[fd]()
