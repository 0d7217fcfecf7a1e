"""What may happen in a room: one turn decides a whole batch of commands against one room at one moment.

Pure: the same record, knowledge, time and commands give the same facts and outcomes. The turn works on a draft; the
room takes the draft over when the facts are durable, or drops it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from gochat.domain import commands as ask
from gochat.domain import facts
from gochat.domain.facts import AnyFact, Role
from gochat.domain.ids import is_dm
from gochat.domain.record import Reacted, Recorded, RoomRecord, Target
from gochat.errors import Denied


class Done(msgspec.Struct, frozen=True, gc=False):
    """The command holds: its fact is at `seq`. With `duplicate` it did so before this turn."""

    seq: int
    ts: int
    duplicate: bool = False


Outcome: TypeAlias = Done | Denied


class Knowledge(msgspec.Struct):
    """What was read of the log for this turn, beside the record."""

    targets: dict[int, Target] = {}
    reacted: dict[tuple[int, str, str], Reacted] = {}


class GroupLimits(msgspec.Struct, frozen=True):
    add_users: int = 200
    members: int = 100_000


NO_ROOM = Denied("not_found", "there is no such room")
NOT_MEMBER = Denied("not_member", "you are no longer a member of this room")
NO_MESSAGE = Denied("not_found", "there is no such message")
LAST_OWNER = Denied("conflict", "a group needs an owner: name a successor, or delete the group")

_RANK: dict[Role | None, int] = {None: 0, "member": 1, "moderator": 2, "owner": 3}
_POST_RANK = {"members": 1, "moderators": 2, "owner": 3}


class KnownKeys(Protocol):
    """Keys that are known to be recorded; others may be too."""

    def get(self, place: tuple[str, str], /) -> Recorded | None: ...


class RecentKeys:
    """The latest `most` keys of a room, and up to as many older ones. Two generations: forgetting costs nothing."""

    __slots__ = ("_most", "_new", "_old")

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: dict[tuple[str, str], Recorded] = {}
        self._old: dict[tuple[str, str], Recorded] = {}

    def get(self, place: tuple[str, str], /) -> Recorded | None:
        return self._new.get(place) or self._old.get(place)

    def remember(self, keys: Mapping[tuple[str, str], Recorded]) -> None:
        if keys:
            self._new.update(keys)
            if len(self._new) >= self._most:
                self._old, self._new = self._new, {}

    def clear(self) -> None:
        self._new, self._old = {}, {}


class Turn:
    """Collects the facts of one batch. After `decide` has refused a command, the draft is as it was before it."""

    def __init__(
        self,
        record: RoomRecord,
        known_keys: KnownKeys,
        knowledge: Knowledge,
        limits: GroupLimits,
        now_ms: int,
    ) -> None:
        self.draft = record.draft()
        self.facts: list[AnyFact] = []
        self.fresh_keys: dict[tuple[str, str], Recorded] = {}
        self._known_keys = known_keys
        self._knowledge = knowledge
        self._limits = limits
        self._now_ms = now_ms
        self._dm = is_dm(record.room)
        self._owns_members = False

    def decide(self, command: ask.AnyCommand, refusal: Denied | None = None) -> Outcome:
        """What comes of `command`. `refusal` is what the sender's own limits say; what the room says goes before it."""
        if isinstance(command, ask.Send):
            return self._send(command, refusal)
        if isinstance(command, ask.Create):
            return refusal or self._create(command)
        denied = self._present(command)
        if denied is not None:
            return denied
        if isinstance(command, ask.Edit):
            return self._edit(command, refusal)
        if isinstance(command, ask.Delete):
            return self._delete(command, refusal)
        if isinstance(command, ask.React):
            return self._react(command, refusal)
        if isinstance(command, (ask.Read, ask.Typing)):
            return Done(self.draft.head, self.draft.ts)
        if self._dm:
            return Denied("bad_request", "a private room is not a group")
        return refusal or self._on_group(command)

    def recorded(self, user: str, key: str) -> Recorded | None:
        """Where this turn knows the key to be recorded."""
        return self.fresh_keys.get((user, key)) or self._known_keys.get((user, key))

    # ------------------------------------------------------------------------------------------ messages

    def _send(self, command: ask.Send, refusal: Denied | None) -> Outcome:
        key = command.key
        if key is not None:
            known = self.recorded(command.user, key)
            if known is not None:
                return Done(known.seq, known.ts, True)
        denied = self._present(command) or self._may_post(command) or refusal
        if denied is not None:
            return denied
        draft = self.draft
        if command.reply_to is not None and command.reply_to > draft.head:
            return NO_MESSAGE
        draft.head = seq = draft.head + 1
        if self._now_ms > draft.ts:
            draft.ts = self._now_ms
        self.facts.append(
            facts.Message(
                room=draft.room, seq=seq, ts=draft.ts, sender=command.user, body=command.body, key=key,
                reply_to=command.reply_to,
            )
        )  # fmt: skip
        if key is not None:
            self.fresh_keys[command.user, key] = Recorded(seq, draft.ts)
        return Done(seq, draft.ts)

    def _edit(self, command: ask.Edit, refusal: Denied | None) -> Outcome:
        target = self._target(command.seq)
        if target is None or target.body is None:
            return NO_MESSAGE
        if target.author != command.user and not command.admin:
            return Denied("forbidden", "only its author may edit a message")
        if target.body == command.body:
            return Done(target.edit_seq or command.seq, target.edit_ts or target.ts, True)
        denied = self._may_post(command) or refusal
        if denied is not None:
            return denied
        fact = self._add(facts.Edit(**self._next(command), target=command.seq, body=command.body))
        target.body, target.edit_seq, target.edit_ts = command.body, fact.seq, fact.ts
        return Done(fact.seq, fact.ts)

    def _delete(self, command: ask.Delete, refusal: Denied | None) -> Outcome:
        target = self._target(command.seq)
        if target is None:
            return NO_MESSAGE
        if target.author != command.user and not (command.admin or self._rank(command) >= _RANK["moderator"]):
            return Denied("forbidden", "only its author or a moderator may delete a message")
        if target.delete_seq is not None:
            return Done(target.delete_seq, target.delete_ts or target.ts, True)
        if refusal is not None:
            return refusal
        fact = self._add(facts.Delete(**self._next(command), target=command.seq))
        target.body, target.delete_seq, target.delete_ts = None, fact.seq, fact.ts
        return Done(fact.seq, fact.ts)

    def _react(self, command: ask.React, refusal: Denied | None) -> Outcome:
        target = self._target(command.seq)
        if target is None or target.body is None:
            return NO_MESSAGE
        place = (command.seq, command.user, command.emoji)
        last = self._knowledge.reacted.get(place)
        if (last.on if last else False) == command.on:
            # Never reacted and off: so since the message itself.
            return Done(last.seq, last.ts, True) if last else Done(command.seq, target.ts, True)
        denied = self._may_post(command) or refusal
        if denied is not None:
            return denied
        fact = self._add(
            facts.Reaction(**self._next(command), target=command.seq, emoji=command.emoji, on=command.on)
        )  # fmt: skip
        self._knowledge.reacted[place] = Reacted(on=command.on, seq=fact.seq, ts=fact.ts)
        return Done(fact.seq, fact.ts)

    def _target(self, seq: int) -> Target | None:
        """The message at `seq`: read from the log, or decided earlier in this very turn."""
        known = self._knowledge.targets.get(seq)
        if known is None and self.facts and seq >= self.facts[0].seq:
            index = seq - self.facts[0].seq
            fact = self.facts[index] if index < len(self.facts) else None
            if isinstance(fact, facts.Message):
                known = Target(author=fact.sender, ts=fact.ts, body=fact.body)
                self._knowledge.targets[seq] = known
        return known

    # ------------------------------------------------------------------------------------------ groups

    def _create(self, command: ask.Create) -> Outcome:
        if self.draft.head:
            return Denied("conflict", "a group of this name exists or existed; names are never given again")
        others = [user for user in dict.fromkeys(command.users) if user != command.user]
        denied = self._room_for(others, present=1)
        if denied is not None:
            return denied
        self._members_change(command, [command.user], "added", role="owner", title=command.title or "")
        if command.history != "all" or command.post != "members":
            self._add(facts.Group(**self._next(command), history=command.history, post=command.post))
        if others:
            self._members_change(command, others, "added", role="member")
        return Done(self.draft.head, self.draft.ts)

    def _on_group(self, command: ask.OnGroup) -> Outcome:
        if isinstance(command, ask.Configure):
            return self._configure(command)
        if isinstance(command, ask.Add):
            return self._add_members(command)
        if isinstance(command, ask.Remove):
            return self._remove_members(command)
        if isinstance(command, ask.SetRole):
            return self._set_role(command)
        if isinstance(command, ask.Leave):
            return self._leave(command)
        if self._rank(command) < _RANK["owner"]:
            return Denied("forbidden", "only an owner may delete the group")
        self._own_members()
        fact = self._add(facts.Closed(**self._next(command)))
        return Done(fact.seq, fact.ts)

    def _configure(self, command: ask.Configure) -> Outcome:
        draft = self.draft
        only_title = command.history is None and command.post is None
        if self._rank(command) < _RANK["moderator" if only_title else "owner"]:
            return Denied("forbidden", "only an owner may change the group; a moderator may change its title")
        changed: dict[str, Any] = {
            name: value
            for name, value in (("title", command.title), ("history", command.history), ("post", command.post))
            if value is not None and value != getattr(draft, name)
        }
        if not changed:
            return self._as_it_is()
        fact = self._add(facts.Group(**self._next(command), **changed))
        return Done(fact.seq, fact.ts)

    def _add_members(self, command: ask.Add) -> Outcome:
        if self._rank(command) < _RANK["moderator"]:
            return Denied("forbidden", "only an owner or a moderator may add users")
        new = [user for user in dict.fromkeys(command.users) if user not in self.draft.members]
        denied = self._room_for(new, present=len(self.draft.members))
        if denied is not None:
            return denied
        if not new:
            return self._as_it_is()
        return self._members_change(command, new, "added", role="member")

    def _remove_members(self, command: ask.Remove) -> Outcome:
        rank = self._rank(command)
        members = self.draft.members
        gone = [user for user in dict.fromkeys(command.users) if user in members]
        if rank < _RANK["moderator"] or (
            rank < _RANK["owner"] and any(_RANK[members[user]] >= rank for user in gone)
        ):  # fmt: skip
            return Denied("forbidden", "a moderator may remove members; only an owner may remove others")
        if not gone:
            return self._as_it_is()
        if self._would_lose_last_owner(gone):
            return LAST_OWNER
        return self._members_change(command, gone, "removed")

    def _set_role(self, command: ask.SetRole) -> Outcome:
        if self._rank(command) < _RANK["owner"]:
            return Denied("forbidden", "only an owner may change roles")
        role = self.draft.members.get(command.member)
        if role is None:
            return Denied("not_found", "that user is not a member of the group")
        if role == command.role:
            return self._as_it_is()
        if self._would_lose_last_owner([command.member]):
            return LAST_OWNER
        return self._members_change(command, [command.member], "role", role=command.role)

    def _leave(self, command: ask.Leave) -> Outcome:
        if command.user not in self.draft.members:
            return NO_ROOM
        if self._would_lose_last_owner([command.user]):
            heir = command.successor
            if heir is None:
                return LAST_OWNER
            if heir == command.user or heir not in self.draft.members:
                return Denied("not_found", "the successor is not another member of the group")
            self._members_change(command, [heir], "role", role="owner")
        return self._members_change(command, [command.user], "left")

    # ------------------------------------------------------------------------------------------ shared

    def _present(self, command: ask.AnyCommand) -> Denied | None:
        """Refuses who is not in the room. A DM's two users always are: who else asks never gets here."""
        if self._dm:
            return None
        draft = self.draft
        if command.user in draft.members or (command.admin and draft.head and not draft.closed):
            return None
        return NOT_MEMBER if command.user in draft.former and not draft.closed else NO_ROOM

    def _may_post(self, command: ask.Send | ask.Edit | ask.React) -> Denied | None:
        if self._dm or self.draft.post == "members" or self._rank(command) >= _POST_RANK[self.draft.post]:
            return None
        return Denied("forbidden", f"only {self.draft.post} may write here", rule="group.post")

    def _rank(self, command: ask.AnyCommand) -> int:
        return _RANK["owner"] if command.admin else _RANK[self.draft.members.get(command.user)]

    def _room_for(self, new: list[str], present: int) -> Denied | None:
        if len(new) > self._limits.add_users:
            return Denied("bad_request", f"at most {self._limits.add_users} users in one request")
        if present + len(new) > self._limits.members:
            return Denied("conflict", f"a group holds at most {self._limits.members} users", rule="group.members")
        return None

    def _would_lose_last_owner(self, gone: list[str]) -> bool:
        owners = self.draft.owners
        return bool(owners) and owners.issubset(gone)

    def _as_it_is(self) -> Done:
        return Done(self.draft.head, self.draft.ts, True)

    def _members_change(
        self, command: ask.AnyCommand, users: list[str], change: facts.Change, role: Role | None = None,
        title: str | None = None,
    ) -> Done:  # fmt: skip
        self._own_members()
        fact = self._add(facts.Member(**self._next(command), users=users, change=change, role=role, title=title))
        return Done(fact.seq, fact.ts)

    def _own_members(self) -> None:
        if not self._owns_members:
            self.draft.own_members()
            self._owns_members = True

    def _next(self, command: ask.AnyCommand) -> dict[str, Any]:
        draft = self.draft
        return {"room": draft.room, "seq": draft.head + 1, "ts": max(self._now_ms, draft.ts), "sender": command.user}

    def _add(self, fact: AnyFact) -> AnyFact:
        self.draft.apply(fact)
        self.facts.append(fact)
        return fact
