"""The user that the page makes at Redis may do what gochat does, and no more than that."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from redis.exceptions import ResponseError

from gochat.cluster import layout
from gochat.cluster.link import Link, connector
from gochat.cluster.ports import PARTITIONS, START, Batch, Element, Position
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_cluster import RedisCluster
from gochat.cluster.redis_log import RedisLog
from tests.cluster.primaries import Primaries
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.test_layout import SECRET, drawn

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "cluster.md"
PASSWORD = "p" * 20


def _rules() -> list[str]:
    found = re.search(r"^user gochat (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1].replace("PASSWORD", PASSWORD).split()


@pytest.fixture
def url(redis: RealServer) -> str:
    redis.command("ACL", "SETUSER", "gochat", "reset", *_rules())
    return redis.url.replace("unix://", "unix://gochat@")


def opened(url: str) -> Link:
    link = connector(url, PATIENCE_S, password=PASSWORD)()
    link.open()
    return link


async def test_it_may_do_all_that_a_node_does(url: str) -> None:
    await _do_all(lambda: connector(url, PATIENCE_S, password=PASSWORD)())


async def test_it_may_do_so_in_a_redis_cluster(primaries: Primaries) -> None:
    for server in primaries.servers:
        server.command("ACL", "SETUSER", "gochat", "reset", *_rules(), "+cluster|slots", "+cluster|info")
    url = primaries.url.replace("://", "://gochat@", 1)
    await _do_all(RedisCluster(url, PATIENCE_S, password=PASSWORD))


async def test_it_is_told_where_that_is_not_allowed(primaries: Primaries) -> None:
    for server in primaries.servers:
        server.command("ACL", "SETUSER", "gochat", "reset", *_rules())
    url = primaries.url.replace("://", "://gochat@", 1)
    with pytest.raises(ResponseError, match=r"cluster\|info"):
        RedisCluster(url, PATIENCE_S, password=PASSWORD)().open()


async def _do_all(connect: Callable[[], Link]) -> None:
    made = drawn()
    link = connect()
    link.open()
    layout.check_server(link)
    layout.create(link, made.cluster, "chat", layout.seal(made, SECRET))
    assert layout.find(link, "chat") is not None and layout.reaches_back(link, made.cluster, {0: 0})
    link.close()
    log = RedisLog(made.cluster, connect, read_wait_s=0.05)
    bulletin = RedisBulletin(made.cluster, connect)
    try:
        with trio.fail_after(PATIENCE_S):
            fences = await log.fences(range(PARTITIONS))
            term = fences.by_partition[1].term
            assert await log.append([Batch(1, term, [b"entry"])]) == [Position(term, 2)]
            assert len((await log.read({1: START}, 10))[1]) == 2
            assert await log.ends([1]) == {1: Position(term, 2)}
            element = Element(Position(term, 3), b"back")
            assert await log.put_back(1, fences.servers[1], Position(term, 2), [element]) == "sealed"
            assert await log.offer(1, fences.servers[1], "i", Position(term, 2), 2)
            assert not isinstance(await log.seal(1, fences.servers[1], 1), str)
            await log.withdraw(1, fences.servers[1], "i")
            assert await log.end_term(1, fences.by_partition[1])
            assert await log.trim(1, Position(term, 2), 1, 10) == 1
            assert await log.drop(1, fences.servers[1], Position(term, 2))
            assert await bulletin.beat("i", "b", b"info", take=True)
            assert len(await bulletin.members()) == 1 and await bulletin.now()
            async with bulletin.subscribe(["soft"]) as subscription:
                await bulletin.publish("soft", b"news")
                assert await subscription.receive() == [("soft", b"news")]
            await bulletin.leave("i", "b")
    finally:
        log.close()
        bulletin.close()


@pytest.mark.parametrize(
    "command", [("SET", "other", 1), ("GET", "other"), ("KEYS", "*"), ("FLUSHALL",), ("CONFIG", "SET", "save", "")]
)
def test_it_may_do_nothing_else(url: str, command: tuple[str, ...]) -> None:
    link = opened(url)
    with pytest.raises(ResponseError, match=r"permission|NOPERM"):
        link.call(*command)
    link.close()
