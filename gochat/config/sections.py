"""The settings: every key with its type, bounds, unit, reason and default. Pure values; `settings` reads them.

config.toml and docs/reference/settings.md are written from the modules of the sections (`node_sections`,
`chat_sections`, `cluster_sections`), so nothing about a key stands anywhere else.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from functools import cache

import msgspec

from gochat.config.address import parse_address
from gochat.config.chat_sections import History, Limits, Log, Notify, Policy, Retention, Rooms, Session
from gochat.config.cluster import in_the_open
from gochat.config.cluster_sections import Cluster
from gochat.config.key import ADDRESS, NNG_ADDRESS, Key
from gochat.config.node_sections import Auth, Http, Nng, Node, Tcp


class Settings(msgspec.Struct, frozen=True):
    """All settings of a node. `problems` says what is wrong between them."""

    node: Node = Node()
    http: Http = Http()
    tcp: Tcp = Tcp()
    nng: Nng = Nng()
    auth: Auth = Auth()
    limits: Limits = Limits()
    policy: Policy = Policy()
    history: History = History()
    retention: Retention = Retention()
    notify: Notify = Notify()
    cluster: Cluster = Cluster()
    session: Session = Session()
    rooms: Rooms = Rooms()
    log: Log = Log()


@cache
def sections() -> dict[str, type[msgspec.Struct]]:
    """The sections by name, in the order of the file."""
    return dict(typing.get_type_hints(Settings))


@cache
def keys() -> dict[str, Key]:
    """Every key by its path, such as `http.bind`, in the order of the file."""
    return {key.path: key for name, section in sections().items() for key in _keys_of(name, section)}


def _keys_of(name: str, section: type[msgspec.Struct]) -> Iterator[Key]:
    defaults = section()
    for field, hint in typing.get_type_hints(section, include_extras=True).items():
        meta, why = hint.__metadata__
        yield Key(f"{name}.{field}", hint, getattr(defaults, field), why=why, **meta.extra)


def binds(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every address that a node listens at: the path of its key, and HOST:PORT."""
    for key in keys().values():
        section, _, field = key.path.partition(".")
        text: str = getattr(getattr(settings, section), field)
        if key.unit == ADDRESS and (text or key.path == "http.bind"):
            yield key.path, text
        elif key.unit == NNG_ADDRESS and text:
            yield key.path, text.partition("://")[2]


def unencrypted(settings: Settings) -> Iterator[str]:
    """A warning for each address that other machines reach, and where tokens and messages are sent without TLS."""
    http, tcp, nng = settings.http, settings.tcp, settings.nng
    if tcp.bind and not parse_address(tcp.bind).loopback:
        yield f"tcp.bind = {tcp.bind}: raw TCP has no TLS, so tokens and messages can be read on the way"
    if nng.bind.startswith("tcp://") and not parse_address(nng.bind[6:]).loopback:
        yield f"nng.bind = {nng.bind} without TLS: tokens and messages can be read on the way; use tls+tcp://"
    if not http.tls_cert and not parse_address(http.bind).loopback:
        yield (
            f"http.bind = {http.bind} without TLS: tokens and messages can be read on the way, unless only a"
            " proxy that ends TLS reaches this address"
        )
    yield from in_the_open(settings.cluster)
