"""The nodes of a cluster, as one of them knows them from the log: which count for a repair, and which differ."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from math import inf

import trio

from gochat.cluster.entry import Entry, EntryCodec, Forged, TooNew, Unfit
from gochat.cluster.inbox import Inbox
from gochat.cluster.ports import Element
from gochat.replication import NodeIs

log = logging.getLogger(__name__)


class Nodes:
    """Over the states that the inbox keeps."""

    def __init__(self, inbox: Inbox, instance: str, *, joined: bool = False) -> None:
        """`joined`: see Identity."""
        self._inbox = inbox
        self._instance = instance
        self._joined = joined
        self._disregarded: dict[str, frozenset[int]] = {}
        """By instance, in which partitions."""
        self._seals: Counter[str] = Counter()
        """By instance, how many seals were asked for without it that may have come about, or may still."""
        self._left_out: list[str] = []
        """By the seal that is asked for now."""
        self._differing: set[str] = set()
        self._agreeing: set[str] = set()
        """Nodes whose history was this one's where they were last compared; they may differ in another partition."""
        self._writers: set[str] = set()
        """Other nodes that have decided entries of the reading that is being told."""
        self._heard: dict[str, float] = {}
        """When an entry of each of them was last read; on trio's clock."""
        self._hears = False
        self._latest: dict[str, tuple[int, bytes]] = {}
        """By node, the latest place and hash that it told, in the partition that is being told."""

    def need(self, partition: int) -> int:
        """How many nodes must answer before a partition is repaired: with one copy all that are here, since any of
        them may have what no other has. 0: this node may not seal, for it does not count. Where none does, those may
        that can begin."""
        here = self.counting(partition)
        if here is None:
            return 0 if self._lacks(partition) is not None else 1
        return len(here) if self._instance in here else 0

    def _lacks(self, partition: int) -> frozenset[str] | None:
        """The nodes that may have what this one lacks, where none counts and it has never counted itself: it was made
        from a backup, or from nothing, and has not read the log. Empty: they are not known. None: it may begin."""
        of = self._inbox.partitions[partition]
        if of.here or self._instance in of.nodes:
            return None
        if not of.nodes:
            return frozenset() if self._joined else None
        known = (each for each, state in of.nodes.items() if state != "forgotten")
        return frozenset(each for each in known if not self._is_disregarded(each, partition)) or None

    def counting(self, partition: int) -> frozenset[str] | None:
        """The nodes whose answers count. One that is to be forgotten may still answer; its answer stands for no other.
        None: those of all, before any node is here."""
        here = self._inbox.partitions[partition].here
        return frozenset(each for each in here if not self._is_disregarded(each, partition)) or None

    def coming(self, codec: EntryCodec, partition: int, elements: Sequence[Element]) -> frozenset[str] | None:
        """Nodes that count for the partition by these entries, which this node has not recorded. One that counts no
        more by a later one of them is among them: it is better waited for. None: a later release wrote one of the
        entries, and any node may count by it."""
        here: set[str] = set()
        for element in elements:
            try:
                entry = codec.decode(element.data, partition) if element.data else None
            except TooNew:
                return None
            except (Forged, Unfit):
                continue  # Nobody counts by it.
            for each in entry.side_records if entry is not None else ():
                if isinstance(each, NodeIs) and each.state == "here" and not self._is_out(partition, each.instance):
                    here.add(each.instance)
        return frozenset(here)

    def _is_out(self, partition: int, instance: str) -> bool:
        is_forgotten = self._inbox.partitions[partition].nodes.get(instance) == "forgotten"
        return is_forgotten or self._is_disregarded(instance, partition)

    def _is_disregarded(self, instance: str, partition: int) -> bool:
        return partition in self._disregarded.get(instance, ())

    @property
    def members(self) -> list[str]:
        """The nodes that count for any partition, by instance."""
        return sorted({node for of in self._inbox.partitions for node in of.here})

    @property
    def awaited(self) -> list[str]:
        """The other nodes that a repair waits for, as far as they are known."""
        lacks = (self._lacks(partition) or () for partition in range(len(self._inbox.partitions)))
        waited_for = {node for node in self.members if node not in self._disregarded}.union(*lacks)
        return sorted(waited_for - {self._instance})

    @property
    def knows_nobody(self) -> bool:
        """Whether a repair may wait for others, and this node does not know for whom."""
        return any(self._lacks(partition) == frozenset() for partition in range(len(self._inbox.partitions)))

    def disregard(self, instance: str, partitions: Iterable[int]) -> None:
        """Repair these partitions, and those named before, without this node, until `regard`."""
        self._disregarded[instance] = self._disregarded.get(instance, frozenset()).union(partitions)

    def regard(self, instance: str) -> None:
        """Wait for this node again."""
        self._disregarded.pop(instance, None)
        self._seals.pop(instance, None)

    def may_be_left_out(self, instance: str) -> bool:
        """Whether a partition may have been repaired by this node without that one, or may still be, since that one is
        disregarded."""
        return self._seals[instance] > 0

    def sealing(self, partition: int, is_asked: bool) -> None:
        """See Repair."""
        if is_asked:
            self._left_out = [each for each in self._disregarded if self._is_disregarded(each, partition)]
            self._seals.update(self._left_out)
        else:
            self._seals -= Counter(self._left_out)  # Those that are regarded since have none.

    def is_forgotten(self) -> bool:
        """Whether this node was put out of the cluster."""
        return any(of.nodes.get(self._instance) == "forgotten" for of in self._inbox.partitions)

    def note(self, entry: Entry) -> None:
        """The node that decided the entry says in it which history it had, up to which place. Of a reading the highest
        place is compared: a hash is one of all that came before it, so that those of lower places would tell no
        more."""
        self._writers.add(entry.instance)
        latest = self._latest.get(entry.instance)
        if latest is None or entry.check[0] > latest[0]:
            self._latest[entry.instance] = entry.check

    def compare(self, partition: int) -> None:
        """Look whether nodes that said something of their histories had the same one as this node."""
        hashes = self._inbox.partitions[partition].hashes
        for instance, (n, theirs) in self._latest.items():
            ours = hashes.get(n)
            if ours is None:
                continue
            if ours == theirs:
                self._agreeing.add(instance)
            elif instance not in self._differing:
                self._differing.add(instance)
                log.error("node %s has another history of partition %d than this node", instance, partition)
        self._latest.clear()
        self._heard.update(dict.fromkeys(self._writers, trio.current_time()))
        self._writers.clear()

    def begin_to_hear(self) -> None:
        """This node has caught up with the log. All that it has read until now may be old."""
        self._hears = True
        self.hear_anew()

    def hear_anew(self) -> None:
        """A term begins: all that was read until now may have been put back, and is no sign of life."""
        self._writers.clear()
        self._heard.clear()

    def heard(self, instance: str) -> float:
        """When an entry that another node has decided was last read as it came, on trio's clock."""
        return self._heard.get(instance, -inf) if self._hears else -inf

    @property
    def differing(self) -> int:
        """From how many nodes this one differs."""
        return len(self._differing)

    @property
    def is_wrong(self) -> bool:
        """Whether it is this node that is wrong: it differs from two others or more, and from more than it agrees with.
        Of two nodes that differ nobody can say which one is wrong."""
        differing = len(self._differing)
        return differing > 1 and differing > len(self._agreeing - self._differing)
