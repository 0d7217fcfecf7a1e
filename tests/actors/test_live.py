"""The listeners of a room: batches cut where they change, and real sessions that come, go and catch up while a large
delivery is under way. Each fact once, none lost, in order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.actors.actor import Registry
from gochat.actors.fact_batch import FactBatch, fact_batches
from gochat.actors.live import SLICE
from gochat.actors.subscriber import send_best_effort
from gochat.actors.timer_wheel import TimerWheel
from gochat.actors.user import UserActor, UserContext
from gochat.auth.keys import OneKey
from gochat.auth.standing import Standing
from gochat.auth.tokens import Issuer, JwtTokens
from gochat.config import Auth
from gochat.domain import commands, facts
from gochat.domain.limits import UserLimits
from gochat.notify.context import NotifyContext
from gochat.protocol import replies
from gochat.protocol.codec import LINE_JSON, Codec
from gochat.protocol.ndjson import LineReader
from gochat.session.dispatch import client_session
from gochat.session.gateway import Gateway, SessionBounds
from gochat.transports.outbox import Outbox, WaitingBytes
from tests.actors.house import TEA, House, Recorder, keep_house, run
from tests.actors.test_room_listeners import heard
from tests.policies import NoRules

# ---------------------------------------------------------------------------------------------- stretches

KINDS = st.sampled_from(["message", "added", "removed", "left", "role", "closed"])


def fact(seq: int, kind: str) -> facts.AnyFact:
    base: dict[str, Any] = {"room": TEA, "seq": seq, "ts": seq, "sender": "ann"}
    if kind == "message":
        return facts.Message(**base, body="x")
    if kind == "closed":
        return facts.Closed(**base)
    return facts.Member(**base, users=[f"u{seq}"], change=kind)


@given(st.lists(KINDS, min_size=1, max_size=12))
def test_a_batch_is_cut_exactly_where_the_listeners_change(kinds: list[str]) -> None:
    batch = [fact(seq, kind) for seq, kind in enumerate(kinds, 5)]
    cut = fact_batches(TEA, 7, batch)
    assert [each for fact_batch in cut for each in fact_batch.facts] == batch
    assert sum(kind == "message" or kind == "role" for kind in kinds) < len(kinds) or len(cut) == 1
    for fact_batch in cut:
        assert (fact_batch.first, fact_batch.last, fact_batch.commit) == (
            fact_batch.facts[0].seq,
            fact_batch.facts[-1].seq,
            7,
        )
        changes = [
            getattr(each, "change", "closed" if isinstance(each, facts.Closed) else "") for each in fact_batch.facts
        ]
        assert "added" not in changes[1:]
        assert not {"removed", "left", "closed"} & set(changes[:-1])
        assert list(fact_batch.added) == ([f"u{fact_batch.first}"] if changes[0] == "added" else [])
        ends = {"removed": [f"u{fact_batch.last}"], "left": [f"u{fact_batch.last}"], "closed": None}.get(
            changes[-1], []
        )
        assert (fact_batch.removed if fact_batch.removed is None else list(fact_batch.removed)) == ends


async def test_a_stretch_is_encoded_once() -> None:
    fact_batch = FactBatch(TEA, 1, [fact(1, "message"), fact(2, "message")])
    async with keep_house() as house:
        sessions = [Recorder(house, "ann"), Recorder(house, "bob")]
        house.live.send(fact_batch, sessions)
    for session in sessions:
        assert session.pushes[0] is fact_batch.encoded[LINE_JSON]
    assert [msgspec.json.decode(send_queue)["seq"] for send_queue in fact_batch.encoded[LINE_JSON].splitlines()] == [
        1,
        2,
    ]


# ---------------------------------------------------------------------------------------------- sessions

SCOPES = SessionBounds(outbox_bytes=1 << 20)
SECRET = "s" * 32
AUTH = Auth(secret=SECRET)


class Wire:
    """A peer's end: keeps what it is sent, as fast as it likes. Beyond that what a session needs of its connection."""

    transport, peer, peer_answers, tells_close = "tcp", "here", False, False
    max_silence_s = secret = None

    def __init__(self, spawn: Callable[..., None], pause: Callable[[], float]) -> None:
        self.frames: list[dict[str, Any]] = []
        self.closing: tuple[int, str] | None = None
        self.heard = 0.0
        self._pause = pause
        self._reader = LineReader(1 << 20)
        self.outbox = Outbox(SCOPES.outbox_bytes, spawn, socket=None, stream=self)  # type: ignore[arg-type]

    async def send_all(self, data: bytes) -> None:
        await trio.sleep(self._pause())
        self.take(data)

    def take(self, data: bytes) -> None:
        """Bytes come in pieces that know no frames."""
        self.frames += map(msgspec.json.decode, self._reader.feed(data))

    def signed_in(self) -> None: ...

    def ping(self, codec: Codec) -> None: ...

    def finish(self, number: int, reason: str) -> None:
        self.closing = self.closing or (number, reason)

    def abort(self) -> None:
        self.finish(0, "aborted")
        self.outbox.discard()


