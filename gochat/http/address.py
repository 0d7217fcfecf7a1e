"""The client that a request comes from, when a proxy stands between.

Anybody can write `X-Forwarded-For`. The part that counts was written by proxies that the settings trust: the rightmost
address that is none of theirs.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterable, Sequence
from typing import TypeAlias

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""


class TrustedProxies:
    """The addresses of `http.trusted_proxies`, for example "10.0.0.0/8". Raises ValueError if one is no network."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]

    def __contains__(self, address: object) -> bool:
        if not self._networks:
            return False
        parsed = _parse(str(address))
        return parsed is not None and any(parsed in network for network in self._networks)


def client_address(peer: str, headers: Headers, trusted: Container[str]) -> str:
    """The address to count and to log a request under. `peer` is where its connection comes from.

    A hop that can't be read ends the search: the proxy that passed it on then stands for the client.
    """
    if peer not in trusted:
        return peer
    client = peer
    hops = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1").split(",")
    for hop in reversed(hops):
        address = _parse(_without_port(hop.strip()))
        if address is None:
            break
        client = str(address)
        if client not in trusted:
            break
    return client


def _without_port(hop: str) -> str:
    """Some proxies write `1.2.3.4:567` and `[2001:db8::1]:567`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed
