"""Each reader gets of a group, by every path of the store, exactly the facts that a naive fold of its log allows.
Random histories: members come, go and come again, messages are edited, deleted, reacted and replied to."""

from __future__ import annotations

from typing import Any

import msgspec
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat import store as stores
from gochat.domain import commands, facts
from gochat.domain.facts import AnyFact
from gochat.domain.turn import Done
from gochat.ports.archive import Viewer
from gochat.store import Store
from tests.contracts.archive import until
from tests.contracts.scribe import Scribe

TEA = "group:tea"
PEOPLE = ["ann", "bob", "cat"]
ABOUT = (facts.Edit, facts.Delete, facts.Reaction)


def any_commands() -> st.SearchStrategy[Any]:
    base: dict[str, Any] = {"room": st.just(TEA), "user": st.sampled_from(PEOPLE)}
    at = st.integers(1, 20)
    some = st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2).map(tuple)
    owner = {**base, "user": st.just("ann")}
    return st.one_of(
        st.builds(commands.Send, **base, body=st.sampled_from(["apple one", "apple two"])),
        st.builds(commands.Send, **base, body=st.just("apple re"), reply_to=at),
        st.builds(commands.Edit, **base, seq=at, body=st.sampled_from(["apple three", "apple four"])),
        st.builds(commands.Delete, **base, seq=at),
        st.builds(commands.React, **base, seq=at, emoji=st.sampled_from("+-"), on=st.booleans()),
        st.builds(commands.React, **base, seq=at, emoji=st.sampled_from("+-"), on=st.just(True)),
        st.builds(commands.Configure, **owner, history=st.sampled_from(["since_join", "since_join", "all"])),
        st.builds(commands.Add, **owner, users=some),
        st.builds(commands.Remove, **owner, users=some),
        st.builds(commands.Add, **owner, users=st.just(("bob", "cat"))),
        st.builds(commands.Leave, **base),
    )


def span(log: list[AnyFact], user: str) -> tuple[int, int, bool] | None:
    """low, high, and whether the user's time has ended."""
    since, left, history, then = 0, 0, "all", "all"
    for fact in log:
        if isinstance(fact, facts.Group):
            history = fact.history or history
        if isinstance(fact, facts.Member) and user in fact.users:
            if fact.change == "added":
                since, left = fact.seq, 0
            elif fact.change in ("removed", "left"):
                left, then = fact.seq, history
    if not since:
        return None
    low = since - 1 if (then if left else history) == "since_join" else 0
    return low, left or len(log), bool(left)


def shown(scribe: Scribe, user: str) -> list[AnyFact]:
    """The facts of the log that the user may have."""
    seen = span(scribe.log, user)
    if seen is None:
        return []
    low, high, former = seen
    found: list[AnyFact] = []
    for fact in scribe.shown()[low:high]:
        if former and isinstance(fact, facts.Message):
            fact = as_of(scribe.log, fact, high)
        about = fact.target if isinstance(fact, ABOUT) else None
        if about is not None and about <= low:
            fact = facts.Hidden(room=TEA, seq=fact.seq, ts=fact.ts)
        elif isinstance(fact, facts.Message) and (fact.reply_to or low + 1) <= low:
            fact = msgspec.structs.replace(fact, reply_to=None)
        found.append(fact)
    return found


def as_of(log: list[AnyFact], message: facts.Message, high: int) -> facts.Message:
    later = [fact for fact in log[high:] if isinstance(fact, facts.Edit) and fact.target == message.seq]
    on: dict[tuple[str, str], bool] = {}
    for fact in log[:high]:
        if isinstance(fact, facts.Reaction) and fact.target == message.seq:
            on[fact.emoji, fact.sender] = fact.on
    counts: dict[str, int] = {}
    for (emoji, _), is_on in on.items():
        if is_on and message.deleted is None:
            counts[emoji] = counts.get(emoji, 0) + 1
    body = None if later else message.body
    return msgspec.structs.replace(message, body=body, reactions=counts or None)


def aimed(scribe: Scribe, command: Any) -> Any:
    """At a message that is there, mostly, and where it must be by its author: else nearly all would be refused."""
    sent = [fact for fact in scribe.log if isinstance(fact, facts.Message)]
    name = "reply_to" if isinstance(command, commands.Send) else "seq"
    at = getattr(command, name, None)
    if not sent or at is None or at == 1:
        return command
    target = sent[at % len(sent)]
    changed: dict[str, Any] = {name: target.seq}
    if isinstance(command, commands.Edit):
        changed["user"] = target.sender
    return msgspec.structs.replace(command, **changed)


async def play(scribe: Scribe, command: Any) -> None:
    """Ask it, and hold the answer against what the user can see."""
    command = aimed(scribe, command)
    low, _, former = span(scribe.log, command.user) or (scribe.head, 0, True)
    seq = getattr(command, "seq", None) or getattr(command, "reply_to", None)
    messages = {fact.seq for fact in scribe.log if isinstance(fact, facts.Message)}
    (outcome,) = await scribe.turn(command)
    if seq is not None and isinstance(outcome, Done):
        assert not former and low < seq <= scribe.head
        assert isinstance(command, commands.Send) or seq in messages


async def check(store: Store, scribe: Scribe) -> None:
    for user in PEOPLE:
        expected = shown(scribe, user)
        viewer = Viewer(user)
        up: list[AnyFact] = []
        down: list[AnyFact] = []
        for _ in range(len(expected) // 3 + 1):
            after = up[-1].seq if up else 0
            page = await store.archive.page(viewer, TEA, before=None, after=after, limit=3)
            below = await store.archive.page(viewer, TEA, before=down[0].seq if down else None, after=None, limit=3)
            up, down = up + (page.entries if page else []), (below.entries if below else []) + down
        assert up == expected and down == expected, user
        replayed = await store.archive.replay(TEA, 0, scribe.head, 999, reader=user)
        assert list(map(bodiless, replayed)) == list(map(bodiless, expected)), user
        bodies = {fact.seq: fact.body for fact in expected if isinstance(fact, facts.Message)}
        assert all(fact.body in (None, bodies.get(fact.target)) for fact in replayed if isinstance(fact, facts.Edit))
        snapshot = await store.archive.welcome(user, 15, [TEA], {TEA: 0})
        assert snapshot.missed.get(TEA, []) == ([] if user in scribe.record.former else replayed)
        for room in snapshot.rooms:
            assert room.last is None or bodies[room.last.seq] == (room.last.body or None)
        here = user in scribe.record.members
        wanted = [fact for fact in expected if here and isinstance(fact, facts.Message) and fact.body is not None]

        async def found(user: str = user) -> list[AnyFact]:
            entries, _ = await store.archive.search_messages(user, "apple", None, 99, None)
            return entries[::-1]

        await until(found, wanted, 3)


def bodiless(fact: AnyFact) -> AnyFact:
    return msgspec.structs.replace(fact, body=None) if isinstance(fact, facts.Edit) else fact


@settings(max_examples=150)
@given(st.lists(any_commands(), min_size=10, max_size=40))
def test_every_path_tells_what_the_reader_may_see(history: list[Any]) -> None:
    async def main() -> None:
        async with stores.open_inline(":memory:") as store:
            scribe = await Scribe.at(store, TEA)
            await scribe.made(commands.Create, users=("bob",), history="since_join")
            for command in history:
                await play(scribe, command)
            await check(store, scribe)

    trio.run(main)
