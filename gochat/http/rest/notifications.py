"""Notifications: what one wants of them, the devices that are pushed to, and what admins see of those under way."""

from __future__ import annotations

from typing import TypeVar, cast

import msgspec

from gochat.errors import Denied
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.refused import Refused
from gochat.http.rest.rooms import or_none, or_unset
from gochat.http.rest.shapes import NotificationRetry, NotificationsQuery, NotifyChange, PushChange
from gochat.http.rest.views import NotificationsView, NotifyView, PushView, Retried
from gochat.protocol import replies
from gochat.protocol import requests as req

R = TypeVar("R", bound=msgspec.Struct)


async def read(call: Call) -> Reply:
    return await _notify(call, req.Notify())


async def change(call: Call) -> Reply:
    body: NotifyChange = call.body
    request = req.Notify(room=body.room, until=body.until, quiet=body.quiet, tz=body.tz, mentions=body.mentions)
    return await _notify(call, request)


async def push_key(call: Call) -> Reply:
    return await _push(call, req.Push())


async def change_push(call: Call) -> Reply:
    body: PushChange = call.body
    return await _push(call, req.Push(subscription=body.subscription, forget=body.forget))


async def list_notifications(call: Call) -> Reply:
    query: NotificationsQuery = call.query
    request = req.Notifications(dead=query.dead, channel=or_none(query.channel), limit=query.limit)
    found = _allowed(await call.context.moderate(call.who, request), replies.Notifications)
    view = NotificationsView(notifications=found.notifications, waiting=found.waiting, dead=found.dead)
    return Reply(value=view)


async def retry(call: Call) -> Reply:
    body: NotificationRetry | None = call.body
    request = req.Notifications(retry=True, channel=None if body is None else body.channel, limit=1)
    found = _allowed(await call.context.moderate(call.who, request), replies.Notifications)
    return Reply(value=Retried(retried=found.retried or 0))


async def _notify(call: Call, request: req.Notify) -> Reply:
    found = _allowed(await call.context.notify(call.identity, request), replies.Notify)
    quiet, tz = or_unset(found.quiet), or_unset(found.tz)
    view = NotifyView(channels=found.channels, quiet=quiet, tz=tz, mentions=found.mentions, rooms=found.rooms)
    return Reply(value=view)


async def _push(call: Call, request: req.Push) -> Reply:
    found = _allowed(await call.context.push(call.identity, request), replies.Push)
    return Reply(value=PushView(key=or_unset(found.key), devices=found.devices))


def _allowed(reply: msgspec.Struct | Denied, kind: type[R]) -> R:
    """Raises Refused."""
    if isinstance(reply, Denied):
        raise Refused(reply)
    return cast(R, reply)
