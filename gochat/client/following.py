"""A session keeps a replica: the news are stored before the application gets them, and older messages are fetched.

Positions of an earlier session go into the new one as soon as the server's lists name their rooms; from there on the
server tells what was missed. An error of the file (sqlite3.Error) ends the session.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Final, TypeVar

import trio

from gochat.client.calls import Calls
from gochat.client.errors import Refused
from gochat.client.events import Event
from gochat.client.inbox import Inbox
from gochat.client.positions import PAGE, Positions, Reset
from gochat.client.replica import Began, Kept, Left, News, Replica, Told
from gochat.client.wire import FACTS, Page
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import ContactEntry, ContactState, GroupEntry, RoomEntry

T = TypeVar("T")

_FACTS: Final = frozenset(FACTS)
#: How long before a page is asked for again that was of no use.
_AGAIN_S: Final = 1.0
#: Entries of lists that tell of rooms.
Entry = ContactEntry | RoomEntry | GroupEntry | ContactState


class Following:
    """Between a session and its replica. Bounded as the session's inbox is: what waits here waits there."""

    def __init__(self, replica: Replica, positions: Positions) -> None:
        self.replica = replica
        self._positions = positions
        self._pending: list[News] = []
        """Events that are not stored."""
        self._kept: dict[str, Kept] | None = None
        """Rooms of the file that no list has named yet; None before the first `welcome`."""
        self._storing = trio.Lock()
        self._more = trio.Event()
        """Set when there may be older messages to fetch."""
        self._failure: sqlite3.Error | None = None
        """The file's first."""

    # ------------------------------------------------------------------------------------------ for the session

    def begin(self, user: str) -> None:
        """The server has named the user: what was kept of another one goes."""
        if self._kept is None:
            mine = self.replica.belongs_to(user)
            self._kept = {kept.room: kept for kept in self.replica.rooms()} if mine else {}

    def hold(self, entries: Iterable[Entry]) -> None:
        """A list names rooms, and the positions do not know of it yet. Where a fact of a room came before the list, the
        position begins with that fact: whatever the file has of another log goes, before anything is added to it. Where
        both logs are known the file sees to that itself."""
        for entry in entries:
            kept = self._kept.pop(entry.room, None) if self._kept and entry.room else None
            if kept is None or entry.head is None:
                continue
            held = self._positions.hold(kept.room, kept.seq, kept.epoch, entry.head, entry.epoch)
            position = self._positions.of(kept.room)
            is_known = kept.epoch is not None and position is not None and position.epoch is not None
            if not held and not is_known and (kept.epoch is None or kept.epoch != entry.epoch):
                self._pending.append(Left([kept.room]))

    def began(self, entries: Iterable[Entry]) -> None:
        """The positions know of the list: the older messages of rooms that are new here are wanted."""
        for entry in entries:
            position = self._positions.of(entry.room) if entry.room else None
            if entry.room and position is not None:
                ts = entry.last.ts if entry.last is not None else 0
                self._pending.append(Began(entry.room, position.seq, position.epoch, ts))
        self._more.set()

    def listed(self, welcome: replies.Welcome, unreadable: Collection[str]) -> None:
        """All lists were read: rooms that none of them named are no longer the user's to read. `unreadable`: the rooms
        that the server could not read for these lists; the file may have the only copy that is left. Where the node is
        cut off from others its lists may lack the latest rooms: those of the next connection decide."""
        if welcome.incomplete:
            return
        waiting = {entry.room for entry in welcome.requests} | {*welcome.unreadable, *unreadable}
        left = [room for room in self._kept or () if room not in waiting]
        if left:
            self._pending.append(Left(left))
            self._more.set()  # It is stored then, also where the application reads no events.
        self._kept = {}

    def note(self, event: Event) -> None:
        """The event goes into the inbox."""
        if type(event) in _FACTS:
            position = self._positions.of(event.room)  # type: ignore[union-attr]  # narrowed by the set
            self._pending.append(Told(event, position and position.epoch))  # type: ignore[arg-type]
        elif isinstance(event, Reset):
            self._pending.append(event)

    async def next(self, inbox: Inbox[Event]) -> Event:
        """The next event, once it is stored. Raises what ended the session, or sqlite3.Error."""
        while True:
            await inbox.wait()
            if not self._pending:
                return inbox.take()
            await self._store()

    async def _store(self) -> None:
        """Store all that waits, in one transaction. Cancelled, all of it still waits: to store it twice is no harm."""
        async with self._storing:
            news = self._pending[:]
            if news:
                wanted = await self._in_file(self.replica.store, news)
                del self._pending[: len(news)]
                if wanted:
                    self._more.set()

    async def _in_file(self, work: Callable[..., T], *args: object) -> T:
        """Have it done in a thread. The first error of the file is the one that is raised, always: where two
        tasks meet a broken file at once, the session ends by one exception all the same."""
        try:
            return await trio.to_thread.run_sync(work, *args)
        except sqlite3.Error as error:
            self._failure = self._failure or error
            raise self._failure  # noqa: B904 -- it is the same one, or stands in its place

    # ------------------------------------------------------------------------------------------ older messages

    async def fetch(self, calls: Calls) -> None:
        """Fetch what is wanted of older messages, on one connection; for ever. A room that can't be read in full now
        is left to the next connection."""
        unreadable: set[str] = set()
        asked: tuple[str, int] | None = None
        while True:
            self._more = trio.Event()
            await self._store()
            wanted = await self._in_file(self.replica.wanted, unreadable)
            if wanted is None:
                await self._more.wait()
                continue
            if wanted == asked:
                # The page was read too early, or from another log: the session is about to hear of it.
                await trio.sleep(_AGAIN_S)
            asked = room, before = wanted
            try:
                page = await calls.inner(req.History(room=room, before=before, limit=PAGE, messages=True), Page)
            except Refused as refused:
                asked = None
                if refused.temporary:
                    await trio.sleep(refused.wait_s)
                else:
                    await self._in_file(self.replica.cannot_fetch, room)
                continue
            if page.complete:
                await self._in_file(self.replica.fetched, page, before)
            else:
                unreadable.add(room)
