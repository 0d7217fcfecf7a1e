"""Atomic broadcast: whatever a node sends comes to every node, in one order, and is recorded before it is handed on.

A node that sends reads its own entries back as all others do, at their places; that, and nothing else, tells it that
they are in the log. Until then they are pending, and are sent again whenever it is not known what became of them, in
their order. So an entry may stand in the log twice; its counter tells (certify.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from math import inf
from typing import Final, NamedTuple

import trio

from gochat.cluster.counts import LogCounts
from gochat.cluster.forks import leading, reason_to_stop
from gochat.cluster.pending import MOST_RETRY_S, RETRY_S, Pending
from gochat.cluster.ports import (
    Batch,
    Element,
    Fence,
    Log,
    Refused,
    ServerAway,
    Unreadable,
    check_batch,
)
from gochat.cluster.refusals import Backoff, Refusals
from gochat.cluster.repair import RENEW_S, Repair, Ring, is_in_order, leave
from gochat.cluster.stray import StrayReadings
from gochat.errors import Full, StoreError

log = logging.getLogger(__name__)

#: How often every node compares the fences, the one that writes nothing included: a server that has lost everything
#: tells those who wait for news nothing.
WATCH_S: Final = 0.25
#: Entries of one partition that are read at once.
READ_LIMIT: Final = 1_000
#: Entries that may be pending, in all partitions together.
MOST_PENDING: Final = 50_000


class _Fenced(NamedTuple):
    """A refusal of a term."""

    term: int
    since: float
    """When the first of them came, on trio's clock."""


