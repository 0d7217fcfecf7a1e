"""A machine and the node on it, which starts, is stopped, or loses its power.

Nothing of a node can be undone when the power fails, so it is left alone: its disk and its connections are taken away,
its tasks are cancelled, and they may take as long as they like to end, since nobody sees what they still do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from random import Random
from typing import Final

import trio

from gochat import store as stores
from gochat.cluster.answers import answers
from gochat.cluster.journal import ClusterJournal
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.shared import Shared
from gochat.config import Settings
from gochat.domain.relationship import ContactPolicy
from gochat.errors import GochatError
from gochat.http.readiness import Check
from gochat.node import Node, running_on
from gochat.policy import RulesInForce
from gochat.ports.ticks import TurnQueue
from gochat.sim.determinism import MACHINE
from gochat.sim.disk import TELL_S, Disk, Power
from gochat.sim.network import Gone, Wire
from gochat.sim.shared import connect
from gochat.store.store import AT_ONCE
from gochat.store.write.committer import MergePace

#: How long an orderly stop may take beyond the time that the settings give it.
STOP_S: Final = 30.0


class Life:
    """One start of a node, up to its end. A `determinism.Machine`."""

    def __init__(self, name: str, skew_ns: int, power: Power) -> None:
        self.name = name
        self.alive = True
        self.skew_ns = skew_ns
        self.power = power
        self.node: Node | None = None
        self.shared: Shared | None = None
        """Its part in a cluster."""
        self.stopping = trio.Event()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self.wires: list[Wire] = []
        self._arriving: trio.MemorySendChannel[Wire]
        self._arrivals: trio.MemoryReceiveChannel[Wire]
        self._arriving, self._arrivals = trio.open_memory_channel(math.inf)

    def connect(self, wire: Wire) -> None:
        self._arriving.send_nowait(wire)
        self.wires.append(wire)

    async def accept(self, node: Node) -> None:
        """Serve wires as they come, in tasks of this machine's node."""
        gateway = node.gateway
        async for wire in self._arrivals:
            gateway.spawn(
                partial(
                    wire.run,
                    node.endpoints.accept,
                    gateway.limits.frame_bytes,
                    gateway.bounds.outbox_bytes,
                    gateway.waiting,
                )
            )

    async def answer(self, path: str, question: bytes, told: trio.MemorySendChannel[bytes | GochatError]) -> None:
        """Answer as to a request of HTTP; in a task of this machine's node."""
        assert self.node is not None
        assert self.shared is not None
        journal = self.node.gateway.journal
        assert isinstance(journal, ClusterJournal)
        result: bytes | GochatError
        with told:
            try:
                result = await answers(journal, self.shared)[path](question)
            except GochatError as error:
                result = error
            with suppress(trio.BrokenResourceError):  # Nobody waits for it any more.
                told.send_nowait(result)


