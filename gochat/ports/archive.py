"""The port of the archive, which answers what users ask: pages, lists and searches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

import msgspec

from gochat.domain.facts import AnyFact, HistoryScope, PostRight, Role
from gochat.protocol.entries import (
    Account,
    AuditEntry,
    ContactEntry,
    ContactState,
    GroupEntry,
    MemberEntry,
    RelationState,
    ReportEntry,
    RequestEntry,
    RoomEntry,
    RoomOverview,
    SanctionEntry,
    Suspension,
    UserEntry,
)


class Viewer(msgspec.Struct, frozen=True, gc=False):
    """The user who asks. An admin reads as if a member of every group."""

    user: str
    admin: bool = False
    after_leaving: bool = True
    """Whether a group may still be read up to where the user's time in it ended."""


class Snapshot(msgspec.Struct, kw_only=True):
    """The content of `welcome`, read at one moment, but without presence, which is not the store's to know."""

    commit: int
    """The last transaction that this snapshot holds."""
    contacts: list[ContactEntry]
    """`online` says whether the user may know it at all."""
    rooms: list[RoomEntry]
    """The groups by name, as many as fit a welcome."""
    others: dict[str, int] = {}
    """Heads of the groups that did not fit."""
    requests: list[RequestEntry]
    former: dict[str, int]
    """Of the rooms asked for: groups the user is no longer in, and the seq of the fact that ended it."""
    hidden_up_to: dict[str, int]
    """Of the rooms asked for: the seq up to which `since_join` hides the room, where it hides any of it."""
    heads: dict[str, int]
    """Heads of the rooms asked for that the user is in (or may write to: a DM)."""
    since: dict[str, int] = {}
    """Of the groups the user is in, the seq at which they came in, the last time; 1 where it is left out."""
    unreadable: Collection[str] = ()
    """Rooms that are left out of what stands above, since they are damaged. Only where a welcome is asked for."""
    missed: dict[str, list[AnyFact]]
    """Of those, the facts above the seq that the client holds, as far as they were read: the first of them, or none."""


class Facts(msgspec.Struct):
    """A stretch of a room's log."""

    entries: list[AnyFact]
    head: int
    next: int | None = None
    """Of a page of messages, where there may be more: the bound to go on with."""
    reads: Mapping[str, int] = {}
    """Of a page, up to where each other user of the room has read, as far as they tell the asker."""
    got: Mapping[str, int] = {}
    """And up to where its facts have come to their devices, where that is further."""
    joined: Mapping[str, int] = {}
    """And where members came in who came later: they have read and got nothing from before."""


class Group(msgspec.Struct, frozen=True):
    """A group as one who is in it sees it; to an admin who is not, `role` is None."""

    title: str
    role: Role | None
    members: int
    history: HistoryScope
    post: PostRight


