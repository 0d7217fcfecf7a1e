"""From an HTTP request to a call, and from its reply to a response.

Checks come in this order, so that strangers learn nothing and cost little: the announced size, the token, its scope,
the query, the body. Refusals are problem details with the codes of the one error table.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import trio

from gochat.errors import Denied, Full, NotCurrent, StoreError, TooCostly, store_refusal
from gochat.http.messages import Headers, Request, Response
from gochat.http.rest.conditions import encode, entity_tag, is_fresh
from gochat.http.rest.context import Call, Reply, RestContext
from gochat.http.rest.limiter import Limiter
from gochat.http.rest.refused import Refused, bad
from gochat.http.rest.shapes import Query
from gochat.ports.tokens import Identity
from gochat.protocol.catalogue import ADMIN, CATALOGUE, allows
from gochat.protocol.problems import DECODING, sentence
from gochat.protocol.requests import AnyRequest, CloseReport, Reports
from gochat.transports.admission import customer

log = logging.getLogger(__name__)

JSON: Final = "application/json"
#: Bodies that say nothing, as clients send them that always send one: some of their languages know one empty value.
_NO_BODY: Final = (b"", b"{}", b"[]", b"null")
NOBODY: Final = Identity("", frozenset())
#: Goes with an answer that may lack what other nodes acknowledged: a boolean of RFC 9651. The `Warning` of old is
#: obsolete (RFC 9111, section 5.5).
INCOMPLETE: Final = {"gochat-incomplete": "?1"}
#: How long a request waits where its user has been refused too much, before it is refused too.
HELD_S: Final = 2.0
TOO_MANY: Final = Denied(
    "rate_limited", "too many requests that were refused or repeated", retry_after_ms=1000, rule="refusals_per_s"
)
#: Parameters in a query; none has more than a handful.
MAX_PARAMETERS: Final = 20


class Operation(NamedTuple):
    """One row of the table: a method on a path, with all its properties."""

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
    """The handler of one path."""

    def __init__(self, context: RestContext, strangers: Limiter, operations: dict[str, Operation]) -> None:
        """`strangers` has a bucket for each address that calls without a token."""
        self._context = context
        self._strangers = strangers
        self._operations = operations
        methods = sorted({*operations, *(["HEAD"] if "GET" in operations else [])})
        self._allow = ", ".join(methods)

    async def __call__(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except Refused as refused:
            self._context.auth.report(request, refused)
            self._context.counts.refused_by(refused.denied.rule)
            # A refusal for too many refusals is not counted: users who try again would never be let in.
            if request.user is not None and refused.denied is not TOO_MANY:
                with suppress(Full):  # With too many users in memory it is not counted.
                    self._context.users.at(request.user).quota.refused()
            return refused.response()
        except Full as full:
            return Refused(Denied("busy", str(full), retry_after_ms=1000)).response()
        except TooCostly as error:
            return Refused(Denied("unavailable", str(error))).response()
        except StoreError as error:
            log.error("%s %s: %s", request.method, request.path, error)
            return Refused(store_refusal(error, "the store can't be read now")).response()

    async def _answer(self, request: Request) -> Response:
        if b"%2f" in request.raw_path.lower():
            # Decoded it would be another path than the one that a proxy in front has judged.
            raise Refused(Denied("not_found", "there is nothing at this path"))
        operation = self._operations.get("GET" if request.method == "HEAD" else request.method)
        if operation is None:
            raise bad("this path does not take that method", status=405, headers={"allow": self._allow})
        max_bytes = self._context.limits.frame_bytes
        if int(request.headers.get("content-length", "0")) > max_bytes:
            raise _too_large(max_bytes)
        identity = await self._admit(operation, request)
        call = Call(
            context=self._context,
            identity=identity,
            path=request.segments,
            query=_query(operation.query, request.query),
            body=await _body(operation, request, max_bytes),
            headers=request.headers,
        )
        told: Mapping[str, str] = {}
        if operation.means is not None:
            if self._context.journal.behind is not None:
                raise Refused(Denied("unavailable", "this node can't serve anybody now", retry_after_ms=1000))
            asks_data = CATALOGUE[operation.means].to_command is None or "if-match" in request.headers
            if asks_data and not await self._pass_barrier(operation.means, identity):
                told = INCOMPLETE
        # Asked again, in one step with what follows: a body may take its time, and the user be suspended meanwhile.
        self._context.auth.check(identity)
        try:
            response = _response(operation.method, call.headers, await operation.handler(call))
        except Refused as refused:
            refused.headers |= told
            raise
        response.headers |= told
        return response

    async def _pass_barrier(self, means: type[AnyRequest], identity: Identity) -> bool:
        """Whether all that any node had acknowledged before the call is here when it is carried out. While the
        cluster's log is away nobody can tell: then what is here is shown, and the answer says so. The same holds for
        operators where it is known that something is not here yet; others get NotCurrent. Raises StoreError where what
        is here may be long out of date."""
        try:
            await self._context.journal.barrier()
        except NotCurrent:
            if not _is_an_operators(means, identity):
                raise
        except StoreError:
            pass  # The log is away: the answer says that it may lack something.
        else:
            return True
        if self._context.journal.behind is not None:
            raise Refused(Denied("unavailable", "this node can't serve anybody now", retry_after_ms=1000))
        return False

    async def _admit(self, operation: Operation, request: Request) -> Identity:
        """The caller's identity. Raises Refused where they may not call."""
        if operation.means is None:
            self._strangers.take(str(customer(request.client)))
            return NOBODY
        identity = await self._context.auth.identify(request)
        user = self._context.users.at(identity.user)
        if user.quota.held:
            # At once, the answer would cost as much as the refusal that it stands for.
            await trio.sleep(HELD_S)
            if user.quota.held:
                raise Refused(TOO_MANY)
        if not allows(identity.scopes, operation.means):
            raise lacks_scope(CATALOGUE[operation.means].scope)
        if CATALOGUE[operation.means].to_command is None:
            wait_ms = user.read_by_rest()  # Commands are paid for when they are told.
            if wait_ms:
                raise Refused(
                    Denied("rate_limited", "too many reads at once", retry_after_ms=wait_ms, rule="reads_per_s")
                )
        return identity


