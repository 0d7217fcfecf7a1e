"""While nothing can be written, what is committed is read beside the tail: each read finds the same as once all is
merged, by the indexes of the database, and so at no more than the cost of a look at the tail."""

from __future__ import annotations

import ast
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

import gochat
from gochat import store as stores
from gochat.domain import commands
from gochat.domain.facts import Message
from gochat.domain.notices import MentionsWanted, Silenced, UnseenRoom
from gochat.domain.relationship import ContactPolicy, RelationChange
from gochat.domain.side_records import Related, Reported
from gochat.ports.archive import Viewer
from gochat.store import Store, mentions
from gochat.store.health import Health
from gochat.store.read import contacts, entries, groups, people
from gochat.store.read.entries import ENTRY, ENTRY_OF, ListRead
from gochat.store.read.merged_reader import MergedReader
from gochat.store.read.receipts import Receipts
from gochat.store.read.separate import SeparateRooms
from gochat.store.read.source import reading
from gochat.store.read.welcome import welcome
from gochat.store.schema import SEQ_BITS
from tests.appending import append_to
from tests.contracts.notices import BOUNDS, HOOK, notice
from tests.contracts.scribe import Scribe
from tests.store.conftest import PACES

TEA, OLD, NEW, DM, ASKED = "group:tea", "group:old", "group:x-new", "dm:ann:bob", "dm:ann:dan"
NOW_MS = 1 << 40

# ---------------------------------------------------------------------------------------------- the store


class Overlaid:
    """A store of which nothing of the tail can be merged for now, and what its reads do meanwhile."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = store
        self.plans: dict[str, list[str]] = {}
        """The plan of each statement that was read with."""
        self.callers: set[str] = set()
        """The functions that called for a read."""
        self.fails: Callable[[str], bool] = lambda _: False
        """Whether a statement meets a damaged page."""
        self.merged_reader: MergedReader = store.archive._merged_reader
        # As the committer leaves it where a commit failed.
        self.merged_reader._write_buffer.unsure = True
        opened = self.merged_reader._reading
        assert opened is not None

        @contextmanager
        def watched() -> Iterator[Any]:
            with opened() as connection:
                yield _Watched(connection, self)

        monkeypatch.setattr(self.merged_reader, "_reading", watched)
        for name in _CALLS & set(dir(self.merged_reader)):
            monkeypatch.setattr(self.merged_reader, name, partial(self._called, getattr(self.merged_reader, name)))

    def _called(self, method: Callable[..., Awaitable[Any]], *args: Any) -> Awaitable[Any]:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            self.callers.add(frame.f_code.co_qualname)
            frame = frame.f_back
        return method(*args)

    def merge(self) -> None:
        """Let the next reads merge what they read."""
        self.merged_reader._write_buffer.unsure = False


class _Watched:
    def __init__(self, connection: sqlite3.Connection, overlaid: Overlaid) -> None:
        self._connection = connection
        self._overlaid = overlaid

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:
        plan = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        self._overlaid.plans[statement] = [detail for *_, detail in plan]
        if self._overlaid.fails(statement):
            raise sqlite3.OperationalError("Could not decode to UTF-8 column 'body'")
        return self._connection.execute(statement, values)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Rooms of each kind with something of each kind, and messages in the tail."""
    async with stores.open(tmp_path / "gochat.db", pace=PACES["unmerged"], notices=True) as store:
        await filled(store)
        yield store


@pytest.fixture
def overlaid(store: Store, monkeypatch: pytest.MonkeyPatch) -> Overlaid:
    return Overlaid(store, monkeypatch)


