"""A room's reading before it decides: the messages that commands name, and how other users stand to the askers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gochat.actors.messages import Submit
from gochat.actors.relations import Names
from gochat.domain import commands
from gochat.domain.draft import RecentMessages
from gochat.domain.ids import is_dm
from gochat.domain.limits import SlidingWindow
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import DAY_MS, ContactPolicy
from gochat.domain.turn import Prefetched
from gochat.errors import Denied, StoreError
from gochat.ports.lookups import Lookups

log = logging.getLogger(__name__)

#: Commands that are decided by the record alone.
PLAIN: frozenset[type] = frozenset((commands.Send, *commands.EPHEMERAL))

ADDING: frozenset[type] = frozenset((commands.Create, commands.Add))

BLOCKER = Denied("blocked", "one of the users can't be added by you", rule="group.adds")
NO_CONTACT = Denied("declined", "one of the users may be added only by their contacts", rule="group.adds")


class Prepared(NamedTuple):
    """The data that was read for one batch."""

    prefetched: Prefetched
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
    prefetched, asks = Prefetched(), dict[str, SlidingWindow]()
    shown: Mapping[str, tuple[str, int | None]] = {}
    if not kinds.isdisjoint(ADDING):
        await _learn_adds(lookups, batch, now_ms)
    if not kinds <= PLAIN or names_messages(batch):
        prefetched = await prefetch(lookups, record, batch, recent, by_contacts=by_contacts)
    if may_ask(record, kinds, policy):
        asks = await _windows(lookups, batch, now_ms)
        if names is not None:
            shown = await _shown(names, batch)
    return Prepared(prefetched, asks, shown)


async def _shown(names: Names, batch: Sequence[Submit]) -> Mapping[str, tuple[str, int | None]]:
    try:
        return await names(list({mail.command.user for mail in batch}))
    except StoreError as error:
        log.warning("senders are told by their ids now: %s", error)
        return {}


def names_messages(batch: Sequence[Submit]) -> bool:
    """Whether a message of the batch replies to another."""
    return any(isinstance(mail.command, commands.Send) and mail.command.reply_to is not None for mail in batch)


async def prefetch(
    lookups: Lookups, record: RoomRecord, batch: Sequence[Submit], recent: RecentMessages, *, by_contacts: bool
) -> Prefetched:
    """Raises StoreError. `by_contacts`: users are added to groups only by their contacts."""
    batch_commands = [mail.command for mail in batch]
    prefetched = Prefetched()
    named = [c for c in batch_commands if isinstance(c, commands.OnMessage)]
    answered = {c.reply_to for c in batch_commands if isinstance(c, commands.Send) and c.reply_to is not None}
    unsure = {seq for seq in answered if seq <= record.head and recent.is_message(seq) is None}
    if named or unsure:
        prefetched.looked_up = frozenset(unsure.union(command.seq for command in named))
        prefetched.targets = await lookups.targets(record, list(prefetched.looked_up))
        recent.learn(seq for seq in unsure if seq in prefetched.targets and prefetched.targets[seq].body is not None)
    if (named or answered) and not is_dm(record.room) and _may_hide(record, batch_commands):
        askers = {c.user for c in batch_commands if isinstance(c, (commands.Send, commands.OnMessage))}
        prefetched.since = await lookups.since(record, list(askers))
    ending = any(isinstance(c, (commands.Delete, commands.Withdraw)) for c in batch_commands)
    if ending and record.relation is not None and record.relation.asked:
        prefetched.waiting = frozenset(await lookups.waiting(record))
    reactions = [(c.seq, c.user, form) for c in named if isinstance(c, commands.React) for form in (c.emoji, *c.forms)]
    if reactions:
        prefetched.reacted = await lookups.reacted(record, reactions)
    for mail in batch:
        if isinstance(mail.command, (commands.Create, commands.Add)):
            await _look_at_added(lookups, record, prefetched, mail, by_contacts=by_contacts)
            prefetched.gone |= await lookups.deleted(mail.command.users)
    return prefetched


def _may_hide(record: RoomRecord, batch_commands: Sequence[commands.AnyCommand]) -> bool:
    """Whether what was said before they came in may be hidden from members while this batch is decided."""
    return record.history == "since_join" or any(
        isinstance(command, commands.Configure) and command.history is not None for command in batch_commands
    )


async def _look_at_added(
    lookups: Lookups, record: RoomRecord, prefetched: Prefetched, mail: Submit, *, by_contacts: bool
) -> None:
    """How the users who are to be added stand to the asker, and how many more strangers may be added."""
    command = mail.command
    assert isinstance(command, (commands.Create, commands.Add))
    adder = command.user
    users = [user for user in command.users if user != adder]
    for user, (contact, blocked) in (await lookups.held_by(adder, users)).items():
        if not contact:
            prefetched.strangers.add((adder, user))
        if blocked:
            prefetched.unwilling[adder, user] = BLOCKER
        elif by_contacts and not contact:
            prefetched.unwilling[adder, user] = NO_CONTACT
    # A member may leave while this very batch is decided: the turn takes note of that itself.
    former = [user for user in users if user in record.former]
    if former:
        prefetched.left |= await lookups.left(record, former)
    if mail.adds is not None:
        prefetched.adds[adder] = mail.adds


def may_ask(record: RoomRecord, kinds: Collection[type], policy: ContactPolicy) -> bool:
    """Whether somebody's message may turn out to be the first one to a stranger."""
    relation = record.relation
    if relation is None or policy.strangers != "request":
        return False
    return not (relation.one.contact and relation.other.contact) or commands.Contact in kinds


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
