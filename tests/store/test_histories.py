"""Whatever happens in a room, the store tells it as a naive memory does. Random histories, made by the rules."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat import store as stores
from gochat.domain import commands, facts
from gochat.domain.foreign import fold
from gochat.domain.ids import is_dm
from gochat.domain.sight import redact
from gochat.domain.turn import RoomRules
from gochat.ports.archive import Snapshot, Viewer
from gochat.store import Store
from tests.contracts.archive import until
from tests.contracts.scribe import Scribe
from tests.store.conftest import PACES

TEA, DM = "group:tea", "dm:ann:bob"
PEOPLE = ["ann", "bob", "cat", "dan"]
BODIES = [
    "red apple",
    "Apple pie",
    "APPLET",
    "北京大学",
    "大学",
    "京北",
    "red",
    "ÉCLAIR 北京",
    "pie-red",
    "@bob @cat",
    "pie-red @ann.",
]
#: Words that are searched for, and whether a body has them, said another way than the index does.
QUERIES: dict[str, Any] = {
    "apple": lambda body: "apple" in body.lower(),
    "red": lambda body: "red" in body,
    "pie": lambda body: "pie" in body,
    "eclair": lambda body: "ÉCLAIR" in body,
    "北京": lambda body: "北京" in body,
    "京": lambda body: "京" in body,
    "大学": lambda body: "大学" in body,
    "red apple": lambda body: body == "red apple",
    "nothing": lambda body: False,
}


class Noted(commands.Read, kw_only=True):
    """A read position, noted between two turns."""


def any_commands(room: str, users: list[str]) -> st.SearchStrategy[Any]:
    base: dict[str, Any] = {"room": st.just(room), "user": st.sampled_from(users)}
    at = st.integers(1, 15)
    some = st.lists(st.sampled_from(users), max_size=3).map(tuple)
    bodies = st.sampled_from(BODIES)
    on_messages = [
        st.builds(commands.Send, **base, body=bodies, key=st.sampled_from([None, "k", "l", "m"])),
        st.builds(commands.Send, **base, body=bodies),
        st.builds(commands.Edit, **base, seq=at, body=bodies),
        st.builds(commands.Delete, **base, seq=at),
        st.builds(commands.React, **base, seq=at, emoji=st.sampled_from("+-"), on=st.booleans()),
        st.builds(Noted, **base, seq=at),
    ]
    if is_dm(room):
        acts = st.sampled_from(["add", "remove", "block", "unblock", "accept", "decline"])
        return st.one_of(*on_messages, st.builds(commands.Contact, **base, action=acts))
    return st.one_of(
        *on_messages,
        st.builds(
            commands.Configure,
            **base,
            title=st.sampled_from([None, "U", ""]),
            history=st.sampled_from([None, "since_join", "all"]),
            post=st.sampled_from([None, "owner", "members"]),
        ),
        st.builds(commands.Add, **base, users=some),
        st.builds(commands.Remove, **base, users=some),
        st.builds(
            commands.SetRole, **base, member=st.sampled_from(users), role=st.sampled_from(["owner", "moderator"])
        ),
        st.builds(commands.Mute, **base, member=st.sampled_from(users), seconds=st.sampled_from([None, 1])),
        st.builds(commands.Ban, **base, member=st.sampled_from(users)),
        st.builds(commands.Unban, **base, member=st.sampled_from(users)),
        st.builds(commands.Leave, **base, successor=st.one_of(st.none(), st.sampled_from(users))),
        *([st.builds(commands.Close, **base)] if users[0] == "ann" else []),
    )


def histories(room: str, users: list[str]) -> st.SearchStrategy[Any]:
    return st.lists(st.lists(any_commands(room, users), min_size=1, max_size=6), max_size=8)


async def live_through(store: Store, tea_turns: list[list[Any]], dm_turns: list[list[Any]]) -> None:
    tea, dm = await Scribe.at(store, TEA), await Scribe.at(store, DM)
    dm.rules = RoomRules()
    await tea.made(commands.Create, title="T", users=("bob", "cat"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(play, store, tea, tea_turns)
        nursery.start_soon(play, store, dm, dm_turns)
    await store.journal.flush_positions()
    for scribe in (tea, dm):
        if scribe.head or scribe.side_records:
            assert await store.journal.load(scribe.room) == scribe.folded() == scribe.record
        await check_log(store, scribe)
    await check_welcomes(store, tea, dm)
    await check_search(store, tea, dm)


async def play(store: Store, scribe: Scribe, turns: list[list[Any]]) -> None:
    for turn in turns:
        for noted in turn:
            if isinstance(noted, Noted) and (is_dm(scribe.room) or noted.user in scribe.record.members):
                seq = min(noted.seq, scribe.head)
                store.journal.note_read(scribe.record, noted.user, seq)
                scribe.read(noted.user, seq)
        before, wanted = scribe.record, [aimed(scribe, command) for command in turn if not isinstance(command, Noted)]
        decided, _ = await scribe.decide(*wanted)
        folded = fold(before, decided.facts, decided.side_records, decided.hidden)
        assert folded.draft == decided.draft, "another node that is told of the batch has the same room"
        assert fold(folded.draft, decided.facts, decided.side_records, decided.hidden).draft == decided.draft
        assert (folded.others, before) == (decided.others, scribe.record)
        await scribe.turn(*wanted)


def aimed(scribe: Scribe, command: commands.AnyCommand) -> commands.AnyCommand:
    """An edit or a delete of a message that is there, mostly by its author: else nearly all would be refused."""
    sent = [fact for fact in scribe.log if isinstance(fact, facts.Message)]
    if not sent or not isinstance(command, commands.Edit | commands.Delete) or command.seq == 1:
        return command
    target = sent[command.seq % len(sent)]
    return msgspec.structs.replace(command, seq=target.seq, user=target.sender)


async def check_log(store: Store, scribe: Scribe) -> None:
    room, shown = scribe.room, scribe.shown()
    assert await store.archive.head(room) == scribe.head
    replayed: list[facts.AnyFact] = []
    while len(replayed) < scribe.head:
        more = await store.archive.replay(room, len(replayed), scribe.head, 7)
        assert more
        replayed += more
    assert replayed == scribe.shown(edits=True)
    up: list[facts.AnyFact] = []
    down: list[facts.AnyFact] = []
    root = Viewer("root", admin=True)
    while not scribe.record.closed and len(up) < scribe.head:
        page = await store.archive.page(root, room, before=None, after=len(up), limit=5)
        below = await store.archive.page(root, room, before=down[0].seq if down else None, after=None, limit=5)
        assert page is not None and below is not None
        up, down = up + page.entries, below.entries + down
    assert up == down == ([] if scribe.record.closed else shown)


async def check_welcomes(store: Store, tea: Scribe, dm: Scribe) -> None:
    for user in PEOPLE:
        held = {scribe.room: scribe.head // 3 for scribe in (tea, dm)}
        snapshot = await store.archive.welcome(user, 15, [TEA, DM], held)
        check_missed(snapshot, user, tea, dm)
        groups = [(room.room, room.role, room.title, room.head, room.unread, room.mentions) for room in snapshot.rooms]
        role, relation = tea.record.members.get(user), dm.record.relation
        blocks = relation is not None and user in relation.users and relation.of(user).blocked_at is not None
        counts = (tea.unread(user), tea.mentioned(user, {"ann": "bob", "bob": "ann"}[user] if blocks else None))
        assert groups == ([(TEA, role, tea.record.title, tea.head, *counts)] if role else [])
        assert (TEA in snapshot.former) == (user in tea.record.former)
        private = [(contact.room, contact.head, contact.unread, contact.mentions) for contact in snapshot.contacts]
        state = dm.state(user) if user in ("ann", "bob") else "none"
        # Messages that waited stay untold, also after the request was withdrawn.
        waited = relation is not None and relation.withheld == user
        shown = dm.head and user in ("ann", "bob") and state in ("none", "contact") and not waited
        assert private == ([(DM, dm.head, dm.unread(user), dm.mentioned(user))] if shown else [])
        assert [request.room for request in snapshot.requests] == ([DM] if state == "request" else [])
        listed, _ = await store.archive.contacts(user, 50, None)
        assert [each.state for each in listed] == ([state] if state in ("contact", "blocked") else [])
        membership = "former" if user in tea.record.former else role
        assert await store.archive.membership(user, TEA) == (None if tea.record.closed else membership)


def check_missed(snapshot: Snapshot, user: str, tea: Scribe, dm: Scribe) -> None:
    """Of each room that the user hears, what a client does not hold; of others nothing."""
    for scribe in (tea, dm):
        hidden = snapshot.hidden_up_to.get(scribe.room, 0)
        shown = scribe.shown(edits=True)[max(scribe.head // 3, hidden) :]
        expected = [redact(fact, hidden) for fact in shown] if scribe.room in snapshot.heads else []
        assert snapshot.missed.get(scribe.room, []) == expected
    assert (TEA in snapshot.heads) == (user in tea.record.members)
    waits = dm.record.relation is not None and dm.record.relation.withheld == user
    assert (DM in snapshot.heads) == (user in ("ann", "bob") and not waits)


async def check_search(store: Store, tea: Scribe, dm: Scribe) -> None:
    async def found(q: str) -> set[tuple[str, int]]:
        entries, _ = await store.archive.search_messages("ann", q, None, 200, None)
        return {(fact.room, fact.seq) for fact in entries}

    # A request that waits for ann is not among what she finds.
    rooms = [
        *([dm] if dm.record.relation is not None and dm.record.relation.withheld != "ann" else []),
        *([tea] if "ann" in tea.record.members and tea.record.history == "all" else []),
    ]
    if tea not in rooms and "ann" in tea.record.members:
        return  # Messages that since_join hides have their own test.
    for q, holds in QUERIES.items():
        expected = {(room.room, seq) for room in rooms for seq, body in room.bodies().items() if holds(body)}
        await until(lambda q=q: found(q), expected)  # type: ignore[misc]


@settings(max_examples=60)
@given(histories(TEA, PEOPLE), histories(DM, ["ann", "bob"]))
def test_inline(tea: list[list[Any]], dm: list[list[Any]]) -> None:
    async def main() -> None:
        async with stores.open_inline(":memory:") as store:
            await live_through(store, tea, dm)

    trio.run(main)


@settings(max_examples=25)
@given(histories(TEA, PEOPLE), histories(DM, ["ann", "bob"]), st.sampled_from(sorted(PACES)))
def test_threaded(tea: list[list[Any]], dm: list[list[Any]], pace: str) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with stores.open(Path(folder) / "gochat.db", pace=PACES[pace]) as store:
                await live_through(store, tea, dm)
            async with stores.open(Path(folder) / "gochat.db") as store:
                assert (await store.journal.load(TEA)).head >= 1

    trio.run(main)


@settings(max_examples=25)
@given(histories(TEA, PEOPLE), histories(DM, ["ann", "bob"]))
def test_a_crash_before_anything_was_merged(tea: list[list[Any]], dm: list[list[Any]]) -> None:
    async def main() -> None:
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            async with stores.open(folder / "gochat.db", pace=PACES["unmerged"]) as store:
                scribes = [await Scribe.at(store, room) for room in (TEA, DM)]
                scribes[1].rules = RoomRules()
                await scribes[0].made(commands.Create, title="T", users=("bob", "cat"))
                for scribe, turns in zip(scribes, (tea, dm), strict=True):
                    await play(store, scribe, turns)
                await store.journal.flush_positions()
                # As a kill leaves them: nobody writes now.
                for end in ("", "-wal"):
                    shutil.copy(folder / f"gochat.db{end}", folder / f"left.db{end}")
            async with stores.open(folder / "left.db") as left:
                for scribe in scribes:
                    if scribe.head or scribe.side_records:
                        assert await left.journal.load(scribe.room) == scribe.folded()
                    await check_log(left, scribe)
                await check_welcomes(left, *scribes)
                await check_search(left, *scribes)

    trio.run(main)
