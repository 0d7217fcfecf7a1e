"""A cluster in processes of its own, for a crowd that comes to any of its nodes, and the things that befall it."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import trio

from gochat.auth.tokens import Issuer
from gochat.commands.cluster.create import first_node
from gochat.commands.cluster.join import next_node
from gochat.config import Auth, Cluster, Node, Settings
from gochat.sim.checker import Evidence, Fact
from tests.cluster.real import RealServer
from tests.durability.campaign import GROUPS, READERS, WAIT_S, Crowd, caught_up, first_ack, gather
from tests.durability.crowd import Reader, create_groups, history
from tests.durability.process import Served
from tests.durability.wire import Closed, Frame, Link

SECRET = "the secret of all nodes, of some length"
NAMES = ("north", "south", "west")
_SIGNS = Issuer(Auth(), SECRET)
Fault = Callable[["Fleet", random.Random], Awaitable[None]]


class Member(Served):
    """One node of it."""

    def __init__(self, folder: Path, url: str) -> None:
        settings = {"CLUSTER__URL": url, "CLUSTER__SECRET": SECRET, "AUTH__SECRET": SECRET, "NODE__NAME": folder.name}
        # Where it is is known once it listens; the others do not ask.
        settings["CLUSTER__ADVERTISE"] = "http://127.0.0.1:1"
        super().__init__(folder, env={f"GOCHAT_{name}": value for name, value in settings.items()})
        self.ready = False
        self.settings = Settings(
            node=Node(data=str(self.data)), auth=Auth(secret=SECRET), cluster=Cluster(url=url, secret=SECRET)
        )

    def token(self, user: str) -> str:
        return _SIGNS.issue(user, now_s=int(time.time()), ttl_s=3_600)

    async def start(self) -> None:
        """Return when it serves."""
        await super().start()
        with trio.fail_after(WAIT_S):
            while not await self._says_ready():
                await trio.sleep(0.02)
        self.ready = True

    async def kill(self) -> None:
        self.ready = False
        await super().kill()

    async def _says_ready(self) -> bool:
        try:
            async with await trio.open_tcp_stream(*self.addresses["http"]) as stream:
                await stream.send_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                return (await stream.receive_some(64)).startswith(b"HTTP/1.1 200")
        except (OSError, trio.BrokenResourceError):
            return False


class Fleet:
    """The nodes; a crowd takes them for one."""

    def __init__(self, folder: Path, url: str, rng: random.Random) -> None:
        """`url`: of a server that runs."""
        self.members = [Member(folder / name, url) for name in NAMES]
        self._rng = rng

    async def start(self) -> None:
        first, *others = self.members
        await trio.to_thread.run_sync(first_node, first.settings)
        for member in others:
            await trio.to_thread.run_sync(next_node, member.settings, None)
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


async def campaign(
    fleet: Fleet, faults: list[Fault], rng: random.Random
) -> tuple[Evidence, list[dict[str, list[Fact]]]]:
    """A crowd at all nodes, and these faults one after the other. The evidence, and every node's history."""
    evidence = Evidence()
    crowd = _steady(gather(evidence, rng), evidence)
    users = sorted({user for _, user, _ in READERS})
    histories: list[dict[str, list[Fact]]] = []
    async with AsyncExitStack() as stack:
        stack.push_async_callback(fleet.aclose)
        await fleet.start()
        members = {
            group: [*users, *(sender.user for sender in crowd.senders[number :: len(GROUPS)])]
            for number, group in enumerate(GROUPS)
        }
        await create_groups(fleet, members)
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            for reader in crowd.readers:
                nursery.start_soon(reader.run, fleet)
                with trio.fail_after(WAIT_S):
                    await reader.welcomed.wait()
            async with trio.open_nursery() as senders:
                for sender in crowd.senders:
                    senders.start_soon(sender.run, fleet, stop)
                for fault in faults:
                    await first_ack(crowd)
                    await trio.sleep(rng.uniform(0.02, 0.5))
                    await fault(fleet, rng)
                await first_ack(crowd)
                stop.set()
                senders.cancel_scope.deadline = trio.current_time() + WAIT_S
            for sender in crowd.senders:
                sender.give_up()
            for member in fleet.members:
                found: dict[str, list[Fact]] = {}
                for user, rooms in crowd.rooms.items():
                    with trio.fail_after(WAIT_S):
                        found |= await history(member, user, rooms)
                histories.append(found)
            evidence.history = histories[0]
            await caught_up(crowd, evidence)
            nursery.cancel_scope.cancel()
    return evidence, histories


def _steady(crowd: Crowd, evidence: Evidence) -> Crowd:
    readers: list[Reader] = [
        Steady(name, user, transport, list(reader.heard), evidence)
        for (name, user, transport), reader in zip(READERS, crowd.readers, strict=True)
    ]
    return crowd._replace(readers=readers)


# ------------------------------------------------------------------------------------------ faults


async def node_killed(fleet: Fleet, rng: random.Random) -> None:
    member = rng.choice(fleet.members)
    await member.kill()
    await trio.sleep(rng.uniform(0, 0.5))
    await member.start()


class OnServer:
    """Things that befall a server."""

    def __init__(self, redis: RealServer) -> None:
        self._redis = redis

    async def killed(self, fleet: Fleet, rng: random.Random) -> None:
        """It comes back with whatever it has kept."""
        self._redis.kill()
        await trio.sleep(rng.uniform(0, 0.5))
        await trio.to_thread.run_sync(self._redis.start)

    async def flushed(self, fleet: Fleet, rng: random.Random) -> None:
        await trio.to_thread.run_sync(self._redis.command, "FLUSHALL")

    async def paused(self, fleet: Fleet, rng: random.Random) -> None:
        self._redis.pause()
        await trio.sleep(3)
        self._redis.resume()

    async def promoted(self, fleet: Fleet, rng: random.Random) -> None:
        """It has another replication id, as after it was demoted and took over again."""
        await trio.to_thread.run_sync(self._redis.command, "DEBUG", "CHANGE-REPL-ID")

    async def went_back(self, fleet: Fleet, rng: random.Random) -> None:
        """It comes back with what it had before a node was started again, and much was sent."""
        await trio.to_thread.run_sync(self._redis.command, "SAVE")
        await node_killed(fleet, rng)
        await trio.sleep(rng.uniform(0, 1))
        await self.killed(fleet, rng)

    async def all_killed(self, fleet: Fleet, rng: random.Random) -> None:
        """All nodes and the server at once, as when the power fails."""
        for member in fleet.members:
            await member.kill()
        self._redis.kill()
        await trio.to_thread.run_sync(self._redis.start)
        async with trio.open_nursery() as nursery:
            for member in fleet.members:
                nursery.start_soon(member.start)
