"""Signing in by a link: a token for a single-use ticket. The ticket is the credential, so there is no other."""

from __future__ import annotations

from gochat.errors import AuthError
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.refused import invalid_token
from gochat.http.rest.views import NewToken, Ticket


async def redeem(call: Call) -> Reply:
    body: Ticket = call.body
    try:
        granted = await call.context.tickets.redeem(body.ticket)
    except AuthError as error:
        raise invalid_token(str(error)) from None
    value = NewToken(user=granted.user, token=granted.token, expires=granted.expires_s * 1000)
    return Reply(value=value, headers={"cache-control": "no-store"})
