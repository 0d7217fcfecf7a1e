"""The section of the cluster: which Redis or Valkey its nodes share, and how a node is reached by the others."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gochat.config.key import ADDRESS, key


class Cluster(msgspec.Struct, frozen=True):
    """Several nodes as one: they share a Redis or Valkey, and every node holds all rooms. See docs/howto/cluster.md."""

    url: Annotated[
        str,
        key("URL", max_length=2_000, flag="--cluster", does="Redis or Valkey of the cluster; '' serves alone"),
        "The Redis or Valkey that orders what the nodes write, such as rediss://user@redis.example:6379,"
        " redis+sentinel://host1,host2/name or redis+cluster://host1,host2; empty: one node, without Redis.",
    ] = ""
    name: Annotated[
        str,
        key("name", max_length=64),
        "Names the cluster on that server: several may share one, under other names.",
    ] = "gochat"
    secret: Annotated[
        str,
        key("text", secret=True),
        "Signs all that the nodes tell each other, at least 32 bytes and the same on each: with it anybody who"
        " reaches Redis can write as anyone.",
    ] = ""
    secret_file: Annotated[str, key("file"), "The secret as a file's only line, in the place of secret."] = ""
    password: Annotated[
        str,
        key("text", secret=True),
        "The password at Redis, for the user in url or the default one.",
    ] = ""
    password_file: Annotated[str, key("file"), "The password as a file's only line, in the place of password."] = ""
    advertise: Annotated[
        str,
        key("URL", max_length=2_000),
        "Where the other nodes reach this one's HTTP, such as http://10.0.0.5:8080; empty: as http.bind says.",
    ] = ""
    shared_http: Annotated[
        str,
        key(ADDRESS),
        "One more address for HTTP and WebSocket, which all nodes on this machine listen at together; empty: none.",
    ] = ""
    shared_tcp: Annotated[
        str, key(ADDRESS), "The same for raw TCP; the system gives each connection to one of the nodes."
    ] = ""
    copies: Annotated[
        int,
        key("nodes", ge=1, le=5),
        "How many nodes have recorded a message when it is acknowledged. Only 1 is there so far.",
    ] = 1

    def __repr__(self) -> str:
        return f"Cluster(name={self.name!r}, on={bool(self.url)})"
