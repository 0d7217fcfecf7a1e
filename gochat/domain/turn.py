"""Decisions about a room: one turn decides a whole batch of commands against one room at one moment.

Pure: the same record, knowledge, time and commands give the same facts and outcomes. The turn works on a draft; the
room takes the draft over when the facts are durable, or drops it. Decisions about groups alone are in `group_turn`.
"""

from __future__ import annotations

from collections.abc import Iterable

from gochat.domain import commands, facts, relationship
from gochat.domain.draft import (
    CHANGED,
    NO_MESSAGE,
    NO_ROOM,
    NO_USER,
    NOT_MEMBER,
    NOTHING_READ,
    RANK,
    Done,
    Outcome,
    Prefetched,
    RecentKeys,
    RecentMessages,
    RoomRules,
    may_post,
)
from gochat.domain.group_turn import GroupTurn
from gochat.domain.ids import dm_users
from gochat.domain.mentions import mentioned
from gochat.domain.moderation import Flag
from gochat.domain.record import Reacted, Recorded, Target
from gochat.domain.relationship import Change, RelationChange, Way
from gochat.domain.side_records import Related, Reported
from gochat.errors import Denied

__all__ = [
    "NOT_MEMBER",
    "NO_MESSAGE",
    "NO_ROOM",
    "Done",
    "Outcome",
    "Prefetched",
    "RecentKeys",
    "RecentMessages",
    "RoomRules",
    "Turn",
]


