"""The latencies of one stretch, by name: one histogram each, merged over processes by adding."""

from __future__ import annotations

from bench.histogram import Histogram

#: The begin and end of each latency by its name, for the legend; "planned" is the send's own time in a closed loop.
NAMES = {
    "deliver": "planned send to read by one member",
    "last": "planned send to read by the last member",
    "ack": "planned send to its ack",
    "settled": "planned send to acked and delivered",
    "ack, others": "ack of a message in another room, while nothing goes to the big one",
    "ack, meanwhile": "ack of a message in another room, while one goes to the big one",
    "late": "planned send to handed to the kernel: the load's own delay, part of the others",
    "page": "request to page",
    "results": "request to results",
    "connect": "connect to welcome",
    "resume": "connect to the last fact replayed",
    "reconnect": "connect to welcome, in the midst of other load",
}


class Book(dict[str, Histogram]):
    """Nanoseconds; a name that is asked for is there."""

    def __missing__(self, name: str) -> Histogram:
        return self.setdefault(name, Histogram())

    def add(self, other: Book) -> None:
        for name, histogram in other.items():
            self[name].add(histogram)
