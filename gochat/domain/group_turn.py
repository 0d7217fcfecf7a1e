"""Decisions about groups: who is in them, with which role, and under which rules.

Several owners are allowed; nobody changes an owner but an owner, and the last one does not go without a successor.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from gochat.domain import commands, facts
from gochat.domain.draft import CHANGED, NO_MEMBER, NO_ROOM, NO_USER, NOT_MEMBER, RANK, Done, Draft, Outcome
from gochat.domain.membership import would_lose_last_owner
from gochat.domain.side_records import Added, Sanctioned, SanctionKind
from gochat.errors import Denied

#: Mutes and bans of one group; those that are over count until room is made. Each new one costs a copy of them: a
#: millisecond or two at the bound.
MOST_SANCTIONS = 10_000
#: So many that are over are taken back at once to make room.
_TAKEN_BACK = 10
LAST_OWNER = Denied("conflict", "a group needs an owner: name a successor, or delete the group")
NAME_TAKEN = Denied("conflict", "a group of this name exists or existed; names are never given again")
LEFT = Denied("declined", "one of the users has left the group; only their contacts may add them", rule="group.left")
BANNED = Denied("forbidden", "that user is banned from the group", rule="group.banned")


class GroupTurn(Draft):
    """The part of a turn that is about groups."""

    __slots__ = ()

    def _create(self, command: commands.Create, refusal: Denied | None) -> Outcome:
        others = [user for user in dict.fromkeys(command.users) if user != command.user]
        denied = self._too_many(others) or self._unwilling(command, others) or refusal
        if denied is None and self.draft.head:
            denied = NAME_TAKEN
        denied = denied or self._no_space(others, present=1) or self._count_strangers(command, others)
        if denied is not None:
            return denied
        self._members_change(command, [command.user], "added", role="owner", title=command.title or "")
        if command.history != "all" or command.post != "members":
            self._add(facts.Group(**self._next(command), history=command.history, post=command.post))
        if others:
            self._members_change(command, others, "added", role="member")
        return Done(self.draft.head, self.draft.ts)

    def _on_group(self, command: commands.OnGroup, refusal: Denied | None) -> Outcome:
        """`refusal` comes after what the room forbids, and before a conflict: the order of the error table."""
        if isinstance(command, commands.Configure):
            return self._configure(command, refusal)
        if isinstance(command, commands.Add):
            return self._add_members(command, refusal)
        if isinstance(command, commands.Remove):
            return self._remove_members(command, refusal)
        if isinstance(command, commands.SetRole):
            return self._set_role(command, refusal)
        if isinstance(command, commands.Leave):
            return self._leave(command, refusal)
        if isinstance(command, (commands.Mute, commands.Unmute, commands.Ban, commands.Unban)):
            return self._sanction(command, refusal)
        if self._rank(command) < RANK["owner"]:
            return Denied("forbidden", "only an owner may delete the group")
        if isinstance(command, commands.Close) and not self._has_settings(command.expects):
            return CHANGED
        if refusal is not None:
            return refusal
        self._own_members()
        fact = self._add(facts.Closed(**self._next(command)))
        return Done(fact.seq, fact.ts)

    def _configure(self, command: commands.Configure, refusal: Denied | None) -> Outcome:
        draft = self.draft
        only_title = command.history is None and command.post is None
        if self._rank(command) < RANK["moderator" if only_title else "owner"]:
            return Denied("forbidden", "only an owner may change the group; a moderator may change its title")
        muted = self._muted(command) if command.title is not None else None
        if muted is not None:
            return muted
        if not self._has_settings(command.expects):
            return CHANGED
        changed: dict[str, Any] = {
            name: value
            for name, value in (("title", command.title), ("history", command.history), ("post", command.post))
            if value is not None and value != getattr(draft, name)
        }
        if not changed:
            return self._as_it_is()
        if refusal is not None:
            return refusal
        fact = self._add(facts.Group(**self._next(command), **changed))
        return Done(fact.seq, fact.ts)

    def _add_members(self, command: commands.Add, refusal: Denied | None) -> Outcome:
        if self._rank(command) < RANK["moderator"]:
            return Denied("forbidden", "only an owner or a moderator may add users")
        new = [user for user in dict.fromkeys(command.users) if user not in self.draft.members]
        denied = self._too_many(new) or self._unwilling(command, new)
        if denied is not None:
            return denied
        if not new:
            return self._as_it_is()
        denied = refusal or self._no_space(new, present=len(self.draft.members)) or self._count_strangers(command, new)
        if denied is not None:
            return denied
        self._prefetched.left.difference_update(new)
        return self._members_change(command, new, "added", role="member")

    def _remove_members(self, command: commands.Remove, refusal: Denied | None) -> Outcome:
        gone = [user for user in dict.fromkeys(command.users) if user in self.draft.members]
        denied = self._outranked(command, gone)
        if denied is not None:
            return denied
        if not gone:
            return self._as_it_is()
        if refusal is not None:
            return refusal
        if self._would_lose_last_owner(gone):
            return LAST_OWNER
        for user in gone:
            self._audit(command, "group.remove", user)
        return self._members_change(command, gone, "removed")

    def _sanction(
        self, command: commands.Mute | commands.Unmute | commands.Ban | commands.Unban, refusal: Denied | None
    ) -> Outcome:
        """A mute or ban that is set anew counts from now. Only what changes something is recorded."""
        user, on = command.member, isinstance(command, (commands.Mute, commands.Ban))
        kind: SanctionKind = "mute" if isinstance(command, (commands.Mute, commands.Unmute)) else "ban"
        denied = self._outranked(command, [user])
        if denied is not None:
            return denied
        present = user in self.draft.members
        if isinstance(command, commands.Mute) and not present:
            return NO_MEMBER
        if not on and not self.draft.sanctioned(user, kind, self._now_ms):
            return self._as_it_is()
        if refusal is not None:
            return refusal
        if isinstance(command, commands.Ban) and present and self._would_lose_last_owner([user]):
            return LAST_OWNER
        seconds = command.seconds if isinstance(command, (commands.Mute, commands.Ban)) else None
        until = None if seconds is None else self._now_ms + seconds * 1000
        if on and (user, kind) not in self.draft.sanctions and not self._has_room():
            return Denied("conflict", f"a group holds at most {MOST_SANCTIONS} mutes and bans", rule="group.sanctions")
        change = Sanctioned(user, kind, on, self._now_ms, until)
        self.draft.sanction(change)
        self.side_records.append(change)
        self._audit(command, f"group.{kind if on else 'un' + kind}", user, until=until)
        if isinstance(command, commands.Ban) and present:
            return self._members_change(command, [user], "removed")
        return Done(self.draft.head, self.draft.ts)

    def _set_role(self, command: commands.SetRole, refusal: Denied | None) -> Outcome:
        if self._rank(command) < RANK["owner"]:
            return Denied("forbidden", "only an owner may change roles")
        role = self.draft.members.get(command.member)
        if role is None:
            return NO_MEMBER
        if command.expects is not None and role != command.expects:
            return CHANGED
        if role == command.role:
            return self._as_it_is()
        if refusal is not None:
            return refusal
        if self._would_lose_last_owner([command.member]):
            return LAST_OWNER
        return self._members_change(command, [command.member], "role", role=command.role)

    def _leave(self, command: commands.Leave, refusal: Denied | None) -> Outcome:
        if command.user not in self.draft.members:
            return (
                NOT_MEMBER if command.user in self.draft.former else NO_ROOM
            )  # An admin, who is in no need of a seat.
        if refusal is not None:
            return refusal
        if self._would_lose_last_owner([command.user]):
            heir = command.successor
            if heir is None:
                return LAST_OWNER
            if heir == command.user or heir not in self.draft.members:
                return Denied("not_found", "the successor is not another member of the group")
            self._members_change(command, [heir], "role", role="owner")
        self._prefetched.left.add(command.user)
        return self._members_change(command, [command.user], "left")

    def _outranked(self, command: commands.AnyCommand, users: list[str]) -> Denied | None:
        """A moderator acts on members, an owner on everybody."""
        rank, members = self._rank(command), self.draft.members
        if rank < RANK["moderator"] or (
            rank < RANK["owner"] and any(RANK[members.get(user)] >= rank for user in users)
        ):
            return Denied("forbidden", "a moderator acts on members; on others only an owner does")
        return None

    def _unwilling(self, command: commands.AnyCommand, users: list[str]) -> Denied | None:
        """Why one of them can't be added; an admin adds anybody but the banned, and those who are no more."""
        if not self._prefetched.gone.isdisjoint(users):
            return NO_USER
        if self.draft.sanctions:
            for user in users:
                if self.draft.sanctioned(user, "ban", self._now_ms):
                    return BANNED
        known = self._prefetched
        if command.admin:
            return None
        if known.unwilling:
            denied = next(filter(None, (known.unwilling.get((command.user, user)) for user in users)), None)
            if denied is not None:
                return denied
        if known.left and any(user in known.left and (command.user, user) in known.strangers for user in users):
            return LEFT
        return None

    def _count_strangers(self, command: commands.Create | commands.Add, users: list[str]) -> Denied | None:
        """Count those who do not have the user who adds as a contact, all of them or none. Called last, when nothing
        else refuses."""
        window = None if command.admin else self._prefetched.adds.get(command.user)
        strangers = sum((command.user, user) in self._prefetched.strangers for user in users)
        if window is None or not strangers:
            return None
        wait_ms = window.wait(self._now_ms, strangers)
        if wait_ms:
            said = (
                f"at most {window.most} users who do not have you as a contact may be added to groups by you in a day"
            )
            return Denied("rate_limited", said, retry_after_ms=wait_ms, rule="group.add_budget")
        window.take(self._now_ms, strangers)
        self._taken.append((window, strangers))
        self.side_records.append(Added(command.user, self._now_ms, strangers))
        return None

    def _too_many(self, users: list[str]) -> Denied | None:
        most = self._rules.add_users
        return Denied("bad_request", f"at most {most} users in one request") if len(users) > most else None

    def _no_space(self, new: list[str], present: int) -> Denied | None:
        most = self._rules.members
        if present + len(new) > most:
            return Denied("conflict", f"a group holds at most {most} users", rule="group.members")
        return None

    def _has_room(self) -> bool:
        """Whether one more mute or ban finds room, once some of those that are over are taken back. That is recorded,
        as by a person: whether they are over is told by this node's clock, and replicas and the store have others."""
        draft = self.draft
        if len(draft.sanctions) < MOST_SANCTIONS:
            return True
        over = (place for place, until in draft.sanctions.items() if until is not None and until <= self._now_ms)
        ended = list(islice(over, _TAKEN_BACK))
        for user, kind in ended:
            change = Sanctioned(user, kind, False, self._now_ms)
            draft.sanction(change)
            self.side_records.append(change)
        return bool(ended)

    def _would_lose_last_owner(self, gone: list[str]) -> bool:
        return would_lose_last_owner(self.draft.owners, gone)
