"""Three whole nodes that share a log in memory: users on any of them talk as on one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.client import Offline, Online, Reset, connect, facts
from gochat.client.events import Event
from gochat.cluster import faults
from gochat.cluster.entry import SITE
from gochat.cluster.journal import ClusterJournal
from gochat.cluster.memory_server import MemoryServer
from gochat.cluster.ports import Element
from gochat.node import Node
from tests.cluster.joining import caught_up, cluster_node, new_log, until
from tests.e2e.peer import Frame, Peer, address
from tests.http.rest.client import Answer, Rest
from tests.tokens import issue

NAMES = ("north", "south", "west")
#: For whatever must come in the end.
PATIENCE_S = 60


class Town:
    """The nodes, each in a task of its own, and people on them."""

    def __init__(self, folder: Path, server: MemoryServer, nursery: trio.Nursery) -> None:
        self.server = server
        self.nodes: dict[str, Node] = {}
        self._folder = folder
        self._nursery = nursery
        self._stops: dict[str, trio.Event] = {}
        self._stopped: dict[str, trio.Event] = {}
        self._open: list[Peer | Rest] = []

    async def start(self, *names: str, **sections: Any) -> None:
        with trio.fail_after(PATIENCE_S):
            for name in names:
                self._stops[name], self._stopped[name] = trio.Event(), trio.Event()
                await self._nursery.start(self._run, name, sections)
            for name in names:
                await caught_up(self.nodes[name].gateway.journal)  # type: ignore[arg-type]

    async def _run(self, name: str, sections: dict[str, Any], task_status: Any) -> None:
        async with cluster_node(self.server, self._folder, name, **sections) as node:
            self.nodes[name] = node
            task_status.started()
            await self._stops[name].wait()
        del self.nodes[name]
        self._stopped[name].set()

    async def stop(self, *names: str) -> None:
        for name in names:
            self._stops[name].set()
        with trio.fail_after(PATIENCE_S):
            for name in names:
                await self._stopped[name].wait()

    async def aclose(self) -> None:
        for each in self._open:
            await each.aclose()
        await self.stop(*self.nodes)

    async def peer(self, name: str, user: str, **hello: Any) -> Peer:
        peer = await Peer.open(self.nodes[name], "tcp", self._nursery)
        self._open.append(peer)
        await peer.hello(user, **hello)
        return peer

    def rest(self, name: str, user: str, *scopes: str) -> Rest:
        node = self.nodes[name]
        rest = Rest(node, issue(node, user, scopes) if scopes else issue(node, user))
        self._open.append(rest)
        return rest


@pytest.fixture
async def town(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Town]:
    town = Town(tmp_path, await new_log(), nursery)
    # Thousands of tries ask more than a person may.
    await town.start(*NAMES, limits={"reads_per_s": 0.0, "refusals_per_s": 0.0})
    yield town
    await town.aclose()


def facts_of(frames: list[Frame]) -> list[tuple[int, str]]:
    return [(frame["seq"], frame["body"]) for frame in frames]


async def test_users_on_different_nodes_talk(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    for n in range(5):
        assert (await ann.ask("send", to="user:bob", body=f"a{n}"))["seq"] == 2 * n + 1
        assert (await bob.ask("send", to="user:ann", body=f"b{n}"))["seq"] == 2 * n + 2
    said = [(2 * n + 1 + who, f"{'ab'[who]}{n}") for n in range(5) for who in (0, 1)]
    assert facts_of(await ann.facts("dm:ann:bob", 10)) == said
    assert facts_of(await bob.facts("dm:ann:bob", 10)) == said
    page = (await town.rest("west", "ann")("GET", "/v1/messages?room=dm:ann:bob")).json
    assert facts_of(page["entries"]) == said


async def test_all_who_write_at_once_are_numbered_alike_everywhere(town: Town) -> None:
    keeper = await town.peer("north", "ann")
    await keeper.ask("group", name="tea", action="create", users=["bob", "cat"])
    peers = [keeper, await town.peer("south", "bob"), await town.peer("west", "cat")]
    room, count = "group:tea", 30
    acks: dict[int, str] = {}

    async def write(peer: Peer, who: str) -> None:
        for n in range(count):
            ack = await peer.ask("send", to=room, body=f"{who} {n}")
            assert ack["type"] == "ack", ack
            acks[ack["seq"]] = f"{who} {n}"

    async with trio.open_nursery() as nursery:
        for peer, who in zip(peers, ("ann", "bob", "cat"), strict=True):
            nursery.start_soon(write, peer, who)
    first = min(acks)
    assert sorted(acks) == list(range(first, first + 3 * count)), "dense, and none twice"
    for peer in peers:
        told = [frame for frame in await peer.facts(room, first + 3 * count - 1) if frame["type"] == "message"]
        assert dict(facts_of(told)) == acks, "whoever was acked at a seq is read there"


async def test_the_journal_knows_whether_anybody_is_signed_in(town: Town) -> None:
    """Then no message may be late, and its naps are short."""
    journal = town.nodes["west"].gateway.journal
    assert isinstance(journal, ClusterJournal)
    has_listeners = journal._teller.has_listeners
    assert not has_listeners()
    cat = await town.peer("west", "cat")
    assert has_listeners()
    await cat.aclose()
    with trio.fail_after(PATIENCE_S):
        while has_listeners():  # noqa: ASYNC110 -- nothing tells
            await trio.sleep(0.01)


async def log_of(rest: Rest, room: str) -> list[Frame]:
    """All facts of a room, by REST."""
    entries: list[Frame] = []
    while True:
        after = entries[-1]["seq"] if entries else 0
        page = (await rest("GET", f"/v1/messages?room={room}&after={after}&limit=100")).json
        entries += page["entries"]
        if not page["entries"] or entries[-1]["seq"] >= page["head"]:
            return entries


async def all_at_once(*calls: Callable[[], Awaitable[Any]]) -> list[Any]:
    results: list[Any] = [None] * len(calls)

    async def run(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        results[index] = await call()

    async with trio.open_nursery() as nursery:
        for index, call in enumerate(calls):
            nursery.start_soon(run, index, call)
    return results


@pytest.mark.parametrize("tries", [20, pytest.param(1_000, marks=pytest.mark.long)])
async def test_the_same_key_on_all_nodes_is_one_message(town: Town, tries: int) -> None:
    peers = [await town.peer(name, "ann") for name in NAMES]
    for n in range(tries):
        acks = await all_at_once(
            *(partial(peer.ask, "send", to="user:bob", body="once", key=f"k{n}") for peer in peers)
        )
        assert {ack["seq"] for ack in acks} == {n + 1}, acks
        assert sorted(bool(ack.get("duplicate")) for ack in acks) == [False, True, True]


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.long)])
async def test_nothing_lands_above_a_removal(town: Town, tries: int) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    for n in range(tries):
        room = f"group:g{n}"
        await ann.ask("group", name=f"g{n}", action="create", users=["bob"])
        underway, refused = trio.Event(), trio.Event()
        seqs: list[int] = []

        async def flood(
            room: str = room,
            underway: trio.Event = underway,
            refused: trio.Event = refused,
            seqs: list[int] = seqs,
        ) -> None:
            while True:
                reply = await bob.ask("send", to=room, body="again")
                if reply["type"] != "ack":
                    assert reply["code"] == "not_member", reply
                    refused.set()
                    return
                seqs.append(reply["seq"])
                if len(seqs) == 5:
                    underway.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await underway.wait()
            removed = await ann.ask("group", name=f"g{n}", action="remove", users=["bob"])
            assert removed["type"] == "ok", removed
            await refused.wait()
        entries = await log_of(town.rest("west", "ann"), room)
        (gone,) = [each["seq"] for each in entries if each["type"] == "member" and each["change"] == "removed"]
        assert max(seqs) < gone
        assert [each["seq"] for each in entries if each["type"] == "message"] == sorted(seqs)


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.long)])
async def test_nothing_lands_above_a_block(town: Town, tries: int) -> None:
    bob = await town.peer("south", "bob")
    for n in range(tries):
        other = f"u{n}"
        blocker = await town.peer("north", other)
        seqs: list[int] = []
        underway, refused = trio.Event(), trio.Event()

        async def flood(
            other: str = other,
            underway: trio.Event = underway,
            refused: trio.Event = refused,
            seqs: list[int] = seqs,
        ) -> None:
            while True:
                reply = await bob.ask("send", to=f"user:{other}", body="again")
                if reply["type"] != "ack":
                    assert reply["code"] == "blocked", reply
                    refused.set()
                    return
                seqs.append(reply["seq"])
                if len(seqs) == 5:
                    underway.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            await underway.wait()
            assert (await blocker.ask("contact", user="bob", action="block"))["type"] == "ok"
            heard = [frame for frame in blocker.events if frame["type"] == "message"]
            await refused.wait()
        await blocker.ask("ping")
        late = [frame["seq"] for frame in blocker.events if frame["type"] == "message"]
        assert len(late) >= len(heard)
        assert max(late, default=0) <= max(seqs)
        assert (await bob.ask("send", to=f"user:{other}", body="after"))["code"] == "blocked"


@pytest.mark.parametrize("tries", [5, pytest.param(200, marks=pytest.mark.long)])
async def test_what_was_acked_is_read_on_any_other_node_at_once(town: Town, tries: int) -> None:
    """By sign-in, resume and REST, while the other node is slow."""
    ann = await town.peer("north", "ann")
    await ann.ask("send", to="user:bob", body="first")
    live = await town.peer("south", "bob")
    rest = town.rest("south", "bob")
    town.server.strike(faults.Slow(node="south", delay_s=0.02))
    for n in range(tries):
        seq = (await ann.ask("send", to="user:bob", body=f"m{n}"))["seq"]
        page = (await rest("GET", "/v1/messages?room=dm:ann:bob&limit=1")).json
        assert page["head"] == seq
        seq = (await ann.ask("send", to="user:bob", body=f"n{n}"))["seq"]
        fresh = await town.peer("south", "bob")
        (contact,) = fresh.welcome["contacts"]
        assert contact["head"] == seq
        await fresh.aclose()  # A user has so many sessions.
        seq = (await ann.ask("send", to="user:bob", body=f"o{n}"))["seq"]
        resumed = await live.ask("resume", room="dm:ann:bob", seq=seq, epoch=contact["epoch"])
        assert resumed["type"] == "ok" and resumed["head"] == seq, resumed
        assert not [frame for frame in live.events if frame["type"] == "reset"]


async def test_a_refusal_by_state_knows_what_was_acked_elsewhere(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    town.server.strike(faults.Slow(node="south", delay_s=0.02))
    for n in range(5):
        assert (await ann.ask("group", name=f"g{n}", action="create", users=["bob"]))["type"] == "ok"
        assert (await bob.ask("send", to=f"group:g{n}", body="here I am"))["type"] == "ack"


@pytest.mark.parametrize("kind", ["read", "got"])
async def test_a_position_is_capped_at_what_was_acked_elsewhere(town: Town, kind: str) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("contact", user="bob", action="add")
    await bob.ask("contact", user="ann", action="add")
    town.server.strike(faults.Slow(node="south", delay_s=0.02))
    await ann.ask("send", to="user:bob", body="hi")
    assert (await bob.ask(kind, room="dm:ann:bob", seq=99))["type"] == "ok"
    event = await ann.event(kind)
    assert (event["seq"] if kind == "read" else event["got"]["bob"]) == 1


@pytest.mark.parametrize("tries", [4, pytest.param(1_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("names", [("north", "south"), ("north", "north")], ids=["two nodes", "one node"])
async def test_of_two_conditional_changes_at_once_one_holds(town: Town, names: tuple[str, str], tries: int) -> None:
    ann = await town.peer("west", "ann")
    room = "group:tea"
    await ann.ask("group", name="tea", action="create", title="t", users=["bob", "cat"])
    await ann.ask("group", name="tea", action="role", user="bob", role="owner")
    seq = (await ann.ask("send", to=room, body="0"))["seq"]
    rests = [town.rest(names[0], "ann"), town.rest(names[1], "ann")]
    paths: dict[str, tuple[str, Callable[[str], dict[str, str]], str]] = {
        f"/v1/messages/{room}:{seq}": ("PATCH", lambda value: {"body": value}, "body"),
        "/v1/groups/tea": ("PATCH", lambda value: {"title": value}, "title"),
        "/v1/groups/tea/users/cat": ("PUT", lambda value: {"role": value}, "role"),
    }
    for path, (method, body, field) in paths.items():
        for n in range(tries):
            tag = (await rests[0]("GET", path)).headers["etag"]
            values = ("moderator", "owner") if field == "role" else (f"x{n}", f"y{n}")
            answers: list[Answer] = await all_at_once(
                *(
                    partial(rest, method, path, body(value), headers={"If-Match": tag})
                    for rest, value in zip(rests, values, strict=True)
                )
            )
            assert sorted(answer.status for answer in answers) == [200, 412], [answer.body for answer in answers]
            (won,) = [value for answer, value in zip(answers, values, strict=True) if answer.status == 200]
            assert (await town.rest("west", "ann")("GET", path)).json[field] == won
            if field == "role":
                await ann.ask("group", name="tea", action="role", user="cat", role="member")


async def test_a_suspended_user_is_out_on_every_node(town: Town) -> None:
    bob = await town.peer("south", "bob")
    await bob.ask("ping")
    admin = town.rest("north", "root", "chat:read", "chat:write", "admin")
    answer = await admin("PUT", "/v1/admin/suspensions/bob", {"reason": "spam"})
    assert answer.status < 300, answer.body
    assert await bob.closed() == 4503
    with pytest.raises(AssertionError, match="suspended"):
        await town.peer("west", "bob")


async def test_a_node_that_is_put_out_serves_nobody(town: Town) -> None:
    bob, rest = await town.peer("south", "bob"), town.rest("south", "bob")
    assert (await rest("GET", "/v1/me")).status == 200
    await town.nodes["north"].gateway.journal.forget("south")  # type: ignore[attr-defined]
    assert await bob.closed() == 4000
    assert (await rest("GET", "/v1/me")).refusal == (503, "unavailable")
    with pytest.raises(AssertionError, match="unavailable"):
        await town.peer("south", "bob")
    assert next(check.problem for check in town.nodes["south"].readiness() if check.name == "behind")


async def test_a_connection_that_was_open_when_the_epoch_changed_is_told_of_the_new_one_alone(
    town: Town, nursery: trio.Nursery
) -> None:
    early = await Peer.open(town.nodes["south"], "tcp", nursery)
    journals = [town.nodes[name].gateway.journal for name in ("north", "south")]
    before = journals[1].epoch
    await journals[0].forget("west", lacking=True)  # type: ignore[attr-defined]
    await until(lambda: journals[1].epoch != before)
    await early.hello("bob")
    made = await early.ask("send", to="user:ann", body="hi", key="k")
    again = await early.ask("send", to="user:ann", body="hi", key="k")
    page = await early.ask("history", room="dm:ann:bob")
    assert [frame["epoch"] for frame in (made, again, page)] == [journals[0].epoch] * 3
    await early.aclose()


async def test_a_client_that_knows_a_room_by_its_facts_alone_starts_it_anew_with_another_epoch(town: Town) -> None:
    """Seqs that it has may be of other messages now."""
    south = town.nodes["south"]
    host, port = address(south, "tcp")
    bob = await town.peer("north", "bob")
    with trio.fail_after(PATIENCE_S):
        async with connect(f"tcp://{host}:{port}", token=issue(south, "ann")) as ann:
            assert ann.welcome.contacts == []
            await bob.ask("send", to="user:ann", body="one")
            events: list[Event] = [await anext(ann)]
            await town.nodes["north"].gateway.journal.forget("west", lacking=True)  # type: ignore[attr-defined]
            events += [await anext(ann), await anext(ann)]
            bob = await town.peer("north", "bob")
            await bob.ask("send", to="user:ann", body="two")
            while not isinstance(events[-1], facts.Message):
                events.append(await anext(ann))
    assert [type(event) for event in events] == [facts.Message, Offline, Online, Reset, facts.Message]


@pytest.fixture
def wait_for_log(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets for how many seconds a log that does not answer is waited for; to be short only while none does."""
    return lambda wait_s: monkeypatch.setattr("gochat.cluster.barrier.WAIT_S", wait_s)


