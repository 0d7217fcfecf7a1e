"""Single-use tickets: a link carries one to a user who shall sign in, and the page exchanges it for a token, once.

A ticket is signed with the same secret as a token, of another type and for an audience of its own: neither is taken
for the other. Its use is recorded before the token is given, and kept like a revoked id, so that no ticket works twice,
even if many ask at once or the node crashes.
"""

from __future__ import annotations

import time
from typing import Final, NamedTuple

import trio
from msgspec import structs

from gochat.auth.standing import Standing
from gochat.auth.tokens import TICKET, Issuer, JwtTokens, own_keys, unverified
from gochat.config import Settings
from gochat.domain.side_records import TICKET as PREFIX
from gochat.domain.side_records import Revoked
from gochat.errors import AuthError, StoreError
from gochat.ports.journal import Journal
from gochat.ports.tokens import Identity
from gochat.wall_clock import wall_ms

#: The time within which a link must be opened.
TTL_S: Final = 600
#: The lifetime of the token that is given for a ticket, unless the ticket says otherwise.
TOKEN_TTL_S: Final = 43_200
#: How long a use may take to be recorded, before nobody knows whether it is. Longer than the journal of a cluster takes
#: to say so itself.
RECORD_S: Final = 10.0
MAYBE_USED: Final = "the link may be used up now: open it again, and ask for a new one if it was"
USED: Final = "the link was used already, or has been withdrawn; ask for a new one"


class Granted(NamedTuple):
    """The token that a ticket was exchanged for."""

    user: str
    token: str
    expires_s: int


class Tickets:
    """Takes tickets of the node with these settings."""

    def __init__(self, settings: Settings, standing: Standing, journal: Journal) -> None:
        keys = own_keys(settings)
        self._standing = standing
        self._journal = journal
        self._recording: dict[str, trio.Event] = {}
        """For each ticket whose use is being recorded, set when that has succeeded or failed."""
        if keys is None:
            self._issuer = self._verifier = None
            return
        rules = structs.replace(settings.auth, audience=f"{settings.auth.audience}#ticket", require_jti=True)
        self._issuer = Issuer(settings.auth, keys.secret)
        self._verifier = JwtTokens(rules, keys.source, (TICKET,))

    async def redeem(self, ticket: str) -> Granted:
        """A token for a ticket, which is used up by that. Of requests for the same ticket at once one is carried out,
        and the others wait for it; requests for other tickets do not wait.

        Raises AuthError for a ticket that is not, or no longer, good; StoreError and Full where its use can't be
        recorded now. With `unknown` it may have been recorded, so that the ticket is used up.
        """
        if self._issuer is None or self._verifier is None:
            raise AuthError("this node signs no tokens: they come from the service that has the key")
        who = await self._verifier.verify(ticket)
        name = f"{PREFIX}{who.token_id}"
        while (earlier := self._recording.get(name)) is not None:
            # Each entry is kept by all nodes for good: the same link, opened many times at once, is to be one.
            await earlier.wait()
            who = await self._verifier.verify(ticket)  # It may be too old by now.
        self._check(who)
        if self._standing.is_revoked(name):
            raise AuthError(USED)
        entry = Revoked("jti", name, wall_ms())
        await self._record(entry)
        # Another use may have been recorded meanwhile: by another node, or by an earlier request whose entry was late.
        # Of two the first one counts, on every node.
        if not self._standing.is_first(entry):
            raise AuthError(USED)
        # Asked once more, in one step with giving the token: access may have ended while the entry was on its way.
        self._check(who)
        now_s, ttl_s = int(time.time()), _lifetime(ticket)
        token = self._issuer.issue(who.user, now_s=now_s, ttl_s=ttl_s, scopes=who.scopes, name=who.name)
        return Granted(who.user, token, now_s + ttl_s)

    async def _record(self, entry: Revoked) -> None:
        """Raises StoreError and Full."""
        recorded = self._recording[entry.value] = trio.Event()
        try:
            # An entry that is on its way can't be taken back. So a request that is cancelled waits for it, too: if it
            # left, the next one would record another.
            with trio.move_on_after(RECORD_S, shield=True) as waiting:
                # Not under `standing.changing`: nothing lifts this entry, and neither other links nor an admin's
                # suspension need wait while it is on its way.
                await self._journal.append_side_records([entry])
            if waiting.cancelled_caught:
                raise StoreError("the use of a ticket was not recorded in time", unknown=True)
            self._standing.apply(entry)
        finally:
            del self._recording[entry.value]
            recorded.set()

    def _check(self, who: Identity) -> None:
        refusal = self._standing.refusal(who)
        if refusal is not None:
            raise AuthError(refusal)


def _lifetime(ticket: str) -> int:
    """Of the token; its signature has been found good."""
    _, claims = unverified(ticket)
    ttl_s = claims.get("ttl")
    return ttl_s if type(ttl_s) is int else TOKEN_TTL_S