def _is_an_operators(means: type[AnyRequest], identity: Identity) -> bool:
    """Whether the request is one of an operator, who looks after a node that can't follow the others."""
    return ADMIN in identity.scopes and (CATALOGUE[means].scope == ADMIN or means in (Reports, CloseReport))


def lacks_scope(scope: str | None) -> Refused:
    challenge = f'Bearer realm="gochat", error="insufficient_scope", scope="{scope}"'
    return Refused(Denied("forbidden", f"the token lacks the scope {scope}"), headers={"www-authenticate": challenge})


def _query(kind: type[Query], text: bytes) -> Query:
    try:
        pairs = parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise bad(f"the query is not UTF-8, percent-encoded, of at most {MAX_PARAMETERS} parameters") from None
    given = dict(pairs)
    if len(given) < len(pairs):
        raise bad("a query parameter is given twice")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise bad(sentence(error, "query", kind)) from None


async def _body(operation: Operation, request: Request, max_bytes: int) -> msgspec.Struct | None:
    if operation.body is None:
        # Anything but nothing would look as if it had been obeyed.
        if b"".join((await _read(request, max_bytes)).split()) not in _NO_BODY:
            raise bad("this operation takes no body")
        return None
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        # RFC 9110, section 15.5.16: the answer names the coding that would have been taken.
        raise bad(
            "the body has a Content-Encoding; send it as it is", status=415, headers={"accept-encoding": "identity"}
        )
    data = await _read(request, max_bytes)
    if not data and not operation.body_needed:
        return operation.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise bad(f"the body must be {JSON}", status=415, headers={"accept": JSON})
    try:
        body: msgspec.Struct = _decoder(operation.body).decode(data)
    except DECODING as error:
        raise bad(sentence(error, "body", operation.body)) from None
    return body


async def _read(request: Request, max_bytes: int) -> bytes:
    """All of the body. Raises Refused where it is larger."""
    data = bytearray()
    while piece := await request.read_body():
        data += piece
        if len(data) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(data)


@cache
def _decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """One for each kind of body, kept for life."""
    return msgspec.json.Decoder(kind)


def _too_large(max_bytes: int) -> Refused:
    return Refused(Denied("too_large", f"a body has at most {max_bytes} bytes"))


def _response(method: str, given: Headers, reply: Reply) -> Response:
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **reply.headers}
    if reply.response is not None:
        reply.response.headers |= headers
        return reply.response
    if reply.value is None:
        return Response(reply.status, headers=headers)
    content = encode(reply.value)
    if reply.tagged:
        tag = entity_tag(content)
        headers |= {"etag": tag, "cache-control": "private, no-cache"}
        if method == "GET" and is_fresh(given, tag):
            return Response(304, headers=headers)
    return Response(reply.status, content, headers=headers, media_type=JSON)
