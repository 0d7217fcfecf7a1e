"""Where the primary is, as Sentinels tell: they watch it and its replicas, and promote one of these when it dies.

They are asked anew for each connection. A Sentinel that is behind may name a primary that is one no more; the fences,
and the ids of the servers, see to it that this costs time and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from redis.exceptions import RedisError

from gochat.cluster.link import TIMEOUT_S, ServerLink, connector

PREFIXES: Final = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
PORT: Final = 26_379


class Sentinels:
    """Makes links to the primary of the name that an address like `redis+sentinel://host1,host2:26380/name` ends with.

    A user and the password are for the primary; the Sentinels themselves are asked without. Options and
    encryption (`rediss+sentinel`) are for both.
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, *, password: str = "") -> None:
        """Raises ValueError for an address of another form."""
        parts = urlsplit(url)
        name = unquote(parts.path.removeprefix("/"))
        if parts.scheme not in PREFIXES or not parts.netloc or not name or "/" in name:
            raise ValueError("the address of Sentinels is redis+sentinel://host1,host2/name-of-the-primary")
        self._scheme = PREFIXES[parts.scheme]
        self._credentials, at, hosts = parts.netloc.rpartition("@")
        self._credentials += at
        self._query = f"?{parts.query}" if parts.query else ""
        self._name = name
        self._timeout_s = timeout_s
        self._password = password
        self._in_turn = [self._to(host) for host in hosts.split(",")]

    def _to(self, host: str) -> Callable[[], ServerLink]:
        split = urlsplit(f"//{host}")
        if not split.hostname:
            raise ValueError(f"{host!r} is no host with or without a port")
        address = f"{self._scheme}://{_bracketed(split.hostname)}:{split.port or PORT}/{self._query}"
        return connector(address, self._timeout_s)

    def __call__(self) -> ServerLink:
        """A link to the primary, which is still to be opened. Raises RedisError or OSError."""
        host, port = self._primary()
        address = f"{self._scheme}://{self._credentials}{_bracketed(host)}:{port}/{self._query}"
        return connector(address, self._timeout_s, password=self._password)()

    def _primary(self) -> tuple[str, int]:
        """Ask one Sentinel after the other; the one that answers is asked first the next time."""
        problems: list[str] = []
        known = self._in_turn
        for sentinel in known:
            try:
                found = self._named_by(sentinel)
            except (RedisError, OSError) as error:
                problems.append(str(error))
                continue
            if found is not None:
                # A new list: other threads ask meanwhile, and go through the old one.
                self._in_turn = [sentinel, *(each for each in known if each is not sentinel)]
                host, port = found
                return host.decode(), int(port)
            problems.append(f"a Sentinel does not know {self._name}")
        raise ConnectionError(f"no Sentinel names the primary: {'; '.join(problems)}")

    def _named_by(self, sentinel: Callable[[], ServerLink]) -> Sequence[bytes] | None:
        link = sentinel()
        try:
            found: Sequence[bytes] | None = link.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
            return found
        finally:
            link.close()


def _bracketed(host: str) -> str:
    """An IPv6 address as it stands in a URL."""
    return f"[{host}]" if ":" in host else quote(host)
