"""The web pages that may connect. Browsers send Origin, and no page can forge it; a client that sends none is no
browser.

Tokens travel in no cookie, so a foreign page could only act with a token of its own; the check keeps it from using a
visitor's browser at all. A page that points its own name at this machine (DNS rebinding) is its own origin here, and
may connect: it gets no further than every other program without a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class OriginRules:
    """The rule for one node: a page of its own host, or of a listed origin."""

    def __init__(self, listed: Sequence[str]) -> None:
        self._listed = frozenset(filter(None, map(_parse_origin, listed)))

    def refusal(self, origins: Sequence[str], hosts: Sequence[str]) -> str | None:
        """Why a request with these Origin and Host header values is refused; None if it may go on."""
        if len(origins) > 1 or len(hosts) > 1:
            return "more than one Origin or Host"
        host = hosts[0] if hosts else ""
        if not origins:
            return None
        origin = _parse_origin(origins[0])
        if origin in self._listed or (origin is not None and origin[1:] == _host_with_port(host, origin[0])):
            return None
        return (
            f"the Origin of the page, {_shown(origins[0])}, is neither the Host that was asked for, {_shown(host)}, nor"
            " in http.origins: list it there, or let the proxy in front pass on the Host that it was asked for"
        )

    def lists(self, origin: str) -> bool:
        """Whether the value of an Origin header is one of the listed."""
        return _parse_origin(origin) in self._listed


def _shown(value: str) -> str:
    """A header's value for people: on one line, and shortened."""
    return repr(value[:100])


def _parse_origin(text: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of a serialized origin (RFC 6454 section 6.2); None for `null` and for text that is no
    origin."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
        return None
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme)
    return None if port is None else (parts.scheme, parts.hostname, port)


def _host_with_port(host: str, scheme: str) -> tuple[str, int]:
    name, port = _split_host(host)
    return name, _DEFAULT_PORTS.get(scheme, 0) if port is None else port


def _split_host(host: str) -> tuple[str, int | None]:
    """The name, lower-case and without brackets, and the port of a Host header; an empty name if it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port
    except ValueError:
        return "", None
    if not parts.hostname or parts.netloc != host or "@" in host:
        return "", None
    return parts.hostname, port
