"""Moderation: reports, mutes and bans, suspensions, revocations, the audit log, and the lists of admins."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from gochat.errors import Denied
from gochat.http.rest.commands import carry_out
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.messages import named
from gochat.http.rest.refused import Refused, bad
from gochat.http.rest.rooms import next_link, or_none, or_unset
from gochat.http.rest.shapes import (
    ListQuery,
    MailboxesQuery,
    NewReport,
    ReportsQuery,
    Revocation,
    RoomsQuery,
    Sanction,
    SessionsQuery,
    Suspending,
    UserListQuery,
)
from gochat.http.rest.views import (
    AccountPage,
    AuditPage,
    DevicesView,
    MailboxPage,
    OverviewView,
    ReportPage,
    RoomOverviewPage,
    SanctionPage,
    SessionPage,
    SuspensionPage,
)
from gochat.protocol import replies
from gochat.protocol import requests as req

R = TypeVar("R", bound=msgspec.Struct)


async def _ask(call: Call, request: req.AnyRequest, kind: type[R]) -> R:
    """The reply that a session would get. Raises Refused."""
    reply = await call.context.moderate(call.who, request)
    if isinstance(reply, Denied):
        raise Refused(reply)
    return cast(R, reply)


def _page(call: Call, path: str, page: Any) -> Reply:
    query: ListQuery = call.query
    return Reply(value=page, headers=next_link(path, query, page.next))


# ---------------------------------------------------------------------------------------------- reports


async def report(call: Call) -> Reply:
    body: NewReport | None = call.body
    room, seq = named(call)
    reason = None if body is None else body.reason
    await carry_out(call, req.Report(room=room, seq=seq, reason=reason))
    return Reply(status=204)


async def list_reports(call: Call) -> Reply:
    query: ReportsQuery = call.query
    request = req.Reports(room=or_none(query.room), limit=query.limit, cursor=or_none(query.cursor))
    found = await _ask(call, request, replies.Reports)
    return _page(call, "/v1/reports", ReportPage(reports=found.reports, next=or_unset(found.next)))


async def close(call: Call) -> Reply:
    number = call.path["report"]
    if not (number.isascii() and number.isdecimal() and len(number) < 20 and 0 < int(number) <= 2**53):
        raise bad("not the number of a report")
    await _ask(call, req.CloseReport(report=int(number)), replies.Ok)
    return Reply(status=204)


# ---------------------------------------------------------------------------------------------- groups


async def mute(call: Call) -> Reply:
    return await _sanction(call, "mute")


async def unmute(call: Call) -> Reply:
    return await _sanction(call, "unmute")


async def ban(call: Call) -> Reply:
    return await _sanction(call, "ban")


async def unban(call: Call) -> Reply:
    return await _sanction(call, "unban")


async def list_sanctions(call: Call) -> Reply:
    query: ListQuery = call.query
    name = call.path["group"]
    found = await _ask(
        call, req.Sanctions(name=name, limit=query.limit, cursor=or_none(query.cursor)), replies.Sanctions
    )
    page = SanctionPage(name=name, sanctions=found.sanctions, next=or_unset(found.next))
    return _page(call, f"/v1/groups/{name}/sanctions", page)


async def list_devices(call: Call) -> Reply:
    found = await call.context.devices(call.identity.user)
    return Reply(value=DevicesView(devices=found.devices, missing=found.missing))


async def sign_out(call: Call) -> Reply:
    answer = await call.context.sign_out(call.identity, req.SignOut(handle=call.path["handle"]))
    if isinstance(answer, Denied):
        raise Refused(answer)
    return Reply(status=204)


async def _sanction(call: Call, action: Any) -> Reply:
    body: Sanction | None = call.body
    seconds = None if body is None else body.seconds
    await carry_out(
        call, req.GroupAction(name=call.path["group"], action=action, user=call.path["id"], seconds=seconds)
    )
    return Reply(status=204)


# ---------------------------------------------------------------------------------------------- the site


async def suspend(call: Call) -> Reply:
    body: Suspending | None = call.body
    request = req.AdminAction(
        action="suspend",
        user=call.path["id"],
        seconds=None if body is None else body.seconds,
        reason=None if body is None else body.reason,
    )
    await _ask(call, request, replies.Ok)
    return Reply(status=204)


async def unsuspend(call: Call) -> Reply:
    await _ask(call, req.AdminAction(action="unsuspend", user=call.path["id"]), replies.Ok)
    return Reply(status=204)


async def revoke(call: Call) -> Reply:
    body: Revocation = call.body
    request = req.AdminAction(action="revoke", user=body.user, token=body.token, reason=body.reason)
    await _ask(call, request, replies.Ok)
    return Reply(status=204)


async def list_audit(call: Call) -> Reply:
    query: ListQuery = call.query
    found = await _ask(call, req.Audit(limit=query.limit, cursor=or_none(query.cursor)), replies.Audit)
    return _page(call, "/v1/admin/audit", AuditPage(entries=found.entries, next=or_unset(found.next)))


async def list_accounts(call: Call) -> Reply:
    query: UserListQuery = call.query
    request = req.Users(
        user=or_none(query.user), prefix=or_none(query.prefix), limit=query.limit, cursor=or_none(query.cursor)
    )
    found = await _ask(call, request, replies.Users)
    return _page(call, "/v1/admin/users", AccountPage(users=found.users, next=or_unset(found.next)))


async def list_rooms(call: Call) -> Reply:
    query: RoomsQuery = call.query
    request = req.Rooms(
        user=or_none(query.user),
        private=query.private,
        prefix=or_none(query.prefix),
        q=or_none(query.q),
        limit=query.limit,
        cursor=or_none(query.cursor),
    )
    found = await _ask(call, request, replies.Rooms)
    return _page(call, "/v1/admin/rooms", RoomOverviewPage(rooms=found.rooms, next=or_unset(found.next)))


async def list_sessions(call: Call) -> Reply:
    query: SessionsQuery = call.query
    request = req.Sessions(user=or_none(query.user), slow=query.slow, limit=query.limit, cursor=or_none(query.cursor))
    found = await _ask(call, request, replies.Sessions)
    return _page(call, "/v1/admin/sessions", SessionPage(sessions=found.sessions, next=or_unset(found.next)))


async def list_suspensions(call: Call) -> Reply:
    query: ListQuery = call.query
    request = req.Suspensions(limit=query.limit, cursor=or_none(query.cursor))
    found = await _ask(call, request, replies.Suspensions)
    page = SuspensionPage(suspensions=found.suspensions, next=or_unset(found.next))
    return _page(call, "/v1/admin/suspensions", page)


async def overview(call: Call) -> Reply:
    found = await _ask(call, req.Overview(), replies.Overview)
    return Reply(value=OverviewView(**{name: getattr(found, name) for name in OverviewView.__struct_fields__}))


async def list_mailboxes(call: Call) -> Reply:
    query: MailboxesQuery = call.query
    request = req.Mailboxes(private=query.private, limit=query.limit, cursor=or_none(query.cursor))
    found = await _ask(call, request, replies.Mailboxes)
    page = MailboxPage(mailboxes=found.mailboxes, waiting=found.waiting, next=or_unset(found.next))
    return _page(call, "/v1/admin/mailboxes", page)
