"""Readings that wait at several servers at once: a connection for each stream, and one thread that watches all.

In a Redis Cluster one XREAD can't wait for streams of several slots. A reading that has brought nothing yet goes on
waiting when its caller goes away with the others' news, and is not sent again.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from gochat.cluster.link import ServerLink
from gochat.cluster.ports import Element, Position

_READ: Final = selectors.EVENT_READ


class _Reading:
    """A connection that waits at one stream, or is about to."""

    __slots__ = ("after", "asked", "key", "link", "until")

    def __init__(self, key: str, link: ServerLink) -> None:
        self.key = key
        self.link = link
        self.after: Position | None = None
        """The position after which it waits; None: it does not."""
        self.asked = 0
        """At most so many elements come."""
        self.until = 0.0
        """When its reply must have come; by monotonic()."""


class StreamReadings:
    """Used by one thread, and never again after an error, as a link is."""

    def __init__(self, connect: Callable[[Sequence[str]], Sequence[ServerLink]]) -> None:
        """`connect`: for each of these streams a connection of its own to its server."""
        self._connect = connect
        self._selector = selectors.DefaultSelector()
        self._readings: dict[str, _Reading] = {}
        self._full: set[str] = set()
        """Streams whose latest reply had as many elements as were asked for."""
        self.is_spent = False
        """Whether the rest of a reply was left unread."""

    @property
    def leaves_more(self) -> bool:
        """Whether one of the streams may have more than has come of it."""
        return self.is_spent or bool(self._full)

    def read(self, after: Mapping[str, Position], limit: int, wait_s: float) -> dict[bytes, list[Element]]:
        """See `Link.read_streams`."""
        for key in self._readings.keys() - after.keys():
            self._end(key)  # Its reply may be older than whatever happens to the stream until it is read again.
        self._begin_all(after, limit, wait_s)
        end = monotonic() + wait_s  # The time that connections take to be made is none in which a stream is waited at.
        found: dict[bytes, list[Element]] = {}
        while True:
            for ready, _ in self._selector.select(max(0.0, end - monotonic())):
                reading: _Reading = ready.data
                newer = self._finish(reading, after[reading.key])
                if newer:
                    found[reading.key.encode()] = newer
                if self.is_spent:
                    return found  # The last of these is the one that was cut.
            now = monotonic()
            if any(reading.after is not None and reading.until < now for reading in self._readings.values()):
                raise TimeoutError("a server does not answer")
            if found or now >= end:
                return found
            self._begin_all(after, limit, wait_s)

    def _begin_all(self, after: Mapping[str, Position], limit: int, wait_s: float) -> None:
        missing = [key for key in after if key not in self._readings]
        if missing:
            for key, link in zip(missing, self._connect(missing), strict=True):
                reading = self._readings[key] = _Reading(key, link)
                self._selector.register(link, _READ, reading)
        for key, position in after.items():
            self._begin(self._readings[key], position, limit, wait_s)

    def close(self) -> None:
        for key in list(self._readings):
            self._end(key)
        self._selector.close()

    def _begin(self, reading: _Reading, position: Position, limit: int, wait_s: float) -> None:
        if reading.after is None:
            reading.link.request_streams({reading.key: position}, limit, wait_s)
            reading.after, reading.asked = position, limit
            reading.until = monotonic() + wait_s + reading.link.timeout_s

    def _finish(self, reading: _Reading, position: Position) -> list[Element]:
        """The elements after the position, of a reply that has begun to come."""
        assert reading.after is not None
        waited_after, reading.after = reading.after, None
        found = reading.link.receive_streams(reading.link.timeout_s)
        self.is_spent = self.is_spent or reading.link.is_spent
        elements = next(iter(found.values()), [])
        if len(elements) < reading.asked:
            self._full.discard(reading.key)
        else:
            self._full.add(reading.key)
        if waited_after == position:
            return elements
        return [element for element in elements if element.position > position]

    def _end(self, key: str) -> None:
        reading = self._readings.pop(key)
        self._full.discard(key)
        self._selector.unregister(reading.link)
        reading.link.close()
