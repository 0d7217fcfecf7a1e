"""Addresses of Redis and Valkey, and what is wrong in the section of the cluster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from gochat.config.address import Address, is_loopback, parse_address
from gochat.config.cluster_sections import Cluster

#: A shorter one can be guessed.
_LEAST_SECRET_BYTES: Final = 32
#: A name stands in keys of Redis and in a line of a file.
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
#: Between the dots of a host's name (RFC 1035 section 2.3.4); many have _ though it is not in the RFC.
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_LONGEST_HOST: Final = 254
_PORTS: Final = {"server": 6_379, "sentinels": 26_379, "cluster": 6_379}
_KINDS: Final[dict[str, tuple[Literal["server", "sentinels", "cluster"], bool]]] = {
    "redis": ("server", False),
    "rediss": ("server", True),
    "redis+sentinel": ("sentinels", False),
    "rediss+sentinel": ("sentinels", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
#: Options that an address may have after `?`: files for TLS.
OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_FORMS: Final = (
    "redis://HOST:PORT, rediss://HOST:PORT, unix:///SOCKET, redis+sentinel://HOST1,HOST2/NAME or "
    "redis+cluster://HOST1,HOST2"
)
_AS_FILE: Final = "put it into a file (cluster.{0}_file) or into the environment (GOCHAT_CLUSTER__{1})"


class Servers(NamedTuple):
    """A parsed `cluster.url`."""

    kind: Literal["server", "sentinels", "cluster"]
    hosts: tuple[Address, ...]
    """Empty for a Unix socket."""
    tls: bool

    @property
    def local(self) -> bool:
        """Whether nothing leaves this machine on the way there."""
        return all(host.loopback for host in self.hosts)


def parse_servers(url: str) -> Servers:
    """Raises ValueError, whose text does not repeat the address: it may hold a password that should not be there."""
    try:
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        raise ValueError(f"must be {_FORMS}") from None
    if parts.scheme not in _KINDS and parts.scheme != "unix":
        raise ValueError(f"must be {_FORMS}")
    credentials, _, hosts = parts.netloc.rpartition("@")
    if ":" in credentials or any(name == "password" for name, _ in options):
        raise ValueError(f"must not hold a password: {_AS_FILE.format('password', 'PASSWORD')}")
    unknown = [name for name, _ in options if name not in OPTIONS]
    if unknown:
        raise ValueError(f"{unknown[0]} is no option of it; there are {', '.join(sorted(OPTIONS))}")
    if parts.scheme == "unix":
        if hosts or not parts.path.startswith("/"):
            raise ValueError("a Unix socket is written as unix:///FOLDER/SOCKET")
        return Servers("server", (), False)
    kind, tls = _KINDS[parts.scheme]
    _check_path(kind, unquote(parts.path.removeprefix("/")))
    addresses = tuple(_address(host, _PORTS[kind]) for host in hosts.split(","))
    if kind == "server" and len(addresses) > 1:
        raise ValueError(
            "names several servers; redis+sentinel://HOST1,HOST2/NAME and redis+cluster://HOST1,HOST2 are for several"
        )
    return Servers(kind, addresses, tls)


def _check_path(kind: str, path: str) -> None:
    """Raises ValueError."""
    if kind == "sentinels" and (not path or "/" in path):
        raise ValueError("the address of Sentinels ends in the name of the primary: redis+sentinel://HOST1,HOST2/NAME")
    if kind == "cluster" and path not in ("", "0"):
        raise ValueError("ends in the number of a database, and a Redis Cluster has number 0 alone: leave it out")
    if kind != "sentinels" and path and not (path.isascii() and path.isdecimal()):
        raise ValueError("ends in the number of a database, such as redis://HOST:6379/0, or in nothing")


def _address(text: str, port: int) -> Address:
    """HOST or HOST:PORT. Raises ValueError."""
    try:
        bare = text.endswith("]") or ":" not in text
        return parse_address(f"{text}:{port}" if bare else text)
    except ValueError:
        raise ValueError(f"must be {_FORMS}") from None


def cluster_problems(cluster: Cluster, http_bind: str) -> Iterator[tuple[str, str]]:
    """Mistakes in a section whose `url` is set: path of the key, and the way out."""
    try:
        parse_servers(cluster.url)
    except ValueError as error:
        yield "cluster.url", str(error)
    if not _NAME.fullmatch(cluster.name):
        yield "cluster.name", "must be small letters, digits, and . _ - inside, such as chat-1"
    yield from _secret_problems(cluster)
    yield from _advertise_problems(cluster.advertise, http_bind)
    if cluster.copies != 1:
        yield (
            "cluster.copies",
            f"{cluster.copies} copies can't be waited for yet: set it to 1, or leave it out. A message is acknowledged"
            " once Redis has it and one node has it on its disk; `appendfsync always` in Redis makes that two disks",
        )


def _secret_problems(cluster: Cluster) -> Iterator[tuple[str, str]]:
    if cluster.secret and cluster.secret_file:
        yield "cluster.secret_file", "cluster.secret is set already: one of the two"
    elif not (cluster.secret or cluster.secret_file):
        yield (
            "cluster.secret",
            "the nodes of a cluster need one secret that all have; `openssl rand -hex 32` makes one:"
            f" {_AS_FILE.format('secret', 'SECRET')}",
        )
    elif cluster.secret and (problem := secret_problem(cluster.secret)):
        yield "cluster.secret", problem
    if cluster.password and cluster.password_file:
        yield "cluster.password_file", "cluster.password is set already: one of the two"


def secret_problem(secret: str) -> str | None:
    """Why this can't be the secret of a cluster."""
    if len(secret.encode("utf-8", "replace")) < _LEAST_SECRET_BYTES:
        return f"must have at least {_LEAST_SECRET_BYTES} bytes; `openssl rand -hex 32` makes one"
    return None


