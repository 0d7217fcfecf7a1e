"""Addresses to listen at, as the settings write them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import NamedTuple


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


@lru_cache(64)
def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address without brackets, can only be this machine (RFC 6761 section 6.3)."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def parse_address(text: str) -> Address:
    """HOST:PORT or [IPV6]:PORT. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    if bracketed:
        ipaddress.IPv6Address(bare)
    if not colon or not bare or (":" in bare and not bracketed):
        raise ValueError("must be HOST:PORT")
    if not (port.isascii() and port.isdecimal() and int(port) <= 65_535):
        raise ValueError("must end in a port from 0 to 65535")
    return Address(bare, int(port))
