"""Every operation of the REST door. The routes and the OpenAPI document are made from this table."""

from __future__ import annotations

from typing import Final

from gochat.http.rest import groups, members, messages, users
from gochat.http.rest.door import Operation
from gochat.http.rest.shapes import (
    GroupChange,
    GroupPage,
    GroupsQuery,
    GroupView,
    HistoryPage,
    HistoryQuery,
    LeaveQuery,
    ListQuery,
    Me,
    MemberChange,
    MemberPage,
    MemberView,
    MessageEdit,
    MessageView,
    NewGroup,
    NewMessage,
    UserPage,
    UsersQuery,
)
from gochat.protocol import requests as req

_ABSENT: Final = ("not_found", "not_member")
_GROUP: Final = "/v1/groups/{group}"
_MEMBER: Final = "/v1/groups/{group}/users/{id}"
_MESSAGE: Final = "/v1/messages/{id}"

# fmt: off
OPERATIONS: Final = (
    Operation("GET", "/v1/me", req.Hello, users.me, "Who the token speaks for, and what it allows", Me),
    Operation("GET", "/v1/users", req.Search, users.search, "Users by id or the words of their name", UserPage,
              query=UsersQuery),

    Operation("POST", "/v1/messages", req.Send, messages.send, "Send a message", MessageView, (201,),
              body=NewMessage, errors=(*_ABSENT, "rate_limited"), headers=("Idempotency-Key",)),
    Operation("GET", "/v1/messages", req.History, messages.history, "A stretch of a room's log", HistoryPage,
              query=HistoryQuery, errors=_ABSENT),
    Operation("GET", _MESSAGE, req.History, messages.read, "A message as it is now", MessageView, (200, 304),
              errors=_ABSENT, headers=("If-None-Match",)),
    Operation("PATCH", _MESSAGE, req.Edit, messages.edit, "Edit a message", MessageView, (200, 204),
              body=MessageEdit, errors=(*_ABSENT, "rate_limited"), headers=("If-Match",)),
    Operation("DELETE", _MESSAGE, req.Delete, messages.delete, "Delete a message", None, (204,),
              errors=_ABSENT, headers=("If-Match",)),

    Operation("GET", "/v1/groups", req.Groups, groups.list_groups, "The groups one is in, by name", GroupPage,
              query=GroupsQuery),
    Operation("POST", "/v1/groups", req.GroupAction, groups.create, "Create a group", GroupView, (201,),
              body=NewGroup, errors=("conflict",)),
    Operation("GET", _GROUP, req.Groups, groups.read, "A group as it is now", GroupView, (200, 304),
              errors=_ABSENT, headers=("If-None-Match",)),
    Operation("PATCH", _GROUP, req.GroupAction, groups.change, "Change a group", GroupView, (200, 204),
              body=GroupChange, errors=_ABSENT, headers=("If-Match",)),
    Operation("DELETE", _GROUP, req.GroupAction, groups.delete, "Delete a group", None, (204,),
              errors=_ABSENT, headers=("If-Match",)),

    Operation("GET", f"{_GROUP}/users", req.Members, members.list_members, "The members of a group, by id", MemberPage,
              query=ListQuery, errors=_ABSENT),
    Operation("GET", _MEMBER, req.Members, members.read, "A member of a group", MemberView, errors=_ABSENT),
    Operation("PUT", _MEMBER, req.GroupAction, members.put, "Add a user to a group, or give a member a role",
              MemberView, (200, 201, 204), body=MemberChange, body_needed=False, errors=(*_ABSENT, "conflict")),
    Operation("DELETE", _MEMBER, req.GroupAction, members.remove, "Take a user out of a group, or leave it", None,
              (204,), query=LeaveQuery, errors=(*_ABSENT, "conflict")),
)
# fmt: on
