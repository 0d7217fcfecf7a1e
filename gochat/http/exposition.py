"""`/metrics`: numbers for operators, to whom the setting `http.metrics` allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gochat.http.address import is_local
from gochat.http.problems import MEDIA_TYPE as PROBLEM
from gochat.http.problems import problem_body
from gochat.metrics import MEDIA_TYPE

Audience: TypeAlias = Literal["loopback", "all", "off"]


def metrics_routes(collect: Callable[[], bytes], audience: Audience) -> list[Route]:
    """The route; none if nobody may read it."""

    async def metrics(request: Request) -> Response:
        if audience != "all" and not (request.client and is_local(request.client.host, request.scope["headers"])):
            body = problem_body(
                403, "forbidden", "metrics are told on this machine alone; http.metrics says to whom else"
            )
            return Response(body, 403, media_type=PROBLEM)
        return Response(collect(), headers={"cache-control": "no-store", "content-type": MEDIA_TYPE})

    return [] if audience == "off" else [Route("/metrics", metrics)]
