"""The seams: what the actors and sessions ask of the outside, with the promises in words.

A port never waits for an actor. Every implementation of a port passes that port's suite in tests/contracts/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from gochat.domain.commands import AnyEphemeral
from gochat.domain.facts import AnyFact, HistoryScope, PostRight, Role
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
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.domain.side_records import AnySideRecord, AnyStanding, Deleted
from gochat.errors import StoreError
from gochat.protocol.replies import (
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

# ---------------------------------------------------------------------------------------------- ticks


class Runnable(Protocol):
    """An entry of a turn queue."""

    def run_turn(self) -> None:
        """Do what is to be done now. Must neither wait nor raise."""


class TurnQueue(Protocol):
    """Says when the next tick of the scheduler has come, so that what one tick brings is done together."""

    def add(self, entry: Runnable) -> None:
        """Give the entry one turn with the next tick, in the loop's thread; never before `add` has returned. Entries
        have their turns in the order they came. An entry that is added twice has two turns."""


# ---------------------------------------------------------------------------------------------- journal


class Committed(msgspec.Struct, frozen=True, gc=False):
    """A batch is durable: it survives power loss."""

    commit: int
    """Number of the transaction; later transactions have greater numbers. A welcome read at `commit` n holds
    every fact of transactions up to n and none of a later one."""
    facts: Sequence[AnyFact] = ()
    """The facts as they are recorded, in their order. A journal that alone decides hands back the very objects that it
    was given. In a cluster facts of other nodes may have come first: then these have other seqs and times than those
    that were decided, and whoever decided them takes these."""
    room_pk: int = 0
    """The room's number, where the record that was appended to has none yet."""
    side_records: Sequence[AnySideRecord] = ()
    """The side records as they are recorded, where the facts are not those that were given."""


class DuplicateKeys(msgspec.Struct, frozen=True):
    """Nothing of the batch was recorded: these (sender, key) are recorded already. Answer those with what is recorded,
    and decide the rest again."""

    found: dict[tuple[str, str], Recorded]


class Overtaken(msgspec.Struct, frozen=True):
    """Nothing of the batch was recorded: the room is not what it was when the batch was decided, since another node's
    facts came first. They were told by now (`Journal.listen`): decide all of it again; it may be refused. A journal
    that alone decides never says so."""


AppendResult: TypeAlias = Committed | DuplicateKeys | Overtaken | StoreError
"""The outcome of a batch. A StoreError: nothing of it is recorded, or with `unknown` it may be."""
OnRecorded: TypeAlias = Callable[[AppendResult], None]
"""Is told the outcome of a batch, in the loop's own thread. An exception from it is logged and goes no further."""


class ForeignBatch(msgspec.Struct, frozen=True):
    """A batch of one room that another node decided, and that is durable here by now."""

    room: str
    commit: int
    """The number of this node's own transaction, as in Committed."""
    facts: Sequence[AnyFact]
    """As they are recorded. May be empty, and so may be the others."""
    side_records: Sequence[AnySideRecord] = ()
    hidden: Mapping[int, str] = {}
    """Seqs of facts of a private room that the named one of its two users does not hear."""
    room_pk: int = 0
    """The room's number."""
    raises_guard: bool = True
    """Whether it changes what decisions read: members, roles, settings, sanctions, a relation."""


OnStanding: TypeAlias = Callable[[AnyStanding], None]
"""Is told of a suspension, its end, or a revocation, in the loop's own thread."""
OnForeign: TypeAlias = Callable[[ForeignBatch], None]
"""Is told a batch, in the loop's own thread. An exception from it is logged and goes no further."""