async def filled(store: Store) -> None:
    tea, old, new, dm = [await Scribe.at(store, room) for room in (TEA, OLD, NEW, DM)]
    await tea.made(commands.Create, title="tea", users=("bob", "cat", "eve"), history="since_join")
    await tea.said("one", "two", "three", "four")
    await tea.made(commands.Edit, seq=4, body="TWO")
    await tea.made(commands.Delete, seq=5)
    await tea.made(commands.React, user="cat", seq=4, emoji="+", on=True)
    await tea.made(commands.Leave, user="cat")
    await tea.made(commands.Remove, users=("eve",))
    await append_to(store.journal, tea.record, [], [Reported(seq=6, ts=1, user="bob")])
    await old.made(commands.Create, user="bob", title="old", users=("ann",))
    await dm.said("hi", "ho")
    await ask(store)
    await (await Scribe.at(store, "dm:fay:gil")).made(commands.Contact, "gil", action="block")
    await new.made(commands.Create, user="fay", title="new", users=("gil",))
    await new.said("gil reads none of this", user="fay")
    await store.journal.append_side_records([Silenced("bob", TEA, None, 1), MentionsWanted("bob", True)])
    for room in (TEA, OLD, NEW, DM, ASKED):
        await store.archive.head(room)  # Merged by this, and marked for the notifier.
    await store.notices.add([notice("bob", tea.record.room_pk)], {}, HOOK, BOUNDS, 5000)
    for room, user, number in ((TEA, "ann", 3), (NEW, "fay", 1), (DM, "bob", 2), (ASKED, "dan", 1)):
        record = await store.journal.load(room)
        news = [
            Message(
                room=room,
                seq=record.head + place,
                ts=9000 + place,
                sender=user,
                body=f"late {place}",
                key=f"k{place}",
                mentions=["bob", "ann"] if room == TEA else None,
            )
            for place in range(1, number + 1)
        ]
        await append_to(store.journal, record, news)


async def ask(store: Store) -> None:
    """Dan asks ann."""
    record = await store.journal.load(ASKED)
    assert record.relation is not None
    change = RelationChange(1, 0, 1000, "dan", "ask")
    facts = [Message(room=ASKED, seq=1, ts=1000, sender="dan", body="may I?")]
    await append_to(store.journal, record, facts, [Related(change, record.relation.apply(change))])


# ---------------------------------------------------------------------------------------------- the reads


async def _lookups(store: Store, room: str) -> list[Any]:
    record = await store.journal.load(room)
    seqs = range(1, record.head + 1)
    keys = [("ann", "k1"), ("bob", "k2"), ("ann", "none")]
    lookups = store.lookups
    return [
        record,
        await lookups.recorded(record, keys),
        await lookups.targets(record, seqs),
        await lookups.waiting(record),
        await lookups.left(record, ["cat", "eve"]),
    ]


async def _look(store: Store) -> list[Any]:
    rooms = await store.notices.unseen(0, 9)
    found = [
        await store.notices.look(UnseenRoom(*room), "", 9, now_ms=NOW_MS, ripe_ts=ripe, oldest_ts=0)
        for room in rooms
        for ripe in (0, NOW_MS)
    ]
    return [rooms, found, await store.notices.due("webhook", NOW_MS, 9)]


def _pages(user: str, room: str, **fields: Any) -> Callable[[Store], Awaitable[Any]]:
    async def read(store: Store) -> list[Any]:
        ways: list[dict[str, int | None]] = [
            {"before": None, "after": None},
            {"before": 9, "after": None},
            {"before": None, "after": 0},
        ]
        viewer = Viewer(user, **fields)
        return [
            await store.archive.page(viewer, room, limit=3, messages=messages, **way)
            for way in ways
            for messages in (False, True)
        ]

    return read


