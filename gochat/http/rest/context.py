"""The parts of a node that REST uses, and one call of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from gochat.actors.actor import Registry
from gochat.actors.user import UserActor
from gochat.auth.standing import Standing
from gochat.auth.tickets import Tickets
from gochat.errors import Denied
from gochat.http.messages import Headers, Response
from gochat.http.rest.bearer import BearerAuth
from gochat.http.rest.exports import Exports
from gochat.http.rest.refused import Refused
from gochat.metrics import Counts
from gochat.ports.archive import Archive, Viewer
from gochat.ports.journal import Journal
from gochat.ports.tokens import Identity
from gochat.protocol.catalogue import ADMIN, allows
from gochat.protocol.conversation import Principal
from gochat.protocol.replies import Devices, Limits
from gochat.protocol.requests import AnyRequest, History, Notify, Push, SignOut
from gochat.wall_clock import wall_ms


class RestContext(msgspec.Struct, frozen=True, kw_only=True):
    """Built once by the node."""

    auth: BearerAuth
    standing: Standing
    archive: Archive
    journal: Journal
    users: Registry[UserActor]
    limits: Limits
    counts: Counts
    exports: Exports
    tickets: Tickets
    moderate: Callable[[Principal, AnyRequest], Awaitable[msgspec.Struct | Denied]]
    """Answers the requests of moderators and admins (session/moderation.py)."""
    devices: Callable[[str], Awaitable[Devices]]
    """The live sessions of a user."""
    sign_out: Callable[[Identity, SignOut], Awaitable[msgspec.Struct | Denied]]
    """Ends one of them (session/devices.py)."""
    notify: Callable[[Identity, Notify], Awaitable[msgspec.Struct | Denied]]
    push: Callable[[Identity, Push], Awaitable[msgspec.Struct | Denied]]
    """Answer the requests of users about notifications (session/notifications.py)."""
    now_ms: Callable[[], int] = wall_ms
    after_leaving: bool = True
    calls_per_s: float = 1.0
    """Requests without a token from one address in the long run: those that redeem a ticket."""
    call_burst: int = 20


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request whose sender is known, whose scope suffices, and whose form has been checked."""

    context: RestContext
    identity: Identity
    path: Mapping[str, str]
    """The path's parameters, decoded."""
    query: Any
    body: Any
    headers: Headers

    @property
    def who(self) -> Principal:
        return Principal(self.identity.user, ADMIN in self.identity.scopes)

    @property
    def viewer(self) -> Viewer:
        return Viewer(*self.who, self.context.after_leaving)

    @property
    def may_read(self) -> bool:
        return allows(self.identity.scopes, History)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a call."""

    value: msgspec.Struct | None = None
    status: int = 200
    headers: dict[str, str] = {}
    response: Response | None = None
    """A response that is no value: it is sent as it is, with `headers`."""
    tagged: bool = False
    """Whether it has an ETag, so that a client may ask whether it has changed."""


def check(denied: Denied | None) -> None:
    """Raises Refused if there is a denial."""
    if denied is not None:
        raise Refused(denied)
