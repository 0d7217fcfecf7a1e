"""A cluster in processes of its own, for a crowd that comes to any of its nodes, and the things that befall it."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import trio

from gochat.auth.tokens import Issuer
from gochat.commands.cluster.create import first_node
from gochat.commands.cluster.join import next_node
from gochat.config import Auth, Cluster, Node, Settings
from gochat.sim.checker import Evidence, Fact
from tests.cluster.network import Network
from tests.cluster.pulse import GROUP, Pulse
from tests.durability.campaign import GROUPS, READERS, WAIT_S, Crowd, caught_up, first_ack, gather
from tests.durability.crowd import Reader, create_groups, history
from tests.durability.process import Served
from tests.durability.wire import Closed, Frame, Link

SECRET = "the secret of all nodes, of some length"
NAMES = ("north", "south", "west")
#: A sender's pause between two bursts, on average: as much as two cores carry, with all nodes and clients on them.
PAUSE_S = 0.2
_SIGNS = Issuer(Auth(), SECRET)
Fault = Callable[["Fleet", random.Random], Awaitable[float]]
"""Something that befalls a fleet. Returns since when the server and all nodes are there again, on time.monotonic's
clock."""
History = dict[str, list[Fact]]
"""Every room, as one node has it."""


class Member(Served):
    """One node of it."""

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        own_url: str | None = None,
        network: Network | None = None,
    ) -> None:
        """`url`: where a test finds the server; `own_url`: where the node does, if that is elsewhere. `network`: has a
        namespace for it."""
        settings = {
            "CLUSTER__URL": own_url or url,
            "CLUSTER__SECRET": SECRET,
            "AUTH__SECRET": SECRET,
            "NODE__NAME": folder.name,
            # Where it is is known once it listens; the others do not ask.
            "CLUSTER__ADVERTISE": "http://127.0.0.1:1",
        }
        super().__init__(
            folder,
            env={f"GOCHAT_{name}": value for name, value in settings.items()},
            prefix=network.prefix(folder.name) if network is not None else (),
        )
        self._network = network
        self.ready = False
        self.listening_at = 0.0
        """Since when, on time.monotonic's clock."""
        self.settings = Settings(
            node=Node(data=str(self.data)), auth=Auth(secret=SECRET), cluster=Cluster(url=url, secret=SECRET)
        )

    def token(self, user: str) -> str:
        return _SIGNS.issue(user, now_s=int(time.time()), ttl_s=3_600)

    async def start(self) -> None:
        """Return when it serves."""
        await super().start()
        self.listening_at = time.monotonic()
        with trio.fail_after(WAIT_S):
            while not await self._says_ready():
                await trio.sleep(0.02)
        self.ready = True

    async def kill(self) -> None:
        self.ready = False
        await super().kill()

    async def _dial(self, host: str, port: int) -> trio.SocketStream:
        if self._network is not None:
            return await self._network.dial(self.folder.name, host, port)
        return await super()._dial(host, port)

    async def _says_ready(self) -> bool:
        try:
            async with await self._dial(*self.addresses["http"]) as stream:
                await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return (await stream.receive_some(64)).startswith(b"HTTP/1.1 200")
        except (OSError, trio.BrokenResourceError):
            return False


class Fleet:
    """The nodes; a crowd takes them for one."""

    def __init__(
        self, folder: Path, url: str, rng: random.Random, make: Callable[[Path, str], Member] = Member
    ) -> None:
        """`url`: of a server that runs."""
        self.members = [make(folder / name, url) for name in NAMES]
        self._rng = rng
        self._is_created = False

    async def create(self) -> None:
        """Make the nodes' folders."""
        self._is_created = True
        first, *others = self.members
        await trio.to_thread.run_sync(first_node, first.settings)
        for member in others:
            await trio.to_thread.run_sync(next_node, member.settings, None)

    async def start(self) -> None:
        if not self._is_created:
            await self.create()
        async with trio.open_nursery() as nursery:
            for member in self.members:
                nursery.start_soon(member.start)

    async def aclose(self) -> None:
        for member in self.members:
            await member.aclose()

    async def connect(self, transport: str) -> Link:
        """A connection to any node that is up, another one each time."""
        while not (there := [member for member in self.members if member.ready]):
            await trio.sleep(0.02)
        await trio.sleep(0.01)  # A node that refuses for now is not asked without a pause.
        return await self._rng.choice(there).connect(transport)

    def token(self, user: str) -> str:
        return self.members[0].token(user)

    async def sign_in(self, user: str, transport: str = "tcp") -> Link:
        link = await self.connect(transport)
        try:
            await link.hello(self.token(user))
        except BaseException:
            await link.aclose()
            raise
        return link


