"""The journal of a node of a cluster: batches go into the cluster's log, and are told when they come back.

A room decides as it does alone. Its batch becomes an entry, which stands in the log behind whatever other nodes put
there first; this node reads it back, as every node does, and certification says, the same everywhere, what it is there:
recorded, with other seqs maybe, or void, and then the room decides it again. Batches of other nodes are told to the
rooms here (`listen`). Nothing is told before it is recorded in this node's database.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from typing import Final

import msgspec
import trio

from gochat.cluster import awaited
from gochat.cluster.barrier import WAIT_S, Barriers
from gochat.cluster.broadcast import Broadcast
from gochat.cluster.certifier import Certifying
from gochat.cluster.counts import LogCounts
from gochat.cluster.entry import SITE, VERSION, EntryCodec, partition_of
from gochat.cluster.forgetting import Forgetting
from gochat.cluster.inbox import Inbox
from gochat.cluster.membership import Membership
from gochat.cluster.nodes import Nodes
from gochat.cluster.noting import Noting
from gochat.cluster.own import DEADLINE_S, OwnEntries
from gochat.cluster.ports import PARTITIONS
from gochat.cluster.registry import NodeRegistry
from gochat.cluster.sender import Sender
from gochat.cluster.serving import Serving
from gochat.cluster.shared import ServerWatch, Shared
from gochat.cluster.teller import Teller, ends_access
from gochat.domain.facts import AnyFact
from gochat.domain.ids import is_dm
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnySideRecord, Audited
from gochat.errors import Full, StoreError
from gochat.ports.journal import (
    AppendResult,
    Committed,
    OnForeign,
    OnRecorded,
    OnStanding,
)
from gochat.replication import EpochIs, Followed, Noted, ReplicaStore
from gochat.wall_clock import wall_ms

log = logging.getLogger(__name__)

#: Own batches that may be on their way.
MOST_WAITING: Final = 20_000
#: How often a batch that no room decides is sent again because others came first.
MOST_OVERTAKEN: Final = 5
#: How long it is waited for the other nodes to enforce a suspension or revocation.
ENFORCED_S: Final = 2.0
#: How long a node that stops waits for what is on its way, and for the others to have what it has.
LEAVE_S: Final = 5.0


class ClusterJournal:
    """`ports.Journal` over a cluster's log. `run` must be running; nothing is read from the log before `listen`."""

    def __init__(self, store: ReplicaStore, shared: Shared, followed: Followed) -> None:
        """`followed`: what the store says now."""
        who = shared.identity
        self._store = store
        self._who = who
        self._codec = EntryCodec(who.cluster, who.secret)
        self.counts = LogCounts()
        """Of its dealings with the log."""
        self._inbox = Inbox(store, Certifying(self._codec, who.above), followed)
        self._nodes = Nodes(self._inbox, who.instance, joined=who.joined)
        self._broadcast = Broadcast(
            shared.log,
            self._inbox,
            who.instance,
            range(PARTITIONS),
            self._nodes.need,
            self._inbox.recorded,
            self._nodes.counting,
            lambda data, error: self._own.refuse(data, error),
            lambda: self._teller.nap_s(),
            self.counts,
            partial(self._nodes.coming, self._codec),
            self._nodes.sealing,
            lambda: awaited.others_live(self._nodes, self._registry),
        )
        self._inbox.hurry = self._broadcast.hurry
        self._barriers = Barriers(shared.log, self._inbox, self.counts)
        self._noting = Noting(self._send_notes)
        self._own = OwnEntries(self._broadcast)
        self._sender = Sender(who, self._codec, self._inbox, self._broadcast, self._own)
        self._registry = NodeRegistry(
            shared,
            self._inbox,
            store,
            VERSION,
            self._broadcast.refusals,
            lambda: self._broadcast.servers,
            lambda instance: -inf if self._broadcast.is_repairing else self._nodes.heard(instance),
        )
        self.serving = Serving(self._barriers)
        """Whether the node may serve."""
        self._membership = Membership(
            who.instance,
            self._inbox,
            self._nodes,
            self._registry,
            self._own,
            partial(self._sender.send_news, "nodes"),
            self.serving.wait,
        )
        self._forgetting = Forgetting(
            self._nodes, self._registry, self._membership, lambda: self._teller.epoch, lambda: self.problem
        )
        self._own_epoch = followed.own_epoch
        self._listened = trio.Event()
        self._arrival = trio.CancelScope()
        """That of `_come`."""
        self._watch = shared.watch or ServerWatch()
        self._teller = Teller(
            who, followed.epoch, self._inbox, self._nodes, self._own, self._registry, self.serving, self.counts
        )
        self._inbox.tell, self._inbox.told_all = self._teller.tell, self._teller.end_telling
        self._inbox.stopped = self._teller.stop_at

    @property
    def epoch(self) -> str:
        return self._teller.epoch or self._own_epoch

    @property
    def problem(self) -> str | None:
        """Why nothing can be recorded now; None where it can."""
        problem = self._inbox.problem or self._broadcast.problem
        if problem is None or not self._broadcast.is_repairing:
            return problem
        way_out = awaited.way_out(self._nodes, self._registry)
        return problem if way_out is None else f"{problem}; {way_out}"

    @property
    def behind(self) -> str | None:
        return self.serving.problem

    @property
    def newer(self) -> str | None:
        """Why this release can't read the log any further, or will not once another node has written what it writes
        now."""
        return self.serving.newer or self._registry.newer

    @property
    def server_problem(self) -> str | None:
        """Why the cluster's server is not fit for it, as of the last look."""
        return self._watch.problem

    @property
    def terms(self) -> list[int]:
        """By partition, the term of the last entry that is recorded."""
        return [of.end.term for of in self._inbox.partitions]

    @property
    def members(self) -> list[str]:
        """The nodes that count, by instance: in all partitions, or in some of them, where a change of it was cut
        short."""
        return self._nodes.members

    @property
    def waited_for(self) -> list[str]:
        """The nodes that a repair waits for, by instance: those that count, this one among them, and others that may
        have what this one lacks."""
        return sorted({*self._nodes.members, *self._nodes.awaited})

    @property
    def verdicts(self) -> Mapping[str, int]:
        """How many entries came to be what, since the start."""
        return self._teller.verdicts

    @property
    def repairs(self) -> int:
        """How many terms began, in all partitions, since the start."""
        return self._teller.repairs

    @property
    def waiting(self) -> int:
        """Own batches that are on their way."""
        return len(self._own)

    @property
    def pending(self) -> int:
        """Own entries that may still have to be sent again, those that nobody waits for included."""
        return self._broadcast.pending

    @property
    def differing(self) -> int:
        """How many nodes have another history than this one."""
        return self._nodes.differing

    @property
    def registry(self) -> NodeRegistry:
        """The nodes that give a sign of life."""
        return self._registry

    # ------------------------------------------------------------------------------------------ reading

    def listen(self, heard: OnForeign) -> None:
        self._teller.heard = heard
        self._listened.set()

    def enforce(self, stood: OnStanding) -> None:
        self._teller.stood = stood

    def nap_unless(self, has_listeners: Callable[[], bool]) -> None:
        """Have the log read less often while nothing of it concerns this node and `has_listeners` says that nobody is
        signed in, or about to be. Without this somebody always may be."""
        self._teller.has_listeners = has_listeners

    def when_clients_leave(self, leave: Callable[[], None]) -> None:
        """Have `leave` called when all clients have to go and come again: the cluster's epoch is another one, or the
        node was put out of the cluster."""
        self._teller.clients_leave = leave

    def coming(self, room: str) -> bool:
        return self._inbox.coming(partition_of(room))

    def _wake(self) -> None:
        """Somebody reads here, or signs in: end the nap before it is known whether anything is to be waited for."""
        self._teller.shorten_naps()
        self._broadcast.hurry()

    async def barrier(self, rooms: Collection[str] | None = None) -> None:
        self._wake()
        await self._barriers.wait(range(PARTITIONS) if rooms is None else {partition_of(room) for room in rooms})

    async def load(self, room: str) -> RoomRecord:
        self._wake()
        partition = partition_of(room)
        record, n = await self._store.load(room, partition)
        await self._inbox.wait_told({partition: n})
        if record is None:
            record = RoomRecord.new(room, 0)
        if is_dm(room):
            record.gone = await self._store.gone(room)
        return record

    # ------------------------------------------------------------------------------------------ writing

    def append(
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord],
        done: OnRecorded,
        hidden: Mapping[int, str] = {},
        expected: Mapping[int, int] = {},
    ) -> None:
        problem = self.behind or self._registry.clock_problem
        if problem is not None:
            raise StoreError(problem)
        if len(self._own) >= MOST_WAITING:
            raise Full(f"{MOST_WAITING} batches wait for the cluster's log")
        self._sender.send(
            "room" if record.room else "site",
            partition_of(record.room),
            done,
            trio.current_time() + DEADLINE_S,
            room=record.room,
            head=facts[0].seq - 1 if facts else record.head,
            ts=facts[-1].ts if facts else wall_ms(),
            facts=facts,
            side_records=side_records,
            hidden=dict(hidden),
            expected=dict(expected),
        )

    async def append_side_records(self, side_records: Sequence[AnySideRecord], *, room: str = "") -> None:
        for _ in range(MOST_OVERTAKEN):
            # Nothing here is numbered from a head; and 0 is above no room's.
            result = await self._appended(RoomRecord(room=room, room_pk=0), side_records)
            if isinstance(result, StoreError):
                raise result
            if isinstance(result, Committed):
                if any(map(ends_access, side_records)):
                    await self._wait_enforced(side_records)
                return
        raise Full("other nodes change the room all the time")

    async def _wait_enforced(self, side_records: Sequence[AnySideRecord]) -> None:
        """Wait until the other nodes have recorded what stands in the log about the site, but not for ever: nodes that
        have not are named, in the log and to the admins."""
        goals = {SITE: self._inbox.partitions[SITE].told}
        with trio.move_on_after(ENFORCED_S):
            await self._registry.wait_seen(goals)
        names = self._registry.lacking(goals)
        if not names:
            return
        log.warning("a suspension or revocation is recorded, but these nodes lack it yet: %s", ", ".join(names))
        audited = next((record for record in side_records if isinstance(record, Audited)), None)
        if audited is None:
            return
        detail = msgspec.json.encode({"action": audited.action, "subject": audited.subject}).decode()
        missing = [Audited(wall_ms(), audited.actor, "node.unconfirmed", name, detail) for name in names]
        try:
            self.append(RoomRecord(room="", room_pk=0), (), missing, lambda result: None)
        except (StoreError, Full) as error:
            log.warning("the audit log does not name them: %s", error)

    async def _appended(self, record: RoomRecord, side_records: Sequence[AnySideRecord]) -> AppendResult:
        results: list[AppendResult] = []
        told = trio.Event()

        def done(result: AppendResult) -> None:
            results.append(result)
            told.set()

        self.append(record, (), side_records, done)
        await told.wait()
        return results[0]

    # ------------------------------------------------------------------------------------------ notes

    def note_read(self, record: RoomRecord, user: str, seq: int) -> None:
        self._noting.read(record.room, user, seq)

    def note_got(self, record: RoomRecord, user: str, seq: int) -> None:
        self._noting.got(record.room, user, seq)

    def note_user(self, user: str, *, name: str | None = None, last_seen: int | None = None) -> None:
        if self._registry.clock_problem is not None:
            last_seen = None  # A time to come would hold on all nodes, and keep notifications from the user until then.
        if name is not None or last_seen is not None:
            self._noting.user(user, name, last_seen)

    async def flush_notes(self) -> None:
        if not self._barriers.is_away:
            with trio.move_on_after(WAIT_S):
                await self._noting.flush()

    async def flush_positions(self) -> None:
        if not self._barriers.is_away:
            with trio.move_on_after(WAIT_S):
                await self._noting.flush_positions()

    def _send_notes(self, partition: int, notes: Sequence[Noted], recorded: Callable[[], None]) -> None:
        if self.serving.is_put_out:
            recorded()  # They would be void.
        else:
            self._sender.send_notes(partition, notes, recorded)

    # ------------------------------------------------------------------------------------------ lifetime

    async def run(self) -> None:
        """Raises RolledBack where this node's folder has lost something, and Forked, in an exception group, where it
        can't follow the log any more."""
        await self._listened.wait()
        await self._registry.check_folder()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._broadcast.run)
            nursery.start_soon(self._barriers.run)
            nursery.start_soon(self._noting.run)
            nursery.start_soon(self._own.run)
            nursery.start_soon(self._registry.run)
            nursery.start_soon(self.serving.run)
            nursery.start_soon(self._forgetting.run)
            nursery.start_soon(self._arrive)

    async def _arrive(self) -> None:
        with self._arrival:
            await self._come()

    async def _come(self) -> None:
        """Catch up with the log, and count among the nodes; once they know that, the node serves."""
        while True:
            try:
                await self.barrier()
                self._nodes.begin_to_hear()
                break
            except StoreError:
                await trio.sleep(WAIT_S / 10)
        try:
            if self._teller.epoch is None:
                # That of the cluster's first node is the cluster's.
                await self._membership.begin_epoch(EpochIs(self._own_epoch))
            await self._membership.here()
            await self._membership.wait_known()
        except StoreError as error:
            if not self._sender.is_closed and not self._nodes.is_forgotten():
                log.error("the node can't take part in the cluster: %s", error)
                self.serving.fail(str(error))
                return
        if self._nodes.is_forgotten():
            self._teller.leave_for_good()
        if self._sender.is_closed or self._nodes.is_forgotten():
            return
        self.serving.begin()
        log.info("the node takes part in the cluster", extra={"cluster": self._who.cluster})

    async def wait_present(self) -> None:
        """Return once the node has caught up and counts."""
        await self.serving.begun.wait()

    async def forget(self, instance: str, *, lacking: bool = False) -> bool:
        """Put a node out of the cluster for good: partitions are repaired without its answer from then on. With
        `lacking` it may have had what no other has: then clients start anew. So they do where the log has to be
        repaired before this is recorded, since that would wait for the node. Returns when it is recorded, and whether
        clients start anew. Raises UnderWay where that takes long and can't be taken back, though whoever asked may have
        gone: it goes on. Raises another GochatError where it was not done, and will not be by this node."""
        return await self._forgetting.forget(instance, lacking=lacking)

    @property
    def forgetting(self) -> list[str]:
        """The nodes that this one is about to put out, by instance."""
        return self._forgetting.instances

    async def leave(self) -> None:
        """Have what is on its way recorded, and count no more. Nothing is taken afterwards."""
        # A node that nobody knows to count has acknowledged nothing, and at its next start must not pass for one that
        # counted all the time.
        self._arrival.cancel()
        may_go = self._membership.is_unconfirmed
        if self.serving.is_part:
            await self._own.wait_settled()
            await self._noting.flush()
            # With one copy this node may have what no other has: as long as it counts, a repair waits for it. So the
            # last one to stop does count.
            goals = {partition: of.told for partition, of in enumerate(self._inbox.partitions)}
            may_go = await self._registry.wait_seen(goals, any_one=True)
        if may_go:
            try:
                await self._membership.away()
            except StoreError as error:
                log.warning("the node leaves the cluster without a word: %s", error)
        self._sender.is_closed = True
        await self._registry.leave()


@asynccontextmanager
async def joined(store: ReplicaStore, shared: Shared) -> AsyncIterator[ClusterJournal]:
    """The journal of a node that takes part in a cluster while the block lasts: it follows the log once somebody
    listens, counts among the nodes when it has caught up, and leaves them in order."""
    journal = ClusterJournal(store, shared, await store.followed())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        try:
            yield journal
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(LEAVE_S):
                await journal.leave()
            nursery.cancel_scope.cancel()