class Peer:
    """A client over a real session."""

    def __init__(self, town: Town, user: str, resume: int | None = None) -> None:
        self.user = user
        self.resume = resume
        self.wire = Wire(town.spawn, town.pause)
        self.session = client_session(town.gateway, self.wire, LINE_JSON, None)  # type: ignore[arg-type]
        self.ask(type="hello", token=town.token(user), resume={} if resume is None else {TEA: {"seq": resume}})

    def ask(self, **frame: Any) -> None:
        self.session.receive(msgspec.json.encode(frame))

    @property
    def facts(self) -> list[int]:
        return [frame["seq"] for frame in self.wire.frames if "from" in frame and "seq" in frame]

    def restart(self, seq: int) -> None:
        """Ask for the room anew from `seq`, in the middle of whatever goes on."""
        self.ask(type="resume", room=TEA, seq=seq, id=seq)

    def walk(self, first: int) -> int:
        """Follow what came from `first` on, one seq after the other and anew after each restart; what comes next."""
        following = first
        for frame in self.wire.frames:
            if frame["type"] == "ok":
                following = frame["id"] + 1
            elif "from" in frame and "seq" in frame:
                assert frame["seq"] == following, (self.user, self.resume)
                following += 1
        return following

    @property
    def acks(self) -> list[tuple[int, int]]:
        """Where each ack stands in what came, and its seq."""
        return [(at, frame["seq"]) for at, frame in enumerate(self.wire.frames) if frame["type"] == "ack"]

    def expected(self, log: list[tuple[int, facts.AnyFact]]) -> list[int]:
        """The seqs that a client with this welcome hears by the contract."""
        head = sum(commit <= self.session.since for commit, _ in log)
        after = head if self.resume is None else self.resume
        return [seq for seq in heard([fact for _, fact in log], self.user) if seq > after]


class Town:
    """A house with real sessions and users; `seed` decides who waits how long."""

    def __init__(self, house: House, nursery: trio.Nursery, seed: int) -> None:
        self.house = house
        self.dice = random.Random(seed)
        self.spawn = nursery.start_soon
        timer_wheel = TimerWheel()
        context = UserContext(
            house.live,
            house.rooms,
            house.journal,
            house.clock,
            timer_wheel,
            UserLimits(),
            NoRules(),
            1000,  # type: ignore[arg-type]
        )
        users: Registry[UserActor] = Registry(house.actors, house.run_queue, partial(UserActor, context=context), 1000)
        self.gateway = Gateway(
            node="here",
            server="test",
            journal=house.journal,
            archive=house.archive,
            tokens=JwtTokens(AUTH, OneKey(SECRET.encode())),
            live=house.live,
            users=users,
            rooms=house.rooms,
            limits=replies.Limits(messages_per_s=0),
            bounds=SCOPES,
            timer_wheel=timer_wheel,
            after_leaving=True,
            rules=NoRules(),
            standing=Standing(),
            notifications=NotifyContext(notices=house.notices),
            spawn=self.spawn,
            sessions={},
            waiting=WaitingBytes(),
        )

    def token(self, user: str) -> str:
        return Issuer(AUTH, SECRET).issue(user, now_s=int(time.time()), ttl_s=3_600)

    def pause(self) -> float:
        """Mostly the next tick; now and then long enough for many turns."""
        return self.dice.choice([0, 0, 0, 0, 0.01, 0.05])

    async def rest(self) -> None:
        for _ in range(self.dice.randrange(6)):
            await trio.lowlevel.checkpoint()
        if self.dice.random() < 0.3:
            await trio.sleep(self.pause())


