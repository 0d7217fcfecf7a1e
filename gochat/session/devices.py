"""One's own devices: the live sessions of a user on this node, and the way to end one of them.

The same functions answer a session and a call of REST.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, cast

import msgspec

from gochat.domain.side_records import Revoked
from gochat.errors import REVOKED, Denied
from gochat.ports.tokens import Identity
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import Device
from gochat.session.gateway import Gateway, SignedIn

NO_SESSION: Final = Denied("not_found", "you have no such session on this node")
ITSELF: Final = Denied("conflict", "this is the session that asks: to close its connection ends it")
ENDED: Final = "you signed this device out from another one"


def own_devices(gateway: Gateway, user: str, current: object = None) -> list[Device]:
    """The user's live sessions on this node, the oldest first; `current` is the one that asks."""
    # The rooms' listeners of a user are the sessions of the node's table.
    own = sorted(cast(Iterable[SignedIn], gateway.live.users.get(user, ())), key=lambda each: each.signed_in_ns)
    return [
        Device(
            since=session.signed_in_ns // 1_000_000,
            transport=session.connection.transport,
            address=session.connection.peer,
            device=session.device,
            handle=None if session is current else session.id,
            current=session is current,
        )
        for session in own
    ]


async def sign_out(
    gateway: Gateway, who: Identity, request: req.SignOut, current: object = None
) -> msgspec.Struct | Denied:
    """End a session of the user on this node, and revoke the token that it lives by, so that its client does not come
    back with it. A token without an id can't be revoked, and that of the request is left alone: then the session is
    only closed, with a number that tells its client to stay away. Raises StoreError, Full."""
    other = gateway.sessions.get(request.handle)
    if other is None or other.user != who.user or other.identity is None:
        return NO_SESSION
    if other is current:
        return ITSELF
    token_id = other.identity.token_id
    if token_id is None or token_id == who.token_id:
        other.close(REVOKED, ENDED, Denied("unauthorized", ENDED))
        other.ended()
        return replies.Ok(id=request.id, state="closed")
    # Not under `standing.changing`: nothing lifts this entry, so that its order among others does not matter, and they
    # need not wait while it is on its way.
    await gateway.journal.append_side_records([Revoked("jti", token_id, time.time_ns() // 1_000_000)])
    return replies.Ok(id=request.id, state="revoked")
