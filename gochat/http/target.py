"""The target of a request: its path, and the host it names (RFC 9112, sections 3.2 and 3.3; RFC 9110, section 7.2)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from gochat.http.problems import Problem

#: A host, by name or by address, and a port if there is one (RFC 3986, section 3.2). May be empty: that is for requests
#: whose target has no host.
_AUTHORITY: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::(?P<port>[0-9]{0,5}))?"
)


class RequestLike(Protocol):
    """The head of a request, parsed by h11 or by us."""

    @property
    def method(self) -> bytes: ...
    @property
    def target(self) -> bytes: ...
    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...


def origin_form(target: bytes) -> bytes:
    """The path and query of a request's target; a server must also accept it as a whole URL."""
    return _split(target)[1]


def headers_of(request: RequestLike) -> list[tuple[bytes, bytes]]:
    """The request's headers, with the host that it names: that of a target which is a whole URL takes the place of the
    Host header. Raises Problem for a host that is none."""
    headers = list(request.headers)
    named = _split(request.target)[0]
    check_host(headers)
    if named is None:
        return headers
    if not named or not _is_authority(named):
        raise Problem(400, "bad_request", "the request's target names no host")
    return [(name, value) for name, value in headers if name != b"host"] + [(b"host", named)]


def check_host(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises Problem for a Host header that names no host."""
    for name, value in headers:
        if name == b"host" and not _is_authority(value):
            raise Problem(400, "bad_request", "the Host header is not a host, with a port or without")


def _split(target: bytes) -> tuple[bytes | None, bytes]:
    """The host, None where the target has none, and the rest, which begins with a slash if the target is any good."""
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        return None, target
    end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    path = rest[end:]
    return rest[:end], path if path.startswith(b"/") else b"/" + path


def _is_authority(text: bytes) -> bool:
    found = _AUTHORITY.fullmatch(text)
    return found is not None and int(found["port"] or b"0") <= 65_535 and not (found["port"] and text.startswith(b":"))