async def in_town(seed: int, act: Callable[[Town], Any], slice_: int = SLICE) -> None:
    async with keep_house(slice_=slice_) as house, trio.open_nursery() as nursery:
        await act(Town(house, nursery, seed))
        nursery.cancel_scope.cancel()


SETTLED = {f"s{n}" for n in range(12)}


async def a_busy_day_of_two_nodes(town: Town) -> None:
    """The same, while others write and manage at another node, and rooms go to sleep."""
    house, dice = town.house, town.dice
    await house.tea(*sorted(SETTLED), "d0", "d1", "d2")

    async def elsewhere() -> None:
        await house.settled()
        for n in range(25):
            wanted: list[commands.AnyCommand] = [
                commands.Send(room=TEA, user="s9", body=f"{n} {m}") for m in range(dice.randrange(1, 3))
            ]
            if dice.random() < 0.3:
                some = tuple(dice.sample([f"d{n}" for n in range(6)], dice.randrange(1, 4)))
                wanted.append(dice.choice([commands.Add, commands.Remove])(room=TEA, user="ann", users=some))
            house.shared.silent = dice.random() < 0.3
            await house.elsewhere(*wanted)
            await town.rest()
            house.shared.speak()
            if dice.random() < 0.2:
                house.rooms.passivate_idle(house.live.oldest_reading())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(elsewhere)
        nursery.start_soon(a_busy_day, town)


async def a_busy_day(town: Town) -> None:
    """Writers write, members are added and removed, sessions come, catch up and go: all at once."""
    house, dice, peers = town.house, town.dice, list[Peer]()
    drifters = [f"d{n}" for n in range(6)]
    await house.tea(*sorted(SETTLED), *drifters[:3])
    peers += [Peer(town, user) for user in [*sorted(SETTLED), *sorted(SETTLED), *drifters]]
    gone: set[Peer] = set()

    async def write(user: str) -> None:
        mine = next(peer for peer in peers if peer.user == user)
        for n in range(12):
            for _ in range(dice.randrange(1, 4)):
                mine.ask(type="send", to=TEA, body=f"{user} {n}", id=n)
            await town.rest()

    async def manage() -> None:
        for _ in range(15):
            some = tuple(dice.sample(drifters, dice.randrange(1, 4)))
            kind = dice.choice([commands.Add, commands.Remove])
            house.ask(kind(room=TEA, user="ann", users=some))
            await town.rest()

    async def come_and_go() -> None:
        for _ in range(15):
            user = dice.choice([*sorted(SETTLED), *drifters, *drifters])
            # Someone who was away: a member all the time, who holds what there was at some earlier time.
            held = dice.randint(2, len(house.journal.log[TEA])) if user in SETTLED and dice.random() < 0.6 else None
            peers.append(Peer(town, user, held))
            await town.rest()
            if dice.random() < 0.3:
                leaver = dice.choice(peers[30:] or peers[-1:])
                leaver.session.ended()
                leaver.wire.abort()
                gone.add(leaver)

    async def restart() -> None:
        for _ in range(20):
            peer = dice.choice(peers)
            if peer.user in SETTLED and peer not in gone and peer.facts:
                peer.restart(dice.randint(max(2, peer.facts[-1] - 10), peer.facts[-1]))
            await town.rest()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(restart)
        for user in ("s1", "s2", "s3"):
            nursery.start_soon(write, user)
        nursery.start_soon(manage)
        nursery.start_soon(come_and_go)
    await house.settled()
    check(house, [peer for peer in peers if peer not in gone], gone)


def check(house: House, here: list[Peer], gone: set[Peer]) -> None:
    log = house.journal.log[TEA]
    assert [fact.seq for _, fact in log] == list(range(1, len(log) + 1))
    for peer in here:
        assert peer.wire.closing is None
        assert not [frame for frame in peer.wire.frames if frame["type"] in ("lag", "reset", "error")]
        expected = peer.expected(log)
        if peer.user in SETTLED:
            assert peer.walk(expected[0] if expected else len(log) + 1) == len(log) + 1
        else:
            assert peer.facts == expected, peer.user
        for at, seq in peer.acks:
            assert seq not in [frame["seq"] for frame in peer.wire.frames[:at] if frame["type"] == "message"]
    for peer in gone:
        if peer.session.since and peer.user not in SETTLED:
            assert peer.facts == peer.expected(log)[: len(peer.facts)]


