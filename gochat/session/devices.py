"""One's own devices: the live sessions of a user on all nodes, and the way to end one of them.

The same functions answer a session, a call of REST, and another node of the cluster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final, Literal, TypeAlias, TypeVar, cast

import msgspec

from gochat.domain.side_records import Revoked
from gochat.errors import REVOKED, Denied, GochatError
from gochat.ports.tokens import Identity
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.entries import Device
from gochat.session.gateway import Gateway, SignedIn
from gochat.wall_clock import wall_ms

NO_SESSION: Final = Denied("not_found", "you have no such session")
ITSELF: Final = Denied("conflict", "this is the session that asks: to close its connection ends it")
ENDED: Final = "you signed this device out from another one"
#: How long other nodes are waited for: somebody looks at the list.
LIST_S: Final = 1.0
#: A node that ends a session has the revocation recorded before it answers.
SIGN_OUT_S: Final = 5.0
#: To ask all other nodes counts as so many reads of the user's: each of them is a request over HTTP.
ASKED: Final = 10

Q = TypeVar("Q")

Answer: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class DevicesOf(msgspec.Struct, frozen=True):
    """Asks another node for the sessions that a user has there."""

    user: str


class SignOutOf(msgspec.Struct, frozen=True):
    """Asks another node to end a session of the user, if it is there."""

    user: str
    handle: str
    token_id: str | None
    """Of the token that the request came with: it is not revoked."""


class SignedOut(msgspec.Struct, frozen=True):
    """How a node has ended a session."""

    state: Literal["revoked", "closed"] | None
    """None: it is not there."""


async def own_devices(gateway: Gateway, user: str, current: object = None) -> replies.Devices:
    """The user's live sessions, the oldest first; `current` is the one that asks. Nodes that do not answer at once are
    named, and no error. Raises Full."""
    devices, missing = _devices_here(gateway, user, current), list[str]()
    if gateway.others is not None:
        gateway.users.at(user).quota.read(ASKED)
        question = msgspec.json.encode(DevicesOf(user))
        decode = partial(msgspec.json.decode, type=list[Device])
        there, missing = await gateway.others.ask_all("/internal/devices", question, decode, within_s=LIST_S)
        devices = sorted([*devices, *(device for each in there for device in each)], key=lambda device: device.since)
    return replies.Devices(devices=devices, missing=missing)


async def sign_out(
    gateway: Gateway, who: Identity, request: req.SignOut, current: object = None
) -> msgspec.Struct | Denied:
    """End a session of the user on whichever node it is, and revoke the token that it lives by, so that its client does
    not come back with it. A token without an id can't be revoked, and that of the request is left alone: then the
    session is only closed, with a number that tells its client to stay away. Raises StoreError, Full."""
    if current is not None and gateway.sessions.get(request.handle) is current:
        return ITSELF
    wanted = SignOutOf(who.user, request.handle, who.token_id)
    done, silent = await _sign_out_here(gateway, wanted), list[str]()
    if done.state is None and gateway.others is not None:
        gateway.users.at(who.user).quota.read(ASKED)
        answers, silent = await gateway.others.ask_all(
            "/internal/sign_out",
            msgspec.json.encode(wanted),
            partial(msgspec.json.decode, type=SignedOut),
            within_s=SIGN_OUT_S,
            enough=lambda answer: answer.state is not None,
        )
        done = next((answer for answer in answers if answer.state is not None), done)
    if done.state is not None:
        return replies.Ok(id=request.id, state=done.state)
    if silent:
        text = f"the session may be on a node that does not answer now: {', '.join(silent)}"
        return Denied("unavailable", text, unknown=True)
    return NO_SESSION


def device_answers(gateway: Gateway) -> Mapping[str, Answer]:
    """The answers to other nodes that ask for a user's sessions here, by path."""

    async def devices(body: bytes) -> bytes:
        return msgspec.json.encode(_devices_here(gateway, _question(body, DevicesOf).user))

    async def signed_out(body: bytes) -> bytes:
        return msgspec.json.encode(await _sign_out_here(gateway, _question(body, SignOutOf)))

    return {"/internal/devices": devices, "/internal/sign_out": signed_out}


def _question(body: bytes, type_: type[Q]) -> Q:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.MsgspecError as error:
        raise GochatError(f"not a question that this release knows: {error}") from None


def _devices_here(gateway: Gateway, user: str, current: object = None) -> list[Device]:
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


async def _sign_out_here(gateway: Gateway, wanted: SignOutOf) -> SignedOut:
    other = gateway.sessions.get(wanted.handle)
    if other is None or other.user != wanted.user or other.identity is None:
        return SignedOut(None)
    token_id = other.identity.token_id
    if token_id is None or token_id == wanted.token_id:
        other.close(REVOKED, ENDED, Denied("unauthorized", ENDED))
        other.ended()
        return SignedOut("closed")
    # Not under `standing.changing`: nothing lifts this entry, so that its order among others does not matter, and they
    # need not wait while it is on its way.
    await gateway.journal.append_side_records([Revoked("jti", token_id, wall_ms())])
    return SignedOut("revoked")
