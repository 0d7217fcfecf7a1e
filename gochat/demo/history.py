"""Records the story in an empty database: the same decisions and the same journal as for people who write, but at
moments that have passed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import trio

from gochat import store as stores
from gochat.demo import story
from gochat.demo.story import Said
from gochat.domain import commands
from gochat.domain.draft import Done, Prefetched, RecentKeys, RoomRules
from gochat.domain.facts import AnyFact
from gochat.domain.ids import dm, group
from gochat.domain.record import RoomRecord, Target
from gochat.domain.side_records import AnySideRecord
from gochat.domain.turn import Turn
from gochat.errors import StoreError
from gochat.ports.journal import AppendResult, Committed

_MINUTE_MS: Final = 60_000
#: How long after a message its reactions come.
_REACTION_MS: Final = 90_000
#: Messages that are older have been read by everybody; of newer ones each user has read what they answered.
_READ: Final = timedelta(minutes=45)


async def ensure_story(database: Path, now: datetime) -> bool:
    """Record the story as of `now`, local time, in one transaction, unless the database has it. Returns whether it was
    recorded. Nobody else may use the database meanwhile. Raises StoreError, and has changed nothing, where the
    database has other rooms: the demo's people are no guests in somebody's data."""
    failure = None
    async with stores.open(database) as store:
        if await store.archive.membership(story.BOT, group(story.GROUP)) is not None:
            return False
        if await _has_rooms(store):
            failure = StoreError(f"{database.parent} holds rooms that no demo made")
        else:
            failure = await _fill(store, now)
    if failure is not None:
        raise failure  # Out here no nursery of the store's makes a group of it.
    return True


async def _has_rooms(store: stores.Store) -> bool:
    groups, _ = await store.archive.rooms(None, False, 1, None)
    private, _ = await store.archive.rooms(None, True, 1, None)
    return bool(groups or private)


async def _fill(store: stores.Store, now: datetime) -> StoreError | None:
    """Record the story. Returns the error with which nothing was recorded."""
    rooms = [_Room(await store.journal.load(room), now) for room in _rooms()]
    _tell(rooms)
    failure = await _record(store, rooms)
    if failure is None:
        for user, name in story.NAMES.items():
            store.journal.note_user(user, name=name)
        for each in rooms:
            for user, seq in each.reads().items():
                store.journal.note_read(each.record, user, seq)
        await store.journal.flush_notes()
    return failure


def _rooms() -> list[str]:
    return [group(story.GROUP), *(dm(*users) for users in story.IN_PRIVATE)]


def _tell(rooms: Sequence[_Room]) -> None:
    """Let everything happen."""
    by_id = {each.record.room: each for each in rooms}
    lake = by_id[group(story.GROUP)]
    owner, *others = story.MEMBERS
    first = lake.moment(story.IN_GROUP[0].at) - _MINUTE_MS
    lake.act(first, commands.Create(room=lake.id, user=owner, title=story.GROUP_TITLE, users=tuple(others)))
    for users in story.CONTACTS:
        private = by_id[dm(*users)]
        for user in users:
            private.act(first, commands.Contact(room=private.id, user=user, action="add"))
    lake.say(story.IN_GROUP)
    for users, said in story.IN_PRIVATE.items():
        by_id[dm(*users)].say(said)


async def _record(store: stores.Store, rooms: Sequence[_Room]) -> StoreError | None:
    """All in one tick of the scheduler, so in one transaction. Returns the error with which nothing was recorded."""
    results: list[AppendResult] = []
    recorded = trio.Event()

    def done(result: AppendResult) -> None:
        results.append(result)
        if len(results) == len(rooms):
            recorded.set()

    for each in rooms:
        store.journal.append(each.loaded, each.facts, each.side_records, done)
    await recorded.wait()
    failed = [result for result in results if not isinstance(result, Committed)]
    if not failed:
        return None
    return failed[0] if isinstance(failed[0], StoreError) else StoreError("the story can't be recorded")


class _Room:
    """One room while its story is told."""

    def __init__(self, loaded: RoomRecord, now: datetime) -> None:
        self.loaded = self.record = loaded
        self.id = loaded.room
        self.facts: list[AnyFact] = []
        self.side_records: list[AnySideRecord] = []
        self._now = now
        self._targets: dict[int, Target] = {}

    def act(self, ts: int, command: commands.AnyCommand) -> int:
        """Decide the command as of `ts`; the seq of its fact. Raises ValueError where the story breaks a rule."""
        turn = Turn(self.record, RecentKeys(1), Prefetched(targets=self._targets), RoomRules(), ts)
        outcome = turn.decide(command)
        if not isinstance(outcome, Done):
            raise ValueError(f"{self.id}: {command}: {outcome.message}")
        self.record = turn.draft
        self.facts += turn.facts
        self.side_records += turn.side_records
        return outcome.seq

    def say(self, said: Sequence[Said]) -> None:
        """Messages, with the reactions that each gets before the next is written."""
        seqs: list[int] = []
        for each in said:
            ts = self.moment(each.at)
            reply_to = seqs[-each.answers] if each.answers else None
            seq = self.act(ts, commands.Send(room=self.id, user=each.user, body=each.body, reply_to=reply_to))
            self._targets[seq] = Target(author=each.user, ts=ts, body=each.body)
            seqs.append(seq)
            for user, emoji in each.reactions.items():
                react_ts = min(ts + _REACTION_MS, self._ms(self._now))
                self.act(react_ts, commands.React(room=self.id, user=user, seq=seq, emoji=emoji, on=True))

    def reads(self) -> dict[str, int]:
        """By user, the seq up to which they have read. One who was asked and has not answered has read nothing."""
        until = self._ms(self._now - _READ)
        users = story.MEMBERS if self.id == group(story.GROUP) else self.id.split(":")[1:]
        waits = self.record.relation.asked if self.record.relation is not None else None
        upto = max((fact.seq for fact in self.facts if fact.ts <= until), default=0)
        own = {user: max((fact.seq for fact in self.facts if fact.sender == user), default=0) for user in users}
        return {user: max(upto, own[user]) for user in users if user != waits}

    def moment(self, at: str) -> int:
        """The milliseconds of a moment of the story."""
        if at.endswith("m"):
            return self._ms(self._now - timedelta(minutes=int(at[:-1])))
        days, clock = at.split("d ")
        hour, minute = map(int, clock.split(":"))
        day = self._now - timedelta(days=int(days))
        return self._ms(day.replace(hour=hour, minute=minute, second=0, microsecond=0))

    @staticmethod
    def _ms(moment: datetime) -> int:
        return int(moment.timestamp() * 1000)
