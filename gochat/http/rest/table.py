"""Every operation of REST. The routes and the OpenAPI document are made from this table."""

from __future__ import annotations

from typing import Final

from gochat.http.rest import export, groups, members, messages, moderation, notifications, people, tickets, users
from gochat.http.rest.exports import MEDIA_TYPE
from gochat.http.rest.resource import Operation
from gochat.http.rest.shapes import (
    AccountPage,
    AccountsQuery,
    AuditPage,
    ContactPage,
    ContactsQuery,
    ContactView,
    GroupChange,
    GroupPage,
    GroupsQuery,
    GroupView,
    HistoryPage,
    HistoryQuery,
    LeaveQuery,
    ListQuery,
    Me,
    MemberPage,
    Membership,
    MemberView,
    MessageEdit,
    MessageView,
    NewGroup,
    NewMessage,
    NewReport,
    NewToken,
    NotificationRetry,
    NotificationsQuery,
    NotificationsView,
    NotifyChange,
    NotifyView,
    PushChange,
    PushView,
    ReplyTo,
    ReportPage,
    ReportsQuery,
    RequestPage,
    Retried,
    Revocation,
    RoomOverviewPage,
    RoomsQuery,
    Sanction,
    SessionPage,
    Suspending,
    SuspensionPage,
    UserPage,
    UsersQuery,
)
from gochat.protocol import requests as req

_ABSENT: Final = ("not_found", "not_member")
_TEXT: Final = ("rate_limited", "censored", "external_link")
_REFUSED: Final = ("blocked", "declined", *_TEXT)
_RELATED: Final = ("conflict", "rate_limited")
_GROUP: Final = "/v1/groups/{group}"
_MEMBER: Final = "/v1/groups/{group}/users/{id}"
_MESSAGE: Final = "/v1/messages/{id}"
_MUTE: Final = "/v1/groups/{group}/mutes/{id}"
_BAN: Final = "/v1/groups/{group}/bans/{id}"
_SANCTION: Final = (*_ABSENT, "conflict", "rate_limited")

