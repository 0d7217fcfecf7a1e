"""The way of what happens on other nodes to the rooms, the listeners and the limits of this one."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gochat.actors.actor import Registry
from gochat.actors.live import Live, tell_lag
from gochat.actors.observer import Observer
from gochat.actors.room import RoomActor
from gochat.actors.user import UserActor
from gochat.domain.commands import AnyEphemeral
from gochat.domain.facts import AnyFact, Edit, Group, Message
from gochat.domain.side_records import Added, Related
from gochat.errors import Full
from gochat.ports.journal import ForeignBatch

log = logging.getLogger(__name__)


def hear(rooms: Registry[RoomActor], live: Live, batch: ForeignBatch, observers: Sequence[Observer] = ()) -> bool:
    """Have the room tell the batch, if anybody here may hear of it; then it is loaded if it is not in memory. Where too
    many are in memory, the listeners are told that they lag, and read the log; the other observers are told nothing.
    Whether anybody may: see `ports.OnForeign`.

    A batch that nobody hears is read from the log like any other, should somebody ask. A session that is reading the
    log now counts as a listener: it must still learn from the room what was told meanwhile."""
    audible = live.is_heard(batch.room) or bool(live.sign_ins or live.readings)
    room = rooms.get(batch.room)
    if room is None:
        if not audible and not batch.raises_guard and not batch.side_records:
            _observe(observers, batch)
            return False
        try:
            room = rooms.at(batch.room)
        except Full:
            tell_lag(live, [batch])
            return True
    room.hear(batch, audible=audible)
    return audible


def _observe(observers: Sequence[Observer], batch: ForeignBatch) -> None:
    for observer in observers:
        try:
            observer.recorded_unheard(batch)
        except Exception:
            log.exception("%s: an observer failed", batch.room)


def debit(users: Registry[UserActor], batch: ForeignBatch) -> None:
    """Take what the batch's senders did on another node from what they may do here. Users who are not in memory get an
    actor, which is let go of once forgetting it changes nothing; with too many of these nothing is taken from the rest,
    and from those in memory as ever."""
    for (name, are_messages), count in _commands(batch.facts).items():
        try:
            sender = users.at(name)
        except Full:
            continue  # The registry counts it.
        sender.debit(count, are_messages=are_messages)
    for record in batch.side_records:
        # For a user who is not in memory it is read from the store when it is needed.
        if isinstance(record, Related) and record.change.change == "ask":
            user = users.get(record.change.user)
            if user is not None and user.asks.known:
                user.asks.take(record.change.ts)
        elif isinstance(record, Added):
            user = users.get(record.user)
            if user is not None and user.adds is not None and user.adds.known:
                user.adds.take(record.ts, record.users)


def _commands(facts: Sequence[AnyFact]) -> dict[tuple[str, bool], int]:
    """How many commands of whom the facts came from, and whether they count as messages."""
    if len(facts) == 1:  # Nearly always.
        return {(facts[0].sender, _counts_as_message(facts[0])): 1}
    found: dict[tuple[str, bool], int] = {}
    for fact in facts:
        kind = fact.sender, _counts_as_message(fact)
        found[kind] = found.get(kind, 0) + 1
    return found


def _counts_as_message(fact: AnyFact) -> bool:
    """Whether its command was charged as a message on the node that took it, which is told by the protocol's
    catalogue."""
    return isinstance(fact, Message | Edit) or (isinstance(fact, Group) and fact.title is not None)


def hear_event(rooms: Registry[RoomActor], live: Live, event: AnyEphemeral, withheld: bool) -> None:
    """Have the room pass an event on, if anybody here might hear of it; else it costs a look into a table. It may be
    lost. `withheld`: see `ports.Ephemera`."""
    if withheld:
        audible = event.user in live.users
    else:
        audible = live.is_heard(event.room)
    if audible:
        try:
            room = rooms.at(event.room)
        except Full:
            return  # The registry counts it.
        room.hear_event(event, withheld=withheld)


def hear_presence(live: Live, user: str, last_seen: int | None) -> None:
    """Tell the users who watch this one that it came, or went at `last_seen`, on whichever node."""
    if last_seen is not None:
        live.watches.note_last_seen(user, last_seen)
    live.watches.tell(user, last_seen)
