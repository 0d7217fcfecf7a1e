"""Groups: list, create, read, change, delete."""

from __future__ import annotations

from msgspec import UNSET

from gochat.domain import ids
from gochat.domain.facts import HistoryScope, PostRight
from gochat.http.rest.commands import carry_out, check_form
from gochat.http.rest.conditions import check_match
from gochat.http.rest.context import Call, Reply, check
from gochat.http.rest.refused import Refused
from gochat.http.rest.rooms import absent, changed, need_read, next_link, or_none, or_unset
from gochat.http.rest.shapes import GroupChange, GroupsQuery, NewGroup
from gochat.http.rest.views import GroupPage, GroupView
from gochat.protocol.conversation import check_room
from gochat.protocol.requests import GroupAction

_PATH = "/v1/groups"


async def list_groups(call: Call) -> Reply:
    query: GroupsQuery = call.query
    unreadable: list[str] = []
    entries, following = await call.context.archive.groups(
        call.identity.user, or_none(query.owner), query.limit, or_none(query.cursor), unreadable
    )
    groups = [
        GroupView(
            name=_name(each.room),
            room=each.room,
            title=each.title,
            role=each.role,
            members=each.members,
            epoch=or_unset(each.epoch),
            head=or_unset(each.head),
            read=or_unset(each.read),
            unread=or_unset(each.unread),
            mentions=each.mentions or UNSET,
            reads=each.reads or UNSET,
            got=each.got or UNSET,
            joined=each.joined or UNSET,
            last=or_unset(each.last),
        )
        for each in entries
    ]
    page = GroupPage(groups=groups, next=or_unset(following), unreadable=unreadable)
    return Reply(value=page, headers=next_link(_PATH, query, page.next))


async def create(call: Call) -> Reply:
    body: NewGroup = call.body
    await carry_out(
        call,
        GroupAction(
            name=body.name,
            action="create",
            title=body.title,
            users=body.users,
            history=body.history,
            post=body.post,
        ),
    )
    view = await _seen(call, body.name) or GroupView(name=body.name, room=ids.group(body.name))
    return Reply(value=view, status=201, headers={"location": f"{_PATH}/{body.name}"}, tagged=True)


async def read(call: Call) -> Reply:
    return Reply(value=await find_group(call, call.path["group"]), tagged=True)


async def change(call: Call) -> Reply:
    body: GroupChange = call.body
    name = call.path["group"]
    request = GroupAction(name=name, action="set", title=body.title, history=body.history, post=body.post)
    check_form(call, request)
    await carry_out(call, request, expects=await _expected(call, name))
    return changed(await _seen(call, name))


async def delete(call: Call) -> Reply:
    name = call.path["group"]
    await carry_out(call, GroupAction(name=name, action="delete"), expects=await _expected(call, name))
    return Reply(status=204)


async def find_group(call: Call, name: str) -> GroupView:
    """The group as the caller may see it. Raises Refused."""
    room, archive = ids.group(name), call.context.archive
    check(check_room(room, call.who))
    found = await archive.group(call.viewer, room)
    if found is None:
        raise await absent(call, room)
    return GroupView(
        name=name,
        room=room,
        title=found.title,
        role=or_unset(found.role),
        members=found.members,
        history=found.history,
        post=found.post,
    )


async def _seen(call: Call, name: str) -> GroupView | None:
    """The group as it is now; None where the caller, who made or changed it, may not read it."""
    if not call.may_read:
        return None
    try:
        return await find_group(call, name)
    except Refused:
        return None  # They were removed since, or it was deleted.


async def _expected(call: Call, name: str) -> tuple[str, HistoryScope, PostRight] | None:
    """The settings that the group must have when the room decides. Raises Refused where they are others already."""
    if "if-match" not in call.headers:
        return None
    need_read(call)
    view = await find_group(call, name)
    if not check_match(call.headers, view):
        return None
    title, history, post = view.title, view.history, view.post
    assert title is not UNSET and history is not UNSET and post is not UNSET
    return title, history, post


def _name(room: str) -> str:
    return room.removeprefix("group:")