OPERATIONS: Final = (
    Operation("GET", "/v1/me", req.Hello, users.me, "The token's user, scopes and limits", Me),
    Operation("POST", "/v1/tickets", None, tickets.redeem, "A token for a single-use ticket", NewToken, body=ReplyTo,
              errors=("rate_limited",)),
    Operation("GET", "/v1/users", req.Search, users.search, "Users by id or the words of their name", UserPage,
              query=UsersQuery, errors=("busy",)),

    Operation("GET", "/v1/contacts", req.Contacts, people.list_contacts, "Relations to other users, by id",
              ContactPage, query=ContactsQuery),
    Operation("PUT", "/v1/contacts/{id}", req.ContactAction, people.add,
              "Add a contact; accepts, where a request of that user waits", ContactView, errors=_RELATED),
    Operation("DELETE", "/v1/contacts/{id}", req.ContactAction, people.remove, "Remove a contact", None, (204,),
              errors=("rate_limited",)),
    Operation("GET", "/v1/requests", req.Requests, people.list_requests, "Users who ask to write to one, by id",
              RequestPage, query=ListQuery),
    Operation("PUT", "/v1/requests/{id}", req.ContactAction, people.accept, "Accept a request", ContactView,
              errors=(*_RELATED, "not_found")),
    Operation("DELETE", "/v1/requests/{id}", req.ContactAction, people.decline, "Decline a request", None, (204,),
              errors=("not_found", "rate_limited")),
    Operation("GET", "/v1/blocks", req.Contacts, people.list_blocks, "Users whom one has blocked, by id", ContactPage,
              query=ListQuery),
    Operation("PUT", "/v1/blocks/{id}", req.ContactAction, people.block, "Block a user", ContactView,
              errors=("rate_limited",)),
    Operation("DELETE", "/v1/blocks/{id}", req.ContactAction, people.unblock, "Unblock a user", None, (204,),
              errors=("rate_limited",)),

    Operation("POST", "/v1/messages", req.Send, messages.send, "Send a message", MessageView, (201,),
              body=NewMessage, errors=(*_ABSENT, *_REFUSED), headers=("Idempotency-Key",)),
    Operation("GET", "/v1/messages", req.History, messages.history, "A range of a room's log", HistoryPage,
              query=HistoryQuery, errors=_ABSENT),
    Operation("GET", _MESSAGE, req.History, messages.read, "A message as it is now", MessageView, (200, 304),
              errors=_ABSENT, headers=("If-None-Match",)),
    Operation("PATCH", _MESSAGE, req.Edit, messages.edit, "Edit a message", MessageView, (200, 204),
              body=MessageEdit, errors=(*_ABSENT, *_REFUSED), headers=("If-Match",)),
    Operation("DELETE", _MESSAGE, req.Delete, messages.delete, "Delete a message", None, (204,),
              errors=(*_ABSENT, "rate_limited"), headers=("If-Match",)),

    Operation("GET", "/v1/groups", req.Groups, groups.list_groups, "The groups one is in, by name", GroupPage,
              query=GroupsQuery),
    Operation("POST", "/v1/groups", req.GroupAction, groups.create, "Create a group", GroupView, (201,),
              body=NewGroup, errors=("conflict", *_REFUSED)),
    Operation("GET", _GROUP, req.Groups, groups.read, "A group as it is now", GroupView, (200, 304),
              errors=_ABSENT, headers=("If-None-Match",)),
    Operation("PATCH", _GROUP, req.GroupAction, groups.change, "Change a group", GroupView, (200, 204),
              body=GroupChange, errors=(*_ABSENT, *_TEXT), headers=("If-Match",)),
    Operation("DELETE", _GROUP, req.GroupAction, groups.delete, "Delete a group", None, (204,),
              errors=(*_ABSENT, "rate_limited"), headers=("If-Match",)),

    Operation("GET", f"{_GROUP}/export", req.History, export.download, "A group with its log, as an SQLite file", None,
              errors=(*_ABSENT, "busy"), media=MEDIA_TYPE),

    Operation("GET", f"{_GROUP}/users", req.Members, members.list_members, "The members of a group, by id", MemberPage,
              query=ListQuery, errors=_ABSENT),
    Operation("GET", _MEMBER, req.Members, members.read, "A member of a group", MemberView, errors=_ABSENT),
    Operation("PUT", _MEMBER, req.GroupAction, members.put, "Add a user to a group, or give a member a role",
              MemberView, (200, 201, 204), body=Membership, body_needed=False,
              errors=(*_ABSENT, "conflict", "blocked", "declined", "rate_limited")),
    Operation("DELETE", _MEMBER, req.GroupAction, members.remove, "Take a user out of a group, or leave it", None,
              (204,), query=LeaveQuery, errors=(*_ABSENT, "conflict", "rate_limited")),

    Operation("PUT", _MUTE, req.GroupAction, moderation.mute, "Mute a member of a group", None, (204,), body=Sanction,
              body_needed=False, errors=_SANCTION),
    Operation("DELETE", _MUTE, req.GroupAction, moderation.unmute, "Let a muted member write again", None, (204,),
              errors=_SANCTION),
    Operation("PUT", _BAN, req.GroupAction, moderation.ban, "Remove a user from a group, not to be added again", None,
              (204,), body=Sanction, body_needed=False, errors=_SANCTION),
    Operation("DELETE", _BAN, req.GroupAction, moderation.unban, "Let a banned user be added again", None, (204,),
              errors=_SANCTION),

    Operation("POST", f"{_MESSAGE}/reports", req.Report, moderation.report, "Report a message to the moderators", None,
              (204,), body=NewReport, body_needed=False, errors=(*_ABSENT, "rate_limited")),
    Operation("GET", "/v1/reports", req.Reports, moderation.list_reports, "Open reports, oldest first", ReportPage,
              query=ReportsQuery, errors=_ABSENT),
    Operation("DELETE", "/v1/reports/{report}", req.CloseReport, moderation.close, "Close a report", None, (204,),
              errors=_ABSENT),

    Operation("GET", "/v1/admin/users", req.Users, moderation.list_accounts, "Users who ever signed in, by id",
              AccountPage, query=AccountsQuery),
    Operation("GET", "/v1/admin/rooms", req.Rooms, moderation.list_rooms, "Groups, or private rooms, by id",
              RoomOverviewPage, query=RoomsQuery),
    Operation("GET", "/v1/admin/sessions", req.Sessions, moderation.list_sessions, "Live sessions, by user",
              SessionPage, query=AccountsQuery),
    Operation("GET", "/v1/admin/suspensions", req.Suspensions, moderation.list_suspensions,
              "Users who are suspended now, by id", SuspensionPage, query=ListQuery),
    Operation("PUT", "/v1/admin/suspensions/{id}", req.AdminAction, moderation.suspend, "Suspend a user", None, (204,),
              body=Suspending, body_needed=False),
    Operation("DELETE", "/v1/admin/suspensions/{id}", req.AdminAction, moderation.unsuspend, "End a suspension", None,
              (204,)),
    Operation("POST", "/v1/admin/revocations", req.AdminAction, moderation.revoke, "Revoke tokens", None, (204,),
              body=Revocation),
    Operation("GET", "/v1/notify", req.Notify, notifications.read, "What one wants of notifications", NotifyView),
    Operation("PATCH", "/v1/notify", req.Notify, notifications.change,
              "Silence a room, or set the hours in which notifications wait", NotifyView, body=NotifyChange,
              errors=(*_ABSENT, "conflict")),
    Operation("GET", "/v1/push", req.Push, notifications.push_key, "The key that browsers subscribe with", PushView),
    Operation("POST", "/v1/push", req.Push, notifications.change_push, "Subscribe a device, or forget one", PushView,
              body=PushChange, errors=("conflict",)),
    Operation("GET", "/v1/admin/notifications", req.Notifications, notifications.list_notifications,
              "Notifications that wait, or that were given up", NotificationsView, query=NotificationsQuery),
    Operation("POST", "/v1/admin/notifications/retries", req.Notifications, notifications.retry,
              "Try again what was given up", Retried, body=NotificationRetry, body_needed=False),

    Operation("GET", "/v1/admin/audit", req.Audit, moderation.list_audit, "The audit log, newest first", AuditPage,
              query=ListQuery),
)  # fmt: skip
