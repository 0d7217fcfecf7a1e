"""Telling two users what has changed between them: contacts, requests, and that neither sees the other any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeAlias

from gochat.actors.live import Live
from gochat.actors.messages import Submit
from gochat.actors.subscriber import Subscriber, send_best_effort
from gochat.domain import commands
from gochat.domain.facts import Message
from gochat.domain.foreign import ForeignTurn
from gochat.domain.record import RoomRecord
from gochat.domain.relationship import ContactPolicy, Relation, RelationChange
from gochat.domain.side_records import Related
from gochat.domain.turn import Turn
from gochat.protocol import replies
from gochat.protocol.entries import Last

log = logging.getLogger(__name__)

#: Characters of a message that a list or a request shows.
LAST_CHARS = 200
#: Of a change whose transaction is not known: no welcome is sure to hold it.
UNKNOWN_COMMIT: Final = 1 << 62

Names: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, tuple[str, int | None]]]]


def tell_two(
    live: Live,
    before: RoomRecord | None,
    turn: Turn | ForeignTurn,
    mail: Sequence[Submit],
    policy: ContactPolicy,
    now_ms: int,
    names: Mapping[str, tuple[str, int | None]],
    commit: int,
) -> None:
    """Tell the two users of a private room what is new between them since `before`, where that is known. Sessions whose
    welcome holds transaction `commit` are told nothing: it told them."""
    after = turn.draft.relation
    if after is None:
        return
    known = None if before is None else before.relation
    related = () if known is not None else [entry for entry in turn.side_records if isinstance(entry, Related)]
    try:
        if known is not None:
            tell_states(live, mail, known, after, policy, now_ms, commit)
        elif related:
            # The room may hold later batches already, which are told in their turn.
            changes = [entry.change for entry in related]
            tell_states(live, mail, None, related[-1].after, policy, now_ms, commit, changes)
        if turn.hidden:
            tell_request(live, turn, names, commit)
    except Exception:
        log.exception("%s: what is new between two users could not be told", turn.draft.room)


def tell_states(
    live: Live,
    mail: Sequence[Submit],
    before: Relation | None,
    after: Relation,
    policy: ContactPolicy,
    now_ms: int,
    commit: int = UNKNOWN_COMMIT,
    changes: Sequence[RelationChange] = (),
) -> None:
    """`contact` to those sessions of the users whose state has changed that do not have it from their welcome, but not
    to the session that changed it; a block ends presence, and the end of a contact may. Where it is not known what was
    `before`, the `changes` that led to `after` tell whose state may have changed, and of the presence all may have."""
    one, other = after.users
    if after.blocked and (before is None or not before.blocked):
        live.watches.part(one, other)
        live.watches.part(other, one)
    elif before is None or (after.withheld is not None and before.withheld is None) or _lost_contact(before, after):
        live.watches.mark_stale(one, watched=False)
        live.watches.mark_stale(other, watched=False)
    acted = {id(each.origin) for each in mail if isinstance(each.command, commands.Contact)}
    touched = {user for each in changes for user in each.touches(after.peer(each.user))}
    unblocked = before.blocked if before is not None else any(each.change == "unblock" for each in changes)
    for user in after.users:
        state = after.state(user, now_ms, policy)
        same = user not in touched if before is None else state == before.state(user, now_ms, policy)
        if same or (state == "request" and not unblocked):
            continue  # A request is told by its message.
        sessions = [session for session in _unaware(live, user, commit) if id(session) not in acted]
        send_best_effort(sessions, replies.Contact(user=after.peer(user), state=state))


def _unaware(live: Live, user: str, commit: int) -> list[Subscriber]:
    """The sessions of the user whose welcome is older than the transaction."""
    return [session for session in live.users.get(user, ()) if session.since < commit]


def _lost_contact(before: Relation, after: Relation) -> bool:
    return any(before.of(user).contact and not after.of(user).contact for user in after.users)


def tell_request(
    live: Live, turn: Turn | ForeignTurn, names: Mapping[str, tuple[str, int | None]], commit: int
) -> None:
    """`request` to the user who has been asked, with the latest of the messages that wait, unless the welcome told it.
    A sender who is not among the shown `names` is told by id."""
    relation = turn.draft.relation
    asked = relation.asked if relation is not None else None
    sessions = [] if asked is None else _unaware(live, asked, commit)
    if relation is None or asked is None or not sessions:
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
    send_best_effort(sessions, frame)
