"""The repair of a partition: the nodes give a server back what it has lost, before anything new is appended.

A partition is in order on a server where its fence names that very server. It is not after a failover, after FLUSHALL,
after a restart without data: then entries that were told may be missing. Every node that takes part puts back what it
has recorded beyond the server's end, reads what others have put back, and answers once it has the same as the server.
When enough have answered, whoever comes first seals the partition with the marker of a new term.

Nothing that was told can be missing then: it is with enough nodes that one of them has answered.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import trio

from gochat.cluster.counts import LogCounts
from gochat.cluster.ports import (
    MOST_BYTES,
    MOST_ENTRIES,
    OFFER_LIFE_S,
    START,
    TERM_STEP,
    Element,
    Fence,
    Fences,
    Log,
    Position,
    ServerAway,
    Unreadable,
    next_term,
)
from gochat.errors import GochatError, StoreError

log = logging.getLogger(__name__)

#: How often a node that waits for others looks again.
LOOK_S: Final = 0.02
#: How long the server's end stays where this node can't go on from it until that is told: another node may keep more.
GAP_S: Final = 2.0
_ANEW: Final = (
    "; this folder can't follow the log any more: make it anew by `gochat cluster join --from BACKUP` into an empty "
    "folder, with a backup of another node. Where all nodes say so, somebody else wrote to the server: empty it "
    "(FLUSHDB of this database) and start them, and they put back what they have"
)
_STRANGE: Final = (
    "partition {0} has an entry {2} right after {1}, where no node has put it: somebody else wrote to the server, or "
    "deleted there. Take that login away, and empty the server (FLUSHDB of this database): the nodes put back what "
    "they have"
)
#: How long a node that has answered keeps away from other servers when the one that it answered is silent: longer than
#: the answer counts there, whatever its clock does meanwhile.
FAITHFUL_S: Final = 10.0
assert OFFER_LIFE_S * 2 < FAITHFUL_S


class Ring(Protocol):
    """The entries that a node has recorded, the latest of each partition as they were read."""

    answers: Mapping[int, str]
    """What `keep_answers` was last given, by this process or the one before it."""

    async def keep_answers(self, servers: Mapping[int, str]) -> None:
        """Keep, by partition, the servers that the node is about to answer. They survive power loss when this
        returns."""

    def end(self, partition: int) -> Position:
        """The last position that is recorded; START where none is."""

    def is_stopped(self, partition: int) -> bool:
        """Whether the partition's next entry can't be recorded: a later release wrote it."""

    async def record(self, news: Mapping[int, Sequence[Element]]) -> None:
        """Record elements that follow the ends without a gap. They survive power loss when this returns; but those of a
        partition from the one on that can't be recorded."""

    async def after(self, partition: int, position: Position | None, limit: int) -> list[Element]:
        """The elements that are kept after a position, in order; with None, from the oldest of them."""

    async def has(self, partition: int, position: Position) -> bool:
        """Whether the element at the position is recorded. One that is no longer kept, but is older than all that are,
        counts as recorded where its term is not above theirs."""


class Forked(GochatError):
    """The log went on without entries that this node has recorded, or has lost entries that it needs: it can't follow.
    Its folder has to be made anew from a backup of another node's."""

    def __init__(self, partition: int, found: str) -> None:
        super().__init__(f"partition {partition}: {found}{_ANEW}")


class _Gap(NamedTuple):
    """The server has too little for this node to go on from."""

    there: Position
    kept_from: Position
    since: float
    """The loop's time."""


def following(end: Position, elements: Sequence[Element]) -> bool:
    """Whether the elements come right after `end`, without a gap."""
    return leading(end, elements) == len(elements)


def leading(end: Position, elements: Sequence[Element]) -> int:
    """How many of the elements, from the first, come right after `end`, without a gap. A repair goes on by a step:
    whoever else may write to the server must not use up the terms, which end somewhere, and can't be given back."""
    term, n = end
    for count, element in enumerate(elements):
        position = element.position
        n += 1
        if position.n != n:
            return count
        if position.term != term:
            if not term < position.term <= next_term(term, TERM_STEP - 1):
                return count
            term = position.term
    return len(elements)


