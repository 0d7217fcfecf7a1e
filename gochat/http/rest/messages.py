"""Messages: send, read one or a stretch of a room's log, edit, delete."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

from msgspec import UNSET

from gochat.domain import commands
from gochat.domain.facts import Message
from gochat.domain.ids import parse_message_id
from gochat.domain.turn import NO_MESSAGE
from gochat.http.rest.commands import carry_out, check_form
from gochat.http.rest.conditions import check_match
from gochat.http.rest.context import Call, Reply, check
from gochat.http.rest.refused import Refused, bad
from gochat.http.rest.rooms import absent, changed, need_read, or_none, record_look
from gochat.http.rest.shapes import HistoryQuery, MessageEdit, NewMessage
from gochat.http.rest.views import HistoryPage, MessageView, entry, message_view
from gochat.protocol import requests as req
from gochat.protocol.conversation import check_room

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_MOST_KEY: Final = 64


async def send(call: Call) -> Reply:
    """201 with the message; for a repeated key too, since a repeat is answered with the result of the first request
    (draft-ietf-httpapi-idempotency-key-header-07, section 2.6), and a header says which it was. A recorded key counts
    with any body, as on the other transports; the draft would also allow 422."""
    body: NewMessage = call.body
    command, done = await carry_out(
        call,
        req.Send(to=body.to, body=body.body, key=_key(call), reply_to=body.reply_to),
    )
    assert isinstance(command, commands.Send)
    # Whom it mentions is decided by the room, and told by its log.
    view = await _seen(call, command.room, done.seq) if done.duplicate or "@" in command.body else None
    if view is None:
        # A recorded key is acknowledged even to users who may not read the room, or have left it: but without the body.
        fact = Message(
            room=command.room,
            seq=done.seq,
            ts=done.ts,
            sender=command.user,
            key=command.key,
            body=None if done.duplicate else command.body,
            reply_to=None if done.duplicate else command.reply_to,
        )
        view = message_view(fact)
    headers = {"location": _location(view.id)} | ({"idempotent-replayed": "true"} if done.duplicate else {})
    return Reply(value=view, status=201, headers=headers, tagged=True)


async def history(call: Call) -> Reply:
    query: HistoryQuery = call.query
    check(check_room(query.room, call.who))
    before, after = or_none(query.before), or_none(query.after)
    if before is not None and after is not None:
        raise bad("before and after exclude each other")
    await record_look(call, query.room)
    facts = await call.context.archive.page(
        call.viewer, query.room, before=before, after=after, limit=query.limit, messages=query.messages
    )
    if facts is None:
        raise await absent(call, query.room)
    page = HistoryPage(
        room=query.room,
        epoch=call.context.journal.epoch,
        head=facts.head,
        entries=list(map(entry, facts.entries)),
        reads=dict(facts.reads) or UNSET,
        got=dict(facts.got) or UNSET,
        joined=dict(facts.joined) or UNSET,
    )
    return Reply(value=page, headers=_next(query, page, facts.next))


async def read(call: Call) -> Reply:
    return Reply(value=await _find(call, *named(call)), tagged=True)


async def edit(call: Call) -> Reply:
    body: MessageEdit = call.body
    room, seq = named(call)
    request = req.Edit(room=room, seq=seq, body=body.body)
    check_form(call, request)
    await carry_out(call, request, expects=await _expected(call, room, seq))
    return changed(await _seen(call, room, seq))


async def delete(call: Call) -> Reply:
    room, seq = named(call)
    await carry_out(call, req.Delete(room=room, seq=seq), expects=await _expected(call, room, seq))
    return Reply(status=204)


def named(call: Call) -> tuple[str, int]:
    """The room and seq that the path names. Raises Refused."""
    named = parse_message_id(call.path["id"])
    if named is None:
        raise bad("not a message id such as group:tea:42 or dm:ann:bob:7 (users in byte order)")
    return named


async def _find(call: Call, room: str, seq: int) -> MessageView:
    """The message as it is now. Raises Refused."""
    await record_look(call, room)
    facts = await call.context.archive.page(call.viewer, room, before=None, after=seq - 1, limit=1)
    if facts is None:
        raise await absent(call, room)
    for fact in facts.entries:
        if isinstance(fact, Message) and fact.seq == seq:
            return message_view(fact)
    raise Refused(NO_MESSAGE)


async def _seen(call: Call, room: str, seq: int) -> MessageView | None:
    """The message as it is now; None where the caller, who sent or changed it, may not read it."""
    if not call.may_read:
        return None
    try:
        return await _find(call, room, seq)
    except Refused:
        return None  # They were removed since.


async def _expected(call: Call, room: str, seq: int) -> str | None:
    """The body that the message must have when the room decides. Raises Refused where it is another already."""
    if "if-match" not in call.headers:
        return None
    need_read(call)
    view = await _find(call, room, seq)
    return view.body if check_match(call.headers, view) else None


def _key(call: Call) -> str | None:
    """The Idempotency-Key: a quoted string as the draft has it (RFC 8941, section 3.3.3), or bare as most send it."""
    given = call.headers.get_all("idempotency-key")
    if not given:
        return None
    key = given[0]
    quoted = _QUOTED.fullmatch(key)
    if quoted is not None:
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    if len(given) > 1 or not 1 <= len(key) <= _MOST_KEY or not key.isascii() or not key.isprintable():
        raise bad(f"Idempotency-Key: 1 to {_MOST_KEY} printable ASCII characters, once")
    return key


def _location(message: str) -> str:
    return f"/v1/messages/{quote(message, safe=':')}"


def _next(query: HistoryQuery, page: HistoryPage, following: int | None) -> dict[str, str]:
    """The link to the next page in the direction of the query."""
    bound: dict[str, int | str]
    if query.messages:
        if following is None:
            return {}
        bound = {"messages": "true", "after" if query.after is not UNSET else "before": following}
        return _link(query, bound)
    if not page.entries:
        return {}
    if query.after is not UNSET:
        bound = {"after": page.entries[-1].seq}
        more = page.entries[-1].seq < page.head
    else:
        bound = {"before": page.entries[0].seq}
        more = page.entries[0].seq > 1
    return _link(query, bound) if more else {}


def _link(query: HistoryQuery, bound: dict[str, int | str]) -> dict[str, str]:
    link = urlencode({"room": query.room, "limit": query.limit, **bound}, safe=":")
    return {"link": f'</v1/messages?{link}>; rel="next"'}
