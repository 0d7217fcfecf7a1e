"""The user that a request's bearer token speaks for (RFC 6750)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import trio

from gochat.auth.fetched import KeysUnavailable
from gochat.auth.standing import Standing
from gochat.errors import NO_TOKEN, AuthError, Denied
from gochat.http.messages import Headers, Request
from gochat.http.rest.limiter import Limiter, steady_ms
from gochat.http.rest.refused import Refused, invalid_token
from gochat.ports.tokens import Identity, Tokens
from gochat.transports.admission import customer

#: Refused tokens that one address may show in the long run and at once, before its requests have to wait.
REFUSED_PER_S: Final = 10.0
REFUSED_BURST: Final = 20
#: The longest wait: more than that is not owed, however many tokens were refused.
MAX_WAIT_S: Final = 2.0

#: Called for each credential that was refused, with the client's address, the transport's name and the reason.
ReportRefusal: TypeAlias = Callable[[str, str, str], None]


class BearerAuth:
    """Verifies the tokens of requests, of one address at a bounded pace.

    Requests from an address whose tokens were refused too often wait before their token is looked at. They are
    served all the same: a good token from behind the same proxy or NAT comes late, and is never shut out.
    """

    def __init__(
        self,
        tokens: Tokens,
        standing: Standing,
        report_refusal: ReportRefusal,
        now_ms: Callable[[], int] = steady_ms,
    ) -> None:
        self._tokens = tokens
        self._standing = standing
        self._report_refusal = report_refusal
        self._refused = Limiter(REFUSED_PER_S, REFUSED_BURST, now_ms)

    async def identify(self, request: Request) -> Identity:
        """The token's user and scopes. The request's connection is shielded from now on. Raises Refused."""
        address = str(customer(request.client))
        wait_s = self._refused.debt_s(address)
        if wait_s:
            await trio.sleep(wait_s)
        try:
            identity = await self._verify(_token(request.headers))
        except Refused as refused:
            if refused.denied.code == "unauthorized":
                self._refused.charge(address, MAX_WAIT_S)
            raise
        request.slot.answering = True
        request.user = identity.user
        return identity

    def report(self, request: Request, refused: Refused) -> None:
        """Log a credential that was refused, as those of sockets are; other refusals are none of its business."""
        if refused.denied.code == "unauthorized":
            self._report_refusal(request.client, "http", refused.denied.message)

    def check(self, identity: Identity) -> None:
        """Raises Refused where the token is no longer good: revoked, expired, or its user suspended meanwhile."""
        refusal = self._standing.refusal(identity)
        if refusal is not None:
            raise invalid_token(refusal)

    async def _verify(self, token: str) -> Identity:
        try:
            identity = await self._tokens.verify(token)
        except KeysUnavailable as error:
            raise Refused(Denied("unavailable", str(error), retry_after_ms=5000)) from error
        except AuthError as error:
            raise invalid_token(str(error)) from error
        self.check(identity)
        return identity


def _token(headers: Headers) -> str:
    given = headers.get_all("authorization")
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        denied = Denied("unauthorized", f"{NO_TOKEN}; it goes into `Authorization: Bearer TOKEN`")
        raise Refused(denied, headers={"www-authenticate": 'Bearer realm="gochat"'})
    return token.strip()
