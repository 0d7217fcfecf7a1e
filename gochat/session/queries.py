"""Requests that are answered from data: read, shape, reply. Each runs as a job of its session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from gochat.domain.folding import NO_WORDS, words
from gochat.domain.ids import is_name
from gochat.domain.side_records import private_look
from gochat.domain.turn import NO_ROOM, NOT_MEMBER
from gochat.errors import TOKEN_ENDED, AuthError, Denied, Full, StoreError, TooCostly, store_refusal
from gochat.ports.archive import Viewer
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import CATALOGUE
from gochat.protocol.conversation import check_room
from gochat.protocol.entries import PresenceEntry, UserEntry
from gochat.session import notifications, replay
from gochat.session.devices import own_devices, sign_out
from gochat.session.gateway import in_trio_time
from gochat.session.moderation import MODERATION, moderate
from gochat.session.positions import CLOSED
from gochat.session.session import Session
from gochat.wall_clock import wall_ms

log = logging.getLogger(__name__)

#: How often what a user sees is looked up anew because somebody, somewhere, ceased to see somebody meanwhile.
LOOKS = 3


async def answer(session: Session, request: req.AnyRequest) -> None:
    """Answer one request for data, whatever happens on the way."""
    queries, kind = session.gateway.live.counts.queries, str(request.__struct_config__.tag)
    queries[kind] = queries.get(kind, 0) + 1
    await session.wait_space()  # Nothing is read for a peer that does not take what was read before.
    try:
        reply = await QUERIES[type(request)](session, request)
    except Full as full:
        reply = Denied("busy", str(full), retry_after_ms=1000)
    except TooCostly as error:
        reply = Denied("unavailable", str(error))
    except StoreError as error:
        log.error("%s for %s: %s", type(request).__name__, session.user, error)
        reply = store_refusal(error, "the store can't be read now")
    except Exception:
        log.exception("a query of %s crashed", session.user)
        reply = Denied("internal", "a fault of the server; it has been logged")
    if session.state == CLOSED:
        return
    session.in_flight -= 1
    if isinstance(reply, Denied):
        session.deny(request.id, reply)
    elif request.id is not None or CATALOGUE[type(request)].always_replies:
        session.reply(reply)
    session.pump()


async def _history(session: Session, request: req.History) -> msgspec.Struct | Denied:
    denied = check_room(request.room, session.principal)
    if denied is None and request.before is not None and request.after is not None:
        denied = Denied("bad_request", "before and after exclude each other")
    if denied is not None:
        return denied
    look = private_look(*session.principal, request.room, wall_ms())
    if look is not None:
        await session.gateway.journal.append_side_records([look])
    archive = session.gateway.archive
    facts = await archive.page(
        _viewer(session),
        request.room,
        before=request.before,
        after=request.after,
        limit=request.limit,
        messages=request.messages,
    )
    if facts is None:
        return await _absent(session, request.room)
    return replies.Page(
        id=request.id,
        room=request.room,
        epoch=session.gateway.journal.epoch,
        entries=facts.entries,
        head=facts.head,
        complete=True,
        next=facts.next,
        reads=dict(facts.reads),
        got=dict(facts.got),
        joined=dict(facts.joined),
    )


async def _search(session: Session, request: req.Search) -> msgspec.Struct | Denied:
    archive = session.gateway.archive
    if not words(request.q):
        return NO_WORDS

    def wanted() -> bool:
        return session.state != CLOSED

    if request.scope == "users":
        users, following = await archive.search_users(session.user, request.q, request.limit, request.cursor, wanted)
        return replies.UserResults(id=request.id, users=users, next=following)
    if request.room is not None:
        denied = check_room(request.room, session.principal)
        if denied is not None:
            return denied
        if await archive.membership(session.user, request.room) in (None, "former"):
            return await _absent(session, request.room)
    entries, following = await archive.search_messages(
        session.user, request.q, request.room, request.limit, request.cursor, wanted
    )
    return replies.MessageResults(id=request.id, entries=entries, next=following)


async def _groups(session: Session, request: req.Groups) -> msgspec.Struct | Denied:
    unreadable: list[str] = []
    groups, following = await session.gateway.archive.groups(
        session.user, request.owner, request.limit, request.cursor, unreadable
    )
    return replies.Groups(id=request.id, groups=groups, next=following, unreadable=unreadable)


async def _members(session: Session, request: req.Members) -> msgspec.Struct | Denied:
    denied = check_room(request.room, session.principal)
    if denied is not None:
        return denied
    found = await session.gateway.archive.members(_viewer(session), request.room, request.limit, request.cursor)
    if found is None:
        return await _absent(session, request.room)
    return replies.Members(id=request.id, room=request.room, members=found[0], next=found[1])


async def _names(session: Session, request: req.Names) -> msgspec.Struct | Denied:
    if not all(map(is_name, request.users)):
        return Denied("bad_request", "users: not a well-formed user id")
    names = await session.gateway.archive.names(_viewer(session), request.users)
    users = [UserEntry(user=user, name=names[user]) for user in dict.fromkeys(request.users) if user in names]
    return replies.Names(id=request.id, users=users)


async def _contacts(session: Session, request: req.Contacts) -> msgspec.Struct | Denied:
    unreadable: list[str] = []
    contacts, following = await session.gateway.archive.contacts(
        session.user, request.limit, request.cursor, rooms=request.rooms, unreadable=unreadable
    )
    return replies.Contacts(id=request.id, contacts=contacts, next=following, unreadable=unreadable)


async def _requests(session: Session, request: req.Requests) -> msgspec.Struct | Denied:
    found, following = await session.gateway.archive.requests(session.user, request.limit, request.cursor)
    return replies.Requests(id=request.id, requests=found, next=following)


async def _watch(session: Session, request: req.Watch) -> msgspec.Struct | Denied:
    live = session.gateway.live
    if not all(map(is_name, request.users)):
        return Denied("bad_request", "users: not a well-formed user id")
    users = list(dict.fromkeys(request.users))
    parted = live.watches.parted
    visible, known = await _visible(session, users)
    for _ in range(LOOKS):
        if live.watches.parted == parted:
            break
        parted = live.watches.parted
        visible, known = await _visible(session, users)
    if session.state == CLOSED:
        return NO_ROOM
    watching = tuple(user for user in users if user in visible)
    live.watches.replace(session, watching, oversees=session.oversees)
    session.watching = watching
    if live.watches.parted != parted:
        live.watches.mark_stale(
            session.user, watched=False
        )  # Somebody ceases to see somebody all the time: it is looked up again.
    entries = []
    for user in users:
        online = user in visible and live.presence.is_online(user)
        seen = live.watches.last_seen.get(user) or (known[user][1] if user in known else None)
        entries.append(
            PresenceEntry(user=user, online=online, last_seen=seen if user in visible and not online else None)
        )
    return replies.Presence(id=request.id, users=entries)


async def _visible(session: Session, users: list[str]) -> tuple[set[str], Mapping[str, tuple[str, int | None]]]:
    """Those whose presence the session may see, and what is known of all."""
    archive = session.gateway.archive
    visible = set(users) if session.oversees else await archive.acquainted(session.user, users)
    return visible | ({session.user} & set(users)), await archive.users(users)


async def _refresh(session: Session, request: req.Refresh) -> msgspec.Struct | Denied:
    try:
        identity = await session.gateway.tokens.verify(request.token)
    except AuthError as error:
        return Denied("unauthorized", str(error))
    if identity.user != session.user:
        return Denied("unauthorized", "the token is another user's")
    refusal = session.gateway.standing.refusal(identity)
    if refusal is not None:
        return Denied("unauthorized", refusal)
    if session.state != CLOSED:
        heard = session.may_read, session.oversees
        session.signed_in(identity, None if identity.expires_s is None else in_trio_time(identity.expires_s))
        if (session.may_read, session.oversees) != heard:
            # The welcome decides which rooms a session hears: let it come again.
            session.start_job(partial(_come_again, session))
    return replies.Ok(id=request.id)


async def _come_again(session: Session) -> None:
    session.close(TOKEN_ENDED, "the scopes have changed; connect again")


def _viewer(session: Session) -> Viewer:
    return Viewer(session.user, session.principal.admin, session.gateway.after_leaving)


async def _absent(session: Session, room: str) -> Denied:
    """Only someone who was a member learns that there is such a room."""
    membership = await session.gateway.archive.membership(session.user, room)
    return NOT_MEMBER if membership == "former" else NO_ROOM


async def _moderate(session: Session, request: req.AnyRequest) -> msgspec.Struct | Denied:
    return await moderate(session.gateway, session.principal, request)


async def _devices(session: Session, request: req.Devices) -> msgspec.Struct | Denied:
    found = await own_devices(session.gateway, session.user, session)
    return msgspec.structs.replace(found, id=request.id)


async def _sign_out(session: Session, request: req.SignOut) -> msgspec.Struct | Denied:
    assert session.identity is not None
    return await sign_out(session.gateway, session.identity, request, session)


async def _notify(session: Session, request: req.Notify) -> msgspec.Struct | Denied:
    assert session.identity is not None
    return await notifications.notify(session.gateway, session.identity, request)


async def _push(session: Session, request: req.Push) -> msgspec.Struct | Denied:
    assert session.identity is not None
    return await notifications.push(session.gateway, session.identity, request)


#: For each request that is answered from data the function that does it, but for those that `dispatch` answers at once.
QUERIES: Final[dict[type[req.AnyRequest], Callable[[Session, Any], Awaitable[msgspec.Struct | Denied]]]] = {
    req.History: _history,
    req.Search: _search,
    req.Groups: _groups,
    req.Members: _members,
    req.Names: _names,
    req.Watch: _watch,
    req.Contacts: _contacts,
    req.Requests: _requests,
    **dict.fromkeys(MODERATION, _moderate),
    req.Devices: _devices,
    req.SignOut: _sign_out,
    req.Notify: _notify,
    req.Push: _push,
    req.Refresh: _refresh,
    req.Resume: replay.resume,
}