READS: dict[str, Callable[[Store], Awaitable[Any]]] = {
    "a welcome": lambda s: s.archive.welcome("ann", 15, [TEA, OLD, DM], {TEA: 0, DM: 0}),
    "another's": lambda s: s.archive.welcome("bob", 15, [TEA, DM], {TEA: 3}),
    "a former member's": lambda s: s.archive.welcome("cat", 15, [TEA], {TEA: 0}),
    "a resume": lambda s: s.archive.welcome("bob", 0, [TEA, DM], {TEA: 3}),
    "groups": lambda s: s.archive.groups("ann", None, 9, None),
    "one's own groups": lambda s: s.archive.groups("ann", "ann", 9, None),
    "another's groups": lambda s: s.archive.groups("ann", "bob", 9, None),
    "contacts": lambda s: s.archive.contacts("ann", 9, None),
    "contacts and rooms": lambda s: s.archive.contacts("ann", 9, None, None, True),
    "requests": lambda s: s.archive.requests("ann", 9, None),
    "reports": lambda s: s.archive.reports(None, 9, None),
    "reports of a group": lambda s: s.archive.reports(TEA, 9, None, viewer=Viewer("ann")),
    "rooms": lambda s: s.archive.rooms(None, False, 9, None),
    "private rooms": lambda s: s.archive.rooms(None, True, 9, None),
    "a user's groups": lambda s: s.archive.rooms("ann", False, 9, None),
    "a user's private rooms": lambda s: s.archive.rooms("ann", True, 9, None),
    "groups by a word": lambda s: s.archive.groups_named("ann", None, ["tea"], 9, None),
    "a head": lambda s: s.archive.head(TEA),
    "a page": _pages("ann", TEA),
    "a member's page": _pages("bob", TEA),
    "a former member's page": _pages("cat", TEA),
    "an admin's page": _pages("zoe", TEA, admin=True),
    "a private page": _pages("ann", DM),
    "a replay": lambda s: s.archive.replay(TEA, 0, 99, 99),
    "a reader's replay": lambda s: s.archive.replay(TEA, 0, 99, 99, reader="bob"),
    "a former reader's replay": lambda s: s.archive.replay(TEA, 0, 99, 99, reader="cat"),
    "a private replay": lambda s: s.archive.replay(ASKED, 0, 99, 99, reader="ann"),
    "lookups of a group": lambda s: _lookups(s, TEA),
    "lookups of a private room": lambda s: _lookups(s, DM),
    "lookups of a request": lambda s: _lookups(s, ASKED),
    "notices": _look,
    "a follower's room": lambda s: s.replica.load(TEA, 0),
}

# The methods of MergedReader that may read beside the tail, and the one through which all lookups call them.
_CALLS = {"of_room", "of_named", "of_rooms", "of_user", "at_commit", "_merged_in"}


def calling() -> set[str]:
    """The functions of the package that read by MergedReader."""
    found: set[str] = set()
    for path in Path(gochat.__file__).parent.rglob("*.py"):
        for of in [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]:
            for function in of.body:
                if isinstance(function, ast.AsyncFunctionDef | ast.FunctionDef) and any(
                    isinstance(node, ast.Attribute) and node.attr in _CALLS and "merged" in ast.unparse(node)
                    for node in ast.walk(function)
                ):
                    found.add(f"{of.name}.{function.name}")
    return found


# Steps of a plan that go over a table, or over a view that took the place of one, as a whole. `fact` and
# `mention` have no other names in their views; `room` and `seat` have these.
_WHOLE = re.compile(
    r"(MATERIALIZE|CO-ROUTINE) (fact|mention|room|seat)$|SCAN (main\.\w+|fact|mention|room|seat|[dflrs])\b"
)


def whole(plans: dict[str, list[str]]) -> dict[str, list[str]]:
    """The statements that go over a table as a whole, and where."""
    found = {statement: [step for step in plan if _WHOLE.match(step)] for statement, plan in plans.items()}
    return {
        statement: steps
        for statement, steps in found.items()
        if [step for step in steps if "VIRTUAL TABLE" not in step]
    }


# Questions that only some rooms are asked: the contents of `filled` see to it that they are.
RARE = (
    "'$.history'",  # How a group was when its former member left.
    "FROM reaction x",
    "WITH RECURSIVE one",  # Mentions, sender by sender.
    "FROM mention WHERE user = ?2",  # Mentions in a silent room.
    "sender NOT IN (SELECT value",  # Messages behind those of a user who is blocked.
    "SELECT body, data, edit_seq FROM fact",
    "SELECT messages - coalesce(",
)

# ---------------------------------------------------------------------------------------------- tests


async def test_every_read_goes_by_the_indexes(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "MentionCounts", partial(mentions.MentionCounts, most=1))  # So senders are counted.
    for read in READS.values():
        await read(overlaid.store)
    assert len(calling()) > 15
    assert calling() - overlaid.callers == set(), "each of these needs a row in READS"
    for statement in RARE:
        assert any(statement in each for each in overlaid.plans), statement
    assert whole(overlaid.plans) == {}


