"""Plays a plan: machines, clients, and the faults that befall them; then looks whether all came right again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from random import Random
from typing import Final

import msgspec
import trio
from msgspec.structs import replace

from gochat.auth import tokens as auth
from gochat.auth.claims import DEFAULT_SCOPES
from gochat.cluster.memory_server import MemoryServer
from gochat.config import Auth, Http, Limits, Node, Policy, Rooms, Session, Settings
from gochat.errors import StoreError
from gochat.listening import TRANSPORTS
from gochat.policy import RulesInForce
from gochat.sim import plan as plans
from gochat.sim.checker import has_heard_all, violations
from gochat.sim.client import PAGE, Client
from gochat.sim.determinism import BEGIN_NS, listening_to_logs, now_s, one_run, run_jumping, steady_ms
from gochat.sim.disk import TELL_S, empty_image
from gochat.sim.evidence import Evidence, Fact, Name
from gochat.sim.frames import Conversation, fact_of
from gochat.sim.host import Host
from gochat.sim.network import Gone, Wire
from gochat.sim.operators import Operators
from gochat.sim.plan import Plan, dm
from gochat.sim.server import end, keeping
from gochat.sim.shared import create

#: How long everything may take to come right once the faults have ended.
HEALING_S: Final = 60.0
#: A node that could not start is started again after so long.
RESTART_S: Final = 0.5
_LOOK_S: Final = 0.05
#: No secret: nothing listens anywhere.
_KEY: Final = "simulated-" * 4
_DAY_S: Final = 86_400


class Outcome(msgspec.Struct, frozen=True):
    """The end of a plan."""

    violations: list[str]
    """Broken promises, in words; empty: all were kept."""
    trace: list[str]
    """Everything that happened outside the nodes, and what they logged, a line each with its time."""
    acked: int
    """Messages that were acked."""

    @property
    def digest(self) -> str:
        """Names the trace: two runs with one digest were the same."""
        return hashlib.blake2b("\n".join(self.trace).encode(), digest_size=8).hexdigest()


def play(plan: Plan) -> Outcome:
    """Run the plan, in simulated time and in this thread; the process must do nothing else meanwhile. The same plan
    has the same outcome each time."""
    # Made once in a process, and made here: they would draw from the first run's chance, and from no other's.
    _rules()
    empty_image()
    with one_run(plan.seed, keeping(plan.window, plan.idle_ms)):
        world = _World(plan)
        with listening_to_logs(world.logged):
            run_jumping(world.run)
    return Outcome([*world.problems, *violations(world.evidence)], world.trace, len(world.evidence.acks))


def make_settings(name: str, plan: Plan) -> Settings:
    """The settings of a simulated node: nothing is refused but for the reasons that the plan brings about."""
    settings = Settings(
        node=Node(name=name, drain_s=2.0),
        http=Http(page=False),
        auth=Auth(secret=_KEY),
        limits=Limits(messages_per_s=0.0, outbox_bytes=plan.outbox_bytes),
        policy=Policy(strangers="allow", word_action="off", links="allow", add_budget=0),
        session=Session(heartbeat_s=10.0, slow_s=10.0),
        rooms=Rooms(idle_s=plan.idle_ms / 1000) if plan.idle_ms else Rooms(),
    )
    for row in TRANSPORTS:  # Nothing listens at an address.
        section, _, field = row.setting.partition(".")
        off = replace(getattr(settings, section), **{field: ""})
        settings = replace(settings, **{section: off})
    return settings


@cache
def _rules() -> RulesInForce:
    return RulesInForce(Policy(strangers="allow", word_action="off", links="allow", add_budget=0))


class _World:
    def __init__(self, plan: Plan) -> None:
        self.problems: list[str] = []
        self.trace: list[str] = []
        self.evidence = Evidence()
        self._plan = plan
        self._hosts: dict[str, Host] = {}
        self._server: MemoryServer | None = None
        if len(plan.nodes) > 1:
            self._server = MemoryServer(random=Random(plan.seed), now_ms=steady_ms)
        self._clients: dict[str, Client] = {}
        self._operators: Operators | None = None
        self._wires: dict[str, Wire] = {}
        """By client the latest."""
        self._ending = False

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            if self._server is not None:
                await create(self._server)
            self._make_hosts(nursery)
            if self._server is not None:
                self._operators = Operators(self._server, self._hosts, self.evidence, nursery, self.note)
                if self._plan.window:
                    self._operators.expect_gaps()
                nursery.start_soon(self._operators.run)
            try:
                await self._play(nursery)
            finally:
                self._ending = True
                for host in self._hosts.values():
                    host.kill(keep=True, silent=True)
                nursery.cancel_scope.cancel()

    async def _play(self, nursery: trio.Nursery) -> None:
        await self._all_serve()
        await self._make_groups()
        self._make_clients(nursery)
        async with trio.open_nursery() as troubles:
            began = trio.current_time()
            for trouble in self._plan.troubles:
                troubles.start_soon(self._befall, trouble, began)
        await trio.sleep(self._plan.linger_ms / 1000)
        self._heal()
        await self._come_right()

    # ------------------------------------------------------------------------------------------ making

    def _make_hosts(self, nursery: trio.Nursery) -> None:
        plan = self._plan
        for name in (*plan.nodes, *plan.spares):
            self._hosts[name] = Host(
                name,
                make_settings(name, plan),
                _rules(),
                Random(f"{plan.seed} {name}"),
                nursery,
                merge_at=plan.merge_at,
                tell_s=plan.tell_ms / 1000 or TELL_S,
                server=self._server,
                joined=name != plan.nodes[0],
                crashed=self._crashed,
            )
            self._hosts[name].absent = name in plan.spares
            self._hosts[name].start()

    async def _all_serve(self) -> None:
        await _until(lambda: all(self._hosts[name].serves for name in self._plan.nodes))

    async def _make_groups(self) -> None:
        for group, (owner, *others) in self._plan.groups.items():
            frame = {"type": "group", "name": group, "action": "create", "users": others}
            while True:
                try:
                    async with self._signed_in(owner) as conversation:
                        await conversation.call(frame)
                    break
                except Gone:
                    await trio.sleep(RESTART_S)

    def _make_clients(self, nursery: trio.Nursery) -> None:
        plan = self._plan
        nodes = [*plan.nodes, *plan.spares]
        for each in plan.clients:
            rooms = [f"group:{group}" for group in plan.groups]
            rooms += [dm(each.user, other) for other in plan.users if other != each.user]

            def connect(node: str, name: str = each.name) -> Wire:
                wire = self._wires[name] = self._hosts[node].connect()
                return wire

            client = Client(each, nodes, rooms, connect, self._token(each.user), self.evidence, self.note)
            self._clients[each.name] = client
            nursery.start_soon(client.run)

    def _token(self, user: str, *scopes: str) -> str:
        issued_s = BEGIN_NS // 1_000_000_000 - _DAY_S
        issuer = auth.Issuer(Auth(secret=_KEY), _KEY)
        return issuer.issue(user, now_s=issued_s, ttl_s=3 * _DAY_S, scopes=[*DEFAULT_SCOPES, *scopes])

    @asynccontextmanager
    async def _signed_in(
        self, user: str, *scopes: str, node: str | None = None, whole_until: float = 0.0
    ) -> AsyncIterator[Conversation]:
        """Raises Gone; until `whole_until` also where the node may lack what others have acknowledged, as it says."""
        wire = self._hosts[node or self._plan.nodes[0]].connect()
        try:
            conversation = Conversation(f"({user})", wire, self.note)
            welcome = await conversation.call({"type": "hello", "token": self._token(user, *scopes)})
            if welcome["type"] != "welcome":
                raise Gone
            if welcome.get("incomplete") and trio.current_time() < whole_until:
                raise Gone
            yield conversation
        finally:
            wire.close()

    # ------------------------------------------------------------------------------------------ telling

    def note(self, who: str, what: bytes) -> None:
        if not self._ending:
            self.trace.append(f"{now_s():.6f} {who} {what.decode()}")

    def logged(self, record: logging.LogRecord, machine: str) -> None:
        self.note(f"{machine} {record.levelname.lower()}", record.getMessage().encode())
        if record.exc_info and record.exc_info[1] is not None and record.levelno >= logging.ERROR:
            self.problems.append(f"{machine}: {record.getMessage()}: {record.exc_info[1]!r}")

    def _crashed(self, name: str, error: BaseException) -> None:
        self.note(name, f"crashed: {error!r}".encode())
        host, leaves = self._hosts[name], _leaves(error)
        if self._operators is not None and any(self._operators.may_need_a_folder(host, leaf) for leaf in leaves):
            self._operators.give_a_folder(host)
            return
        if not all(isinstance(leaf, StoreError) for leaf in leaves):
            self.problems.append(f"{name} crashed: {'; '.join(map(repr, leaves))}")
        host.start_later(RESTART_S)

    # ------------------------------------------------------------------------------------------ faults

    async def _befall(self, trouble: plans.AnyTrouble, began: float) -> None:
        await trio.sleep_until(began + trouble.at_ms / 1000)
        self.note("fault", msgspec.json.encode(trouble))
        match trouble:
            case plans.Kill(node=node, down_ms=down_ms, keep=keep, silent=silent):
                self._hosts[node].kill(keep=keep, silent=silent)
                await trio.sleep(down_ms / 1000)
                self._hosts[node].start()
            case plans.Stop(node=node, down_ms=down_ms):
                if not await self._hosts[node].stop():
                    self.problems.append(f"{node} does not stop")
                await trio.sleep(down_ms / 1000)
                self._hosts[node].start()
            case plans.Stall(node=node, for_ms=for_ms):
                self._hosts[node].disk.stall(for_ms / 1000)
            case plans.Failing(node=node, how=how):
                self._hosts[node].disk.fail(*how)
            case plans.Sever(client=client, silent=silent):
                if client in self._wires:
                    self._wires[client].sever(node_told=not silent)
            case plans.Server(what=what) if self._server is not None:
                self._server.strike(what)
            case plans.Clock(node=node, skew_ms=skew_ms):
                self._hosts[node].set_clock(skew_ms * 1_000_000)
            case plans.Blackout(down_ms=down_ms, keep=keep, what=what) if self._server is not None:
                for host in self._hosts.values():
                    host.kill(keep=keep, silent=False)
                self._server.strike(what)
                await trio.sleep(down_ms / 1000)
                for host in self._hosts.values():
                    host.start()
            case _ if self._operators is not None and isinstance(trouble, plans.Churn):
                # They may need until after the other faults.
                self._operators.begin(trouble)

    def _heal(self) -> None:
        self.note("world", b"the faults have ended")
        if self._server is not None:
            end(self._server, list(self._hosts))
        for host in self._hosts.values():
            host.disk.heal()
            if self._server is not None:
                host.set_clock(0)  # A node of a cluster whose clock is off takes nothing.
            host.start()

    # ------------------------------------------------------------------------------------------ the end

    async def _come_right(self) -> None:
        """Everything that was asked for is answered, and everybody knows everything."""
        with trio.move_on_after(HEALING_S) as patience:
            await _until(self._is_in_order)
            await _until(lambda: all(client.finished for client in self._clients.values()))
            await _until(lambda: self._is_in_order() and not any(map(_pending, self._hosts.values())))
            async with trio.open_nursery() as nursery:
                for client in self._clients.values():
                    nursery.start_soon(client.look_again)
            await self._read_history()
            await _until(lambda: all(has_heard_all(self.evidence, client) for client in self._clients))
        if patience.cancelled_caught:
            self._tell_stuck()
        for asked in self.evidence.asked:
            if asked.kind == "send" and "key" in asked.frame and not asked.succeeded:
                self.evidence.given_up.add(Name(asked.frame["to"], asked.user, asked.frame["key"]))

    def _is_in_order(self) -> bool:
        """Whether all nodes are what they are to be, and take messages."""
        operators = self._operators
        return (operators is None or operators.idle) and all(map(_takes_messages, self._hosts.values()))

    def _tell_stuck(self) -> None:
        if self._operators is not None and not self._operators.idle:
            self.problems.append(f"the cluster's nodes are not in order, {HEALING_S:.0f} s after all faults")
        for host in self._hosts.values():
            waits = [check.problem for check in host.readiness() if check.problem]
            if _pending(host):
                self.problems.append(
                    f"{_pending(host)} entries of {host.name} are not in the log, and nobody sends them"
                )
            if not _takes_messages(host):
                self.problems.append(f"{host.name} takes no messages, {HEALING_S:.0f} s after all faults: {waits}")
            self.note(host.name, f"is {'there' if host.serves else 'not there'}: {waits}".encode())
        for client in self._clients.values():
            if client.waits_for():
                self.problems.append(
                    f"{client.name} waits for {client.waits_for()}, {HEALING_S:.0f} s after all faults"
                )

    async def _read_history(self) -> None:
        rooms = [f"group:{group}" for group in self._plan.groups]
        users = self._plan.users
        rooms += [dm(one, other) for one in users for other in users if one < other]
        first, *others = [host.name for host in self._hosts.values() if not host.absent]
        pages = await self._read_at(first, rooms)
        self.evidence.history = {room: facts for room, (_, facts) in pages.items()}
        for node in others:
            for room, (epoch, facts) in (await self._read_at(node, rooms)).items():
                if facts != self.evidence.history[room]:
                    self.problems.append(f"{node} has another history of {room} than {first}")
                if epoch != pages[room][0]:
                    self.problems.append(f"{node} tells another epoch of {room} than {first}")

    async def _read_at(self, node: str, rooms: Sequence[str]) -> dict[str, tuple[str, list[Fact]]]:
        """Of each room the epoch and the facts. A node lets operators in while its disk stands still, and then has less
        than others: that is waited for, unless it lasts."""
        whole_until = trio.current_time() + HEALING_S
        while True:
            try:
                async with self._signed_in("judge", "admin", node=node, whole_until=whole_until) as conversation:
                    return {room: await _page_all(conversation, room) for room in rooms}
            except Gone:
                await trio.sleep(RESTART_S)


def _pending(host: Host) -> int:
    return 0 if host.journal is None else host.journal.pending


def _takes_messages(host: Host) -> bool:
    """True of a machine that is nobody's node, too."""
    return host.absent or (host.serves and (host.journal is None or host.journal.problem is None))


async def _until(holds: Callable[[], bool]) -> None:
    """Looked for from outside: an event would have to be told by the nodes."""
    while not holds():  # noqa: ASYNC110
        await trio.sleep(_LOOK_S)


async def _page_all(conversation: Conversation, room: str) -> tuple[str, list[Fact]]:
    facts: list[Fact] = []
    epoch = ""
    while True:
        after = facts[-1].seq if facts else 0
        reply = await conversation.call({"type": "history", "room": room, "after": after, "limit": PAGE})
        if reply["type"] == "error" and reply["temporary"]:
            await trio.sleep(RESTART_S)
            continue
        epoch = reply.get("epoch", epoch)
        if reply["type"] == "error" or not reply["entries"]:
            return epoch, facts
        facts += map(fact_of, reply["entries"])


def _leaves(error: BaseException) -> Sequence[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
