"""The HTTP interface beside the WebSocket: an index page, and probes for liveness and readiness."""

from __future__ import annotations

from collections.abc import Iterable

from gochat import __version__
from gochat.http.messages import Handler, Request, Response
from gochat.http.readiness import Check, Readiness
from gochat.http.router import Route, Router

_INDEX = f"""gochat {__version__}

This is a chat server. Clients connect by WebSocket to /v1/ws on this host and port.
Other programs use REST under /v1. /docs is the documentation, and /docs/api describes both, for people;
/v1/openapi.json (REST) and /v1/asyncapi.json (WebSocket and TCP) do so for programs.
/livez says whether the process lives, /readyz whether it can serve; /readyz?verbose says what is missing.
/metrics has numbers for Prometheus, for those whom the setting http.metrics allows.
"""
_TEXT = "text/plain; charset=utf-8"
_NO_STORE = {"cache-control": "no-store"}


def make_app(readiness: Readiness, routes: Iterable[Route] = (), page: Handler | None = None) -> Router:
    """The handler of all requests; `routes` are served beside the index and the probes. Browsers get the `page` for
    an index."""

    async def readyz(request: Request) -> Response:
        checks = list(readiness())
        ready = all(check.problem is None for check in checks)
        text = "ready\n" if ready else "not ready\n"
        if _asks_for(request, b"verbose"):
            text = "".join(_line(check) for check in checks) + text
        return Response(200 if ready else 503, text.encode(), headers=_NO_STORE, media_type=_TEXT)

    async def index(request: Request) -> Response:
        if page is not None and "text/html" in ",".join(request.headers.get_all("accept")):
            return await page(request)
        return Response(200, _INDEX.encode(), headers=vary, media_type=_TEXT)

    vary = {"vary": "accept"} if page is not None else {}
    return Router([Route("/", index), Route("/livez", _livez), Route("/readyz", readyz), *routes])


def _asks_for(request: Request, parameter: bytes) -> bool:
    return any(part.partition(b"=")[0] == parameter for part in request.query.split(b"&"))


def _line(check: Check) -> str:
    return f"[+] {check.name} ok\n" if check.problem is None else f"[-] {check.name}: {check.problem}\n"


async def _livez(request: Request) -> Response:
    return Response(200, b"alive\n", headers=_NO_STORE, media_type=_TEXT)
