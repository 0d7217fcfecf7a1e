"""`/metrics`: numbers for operators, to whom the setting `http.metrics` allows.

From where a request comes says nothing: behind a proxy all come from this machine, and so does the browser of a visitor
whose page points its own name at 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gochat.http.asgi import LEASE
from gochat.http.rest.door import lacks_scope, tell_refused
from gochat.http.rest.parts import Refusals
from gochat.http.rest.refused import Refused
from gochat.metrics import MEDIA_TYPE
from gochat.ports import Identity
from gochat.protocol.catalogue import ADMIN, METRICS

Audience: TypeAlias = Literal["token", "all", "off"]
Identify: TypeAlias = Callable[[Headers], Awaitable[Identity]]


def metrics_routes(
    collect: Callable[[], bytes], audience: Audience, identify: Identify, refusals: Refusals
) -> list[Route]:  # fmt: skip
    """The route; none if nobody may read it. `identify` says who the bearer token of a request speaks for, or raises
    Refused, of which `refusals` is told."""

    async def metrics(request: Request) -> Response:
        if audience == "token":
            try:
                identity = await identify(request.headers)
                if not identity.scopes & {METRICS, ADMIN}:
                    raise lacks_scope(METRICS)
            except Refused as refused:
                tell_refused(refusals, request, refused)
                return refused.response()
            request.scope[LEASE].answering = True
        return Response(collect(), headers={"cache-control": "no-store", "content-type": MEDIA_TYPE})

    return [] if audience == "off" else [Route("/metrics", metrics)]
