"""Notices that all nodes of a cluster keep, and one of them sends.

The node that notifies looks at rooms, and tries to send, as a node alone does; but whatever it writes is an entry of
the log. So each node has the same notices, and one that takes over goes on where the log ends: what was sent and not
yet recorded is sent again, under the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gochat.domain.notices import (
    AnyNoticeRecord,
    Attempt,
    Bounds,
    NewNotice,
    NoticeEntry,
    NoticesFound,
    NoticesRevived,
    NoticesTried,
    RoomLook,
    Route,
    UnseenRoom,
    WaitingNotice,
    Wishes,
)
from gochat.errors import Full, StoreError
from gochat.ports.journal import Journal
from gochat.ports.notices import Notices

#: Notices, or attempts, of one entry: some 300 KB.
MOST_AT_ONCE: Final = 1_000


class LoggedNotices:
    """`ports.Notices` of one node of a cluster."""

    def __init__(self, inner: Notices, journal: Journal) -> None:
        """`inner`: this node's own. `journal`: the cluster's, which has all nodes do what is recorded."""
        self._inner = inner
        self._journal = journal

    async def _record(self, entry: AnyNoticeRecord) -> None:
        """Raises StoreError."""
        try:
            await self._journal.append_side_records([entry])
        except Full as full:
            raise StoreError(str(full)) from None

    async def unseen(self, after: int, limit: int) -> list[UnseenRoom]:
        return await self._inner.unseen(after, limit)

    async def look(
        self, room: UnseenRoom, after_user: str, limit: int, *, now_ms: int, ripe_ts: int, oldest_ts: int
    ) -> RoomLook:
        return await self._inner.look(room, after_user, limit, now_ms=now_ms, ripe_ts=ripe_ts, oldest_ts=oldest_ts)

    async def add(
        self,
        found: Sequence[NewNotice],
        looked: Mapping[int, int],
        routes: Sequence[Route],
        bounds: Bounds,
        now_ms: int,
    ) -> dict[int, int | None]:
        # The rooms were looked at once all that was found there is recorded: else they are looked at again.
        last = max(0, len(found) - 1) // MOST_AT_ONCE * MOST_AT_ONCE
        for begin in range(0, last, MOST_AT_ONCE):
            piece = found[begin : begin + MOST_AT_ONCE]
            await self._record(NoticesFound(list(piece), {}, list(routes), bounds, now_ms))
        await self._record(NoticesFound(list(found[last:]), dict(looked), list(routes), bounds, now_ms))
        # It is done. Done once more here, for the answer alone, the second half changes nothing.
        return await self._inner.add([], looked, routes, bounds, now_ms)

    async def due(
        self, channel: str, now_ms: int, limit: int, busy: Collection[str] = (), skip: Collection[tuple[str, int]] = ()
    ) -> list[WaitingNotice]:
        return await self._inner.due(channel, now_ms, limit, busy, skip)

    async def next_due(self, channel: str) -> int | None:
        return await self._inner.next_due(channel)

    async def finish(self, attempts: Sequence[Attempt], bounds: Bounds) -> None:
        for begin in range(0, len(attempts), MOST_AT_ONCE):
            await self._record(NoticesTried(list(attempts[begin : begin + MOST_AT_ONCE]), bounds))

    async def revive(self, channel: str | None, now_ms: int) -> int:
        counts = await self._inner.counts()
        await self._record(NoticesRevived(channel, now_ms))
        return sum(count for (name, state), count in counts.items() if state == "dead" and channel in (None, name))

    async def counts(self) -> dict[tuple[str, str], int]:
        return await self._inner.counts()

    async def keep_only(self, channels: Collection[str]) -> None:
        """By this node alone: another may have other channels."""
        await self._inner.keep_only(channels)

    async def entries(self, *, dead: bool, limit: int, channel: str | None = None) -> list[NoticeEntry]:
        return await self._inner.entries(dead=dead, limit=limit, channel=channel)

    async def wishes(self, user: str, now_ms: int) -> Wishes:
        return await self._inner.wishes(user, now_ms)

    async def address(self, user: str) -> str | None:
        return await self._inner.address(user)
