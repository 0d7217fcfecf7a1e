"""Contacts, requests and blocks: a user's relations to others."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from gochat.domain import ids
from gochat.domain.relationship import Action
from gochat.http.rest.commands import carry_out
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.rooms import next_link, or_none, or_unset
from gochat.http.rest.shapes import ContactsQuery, ListQuery
from gochat.http.rest.views import ContactPage, ContactView, RequestPage
from gochat.protocol.entries import RelationState
from gochat.protocol.requests import ContactAction

_CONTACTS: Final = "/v1/contacts"
_REQUESTS: Final = "/v1/requests"
_BLOCKS: Final = "/v1/blocks"


async def list_contacts(call: Call) -> Reply:
    query: ContactsQuery = call.query
    return await _listed(call, _CONTACTS, None, query.rooms)


async def list_blocks(call: Call) -> Reply:
    return await _listed(call, _BLOCKS, "blocked")


async def list_requests(call: Call) -> Reply:
    query: ListQuery = call.query
    found, following = await call.context.archive.requests(call.identity.user, query.limit, or_none(query.cursor))
    page = RequestPage(requests=found, next=or_unset(following))
    return Reply(value=page, headers=next_link(_REQUESTS, query, page.next))


async def add(call: Call) -> Reply:
    """Adds a contact, and accepts where a request of that user waits."""
    return await _act(call, "add")


async def remove(call: Call) -> Reply:
    await _act(call, "remove")
    return Reply(status=204)


async def accept(call: Call) -> Reply:
    return await _act(call, "accept")


async def decline(call: Call) -> Reply:
    await _act(call, "decline")
    return Reply(status=204)


async def block(call: Call) -> Reply:
    return await _act(call, "block")


async def unblock(call: Call) -> Reply:
    await _act(call, "unblock")
    return Reply(status=204)


async def _listed(call: Call, path: str, only: RelationState | None, rooms: bool = False) -> Reply:
    query: ListQuery = call.query
    unreadable: list[str] = []
    found, following = await call.context.archive.contacts(
        call.identity.user, query.limit, or_none(query.cursor), only, rooms, unreadable
    )
    contacts = [
        ContactView(
            user=each.user,
            name=each.name,
            state=each.state,
            room=or_unset(each.room),
            epoch=or_unset(each.epoch),
            head=or_unset(each.head),
            read=or_unset(each.read),
            unread=or_unset(each.unread),
            mentions=each.mentions or UNSET,
            reads=each.reads or UNSET,
            got=each.got or UNSET,
            last=or_unset(each.last),
        )
        for each in found
    ]
    page = ContactPage(contacts=contacts, next=or_unset(following), unreadable=unreadable)
    return Reply(value=page, headers=next_link(path, query, page.next))


async def _act(call: Call, action: Action) -> Reply:
    user = call.path["id"]
    _, done = await carry_out(call, ContactAction(user=user, action=action))
    assert done.state is not None
    if not call.may_read:
        return Reply(value=ContactView(user=user, state=done.state, name=UNSET))
    names = await call.context.archive.names(call.viewer, [user] if ids.is_name(user) else [])
    return Reply(value=ContactView(user=user, name=names.get(user, user), state=done.state))
