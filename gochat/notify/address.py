"""Connects to receivers outside, and to nothing that was not meant to be reached from outside.

A name is resolved once; the address that was checked is the one that is connected to, so that a name server can't
answer the check with one address and the connection with another. Private addresses (RFC 6890) are refused unless the
operator allows them: users name push services, and must not reach what stands beside the node.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, TypeAlias

import trio

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
#: Addresses of one name that are tried, one after the other.
MOST_ADDRESSES: Final = 4
#: IPv6 networks whose addresses hold an IPv4 address in their last 32 bits (RFC 6052).
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Unreachable(OSError):
    """There is no address that may be connected to, or none answered."""


def is_public(text: str) -> bool:
    """Whether an address belongs to the public network; also that IPv4 address which an IPv6 one stands for."""
    address: IPAddress = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            address = inner
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def resolve(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of `host` that may be connected to, at most `MOST_ADDRESSES`. Raises Unreachable."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unreachable("the host's name can't be resolved") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [address for address in addresses if allow_private or is_public(address)]
    if not allowed:
        raise Unreachable("the host's address is private; notify.allow_private would allow it")
    return allowed[:MOST_ADDRESSES]


async def connect(host: str, port: int, *, allow_private: bool) -> trio.SocketStream:
    """A TCP connection to one of the addresses that were checked. Raises Unreachable."""
    for address in await resolve(host, port, allow_private=allow_private):
        try:
            return await trio.open_tcp_stream(address, port)
        except OSError:
            continue  # The next address may answer; where none does, that is raised below.
    raise Unreachable("no connection")
