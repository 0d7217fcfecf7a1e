"""Parts that operations on rooms share: whether a caller may know that a room exists, and links from page to page."""

from __future__ import annotations

from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import UNSET, UnsetType

from gochat.domain.side_records import private_look
from gochat.domain.turn import NO_ROOM, NOT_MEMBER
from gochat.errors import Denied
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.refused import Refused
from gochat.http.rest.shapes import ListQuery
from gochat.protocol.catalogue import READ

T = TypeVar("T")

_BLIND: Final = Denied("forbidden", f"If-Match asks what is there now: the token lacks the scope {READ}")


async def absent(call: Call, room: str) -> Refused:
    """Why the caller may not read the room: only former members learn that there is one."""
    membership = await call.context.archive.membership(call.identity.user, room)
    return Refused(NOT_MEMBER if membership == "former" else NO_ROOM)


async def record_look(call: Call, room: str) -> None:
    """Record that an admin reads a private room of others, before anything of it is told."""
    look = private_look(*call.who, room, call.context.now_ms())
    if look is not None:
        await call.context.journal.append_side_records([look])


def need_read(call: Call) -> None:
    """A precondition reveals the present state, so it needs the scope of reading. Raises Refused."""
    if not call.may_read:
        raise Refused(_BLIND)


def changed(view: msgspec.Struct | None) -> Reply:
    """The changed thing, or 204 where the caller may change it and not read it."""
    return Reply(value=view, status=200 if view is not None else 204, tagged=True)


def next_link(path: str, query: ListQuery, cursor: str | UnsetType) -> dict[str, str]:
    """A Link header (RFC 8288) to the next page, if there is one: the same query from `cursor` on."""
    if cursor is UNSET:
        return {}
    asked = {name: value for name, value in msgspec.structs.asdict(query).items() if value is not UNSET}
    return {"link": f'<{path}?{urlencode({**asked, "cursor": cursor}, safe=":")}>; rel="next"'}


def or_none(value: T | UnsetType) -> T | None:
    """None for an absent value, as the request structs have it."""
    return None if isinstance(value, UnsetType) else value


def or_unset(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value
