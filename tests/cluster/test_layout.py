"""A cluster's name and layout on a server: taken once, put back after a loss, and no other cluster's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gochat.cluster import identity, layout
from gochat.cluster.layout import Layout, UnfitServer
from gochat.cluster.link import Link, connector
from gochat.cluster.ports import PARTITIONS
from tests.cluster.real import PATIENCE_S, RealServer

SECRET = "s" * 32


def drawn(**changed: object) -> Layout:
    fields = {
        "cluster": identity.new_cluster_id(),
        "partitions": PARTITIONS,
        "created_ms": 1,
        "epoch": "e",
        "was_empty": True,
        "above": 7,
    }
    return Layout(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.fixture
def link(redis: RealServer) -> Iterator[Link]:
    link = connector(redis.url, PATIENCE_S)()
    link.open()
    yield link
    link.close()


def test_a_layout_is_signed_with_the_clusters_secret() -> None:
    made = drawn()
    sealed = layout.seal(made, SECRET)
    assert layout.unseal(sealed, SECRET) == made
    with pytest.raises(UnfitServer, match="not the one that the cluster was made with") as caught:
        layout.unseal(sealed, "t" * 32)
    assert "cluster.secret" in caught.value.hint
    for place in range(len(sealed)):
        with pytest.raises(UnfitServer):
            layout.unseal(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :], SECRET)


def test_a_layout_of_a_later_release_is_told_as_such() -> None:
    with pytest.raises(UnfitServer, match="later release"):
        layout.unseal(layout.seal(drawn(partitions=32), SECRET), SECRET)


def test_creating_begins_every_partition_once(link: Link) -> None:
    made = drawn()
    sealed = layout.seal(made, SECRET)
    assert layout.find(link, "chat") is None
    assert layout.create(link, made.cluster, "chat", sealed) == PARTITIONS
    assert layout.find(link, "chat") == (made.cluster, sealed)
    assert layout.create(link, made.cluster, "chat", sealed) == 0
    assert layout.reaches_back(link, made.cluster, dict.fromkeys(range(PARTITIONS), 0))
    assert link.call("XLEN", f"gc:{{{made.cluster}.15}}:log") == 1


def test_a_creation_that_was_cut_short_goes_on(link: Link) -> None:
    made = drawn()
    sealed = layout.seal(made, SECRET)
    layout.create(link, made.cluster, "chat", sealed)
    link.call("DEL", f"gc:{{{made.cluster}.3}}:log", f"gc:{{{made.cluster}.3}}:fence")
    assert layout.create(link, made.cluster, "chat", sealed) == 1


def test_a_name_is_one_clusters(link: Link) -> None:
    first, second = drawn(), drawn()
    layout.create(link, first.cluster, "chat", layout.seal(first, SECRET))
    for attempt in (layout.create, layout.register):
        with pytest.raises(UnfitServer, match="another cluster of the name chat") as caught:
            attempt(link, second.cluster, "chat", layout.seal(second, SECRET))
        assert "cluster.name" in caught.value.hint
    assert link.call("EXISTS", f"gc:{{{second.cluster}.0}}:log") == 0
    layout.create(link, second.cluster, "other", layout.seal(second, SECRET))


def test_what_a_server_lost_is_put_back_but_no_log_is_begun(link: Link) -> None:
    made = drawn()
    sealed = layout.seal(made, SECRET)
    layout.create(link, made.cluster, "chat", sealed)
    assert not layout.register(link, made.cluster, "chat", sealed)
    link.call("FLUSHALL")
    assert layout.register(link, made.cluster, "chat", sealed)
    assert layout.find(link, "chat") == (made.cluster, sealed)
    assert link.call("EXISTS", f"gc:{{{made.cluster}.0}}:log", f"gc:{{{made.cluster}.0}}:fence") == 0
    link.call("DEL", f"gc:{{{made.cluster}}}:layout")
    assert layout.register(link, made.cluster, "chat", sealed)


def test_another_layout_of_the_same_cluster_is_refused(link: Link) -> None:
    made = drawn()
    layout.create(link, made.cluster, "chat", layout.seal(made, SECRET))
    with pytest.raises(UnfitServer, match="another layout"):
        layout.register(link, made.cluster, "chat", layout.seal(made, "t" * 32))


def test_a_log_that_was_trimmed_does_not_reach_back(link: Link) -> None:
    made = drawn()
    layout.create(link, made.cluster, "chat", layout.seal(made, SECRET))
    stream = f"gc:{{{made.cluster}.5}}:log"
    for _ in range(3):
        link.call("XADD", stream, "1000000000-*", "e", "x")
    first = link.call("XRANGE", stream, "-", "+", "COUNT", 1)[0][0]
    assert first.endswith(b"-1")
    link.call("XTRIM", stream, "MAXLEN", 2)
    (oldest,) = (int(row[0].partition(b"-")[2]) for row in link.call("XRANGE", stream, "-", "+", "COUNT", 1))
    assert not layout.reaches_back(link, made.cluster, {5: oldest - 2})
    assert layout.reaches_back(link, made.cluster, {5: oldest - 1})
    link.call("DEL", stream)
    assert not layout.reaches_back(link, made.cluster, {5: 0})


def test_a_server_that_evicts_is_refused_with_the_way_out(redis: RealServer, link: Link) -> None:
    layout.check_server(link)
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(UnfitServer) as caught:
            layout.check_server(link)
    finally:
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert "set noeviction" in caught.value.hint
