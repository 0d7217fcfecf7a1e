"""Bugs that are planted into gochat, by name, to see whether a simulation finds them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Final, NamedTuple

import pytest

import gochat.actors.fact_batch
import gochat.actors.room
import gochat.actors.turn_bounds
import gochat.cluster.barrier
import gochat.cluster.broadcast
import gochat.cluster.certify
import gochat.cluster.journal
import gochat.cluster.memory_server
import gochat.cluster.repair
import gochat.cluster.teller
import gochat.domain.draft
import gochat.domain.relationship
import gochat.session.positions
import gochat.session.replay
import gochat.store.read.merged_reader
import gochat.store.write.journal
import gochat.store.write.transaction
from gochat.sim import draw, play
from tests.cluster.planting import plant_all

#: Within so many seeds each of them must be found.
ENOUGH: Final = 200


class Hole(NamedTuple):
    module: ModuleType
    rule: str
    """Stands in the module's source once."""
    instead: str


def put(monkeypatch: pytest.MonkeyPatch, holes: Sequence[Hole]) -> None:
    for module in {hole.module.__name__: hole.module for hole in holes}.values():
        plant_all(monkeypatch, module, {hole.rule: hole.instead for hole in holes if hole.module is module})


def finds(seed: int, nodes: int) -> bool:
    """Whether the seed's run, with whatever is planted, breaks a promise."""
    return bool(play(draw(seed, nodes)).violations)


# ---------------------------------------------------------------------------------------------- one node

_MERGE = "            try:\n                self._merge_together"

ONE: Final[dict[str, Sequence[Hole]]] = {
    "an ack before the commit": [
        Hole(
            gochat.store.write.journal,
            "        self._committer.submit(job, self._committed)\n",
            "        self._committed(outcome.Value([self._begun] * len(batches)))\n"
            "        self._committer.submit(job, lambda _: None)\n",
        )
    ],
    "a commit that is not synced": [
        Hole(
            gochat.store.write.transaction,
            "        with unsynced(self.connection):\n" + _MERGE,
            '        self.connection.execute("PRAGMA synchronous = NORMAL")\n        if True:\n' + _MERGE,
        )
    ],
    "a write buffer that is not read after a crash": [
        Hole(
            gochat.store.write.transaction,
            "        if rows:\n",
            "        if False:\n",
        )
    ],
    "a repeat that is not recognised": [
        Hole(
            gochat.store.write.transaction,
            "            self._check_new(keys)\n",
            "            pass\n",
        )
    ],
    "a commit that nobody begins": [
        Hole(
            gochat.store.write.journal,
            "        if self._wanted:\n            self._ticks.add(self)\n",
            "",
        )
    ],
    "a removal that is ignored": [
        Hole(
            gochat.actors.fact_batch,
            "            removed = None if isinstance(fact, Closed) else fact.users\n",
            "            removed = None if isinstance(fact, Closed) else ()\n",
        )
    ],
    "a block that is ignored": [
        Hole(
            gochat.domain.relationship,
            "    if mine.blocked_at is not None or theirs.blocked_at is not None:\n",
            "    if False:\n",
        )
    ],
    "a welcome whose facts are told again": [
        Hole(
            gochat.session.positions,
            "            return commit > self.since\n",
            "            return True\n",
        )
    ],
    "a gap that is not told": [
        Hole(
            gochat.session.positions,
            "            return False\n        self.put(room, Lagging())\n        return True\n",
            "            return False\n        return False\n",
        )
    ],
    "a replay that leaves one out": [
        Hole(
            gochat.session.replay,
            "    session.outbox.put(session.codec.encode_all(facts))\n",
            "    session.outbox.put(session.codec.encode_all(facts[1:]))\n",
        )
    ],
    "a reading of what is not merged": [
        Hole(
            gochat.store.read.merged_reader,
            "        return not self._write_buffer.holds(rooms) or await",
            "        return True or await",
        )
    ],
}

# ---------------------------------------------------------------------------------------------- a cluster

_certify, _repair = gochat.cluster.certify, gochat.cluster.repair
_broadcast, _journal = gochat.cluster.broadcast, gochat.cluster.journal
_server, _barrier = gochat.cluster.memory_server, gochat.cluster.barrier
_teller = gochat.cluster.teller
_raising = "isinstance(record, Related | Sanctioned)"