class Broadcast:
    """One node's part in it. `run` must be running; it raises Forked, in an exception group, or goes on for ever."""

    def __init__(
        self,
        shared: Log,
        ring: Ring,
        instance: str,
        partitions: Sequence[int],
        need: Callable[[int], int],
        recorded: Callable[[int, Sequence[Element]], None],
        counting: Callable[[int], Collection[str] | None] = lambda _: None,
        refused: Callable[[bytes, StoreError], None] = lambda data, error: None,
        nap_s: Callable[[], float] = lambda: 0.0,
        counts: LogCounts | None = None,
        coming: Callable[[int, Sequence[Element]], Collection[str] | None] = lambda _, __: (),
        sealing: Callable[[int, bool], None] = lambda _, __: None,
        others_live: Callable[[], bool] = lambda: True,
    ) -> None:
        """`need`: how many nodes must answer before a partition is repaired. `recorded` is told of each partition's
        elements, in order, once they are recorded; `refused` of each entry that was sent and that the log does not
        take. `nap_s` is asked after each reading that left nothing for how long the next one may be put off; `hurry`
        cuts that short.
        None of them waits or raises. `counting`, `coming`, `sealing`, `others_live`: see Repair."""
        self._log = shared
        self._ring = ring
        self._partitions = tuple(partitions)
        self._recorded = recorded
        self._refused = refused
        self._nap_s = nap_s
        self._counts = counts or LogCounts()
        self._repair = Repair(
            shared, ring, instance, need, self._take, self._pause, counting, self._counts, coming, sealing, others_live
        )
        self._known: Mapping[int, Fence] = {}
        """The fences, as of the last look at which all partitions were in order."""
        self._terms: dict[int, int] = {}
        """The terms of the partitions that are in order, as far as this node knows."""
        self._repairing: frozenset[int] = frozenset()
        """Partitions that nobody but a repair may read, be it that the next one is still to begin."""
        self._suspects: set[int] = set()
        """Partitions that were read and did not go on where this node's record ends."""
        self._strays = StrayReadings(shared, ring)
        self._recording = trio.Lock()
        self._pending = {partition: Pending() for partition in self._partitions}
        self._waiting = 0
        """How many entries are pending."""
        self._to_send = trio.Event()
        self._look = trio.Event()
        """Set when the fences are to be compared at once."""
        self._hurried = trio.Event()
        self._fenced: dict[int, _Fenced] = {}
        """Partitions whose latest append was refused for its term."""
        self._put_off: set[int] = set()
        """Partitions whose entries are tried again later."""
        self.refusals = Refusals()
        """The writes of this node that the server refuses, be they entries or others."""
        self._problem: str | None = "not connected"
        self._unreadable: str | None = None
        """Why the log can't be read, until it is."""

    @property
    def pending(self) -> int:
        """Entries that were sent and have not been read back. Where the log is in order and nobody sends, they soon
        are none."""
        return self._waiting

    @property
    def problem(self) -> str | None:
        """Why nothing can be sent now; None where all partitions are in order."""
        if self._repairing and self._repair.problem:
            return f"{self._problem}: {self._repair.problem}"
        return self._problem or self._unreadable or self.refusals.problem

    @property
    def servers(self) -> frozenset[str]:
        """The servers at which the partitions are in order, as of the last look; none where one of them is not."""
        return frozenset() if self._problem else frozenset(fence.server for fence in self._known.values())

    @property
    def is_repairing(self) -> bool:
        return self._repair.is_running and bool(self._repairing)

    def send(self, partition: int, data: bytes) -> None:
        """Have an entry, which no other equals, put into the log. It is handed to `recorded` when it stands there. If
        this process ends before, it may or may not be in the log. Raises Full."""
        if self._waiting >= MOST_PENDING:
            raise Full(f"{self._waiting} entries wait for the log")
        self._waiting += 1
        self._pending[partition].entries[data] = False
        self._to_send.set()
        self._hurried.set()

    def hurry(self) -> None:
        """Somebody waits for what comes next: read it now."""
        self._hurried.set()

    def is_sent(self, partition: int, data: bytes) -> bool:
        """Whether the entry may stand in the log, or come to."""
        return self._pending[partition].is_sent(data)

    def withdraw(self, partition: int, data: bytes) -> bool:
        """Take an entry back. False: it may have been sent, and may still come to stand in the log."""
        if not self._pending[partition].withdraw(data):
            return False
        self._waiting -= 1
        return True

    async def run(self) -> None:
        self._repairing = self._repair.bound()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            nursery.start_soon(self._write)
            nursery.start_soon(self._watch)

    # ------------------------------------------------------------------------------------------ reading

    async def _read(self) -> None:
        while True:
            began = trio.current_time()
            after = {
                p: self._ring.end(p)
                for p in self._partitions
                if p not in self._repairing and not self._ring.is_stopped(p)
            }
            try:
                found = await self._log.read(after, READ_LIMIT) if after else {}
                self._unreadable = None
            except ServerAway as error:
                if isinstance(error, Unreadable) and str(error) != self._unreadable:
                    log.error("the cluster's log can't be read: %s", error)
                    self._unreadable = str(error)
                self._look.set()
                found, after = {}, {}
            if found:
                await self._begin_recording()
                try:
                    await self._take_all(found)
                finally:
                    self._recording.release()
            if self._strays.end_reading(began, after, is_empty=not found):
                self._look.set()
            if found and not self._log.leaves_more:
                nap_s = self._nap_s()
                if nap_s and not self._waiting:
                    self._hurried = trio.Event()
                    with trio.move_on_after(nap_s):
                        await self._hurried.wait()
            elif not after:
                await trio.sleep(RETRY_S)

    async def _begin_recording(self) -> None:
        """Acquire the lock. Nobody holds it, nearly always: then no turn of the scheduler is spent on it, which every
        message on its way would wait for."""
        try:
            self._recording.acquire_nowait()
        except trio.WouldBlock:
            await self._recording.acquire()

    async def _take_all(self, found: Mapping[int, Sequence[Element]]) -> None:
        """Record what was read, but not what does not follow: either the log is being repaired, or it is a fork, or
        somebody else wrote there, which a look at the fences will tell."""
        news = {}
        for partition, elements in found.items():
            if partition in self._repairing:
                continue
            count = leading(self._ring.end(partition), elements)
            if count:
                news[partition] = elements[:count] if count < len(elements) else elements
            if count < len(elements):
                self._suspects.add(partition)
                self._look.set()
        if news:
            await self._ring.record(news)
            for partition, elements in news.items():
                self._tell(partition, elements)
        else:
            await trio.sleep(RETRY_S)

    async def _take(self, partition: int, elements: Sequence[Element]) -> None:
        """Record what was read of a partition that is being repaired."""
        await self._ring.record({partition: elements})
        self._tell(partition, elements)

    def _tell(self, partition: int, elements: Sequence[Element]) -> None:
        self._strays.read(partition, elements[-1].position)
        pending = self._pending[partition]
        if pending.entries:
            self._waiting -= pending.read_back(elements)
            if partition in self._put_off and not pending.entries:
                self._try_at_once(partition)
        self._recorded(partition, elements)

    # ------------------------------------------------------------------------------------------ writing

    async def _write(self) -> None:
        while True:
            with trio.move_on_at(self._next_attempt()) if self._put_off else nullcontext():
                await self._to_send.wait()
            self._to_send = trio.Event()
            now = trio.current_time()
            batches = [
                Batch(partition, term, entries)
                for partition, term in self._terms.items()
                if (pending := self._pending[partition]).has_unsent
                and pending.again_at <= now
                and (entries := pending.batch())
            ]
            if not batches:
                continue
            # As they are sent: whatever comes of it, they are not sent beside themselves.
            for batch in batches:
                self._pending[batch.partition].sent += len(batch.entries)
            counts, began = self._counts, trio.current_time()
            try:
                results = await self._log.append(batches)
            except ValueError as error:
                self._refuse(batches, error)
                self._to_send.set()
                continue
            counts.append_seconds.observe(trio.current_time() - began)
            for batch, result in zip(batches, results, strict=True):
                counts.batch_entries.observe(len(batch.entries))
                if isinstance(result, str):
                    counts.appends[result] += 1
                    self._failed(batch, result)
                else:
                    counts.appends["done"] += 1
                    self._fenced.pop(batch.partition, None)
                    self._strays.stands(batch.partition, result)
                    if batch.partition in self._put_off:
                        self._try_at_once(batch.partition)
            if any(pending.has_unsent for pending in self._pending.values()):
                self._to_send.set()

    def _refuse(self, batches: Sequence[Batch], error: ValueError) -> None:
        """A batch is none, by a fault in gochat: that costs its senders an answer, and nobody else anything."""
        log.error("entries can't be appended to the cluster's log: %s", error)
        wrong = [batch for batch in batches if not _is_fit(batch)]
        for batch in batches:
            if batch in wrong or not wrong:
                refused = self._pending[batch.partition].refuse(batch.entries)
                self._waiting -= len(refused)
                for data in refused:
                    # Where it is not known which batch it was, it is not known what was sent either.
                    self._refused(data, StoreError(f"the cluster's log does not take this: {error}", unknown=not wrong))
            else:
                self._pending[batch.partition].not_sent(batch.entries)

    def _failed(self, batch: Batch, result: str) -> None:
        self._pending[batch.partition].sent = 0
        if result == "unknown":
            self._pending[batch.partition].put_off()
            self._put_off.add(batch.partition)
            self.refusals.add(batch.partition, self._log.reasons.get(batch.partition, "it does not answer"))
        elif self._terms.get(batch.partition) == batch.term:
            del self._terms[batch.partition]
            known = self._fenced.get(batch.partition)
            if known is None or known.term != batch.term:
                self._fenced[batch.partition] = _Fenced(batch.term, trio.current_time())
        self._look.set()

    def _next_attempt(self) -> float:
        """When entries that the log did not take are tried again; on trio's clock."""
        waiting = (self._pending[partition] for partition in self._put_off if partition in self._terms)
        return min((pending.again_at for pending in waiting if pending.has_unsent), default=inf)

    def _try_at_once(self, partition: int) -> None:
        """The log takes the partition's entries, or may do so by now."""
        self._put_off.discard(partition)
        self._pending[partition].put_off_no_more()
        self.refusals.end(partition)

    # ------------------------------------------------------------------------------------------ watching, repairing

    async def _watch(self) -> None:
        told, backoff = None, Backoff(RETRY_S, MOST_RETRY_S)
        while True:
            try:
                await self._compare()
            except ServerAway as error:
                self._problem = str(error)
                if self._problem != told:
                    told = self._problem
                    log.warning("the cluster's log can't be written: %s", told)
                self._terms.clear()
                # A server that is away may be replaced by one that takes writes at once.
                await trio.sleep(backoff.pause_s() if isinstance(error, Refused) else RETRY_S)
            else:
                self._problem = told = None
                backoff.reset()
                with trio.move_on_after(WATCH_S):
                    await self._look.wait()
                self._look = trio.Event()

    async def _compare(self) -> None:
        """Look at the fences, and repair what is not in order."""
        self._counts.looks += 1
        try:
            self._known = known = await self._repair.run(self._partitions)
        finally:
            self._repairing = self._repair.bound()
        for partition in list(self._suspects):
            await self._check_for_a_fork(partition)
            self._suspects.discard(partition)
        self._begin_terms(known, self._partitions)
        astray = await self._strays.look(self._partitions)
        lasting = [p for p, fenced in self._fenced.items() if trio.current_time() - fenced.since > RENEW_S]
        for partition in lasting:
            del self._fenced[partition]
        if lasting or astray:
            await leave(self._log, [*lasting, *astray])

    def _begin_terms(self, known: Mapping[int, Fence], partitions: Iterable[int]) -> None:
        """These partitions are in order, and this node may append to them."""
        for partition in partitions:
            term = known[partition].term
            if self._terms.get(partition) != term:
                # All that was on its way in an older term is in the log before this one, or never will be. All are
                # sent again, or a later entry could overtake one that was lost.
                self._pending[partition].sent = 0
                self._terms[partition] = term
                if partition in self._fenced and self._fenced[partition].term == term:
                    # The fence says that the term goes on, and the append that it does not: they are of two servers.
                    self._pending[partition].put_off()
                    self._put_off.add(partition)
                    self.refusals.add(partition, "its links lead to two servers")
                else:
                    self._fenced.pop(partition, None)
                    self._try_at_once(partition)
                self._to_send.set()

    async def _pause(self, broken: frozenset[int], known: Mapping[int, Fence]) -> None:
        """Neither read nor append these partitions; others go on, those that are in order again among them: what is
        recorded there may be what the rest waits for."""
        if broken:
            self._problem = f"partitions {', '.join(map(str, sorted(broken)))} are being repaired"
            self._begin_terms(known, [p for p in self._partitions if p not in broken])
        if broken == self._repairing:
            return
        self._repairing = broken
        self._strays.drop(broken)
        for partition in broken:
            self._terms.pop(partition, None)
        async with self._recording:
            pass  # All that was read before is recorded now, or will not be.

    async def _check_for_a_fork(self, partition: int) -> None:
        """A log that is in order, and does not go on after what this node has recorded, will never do so. Raises
        Forked; and ServerAway where somebody else wrote into it: it will, once the server was emptied."""
        async with self._recording:
            before = await self._log.fences([partition])
            reason = await reason_to_stop(self._log, partition, self._ring.end(partition))
            after = await self._log.fences([partition])
        if reason is not None and is_in_order(before, partition) and before == after:
            raise reason


def _is_fit(batch: Batch) -> bool:
    try:
        check_batch(batch.entries)
    except ValueError:
        return False  # The caller tells the batch's room.
    return True