def _advertise_problems(advertise: str, http_bind: str) -> Iterator[tuple[str, str]]:
    if not advertise:
        host, _, port = http_bind.rpartition(":")
        if host.strip("[]") in ("0.0.0.0", "::", "") or port == "0":  # noqa: S104 -- looked for, not listened at
            yield (
                "cluster.advertise",
                f"http.bind = {http_bind} does not say where the other nodes reach this one; set it here, such as"
                " http://10.0.0.5:8080",
            )
        elif problem := _host_problem(host.strip("[]")):
            yield "cluster.advertise", f"http.bind = {http_bind} is where the other nodes reach this one, and {problem}"
        return
    host = ""
    try:
        parts = urlsplit(advertise)
        host = parts.hostname or ""
        fit = parts.scheme in ("http", "https") and bool(host) and parts.username is None
        fit = fit and parts.port != 0 and parts.path in ("", "/") and not {"?", "#"} & set(advertise)
    except ValueError:
        fit = False
    if not fit:
        yield "cluster.advertise", "must be http://HOST:PORT or https://HOST:PORT, without a path"
    elif problem := _host_problem(host):
        yield "cluster.advertise", problem


def _host_problem(host: str) -> str | None:
    """Why other nodes can't ask at this host, which is without brackets."""
    labels = host.removesuffix(".").split(".")
    if ":" in host or (len(host) <= _LONGEST_HOST and all(map(_LABEL.fullmatch, labels))):
        return None
    known = "set it to an IP address, or to a name of ASCII letters, digits and - with 1 to 63 between the dots"
    if not host.isascii():
        with suppress(UnicodeError):
            known = f"write it as {host.encode('idna').decode()}"
    return f"the host {host} is no name that other nodes can look up: {known}"


def out_of_reach(cluster: Cluster, http_bind: str) -> Iterator[str]:
    """A warning where other nodes are told an address that is their own machine's. It may be so: all nodes may be on
    this one."""
    if not cluster.url or cluster.advertise:
        return
    try:
        elsewhere = not parse_servers(cluster.url).local and parse_address(http_bind).loopback
    except ValueError:
        return  # That is a mistake, told as one.
    if elsewhere:
        yield (
            "cluster.advertise is not set, and nodes on other machines do not reach this one at http.bind ="
            f" {http_bind}: set it to where they do, such as http://10.0.0.5:8080"
        )


def in_the_open(cluster: Cluster) -> Iterator[str]:
    """A warning for each way on which others can read along, or write."""
    if not cluster.url:
        return
    try:
        servers = parse_servers(cluster.url)
    except ValueError:
        return  # That is a mistake, told as one.
    for name in ("shared_http", "shared_tcp"):
        bind = getattr(cluster, name)
        if bind and not parse_address(bind).loopback:
            yield f"cluster.{name} = {bind} without TLS: tokens and messages can be read on the way"
    if not servers.tls and not servers.local:
        yield (
            "cluster.url is without TLS: all messages, and the password of Redis, can be read on the way; use"
            " rediss://, or a network of the nodes' own"
        )
    if cluster.advertise.startswith("http://") and not is_loopback(urlsplit(cluster.advertise).hostname or ""):
        yield (
            f"cluster.advertise = {cluster.advertise} is without TLS: what the nodes tell each other, which is who is"
            " online, can be read on the way"
        )
