"""Tells what came of each entry once it is recorded here: its sender, the rooms, and whoever enforces or counts it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from gochat.cluster.certifier import Certified
from gochat.cluster.certify import FORGED, Repeat, Valid, Void
from gochat.cluster.counts import LogCounts
from gochat.cluster.entry import Entry
from gochat.cluster.identity import Identity
from gochat.cluster.inbox import Inbox
from gochat.cluster.naps import Naps
from gochat.cluster.nodes import Nodes
from gochat.cluster.own import DEADLINE_S, Own, OwnEntries
from gochat.cluster.registry import NodeRegistry
from gochat.cluster.serving import DIVERGED, NEWER, PUT_OUT, Serving
from gochat.domain.side_records import AnySideRecord, Revoked, Suspended
from gochat.ports.journal import Committed, DuplicateKeys, ForeignBatch, OnForeign, OnStanding, Overtaken
from gochat.replication import AnyNews, Applied, EpochIs, NodeIs

log = logging.getLogger(__name__)

_VERDICTS: Final[Mapping[type, str]] = {Valid: "valid", Void: "void", DuplicateKeys: "duplicate", Repeat: "repeat"}
_STANDING: Final = (Suspended, Revoked)
#: The same of what is in the log and is no entry.
_FORGED: Final = "forged"
#: How often it is told of.
COMPLAIN_AGAIN_S: Final = 60.0


class Teller:
    """`tell`, `end_telling` and `stop_at` are the inbox's."""

    def __init__(
        self,
        who: Identity,
        epoch: str | None,
        inbox: Inbox,
        nodes: Nodes,
        own: OwnEntries,
        registry: NodeRegistry,
        serving: Serving,
        counts: LogCounts,
    ) -> None:
        self._who = who
        self._inbox = inbox
        self._nodes = nodes
        self._own = own
        self._registry = registry
        self._serving = serving
        self._counts = counts
        self.epoch = epoch
        """The cluster's; None until the log has told it."""
        self.heard: OnForeign = lambda batch: False
        self.stood: OnStanding = lambda entry: None
        self.clients_leave: Callable[[], None] = lambda: None
        """Called when all clients have to go and come again."""
        self.verdicts = dict.fromkeys((*_VERDICTS.values(), _FORGED), 0)
        self._complained_at = float("-inf")
        self.repairs = 0
        self._naps = Naps()
        self._told_before = 0
        """Entries that were told before the last nap."""
        self.has_listeners: Callable[[], bool] = lambda: True
        """Whether anybody is signed in, or about to be. Neither waits nor raises."""

    def tell(self, partition: int, applied: Applied[Certified], commit: int) -> None:
        """An entry is recorded and applied here."""
        ruling = applied.ruling
        entry, verdict = ruling.entry, ruling.verdict
        if entry is None and isinstance(verdict, Repeat):
            self._nodes.hear_anew()
            self.repairs += applied.place[1] > 1  # The first marker of a partition is that of its beginning.
            return
        if entry is None and verdict == FORGED:
            self._complain(partition, applied.place[1])
            return
        self.verdicts[_VERDICTS[type(verdict)]] += 1
        if entry is None:
            return
        own = self._own_of(entry)
        if not isinstance(verdict, Valid):
            if own is not None:
                own.tell(verdict if isinstance(verdict, DuplicateKeys) else Overtaken())
            return
        try:
            if entry.kind == "nodes":
                self._naps.concern()
                self._take_nodes(partition, ruling.noted)
            side_records: Sequence[AnyNews] = ruling.side_records if own is None else own.side_records
            if side_records:
                self._enforce(side_records, own)
        finally:
            # Its sender waits without an end, and nobody else would tell it.
            if own is not None:
                own.tell(_committed(own, verdict, commit, applied.room_pk))
        if own is None and entry.kind == "room":
            batch = ForeignBatch(
                entry.room,
                commit,
                ruling.facts,
                ruling.side_records,
                ruling.hidden,
                applied.room_pk,
                ruling.raises_guard,
            )
            if self.heard(batch):
                self._naps.concern()

    def _enforce(self, side_records: Sequence[AnyNews], own: Own | None) -> None:
        for record in side_records:
            if isinstance(record, _STANDING):
                self.stood(record)
                if own is None and ends_access(record):
                    self._registry.beat_soon()

    def _complain(self, partition: int, n: int) -> None:
        """Something that no node wrote stands in the log; it is void on all of them."""
        self.verdicts[_FORGED] += 1
        now = trio.current_time()
        if now >= self._complained_at + COMPLAIN_AGAIN_S:
            self._complained_at = now
            log.error(
                "entry %d of partition %d is void: nobody who knows cluster.secret wrote it, so that somebody else "
                "writes to the cluster's server; %d so far",
                n,
                partition,
                self.verdicts[_FORGED],
            )

    def end_telling(self, partition: int) -> None:
        """All of the partition that was recorded is told: compare what the other nodes said there of their histories
        with this one's."""
        self._nodes.compare(partition)
        if self._nodes.is_wrong and self._serving.diverged is None:
            self._diverge()

    def _own_of(self, entry: Entry) -> Own | None:
        """The batch that waits for the entry, where that is this boot's."""
        if entry.boot != self._who.boot or entry.instance != self._who.instance:
            self._nodes.note(entry)
            return None
        self._naps.concern()
        own = self._own.take(entry.counter)
        if own is not None and own.deadline != float("inf"):
            self._counts.told_seconds.observe(trio.current_time() - own.deadline + DEADLINE_S)
        return own

    def nap_s(self) -> float:
        """How long the log's next entries may wait to be read, in seconds; 0 where somebody here waits for them, or may
        do so. To be asked once after each reading that left nothing in the log."""
        told = sum(self.verdicts.values())
        nap_s = self._naps.next_s(alone=not self.has_listeners(), came=told - self._told_before)
        self._told_before = told
        return 0.0 if self._inbox.awaited else nap_s

    def shorten_naps(self) -> None:
        """Somebody reads what is here, or signs in: what comes next may concern them."""
        self._naps.shorten()

    def _take_nodes(self, partition: int, news: Sequence[object]) -> None:
        of = self._inbox.partitions[partition]
        for each in news:
            if isinstance(each, NodeIs) and of.nodes.get(each.instance) != "forgotten":
                of.nodes[each.instance] = each.state
                if each.instance != self._who.instance:
                    self._registry.beat_soon()  # It waits to be known.
                elif each.state == "forgotten":
                    self.leave_for_good()
            elif isinstance(each, EpochIs) and each.before == self.epoch:
                self.epoch = each.epoch
                self.clients_leave()

    # ------------------------------------------------------------------------------------------ serving no more

    def leave_for_good(self) -> None:
        """Nothing that this node appends holds any more: its clients have to go to other nodes."""
        if not self._serving.is_put_out:
            log.error(PUT_OUT)
            self._serving.put_out()
            self.clients_leave()

    def stop_at(self, problem: str) -> None:
        """A later release wrote an entry, and a partition goes no further here: the node serves nobody any more."""
        if self._serving.newer is None:
            self._serving.newer = f"{problem}; {NEWER}"
            log.error("the node serves nobody any more: %s", self._serving.newer)
            self.clients_leave()

    def _diverge(self) -> None:
        """It is this node that differs: whatever it would tell may be wrong."""
        self._serving.diverged = f"this node's history differs from that of {self._nodes.differing} others; {DIVERGED}"
        log.error("the node serves nobody any more: %s", self._serving.diverged)
        self.clients_leave()


def ends_access(record: AnySideRecord | AnyNews) -> bool:
    """Whether the other nodes have to know of it before it is called done. Of a ticket's uses the first counts."""
    return isinstance(record, _STANDING) and not (isinstance(record, Revoked) and record.is_of_a_ticket)


def _committed(own: Own, verdict: Valid, commit: int, room_pk: int) -> Committed:
    """The batch as it is recorded: the very facts that were given, where nothing came first."""
    given, facts = own.facts, verdict.facts
    if not given or (facts[0].seq == given[0].seq and facts[0].ts == given[0].ts):
        facts = given
    side_records: Sequence[AnySideRecord] = verdict.side_records  # type: ignore[assignment]
    return Committed(commit, facts, room_pk, side_records)
