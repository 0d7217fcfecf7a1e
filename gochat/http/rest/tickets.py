"""Signing in by a link: a token for a single-use ticket. The ticket is the credential, so there is no other."""

from __future__ import annotations

import logging

from gochat.auth.tickets import MAYBE_USED
from gochat.errors import AuthError, StoreError, store_refusal
from gochat.http.rest.context import Call, Reply
from gochat.http.rest.refused import Refused, invalid_token
from gochat.http.rest.views import NewToken, Ticket

log = logging.getLogger(__name__)


async def redeem(call: Call) -> Reply:
    body: Ticket = call.body
    try:
        granted = await call.context.tickets.redeem(body.ticket)
    except AuthError as error:
        raise invalid_token(str(error)) from None
    except StoreError as error:
        if not error.unknown:
            raise
        log.error("it can't be told whether a ticket is used up: %s", error)
        raise Refused(store_refusal(error, MAYBE_USED)) from None
    value = NewToken(user=granted.user, token=granted.token, expires=granted.expires_s * 1000)
    return Reply(value=value, headers={"cache-control": "no-store"})
