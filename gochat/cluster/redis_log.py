"""The log on Redis or Valkey: a stream a partition, with scripts that look at its fence.

Three threads, each with a connection: one appends, one reads and is blocked most of the time, and one does all else, so
that a look at the fences waits for neither. An append and a reading that go as they nearly always do are the loop's
work (see `exchange.py`).
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import trio
from redis.exceptions import ResponseError

from gochat.cluster import scripts
from gochat.cluster.exchange import MOST_SENT, Exchange, short_replies
from gochat.cluster.identity import slot_of
from gochat.cluster.link import (
    Command,
    Link,
    ServerLink,
    is_another_type,
    is_full,
    packed,
    refused,
    run,
    xread,
)
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.ports import (
    OFFER_LIFE_S,
    PARTITIONS,
    TERM_STEP,
    Batch,
    Element,
    Fence,
    Fences,
    Position,
    PutBack,
    Refusal,
    ServerAway,
    Unreadable,
    Unsealed,
    check_batch,
    check_put_back,
    term_of,
)
from gochat.cluster.read_size import ReadSize
from gochat.cluster.stream_reply import whole_reply

log = logging.getLogger(__name__)

T = TypeVar("T")

#: How long a reading waits at the server for something to come.
READ_WAIT_S: Final = 1.0
#: Offers that nobody withdraws are gone after a day.
_OFFERS_KEPT_S: Final = 86_400
#: As in `scripts.py`.
_FENCE: Final = re.compile(rb"[0-9a-f]+ [1-9][0-9]{0,17}")


class _Reading(NamedTuple):
    """See `Link.read_streams`."""

    found: dict[bytes, list[Element]]
    leaves_more: bool
    is_cut: bool = False


class RedisLog:
    """`ports.Log` on Redis or Valkey. To be made in the loop, and closed there; connects with the first call."""

    def __init__(
        self,
        cluster: str,
        connect: Callable[[], Link],
        *,
        offer_life_s: float = OFFER_LIFE_S,
        read_wait_s: float = READ_WAIT_S,
    ) -> None:
        """`cluster`: the cluster's id. `connect`: what `link.connector` gives. `read_wait_s`: how long a reading waits
        at the server for something to come."""
        self._prefix = f"gc:{{{cluster}."
        self._streams = [self._key(partition, "log") for partition in range(PARTITIONS)]
        self._partitions = {stream.encode(): partition for partition, stream in enumerate(self._streams)}
        self._slots = [slot_of(f"{cluster}.{partition}") for partition in range(PARTITIONS)]
        self._offer_life_ms = int(offer_life_s * 1000)
        self._read_wait_s = read_wait_s
        self._writer = LinkThread("log writer", connect)
        self._reader = LinkThread("log reader", connect)
        self._other = LinkThread("log", connect)
        self._sizes = {self._reader: ReadSize(), self._other: ReadSize()}
        self._strange_fences: dict[str, bytes] = {}
        """By key, the text that was last warned of."""
        self.reasons: dict[int, str] = {}
        self.leaves_more = False
        """See `ports.Log`, as of `reasons`."""

    def close(self) -> None:
        for thread in (self._writer, self._reader, self._other):
            thread.close()

    def _key(self, partition: int, name: str) -> str:
        return f"{self._prefix}{partition}}}:{name}"

    def _keys(self, partition: int) -> tuple[str, str]:
        """A partition's stream and its fence."""
        return self._streams[partition], self._key(partition, "fence")

    def _offers(self, partition: int, server: str) -> str:
        return self._key(partition, f"offer:{server}")

    # ------------------------------------------------------------------------------------------ appending, reading

    async def create(self, partition: int) -> Fence | None:
        command = run(scripts.CREATE, self._keys(partition), term_of(1, secrets.randbelow(TERM_STEP)))
        return await self._other.call(lambda link: None if (reply := link.call(*command)) is None else _fence(reply))

    async def append(self, batches: Sequence[Batch]) -> list[Position | Refusal]:
        for batch in batches:
            check_batch(batch.entries)
        appends = [run(scripts.APPEND, self._keys(batch.partition), batch.term, *batch.entries) for batch in batches]
        seen: list[Any] = []

        def checked(replies: list[Any]) -> list[Any]:
            seen.extend(replies)
            errors = [reply for reply in replies if isinstance(reply, Exception)]
            if errors:
                # Whatever it was, another connection may know better. Servers that take no writes need none; where
                # there are several, an error of another one comes first.
                raise min(errors, key=lambda error: refused(error) is not None)
            return replies

        question = Exchange[list[Any]](
            request=lambda: packed(*appends),
            wait_s=0.0,
            parse=lambda data: short_replies(data, len(appends)),
            receive=lambda link, _: checked(link.receive_all(len(appends))),
            send_and_receive=lambda link: checked(link.try_all(appends)),
        )
        is_short = sum(len(data) for batch in batches for data in batch.entries) <= MOST_SENT
        try:
            if is_short:
                replies = await self._writer.exchange(question)
            else:
                replies = await self._writer.call(question.send_and_receive)
        except ServerAway as error:
            replies = seen or [error] * len(batches)
        for batch, reply in zip(batches, replies, strict=True):
            if isinstance(reply, Exception):
                self.reasons[batch.partition] = _reason(reply)
            else:
                self.reasons.pop(batch.partition, None)
        return [_appended(reply) for reply in replies]

    async def keep_to(self, servers: Mapping[int, str] | None) -> None:
        slots = None if servers is None else {self._slots[partition]: server for partition, server in servers.items()}
        async with trio.open_nursery() as nursery:  # None of them waits until another one's call is broken off.
            for thread in (self._writer, self._reader, self._other):
                nursery.start_soon(thread.keep_to, slots)

    async def read(self, after: Mapping[int, Position], limit: int, *, wait: bool = True) -> dict[int, list[Element]]:
        streams = {self._streams[partition]: position for partition, position in after.items()}
        size = self._sizes[self._reader if wait else self._other]
        count = min(limit, size.count)
        if wait:
            reading = await self._reader.exchange(self._waiting(streams, count))
            self.leaves_more = reading.leaves_more
        else:
            reading = await self._other.call(lambda link: _read(link, streams, count, None))
        size.learn(reading.found.values(), count, is_cut=reading.is_cut)
        return {self._partitions[stream]: elements for stream, elements in reading.found.items()}

    def _waiting(self, streams: Mapping[str, Position], count: int) -> Exchange[_Reading]:
        def parse(data: bytes) -> _Reading | None:
            found = whole_reply(data)
            return None if found is None else _Reading(found, is_full(found, count))

        def receive(link: ServerLink, wait_s: float) -> _Reading:
            return _Reading(link.finish_streams(count, wait_s), link.leaves_more, link.is_spent)

        return Exchange(
            request=lambda: packed(xread(streams, count, self._read_wait_s)),
            wait_s=self._read_wait_s,
            parse=parse,
            receive=receive,
            send_and_receive=lambda link: _read(link, streams, count, self._read_wait_s),
        )

    async def ends(self, partitions: Collection[int]) -> dict[int, Position]:
        return await self._other.call(partial(self._ends, partitions))

    async def begins(self, partitions: Collection[int]) -> dict[int, Position]:
        return await self._other.call(lambda link: self._ask_for_one(link, partitions, "XRANGE", "-", "+"))

    def _ends(self, partitions: Collection[int], link: Link) -> dict[int, Position]:
        return self._ask_for_one(link, partitions, "XREVRANGE", "+", "-")

    def _ask_for_one(self, link: Link, partitions: Collection[int], command: str, *bounds: str) -> dict[int, Position]:
        commands: list[Command] = [(command, self._streams[p], *bounds, "COUNT", 1) for p in partitions]
        _, replies = link.call_primary(commands)
        return {p: _position(reply[0][0]) for p, reply in zip(partitions, replies, strict=True) if reply}

    async def fences(self, partitions: Collection[int]) -> Fences:
        return await self._ask_for_fences(partitions, partial(self._fences, partitions))

    async def fenced_ends(self, partitions: Collection[int]) -> tuple[Fences, dict[int, Position], Fences]:
        # In one call of the thread: a hand-over costs more than the question, and whoever signs in or reads waits.
        def look(link: Link) -> tuple[Fences, dict[int, Position], Fences]:
            return self._fences(partitions, link), self._ends(partitions, link), self._fences(partitions, link)

        return await self._ask_for_fences(partitions, look)

    async def _ask_for_fences(self, partitions: Collection[int], ask: Callable[[Link], T]) -> T:
        try:
            return await self._other.call(ask)
        except Unreadable as error:
            unreadable = error
        # By a new connection: replies to other questions may be on their way by the old one.
        fences = self._gets(partitions)
        _find_another_type(fences, await self._other.call(lambda link: link.try_all(fences)))
        raise unreadable

    def _gets(self, partitions: Collection[int]) -> list[tuple[str, str]]:
        return [("GET", self._key(partition, "fence")) for partition in partitions]

    def _fences(self, partitions: Collection[int], link: Link) -> Fences:
        streams = [("EXISTS", self._streams[partition]) for partition in partitions]
        fences = self._gets(partitions)
        servers, replies = link.call_primary([*streams, *fences])
        there, found = replies[: len(streams)], replies[len(streams) :]
        told = {
            partition: _fence(reply)
            for partition, stream, (_, key), reply in zip(partitions, there, fences, found, strict=True)
            if stream and reply is not None and self._is_fence(key, reply)
        }
        return Fences(dict(zip(partitions, servers, strict=False)), told)

    def _is_fence(self, key: str, reply: bytes) -> bool:
        """Anything else is as good as none: the partition is repaired, and the seal replaces it."""
        if _FENCE.fullmatch(reply) is not None:
            self._strange_fences.pop(key, None)
            return True
        if self._strange_fences.get(key) != reply:
            self._strange_fences[key] = reply
            log.warning("%s holds %.80r, which no node wrote: its partition is repaired as if it had none", key, reply)
        return False

    # ------------------------------------------------------------------------------------------ repairing, trimming

    async def put_back(
        self, partition: int, server: str, previous: Position | None, elements: Sequence[Element]
    ) -> PutBack:
        check_put_back(previous, elements)
        history = [part for element in elements for part in (_id(element.position), element.data)]
        last = "" if previous is None else _id(previous)
        command = run(scripts.PUT_BACK, self._keys(partition), server, last, *history)
        outcome: PutBack = await self._other.call(lambda link: link.call(*command).decode())
        return outcome

    async def offer(self, partition: int, server: str, instance: str, end: Position, ballot: int) -> int:
        keys = [self._offers(partition, server)]
        command = run(scripts.OFFER, keys, server, instance, _id(end), _OFFERS_KEPT_S, ballot)
        return await self._other.call(lambda link: int(link.call(*command)))

    async def withdraw(self, partition: int, server: str, instance: str) -> None:
        key = self._offers(partition, server)
        await self._other.call(lambda link: link.call("HDEL", key, instance))

    async def seal(
        self,
        partition: int,
        server: str,
        need: int,
        counting: Collection[str] | None = None,
        end: Position | None = None,
    ) -> Fence | Unsealed:
        keys = [*self._keys(partition), self._offers(partition, server)]
        salt = secrets.randbelow(TERM_STEP)
        some = int(counting is not None)
        last = "" if end is None else _id(end)
        those = sorted(counting or ())
        command = run(scripts.SEAL, keys, server, need, self._offer_life_ms, TERM_STEP, salt, last, some, *those)

        def seal(link: Link) -> Fence | Unsealed:
            reply = link.call(*command)
            if b" " in reply:
                return _fence(reply)
            unsealed: Unsealed = reply.decode()
            return unsealed

        return await self._other.call(seal)

    async def end_term(self, partition: int, fence: Fence) -> bool:
        command = run(scripts.END_TERM, self._keys(partition), fence.server, fence.term)
        return bool(await self._other.call(lambda link: int(link.call(*command))))

    async def drop(self, partition: int, server: str, end: Position) -> bool:
        command = run(scripts.DROP, self._keys(partition), server, _id(end))
        return bool(await self._other.call(lambda link: int(link.call(*command))))

    async def trim(self, partition: int, before: Position, keep: int, cap: int) -> int:
        command = run(scripts.TRIM, [self._streams[partition]], before.n, keep, cap)
        return await self._other.call(lambda link: int(link.call(*command)))


