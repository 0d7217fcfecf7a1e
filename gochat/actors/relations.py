"""Telling two users what has changed between them: contacts, requests, and that neither sees the other any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from gochat.actors.live import Live
from gochat.actors.messages import Submit
from gochat.actors.subscriber import send_best_effort
from gochat.domain import commands
from gochat.domain.facts import Message
from gochat.domain.foreign import ForeignTurn
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import ContactPolicy, Relation
from gochat.domain.side_records import Related
from gochat.domain.turn import Turn
from gochat.protocol import replies
from gochat.protocol.entries import Last

log = logging.getLogger(__name__)

#: Characters of a message that a list or a request shows.
LAST_CHARS = 200

Names: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, tuple[str, int | None]]]]


def tell_two(
    live: Live,
    before: RoomRecord | None,
    turn: Turn | ForeignTurn,
    mail: Sequence[Submit],
    policy: ContactPolicy,
    now_ms: int,
    names: Mapping[str, tuple[str, int | None]],
) -> None:
    """Tell the two users of a private room what is new between them since `before`, where that is known."""
    after = turn.draft.relation
    if after is None:
        return
    known = None if before is None else before.relation
    try:
        if known is not None or any(isinstance(entry, Related) for entry in turn.side_records):
            tell_states(live, mail, known, after, policy, now_ms)
        if turn.hidden:
            tell_request(live, turn, names)
    except Exception:
        log.exception("%s: what is new between two users could not be told", turn.draft.room)


def tell_states(
    live: Live, mail: Sequence[Submit], before: Relation | None, after: Relation, policy: ContactPolicy, now_ms: int
) -> None:
    """`contact` to all sessions of those whose state has changed, but who changed it; a block ends presence, and the
    end of a contact may. Where it is not known what was `before`, everything may have changed."""
    one, other = after.users
    if after.blocked and (before is None or not before.blocked):
        live.watches.part(one, other)
        live.watches.part(other, one)
    elif before is None or (after.withheld is not None and before.withheld is None) or _lost_contact(before, after):
        live.watches.mark_stale(one, watched=False)
        live.watches.mark_stale(other, watched=False)
    acted = {id(each.origin) for each in mail if isinstance(each.command, commands.Contact)}
    for user in after.users:
        state = after.state(user, now_ms, policy)
        known = before is not None and state == before.state(user, now_ms, policy)
        if known or (state == "request" and not (before is not None and before.blocked)):
            continue  # A request is told by its message.
        sessions = [session for session in live.users.get(user, ()) if id(session) not in acted]
        send_best_effort(sessions, replies.Contact(user=after.peer(user), state=state))


def _lost_contact(before: Relation, after: Relation) -> bool:
    return any(before.of(user).contact and not after.of(user).contact for user in after.users)


def tell_request(live: Live, turn: Turn | ForeignTurn, names: Mapping[str, tuple[str, int | None]]) -> None:
    """`request` to the user who has been asked, with the latest of the messages that wait. A sender who is not among
    the shown `names` is told by id."""
    relation = turn.draft.relation
    asked = relation.asked if relation is not None else None
    if relation is None or asked is None or not live.users.get(asked):
        return
    waiting = [fact for fact in turn.facts if isinstance(fact, Message) and turn.hidden.get(fact.seq) == asked]
    if not waiting:
        return
    sender, last = relation.peer(asked), waiting[-1]
    frame = replies.Request(
        user=sender,
        name=names.get(sender, (sender, None))[0],
        room=last.room,
        head=turn.draft.head,
        last=Last(seq=last.seq, ts=last.ts, sender=sender, body=(last.body or "")[:LAST_CHARS]),
    )
    send_best_effort(list(live.users.get(asked, ())), frame)
