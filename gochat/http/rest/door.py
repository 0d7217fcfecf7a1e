"""From an HTTP request to a call, and from its reply to a response.

In this order, so that strangers learn nothing and cost little: the size it announces, who asks, whether the scope
suffices, the query, the body. What is refused is a problem of the one error table.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import trio
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gochat.auth.fetched import KeysUnavailable
from gochat.auth.standing import Standing
from gochat.errors import NO_TOKEN, AuthError, Denied, Full, StoreError, TooCostly, store_refusal
from gochat.http.asgi import LEASE
from gochat.http.rest.allowance import Allowance
from gochat.http.rest.conditions import encode, entity_tag, is_fresh
from gochat.http.rest.parts import Call, Refusals, Reply, RestParts
from gochat.http.rest.refused import Refused, bad, invalid_token
from gochat.http.rest.shapes import Query
from gochat.ports import Identity, Tokens
from gochat.protocol.catalogue import CATALOGUE, allows
from gochat.protocol.problems import DECODING, sentence
from gochat.protocol.requests import AnyRequest
from gochat.transports.admission import customer

log = logging.getLogger(__name__)

JSON: Final = "application/json"
NOBODY: Final = Identity("", frozenset())
#: How long a request waits where its user has been refused too much, before it is refused too.
HELD_S: Final = 2.0
TOO_MANY: Final = Denied(
    "rate_limited", "too many requests that were refused or repeated", retry_after_ms=1000, rule="refusals_per_s"
)  # fmt: skip
#: Where the scope of a request names its user.
USER: Final = "gochat.user"
#: Parameters in a query; none has more than a handful.
MOST_PARAMETERS: Final = 20


class Operation(NamedTuple):
    """One row of the table: a method on a path, and everything that is to be known of it."""

    method: str
    path: str
    means: type[AnyRequest] | None
    """The frame that asks for the same; it gives the scope. None: no token is asked for."""
    handler: Callable[[Call], Awaitable[Reply]]
    summary: str
    returns: type[msgspec.Struct] | None
    """The value of a reply; None where it has no body."""
    statuses: tuple[int, ...] = (200,)
    query: type[Query] = Query
    body: type[msgspec.Struct] | None = None
    body_needed: bool = True
    errors: tuple[str, ...] = ()
    """Codes beside those that follow from the rest of the row."""
    headers: tuple[str, ...] = ()
    """Request headers that are heeded, beside Authorization."""
    media: str | None = None
    """The media type of a reply that is a file and no value."""


class Resource:
    """What answers at one path: an ASGI app."""

    def __init__(
        self, parts: RestParts, allowance: Allowance, strangers: Allowance, operations: dict[str, Operation]
    ) -> None:  # fmt: skip
        self._parts = parts
        self._allowance = allowance
        self._strangers = strangers
        self._operations = operations
        methods = sorted({*operations, *(["HEAD"] if "GET" in operations else [])})
        self._allow = ", ".join(methods)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refused as refused:
            tell_refused(self._parts.refusals, request, refused)
            user = request.scope.get(USER)
            if user is not None and refused.denied is not TOO_MANY:  # Or whoever tries again would never be let in.
                self._parts.quota(user).refused()
            response = refused.response()
        except Full as full:
            response = Refused(Denied("busy", str(full), retry_after_ms=1000)).response()
        except TooCostly as error:
            response = Refused(Denied("unavailable", str(error))).response()
        except StoreError as error:
            log.error("%s %s: %s", request.method, scope["path"], error)
            response = Refused(store_refusal(error, "the store can't be read now")).response()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if b"%2f" in request.scope["raw_path"].lower():
            # Decoded it would be another path than the one that a proxy in front has judged.
            raise Refused(Denied("not_found", "there is nothing at this path"))
        operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            raise bad("this path does not take that method", status=405, headers={"allow": self._allow})
        most = self._parts.limits.frame_bytes
        if int(request.headers.get("content-length", "0")) > most:
            raise _too_large(most)
        identity = await self._admit(operation, request)
        call = Call(
            parts=self._parts, identity=identity, path=request.path_params,
            query=_query(operation.query, request.scope["query_string"]),
            body=await _body(operation, request, most), headers=request.headers,
        )  # fmt: skip
        # Asked again, in one step with what follows: a body may take its time, and the user be suspended meanwhile.
        refusal = self._parts.standing.refusal(identity)
        if refusal is not None:
            raise invalid_token(refusal)
        return _response(operation.method, call.headers, await operation.handler(call))

    async def _admit(self, operation: Operation, request: Request) -> Identity:
        """Who asks, and may. Raises Refused."""
        if operation.means is None:
            self._strangers.take(str(customer(request.scope["client"][0])))
            return NOBODY
        identity = await identify(self._parts.tokens, self._parts.standing, request.headers)
        request.scope[LEASE].answering = True
        request.scope[USER] = identity.user
        if self._parts.quota(identity.user).held:
            # At once, the answer would cost as much as the refusal that it stands for.
            await trio.sleep(HELD_S)
            if self._parts.quota(identity.user).held:
                raise Refused(TOO_MANY)
        if not allows(identity.scopes, operation.means):
            raise lacks_scope(CATALOGUE[operation.means].scope)
        if CATALOGUE[operation.means].to_command is None:
            self._allowance.take(identity.user)  # Commands are paid for in the user's actor.
        return identity


async def identify(tokens: Tokens, standing: Standing, headers: Headers) -> Identity:
    """Who the bearer token speaks for (RFC 6750). Raises Refused."""
    given = headers.getlist("authorization")
    scheme, _, token = (given[0] if len(given) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        denied = Denied("unauthorized", f"{NO_TOKEN}; it goes into `Authorization: Bearer TOKEN`")
        raise Refused(denied, headers={"www-authenticate": 'Bearer realm="gochat"'})
    try:
        identity = await tokens.verify(token.strip())
        refusal = standing.refusal(identity)
        if refusal is not None:
            raise AuthError(refusal)
        return identity
    except KeysUnavailable as error:
        raise Refused(Denied("unavailable", str(error), retry_after_ms=5000)) from error
    except AuthError as error:
        raise invalid_token(str(error)) from error


def tell_refused(refusals: Refusals, request: Request, refused: Refused) -> None:
    """Log a credential that was refused, as those of sockets are."""
    if refused.denied.code == "unauthorized":
        refusals(request.scope["client"][0], "http", refused.denied.message)


def lacks_scope(scope: str | None) -> Refused:
    challenge = f'Bearer realm="gochat", error="insufficient_scope", scope="{scope}"'
    return Refused(Denied("forbidden", f"the token lacks the scope {scope}"), headers={"www-authenticate": challenge})


def _query(kind: type[Query], text: bytes) -> Query:
    try:
        pairs = parse_qsl(
            text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )  # fmt: skip
    except ValueError:
        raise bad(f"the query is not UTF-8, percent-encoded, of at most {MOST_PARAMETERS} parameters") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        raise bad("a query parameter is given twice")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise bad(sentence(error, "query", kind)) from None


async def _body(operation: Operation, request: Request, most: int) -> msgspec.Struct | None:
    if operation.body is None:
        return None
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        # RFC 9110, section 15.5.16: what would have been taken stands in the answer.
        raise bad(
            "the body has a Content-Encoding; send it as it is", status=415, headers={"accept-encoding": "identity"}
        )
    data = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data += message["body"]
        more = message["more_body"]
        if len(data) > most:
            raise _too_large(most)
    if not data and not operation.body_needed:
        return operation.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise bad(f"the body must be {JSON}", status=415, headers={"accept": JSON})
    try:
        found: msgspec.Struct = _decoder(operation.body).decode(data)
    except DECODING as error:
        raise bad(sentence(error, "body", operation.body)) from None
    return found


@cache
def _decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """One for each kind of body, kept for life."""
    return msgspec.json.Decoder(kind)


def _too_large(most: int) -> Refused:
    return Refused(Denied("too_large", f"a body has at most {most} bytes"))


def _response(method: str, headers: Headers, reply: Reply) -> Response:
    told = {"cache-control": "no-store", "x-content-type-options": "nosniff", **reply.headers}
    if reply.response is not None:
        reply.response.headers.update(told)
        return reply.response
    if reply.value is None:
        return Response(None, reply.status, told)
    content = encode(reply.value)
    if reply.tagged:
        tag = entity_tag(content)
        told |= {"etag": tag, "cache-control": "private, no-cache"}
        if method == "GET" and is_fresh(headers, tag):
            return Response(None, 304, told)
    return Response(content, reply.status, told, JSON)
