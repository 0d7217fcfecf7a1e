"""Records beside a room's log, in the same transaction: each concerns the room, but not every member may see it, so it
has no seq and is told to nobody as a fact. Some concern no room, but the site.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from gochat.domain.ids import dm_users, is_dm
from gochat.domain.notices import AnyNoticeRecord, AnyWish
from gochat.domain.relationship import Relation, RelationChange

SanctionKind: TypeAlias = Literal["mute", "ban"]


class Related(msgspec.Struct, frozen=True):
    """A change of a private room's relation, and what it led to."""

    change: RelationChange
    after: Relation


class Sanctioned(msgspec.Struct, frozen=True, gc=False):
    """A mute or ban of a member, or its end."""

    user: str
    kind: SanctionKind
    on: bool
    ts: int
    until: int | None = None
    """When it ends by itself, in milliseconds; None: it does not."""


class Added(msgspec.Struct, frozen=True, gc=False):
    """The user added so many others to a group who do not have the user as a contact."""

    user: str
    ts: int
    users: int


class Reported(msgspec.Struct, frozen=True, gc=False):
    """Somebody, or a rule, wants moderators to look at a message. The same twice is one report."""

    seq: int
    ts: int
    user: str | None = None
    rule: str | None = None
    reason: str | None = None


class Audited(msgspec.Struct, frozen=True, gc=False):
    """An entry of the audit log."""

    ts: int
    actor: str
    action: str
    subject: str | None = None
    detail: str | None = None
    """A JSON object."""
    room: str | None = None
    """Where it is not the room that it is recorded with."""


def private_look(user: str, admin: bool, room: str, ts_ms: int) -> Audited | None:
    """The audit log's entry when `user` reads a room; None unless an admin reads a private room of two others."""
    if not admin or not is_dm(room) or user in dm_users(room):
        return None
    return Audited(ts_ms, user, "room.read", room=room)


class ReportClosed(msgspec.Struct, frozen=True, gc=False):
    """A moderator has dealt with a report."""

    report: int
    ts: int
    user: str


class Suspended(msgspec.Struct, frozen=True, gc=False):
    """A user is kept out of the whole site, or no longer."""

    user: str
    on: bool
    ts: int
    until: int | None = None
    actor: str = ""
    reason: str | None = None


#: Ids of used tickets stand among those of revoked tokens. No token has an id like theirs: one that another service
#: signed with it is refused (auth/claims.py).
TICKET: Final = "ticket:"


class Revoked(msgspec.Struct, frozen=True, gc=False):
    """The token with the id `value`, or all of the user `value` that were issued up to `ts`, are good no more."""

    kind: Literal["jti", "user"]
    value: str
    ts: int

    @property
    def is_of_a_ticket(self) -> bool:
        """Whether it is a ticket that was used or withdrawn: nobody has signed in with that."""
        return self.kind == "jti" and self.value.startswith(TICKET)


class Deleted(msgspec.Struct, frozen=True, gc=False):
    """A user was deleted, and the id is nobody's until it is released. Not recorded while a node runs."""

    user: str


AnyStanding: TypeAlias = Suspended | Revoked
AnySideRecord: TypeAlias = (
    Related | Sanctioned | Added | Reported | Audited | ReportClosed | AnyStanding | AnyWish | AnyNoticeRecord
)
