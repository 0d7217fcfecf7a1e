"""The parts of every load: the epoll set, the watch for silence, the signs of life, and the clocks around it all."""

from __future__ import annotations

import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

from bench import procfs
from bench.faults import Fault, Gone
from bench.load.book import Book
from bench.load.client import Client
from bench.load.outcome import Length, Outcome, Supply
from bench.load.timer import Timer

#: Sockets a round, so that no socket waits for another's second turn.
_ROUND = 256
#: Nanoseconds between two points of the timeline.
_POINT = 250_000_000

Reader = Callable[[], None]


class Poll:
    """The epoll set: what to call for which socket."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self.readers: dict[int, Reader] = {}
        self.wait = self._epoll.poll
        self.close = self._epoll.close

    def add(self, sock: socket.socket | int, reader: Reader, events: int = select.EPOLLIN) -> None:
        fd = sock if isinstance(sock, int) else sock.fileno()
        self._epoll.register(fd, events)
        self.readers[fd] = reader

    def change(self, sock: socket.socket, events: int) -> None:
        self._epoll.modify(sock.fileno(), events)

    def remove(self, sock: socket.socket) -> None:
        """To be called before the socket is closed."""
        self._epoll.unregister(sock.fileno())
        del self.readers[sock.fileno()]


class Load(ABC):
    """One way to load a server. Everything may raise Fault."""

    sent: int = 0
    """Messages, or other requests that are counted, since the connections were opened."""
    delivered: int = 0
    """Messages delivered since then, over all who listen; it draws the curve over time."""
    listeners: Sequence[Client] = ()
    """Clients that never send."""

    def attach(self, poll: Poll) -> None:
        """Register what is to be read. Called once."""
        for client, reader in self.readers().items():
            client.unblock()
            poll.add(client.sock, reader)

    def readers(self) -> Mapping[Client, Reader]:
        """The function to call when a client's socket is readable, by client."""
        return {}

    @abstractmethod
    def begin(self, supply: Supply, book: Book) -> None:
        """Send the first messages of a stretch, and hold to `supply` for the rest."""

    def wake(self, now: int) -> int | None:
        """Do what is planned up to `now`; when to be called again, at the latest; None: never, for now."""
        return None

    @abstractmethod
    def complete(self) -> bool:
        """Whether everything owed is there. Asked once a round."""

    @abstractmethod
    def owed(self) -> str:
        """The deliveries and answers that are still owed, in words."""

    def close(self) -> None:  # noqa: B027 -- most open none
        """Close the connections that the load itself opened."""

    def counts(self) -> dict[str, int]:
        """Other counts since the connections were opened, by name."""
        return {}


class Driver:
    """Runs a load on one epoll set, stretch after stretch on the same connections."""

    def __init__(self, load: Load, alive_s: float = 10.0, tick: Callable[[int], None] | None = None) -> None:
        """`alive_s`: between signs of life of clients that only listen; a server asks after 30 s of silence. `tick` is
        told, four times a second, how much was delivered."""
        self._load = load
        self._alive_s = alive_s
        self._tick = tick
        self._poll = Poll()
        self._timer = Timer()
        self._poll.add(self._timer.fd, self._timer.fired)
        load.attach(self._poll)

    def drive(self, length: Length, began: int | None = None) -> Outcome:
        """Send for that long, then wait for what is owed. `began`: when, on `time.perf_counter_ns`; now if None.
        Raises Fault for anything amiss."""
        load, book = self._load, Book()
        sent, delivered, counts = load.sent, load.delivered, load.counts()
        if began is not None:
            time.sleep(max(0, began - time.perf_counter_ns()) / 1e9)
        cpu_began, wait_began, began = time.process_time(), procfs.waited_s(), began or time.perf_counter_ns()
        timeline = [(0, 0)]
        try:
            load.begin(Supply(length, began), book)
            self._rounds(began, length.patience_s, timeline)
        except OSError as error:
            raise Gone(f"a connection broke: {error}") from None
        spent = time.perf_counter_ns() - began
        timeline.append((spent, load.delivered - delivered))
        return Outcome(
            messages=load.sent - sent,
            seconds=spent / 1e9,
            cpu_s=time.process_time() - cpu_began,
            waited_s=procfs.waited_s() - wait_began,
            book=book,
            deliveries=load.delivered - delivered,
            timeline=tuple(timeline),
            counts={name: count - counts.get(name, 0) for name, count in load.counts().items()},
        )

    def close(self) -> None:
        """Connections that the load was given stay open: they are their owner's."""
        self._load.close()
        self._poll.close()
        self._timer.close()

    def _rounds(self, began: int, patience_s: float, timeline: list[tuple[int, int]]) -> None:
        poll, clock, readers, load = self._poll.wait, time.perf_counter_ns, self._poll.readers, self._load
        timer, wake = self._timer, load.wake
        before = load.delivered
        now = heard = alive = point = began
        wait_s = min(0.25, patience_s, self._alive_s)
        silence = int(patience_s * 1e9)
        while not load.complete():
            due = wake(now)
            timer.set(due, now)
            ready = poll(wait_s, _ROUND)
            now = clock()
            # Only the timer: something is planned, so silence is no wonder, but it does not count as a sign either.
            if len(ready) > 1 or (ready and ready[0][0] != timer.fd):
                heard = now
            elif due is not None and due - heard > silence:
                heard = now  # Nothing was owed meanwhile: the next is planned for later.
            elif now - heard > silence:
                raise Fault(f"nothing came for {patience_s:g} s, owed: {load.owed()}")
            if now - alive > self._alive_s * 1e9:
                alive = now
                for client in load.listeners:
                    client.say_alive()
            if now - point > _POINT:
                point = now
                timeline.append((now - began, load.delivered - before))
                if self._tick is not None:
                    self._tick(load.delivered)
            for fd, _ in ready:
                if (reader := readers.get(fd)) is not None:  # Gone where an earlier one of the round closed it.
                    reader()