class Journal(Protocol):
    """The write side of the store. Everything of one `append` is recorded in one transaction or not at all."""

    @property
    def problem(self) -> str | None:
        """Why the last commit failed; None when it did not."""

    @property
    def behind(self) -> str | None:
        """Why what is read here may be long out of date: nobody is to be signed in, no request of REST carried out, and
        nothing is appended; None where it is not. A journal that alone decides is never behind."""

    @property
    def epoch(self) -> str:
        """Names the log of every room in this store; changes only when the log was rolled back."""

    async def load(self, room: str) -> RoomRecord:
        """The room as its facts made it; with `head` 0 if it has none. Batches of other nodes that it holds have been
        told (`listen`) when this returns. Raises StoreError."""

    def listen(self, heard: OnForeign) -> None:
        """Have `heard` called once for each batch that another node decided, as soon as it is durable here. Calls for
        one room come in the order in which its batches were recorded, and `done` of this node's own batches has its
        place in that order. To be called once, before the first `load`. A journal that alone decides has nothing to
        tell."""

    def enforce(self, stood: OnStanding) -> None:
        """Have `stood` called for each suspension and revocation, of this node's and of others, as soon as it is
        durable here and before `append_side_records` returns: in the order in which they are recorded, so that the
        last one holds. To be called once."""

    def coming(self, room: str) -> bool:
        """Whether batches of other nodes may be durable here that are still to be told: then whoever reads the room up
        to its head is told facts again that were read."""

    async def barrier(self, rooms: Collection[str] | None = None) -> None:
        """Return when everything is recorded here and told that any node had acknowledged in these rooms (None: in
        all) before the call, so that whoever was acknowledged elsewhere finds it here. At once, where the journal alone
        decides. Raises StoreError where that can't be found out now."""

    def append(
        self,
        record: RoomRecord,
        facts: Sequence[AnyFact],
        side_records: Sequence[AnySideRecord],
        done: OnRecorded,
        hidden: Mapping[int, str] = {},
        expected: Mapping[int, int] = {},
    ) -> None:
        """Record `facts`, whose seqs follow the room's head without a gap, and everything that is derived from them:
        memberships, heads, read positions of senders, reactions, present bodies; and the `side_records`, whose relation
        changes follow those of the relation without a gap. Either may be empty. `record` names the room and its
        `room_pk`, and is not changed. `hidden` and `expected` are for other nodes (cluster/entry.py): seqs of facts
        that one of the two users of a private room does not hear; and conditions, the seq of an edit or a deletion with
        that of the fact that must have given its message the present body.

        The call never waits. `done` is called once, in the loop's thread and never before `append` has returned: with
        Committed, when everything is durable; with DuplicateKeys or Overtaken, when nothing is recorded and the
        caller decides again; or with a StoreError, when nothing is recorded or, if its `unknown` is set, may be, and
        the caller loads the room again. Many rooms' batches share one transaction (group commit).

        Raises StoreError when the store is closing, and Full when too many batches wait: `done` is then never called.
        """

    async def append_side_records(self, side_records: Sequence[AnySideRecord], *, room: str = "") -> None:
        """Record what no room's turn decides: reports that are closed, suspensions and revocations, the audit log. All
        of them are durable when it returns, or none is. `room` names the room that they are about, so that they are
        ordered with its facts; "" where they are about the site. Raises StoreError: nothing is recorded, or with
        `unknown` it may be. Raises Full when too many batches wait: nothing is recorded."""

    def note_read(self, record: RoomRecord, user: str, seq: int) -> None:
        """Raise the user's read position to `seq`, durable within 1 s. Never waits; keeps the maximum."""

    def note_got(self, record: RoomRecord, user: str, seq: int) -> None:
        """The room's facts have come to a device of the user's, up to `seq`. Otherwise as `note_read`."""

    def note_user(self, user: str, *, name: str | None = None, last_seen: int | None = None) -> None:
        """Keep the user's shown name or the time last seen, durable within 1 s. Never waits."""

    async def flush_notes(self) -> None:
        """Return when everything noted before the call is durable; else as `flush_reads`."""

    async def flush_reads(self) -> None:
        """Return when the read positions noted before the call are durable, so that a reading shows them. If the
        commit that should take them fails, they wait for the next, and this returns all the same."""


# ---------------------------------------------------------------------------------------------- lookups


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


# ---------------------------------------------------------------------------------------------- archive


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
    hidden: dict[str, int]
    """Of the rooms asked for: the seq up to which `since_join` hides the room, where it hides anything."""
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
        """Shown name and time last seen of those that ever signed in."""

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

    async def sanctions(self, room: str, limit: int, cursor: str | None) -> tuple[list[SanctionEntry], str | None]:
        """Mutes and bans of a group that hold now, by user."""

    async def audit(self, limit: int, cursor: str | None) -> tuple[list[AuditEntry], str | None]:
        """The audit log, newest first."""

    async def accounts(self, user: str | None, limit: int, cursor: str | None) -> tuple[list[Account], str | None]:
        """Users who ever signed in, by id, with their suspensions; `sessions` is 0. Or only the one of that id."""

    async def rooms(
        self, user: str | None, private: bool, limit: int, cursor: str | None
    ) -> tuple[list[RoomOverview], str | None]:
        """All groups that are not closed, or all private rooms, by id; of one user, those that the user is in."""

    async def suspensions(self, limit: int, cursor: str | None) -> tuple[list[Suspension], str | None]:
        """Users who are suspended now, by id."""


# ---------------------------------------------------------------------------------------------- presence


class Presence(Protocol):
    """Which users are online, on whatever node their sessions are. Nothing here waits. Two users who may not see each
    other's presence are the caller's to keep apart: this tells everything."""

    def came(self, user: str) -> bool:
        """The user's first session on this node has begun. Whether the user was online nowhere until then, so that
        those who watch them are to be told."""

    def went(self, user: str) -> bool:
        """The user's last session on this node has ended. Whether the user is online nowhere now, so that those who
        watch them are to be told, and the time last seen noted."""

    def is_online(self, user: str) -> bool:
        """Whether the user has a session on any node."""

    def entered(self, session: str, user: str, device: str | None) -> None:
        """A session of that id has begun on this node, as the user's newest on any. Sessions of the same device on
        other nodes give way to it, and so do the oldest beyond the limit; those of this node are the caller's to end.
        """

    def left(self, session: str) -> None:
        """The session has ended. Does nothing where it never entered, or has left."""

    def count(self, user: str) -> int:
        """How many sessions the user has on all nodes."""


# ---------------------------------------------------------------------------------------------- ephemera


class Ephemera(Protocol):
    """The way of events that are not recorded to the other nodes of a cluster. They may be lost, and are told there
    under the rules that hold there at that moment."""

    def tell(self, event: AnyEphemeral, *, withheld: bool = False) -> None:
        """Have the other nodes hear of it soon. Never waits; what is too much is dropped. `withheld`: nobody but the
        user themself is to be told."""


# ---------------------------------------------------------------------------------------------- notifications


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


# ---------------------------------------------------------------------------------------------- tokens


class Identity(msgspec.Struct, frozen=True, gc=False):
    """The user whom a token names, and the rights that it gives."""

    user: str
    scopes: frozenset[str]
    name: str | None = None
    expires_s: float | None = None
    """Unix time, seconds; None where nobody signed in, as for requests that REST answers without a token."""
    token_id: str | None = None
    issued_s: float | None = None
    """The token's `iat`."""
    mail: str | None = None
    """The mail address that the token names, where one is wanted (`auth.mail_claim`)."""


class Tokens(Protocol):
    """Says who a token belongs to."""

    async def verify(self, token: str) -> Identity:
        """Raises AuthError with a reason that does not repeat the token."""
