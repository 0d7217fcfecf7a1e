"""A group as a file, for its owners."""

from __future__ import annotations

from typing import Final

from gochat.domain import ids
from gochat.errors import Denied
from gochat.http.rest.context import Call, Reply, check
from gochat.http.rest.refused import Refused
from gochat.http.rest.rooms import absent
from gochat.protocol.conversation import check_room

_NOT_OWNER: Final = Denied("forbidden", "only an owner may export the group")
_HIDDEN: Final = Denied("forbidden", "what was said before you joined is hidden from you: set history to all first")


async def download(call: Call) -> Reply:
    name = call.path["group"]
    room, archive = ids.group(name), call.context.archive
    check(check_room(room, call.who))
    membership = await archive.membership(call.identity.user, room)
    first = await archive.page(call.viewer, room, before=None, after=0, limit=1)
    if first is None or not first.head or (membership == "former" and not call.who.admin):
        raise await absent(call, room)
    if not call.who.admin and membership != "owner":
        raise Refused(_NOT_OWNER)
    if first.entries[0].seq != 1:
        raise Refused(_HIDDEN)
    file = await call.context.exports.make(call.viewer, room, lambda: call.context.standing.refusal(call.identity))
    return Reply(response=file, headers={"content-disposition": f'attachment; filename="{name}.sqlite"'})