async def reason_to_stop(shared: Log, partition: int, end: Position) -> GochatError | None:
    """The error to be raised where the log does not go on after `end`, the last entry that a node has recorded; None
    where it does, or ends before. Raises ServerAway.

    A log that has that very entry was never another one: somebody else wrote what comes behind it, in a place that no
    node is given, or deleted something in between. All nodes meet that, and none of their folders is to blame."""
    before = end._replace(n=end.n - 1) if end.n else START
    found = (await shared.read({partition: before}, 2, wait=False)).get(partition, [])
    has_end = bool(found) and found[0].position == end
    after = found[1:] if has_end else found
    if following(end, after[:1]):
        return None
    if has_end:
        places = (f"{place.term}-{place.n}" for place in (end, after[0].position))
        return Unreadable(_STRANGE.format(partition, *places))
    return Forked(partition, f"the log does not go on after {end}")


class Repair:
    """Brings partitions in order, those that are not, on the servers that answer for them."""

    def __init__(
        self,
        shared: Log,
        ring: Ring,
        instance: str,
        need: Callable[[int], int],
        take: Callable[[int, Sequence[Element]], Awaitable[None]],
        pause: Callable[[frozenset[int]], Awaitable[None]],
        counting: Callable[[int], Collection[str] | None] = lambda _: None,
        counts: LogCounts | None = None,
    ) -> None:
        """`need`: how many nodes must answer for a partition, this one included; 0 where this one may not. `take`:
        records elements that follow the ring's end, and hands them on. `pause`: from when it returns nobody else
        records anything of these partitions, nor appends to them, until it is called with others. `counting`: the
        nodes whose answers count for a partition; None: those of all."""
        self._log = shared
        self._ring = ring
        self._instance = instance
        self._need = need
        self._take = take
        self._pause = pause
        self._counting = counting
        self._counts = counts or LogCounts()
        self._gaps: dict[int, _Gap] = {}
        """By partition, where this node can't put back because it keeps too little."""
        self._unreadable: dict[int, str] = {}
        """By partition, where this node's own entries could not be read in the last round, and why."""
        self._kept_to: dict[int, str] = {}
        """The server that the node keeps to, by partition that is being repaired."""
        self._answered_at: dict[int, float] = {}
        """When the node last answered that server, by partition; the loop's clock."""
        self.problem: str | None = None
        """Why this node can't do its part, and the way out."""

    async def resume(self) -> None:
        """To be called before anything of the log is read or written: have the node keep to the servers that the
        process before this one may have answered. Its answers count there as long as if it had gone on."""
        if self._ring.answers:
            self._kept_to = dict(self._ring.answers)
            self._answered_at = dict.fromkeys(self._kept_to, trio.current_time())
            await self._log.keep_to(self._kept_to)

    async def run(self, partitions: Sequence[int]) -> Mapping[int, Fence]:
        """Return the fences once all of the partitions are in order.

        Each round looks at all of them: nodes that worked at one each, and waited for the others' answers, would wait
        for ever where two have broken. Once the node has answered for a partition, it speaks to no other server about
        it until that one is sealed, or can't be sealed by the answer any more. Raises Forked; and ServerAway when the
        node is free to speak to another server."""
        try:
            while True:
                try:
                    fences = await self._log.fences(partitions)
                    broken = [p for p in partitions if not is_in_order(fences, p)]
                    todo = [*broken, *self._unread(fences)]
                    await self._keep_to({partition: fences.servers[partition] for partition in todo})
                    await self._pause(frozenset(todo))
                    if not todo:
                        await self._ring.keep_answers({})
                        return fences.by_partition
                    ends = await self._log.ends(todo)
                    self._unreadable.clear()
                    moved = [await self._step_or_wait(partition, ends.get(partition)) for partition in todo]
                    self._tell_problem(ends)
                    if not any(moved):
                        await trio.sleep(LOOK_S)
                except ServerAway as error:
                    away = error
                else:
                    continue
                bound = self._bound()
                if not bound:
                    await self._ring.keep_answers({})
                    raise away
                # Others may have moved to servers that this node has promised nothing against.
                await self._keep_to({partition: self._kept_to[partition] for partition in bound})
                await trio.sleep(LOOK_S)
        finally:
            self._gaps, self.problem = {}, None
            if self._kept_to:
                self._kept_to, self._answered_at = {}, {}
                with trio.CancelScope(shield=True):
                    await self._log.keep_to(None)

    async def _keep_to(self, servers: dict[int, str]) -> None:
        """Speak to these servers alone. Where a partition is sealed, or its server has another id now, it can't be
        sealed by this node's answer any more."""
        if not servers or servers == self._kept_to:
            return
        self._answered_at = {
            partition: at
            for partition, at in self._answered_at.items()
            if servers.get(partition) == self._kept_to[partition]
        }
        self._kept_to = servers
        await self._log.keep_to(servers)
        await self._ring.keep_answers(servers)

    def _bound(self) -> list[int]:
        """The partitions for which an answer of this node may still count: it has not lost its force, even where the
        server was stopped meanwhile."""
        now = trio.current_time()
        return [partition for partition, at in self._answered_at.items() if now - at <= FAITHFUL_S]

    def _unread(self, fences: Fences) -> list[int]:
        """The partitions for which this node answered and whose seal it has not recorded. Without that it would take
        the primary before this one for the log, if that one lived on and were named again: its fence is in order."""
        return [
            partition
            for partition in self._answered_at
            if is_in_order(fences, partition) and self._ring.end(partition).term < fences.by_partition[partition].term
        ]

    async def _step_or_wait(self, partition: int, there: Position | None) -> bool:
        """A step, unless this node's own entries can't be read now: the other partitions do not wait for that."""
        try:
            return await self._step(partition, there)
        except StoreError as error:
            self._unreadable[partition] = str(error)
            return False

    async def _step(self, partition: int, there: Position | None) -> bool:
        """Bring the server and this node one step closer to each other. Whether anything moved."""
        server = self._kept_to[partition]
        own = self._ring.end(partition)
        if there is None or there.n < own.n:
            if there is not None and not await self._ring.has(partition, there):
                reason = await reason_to_stop(self._log, partition, own)
                raise reason or Forked(partition, f"the log has another entry at {there}")
            return await self._put_back(server, partition, there)
        if there.n > own.n:
            elements = (await self._log.read({partition: own}, MOST_ENTRIES, wait=False)).get(partition, [])
            news = elements[: leading(own, elements)]
            if news:
                await self._take(partition, news)
            elif (reason := await reason_to_stop(self._log, partition, own)) is not None:
                raise reason
            return bool(news)
        if there != own:
            reason = await reason_to_stop(self._log, partition, own)
            raise reason or Forked(partition, f"the log has {there}, and this node {own}")
        return await self._answer(server, partition, own)

    async def _put_back(self, server: str, partition: int, there: Position | None) -> bool:
        history = await self._ring.after(partition, there, MOST_ENTRIES)
        if not history:
            return False
        if there is not None and not following(there, history):
            known = self._gaps.get(partition)
            if known is None or known.there != there:
                self._gaps[partition] = _Gap(there, history[0].position, trio.current_time())
            return False  # This node does not keep it any more; another may.
        size, fit = 0, 0
        for element in history:
            size += len(element.data)
            if fit and size > MOST_BYTES:
                break
            fit += 1
        outcome = await self._log.put_back(partition, server, there, history[:fit])
        if outcome == "done":
            self._counts.put_back += fit
            log.info("partition %d: %d entries after %s were put back", partition, fit, there)
        return outcome == "done"

    def _tell_problem(self, ends: Mapping[int, Position]) -> None:
        """Say, once, where this node's own entries can't be read, or the server has older data than this node can go on
        from. Its entries are not dropped for that: no node knows whether another one keeps what comes between."""
        self._gaps = {p: gap for p, gap in self._gaps.items() if ends.get(p) == gap.there}
        lasting = [p for p, gap in sorted(self._gaps.items()) if trio.current_time() - gap.since >= GAP_S]
        if self._unreadable:
            partition, error = next(iter(self._unreadable.items()))
            self._tell(f"this node can't read its own entries of partition {partition}: {error}", [*self._unreadable])
            return
        if not lasting:
            self.problem = None
            return
        gap = self._gaps[lasting[0]]
        problem = (
            f"the server has older data than this node can go on from: partition {lasting[0]} ends there at "
            f"{gap.there.n}, and this node keeps its entries from {gap.kept_from.n} on. Unless another node that keeps "
            "more is started, empty the server (FLUSHDB of this database): the nodes put back what they have"
        )
        self._tell(problem, lasting)

    def _tell(self, problem: str, partitions: Sequence[int]) -> None:
        if self.problem != problem:
            log.error("%s", problem, extra={"partitions": partitions})
        self.problem = problem

    async def _answer(self, server: str, partition: int, end: Position) -> bool:
        need = self._need(partition)
        if not need:
            return False
        self._answered_at[partition] = trio.current_time()
        if not await self._log.offer(partition, server, self._instance, end):
            return False
        sealed = await self._log.seal(partition, server, need, self._counting(partition))
        if not isinstance(sealed, Fence):
            return False
        log.info("partition %d is in order again, in term %d", partition, sealed.term)
        return True


def is_in_order(fences: Fences, partition: int) -> bool:
    """Whether the partition has been repaired on the server that told its fences."""
    fence = fences.by_partition.get(partition)
    return fence is not None and fence.server == fences.servers[partition]
