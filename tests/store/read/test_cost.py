"""A call costs in proportion to what it returns, and not to all there is: counted in steps of SQLite's machine, which
are the same on every computer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import msgspec
import pytest

from gochat.domain import facts
from gochat.domain.ids import dm
from gochat.domain.relationship import ContactPolicy, RelationChange, of_room
from gochat.domain.side_records import Audited, Related, ReportClosed, Reported
from gochat.ports.archive import Viewer
from gochat.protocol.entries import Last, RoomEntry
from gochat.store import schema, setup
from gochat.store.health import Health
from gochat.store.listing import BLOCK, seats_among
from gochat.store.mentions import MentionCounts
from gochat.store.read import contacts, entries, groups, moderation, names, notices, overview, pages, people, receipts
from gochat.store.read.entries import ListRead
from gochat.store.read.receipts import Receipts
from gochat.store.read.separate import SeparateRooms
from gochat.store.read.welcome import welcome
from gochat.store.write.logs import Batch
from gochat.store.write.transaction import Writer

FEW, MANY = 20, 2000
HUB = Viewer("hub")
TEA, OLD, LONG, NAMED = "group:a-tea", "group:b-old", "group:c-long", "group:d-named"


class Filled:
    """A store in which all that a list may have to pass over is there `size` times."""

    def __init__(self, size: int) -> None:
        self.connection = schema.connect(":memory:")
        setup.migrate(self.connection, ":memory:")
        self.writer = Writer(self.connection)
        self.room_pks: dict[str, int] = {}
        self.heads: dict[str, int] = {}
        self.size = size
        users = [f"u{n:05}" for n in range(size)]
        self.record(TEA, [self.member(["hub"], "added", "owner"), self.member(users, "added")])
        self.record(
            OLD, [self.member(["hub"], "added", "owner"), self.member(users, "added"), self.member(users, "left")]
        )
        for n, user in enumerate(users):
            self.record(
                f"group:g{n:05}", [self.member(["hub", "dan"] if n < 10 else ["hub"], "added", "owner"), self.said("x")]
            )
            self.record(dm("hub", user), [self.said("hi", user)])
            self.asks(f"s{n:05}")
            self.holds(f"b{n:05}", "block")
            self.record(dm("hub", f"b{n:05}"), [self.said("hi", "hub")])
            self.holds(f"z{n:05}", "add")
        self.deleted()
        self.mentioned()
        self.moderated()

    def record(self, room: str, unnumbered: list[Any], side_records: Any = ()) -> None:
        room_pk = self.room_pks.setdefault(room, len(self.room_pks) + 1)
        head = self.heads.get(room, 0)
        made = []
        for place, (kind, fields) in enumerate(unnumbered, head + 1):
            made.append(kind(room=room, seq=place, ts=1000 + room_pk, **({"sender": "hub"} | fields)))
        self.heads[room] = head + len(made)
        results = self.writer.record([Batch(room, room_pk, made, side_records)], None)
        assert all(isinstance(result, int) for result in results)
        self.writer.merge([room_pk])

    @staticmethod
    def member(users: list[str], change: str, role: str | None = None) -> Any:
        return facts.Member, {"users": users, "change": change, "role": role}

    @staticmethod
    def said(body: str, sender: str = "bob") -> Any:
        return facts.Message, {"body": body, "sender": sender}

    def related(self, user: str, by: str, change: Any) -> Related:
        relation = of_room(dm("hub", user))
        assert relation is not None
        made = RelationChange(n=1, at=0, ts=5000 + len(self.room_pks), user=by, change=change)
        return Related(made, relation.apply(made))

    def asks(self, user: str) -> None:
        self.record(dm("hub", user), [self.said("may I?", user)], [self.related(user, user, "ask")])

    def holds(self, user: str, change: str) -> None:
        self.record(dm("hub", user), [], [self.related(user, "hub", change)])

    def deleted(self) -> None:
        """A hundred times `size` messages of which all but the first and the last are deleted."""
        number = 100 * self.size
        self.record(LONG, [self.member(["hub"], "added", "owner")] + [self.said("x")] * number)
        self.record(LONG, [(facts.Delete, {"target": seq}) for seq in range(3, number + 1)])
        self.connection.execute("UPDATE seat SET read = 1 WHERE user = 'hub' AND num = ?", (self.room_pks[LONG],))

    def mentioned(self) -> None:
        """A group in which many messages mention the hub, who has read some of them."""
        number = self.size + 200
        named = (facts.Message, {"body": "@hub", "sender": "u00001", "mentions": ["hub"]})
        self.record(NAMED, [self.member(["hub"], "added", "owner"), *[named] * (2 * number)])
        self.connection.execute(
            "UPDATE seat SET read = ? WHERE user = 'hub' AND num = ?", (number, self.room_pks[NAMED])
        )

    def moderated(self) -> None:
        reports = [Reported(seq=3, ts=n, user=f"u{n:05}") for n in range(self.size)]
        self.record("group:g00000", [self.said("bad")], reports)
        self.record("group:g00000", [], [ReportClosed(report=n + 1, ts=1, user="hub") for n in range(self.size)])
        self.record("group:g00001", [self.said("bad")], [Reported(seq=3, ts=1, user="ann")])
        self.record("group:g00002", [], [Audited(ts=n, actor="hub", action="x") for n in range(self.size)])

    def steps(self, read: Callable[[sqlite3.Connection], Any]) -> int:
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        read(self.connection)  # Statements are compiled here, which is not counted.
        self.connection.set_progress_handler(count, 1)
        try:
            read(self.connection)
        finally:
            self.connection.set_progress_handler(None, 0)
        return counted


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[Filled, Filled]]:
    few, many = Filled(FEW), Filled(MANY)
    with closing(few.connection), closing(many.connection):
        yield few, many


def _all_pages(connection: sqlite3.Connection) -> int:
    asked, before = 0, None
    while True:
        page = pages.page(connection, HUB, LONG, before, None, 200, messages=True)
        assert page is not None
        asked += 1
        if page.next is None:
            return asked
        before = page.next


def told(connection: sqlite3.Connection) -> Receipts:
    return Receipts(connection, "hub", ContactPolicy(), 1_000_000)


def reading(connection: sqlite3.Connection, user: str = "hub", receipts: Receipts | None = None) -> ListRead:
    return ListRead(connection, "e", user, SeparateRooms(Health(), 0), receipts)


def private(connection: sqlite3.Connection, receipts: Receipts | None) -> Any:
    return contacts.latest(reading(connection, receipts=receipts), 15)


def notified(connection: sqlite3.Connection) -> Any:
    """A notice of the hub's, who has refused many, about a message of somebody else's."""
    room = "group:g00003"
    (room_pk,) = connection.execute("SELECT num FROM room WHERE id = ?", (room,)).fetchone()
    row = ("ntf", 1, "hub", room_pk, room, 0, 0, 0, 0, "", None, None, None, None, None, None, None)
    return notices._waiting(connection, "webhook", row, 1_000_000, 0)


READS: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "the latest private rooms": lambda c: private(c, None),
    "the latest requests": lambda c: people.latest_requests(c, "hub", 15, SeparateRooms(Health(), 0)),
    "requests": lambda c: people.requests(c, "hub", 5, None),
    "requests, further on": lambda c: people.requests(c, "hub", 5, "s00010"),
    "contacts": lambda c: contacts.contacts(reading(c), 0, 5, "c", None, False),
    "contacts and rooms": lambda c: contacts.contacts(reading(c), 0, 5, None, None, True),
    "blocks": lambda c: contacts.contacts(reading(c), 0, 5, "b00010", "blocked", False),
    "a group": lambda c: groups.group(c, HUB, TEA),
    "groups": lambda c: groups.groups(reading(c), None, 5, None),
    "groups, with receipts": lambda c: groups.groups(reading(c, receipts=told(c)), None, 5, None),
    "the latest private rooms, with receipts": lambda c: private(c, told(c)),
    "the newest facts, with receipts": lambda c: pages.page(c, HUB, TEA, None, None, 5, receipts=told(c)),
    "groups, further on": lambda c: groups.groups(reading(c), None, 5, "group:g00012"),
    "groups of an owner": lambda c: groups.groups(reading(c), "dan", 5, "group:g00005"),
    "groups of one who owns many": lambda c: groups.groups(reading(c, "dan"), "hub", 5, "group:g00005"),
    "groups of one's own": lambda c: groups.groups(reading(c), "hub", 5, "group:g00012"),
    "groups of nobody": lambda c: groups.groups(reading(c), "u00001", 5, None),
    "one user's groups, for an admin": lambda c: overview.rooms(c, "hub", False, 5, None),
    "one user's groups, further on": lambda c: overview.rooms(c, "hub", False, 5, "group:g00012"),
    "members": lambda c: groups.members(c, HUB, TEA, 5, None),
    "members, further on": lambda c: groups.members(c, HUB, TEA, 5, "u00010"),
    "members where many have left": lambda c: groups.members(c, HUB, OLD, 5, None),
    "who sees whom: private rooms": lambda c: people.acquainted(c, "u00001", ["hub", "eve"]),
    "who sees whom: few groups": lambda c: people.acquainted(c, "dan", ["eve"]),
    "names of users who have blocked one": lambda c: names.names(c, Viewer("u00001"), ["hub", "eve", "dan"]),
    "reports": lambda c: moderation.reports(c, None, 5, None),
    "reports of a group": lambda c: moderation.reports(c, "group:g00001", 5, None),
    "the audit log": lambda c: moderation.audit(c, 5, None),
    "which rooms are merged for a sign-in": lambda c: seats_among(c, "hub", [1, 2, 3]),
    "the newest messages": lambda c: pages.page(c, HUB, LONG, None, None, 1, messages=True),
    "the first messages": lambda c: pages.page(c, HUB, LONG, None, 0, 1, messages=True),
    "what a notification tells": notified,
    "the newest facts": lambda c: pages.page(c, HUB, LONG, None, None, 5),
}


@pytest.mark.parametrize("name", READS)
def test_it_costs_by_what_it_returns(stores: tuple[Filled, Filled], name: str) -> None:
    few, many = (each.steps(READS[name]) for each in stores)
    assert few > 10
    assert many <= 1.5 * few + 100, f"{few} steps among {FEW}, {many} among {MANY}"


def test_relations_and_positions_of_all_private_rooms_are_one_statement_each(stores: tuple[Filled, Filled]) -> None:
    statements: list[str] = []
    connection = stores[0].connection
    connection.set_trace_callback(statements.append)
    try:
        found = contacts.latest(reading(connection, receipts=told(connection)), 15)
    finally:
        connection.set_trace_callback(None)
    assert len(found) == 15
    assert sum("FROM relation" in each or "s.read, s.got" in each for each in statements) == 2


def test_no_entry_of_a_group_is_longer_than_it_is_taken_to_be() -> None:
    wide = "\x01" * 200  # As wide as JSON gets: \u0001.
    entry = RoomEntry(
        room=f"group:{'g' * 64}",
        title=wide,
        role="moderator",
        post="moderators",
        epoch="e" * 32,
        head=1 << 53,
        read=1 << 53,
        unread=1 << 53,
        mentions=100,
        last=Last(seq=1 << 53, ts=1 << 53, sender="u" * 64, body=wide, deleted=1 << 53),
    )
    assert len(msgspec.json.encode(entry)) < groups.ENTRY_BYTES
    positions = {f"{number:064}": 1 << 53 for number in range(receipts.MOST)}
    assert 2 * len(msgspec.json.encode(positions)) < groups.POSITIONS_BYTES


@pytest.mark.parametrize("user", ["hub", "dan", "u00001", "eve"])
@pytest.mark.parametrize("owner", ["hub", "dan", "u00001", "eve"])
def test_groups_of_an_owner_are_those_that_both_are_in(stores: tuple[Filled, Filled], user: str, owner: str) -> None:
    """Whichever of the two is in fewer; page by page."""
    for each in stores:
        naive = each.connection.execute(
            """SELECT r.id FROM room r JOIN seat s ON s.num = r.num AND s.user = ? AND s.name IS NOT NULL
               JOIN seat o ON o.num = r.num AND o.user = ? AND o.role = 'owner' ORDER BY r.id""",
            (user, owner),
        ).fetchall()
        found: list[str] = []
        cursor: str | None = None
        while True:
            entries, cursor = groups.groups(reading(each.connection, user), owner, 7, cursor)
            found += [entry.room for entry in entries]
            if cursor is None:
                break
        assert found == [room for (room,) in naive]


#: Bounds for what costs by what it returns only nearly: steps that 100 times as much may add.
NEARLY: dict[str, tuple[Callable[[sqlite3.Connection], Any], int]] = {
    # 200,000 deletions are 390 sums.
    "what is unread": (lambda c: groups.groups(reading(c), None, 1, "group:b-z"), 20 * BLOCK),
    "messages among deletions": (_all_pages, 20 * BLOCK),
}


@pytest.mark.parametrize("name", NEARLY)
def test_what_was_deleted_costs_by_the_block(stores: tuple[Filled, Filled], name: str) -> None:
    read, bound = NEARLY[name]
    few, many = (each.steps(read) for each in stores)
    assert many <= few + bound, f"{few} steps among {FEW * 100} deleted messages, {many} among {MANY * 100}"


def test_the_two_messages_among_200_000_deletions_are_one_page(stores: tuple[Filled, Filled]) -> None:
    for each in stores:
        page = pages.page(each.connection, HUB, LONG, None, None, 200, messages=True)
        assert page is not None
        assert [fact.seq for fact in page.entries] == [2, 100 * each.size + 1]
        assert page.next is None
        (group,) = [group for group in groups.groups(reading(each.connection), None, 5, None)[0] if group.room == LONG]
        assert group.unread == 2


def test_a_list_looks_at_so_many_mentions_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = Filled(3)
    with closing(filled.connection):
        named = (facts.Message, {"body": "@hub", "sender": "u00001", "mentions": ["hub"]})
        for room in (TEA, "group:g00000", "group:g00001"):
            filled.record(room, [named] * 5)
        monkeypatch.setattr(entries, "MentionCounts", partial(MentionCounts, most=7, senders=0))
        listed, _ = groups.groups(reading(filled.connection), None, 9, None)
        snapshot = welcome(reading(filled.connection), 15, [], {})
        for told_of in (listed, snapshot.rooms):
            found = {entry.room: entry.mentions for entry in told_of if entry.mentions}
            assert found == {TEA: 5, NAMED: 2, "group:g00000": 1, "group:g00001": 1}


def test_a_blocked_user_hides_no_badge_however_many_groups_they_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    filled = Filled(7)
    with closing(filled.connection):

        def named(sender: str) -> Any:
            return facts.Message, {"body": "@hub", "sender": sender, "mentions": ["hub"]}

        rooms = [f"group:g{number:05}" for number in range(7)]
        for room in rooms:
            filled.record(room, [named("u00001"), *[named("b00001")] * 300])
        monkeypatch.setattr(entries, "MentionCounts", partial(MentionCounts, most=1_000))
        listed, _ = groups.groups(reading(filled.connection), None, 99, None)
        snapshot = welcome(reading(filled.connection), 15, [], {})
        for told_of in (listed, snapshot.rooms):
            assert [entry.mentions for entry in told_of if entry.room in rooms] == [1] * len(rooms)
