"""Answers requests about notifications, of users and of admins: the same functions answer a session and a call of
REST."""

from __future__ import annotations

import msgspec

from gochat.domain.ids import is_dm
from gochat.domain.notices import (
    CHANNELS,
    MOST_SILENT,
    AnyWish,
    MentionsWanted,
    QuietHours,
    QuietSet,
    Silenced,
    Subscribed,
    Subscription,
    Unsubscribed,
    told_id,
)
from gochat.domain.side_records import Audited
from gochat.domain.turn import NO_ROOM, NOT_MEMBER
from gochat.errors import Denied
from gochat.notify import quiet
from gochat.notify.subscription import problem
from gochat.ports.tokens import Identity
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.conversation import Principal, bad, check_room
from gochat.protocol.entries import NotificationEntry, Silence
from gochat.session.gateway import Gateway
from gochat.wall_clock import wall_ms

NO_PUSH = Denied("conflict", "this server does not push: notify.push is off")
TOO_MANY = Denied("conflict", f"{MOST_SILENT:,} rooms are silent: end one of these first")


async def notify(gateway: Gateway, who: Identity, request: req.Notify) -> msgspec.Struct | Denied:
    """Change what the user wants, if anything is to be changed, and tell what that is. Raises StoreError, Full."""
    now_ms, wishes = wall_ms(), gateway.notifications.notices.wishes
    changes: list[AnyWish] = []
    if request.room is not None:
        denied = await _check_silence(gateway, who, request.room, request.until, now_ms)
        if denied is not None:
            return denied
        changes.append(Silenced(who.user, request.room, request.until, now_ms))
    elif request.until is not None:
        return bad("until goes with room")
    if request.quiet is not None:
        try:
            changes.append(QuietSet(who.user, _hours(request.quiet, request.tz)))
        except ValueError as error:
            return bad(str(error))
    elif request.tz is not None:
        return bad("tz goes with quiet")
    if request.mentions is not None:
        changes.append(MentionsWanted(who.user, request.mentions))
    if changes:
        await gateway.journal.append_side_records(changes)
    wanted = await wishes(who.user, now_ms)
    hours = wanted.quiet
    return replies.Notify(
        id=request.id,
        channels=list(gateway.notifications.channels),
        quiet=None if hours is None else str(hours),
        tz=None if hours is None else hours.tz,
        mentions=wanted.mentions,
        rooms=[Silence(room=room, until=until) for room, until in wanted.silent],
    )


async def push(gateway: Gateway, who: Identity, request: req.Push) -> msgspec.Struct | Denied:
    """Subscribe a device or forget one, if that is asked for. Raises StoreError, Full."""
    key = gateway.notifications.push_key
    changes: list[AnyWish] = []
    if request.subscription is not None:
        if key is None:
            return NO_PUSH
        keys = request.subscription.keys
        device = Subscription(request.subscription.endpoint, keys.p256dh, keys.auth)
        why = problem(device)
        if why is not None:
            return bad(f"subscription.{why}")
        changes.append(Subscribed(who.user, device, wall_ms(), who.token_id))
    if request.forget is not None:
        changes.append(Unsubscribed(who.user, request.forget))
    if changes:
        await gateway.journal.append_side_records(changes)
        # Asked again: a token that was revoked while this was recorded leaves no device behind.
        if gateway.standing.refusal(who) is not None:
            await gateway.journal.append_side_records([Unsubscribed(who.user, None)])
            return Denied("unauthorized", "your access has ended")
    wanted = await gateway.notifications.notices.wishes(who.user, wall_ms())
    return replies.Push(id=request.id, key=key, devices=wanted.devices)


async def notifications(gateway: Gateway, who: Principal, request: req.Notifications) -> msgspec.Struct | Denied:
    """List notifications that wait or were given up; or have the latter tried again. Raises StoreError, Full."""
    notices = gateway.notifications.notices
    retried = None
    if request.retry:
        await gateway.journal.append_side_records(
            [Audited(wall_ms(), who.user, "notifications.retry", request.channel)]
        )
        retried = await notices.revive(request.channel, wall_ms())
        gateway.notifications.wake()
    counts = await notices.counts()
    channels = (request.channel,) if request.channel is not None else CHANNELS
    found = await notices.entries(dead=request.dead, limit=request.limit, channel=request.channel)
    return replies.Notifications(
        id=request.id,
        notifications=[
            NotificationEntry(
                notification=told_id(each.epoch, each.room, each.id),
                channel=each.channel,
                user=each.user,
                room=each.room,
                ts=each.made_ts,
                tries=each.tries,
                next=None if each.dead else each.next_ts,
                reason=each.reason,
            )
            for each in found
        ],
        waiting=sum(counts.get((channel, "waiting"), 0) for channel in channels),
        dead=sum(counts.get((channel, "dead"), 0) for channel in channels),
        retried=retried,
    )


async def _check_silence(gateway: Gateway, who: Identity, room: str, until: int | None, now_ms: int) -> Denied | None:
    """A room is silenced by its members. Users may end a silence in a room that they have left."""
    denied = check_room(room, Principal(who.user, admin=False))
    if denied is not None or (until is not None and until <= now_ms):
        return denied
    if not is_dm(room):
        membership = await gateway.archive.membership(who.user, room)
        if membership in (None, "former"):
            return NOT_MEMBER if membership == "former" else NO_ROOM
    silent = (await gateway.notifications.notices.wishes(who.user, now_ms)).silent
    return TOO_MANY if len(silent) >= MOST_SILENT and room not in dict(silent) else None


def _hours(span: str, tz: str | None) -> QuietHours | None:
    """Raises ValueError."""
    if not span:
        return None
    if tz is None:
        raise ValueError("quiet needs tz")
    return quiet.parse(span, tz)
