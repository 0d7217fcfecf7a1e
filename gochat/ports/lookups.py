"""The port of the look-ups, which rooms read before they decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.side_records import AnyStanding, Deleted


class Lookups(Protocol):
    """The knowledge that a decision needs beyond the room's record. Each call reads one moment, at least as new as
    every append whose result was told when the call was made. Every method raises StoreError: then nothing is decided.

    `record` names the room; it is not changed.
    """

    async def recorded(self, record: RoomRecord, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Recorded]:
        """Those of the (sender, key) pairs that are recorded in the room."""

    async def targets(self, record: RoomRecord, seqs: Sequence[int]) -> dict[int, Target]:
        """The messages among `seqs`, deleted ones included; other facts and unknown seqs are left out."""

    async def reacted(
        self, record: RoomRecord, asked: Sequence[tuple[int, str, str]]
    ) -> dict[tuple[int, str, str], Reacted]:
        """The last word of each (seq, user, emoji) that ever had one."""

    async def since(self, record: RoomRecord, users: Sequence[str]) -> dict[str, int]:
        """The seq at which each of `users` who is in the group came in, the last time."""

    async def waiting(self, record: RoomRecord) -> set[int]:
        """The messages of a private room that wait for an answer and are not deleted."""

    async def left(self, record: RoomRecord, users: Sequence[str]) -> set[str]:
        """Those of `users` who left the group by themselves and are not back."""

    async def asks(self, user: str, since_ms: int) -> list[int]:
        """When the user asked strangers to be let write, after `since_ms`, in order."""

    async def adds(self, user: str, since_ms: int) -> list[int]:
        """When the user added to a group who does not have the user as a contact, after `since_ms`, in order: once
        for each of them."""

    async def held_by(self, peer: str, users: Sequence[str]) -> dict[str, tuple[bool, bool]]:
        """Of each of `users` whether they have `peer` as a contact, and whether they have blocked them."""

    async def blocks(self, users: Sequence[str], others: Sequence[str]) -> set[tuple[str, str]]:
        """The pairs of one of `users` and one of `others` of whom either has blocked the other."""

    async def deleted(self, users: Sequence[str]) -> set[str]:
        """Those of `users` who were deleted, and whose ids are not released."""

    async def standing(self, since_ms: int) -> list[AnyStanding | Deleted]:
        """Deleted users, suspensions, and revocations after `since_ms`."""