class Steady(Reader):
    """Comes again where a node refuses for now: another one may know better."""

    def complain(self, frame: Frame) -> None:
        if frame["type"] == "error" and frame["temporary"]:
            raise Closed(str(frame))
        super().complain(frame)


class Outcome(NamedTuple):
    evidence: Evidence
    histories: list[History]
    """Each node's."""
    away_s: list[float]
    """For each fault the longest time that a node acknowledged nothing, from the fault on."""
    back_s: list[float]
    """For each fault how long the node that was last to serve again took, once all was there."""


async def campaign(
    fleet: Fleet, faults: Sequence[Fault], rng: random.Random, *, pause_s: float = PAUSE_S, readers: bool = True
) -> Outcome:
    """A crowd at all nodes, and these faults one after the other. With `readers` some of it hears everything."""
    evidence = Evidence()
    crowd = _steady(gather(evidence, rng, pause_s=pause_s), evidence)
    pulses = [Pulse(member, evidence) for member in fleet.members]
    crowd.rooms[pulses[0].user] = [f"group:{GROUP}"]
    users = sorted({user for _, user, _ in READERS})
    away_s: list[float] = []
    back_s: list[float] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(fleet.aclose)
        await fleet.start()
        members = {
            group: [*users, *(sender.user for sender in crowd.senders[number :: len(GROUPS)])]
            for number, group in enumerate(GROUPS)
        }
        await create_groups(fleet, members | {GROUP: [pulse.user for pulse in pulses]})
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            for reader in crowd.readers if readers else ():
                nursery.start_soon(reader.run, fleet)
                with trio.fail_after(WAIT_S):
                    await reader.welcomed.wait()
            async with trio.open_nursery() as senders, trio.open_nursery() as beating:
                for pulse in pulses:
                    beating.start_soon(pulse.run)
                for sender in crowd.senders:
                    senders.start_soon(sender.run, fleet, stop)
                for fault in faults:
                    await first_ack(crowd)
                    await trio.sleep(rng.uniform(0.02, 0.5))
                    began_at = time.monotonic()
                    since = await fault(fleet, rng)
                    with trio.fail_after(WAIT_S):
                        back_s.append(max([await pulse.back_s(since) for pulse in pulses]))
                    away_s.append(max(pulse.longest_away_s(began_at) for pulse in pulses))
                await first_ack(crowd)
                beating.cancel_scope.cancel()
                stop.set()
                senders.cancel_scope.deadline = trio.current_time() + WAIT_S
            for sender in crowd.senders:
                sender.give_up()
            histories = [await _all_rooms(member, crowd) for member in fleet.members]
            evidence.history = histories[0]
            if readers:
                await caught_up(crowd, evidence)
            nursery.cancel_scope.cancel()
    return Outcome(evidence, histories, away_s, back_s)


async def _all_rooms(member: Member, crowd: Crowd) -> History:
    found: History = {}
    for user, rooms in crowd.rooms.items():
        with trio.fail_after(WAIT_S):
            found |= await history(member, user, rooms)
    return found


def _steady(crowd: Crowd, evidence: Evidence) -> Crowd:
    readers: list[Reader] = [
        Steady(name, user, transport, list(reader.heard), evidence)
        for (name, user, transport), reader in zip(READERS, crowd.readers, strict=True)
    ]
    return crowd._replace(readers=readers)
