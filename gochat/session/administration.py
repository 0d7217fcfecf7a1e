"""Requests of moderators and admins: reports, the audit log, suspending users, revoking tokens."""

from __future__ import annotations

import msgspec

from gochat.auth.standing import touches
from gochat.domain.display_text import clean_body
from gochat.domain.ids import group, is_name
from gochat.domain.side_records import AnySideRecord, AnyStanding, Audited, ReportClosed, Revoked, Suspended
from gochat.domain.turn import NO_ROOM, NOT_MEMBER
from gochat.errors import REVOKED, Denied
from gochat.ports.archive import Viewer
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.conversation import Principal, bad, check_room
from gochat.session.gateway import Gateway
from gochat.wall_clock import wall_ms

NO_REPORT = Denied("not_found", "there is no such report")
SANCTIONS_MODERATORS_ONLY = Denied("forbidden", "mutes and bans are told the moderators of a group, and admins")
MODERATORS_ONLY = Denied("forbidden", "reports are for the moderators of a group, and for admins")


async def reports(gateway: Gateway, who: Principal, request: req.Reports) -> msgspec.Struct | Denied:
    room = request.room
    if room is None:
        if not who.admin:
            return MODERATORS_ONLY
    else:
        denied = check_room(room, who) or await _moderates(gateway, who, room)
        if denied is not None:
            return denied
    found, following = await gateway.archive.reports(room, request.limit, request.cursor, viewer=Viewer(*who))
    return replies.Reports(id=request.id, reports=found, next=following)


async def close_report(gateway: Gateway, who: Principal, request: req.CloseReport) -> msgspec.Struct | Denied:
    found = await gateway.archive.report_room(request.report, viewer=Viewer(*who))
    if found is None:
        return NO_REPORT
    room, is_open = found
    if await _moderates(gateway, who, room) is not None:
        return NO_REPORT  # Nobody else learns what was reported: in a private room that would tell by whom.
    if is_open:
        now = wall_ms()
        await gateway.journal.append_side_records(
            [
                ReportClosed(request.report, now, who.user),
                Audited(now, who.user, "report.close", str(request.report), room=room),
            ],
            room=room,
        )
    return replies.Ok(id=request.id)


async def sanctions(gateway: Gateway, who: Principal, request: req.Sanctions) -> msgspec.Struct | Denied:
    room = group(request.name)
    denied = check_room(room, who) or await _moderates(gateway, who, room, SANCTIONS_MODERATORS_ONLY)
    if denied is None and who.admin and await gateway.archive.group(Viewer(*who), room) is None:
        denied = NO_ROOM
    if denied is not None:
        return denied
    found, following = await gateway.archive.sanctions(Viewer(*who), room, request.limit, request.cursor)
    return replies.Sanctions(id=request.id, name=request.name, sanctions=found, next=following)


async def administer(gateway: Gateway, who: Principal, request: req.AdminAction) -> msgspec.Struct | Denied:
    """Suspend or unsuspend a user, revoke tokens. Live sessions that it touches end before the answer."""
    if request.reason is not None:
        request = msgspec.structs.replace(request, reason=clean_body(request.reason) or None)
    entry = _standing(request, who.user)
    if isinstance(entry, Denied):
        return entry
    known = {"until": getattr(entry, "until", None), "reason": request.reason, "kind": getattr(entry, "kind", None)}
    detail = msgspec.json.encode({name: value for name, value in known.items() if value is not None}).decode()
    subject = request.user or request.token
    traced: list[AnySideRecord] = [entry, Audited(entry.ts, who.user, f"user.{request.action}", subject, detail)]
    async with gateway.standing.changing:  # The action that is recorded last holds in the end.
        await gateway.journal.append_side_records(traced)
    return replies.Ok(id=request.id)


def enforce(gateway: Gateway, entry: AnyStanding) -> None:
    """A suspension, its end or a revocation is recorded, by this node or another: live sessions that it touches end.
    See `ports.OnStanding`."""
    gateway.standing.apply(entry)
    if isinstance(entry, Revoked) and entry.is_of_a_ticket:
        return  # To look at every session for each link that is opened would cost all the others.
    for other in list(gateway.sessions.values()):
        if other.identity is not None and touches(entry, other.identity):
            other.close(REVOKED, "your access has ended", Denied("unauthorized", "your access has ended"))
            other.ended()


async def audit(gateway: Gateway, who: Principal, request: req.Audit) -> msgspec.Struct | Denied:
    entries, following = await gateway.archive.audit(request.limit, request.cursor)
    return replies.Audit(id=request.id, entries=entries, next=following)


async def _moderates(gateway: Gateway, who: Principal, room: str, otherwise: Denied = MODERATORS_ONLY) -> Denied | None:
    """Why a user who is no moderator of the room is refused; None for its moderators and for admins."""
    if who.admin:
        return None
    membership = await gateway.archive.membership(who.user, room)
    if membership is None:
        return NO_ROOM
    if membership == "former":
        return NOT_MEMBER
    return None if membership in ("moderator", "owner") else otherwise


def _standing(request: req.AdminAction, actor: str) -> AnyStanding | Denied:
    now = wall_ms()
    if request.user is not None and not is_name(request.user):
        return bad("user: not a user id")
    if request.action == "revoke":
        if (request.user is None) == (request.token is None) or request.seconds is not None:
            return bad("revoke needs one of user and token, and no seconds")
        return Revoked("jti" if request.token is not None else "user", request.token or request.user or "", now)
    if request.user is None or request.token is not None:
        return bad(f"{request.action} needs user, and no token")
    if request.action == "unsuspend" and request.seconds is not None:
        return bad("unsuspend takes no seconds")
    until = None if request.seconds is None else now + request.seconds * 1000
    return Suspended(request.user, request.action == "suspend", now, until, actor, request.reason)
