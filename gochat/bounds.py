"""The bounds and rules that the settings set, as the parts of a node take them."""

from __future__ import annotations

from gochat.config import Settings
from gochat.domain.limits import UserLimits
from gochat.domain.relationship import DAY_MS, ContactPolicy
from gochat.domain.turn import RoomRules
from gochat.http.address import TrustedProxies
from gochat.protocol import replies
from gochat.session.gateway import SessionBounds
from gochat.transports.admission import Connections


def contact_policy(settings: Settings) -> ContactPolicy:
    policy = settings.policy
    return ContactPolicy(policy.strangers, policy.request_messages, policy.decline_days * DAY_MS)


def room_rules(settings: Settings) -> RoomRules:
    limits = settings.limits
    return RoomRules(add_users=limits.add_users, members=limits.group_members, contacts=contact_policy(settings))


def user_limits(settings: Settings) -> UserLimits:
    """The limits of one user, whose sessions and requests by REST share them."""
    limits, policy = settings.limits, settings.policy
    return UserLimits(
        messages_per_s=limits.messages_per_s,
        message_burst=limits.message_burst,
        refusals_per_s=limits.refusals_per_s,
        refusal_burst=limits.refusal_burst,
        reads_per_s=limits.reads_per_s,
        read_burst=limits.read_burst,
        window=limits.window,
        sessions=limits.sessions,
        asks_a_day=policy.request_budget,
        adds_a_day=policy.add_budget,
    )


def session_bounds(settings: Settings) -> SessionBounds:
    limits, session = settings.limits, settings.session
    return SessionBounds(
        hello_s=limits.hello_s,
        heartbeat_s=session.heartbeat_s,
        slow_s=session.slow_s,
        token_grace_s=session.token_grace_s,
        outbox_bytes=limits.outbox_bytes,
    )


def told_limits(settings: Settings) -> replies.Limits:
    """The limits that a welcome tells clients: those settings that have the name of a field there."""
    limits = settings.limits
    told = {field: getattr(limits, field) for field in replies.Limits.__struct_fields__ if hasattr(limits, field)}
    return replies.Limits(**told)


def connections(settings: Settings) -> Connections:
    """The count of connections, with none yet."""
    limits = settings.limits
    return Connections(
        capacity=limits.connections,
        unauthenticated=limits.unauthenticated,
        per_address=limits.unauthenticated_per_address,
        unauthenticated_bytes=limits.unauthenticated_bytes,
        exempt=TrustedProxies(settings.http.trusted_proxies),
    )
