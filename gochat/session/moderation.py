"""The requests of moderators and admins, as a table: the same functions answer a session and a call of REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from gochat.errors import Denied
from gochat.protocol import requests as req
from gochat.protocol.conversation import Principal
from gochat.session import administration, notifications, overview
from gochat.session.gateway import Gateway

Moderate = Callable[[Gateway, Principal, Any], Awaitable[msgspec.Struct | Denied]]

MODERATION: Final[dict[type[req.AnyRequest], Moderate]] = {
    req.Reports: administration.reports,
    req.CloseReport: administration.close_report,
    req.AdminAction: administration.administer,
    req.Audit: administration.audit,
    req.Users: overview.users,
    req.Rooms: overview.rooms,
    req.Sessions: overview.sessions,
    req.Suspensions: overview.suspensions,
    req.Sanctions: administration.sanctions,
    req.Overview: overview.overview,
    req.Mailboxes: overview.mailboxes,
    req.Notifications: notifications.notifications,
}


async def moderate(gateway: Gateway, who: Principal, request: req.AnyRequest) -> msgspec.Struct | Denied:
    """Answer one of these requests, whose scope has been checked. Raises StoreError, Full."""
    return await MODERATION[type(request)](gateway, who, request)
