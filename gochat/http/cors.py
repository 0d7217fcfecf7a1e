"""Cross-origin requests to REST from the pages of `http.origins` (the Fetch standard, "CORS protocol").

A browser lets a page of another origin read an answer only with these headers on it, errors included. Tokens travel
in `Authorization`, which pages set themselves: credentials of the browser's own (cookies) are never allowed, so
that no page can act as its visitor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from gochat.http.messages import Request, Response
from gochat.http.problems import Problem
from gochat.http.target import RequestLike, origin_form

Fields: TypeAlias = tuple[tuple[bytes, bytes], ...]

#: Where it holds: REST and its documents.
PREFIX: Final = b"/v1/"
METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
#: Request headers that REST heeds.
HEEDED: Final = ("Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match")
#: Response headers that a page may read.
EXPOSED: Final = (
    "Content-Disposition",
    "ETag",
    "Gochat-Incomplete",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Retry-After",
    "WWW-Authenticate",
)
#: How long a browser need not ask again; Chromium cuts it to 2 hours.
MAX_AGE_S: Final = 7_200

_VARY: Final = (b"vary", b"origin")


class Cors:
    """The rule of one node; `lists` says whether an origin is one of `http.origins`."""

    def __init__(self, lists: Callable[[str], bool]) -> None:
        self._lists = lists

    def headers_for(self, request: RequestLike) -> Fields:
        """The headers that every response to this request carries."""
        if not origin_form(request.target).startswith(PREFIX):
            return ()
        origin = _origin(request.headers)
        if origin is None or not self._lists(origin):
            return (_VARY,)
        return (
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", ", ".join(EXPOSED).encode("ascii")),
            _VARY,
        )

    def is_preflight(self, request: RequestLike) -> bool:
        """Whether a browser asks, before a request, if a page may make it. Raises Problem where the page may not."""
        if request.method != b"OPTIONS" or not request.target.startswith(PREFIX):
            return False
        if not {b"origin", b"access-control-request-method"} <= {name for name, _ in request.headers}:
            return False
        origin = _origin(request.headers)
        if origin is None or not self._lists(origin):
            shown = "of several values" if origin is None else repr(origin[:100])
            raise Problem(403, "forbidden", f"the Origin of this page, {shown}, is not in http.origins")
        return True

    async def permit(self, request: Request) -> Response:
        """Answer the preflight of a listed origin."""
        headers = {
            "access-control-allow-methods": ", ".join(METHODS),
            "access-control-allow-headers": ", ".join(HEEDED),
            "access-control-max-age": str(MAX_AGE_S),
        }
        return Response(204, headers=headers)


def _origin(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    found = [value for name, value in headers if name == b"origin"]
    return found[0].decode("latin-1") if len(found) == 1 else None
