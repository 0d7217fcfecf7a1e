"""Errors as RFC 9457 problem details, with the codes of the one error table."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from gochat.errors import BY_NAME

MEDIA_TYPE = "application/problem+json"


class _Details(msgspec.Struct):
    title: str
    status: int
    detail: str
    code: str


class Problem(Exception):
    """A request is refused. `code` is a row of gochat.errors; `status` may be narrower than the row's own."""

    def __init__(self, status: int, code: str, detail: str = "", headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.headers = headers
        self.body = problem_body(status, code, detail)

    def encode(self) -> bytes:
        """The whole response, after which the connection is to be closed."""
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode(),
            b"Content-Type: " + MEDIA_TYPE.encode(),
            b"Content-Length: %d" % len(self.body),
            b"Cache-Control: no-store",
            *(b"%s: %s" % header for header in self.headers),
            b"Connection: close",
            b"",
            self.body,
        ]
        return b"\r\n".join(lines)


class CutShort(Exception):
    """Ends a response before its end, on purpose; the connection is closed. Says why, for the log."""


def problem_body(status: int, code: str, detail: str = "") -> bytes:
    """Without a `type` member, so the title is that of the status (RFC 9457, section 4.2.1); `code` is an extension."""
    return msgspec.json.encode(_Details(HTTPStatus(status).phrase, status, detail or BY_NAME[code].meaning, code))