class Archive(Protocol):
    """The read side of the store. Each call reads one consistent moment, at least as new as every append that had
    returned when it was called. Lists are ascending and stable under paging. Every method raises StoreError.

    A method that names a `viewer` answers None where the asker may not read that room; `membership` says why.
    """

    async def welcome(self, user: str, contacts: int, rooms: Sequence[str], held: Mapping[str, int] = {}) -> Snapshot:
        """The user's `contacts` latest private rooms, newest first, without blocked users; the groups; as many
        of the latest requests. `rooms` are those that a client wants to resume. `held` has the client's last seq of
        each room whose missed facts are wanted along with the welcome, as long as they are few."""

    async def page(
        self, viewer: Viewer, room: str, *, before: int | None, after: int | None, limit: int, messages: bool = False
    ) -> Facts | None:
        """Facts above `after`, or the nearest below `before`, or with neither the newest; shown as they are now.
        An edit entry has no body. Facts that the group's `since_join` hides are left out. With `messages` only messages
        that are not deleted: a call looks at some 30,000 facts at most, so a page may be short, or empty, and have a
        `next`.
        """

    async def replay(
        self, room: str, after: int, upto: int, limit: int, *, reader: str | None = None, admin: bool = False
    ) -> list[AnyFact]:
        """Facts after < seq <= upto, at most `limit`, as page shows them to `reader`, but an edit carries the present
        body, and a group that was deleted is read by those who were in it then. Of a private room that `reader` lets
        wait, nothing of what waits. Without `reader` all that there is."""

    async def head(self, room: str) -> int:
        """The room's head; 0 where nothing was recorded."""

    async def membership(self, user: str, room: str) -> Role | str | None:
        """The user's role in the group, "former" if it ended, None if there never was one. DMs: "member"."""

    async def group(self, viewer: Viewer, room: str) -> Group | None:
        """One group; None where the asker is not in it, or it is closed."""

    async def groups(
        self,
        user: str,
        owner: str | None,
        limit: int,
        cursor: str | None,
        unreadable: list[str] | None = None,
    ) -> tuple[list[GroupEntry], str | None]:
        """The groups the user is in (of `owner`, if given), by name; and where the next page starts. Groups that are
        damaged are left out and added to `unreadable`, so that a page may be short; without it they raise."""

    async def members(
        self, viewer: Viewer, room: str, limit: int, cursor: str | None
    ) -> tuple[list[MemberEntry], str | None] | None:
        """The members by id."""

    async def search_messages(
        self,
        user: str,
        q: str,
        room: str | None,
        limit: int,
        cursor: str | None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> tuple[list[AnyFact], str | None]:
        """Messages with every word of `q` in rooms the user is in (or only in `room`), newest first. A word matches
        as a prefix; words of scripts without spaces match anywhere. Anything recorded up to 1 s ago may be missing.

        One search of a user runs at a time, and users take turns: raises Full when too many wait, or the turn does not
        come soon; TooCostly when it would look at too much. It is dropped, and raises one of the two, when `wanted`
        says no: it is asked in other threads."""

    async def search_users(
        self, viewer: str, q: str, limit: int, cursor: str | None, wanted: Callable[[], bool] = lambda: True
    ) -> tuple[list[UserEntry], str | None]:
        """Users whose id starts with `q`, or who have every word of `q` in their name as the beginning of a word, by
        the word that was found; then those where a word of 4 letters or more is one letter away from that. Not users
        who blocked the asker. It takes its turn among the searches, as `search_messages` says."""

    async def users(self, users: Sequence[str]) -> Mapping[str, tuple[str, int | None]]:
        """Shown name and time last seen of those that ever signed in, for the server itself: a user is told `names`."""

    async def names(self, viewer: Viewer, users: Sequence[str]) -> Mapping[str, str]:
        """Shown names of those that ever signed in, as far as the asker may know them: by search, which finds
        nobody who has blocked the asker, or as a member of the same group. Every other method that answers a user tells
        names by this rule, and elsewhere the id."""

    async def acquainted(self, user: str, others: Sequence[str]) -> set[str]:
        """Those of `others` whose presence the user may see: they share a group; or have the user as a contact; or
        share a private room that is no mere request, while one of them has the other as a contact, or where strangers
        may write and nothing but messages was ever between them. And neither has blocked the other."""

    async def onlookers(self, user: str, others: Sequence[str]) -> set[str]:
        """Those of `others` who may see the user's presence, by the same rule."""

    async def contacts(
        self,
        user: str,
        limit: int,
        cursor: str | None,
        only: RelationState | None = None,
        rooms: bool = False,
        unreadable: list[str] | None = None,
    ) -> tuple[list[ContactState], str | None]:
        """The users to whom the user's state is contact, blocked or declined (or `only` blocked), by id. With `rooms`
        also those with whom there is no more than a private room; not those who wait for an answer. Users whose
        private rooms or names are damaged are left out, and the rooms added to `unreadable`; without it they raise."""

    async def requests(self, user: str, limit: int, cursor: str | None) -> tuple[list[RequestEntry], str | None]:
        """Requests that wait for the user, by who asks."""

    async def reports(
        self, room: str | None, limit: int, cursor: str | None, *, viewer: Viewer | None = None
    ) -> tuple[list[ReportEntry], str | None]:
        """Open reports, oldest first, of one room or of all. To a `viewer` who moderates that room, but owns it not,
        none about a message that is hidden from them."""

    async def report_room(self, report: int, *, viewer: Viewer | None = None) -> tuple[str, bool] | None:
        """The room of a report, and whether it is open; None where `reports` would not tell the asker of it."""

    async def sanctions(
        self, viewer: Viewer, room: str, limit: int, cursor: str | None
    ) -> tuple[list[SanctionEntry], str | None]:
        """Mutes and bans of a group that hold now, by user. The asker's right to them is not looked at: `viewer` only
        decides which names are told."""

    async def audit(self, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
        """The audit log, newest first."""

    async def accounts(self, user: str | None, limit: int, cursor: str | None) -> tuple[list[Account], str | None]:
        """Users who ever signed in, by id, with their suspensions; `sessions` is 0. Or only the one of that id."""

    async def rooms(
        self, user: str | None, private: bool, limit: int, cursor: str | None
    ) -> tuple[list[RoomOverview], str | None]:
        """All groups that are not closed, or all private rooms, by id; of one user, those that the user is in."""

    async def groups_named(
        self, viewer: str, user: str | None, words: Sequence[str], limit: int, cursor: str | None
    ) -> tuple[list[RoomOverview], str | None]:
        """Those groups, by id, whose title and id together have for each of these folded words one that begins with it.
        A page may be short, or empty, where there is a next one: a call looks at a bounded number of groups. It takes
        the viewer's turn among the searches, as `search_messages` says."""

    async def suspensions(self, limit: int, cursor: str | None) -> tuple[list[Suspension], str | None]:
        """Users who are suspended now, by id."""
