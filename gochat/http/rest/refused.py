"""A refusal on its way out: the one error table as problem details (RFC 9457)."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec

from gochat.errors import Denied
from gochat.http.messages import Response
from gochat.http.problems import MEDIA_TYPE


class ProblemDetails(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Why a request was refused. `code` is for programs, `detail` for people; the members after it are extensions."""

    title: str
    status: int
    detail: str
    code: str
    retry_after_ms: int | msgspec.UnsetType = msgspec.UNSET
    rule: str | msgspec.UnsetType = msgspec.UNSET
    """The rule that refused it, where several could have."""
    unknown: bool = False
    """It may have been carried out all the same: repeat it, a message with the same Idempotency-Key."""


class Refused(Exception):
    """A request is refused. `status` may be narrower than the row's own in the error table."""

    def __init__(self, denied: Denied, *, status: int | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{denied.code}: {denied.message}")
        self.denied = denied
        self.status = status or denied.http
        self.headers = headers or {}

    def response(self) -> Response:
        denied = self.denied
        details = ProblemDetails(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=denied.message,
            code=denied.code,
            retry_after_ms=msgspec.UNSET if denied.retry_after_ms is None else denied.retry_after_ms,
            rule=denied.rule or msgspec.UNSET,
            unknown=denied.unknown,
        )
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **self.headers}
        if denied.retry_after_ms is not None:
            # Whole seconds (RFC 9110, section 10.2.3), rounded up: a client that came back earlier would be refused
            # again.
            headers["retry-after"] = str(max(1, math.ceil(denied.retry_after_ms / 1000)))
        return Response(self.status, msgspec.json.encode(details), headers=headers, media_type=MEDIA_TYPE)


def bad(problem: str, *, status: int | None = None, headers: dict[str, str] | None = None) -> Refused:
    return Refused(Denied("bad_request", problem), status=status, headers=headers)


def invalid_token(problem: str) -> Refused:
    """Of a token that is not, or no longer, good (RFC 6750, section 3.1)."""
    challenge = {"www-authenticate": 'Bearer realm="gochat", error="invalid_token"'}
    return Refused(Denied("unauthorized", problem), headers=challenge)
