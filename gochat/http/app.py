"""The HTTP interface beside the WebSocket: what this is, is it alive, is it ready.

Errors of the framework's own (no such path, wrong method, an exception) are problem details like all others.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from gochat import __version__
from gochat.http.problems import MEDIA_TYPE, problem_body
from gochat.http.readiness import Check, Readiness

_INDEX = f"""gochat {__version__}

This is a chat server. Clients connect by WebSocket to /v1/ws on this host and port.
Other programs use REST under /v1. /docs describes both, for people;
/v1/openapi.json (REST) and /v1/asyncapi.json (WebSocket and TCP) do so for programs.
/livez says whether the process lives, /readyz whether it can serve; /readyz?verbose says what is missing.
/metrics has numbers for Prometheus, for those whom the setting http.metrics allows.
"""
_REFUSALS = {
    404: ("not_found", "there is nothing at this path"),
    405: ("bad_request", "this path does not take that method"),
}
_NO_STORE = {"cache-control": "no-store"}


def make_app(readiness: Readiness, routes: Iterable[BaseRoute] = ()) -> Starlette:
    """The app; `routes` are what else it serves."""

    async def readyz(request: Request) -> Response:
        checks = list(readiness())
        ready = all(check.problem is None for check in checks)
        text = "ready\n" if ready else "not ready\n"
        if "verbose" in request.query_params:
            text = "".join(_line(check) for check in checks) + text
        return PlainTextResponse(text, 200 if ready else 503, _NO_STORE)

    app = Starlette(
        routes=[Route("/", _index), Route("/livez", _livez), Route("/readyz", readyz), *routes],
        exception_handlers={HTTPException: _refused, Exception: _crashed},
    )
    # A redirect would be built from the Host header, which anybody may write.
    app.router.redirect_slashes = False
    return app


def _line(check: Check) -> str:
    return f"[+] {check.name} ok\n" if check.problem is None else f"[-] {check.name}: {check.problem}\n"


async def _index(request: Request) -> Response:
    return PlainTextResponse(_INDEX)


async def _livez(request: Request) -> Response:
    return PlainTextResponse("alive\n", headers=_NO_STORE)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = _REFUSALS.get(error.status_code, ("bad_request", error.detail))
    body = problem_body(error.status_code, code, detail)
    return Response(body, error.status_code, dict(error.headers or {}), MEDIA_TYPE)


async def _crashed(request: Request, error: Exception) -> Response:
    return Response(problem_body(500, "internal"), 500, media_type=MEDIA_TYPE)
