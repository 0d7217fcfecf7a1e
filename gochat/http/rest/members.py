"""Members of a group: list, read one, put one in or give a role, take one out or leave."""

from __future__ import annotations

from typing import cast

from msgspec import UNSET

from gochat.domain import ids
from gochat.domain.draft import NO_MEMBER
from gochat.domain.facts import Role
from gochat.http.rest.commands import carry_out, check_form
from gochat.http.rest.conditions import check_match
from gochat.http.rest.context import Call, Reply, check
from gochat.http.rest.refused import Refused, bad
from gochat.http.rest.rooms import absent, need_read, next_link, or_none, or_unset
from gochat.http.rest.shapes import LeaveQuery, ListQuery, Membership
from gochat.http.rest.views import MemberPage, MemberView
from gochat.protocol.conversation import check_room
from gochat.protocol.requests import GroupAction


async def list_members(call: Call) -> Reply:
    query: ListQuery = call.query
    room = ids.group(call.path["group"])
    check(check_room(room, call.who))
    found = await call.context.archive.members(call.viewer, room, query.limit, or_none(query.cursor))
    if found is None:
        raise await absent(call, room)
    entries, following = found
    members = [MemberView(user=each.user, name=each.name, role=each.role, since=each.since) for each in entries]
    page = MemberPage(room=room, members=members, next=or_unset(following))
    return Reply(value=page, headers=next_link(f"/v1/groups/{call.path['group']}/users", query, page.next))


async def read(call: Call) -> Reply:
    return Reply(value=await _find(call), tagged=True)


async def put(call: Call) -> Reply:
    """201 when the user came in by this request, else 200.

    The role comes first: callers who may not give it are refused before anything is done. Only an owner is answered
    that the user is no member yet.
    """
    change: Membership = call.body
    name, user = call.path["group"], call.path["id"]
    add = GroupAction(name=name, action="add", users=[user])
    if change.role is None:
        check_form(call, add)
        await _expected(call)  # The user is a member then, and nothing is left to do.
        _, done = await carry_out(call, add)
        came = not done.duplicate
    else:
        set_role = GroupAction(name=name, action="role", user=user, role=change.role)
        check_form(call, set_role)
        try:
            await carry_out(call, set_role, expects=await _expected(call))
            came = False
        except Refused as refused:
            if refused.denied.code != "not_found" or "if-match" in call.headers:
                raise
            _, done = await carry_out(call, add)
            await carry_out(call, set_role)
            came = not done.duplicate
    if came:
        view = await _find(call) if call.may_read else MemberView(user=user)
        return Reply(value=view, status=201, headers={"location": f"/v1/groups/{name}/users/{user}"}, tagged=True)
    return Reply(value=await _find(call), tagged=True) if call.may_read else Reply(status=204)


async def remove(call: Call) -> Reply:
    query: LeaveQuery = call.query
    name, user = call.path["group"], call.path["id"]
    if user == call.identity.user:
        await carry_out(call, GroupAction(name=name, action="leave", successor=or_none(query.successor)))
    elif query.successor is not UNSET:
        raise bad("successor: only for who leaves")
    else:
        await carry_out(call, GroupAction(name=name, action="remove", users=[user]))
    return Reply(status=204)


async def _expected(call: Call) -> Role | None:
    """The role that the member must have when the room decides. Raises Refused where it is another already."""
    if "if-match" not in call.headers:
        return None
    need_read(call)
    view = await _find(call)
    return or_none(view.role) if check_match(call.headers, view) else None


async def _find(call: Call) -> MemberView:
    room, user, archive = ids.group(call.path["group"]), call.path["id"], call.context.archive
    check(check_room(room, call.who))
    if not ids.is_name(user):
        raise bad(f"not a user id: the form is {ids.NAME_PATTERN}")
    if not call.who.admin and await archive.membership(call.identity.user, room) in (None, "former"):
        raise await absent(call, room)
    role = await archive.membership(user, room)
    if role in (None, "former"):
        raise Refused(NO_MEMBER)
    names = await archive.names(call.viewer, [user])
    return MemberView(user=user, name=names.get(user, user), role=cast(Role, role))
