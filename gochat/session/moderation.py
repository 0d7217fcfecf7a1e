"""The requests of moderators and admins, as a table: the same functions answer a session and a call of REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from gochat.errors import Denied
from gochat.protocol import requests as req
from gochat.protocol.conversation import Speaker
from gochat.session import notifications, oversight, overview
from gochat.session.gateway import Gateway

Moderate = Callable[[Gateway, Speaker, Any], Awaitable[msgspec.Struct | Denied]]

MODERATION: Final[dict[type[req.AnyRequest], Moderate]] = {
    req.Reports: oversight.reports,
    req.CloseReport: oversight.close_report,
    req.AdminAction: oversight.administer,
    req.Audit: oversight.audit,
    req.Users: overview.users,
    req.Rooms: overview.rooms,
    req.Sessions: overview.sessions,
    req.Suspensions: overview.suspensions,
    req.Notifications: notifications.notifications,
}


async def moderate(gateway: Gateway, who: Speaker, request: req.AnyRequest) -> msgspec.Struct | Denied:
    """Answer one of these requests, whose scope has been checked. Raises StoreError, Full."""
    return await MODERATION[type(request)](gateway, who, request)