class Host:
    """`nursery` runs all lives of the node. `server` holds the log of its cluster; None: it is alone. `crashed` is told
    why a life ended by itself. `joined`: see Identity; a folder that is made later does in any case."""

    def __init__(
        self,
        name: str,
        settings: Settings,
        rules: RulesInForce,
        chance: Random,
        nursery: trio.Nursery,
        *,
        merge_at: int,
        tell_s: float = TELL_S,
        server: MemoryServer | None,
        joined: bool = False,
        crashed: Callable[[str, BaseException], None],
    ) -> None:
        self.name = name
        self.instance = name
        """The node's: another one with each folder."""
        self.absent = False
        """Whether the machine is nobody's node: it has no folder, or one that nobody is to start."""
        self.has_served = False
        """Whether the node, while it counts, has taken anything that the others may lack."""
        self.disk = Disk(chance, tell_s)
        self.life: Life | None = None
        self.skew_ns = 0
        self._folders = 0
        self._settings = settings
        self._rules = rules
        self._chance = chance
        self._nursery = nursery
        self._pace = AT_ONCE if not merge_at else MergePace(math.inf, at=merge_at, after_s=math.inf, feed_s=math.inf)
        self._crashed = crashed
        self._server = server
        self._joined = joined
        self._boots = 0

    def start(self) -> None:
        """Does nothing where the node runs, or may not."""
        if self.life is None and not self.absent:
            self.life = Life(self.name, self.skew_ns, self.disk.power_on())
            self._nursery.start_soon(self._live, self.life)

    def start_later(self, after_s: float) -> None:
        self._nursery.start_soon(self._start_later, after_s)

    async def _start_later(self, after_s: float) -> None:
        await trio.sleep(after_s)
        self.start()

    @property
    def serves(self) -> bool:
        return self.life is not None and self.life.node is not None

    def readiness(self) -> list[Check]:
        """The node's own word on itself."""
        if self.life is None or self.life.node is None:
            return [Check("node", "the node does not run")]
        return self.life.node.readiness()

    @property
    def journal(self) -> ClusterJournal | None:
        """That of a node that runs, and is one of a cluster."""
        if self.life is None or self.life.node is None:
            return None
        journal = self.life.node.gateway.journal
        return journal if isinstance(journal, ClusterJournal) else None

    def take(self, image: bytes) -> None:
        """Become a node that never was before, with this database. Only without power."""
        self._folders += 1
        self.instance = f"{self.name}.{self._folders}"
        self.disk.replace(image)
        self.absent = self.has_served = False

    async def inquire(self, path: str, question: bytes) -> bytes:
        """The node's answer to a question below /internal/. Raises Gone and GochatError."""
        life = self.life
        if life is None or life.node is None or life.stopping.is_set():
            raise Gone
        told, answer = trio.open_memory_channel[bytes | GochatError](1)
        try:
            life.node.gateway.spawn(partial(life.answer, path, question, told))
        except RuntimeError:
            raise Gone from None  # The node ends at this very moment.
        with answer:
            try:
                result = await answer.receive()
            except trio.EndOfChannel:
                raise Gone from None
        if isinstance(result, GochatError):
            raise result
        return result

    def kill(self, *, keep: bool, silent: bool, undo: bool = False) -> None:
        """Does nothing where the machine has no power. `undo`: see Disk."""
        life = self.life
        if life is None:
            return
        self._note_service()
        self.life, life.alive = None, False
        self.disk.power_off(keep=keep, undo=undo)
        for wire in life.wires:
            wire.sever(client_told=not silent, node_told=False)
        life.scope.cancel()

    def _note_service(self) -> None:
        journal = self.journal
        self.has_served |= journal is not None and journal.serving.begun.is_set()

    async def stop(self) -> bool:
        """Stop in order. False: it did not end in time."""
        life = self.life
        if life is None:
            return True
        life.stopping.set()
        with trio.move_on_after(self._settings.node.drain_s + STOP_S) as patience:
            await life.ended.wait()
        return not patience.cancelled_caught

    def set_clock(self, skew_ns: int) -> None:
        self.skew_ns = skew_ns
        if self.life is not None:
            self.life.skew_ns = skew_ns

    def connect(self) -> Wire:
        """Raises Gone where no node listens."""
        life = self.life
        if life is None or life.node is None or life.stopping.is_set():
            raise Gone
        wire = Wire(self._chance)
        wire.instance = self.instance
        life.connect(wire)
        return wire

    async def _live(self, life: Life) -> None:
        MACHINE.set(life)
        error: BaseException | None = None
        try:
            with life.scope:
                async with trio.open_nursery() as work:
                    await self._serve(life, work)
                    work.cancel_scope.cancel()
        except Exception as raised:  # noqa: BLE001 -- whatever ends a node, the world is told
            error = raised
        except BaseExceptionGroup as group:
            ended, _ = group.split(trio.Cancelled)
            raise (ended or group) from None  # The run is over while a node crashes.
        if life.alive:
            self._note_service()
            self.has_served &= error is not None or not life.stopping.is_set()
            life.alive, self.life = False, None
            self.disk.power_off(keep=True)
            for wire in life.wires:
                wire.sever(node_told=False)
            if error is not None or not life.stopping.is_set():
                self._crashed(self.name, error or RuntimeError("the node ended by itself"))
        life.ended.set()

    async def _serve(self, life: Life, work: trio.Nursery) -> None:
        if self._server is not None:
            self._boots += 1
            life.shared = connect(
                self._server, life, self.instance, self._boots, joined=self._joined or self._folders > 0
            )
        open_store = partial(self._open, life.power, work)
        async with running_on(open_store, self._rules, self._settings, life.shared) as node:
            life.node = node
            node.gateway.spawn(partial(life.accept, node))
            await life.stopping.wait()

    def _open(
        self, power: Power, work: trio.Nursery, *, policy: ContactPolicy, ticks: TurnQueue, notices: bool
    ) -> AbstractAsyncContextManager[stores.Store]:
        workers = self.disk.workers(work, power)
        return stores.open_simulated(
            partial(self.disk.connect, power),
            partial(self.disk.copy, power),
            workers,
            policy=policy,
            pace=self._pace,
            ticks=ticks,
            notices=notices,
        )