THREE: Final[dict[str, Sequence[Hole]]] = {
    "the guard is not looked at": [Hole(_certify, "if entry.base < room.guard:", "if False:")],
    "members raise no guard": [Hole(_certify, "facts.GUARDED", "(facts.Group, facts.Closed)")],
    "blocks raise no guard": [Hole(_certify, _raising, "isinstance(record, Sanctioned)")],
    "keys are not looked up": [Hole(_certify, "if known is not None:", "if False:")],
    "what was deleted is edited": [
        Hole(_certify, 'return "deleted" if self._bodies[seq][0] is None else None', "return None")
    ],
    "time falls": [Hole(_certify, "max(entry.ts, room.ts)", "entry.ts")],
    "acks are not renumbered": [
        Hole(
            gochat.actors.room,
            "outcomes = turn.renumber(before, result.facts, outcomes, result.side_records)",
            "turn.renumber(before, result.facts, outcomes, result.side_records)",
        )
    ],
    "the record is not renumbered": [
        Hole(gochat.domain.draft, "        draft.head, draft.ts = head, ts\n", "        draft.ts = ts\n")
    ],
    "one answer is enough": [Hole(_repair, "need, counting = self._need(partition),", "need, counting = 1,")],
    "nothing is put back": [
        Hole(
            _repair,
            "return await self._put_back(server, partition, there)",
            "return await self._answer(server, partition, there or own, there or own)",
        )
    ],
    "only writers look at the fences": [Hole(_broadcast, "trio.move_on_after(WATCH_S)", "trio.move_on_after(1e9)")],
    "nobody waits for the log": [
        Hole(_barrier, "        wanted = sorted(partitions)\n", "        return\n        wanted = sorted(partitions)\n")
    ],
    "repeats count": [Hole(_certify, "if entry.counter <= replica.counter(entry.instance, entry.boot):", "if False:")],
    "an edit's message moves": [
        Hole(_certify, "return seq <= self._entry.head", "return True"),
        Hole(gochat.actors.turn_bounds, "if head < _named(mail.command) <= turn.draft.head:", "if False:"),
    ],
    "clients keep what is lost": [Hole(_teller, "                self.clients_leave()\n", "")],
    "a new epoch is not told": [
        Hole(
            _teller,
            "                self.epoch = each.epoch\n                self.clients_leave()\n",
            "                pass\n",
        )
    ],
    "mutes raise no guard": [Hole(_certify, _raising, "isinstance(record, Related)")],
    "an answer binds nobody": [
        Hole(
            _repair,
            "if ballot_of(self._ring.end(partition).term) < answer.ballot and self._need(partition)",
            "if False",
        )
    ],
    "answers in all ballots count": [Hole(_server, "if offered == highest and (counting", "if (counting")],
    "a new term sends nothing again": [
        Hole(
            _broadcast,
            "                self._pending[partition].sent = 0\n                self._terms",
            "                self._terms",
        )
    ],
    "nobody looks for a fork": [
        Hole(_broadcast, "if reason is not None and is_in_order(before, partition) and before == after:", "if False:")
    ],
    "refusals are not decided again": [
        Hole(
            gochat.actors.room,
            "if context.shared and not self._may_share(turn, batch, outcomes):",
            "if False:",
        )
    ],
    "a node serves before others know": [Hole(_journal, "            await self._membership.wait_known()\n", "")],
    "a folder that was rolled back is believed": [Hole(_journal, "        await self._registry.check_folder()\n", "")],
    "what is unknown is not sent again": [
        Hole(
            _broadcast,
            "        self._pending[batch.partition].sent = 0\n        if result",
            "        if result",
        )
    ],
    "an old primary is not noticed": [Hole(_repair, "fences.by_partition[p].term < recorded[p]]", "False]")],
    "a lost stream begins anew": [
        Hole(
            _server,
            "        stream = self.streams.get(batch.partition)\n"
            "        if not stream:\n"
            "            del self.fence_of[batch.partition]\n"
            '            return "lost"\n'
            "        n = stream[-1].position.n\n",
            "        stream = self.streams.setdefault(batch.partition, [])\n"
            "        n = stream[-1].position.n if stream else 0\n",
        )
    ],
    "a node goes with what it alone has": [
        Hole(_journal, "may_go = await self._registry.wait_seen(goals, any_one=True)", "may_go = True")
    ],
    "the fence names no server": [
        Hole(
            _server,
            "if self.fence_of.get(batch.partition) != Fence(self.server, batch.term):",
            "if getattr(self.fence_of.get(batch.partition), 'term', None) != batch.term:",
        )
    ],
    "readers go on during a repair": [
        Hole(_broadcast, "            if partition in self._repairing:\n                continue\n", "")
    ],
    "the log's ends are believed": [
        Hole(_barrier, "if end is None or not is_in_order(before, partition) or end < own[partition]:", "if not end:"),
        Hole(_barrier, "if end.term != before.by_partition[partition].term:", "if False:"),
    ],
    "replays forget what is coming": [Hole(_journal, "return self._inbox.coming(partition_of(room))", "return False")],
}
