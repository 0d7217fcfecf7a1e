"""A node's sign of life, and what it learns from those of the others: who is there, and how far each has recorded.

A beat also takes the node's place: two processes that run as one node find each other out.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import trio

from gochat.cluster.alignment import Alignment
from gochat.cluster.beat import BeatCodec, Info
from gochat.cluster.clock import PATIENCE_S, Clock
from gochat.cluster.entry import SITE
from gochat.cluster.inbox import Inbox
from gochat.cluster.ports import BEAT_LIFE_S, PARTITIONS, START, Member, Position, Refused, ServerAway
from gochat.cluster.refusals import Refusals
from gochat.cluster.serving import NEWER
from gochat.cluster.shared import Shared
from gochat.cluster.trimming import Trimming
from gochat.errors import GochatError
from gochat.replication import ReplicaStore
from gochat.wall_clock import wall_ms

log = logging.getLogger(__name__)

BEAT_S: Final = 0.5
#: The least time between two beats, where somebody waits for the next.
SOON_S: Final = 0.05
#: How long a place that another boot has is waited for: until that one's beats are stale, and some more. Only a process
#: that goes on beating has it still; a server that went back to older data tells of an earlier start for a while.
TAKE_S: Final = 3 * BEAT_LIFE_S
TRIM_S: Final = 10.0
#: How often the clocks are compared.
CLOCK_S: Final = 5.0
#: For how long an entry that a node has decided is a sign of life: no longer than a beat, or a node that has stopped
#: could not be forgotten as soon.
HEARD_S: Final = BEAT_LIFE_S
_UNCOMPARED: Final = (
    "the cluster's server takes too long to answer for this node's clock to be compared with the others'"
)
_ANOTHER: Final = (
    "another process runs as this node: its folder must have been copied; end one of the two, and make the copy a node "
    "of its own by `gochat cluster join --from BACKUP` into an empty folder"
)


class SecondBoot(GochatError):
    """Another process runs as this node."""


class RolledBack(GochatError):
    """The node's folder has less than the node had recorded, and it must not answer for that: another node may need it
    as a witness of what is lost here."""


class NodeRegistry:
    """`run` must be running."""

    def __init__(
        self,
        shared: Shared,
        inbox: Inbox,
        store: ReplicaStore,
        version: int,
        refusals: Refusals | None = None,
        servers: Callable[[], Collection[str]] = tuple,
        heard: Callable[[str], float] = lambda _: -math.inf,
    ) -> None:
        """`refusals`: those of the node, which learn of its beats too. `servers`: see Alignment. `heard`: when an entry
        that a node has decided was last read as it came."""
        self._shared = shared
        self._inbox = inbox
        self._version = version
        self._refusals = refusals or Refusals()
        self._codec = BeatCodec(shared.identity.cluster, shared.identity.secret)
        self._alignment = Alignment(shared.bulletin, servers)
        self._heard = heard
        self.clock = Clock(shared.bulletin, wall_ms)
        self._others_rules: frozenset[str] = frozenset()
        """The nodes that were warned of."""
        self.newer: str | None = None
        """Why this release will not be able to read the log any further, as of the last beats: of nodes that live, some
        write what it can't read."""
        self._beaten = trio.Event()
        self._soon = trio.Event()
        self._leaving = False
        self.is_unconfirmed = any(shared.identity.instance not in of.here for of in inbox.partitions)
        """Whether the node did not count when it started, and as far as it knows nobody else is aware that it counts
        now. Its beats do not tell how far it has recorded meanwhile, from the first on: the log that it follows may be
        one that all others have left, and whoever comes to that must not take this node for one that makes sure."""
        self._clock_problem: str | None = None
        """Why this node's clock is the one that is wrong, as of the last beats."""
        self._off_since: float | None = -math.inf
        """Since when this node's clock has been found off; a node that begins has no time to lose."""
        self.members: list[Member] = []
        """All nodes that have beaten and not left, as of the last beat."""
        self._members_at = -math.inf
        """When these were asked for, on trio's clock."""
        self.names: dict[str, str] = {}
        """Of all nodes that have beaten since the start, by instance."""
        self._began = math.inf
        self._sighted: dict[str, float] = {}
        """When a fresh beat of each node was last seen. These, as others, are times of the loop."""
        self.trimming = Trimming(shared, inbox, store, self._codec)

    async def check_folder(self) -> None:
        """Compare the folder with what the node told of itself before it stopped; to be called before the node follows
        the log. After a stop in order nothing is known, and nobody waits for the node. Raises RolledBack, or SecondBoot
        where a process goes on beating."""
        ends = [self._inbox.end(p).n for p in range(PARTITIONS)]
        until = trio.current_time() + TAKE_S
        while (member := await self._own_member()) is not None:
            info = self._codec.decode(member)
            if info is None or all(info.seen.get(p, START)[1] <= end for p, end in enumerate(ends)):
                return
            if member.age_ms > BEAT_LIFE_S * 1000:
                raise RolledBack(
                    "this folder has less than the node had recorded: it was restored from a snapshot or copied; let "
                    f"another node go on without it (`gochat cluster forget {self._shared.name}`), and join with an "
                    "empty folder from a backup of another node (`gochat cluster join`)"
                )
            if trio.current_time() > until:
                raise SecondBoot(_ANOTHER)
            await trio.sleep(BEAT_S)

    async def _own_member(self) -> Member | None:
        """The latest beat of this node's earlier starts."""
        while True:
            try:
                members = await self._shared.bulletin.members()
            except ServerAway:
                await trio.sleep(BEAT_S)
                continue
            return next((each for each in members if each.instance == self._shared.identity.instance), None)

    async def run(self) -> None:
        """Beat, for ever. Raises SecondBoot."""
        trim_at = trio.current_time() + TRIM_S
        look_at = trio.current_time()
        refused_since: float | None = None
        self._began = trio.current_time()
        while True:
            answers = True
            try:
                is_due = trio.current_time() >= look_at or self.clock.leap() is not None
                if is_due and await self.clock.look():
                    look_at = trio.current_time() + CLOCK_S
                has_place = await self._beat()
                self._refusals.end("beats")
                if has_place:
                    refused_since = None
                elif refused_since is None:
                    refused_since = trio.current_time()
                elif trio.current_time() - refused_since > TAKE_S:
                    raise SecondBoot(_ANOTHER)
                asked_at = trio.current_time()
                self.members, self._members_at = await self._shared.bulletin.members(), asked_at
                self._alignment.look()
                self._sight()
                self._warn()
                if self._compare_clocks():
                    look_at = trio.current_time()
                self._beaten.set()
                self._beaten = trio.Event()
            except ServerAway as error:
                refused_since = None  # It may be another one, or have other data, when it is back.
                log.debug("no beat: %s", error)
                answers = isinstance(error, Refused)
                if answers:
                    self._refusals.add("beats", str(error))
                else:
                    self._refusals.end("beats")
            if answers and trio.current_time() >= trim_at:
                trim_at = trio.current_time() + TRIM_S
                await self.trimming.try_to_trim()
            await trio.sleep(SOON_S)
            with trio.move_on_after(BEAT_S - SOON_S):
                await self._soon.wait()
            self._soon = trio.Event()

    @property
    def clock_problem(self) -> str | None:
        """Why this node must date nothing by its clock: it is the one that is wrong, or may be."""
        return self._clock_problem or self.clock.leap()

    def _compare_clocks(self) -> bool:
        """Whether the server's clock must be looked at again with the next beat."""
        ahead = [info.ahead_ms for info in self.alive]
        if not self.clock.has_looked:
            self._clock_problem = _UNCOMPARED if ahead else None
            return True
        if not ahead and self._here() and not self.clock.agrees:
            return False  # The others are away, and say nothing of either clock: it is as wrong as it was.
        problem, now = self.clock.problem(ahead), trio.current_time()
        if problem is None:
            self._off_since = None
            self.clock.trust()
        elif self._off_since is None:
            self._off_since = now
        lasts = self._off_since is not None and now - self._off_since >= PATIENCE_S
        self._clock_problem = problem if lasts else None
        return self.clock.is_in_doubt(ahead)

    def beat_soon(self) -> None:
        """Another node waits for this one's news."""
        self._soon.set()

    async def wait_members(self) -> None:
        """Return once the other nodes are known."""
        if not self.members:
            await self._beaten.wait()

    async def wait_beat(self) -> None:
        """Return with the next news of the other nodes."""
        await self._beaten.wait()

    async def _beat(self) -> bool:
        if self._leaving:
            await trio.sleep_forever()  # Behind the word that it stops, a beat would stay for good.
        who = self._shared.identity
        ends = {} if self.is_unconfirmed else {p: self._inbox.end(p) for p in range(PARTITIONS)}
        name, url, rules = self._shared.name, self._shared.url, self._shared.rules
        info = Info(name, url, self._version, ends, self.clock.ahead_ms, rules, self._version)
        data = self._codec.encode(who.instance, who.boot, info)
        return await self._shared.bulletin.beat(who.instance, who.boot, data, take=True)

    def _sight(self) -> None:
        for member in self.members:
            info = self._codec.decode(member)
            if info is not None:
                self.names[member.instance] = info.name
            elif not self._is_of_a_node(member):
                continue
            if member.age_ms <= BEAT_LIFE_S * 1000:
                self._sighted[member.instance] = trio.current_time()

    def _warn(self) -> None:
        """Tell of nodes that have other rules, once: what one of them refuses another one lets pass."""
        differing = frozenset(info.name for info in self.alive if info.rules != self._shared.rules)
        for name in sorted(differing - self._others_rules):
            log.warning("node %s has other settings in [policy], [limits] or [history] than this one", name)
        self._others_rules = differing
        newer = self._find_newer()
        if newer is not None and newer != self.newer:
            log.error("the node will soon serve nobody any more: %s", newer)
        self.newer = newer

    def _find_newer(self) -> str | None:
        found = {}
        for member in self.members:
            info = self._codec.decode(member)
            writes = self._codec.writes(member) if info is None else info.writes
            if writes is not None and writes > self._version and member.age_ms <= BEAT_LIFE_S * 1000:
                found[self.names.get(member.instance, member.instance)] = writes
        if not found:
            return None
        others = ", ".join(f"{name} (version {writes})" for name, writes in sorted(found.items()))
        return f"entries are written by {others} that this release can't read (up to {self._version}); {NEWER}"

    async def leave(self) -> None:
        """Tell that the node stops, if the server can be told. It gives no sign of life any more."""
        self._leaving = True
        who = self._shared.identity
        try:
            await self._shared.bulletin.leave(who.instance, who.boot)
        except ServerAway as error:
            log.debug("nobody is told that the node stops: %s", error)

    async def drop(self, instance: str) -> None:
        """Take away the last sign of life of a node that was put out, if the server can be told: it would stay for
        good."""
        try:
            for member in await self._shared.bulletin.members():
                if member.instance == instance and member.age_ms > BEAT_LIFE_S * 1000:
                    await self._shared.bulletin.leave(instance, member.boot)
        except ServerAway as error:
            log.debug("the sign of life of %s stays: %s", instance, error)

    @property
    def alive(self) -> list[Info]:
        """The news of the other nodes whose beats are fresh, as of the last beat."""
        found = []
        for member in self.members:
            info = self._codec.decode(member) if member.instance != self._shared.identity.instance else None
            if info is not None and member.age_ms <= BEAT_LIFE_S * 1000:
                found.append(info)
        return found

    @property
    def others(self) -> list[tuple[str, str, str]]:
        """The other nodes that may have clients: those that beat, and those that count although they do not. Of each
        its instance, its name, and the URL at which it is reached."""
        found = []
        here = {instance for of in self._inbox.partitions for instance in of.here}
        for member in self.members:
            info = self._codec.decode(member) if member.instance != self._shared.identity.instance else None
            fresh = member.age_ms <= BEAT_LIFE_S * 1000
            if info is not None and (fresh or member.instance in here):
                found.append((member.instance, info.name, info.url))
        return found

    @property
    def urls(self) -> list[str]:
        """Where the other nodes are reached that had beaten and not left when the server was last heard."""
        mine = self._shared.identity.instance
        infos = [self._codec.decode(member) for member in self.members if member.instance != mine]
        return [info.url for info in infos if info is not None and info.url]

    def silent(self, instances: Iterable[str]) -> list[str]:
        """Those of these other nodes that have given no sign of life for a while: by name and instance."""
        # A server that has lost its data knows of nobody until all have beaten again.
        since = trio.current_time() - BEAT_LIFE_S
        return self.called(each for each in instances if self._sighted.get(each, self._began) < since)

    def sighted(self, instance: str) -> float:
        """When a fresh sign of life of this node was last found, on trio's clock."""
        return self._sighted.get(instance, -math.inf)

    def is_heard(self, instance: str) -> bool:
        """Whether an entry that this node has decided was read of late: its beats may go to another server."""
        return trio.current_time() - self._heard(instance) < HEARD_S

    async def lives(self, instance: str) -> bool:
        """Whether the server knows of a fresh sign of life of this node. Raises ServerAway."""
        members = await self._shared.bulletin.members()
        return any(
            each.instance == instance and each.age_ms <= BEAT_LIFE_S * 1000 and self._is_of_a_node(each)
            for each in members
        )

    def _is_of_a_node(self, member: Member) -> bool:
        """Somebody else may write some, under any names and as many as they please."""
        return self._codec.decode(member) is not None or self._codec.writes(member) is not None

    def called(self, instances: Iterable[str]) -> list[str]:
        """By name and instance."""
        return sorted(f"{self.names[each]} ({each})" if each in self.names else each for each in instances)

    @property
    def behind(self) -> list[int]:
        """By partition, how many entries that another node has recorded are still to come here."""
        alive = self.alive
        ends = [max((info.seen.get(p, START)[1] for info in alive), default=0) for p in range(PARTITIONS)]
        return [max(0, end - self._inbox.end(p).n) for p, end in enumerate(ends)]

    async def may_lack(self, instance: str) -> bool:
        """Whether a partition may have been repaired without the answer of this node, which counts: it last told of an
        earlier term than the partition is in, or nothing is known of it. A repair waits for all that count, unless one
        is being forgotten; so a node that was about to forget it has died before that was recorded."""
        try:
            members = await self._shared.bulletin.members()
        except ServerAway:
            return True  # Nothing is known of it.
        info = next((self._codec.decode(member) for member in members if member.instance == instance), None)
        seen: Mapping[int, tuple[int, int]] = {} if info is None else info.seen
        return any(seen.get(p, START)[0] < self._inbox.end(p).term for p in range(PARTITIONS))

    def seen(self, partition: int) -> dict[str, Position]:
        """How far the other nodes have recorded, as of their last beats."""
        found = {}
        for member in self.members:
            info = self._codec.decode(member) if member.instance != self._shared.identity.instance else None
            if info is not None:
                found[member.instance] = Position(*info.seen.get(partition, START))
        return found

    async def wait_seen(self, goals: Mapping[int, int], *, any_one: bool = False) -> bool:
        """Return once the nodes that are here and beat have recorded these n by partition: all of them, or with
        `any_one` one at least. False, and at once, where no other node is here."""
        while True:
            done = [self._has_all(instance, goals) for instance in self._others()]
            if not done:
                return False
            if any(done) if any_one else all(done):
                return True
            self.beat_soon()  # With it the others' news come.
            await self._beaten.wait()

    def lacking(self, goals: Mapping[int, int]) -> list[str]:
        """The names of the other nodes that are here and have not recorded these n by partition, as far as is known,
        whether they beat or not."""
        return sorted(self.names.get(each, each) for each in self._here() if not self._has_all(each, goals))

    @property
    def is_alone(self) -> bool:
        """Whether no other node is here."""
        return not self._here()

    def unmet(self, goals: Mapping[int, Position], since: float) -> list[str]:
        """The other nodes that are here, by name and instance, where not one of them has beaten since this time of
        trio's clock, follows the log that this node follows, and has recorded it up to these positions by partition.
        None where all of them beat and are unconfirmed: then none of them serves elsewhere, and each would wait for
        the others."""
        told = {each: self._told(each) for each in self._others(min(BEAT_LIFE_S, self._members_at - since))}
        if any(self._follows(info, goals) for info in told.values() if info is not None):
            return []
        unconfirmed = {each for each, info in told.items() if info is not None and not info.seen}
        return self.called(self._here()) if set(self._here()) - unconfirmed else []

    def _told(self, instance: str) -> Info | None:
        """None: somebody else wrote it, or a later release."""
        return next((self._codec.decode(member) for member in self.members if member.instance == instance), None)

    def _follows(self, told: Info, goals: Mapping[int, Position]) -> bool:
        if len(told.seen) < PARTITIONS:
            return False  # The node is unconfirmed itself.
        for partition in range(PARTITIONS):
            seen = Position(*told.seen[partition])
            # Its signs of life may come by a connection that has outlived those by which it reads the log: at another
            # server, in a later term.
            if seen < goals.get(partition, START) or seen.term > self._inbox.end(partition).term:
                return False
        return True

    def _here(self) -> list[str]:
        mine = self._shared.identity.instance
        return [each for each in self._inbox.partitions[SITE].here if each != mine]

    def _others(self, within_s: float = BEAT_LIFE_S) -> list[str]:
        """The other nodes that are here and have beaten within so long before they were last asked for."""
        fresh = {member.instance for member in self.members if member.age_ms <= within_s * 1000}
        return [each for each in self._here() if each in fresh]

    def _has_all(self, instance: str, goals: Mapping[int, int]) -> bool:
        return all(self.seen(p).get(instance, START).n >= n for p, n in goals.items())