async def test_so_does_a_list_that_is_read_room_by_room(overlaid: Overlaid, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = overlaid.store.archive
    first = (await archive.welcome("ann", 15, [])).rooms[0]
    # The second group finds no space, and is among the others.
    monkeypatch.setattr(groups, "WELCOME_BYTES", len(msgspec.json.encode(first)) + 1)
    overlaid.fails = is_of_many
    snapshot = await archive.welcome("ann", 15, [TEA])
    assert (len(snapshot.rooms), len(snapshot.others)) == (1, 1)
    assert [entry.user for entry in snapshot.requests] == ["dan"]
    for owner in (None, "ann", "bob"):
        assert (await archive.groups("ann", owner, 9, None, []))[0]
    assert (await archive.contacts("ann", 9, None, None, True, []))[0]
    for statement in ROOM_BY_ROOM:
        assert any(each.startswith(statement) for each in overlaid.plans), statement
    assert whole(overlaid.plans) == {}


ROOM_BY_ROOM = (
    ENTRY_OF,
    contacts._SEATS,
    groups._GROUP_SEATS,
    f"{groups._GROUP_HEADS} AND s.num = ?",
    "SELECT num, name FROM seat WHERE user = ?1 AND num IN (SELECT",
    people._ASKERS,
    f"{people._REQUESTS} AND p.peer = ?",
    "SELECT s.name FROM seat s \n",
)


def is_of_many(statement: str) -> bool:
    """Whether the statement reads several rooms of a list at once."""
    plain = re.sub(r"\?\d", "?", statement)
    if plain.startswith(ENTRY):
        return not plain.startswith(ENTRY_OF)
    return (
        (statement.startswith(people._REQUESTS) and "LIMIT" in statement)
        or (statement.startswith(groups._GROUP_HEADS) and "s.num = ?" not in statement)
        or "r.last >= s.since_seq ORDER BY s.name" in statement
    )


@pytest.mark.parametrize("owner", ["ann", "bob", "cat"])
@pytest.mark.parametrize("user", ["ann", "bob"])
async def test_groups_of_an_owner_are_listed(overlaid: Overlaid, user: str, owner: str) -> None:
    found, _ = await overlaid.store.archive.groups(user, owner, 9, None)
    assert [(entry.room, entry.last and entry.last.body) for entry in found] == {
        "ann": [(TEA, "late 3")],
        "bob": [(OLD, None)],
        "cat": [],
    }[owner]
    assert overlaid.store.health.reading is None
    assert overlaid.plans


async def test_it_reads_what_it_reads_once_all_is_merged(overlaid: Overlaid) -> None:
    beside = {name: await read(overlaid.store) for name, read in READS.items()}
    assert len(overlaid.plans) > 40
    overlaid.merge()
    overlaid.plans.clear()
    for room in (TEA, NEW, DM, ASKED):
        await overlaid.store.archive.head(room)
    for name, read in READS.items():
        assert await read(overlaid.store) == beside[name], name
    assert overlaid.plans == {}, "nothing was read beside the tail any more"


async def test_a_welcome_costs_the_same_however_much_others_have_said_and_deleted(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "gochat.db"
    few = steps(path)
    with closing(sqlite3.connect(path)) as other, other:
        row = "(?1 << ?2) + value, 1, 0, 'zoe', 'x', value, iif(value % 2, value, NULL), iif(value % 2, 1, NULL)"
        other.execute(
            f"""INSERT INTO fact (id, ts, kind, sender, body, n, delete_seq, delete_ts)
                SELECT {row} FROM json_each(?3)""",
            (1000, SEQ_BITS, str(list(range(1, 5000)))),
        )
    assert steps(path) <= few + 100


def steps(path: Path) -> int:
    """Steps of SQLite's machine for a welcome beside the tail."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    with reading(path) as connection:
        connection.set_progress_handler(count, 1)
        receipts = Receipts(connection, "ann", ContactPolicy(), NOW_MS)
        snapshot = welcome(ListRead(connection, "e", "ann", SeparateRooms(Health(), 0), receipts), 15, [], {})
        connection.set_progress_handler(None, 1)
    assert snapshot.rooms and snapshot.contacts and snapshot.requests
    return counted