class Turn(GroupTurn):
    """Collects the facts of one batch. After `decide` has refused a command, the draft is as it was before it."""

    __slots__ = ()

    def decide(self, command: commands.AnyCommand, refusal: Denied | None = None) -> Outcome:
        """The outcome of `command`. `refusal` comes from the sender's own limits; the room's own goes before it."""
        if isinstance(command, commands.Send):
            return self._send(command, refusal)
        if isinstance(command, commands.Create):
            return self._create(command, refusal)
        denied = self._present(command)
        if denied is not None:
            return denied
        if (
            self._dm
            and isinstance(command, (commands.Edit, commands.React))
            and command.user not in dm_users(self.draft.room)
        ):
            return Denied("forbidden", "a private room is written to by its two users alone")
        if isinstance(command, commands.Edit):
            return self._edit(command, refusal)
        if isinstance(command, commands.Delete):
            return self._delete(command, refusal)
        if isinstance(command, commands.React):
            return self._react(command, refusal)
        if isinstance(command, commands.EPHEMERAL):
            self.passes_on = True
            return Done(self.draft.head, self.draft.ts)
        if isinstance(command, commands.Report):
            return self._report(command, refusal)
        if isinstance(command, commands.Contact):
            return self._contact(command, refusal)
        if isinstance(command, commands.Withdraw):
            self._withdraw()
            return self._as_it_is()
        if self._dm:
            return Denied("bad_request", "a private room is not a group")
        return self._on_group(command, refusal)

    def recorded(self, user: str, key: str) -> Recorded | None:
        """Where this turn knows the key to be recorded."""
        place = (self.draft.room, user, key)
        return self.fresh_keys.get(place) or self._known_keys.get(place)

    def are_contacts(self, sender: str) -> bool:
        """Whether whoever gets a message of the sender's here has the sender as a contact. In groups nobody asked."""
        if not self._dm:
            return False
        relation = self.draft.relation
        return relation is None or relation.of(relation.peer(sender)).contact

    def flag(self, command: commands.AnyCommand, seq: int, flags: Iterable[Flag]) -> None:
        """Tell the moderators of a text that passed but should be looked at."""
        target = command.seq if isinstance(command, commands.Edit) else seq
        for rule in dict.fromkeys(flag.rule for flag in flags):
            self.side_records.append(Reported(target, self._now_ms, rule=rule))

    # ------------------------------------------------------------------------------------------ messages

    def _send(self, command: commands.Send, refusal: Denied | None) -> Outcome:
        key, sender, place = command.key, command.user, None
        if key is not None:
            place = (command.room, sender, key)
            known = self.fresh_keys.get(place) or self._known_keys.get(place)
            if known is not None:
                return Done(known.seq, known.ts, True)
        draft = self.draft
        if not self._dm:  # Into a private room its two users may always write, as far as the room goes.
            denied = self._present(command) or self._may_post(command)
            if denied is not None:
                return denied
        if command.reply_to is not None and not self._may_reply(command, command.reply_to):
            return NO_MESSAGE
        if draft.gone:
            return NO_USER
        way: Way | Denied = "open"
        if draft.relation is not None:
            way = relationship.way(draft.relation, sender, self._rules.contacts, self._now_ms)
            if way != "open":
                way = self._within_budget(way, sender)
        if isinstance(way, Denied):
            return way
        if refusal is not None:
            return refusal
        if way != "open":
            self._come_by(way, sender)
        draft.head = seq = draft.head + 1
        now_ms = self._now_ms
        ts = draft.ts = now_ms if now_ms > draft.ts else draft.ts
        body = command.body
        fact = facts.Message(
            room=draft.room, seq=seq, ts=ts, sender=sender, body=body, key=key, reply_to=command.reply_to
        )
        if "@" in body:
            fact.mentions = self._mentioned(body, sender)
        self.facts.append(fact)
        if place is not None:
            self.fresh_keys[place] = Recorded(seq, ts)
        return Done(seq, ts, asks=way in ("ask", "wait"))

    def _edit(self, command: commands.Edit, refusal: Denied | None) -> Outcome:
        target = self._target(command)
        if target is None or target.body is None:
            return NO_MESSAGE
        if target.author != command.user and not command.admin:
            return Denied("forbidden", "only its author may edit a message")
        if command.expects is not None and target.body != command.expects:
            return CHANGED
        if target.body == command.body:
            return Done(target.edit_seq or command.seq, target.edit_ts or target.ts, True)
        denied = self._may_post(command) or self._may_touch(command) or refusal
        if denied is not None:
            return denied
        mentions = self._mentioned(command.body, target.author)
        fact = self._add(facts.Edit(**self._next(command), target=command.seq, body=command.body, mentions=mentions))
        if command.expects is not None:
            self.expected[fact.seq] = target.edit_seq or command.seq
        target.body, target.edit_seq, target.edit_ts = command.body, fact.seq, fact.ts
        return Done(fact.seq, fact.ts)

    def _delete(self, command: commands.Delete, refusal: Denied | None) -> Outcome:
        target = self._target(command)
        if target is None:
            return NO_MESSAGE
        if target.author != command.user and not (command.admin or self._rank(command) >= RANK["moderator"]):
            return Denied("forbidden", "only its author or a moderator may delete a message")
        if target.delete_seq is not None:
            return Done(target.delete_seq, target.delete_ts or target.ts, True)
        if command.expects is not None and target.body != command.expects:
            return CHANGED
        if refusal is not None:
            return refusal
        if target.author != command.user:
            self._audit(command, "message.delete", f"{self.draft.room}:{command.seq}", author=target.author)
        fact = self._add(facts.Delete(**self._next(command), target=command.seq))
        if command.expects is not None:
            self.expected[fact.seq] = target.edit_seq or command.seq
        target.body, target.delete_seq, target.delete_ts = None, fact.seq, fact.ts
        self._withdraw()
        return Done(fact.seq, fact.ts)

    def _react(self, command: commands.React, refusal: Denied | None) -> Outcome:
        target = self._target(command)
        if target is None or target.body is None:
            return NO_MESSAGE
        reacted, emoji = self._prefetched.reacted, command.emoji
        for form in command.forms:  # However it was written then, it is one reaction.
            known = reacted.get((command.seq, command.user, form))
            if known is not None and known.on:
                emoji = form
        place = (command.seq, command.user, emoji)
        last = reacted.get(place)
        if (last.on if last else False) == command.on:
            # Never reacted and off: so since the message itself.
            return Done(last.seq, last.ts, True) if last else Done(command.seq, target.ts, True)
        denied = self._may_post(command) or self._may_touch(command) or refusal
        if denied is not None:
            return denied
        fact = self._add(facts.Reaction(**self._next(command), target=command.seq, emoji=emoji, on=command.on))
        reacted[place] = Reacted(on=command.on, seq=fact.seq, ts=fact.ts)
        return Done(fact.seq, fact.ts)

    def _mentioned(self, body: str, author: str) -> list[str] | None:
        """The users of the room whom a text of the author's mentions."""
        draft = self.draft
        return mentioned(body, author, dm_users(draft.room) if self._dm else draft.members)

    def _target(self, command: commands.OnMessage) -> Target | None:
        """The message that the command names, if the user who asks can see it."""
        return self._message(command.seq) if command.seq > self._low(command) else None

    def _may_reply(self, command: commands.Send, seq: int) -> bool:
        """Whether `seq` is a message, not deleted, that the sender can see."""
        head = self.facts[0].seq - 1 if self.facts else self.draft.head
        if not self._low(command) < seq <= self.draft.head:
            return False
        known = self._message(seq)
        if known is not None or seq > head:
            return known is not None and known.body is not None
        if self._recent is None:
            return True
        found = self._recent.is_message(seq)
        if found is None and seq not in self._prefetched.looked_up:
            self.unknown = True
        return bool(found)

    def _message(self, seq: int) -> Target | None:
        """The message at `seq`: read from the log, or decided earlier in this very turn."""
        known = self._prefetched.targets.get(seq)
        if known is None and self.facts and seq >= self.facts[0].seq:
            index = seq - self.facts[0].seq
            fact = self.facts[index] if index < len(self.facts) else None
            if isinstance(fact, facts.Message):
                known = Target(author=fact.sender, ts=fact.ts, body=fact.body)
                if self._prefetched is NOTHING_READ:
                    self._prefetched = Prefetched()
                self._prefetched.targets[seq] = known
        return known

    # ------------------------------------------------------------------------------------------ two users

    def _within_budget(self, way: Way | Denied, sender: str) -> Way | Denied:
        """The same way, unless the sender would ask, and may not ask anybody more today."""
        window = self._asks.get(sender) if way == "ask" else None
        wait_ms = window.wait(self._now_ms) if window is not None else 0
        if wait_ms:
            return Denied(
                "rate_limited", "you have asked many strangers today", retry_after_ms=wait_ms, rule="request.budget"
            )
        return way

    def _come_by(self, way: Way, sender: str) -> None:
        """Make the changes that a message brings by coming this way. Called before its fact is added."""
        if way in ("answer", "lapse"):
            self._change(sender, "accept" if way == "answer" else "lapse")
            return
        if way == "ask":
            self._change(sender, "ask")
            window = self._asks.get(sender)
            if window is not None:
                window.take(self._now_ms)
                self._taken.append((window, 1))
        draft = self.draft
        assert draft.relation is not None
        draft.relation = draft.relation.waits(sender)
        self._hide(draft.head + 1)

    def _withdraw(self) -> None:
        """A request whose messages were all deleted, or expired, asks no more."""
        relation = self.draft.relation
        asked = relation.asked if relation is not None else None
        if relation is None or asked is None:
            return
        since = relation.of(asked).asked_at or 0
        here = {fact.seq for fact in self.facts if isinstance(fact, facts.Message) and fact.seq > since}
        gone = {fact.target for fact in self.others if isinstance(fact, facts.Delete)}
        if not (here | self._prefetched.waiting) - gone:
            self._change(relation.peer(asked), "withdraw")

    def _may_touch(self, command: commands.Edit | commands.React) -> Denied | None:
        """Refuses an edit or a reaction where a message of the user's is refused. Neither asks, and neither answers."""
        relation = self.draft.relation
        if self.draft.gone:
            return NO_USER
        if relation is None:
            return None
        way = relationship.way(relation, command.user, self._rules.contacts, self._now_ms)
        if isinstance(way, Denied):
            return way
        return relationship.NOT_OPEN if way in ("ask", "lapse") else None

    def _contact(self, command: commands.Contact, refusal: Denied | None) -> Outcome:
        relation = self.draft.relation
        if relation is None:
            return Denied("bad_request", "that is you")
        if command.action in ("add", "accept") and self.draft.gone:
            return NO_USER
        change = relationship.change_for(relation, command.user, command.action)
        if change is not None and not isinstance(change, Denied):
            if refusal is not None:
                return refusal
            self._change(command.user, change)
        elif change is not None:
            return refusal if refusal is not None and change.code == "conflict" else change
        assert self.draft.relation is not None
        state = self.draft.relation.state(command.user, self._now_ms, self._rules.contacts)
        return Done(self.draft.head, self.draft.ts, change is None, state)

    def _change(self, user: str, kind: Change) -> None:
        draft = self.draft
        assert draft.relation is not None
        change = RelationChange(draft.relation.changes + 1, draft.head, self._now_ms, user, kind)
        draft.relation = draft.relation.apply(change)
        self.side_records.append(Related(change, draft.relation))

    # ------------------------------------------------------------------------------------------ shared

    def _report(self, command: commands.Report, refusal: Denied | None) -> Outcome:
        target = self._target(command)
        if target is None or target.body is None:
            return NO_MESSAGE
        if refusal is not None:
            return refusal
        self.side_records.append(Reported(command.seq, self._now_ms, command.user, reason=command.reason))
        return Done(command.seq, target.ts)

    def _may_post(self, command: commands.Send | commands.Edit | commands.React) -> Denied | None:
        return None if self._dm else may_post(self.draft, command, self._now_ms)
