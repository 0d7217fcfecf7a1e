"""`/metrics`: numbers for operators. The setting `http.metrics` says who may read them.

The address that a request comes from proves nothing: behind a proxy all come from this machine, and so does the browser
of a visitor whose page points its own name at 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from gochat.http.messages import Request, Response
from gochat.http.rest.bearer import BearerAuth
from gochat.http.rest.refused import Refused
from gochat.http.rest.resource import lacks_scope
from gochat.http.router import Route
from gochat.metrics import MEDIA_TYPE
from gochat.protocol.catalogue import ADMIN, METRICS

Audience: TypeAlias = Literal["token", "all", "off"]


def metrics_routes(collect: Callable[[], bytes], audience: Audience, auth: BearerAuth) -> list[Route]:
    """The route, or none if nobody may read it. `collect` gives the text; `auth` verifies the readers' tokens."""

    async def metrics(request: Request) -> Response:
        if audience == "token":
            try:
                identity = await auth.identify(request)
                if not identity.scopes & {METRICS, ADMIN}:
                    raise lacks_scope(METRICS)
            except Refused as refused:
                auth.report(request, refused)
                return refused.response()
        return Response(200, collect(), headers={"cache-control": "no-store", "content-type": MEDIA_TYPE})

    return [] if audience == "off" else [Route("/metrics", metrics)]