def _read(link: Link, streams: Mapping[str, Position], count: int, wait_s: float | None) -> _Reading:
    return _Reading(link.read_streams(streams, count, wait_s), link.leaves_more, link.is_spent)


def _id(position: Position) -> str:
    return f"{position.term}-{position.n}"


def _position(reply: bytes) -> Position:
    term, _, n = reply.partition(b"-")
    return Position(int(term), int(n))


def _find_another_type(fences: Sequence[tuple[str, str]], replies: Sequence[Any]) -> None:
    """Raises Unreadable where a fence is no text: no script can look at it, and the seal can't replace it."""
    for (_, key), reply in zip(fences, replies, strict=True):
        if isinstance(reply, ResponseError) and is_another_type(reply):
            raise Unreadable(f"the key {key} is no text, so no node wrote it: delete it (DEL {key})")


def _fence(reply: bytes) -> Fence:
    server, _, term = reply.decode().partition(" ")
    return Fence(server, int(term))


def _reason(error: Exception) -> str:
    if isinstance(error, ServerAway):
        return str(error)
    return str(refused(error) or f"{type(error).__name__}: {error}")


def _appended(reply: object) -> Position | Refusal:
    if reply == b"fenced":
        return "fenced"
    if reply == b"lost":
        return "lost"
    return _position(reply) if isinstance(reply, bytes) else "unknown"
