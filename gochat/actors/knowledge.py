"""What a room reads before it decides: the messages that commands name, and what other users hold of the askers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gochat.actors.messages import Submit
from gochat.actors.relations import Names
from gochat.domain import commands as ask
from gochat.domain.draft import RecentMessages
from gochat.domain.ids import is_dm
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import DAY_MS, ContactPolicy
from gochat.domain.turn import Knowledge
from gochat.errors import Denied, StoreError
from gochat.ports import Lookups

log = logging.getLogger(__name__)

#: Commands that are decided by the record alone.
PLAIN: frozenset[type] = frozenset((ask.Send, ask.Read, ask.Typing))

ADDING: frozenset[type] = frozenset((ask.Create, ask.Add))

BLOCKER = Denied("blocked", "one of the users can't be added by you", rule="group.adds")
NO_CONTACT = Denied("declined", "one of the users may be added only by their contacts", rule="group.adds")


class Prepared(NamedTuple):
    """What was read for one batch."""

    knowledge: Knowledge
    asks: Mapping[str, SlidingWindow]
    """How many strangers each sender may still ask, where somebody may turn out to ask one."""
    names: Mapping[str, tuple[str, int | None]] = {}
    """Shown names of senders who may turn out to ask, for the request that the other is told of."""


async def prepare(
    lookups: Lookups,
    record: RoomRecord,
    batch: Sequence[Submit],
    recent: RecentMessages,
    policy: ContactPolicy,
    now_ms: int,
    *,
    by_contacts: bool,
    names: Names | None,
) -> Prepared:
    """Read what the batch needs besides the record. Raises StoreError. `by_contacts`: users are added to groups only by
    their contacts."""
    kinds = {type(mail.command) for mail in batch}
    knowledge, asks = Knowledge(), dict[str, SlidingWindow]()
    shown: Mapping[str, tuple[str, int | None]] = {}
    if not kinds.isdisjoint(ADDING):
        await _learn_adds(lookups, batch, now_ms)
    if not kinds <= PLAIN or names_messages(batch):
        knowledge = await gather(lookups, record, batch, recent, by_contacts=by_contacts)
    if may_ask(record, kinds, policy):
        asks = await _windows(lookups, batch, now_ms)
        if names is not None:
            shown = await _shown(names, batch)
    return Prepared(knowledge, asks, shown)


async def _shown(names: Names, batch: Sequence[Submit]) -> Mapping[str, tuple[str, int | None]]:
    try:
        return await names(list({mail.command.user for mail in batch}))
    except StoreError as error:
        log.warning("senders are told by their ids now: %s", error)
        return {}


def names_messages(batch: Sequence[Submit]) -> bool:
    """Whether a message of the batch replies to another."""
    return any(isinstance(mail.command, ask.Send) and mail.command.reply_to is not None for mail in batch)


async def gather(
    lookups: Lookups, record: RoomRecord, batch: Sequence[Submit], recent: RecentMessages, *, by_contacts: bool
) -> Knowledge:
    """Raises StoreError. `by_contacts`: users are added to groups only by their contacts."""
    commands = [mail.command for mail in batch]
    knowledge = Knowledge()
    named = [c for c in commands if isinstance(c, ask.OnMessage)]
    answered = {c.reply_to for c in commands if isinstance(c, ask.Send) and c.reply_to is not None}
    unsure = {seq for seq in answered if seq <= record.head and recent.is_message(seq) is None}
    if named or unsure:
        knowledge.looked_up = frozenset(unsure.union(command.seq for command in named))
        knowledge.targets = await lookups.targets(record, list(knowledge.looked_up))
        recent.learn(seq for seq in unsure if seq in knowledge.targets and knowledge.targets[seq].body is not None)
    if (named or answered) and not is_dm(record.room) and _may_hide(record, commands):
        askers = {c.user for c in commands if isinstance(c, (ask.Send, ask.OnMessage))}
        knowledge.since = await lookups.since(record, list(askers))
    ending = any(isinstance(c, (ask.Delete, ask.Withdraw)) for c in commands)
    if ending and record.relation is not None and record.relation.asked:
        knowledge.waiting = frozenset(await lookups.waiting(record))
    reactions = [(c.seq, c.user, form) for c in named if isinstance(c, ask.React) for form in (c.emoji, *c.forms)]
    if reactions:
        knowledge.reacted = await lookups.reacted(record, reactions)
    for mail in batch:
        if isinstance(mail.command, (ask.Create, ask.Add)):
            await _look_at_added(lookups, record, knowledge, mail, by_contacts=by_contacts)
            knowledge.gone |= await lookups.deleted(mail.command.users)
    return knowledge


def _may_hide(record: RoomRecord, commands: Sequence[ask.AnyCommand]) -> bool:
    """Whether what was said before they came in may be hidden from members while this batch is decided."""
    return record.history == "since_join" or any(
        isinstance(command, ask.Configure) and command.history is not None for command in commands
    )


async def _look_at_added(
    lookups: Lookups, record: RoomRecord, knowledge: Knowledge, mail: Submit, *, by_contacts: bool
) -> None:
    """What those that are to be added hold of the one who asks, and how many more strangers may be added."""
    command = mail.command
    assert isinstance(command, (ask.Create, ask.Add))
    adder = command.user
    users = [user for user in command.users if user != adder]
    for user, (contact, blocked) in (await lookups.held_by(adder, users)).items():
        if not contact:
            knowledge.strangers.add((adder, user))
        if blocked:
            knowledge.unwilling[adder, user] = BLOCKER
        elif by_contacts and not contact:
            knowledge.unwilling[adder, user] = NO_CONTACT
    # Who is a member may leave while this very batch is decided: the turn takes note of that itself.
    former = [user for user in users if user in record.former]
    if former:
        knowledge.left |= await lookups.left(record, former)
    if mail.adds is not None:
        knowledge.adds[adder] = mail.adds


def may_ask(record: RoomRecord, kinds: Collection[type], policy: ContactPolicy) -> bool:
    """Whether somebody's message may turn out to be the first one to a stranger."""
    relation = record.relation
    if relation is None or policy.strangers != "request":
        return False
    return not (relation.one.contact and relation.other.contact) or ask.Contact in kinds


async def _learn_adds(lookups: Lookups, batch: Sequence[Submit], now_ms: int) -> None:
    """Have the windows of those who add users know what was before. Raises StoreError."""
    for mail in batch:
        if mail.adds is not None and not mail.adds.known:
            mail.adds.learn(await lookups.adds(mail.command.user, now_ms - DAY_MS))


async def _windows(lookups: Lookups, batch: Sequence[Submit], now_ms: int) -> dict[str, SlidingWindow]:
    """How many strangers each sender of the batch may still ask. Raises StoreError."""
    found = {mail.command.user: mail.asks for mail in batch if mail.asks is not None}
    for user, window in found.items():
        if not window.known:
            window.learn(await lookups.asks(user, now_ms - DAY_MS))
    return found
