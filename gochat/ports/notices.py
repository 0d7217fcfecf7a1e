"""The port of the notices: notifications that wait, and the rooms that are still to be looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from gochat.domain.notices import (
    Attempt,
    Bounds,
    NewNotice,
    NoticeEntry,
    RoomLook,
    Route,
    UnseenRoom,
    WaitingNotice,
    Wishes,
)


class Notices(Protocol):
    """The store's side of notifications. All methods raise StoreError.

    Writes are not synced: after a power failure a room is looked at again, and the same bursts have the same ids.
    """

    async def unseen(self, after: int, limit: int) -> list[UnseenRoom]:
        """Rooms with messages that nobody has been judged by, by number, above `after`."""

    async def look(
        self, room: UnseenRoom, after_user: str, limit: int, *, now_ms: int, ripe_ts: int, oldest_ts: int
    ) -> RoomLook:
        """Up to `limit` members above `after_user`. Messages up to `ripe_ts` are old enough; those before `oldest_ts`
        are too old to be news. Shows everything that was acked before the call."""

    async def add(
        self,
        found: Sequence[NewNotice],
        looked: Mapping[int, int],
        routes: Sequence[Route],
        bounds: Bounds,
        now_ms: int,
    ) -> dict[int, int | None]:
        """Keep what is to be sent, and that rooms (by number) have been looked at up to a seq: both or neither. Of each
        of these rooms the time of its next message, if there is one. Past `bounds.waiting` notices of a channel further
        ones are dead letters at once; past `bounds.of_user` nothing is kept, and the user counts as not notified. A
        notice that was added before is left as it is."""

    async def due(
        self, channel: str, now_ms: int, limit: int, busy: Collection[str] = (), skip: Collection[tuple[str, int]] = ()
    ) -> list[WaitingNotice]:
        """Notices of a channel whose time has come, the longest due first; none of users who are `busy`, and none of
        those to `skip`, by id and target."""

    async def next_due(self, channel: str) -> int | None:
        """When the next notice of a channel is to be sent."""

    async def finish(self, attempts: Sequence[Attempt], bounds: Bounds) -> None:
        """Keep what came of these. Where nothing was delivered and nothing waits, the user counts as not notified. A
        device that is to be tried again puts off what else waits for it. Of a channel the latest `bounds.dead` dead
        letters are kept, and of one user `bounds.of_user`."""

    async def revive(self, channel: str | None, now_ms: int) -> int:
        """Dead letters, of one channel or all, are to be tried again; how many."""

    async def counts(self) -> dict[tuple[str, str], int]:
        """By channel and "waiting" or "dead" how many notices there are."""

    async def keep_only(self, channels: Collection[str]) -> None:
        """Other channels are off: nothing that waits for them is to be sent when they are on again. Without any
        channel no room is marked any more."""

    async def entries(self, *, dead: bool, limit: int, channel: str | None = None) -> list[NoticeEntry]:
        """The notifications that wait, the next first; or dead letters, the latest first; of one channel or all."""

    async def wishes(self, user: str, now_ms: int) -> Wishes:
        """A user's wishes. `Journal.append_side_records` changes it, with those of domain/notices.py."""

    async def address(self, user: str) -> str | None:
        """The mail address that is kept for a user, as `Addressed` has it. Cheap enough for each sign-in."""
