"""What a room reads before it decides: the messages that commands name, and what other users hold of the askers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gochat.actors.messages import Submit
from gochat.domain import commands as ask
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import DAY_MS, ContactPolicy
from gochat.domain.turn import Knowledge
from gochat.errors import Denied
from gochat.ports import Journal

#: Commands that are decided by the record alone.
PLAIN: frozenset[type] = frozenset((ask.Send, ask.Read, ask.Typing))

BLOCKER = Denied("blocked", "one of the users can't be added by you", rule="group.adds")
NO_CONTACT = Denied("declined", "one of the users may be added only by their contacts", rule="group.adds")


async def gather(journal: Journal, record: RoomRecord, batch: Sequence[Submit], *, by_contacts: bool) -> Knowledge:
    """Raises StoreError. `by_contacts`: users are added to groups only by their contacts."""
    commands = [mail.command for mail in batch]
    knowledge = Knowledge()
    named = [c for c in commands if isinstance(c, (ask.Edit, ask.Delete, ask.React, ask.Report))]
    if named:
        knowledge.targets = await journal.targets(record, [command.seq for command in named])
    reactions = [(c.seq, c.user, c.emoji) for c in named if isinstance(c, ask.React)]
    if reactions:
        knowledge.reacted = await journal.reacted(record, reactions)
    for command in commands:
        if isinstance(command, (ask.Create, ask.Add)):
            knowledge.unwilling.update(await _unwilling(journal, command, by_contacts))
    return knowledge


async def _unwilling(
    journal: Journal, command: ask.Create | ask.Add, by_contacts: bool
) -> dict[tuple[str, str], Denied]:  # fmt: skip
    """Who of those that are to be added can't be, by the one who asks."""
    found: dict[tuple[str, str], Denied] = {}
    users = [user for user in command.users if user != command.user]
    for user, (contact, blocked) in (await journal.held_by(command.user, users)).items():
        if blocked:
            found[command.user, user] = BLOCKER
        elif by_contacts and not contact:
            found[command.user, user] = NO_CONTACT
    return found


def may_ask(record: RoomRecord, kinds: Collection[type], policy: ContactPolicy) -> bool:
    """Whether somebody's message may turn out to be the first one to a stranger."""
    relation = record.relation
    if relation is None or policy.strangers != "request":
        return False
    return not (relation.one.contact and relation.other.contact) or ask.Contact in kinds


async def windows(journal: Journal, batch: Sequence[Submit], now_ms: int) -> dict[str, SlidingWindow]:
    """How many strangers each sender of the batch may still ask. Raises StoreError."""
    found = {mail.command.user: mail.asks for mail in batch if mail.asks is not None}
    for user, window in found.items():
        if not window.known:
            window.learn(await journal.asks(user, now_ms - DAY_MS))
    return found