async def test_a_welcome_says_where_others_may_know_more(town: Town, wait_for_log: Callable[[float], None]) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    assert "incomplete" not in bob.welcome
    await ann.ask("send", to="user:bob", body="before")
    await bob.facts("dm:ann:bob", 1)
    town.server.strike(faults.Unreachable(node="south"))
    wait_for_log(0.2)
    await ann.ask("send", to="user:bob", body="after")
    late = await town.peer("south", "bob")
    (contact,) = late.welcome["contacts"]
    assert late.welcome["incomplete"] is True and contact["head"] == 1
    wait_for_log(60.0)
    town.server.strike(faults.Mended(node="south"))
    assert facts_of(await late.facts("dm:ann:bob", 2)) == [(2, "after")], "it is heard as soon as the node knows"
    assert "incomplete" not in (await town.peer("south", "bob")).welcome


async def test_a_node_without_the_log_tells_nobody_to_forget_a_newer_one(
    town: Town, wait_for_log: Callable[[float], None]
) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("send", to="user:bob", body="hi")
    await bob.facts("dm:ann:bob", 1)
    town.server.strike(faults.Unreachable(node="south"))
    wait_for_log(0.2)
    north, south = (town.nodes[name].gateway.journal for name in ("north", "south"))
    await north.forget("west", lacking=True)  # type: ignore[attr-defined]
    assert north.epoch != south.epoch
    position = {"seq": 1, "epoch": north.epoch}
    assert (await bob.ask("resume", room="dm:ann:bob", **position))["code"] == "unavailable"
    await bob.nothing_more()
    with pytest.raises(AssertionError, match="unavailable"):
        await town.peer("south", "bob", resume={"dm:ann:bob": position})
    await town.peer("south", "bob", resume={"dm:ann:bob": {"seq": 1, "epoch": south.epoch}})
    town.server.strike(faults.Mended(node="south"))
    assert await bob.closed() == 4000