@pytest.mark.parametrize("slice_", [1, 3, 400])
@settings(max_examples=25)
@given(st.integers(0, 1 << 32))
def test_each_fact_once_whoever_comes_and_goes(slice_: int, seed: int) -> None:
    run(partial(in_town, seed, a_busy_day, slice_))


@settings(max_examples=10)
@given(st.integers(0, 1 << 32))
def test_each_fact_once_whichever_node_decides_it(seed: int) -> None:
    run(partial(in_town, seed, a_busy_day_of_two_nodes, 3))


async def a_slow_reader(town: Town) -> None:
    """Its outbox overflows: it lags, pages what it missed, resumes, and has missed nothing."""
    await town.house.tea("bob", "cat")
    bob, cat = Peer(town, "bob"), Peer(town, "cat")
    await town.house.settled()
    cat.wire.send_all = _holding(cat.wire, held := trio.Event())  # type: ignore[method-assign]
    held.set()
    held = trio.Event()
    bob.wire.send_all = _holding(bob.wire, held)  # type: ignore[method-assign]
    for n in range(40):
        town.house.ask(
            *town.house.say("x" * 4000, "y" * 4000, "z" * 4000, "z" * 4000, "z" * 4000, "z" * 4000, "z" * 4000)
        )
        await town.rest()
        assert bob.wire.outbox.size <= SCOPES.outbox_bytes + 4096, n
    await town.house.settled()
    held.set()
    await town.house.settled()
    (lag,) = [frame for frame in bob.wire.frames if frame["type"] == "lag"]
    assert lag["head"] <= len(town.house.journal.log[TEA])
    assert cat.facts == cat.expected(town.house.journal.log[TEA])
    before = bob.facts
    town.house.ask(*town.house.say("not told to who lags"))
    await town.house.settled()
    assert bob.facts == before == list(range(3, 3 + len(before)))
    bob.ask(type="resume", room=TEA, seq=before[-1], id="r")
    town.house.ask(*town.house.say("and on"))
    await town.house.settled()
    assert bob.facts == cat.facts


def _holding(wire: Wire, held: trio.Event) -> Callable[[bytes], Any]:
    async def send_all(data: bytes) -> None:
        await held.wait()
        wire.take(data)

    return send_all


@pytest.mark.parametrize("seed", range(3))
def test_a_slow_reader_lags_and_catches_up(seed: int) -> None:
    run(partial(in_town, seed, a_slow_reader))


async def a_queue_that_waits_for_its_turn(town: Town) -> None:
    """Bytes that stand in line are the server's to send: the peer is not slow."""
    await town.house.tea("bob")
    bob = Peer(town, "bob")
    await town.house.settled()
    assert bob.session.offer(LINE_JSON.encode(replies.Pong(id=1)))
    await trio.sleep(SCOPES.slow_s + 1)
    bob.session.deadlines.check(trio.current_time())
    assert bob.wire.closing is None
    town.house.ask(*town.house.say("one"))
    await town.house.settled()
    assert [frame["type"] for frame in bob.wire.frames[-2:]] == ["pong", "message"]


def test_what_stands_in_line_makes_nobody_slow() -> None:
    run(partial(in_town, 1, a_queue_that_waits_for_its_turn))


async def a_soft_event_for_who_stands_in_line(town: Town) -> None:
    """It leaves with what is queued, behind it, and costs no send of its own."""
    await town.house.tea("bob")
    bob = Peer(town, "bob")
    await town.house.settled()
    before = len(bob.wire.frames)
    send_queue = town.house.live.broadcaster.short
    bob.session.offer(LINE_JSON.encode(replies.Pong(id=1)))
    send_queue.add(bob.session)
    send_best_effort([bob.session], replies.Typing(room=TEA, sender="ann"))
    assert bob.wire.outbox.size and not bob.wire.outbox.writing
    town.house.live.broadcaster.wake()
    await town.house.settled()
    assert [frame["type"] for frame in bob.wire.frames[before:]] == ["pong", "typing"]


def test_a_soft_event_waits_with_what_is_queued() -> None:
    run(partial(in_town, 1, a_soft_event_for_who_stands_in_line))
