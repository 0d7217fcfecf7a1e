"""The layout of a cluster: what its nodes must agree on, fixed when it is made, signed with its secret.

Each node has it in its database, and so have backups. A server has it too, beside the name under which the cluster is
found there; whatever the server forgets the nodes put back. A node whose secret is not the cluster's finds that out by
the layout before it does anything.
"""

from __future__ import annotations

import hashlib
from hmac import compare_digest
from typing import Final

import msgspec

from gochat.cluster import scripts
from gochat.cluster.fitness import unfit
from gochat.cluster.link import Link, run
from gochat.cluster.ports import PARTITIONS, TERM_STEP, term_of
from gochat.errors import GochatError

_MAC_BYTES: Final = 32


class Layout(msgspec.Struct, frozen=True):
    cluster: str
    """The cluster's id."""
    partitions: int
    created_ms: int
    epoch: str
    """The epoch of the database that it was made from."""
    was_empty: bool
    """Whether that database held nothing: then a node can join with an empty one, as long as the log is whole."""
    above: int
    """No room, report or audit entry that was there before has a greater number. Those that come count from here."""


class UnfitServer(GochatError):
    """The server, or what is on it, is not what the node may work with. Carries the way out."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(problem)
        self.hint = hint


_NOT_SHARED: Final = "cluster.secret must be the same on all nodes; `gochat config show --origin` says where it is set"
_OTHER_NAME: Final = "give this cluster another cluster.name, or this node another cluster.url"


class NameTaken(UnfitServer):
    """The cluster's name is another one's there."""


def seal(layout: Layout, secret: str) -> bytes:
    """The layout as it is kept: with its MAC."""
    body = msgspec.msgpack.encode(layout)
    return _mac(body, secret) + body


def unseal(data: bytes, secret: str) -> Layout:
    """Raises UnfitServer, where the secret is another one than the layout was signed with."""
    body = data[_MAC_BYTES:]
    if not compare_digest(data[:_MAC_BYTES], _mac(body, secret)):
        raise UnfitServer("the secret is not the one that the cluster was made with", _NOT_SHARED)
    try:
        layout = msgspec.msgpack.decode(body, type=Layout)
    except msgspec.MsgspecError:
        layout = None
    if layout is None or layout.partitions != PARTITIONS:
        raise UnfitServer("the cluster's layout is of a later release", "use that release on all nodes")
    return layout


def _mac(body: bytes, secret: str) -> bytes:
    key = hashlib.blake2b(secret.encode(), digest_size=64, person=b"gochat secret").digest()
    return hashlib.blake2b(body, key=key, digest_size=_MAC_BYTES, person=b"gochat layout").digest()


# ------------------------------------------------------------------------------------------ on a server
# All of these raise RedisError or OSError where the server does not answer, and UnfitServer.


def check_server(link: Link) -> None:
    """Whether the server can carry the log."""
    problems = unfit(link)
    if problems:
        raise UnfitServer("the server can't carry a cluster's log", " ".join(problems))


def find(link: Link, name: str) -> tuple[str, bytes] | None:
    """The id and the sealed layout of the cluster of that name; None where the server knows of none."""
    cluster = link.call("GET", _name_key(name))
    if cluster is None:
        return None
    told = cluster.decode(errors="replace")
    return told, link.call("GET", _layout_key(told)) or b""


def check_free(link: Link, cluster: str, name: str) -> None:
    """Whether the name can be this cluster's."""
    found = find(link, name)
    if found is not None and found[0] != cluster:
        raise NameTaken(f"the server has another cluster of the name {name}", _OTHER_NAME)


def create(link: Link, cluster: str, name: str, sealed: bytes) -> int:
    """Take the name, and begin each partition, where that was not done before. How many were begun now.

    Only before any node has served: a log that a server has lost is put back, and not begun anew."""
    register(link, cluster, name, sealed)
    begun = 0
    for partition in range(PARTITIONS):
        prefix = f"gc:{{{cluster}.{partition}}}:"
        term = term_of(1, _salt(cluster, partition))
        begun += link.call(*run(scripts.CREATE, [f"{prefix}log", f"{prefix}fence"], term)) is not None
    return begun


def register(link: Link, cluster: str, name: str, sealed: bytes) -> bool:
    """Put the name and the layout back where the server has lost them, which a folder of the cluster may do at any
    time. Whether anything was missing; where nothing is, nothing is written, so that a server that is full will do."""
    values: dict[str, str | bytes] = {_name_key(name): cluster, _layout_key(cluster): sealed}
    there = link.call_all([("GET", key) for key in values])
    lost = [key for key, value in zip(values, there, strict=True) if value is None]
    replies = link.call_all([("SET", key, values[key], "NX") for key in lost]) if lost else []
    put_back = {key for key, reply in zip(lost, replies, strict=True) if reply is not None}
    if _name_key(name) not in put_back:
        check_free(link, cluster, name)
    if _layout_key(cluster) not in put_back:
        laid_out = link.call("GET", _layout_key(cluster))
        if laid_out is not None and laid_out != sealed:
            raise UnfitServer("the server has another layout for this cluster than this node", _NOT_SHARED)
    return bool(put_back)


def reaches_back(link: Link, cluster: str, positions: dict[int, int]) -> bool:
    """Whether the log still has all entries after these, by partition."""
    for partition, n in positions.items():
        first = link.call("XRANGE", f"gc:{{{cluster}.{partition}}}:log", "-", "+", "COUNT", 1)
        if not first or int(first[0][0].partition(b"-")[2]) > n + 1:
            return False
    return True


def _name_key(name: str) -> str:
    return f"gc:name:{name}"


def _layout_key(cluster: str) -> str:
    return f"gc:{{{cluster}}}:layout"


def _salt(cluster: str, partition: int) -> int:
    """A term is part chance; the first one may follow from the cluster's id, which is random."""
    return int.from_bytes(hashlib.blake2b(f"{cluster}.{partition}".encode(), digest_size=8).digest(), "big") % TERM_STEP
