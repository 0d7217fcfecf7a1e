"""Nodes that find the primary by Sentinels go on with the one that is promoted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from redis.exceptions import RedisError

from gochat.cluster.sentinel import Sentinels
from tests.cluster.real import PATIENCE_S
from tests.cluster.three import three_nodes
from tests.cluster.watched import Watched


@pytest.fixture
def watched() -> Iterator[Watched]:
    with ExitStack() as stack:
        yield Watched(stack)


def test_sentinels_name_the_primary(watched: Watched) -> None:
    link = Sentinels(watched.url, PATIENCE_S)()
    link.open()
    assert b"role:master" in link.call("INFO", "replication")
    link.close()


@pytest.mark.long
async def test_nothing_is_lost_when_a_replica_is_promoted(watched: Watched) -> None:
    async with three_nodes(Sentinels(watched.url)) as nodes:
        await nodes.some_more()
        watched.servers[0].kill()
        await nodes.some_more()


async def test_a_fence_that_no_node_wrote_is_mended(watched: Watched) -> None:
    async with three_nodes(Sentinels(watched.url)) as nodes:
        await nodes.bear_spoilt_fences(lambda _: watched.servers[0], b" abc")


def test_threads_that_ask_at_once_go_on_asking_the_sentinel_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node has a thread for each connection, and all of them ask the same Sentinels."""
    sentinels = Sentinels("redis+sentinel://dead,alive/gochat")
    dead, asked = sentinels._in_turn[0], Counter[str]()

    def named_by(sentinel: object) -> list[bytes]:
        asked["dead" if sentinel is dead else "alive"] += 1
        if sentinel is dead:
            raise OSError("nobody is there")
        if asked["alive"] == 1:
            sentinels()  # Another thread asks, and has its answer, before this one has.
        return [b"10.0.0.1", b"6379"]

    monkeypatch.setattr(sentinels, "_named_by", named_by)
    sentinels()
    before = asked["dead"]
    sentinels()
    assert asked["dead"] == before


def test_a_name_that_nobody_knows_is_an_error_with_the_reason(watched: Watched) -> None:
    with pytest.raises(OSError, match=r"no Sentinel names the primary: .* does not know another"):
        Sentinels(watched.url.replace("/gochat", "/another"), PATIENCE_S)()


def test_sentinels_that_are_not_there_are_an_error() -> None:
    with pytest.raises((OSError, RedisError)) as caught:
        Sentinels("redis+sentinel://user:s3cret@127.0.0.1:1/gochat")()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/name",
        "redis+sentinel://host",
        "redis+sentinel://host/",
        "redis+sentinel:///name",
        "redis+sentinel://host,,other/name",
        "redis+sentinel://host/a/b",
        "redis+sentinel://host:x/name",
        "redis+sentinel://host/name?colour=red",
    ],
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Sentinels(url)
