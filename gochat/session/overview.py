"""Lists for admins: users, rooms, sessions, mailboxes, suspensions; and how the node is doing.

A look at private rooms is recorded before the answer.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import trio

from gochat.actors.mailbox_watch import WaitingMail
from gochat.domain.folding import NO_WORDS, words
from gochat.domain.ids import is_dm, is_name, is_room
from gochat.domain.side_records import Audited
from gochat.errors import Denied
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.conversation import Principal, bad
from gochat.protocol.entries import Account, MailboxEntry, SessionEntry
from gochat.session.gateway import Gateway, SignedIn
from gochat.wall_clock import wall_ms

Entry = TypeVar("Entry")

NO_USER = bad("user: not a user id")
NO_PREFIX = bad("prefix: ids have only a-z, 0-9 and _ . -")
NOT_WITH_Q = bad("q finds groups by their titles: it goes with neither private nor prefix")
_is_prefix: Final = re.compile(r"[a-z0-9_.:-]*").fullmatch


async def users(gateway: Gateway, who: Principal, request: req.Users) -> msgspec.Struct | Denied:
    if not _named(request.user):
        return NO_USER
    prefix = request.prefix or ""
    if not _is_prefix(prefix):
        return NO_PREFIX
    found, following = await gateway.archive.accounts(request.user, request.limit, _after(prefix, request.cursor))
    presence = gateway.live.presence
    if not found and request.user is not None and presence.is_online(request.user) and request.cursor is None:
        # A first sign-in is stored within a second.
        found = [Account(user=request.user, name=request.user)]
    accounts = [
        msgspec.structs.replace(each, sessions=presence.count(each.user))
        for each in found
        if each.user.startswith(prefix)
    ]
    return replies.Users(id=request.id, users=accounts, next=following if len(accounts) == len(found) else None)


async def rooms(gateway: Gateway, who: Principal, request: req.Rooms) -> msgspec.Struct | Denied:
    if not _named(request.user):
        return NO_USER
    if not _is_prefix(request.prefix or ""):
        return NO_PREFIX
    if request.q is not None:
        return await _groups_named(gateway, who, request, request.q)
    if request.private:
        await gateway.journal.append_side_records([Audited(wall_ms(), who.user, "rooms.list", request.user)])
    prefix = ("dm:" if request.private else "group:") + request.prefix if request.prefix else ""
    found, following = await gateway.archive.rooms(
        request.user, request.private, request.limit, _after(prefix, request.cursor)
    )
    wanted = [each for each in found if each.room.startswith(prefix)]
    return replies.Rooms(id=request.id, rooms=wanted, next=following if len(wanted) == len(found) else None)


async def _groups_named(gateway: Gateway, who: Principal, request: req.Rooms, q: str) -> msgspec.Struct | Denied:
    if request.private or request.prefix:
        return NOT_WITH_Q
    asked = words(q)
    if not asked:
        return NO_WORDS
    found, following = await gateway.archive.groups_named(who.user, request.user, asked, request.limit, request.cursor)
    return replies.Rooms(id=request.id, rooms=found, next=following)


def _after(prefix: str, cursor: str | None) -> str | None:
    """The cursor from which a list by id goes on: not before the first id that begins with the prefix."""
    if not prefix:
        return cursor
    # Ids are ASCII: none of them lies between this and the prefix.
    before = f"{prefix[:-1]}{chr(max(0, ord(prefix[-1]) - 1))}\x7f"
    return max(before, cursor or "")


async def sessions(gateway: Gateway, who: Principal, request: req.Sessions) -> msgspec.Struct | Denied:
    """By user, then by when they signed in. All of a node's sessions are looked at for a page: 50,000 take some 20 ms,
    which is bearable for what only admins may ask."""
    if not _named(request.user):
        return NO_USER
    wanted = (each for each in gateway.sessions.values() if request.user in (None, each.user))
    following: str | None
    if request.slow:
        slow = sorted((each for each in wanted if each.outbox.writing), key=lambda each: -each.outbox.size)
        page, following = _slice(slow, request.limit, request.cursor)
    else:
        after = _cursor(request.cursor)
        page = heapq.nsmallest(request.limit + 1, (each for each in wanted if _key(each) > after), key=_key)
        following = "{}:{}".format(*_key(page[request.limit - 1])) if len(page) > request.limit else None
    entries = [_session_entry(gateway, session) for session in page[: request.limit]]
    return replies.Sessions(id=request.id, sessions=entries, next=following)


def _session_entry(gateway: Gateway, session: SignedIn) -> SessionEntry:
    outbox = session.outbox
    stalled_s = max(0.0, trio.current_time() - outbox.progress_at) if outbox.writing else 0.0
    return SessionEntry(
        user=session.user,
        since=session.signed_in_ns // 1_000_000,
        transport=session.connection.transport,
        address=session.connection.peer,
        device=session.device,
        node=gateway.node,
        waiting=outbox.size,
        stalled_ms=int(stalled_s * 1000),
    )


async def overview(gateway: Gateway, who: Principal, request: req.Overview) -> msgspec.Struct | Denied:
    return msgspec.structs.replace(gateway.overview(), id=request.id)


async def mailboxes(gateway: Gateway, who: Principal, request: req.Mailboxes) -> msgspec.Struct | Denied:
    if request.private:
        await gateway.journal.append_side_records([Audited(wall_ms(), who.user, "mailboxes.list")])
    found = gateway.mailboxes.look(itertools.chain(gateway.rooms, gateway.users))
    page, following = _slice(found, request.limit, request.cursor)
    return replies.Mailboxes(
        id=request.id,
        mailboxes=[_mailbox_entry(each, named=request.private) for each in page],
        waiting=sum(each.mailbox.waiting for each in found),
        next=following,
    )


def _mailbox_entry(found: WaitingMail, *, named: bool) -> MailboxEntry:
    private = is_dm(found.address)
    return MailboxEntry(
        kind="private" if private else "group" if is_room(found.address) else "user",
        id=None if private and not named else found.address,
        waiting=found.mailbox.waiting,
        capacity=found.mailbox.capacity,
        peak=found.mailbox.peak,
        refused=found.mailbox.refused,
        phase=found.phase,
        age_ms=int(found.age_s * 1000),
        turn_ms=int(found.turn_s * 1000),
    )


async def suspensions(gateway: Gateway, who: Principal, request: req.Suspensions) -> msgspec.Struct | Denied:
    found, following = await gateway.archive.suspensions(request.limit, request.cursor)
    return replies.Suspensions(id=request.id, suspensions=found, next=following)


def _named(user: str | None) -> bool:
    return user is None or is_name(user)


def _slice(entries: Sequence[Entry], limit: int, cursor: str | None) -> tuple[Sequence[Entry], str | None]:
    """A page of a list whose order is another one at each look, and the cursor of the next page: a plain number."""
    given = cursor or ""
    begin = int(given) if given.isascii() and given.isdecimal() and len(given) < 10 else 0
    end = begin + limit
    return entries[begin:end], str(end) if len(entries) > end else None


def _key(session: SignedIn) -> tuple[str, int]:
    """Where a session stands in the list: no two of one process sign in within the same nanosecond."""
    return session.user, session.signed_in_ns


def _cursor(cursor: str | None) -> tuple[str, int]:
    """Where the page before ended; a cursor that is none leads to where the list begins."""
    user, _, moment = (cursor or "").partition(":")
    return (user, int(moment)) if moment.isascii() and moment.isdecimal() and len(moment) < 25 else ("", 0)
