"""The persons who look after a simulated cluster: nodes that leave, are lost, forgotten, rolled back, and join.

They do what docs/howto/cluster.md tells a person to do, with what such a person sees: they put out nodes whose folders
are gone, make new ones from backups of others, and empty a server whose data are too old.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Final

import msgspec
import trio

from gochat.cluster import faults
from gochat.cluster.answers import Forget as ToForget
from gochat.cluster.answers import Forgotten
from gochat.cluster.forks import Forked
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import BEAT_LIFE_S, PARTITIONS
from gochat.cluster.registry import RolledBack
from gochat.cluster.serving import PUT_OUT
from gochat.errors import GochatError
from gochat.sim import plan as plans
from gochat.sim.disk import empty_image, has_left, positions
from gochat.sim.evidence import Evidence
from gochat.sim.host import Host
from gochat.sim.network import Gone
from gochat.sim.shared import CODEC

#: How often they look.
LOOK_S: Final = 0.5
#: How long a node has given no sign of life before it is put out.
DEAD_S: Final = BEAT_LIFE_S + LOOK_S
#: How long they wait for a node to put another one out before they ask the next.
PATIENCE_S: Final = 10.0
#: How long they wait for a node to be put out before they let it come back.
FORGET_S: Final = 2 * PATIENCE_S
#: How long a server has had data that are too old before it is emptied.
TOO_OLD_S: Final = 3.0
#: The part of a problem by which the nodes ask for that.
_TOO_OLD: Final = "empty the server"


class Operators:
    """`run` must be running. `note` writes down what they do."""

    def __init__(
        self,
        server: MemoryServer,
        hosts: Mapping[str, Host],
        evidence: Evidence,
        nursery: trio.Nursery,
        note: Callable[[str, bytes], None],
    ) -> None:
        self._server = server
        self._hosts = hosts
        self._evidence = evidence
        self._nursery = nursery
        self._note = note
        self._seen_to: set[str] = set()
        """Machines that somebody works at."""
        self._to_come = 0
        """Changes that are about to begin."""
        self._unwanted: set[str] = set()
        """Nodes to be put out though their folders are there; by instance, as all of the following."""
        self._dead_since: dict[str, float] = {}
        self._asked: set[str] = set()
        """Those that other nodes were asked to put out, as long as it is not known that clients need not start anew."""
        self._asking: set[str] = set()
        """Those of them whose answer is waited for."""
        self._out: set[str] = set()
        """Those that were put out."""
        self._left: set[str] = set()
        """Those that stopped in order, and counted no more."""
        self._rolled_back: set[str] = set()
        self._too_old_since: float | None = None
        self._epochs: set[str] = set()
        """All that the cluster ever had."""
        self._gaps = False
        self._stranded: set[str] = set()
        """Machines whose nodes can't follow the log any more, and wait for another one's backup."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be done."""
        return not self._to_come and not self._seen_to and not self._orphans() and not self._too_old()

    def may_need_a_folder(self, host: Host, error: BaseException) -> bool:
        """Whether it is no fault of the node's that it says so."""
        if isinstance(error, RolledBack):
            return host.instance in self._rolled_back
        evidence = self._evidence
        gone = host.instance in (self._out | self._asked | self._unwanted) or bool(evidence.gone or evidence.left)
        # A node that is about to come has recorded what the others may lose: they do not know yet that it counts.
        return isinstance(error, Forked) and (self._gaps or gone or not host.has_served)

    def expect_gaps(self) -> None:
        """The log may drop what a node still needs."""
        self._gaps = True

    def give_a_folder(self, host: Host) -> None:
        """Make the machine a new node, whatever it was; unless somebody works at it, who will."""
        if host.name not in self._seen_to:
            self._seen_to.add(host.name)
            self._nursery.start_soon(self._replace, host)

    async def run(self) -> None:
        while True:
            await trio.sleep(LOOK_S)
            self._look_at_epoch()
            self._put_out_dead()
            self._note_those_out()
            self._see_to_those_put_out()
            self._empty_if_too_old()
            self._empty_if_nobody_follows()

    # ------------------------------------------------------------------------------------------ what befalls machines

    def begin(self, trouble: plans.Churn) -> None:
        """Have it happen, from the next tick on; see `befall`."""
        self._to_come += 1
        self._nursery.start_soon(self._begin, trouble)

    async def _begin(self, trouble: plans.Churn) -> None:
        try:
            await self.befall(trouble)
        finally:
            self._to_come -= 1

    async def befall(self, trouble: plans.Churn) -> None:
        """See to it until the machine is again what it is to be. Does nothing where somebody works at it, and where no
        other node would be left to go on."""
        host = self._hosts[trouble.node]
        joins = isinstance(trouble, plans.Join)
        if host.name in self._seen_to or host.absent != joins or not (joins or self._others(host)):
            self._note(host.name, b"is left alone")
            return
        self._seen_to.add(host.name)
        try:
            match trouble:
                case plans.Leave(back_ms=back_ms):
                    await self._leave(host, back_ms)
                case plans.Loss(back_ms=back_ms, empty=empty):
                    host.absent = True
                    host.kill(keep=False, silent=False)
                    await trio.sleep(back_ms / 1000)
                    await self._join(host, empty=empty)
                case plans.Forget(cut_off=cut_off, back_ms=back_ms):
                    await self._forget(host, back_ms, cut_off=cut_off)
                case plans.Rollback(down_ms=down_ms):
                    self._roll_back(host)
                    await trio.sleep(down_ms / 1000)
                    host.start()
                case plans.Join(empty=empty):
                    await self._join(host, empty=empty)
        finally:
            self._seen_to.discard(host.name)

    def _others(self, host: Host) -> list[Host]:
        """The other nodes that serve."""
        return [other for other in self._serving() if other is not host]

    async def _leave(self, host: Host, back_ms: int | None) -> None:
        host.absent = True
        await host.stop()
        host.kill(keep=True, silent=True)
        if has_left(host.disk.image, host.instance):
            self._left.add(host.instance)
        if back_ms is not None:
            await trio.sleep(back_ms / 1000)
            await self._join(host)

    async def _forget(self, host: Host, back_ms: int, *, cut_off: bool) -> None:
        instance = host.instance
        self._unwanted.add(instance)
        if not cut_off:
            host.absent = True
            host.kill(keep=False, silent=False)
        until = trio.current_time() + FORGET_S
        # A node that had stopped in order does not count, and is not put out.
        while instance not in self._out and self._can_go_on_without(host) and trio.current_time() < until:
            if cut_off:
                self._server.strike(faults.Unreachable(node=host.name))
            await trio.sleep(LOOK_S)
        self._unwanted.discard(instance)
        self._server.strike(faults.Mended(node=host.name))
        host.absent = False
        host.start()
        if instance in self._out:
            await trio.sleep(back_ms / 1000)
            await self._take_down_and_join(host)

    def _can_go_on_without(self, host: Host) -> bool:
        """Whether another machine has a folder: else nobody could put this one's node out."""
        return any(other is not host and not other.absent for other in self._hosts.values())

    def _roll_back(self, host: Host) -> None:
        """Where nobody knows that the node had more than it will have, it only loses its power: see docs/limits.md."""
        ends = positions(host.disk.image)
        members = self._server.primary.members()
        info = next((CODEC.decode(member) for member in members if member.instance == host.instance), None)
        known = info is not None and any(n > ends.get(p, 0) for p, (_, n) in info.seen.items())
        if known:
            self._rolled_back.add(host.instance)
        host.kill(keep=False, silent=False, undo=known)

    # ------------------------------------------------------------------------------------------ new folders

    async def _replace(self, host: Host) -> None:
        try:
            if host.life is None and host.instance not in self._rolled_back:
                self._stranded.add(host.name)
            await self._take_down_and_join(host)
        finally:
            self._stranded.discard(host.name)
            self._seen_to.discard(host.name)

    async def _take_down_and_join(self, host: Host) -> None:
        host.absent = True
        await host.stop()
        host.kill(keep=False, silent=False)
        await self._join(host)

    async def _join(self, host: Host, *, empty: bool = False) -> None:
        host.absent = True
        has_waited = host.name in self._stranded
        while (image := self._image(empty=empty)) is None:  # noqa: ASYNC110 -- as a person would
            await trio.sleep(LOOK_S)
            if has_waited and host.name not in self._stranded:
                host.absent = False
                host.start()
                return
        host.take(image)
        self._note(host.name, f"is the new node {host.instance}".encode())
        host.start()

    def _image(self, *, empty: bool) -> bytes | None:
        """A database that a node may join with, if there is one now."""
        if empty and self._reaches_back({}):
            return empty_image()
        for host in self._serving():
            image = host.disk.backup()
            if self._reaches_back(positions(image)):
                return image
        return None

    def _reaches_back(self, ends: Mapping[int, int]) -> bool:
        """As `layout.reaches_back`."""
        streams = self._server.primary.streams
        return all(p in streams and streams[p][0].position.n <= ends.get(p, 0) + 1 for p in range(PARTITIONS))

    # ------------------------------------------------------------------------------------------ looking after nodes

    def _serving(self) -> Iterator[Host]:
        for host in self._hosts.values():
            journal = host.journal
            if journal is not None and journal.behind is None and host.instance not in self._unwanted:
                yield host

    def _living(self) -> list[Host]:
        """Nodes that can put others out: those that serve; where none does, those that try to."""
        serving = list(self._serving())
        if serving:
            return serving
        unfit = self._unwanted | self._out
        return [host for host in self._hosts.values() if host.journal is not None and host.instance not in unfit]

    def _orphans(self) -> set[str]:
        """Nodes that count, and will not come back or are to go."""
        counting = {instance for host in self._living() for instance in host.journal.members}  # type: ignore[union-attr]
        there = {host.instance for host in self._hosts.values() if not host.absent}
        return (counting - there | counting & self._unwanted) - self._out

    def _put_out_dead(self) -> None:
        now = trio.current_time()
        beating = {each.instance for each in self._server.primary.members() if each.age_ms <= BEAT_LIFE_S * 1000}
        orphans = self._orphans() - beating
        self._dead_since = {each: self._dead_since.get(each, now) for each in sorted(orphans)}
        for instance, since in self._dead_since.items():
            if now - since >= DEAD_S and instance not in self._asking:
                self._asking.add(instance)
                self._nursery.start_soon(self._put_out, instance)

    async def _put_out(self, instance: str) -> None:
        try:
            await self._ask_each(instance)
        finally:
            self._asking.discard(instance)

    async def _ask_each(self, instance: str) -> None:
        question = msgspec.json.encode(ToForget(instance))
        for host in self._living():
            journal = host.journal
            if journal is None or instance not in journal.members:
                continue
            self._asked.add(instance)
            self._note(host.name, f"is asked to forget {instance}".encode())
            answer = None
            with trio.move_on_after(PATIENCE_S):
                try:
                    answer = msgspec.json.decode(await host.inquire("/internal/forget", question), type=Forgotten)
                except (Gone, GochatError) as error:
                    self._note(host.name, f"did not forget {instance}: {error}".encode())
            self._look_at_epoch()
            if answer is not None:
                if answer.new_epoch:
                    self._give_up({instance})
                self._is_out(instance)
                return

    def _give_up(self, instances: Set[str]) -> None:
        """Clients start anew, and the nodes' answer is not waited for any more."""
        evidence = self._evidence
        evidence.left |= instances & self._left
        evidence.gone |= instances - self._left
        if evidence.gone:
            evidence.gone |= evidence.left

    def _is_out(self, instance: str) -> None:
        self._asked.discard(instance)
        self._unwanted.discard(instance)
        self._out.add(instance)

    def _note_those_out(self) -> None:
        """Some are put out although the operators gave up waiting for that."""
        serving = list(self._serving())
        for instance in sorted(self._asked - self._asking):
            if serving and not any(instance in host.journal.members for host in serving):  # type: ignore[union-attr]
                self._is_out(instance)

    def _look_at_epoch(self) -> None:
        """With another epoch clients start anew: what those that were asked for had told may be lost."""
        epochs = {host.journal.epoch for host in self._serving()}  # type: ignore[union-attr]
        if self._epochs and epochs - self._epochs:
            self._give_up(self._asked)
        self._epochs |= epochs

    def _see_to_those_put_out(self) -> None:
        """A node that finds itself put out serves nobody any more: its machine becomes a new one. One whose folder was
        rolled back must not serve at all."""
        for host in self._serving():
            if host.instance in self._rolled_back:
                self._evidence.complaints.append(f"{host.instance} serves, though its folder was rolled back")
        for host in self._hosts.values():
            journal = host.journal
            if journal is not None and journal.behind == PUT_OUT and not host.absent:
                if host.instance not in self._out | self._asked:
                    self._evidence.complaints.append(f"{host.instance} was put out, which nobody asked for")
                self.give_a_folder(host)

    def _too_old(self) -> bool:
        for host in self._hosts.values():
            problem = None if host.journal is None else host.journal.problem
            if problem is not None and _TOO_OLD in problem:
                return True
        return False

    def _empty_if_nobody_follows(self) -> None:
        """Where all nodes say that they can't follow the log, it is emptied, and they put back what they have."""
        if self._stranded and all(host.absent for host in self._hosts.values()):
            self._note("server", b"is emptied, and the nodes are started that could not follow")
            self._server.strike(faults.EverythingLost())
            self._stranded.clear()

    def _empty_if_too_old(self) -> None:
        now = trio.current_time()
        if not self._too_old():
            self._too_old_since = None
        elif self._too_old_since is None:
            self._too_old_since = now
        elif now - self._too_old_since >= TOO_OLD_S:
            self._too_old_since = None
            self._note("server", b"is emptied")
            self._server.strike(faults.EverythingLost())
