"""Lists for admins: users, rooms, sessions, suspensions. A look at private rooms is recorded before the answer."""

from __future__ import annotations

import heapq
import time

import msgspec

from gochat.domain.ids import is_name
from gochat.domain.side_records import Audited
from gochat.errors import Denied
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.conversation import Principal, bad
from gochat.session.gateway import Gateway, SignedIn

NO_USER = bad("user: not a user id")


async def users(gateway: Gateway, who: Principal, request: req.Users) -> msgspec.Struct | Denied:
    if not _named(request.user):
        return NO_USER
    found, following = await gateway.archive.accounts(request.user, request.limit, request.cursor)
    live = gateway.live.users
    if not found and request.user in live and request.cursor is None:
        # A first sign-in is stored within a second.
        found = [replies.Account(user=request.user, name=request.user)]
    accounts = [msgspec.structs.replace(each, sessions=len(live.get(each.user, ()))) for each in found]
    return replies.Users(id=request.id, users=accounts, next=following)


async def rooms(gateway: Gateway, who: Principal, request: req.Rooms) -> msgspec.Struct | Denied:
    if not _named(request.user):
        return NO_USER
    if request.private:
        await gateway.journal.append_side_records([Audited(_now_ms(), who.user, "rooms.list", request.user)])
    found, following = await gateway.archive.rooms(request.user, request.private, request.limit, request.cursor)
    return replies.Rooms(id=request.id, rooms=found, next=following)


async def sessions(gateway: Gateway, who: Principal, request: req.Sessions) -> msgspec.Struct | Denied:
    """By user, then by when they signed in. All of a node's sessions are looked at for a page: 50,000 take some 20 ms,
    which is bearable for what only admins may ask."""
    if not _named(request.user):
        return NO_USER
    after = _cursor(request.cursor)
    wanted = (each for each in gateway.sessions.values() if _key(each) > after and request.user in (None, each.user))
    page = heapq.nsmallest(request.limit + 1, wanted, key=_key)
    entries = [
        replies.SessionEntry(
            user=session.user,
            since=session.signed_in_ns // 1_000_000,
            transport=session.connection.transport,
            address=session.connection.peer,
            device=session.device,
            node=gateway.node,
        )
        for session in page[: request.limit]
    ]
    following = "{}:{}".format(*_key(page[request.limit - 1])) if len(page) > request.limit else None
    return replies.Sessions(id=request.id, sessions=entries, next=following)


async def suspensions(gateway: Gateway, who: Principal, request: req.Suspensions) -> msgspec.Struct | Denied:
    found, following = await gateway.archive.suspensions(request.limit, request.cursor)
    return replies.Suspensions(id=request.id, suspensions=found, next=following)


def _named(user: str | None) -> bool:
    return user is None or is_name(user)


def _key(session: SignedIn) -> tuple[str, int]:
    """Where a session stands in the list: no two of one process sign in within the same nanosecond."""
    return session.user, session.signed_in_ns


def _cursor(cursor: str | None) -> tuple[str, int]:
    """Where the page before ended; a cursor that is none leads to where the list begins."""
    user, _, moment = (cursor or "").partition(":")
    return (user, int(moment)) if moment.isascii() and moment.isdecimal() and len(moment) < 25 else ("", 0)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
