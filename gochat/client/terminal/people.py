"""Commands about people: contacts and requests to write, reports, and the acts of a group's moderators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from gochat.client.chat import Chat
from gochat.client.terminal import text
from gochat.client.terminal.command import Command, Front, Misused, number, user_and_span, user_of, users
from gochat.protocol.replies import Ok

#: The actions of `/add bob` and the like.
_ACTIONS: Final[dict[str, Callable[[Chat, str], Awaitable[Ok]]]] = {
    "add": Chat.add_contact,
    "remove": Chat.remove_contact,
    "accept": Chat.accept,
    "decline": Chat.decline,
    "block": Chat.block,
    "unblock": Chat.unblock,
}


async def _contacts(front: Front, rest: str) -> None:
    found = False
    async for entry in front.chat.contacts():
        front.say(text.state_line(entry))
        found = True
    if not found:
        front.note("* no contacts yet; /add USER makes one")


async def _requests(front: Front, rest: str) -> None:
    found = False
    async for entry in front.chat.requests():
        front.say(text.request_line(entry, front.chat.user))
        found = True
    if not found:
        front.note("* nobody waits for an answer")


async def _act(action: str, front: Front, rest: str) -> None:
    user = user_of(rest, PEOPLE[action].usage)
    if action in ("add", "accept"):
        # Before they may come as events: each is shown once, and in order.
        await front.show_waiting(user)
    reply = await _ACTIONS[action](front.chat, user)
    state = reply.state or "none"
    front.holds(user, state)
    front.note(text.state_notice(user, state))


async def _report(front: Front, rest: str) -> None:
    seq, _, reason = rest.partition(" ")
    await front.chat.report(front.room(), number(seq, PEOPLE["report"].usage), reason.strip() or None)
    front.note("* reported")


async def _kick(front: Front, rest: str) -> None:
    if not rest:
        raise Misused("usage: " + PEOPLE["kick"].usage)
    await front.chat.remove_users(front.group(), users(rest.split()))


async def _mute(front: Front, rest: str) -> None:
    user, seconds = user_and_span(rest, PEOPLE["mute"].usage)
    await front.chat.mute(front.group(), user, seconds=seconds)
    front.note(f"* {user} is muted")


async def _unmute(front: Front, rest: str) -> None:
    user = user_of(rest, PEOPLE["unmute"].usage)
    await front.chat.unmute(front.group(), user)
    front.note(f"* {user} may write again")


async def _ban(front: Front, rest: str) -> None:
    user, seconds = user_and_span(rest, PEOPLE["ban"].usage)
    await front.chat.ban(front.group(), user, seconds=seconds)
    front.note(f"* {user} is banned")


async def _unban(front: Front, rest: str) -> None:
    user = user_of(rest, PEOPLE["unban"].usage)
    await front.chat.unban(front.group(), user)
    front.note(f"* {user} may be added again")


async def _devices(front: Front, rest: str) -> None:
    devices = await front.chat.devices()
    for count, device in enumerate(devices, 1):
        front.say(f"  {count} {text.device_line(device)}")
    if devices.missing:
        front.note(text.missing_notice(devices.missing))


async def _sign_out(front: Front, rest: str) -> None:
    wanted = number(rest, PEOPLE["signout"].usage)
    devices = await front.chat.devices()
    if not 1 <= wanted <= len(devices):
        raise Misused("no device has this number; /devices lists them")
    device = devices[wanted - 1]
    if device.handle is None:
        raise Misused("this is the device that you type on: /quit leaves")
    reply = await front.chat.sign_out(device.handle)
    back = "" if reply.state == "revoked" else "; its token is used here too, or can't be revoked: it may come back"
    front.note(f"* signed out: {text.device_line(device)}{back}")


PEOPLE: Final[dict[str, Command]] = {
    "contacts": Command("/contacts", "whom you have accepted, blocked or declined", _contacts),
    "requests": Command("/requests", "who wants to write to you", _requests),
    "accept": Command("/accept USER", "let somebody write who asks to", partial(_act, "accept")),
    "decline": Command("/decline USER", "refuse who asks to write", partial(_act, "decline")),
    "add": Command("/add USER", "let somebody write without asking", partial(_act, "add")),
    "remove": Command("/remove USER", "no contact any more: they have to ask again", partial(_act, "remove")),
    "block": Command("/block USER", "neither of you can write to the other", partial(_act, "block")),
    "unblock": Command("/unblock USER", "take a block back", partial(_act, "unblock")),
    "report": Command("/report NUMBER [REASON]", "tell the moderators of a message", _report),
    "mute": Command("/mute USER [TIME]", "as a moderator: no writing in this group, for 10m, 2h, 7d", _mute),
    "unmute": Command("/unmute USER", "take that back", _unmute),
    "kick": Command("/kick USER...", "as a moderator: out of this group", _kick),
    "ban": Command("/ban USER [TIME]", "as a moderator: out of this group, and not to be added again", _ban),
    "unban": Command("/unban USER", "take that back", _unban),
    "devices": Command("/devices", "where you are signed in", _devices),
    "signout": Command("/signout NUMBER", "end another one of these; it needs a new token to come back", _sign_out),
}