async def test_a_client_that_is_ahead_of_the_log_is_not_told_of_an_epoch_that_is_over(
    town: Town, wait_for_log: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room's partition is all here; the new epoch, in another one, is still on its way to the node."""
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("send", to="user:bob", body="hi")
    await bob.facts("dm:ann:bob", 1)
    wait_for_log(0.2)
    north, south = (town.nodes[name].gateway.journal for name in ("north", "south"))
    with monkeypatch.context() as held:
        take_all = south._broadcast._take_all  # type: ignore[attr-defined]

        async def take(found: Mapping[int, Sequence[Element]]) -> None:
            await take_all({partition: elements for partition, elements in found.items() if partition != SITE})

        held.setattr(south._broadcast, "_take_all", take)  # type: ignore[attr-defined]
        await north.forget("west", lacking=True)  # type: ignore[attr-defined]
        assert north.epoch != south.epoch
        ahead = {"room": "dm:ann:bob", "seq": 2, "epoch": south.epoch}
        assert (await bob.ask("resume", **ahead))["code"] == "unavailable"
        await bob.nothing_more()
    assert await bob.closed() == 4000


async def test_a_node_without_the_log_sends_nobody_out_of_a_room(
    town: Town, wait_for_log: Callable[[float], None]
) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    for name in ("old", "tea"):
        await ann.ask("group", name=name, action="create", users=["bob"])
    await ann.ask("group", name="tea", action="remove", users=["bob"])
    await bob.facts("group:tea", 3)
    town.server.strike(faults.Unreachable(node="south"))
    wait_for_log(0.2)
    await ann.ask("group", name="new", action="create", users=["bob"])
    await ann.ask("group", name="tea", action="add", users=["bob"])
    for room, seq in (("group:new", 2), ("group:tea", 4)):
        assert (await bob.ask("resume", room=room, seq=seq))["code"] == "unavailable"
        with pytest.raises(AssertionError, match="unavailable"):
            await town.peer("south", "bob", resume={room: {"seq": seq}})
    assert (await bob.ask("resume", room="group:old", seq=2))["type"] == "ok"
    town.server.strike(faults.Mended(node="south"))


async def test_a_node_that_was_away_has_everything_when_it_is_back(town: Town) -> None:
    ann = await town.peer("north", "ann")
    await ann.ask("send", to="user:bob", body="one")
    await town.stop("south")
    for n in range(3):
        assert (await ann.ask("send", to="user:bob", body=f"more {n}"))["type"] == "ack"
    await town.start("south")
    bob = await town.peer("south", "bob")
    (contact,) = bob.welcome["contacts"]
    assert (contact["head"], contact["unread"]) == (4, 4)


async def test_nothing_is_lost_when_the_log_forgets_everything(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    sent = 0
    for restarted in (False, True):
        for n in range(5):
            assert (await ann.ask("send", to="user:bob", body=f"{sent + n + 1}"))["type"] == "ack"
        sent += 5
        town.server.strike(faults.EverythingLost(restarted=restarted))
        ack = await ann.ask("send", to="user:bob", body=f"{sent + 1}")
        while ack["type"] == "error":
            assert ack["code"] == "unavailable", ack
            ack = await ann.ask("send", to="user:bob", body=f"{sent + 1}")
        sent += 1
    told = await bob.facts("dm:ann:bob", sent)
    assert [int(frame["body"]) for frame in told] == sorted(range(1, sent + 1))
    page = (await town.rest("west", "ann")("GET", "/v1/messages?room=dm:ann:bob")).json
    assert [frame["body"] for frame in page["entries"]] == [frame["body"] for frame in told]


async def test_read_positions_and_names_are_known_everywhere(town: Town) -> None:
    ann, bob = await town.peer("north", "ann"), await town.peer("south", "bob")
    await ann.ask("contact", user="bob", action="add")
    for n in range(3):
        await ann.ask("send", to="user:bob", body=f"m{n}")
    await bob.facts("dm:ann:bob", 3)
    await bob.ask("read", room="dm:ann:bob", seq=2)
    elsewhere = await town.peer("west", "bob")
    (contact,) = elsewhere.welcome["contacts"]
    assert contact["unread"] == 1, "the first that is noted leaves at once"
