"""A real server that is killed, paused, cut off and made to forget: nothing is sent twice, and nothing hangs."""

from __future__ import annotations

import re
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest
import trio
import trio.testing
from redis.connection import Connection
from redis.exceptions import RedisError

from gochat.cluster.link import Command, connector, packed
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.ports import MOST_BYTES, START, Batch, Fence, Position, ServerAway, Unreadable
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_log import RedisLog
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.three import PARTITIONS, three_nodes

HASTY_S = 0.3


@pytest.fixture
async def opened() -> AsyncIterator[Callable[..., RedisLog]]:
    """Opens logs of one cluster."""
    logs: list[RedisLog] = []
    cluster = secrets.token_hex(4)

    def open_one(server: RealServer, timeout_s: float = PATIENCE_S) -> RedisLog:
        logs.append(RedisLog(cluster, connector(server.url, timeout_s), read_wait_s=0.05))
        return logs[-1]

    yield open_one
    for log in logs:
        log.close()


async def made(log: RedisLog) -> int:
    fence = await log.create(0)
    assert fence is not None
    return fence.term


async def datas(log: RedisLog) -> list[bytes]:
    with trio.fail_after(PATIENCE_S):
        while True:
            try:
                return [element.data for element in (await log.read({0: START}, 1000)).get(0, [])]
            except Unreadable:
                raise
            except ServerAway:
                await trio.sleep(0.01)


def test_commands_are_packed_as_the_library_packs_them() -> None:
    commands: list[Command] = [
        ("XREAD", "COUNT", 1_000, "BLOCK", 0, "STREAMS", b"gc:{k.0}:log", "1-0"),
        ("EVALSHA", "0" * 40, 2, "ä", "", 7, b"\r\n$1\r\n\xff", b"x" * 100_000),
        ("PING",),
    ]
    assert packed(*commands) == b"".join(Connection().pack_commands(commands))


async def test_a_server_that_is_killed_is_found_again_with_what_it_kept(
    own_redis: RealServer, opened: Callable[..., RedisLog]
) -> None:
    own_redis.start()
    log = opened(own_redis)
    term = await made(log)
    assert await log.append([Batch(0, term, [b"kept"])]) == [Position(term, 2)]
    server = (await log.fences([0])).servers[0]
    own_redis.kill()
    with trio.fail_after(PATIENCE_S):
        assert await log.append([Batch(0, term, [b"lost"])]) == ["unknown"]
        with pytest.raises(ServerAway):
            await log.fences([0])
        with pytest.raises(ServerAway):
            await log.read({0: START}, 10)
    own_redis.start()
    assert await datas(log) == [b"", b"kept"]
    fences = await log.fences([0])
    assert fences.servers[0] != server, "a primary that was started again is another server"
    assert fences.by_partition[0].server == server
    assert await log.append([Batch(0, term, [b"x"])]) == ["fenced"]


async def test_a_pause_neither_loses_nor_doubles(redis: RealServer, opened: Callable[..., RedisLog]) -> None:
    """redis-py's own retries would have appended twice."""
    log, hasty = opened(redis), opened(redis, HASTY_S)
    term = await made(log)
    with trio.fail_after(PATIENCE_S):
        while await hasty.append([Batch(0, term, [b"warm"])]) == ["unknown"]:
            pass
        redis.pause()
        try:
            assert await hasty.append([Batch(0, term, [b"once"])]) == ["unknown"]
        finally:
            redis.resume()
        found: list[bytes] = []
        while b"once" not in found:
            found = await datas(log)
        while await hasty.append([Batch(0, term, [b"end"])]) == ["unknown"]:
            pass
    assert (await datas(log)).count(b"once") == 1


async def test_a_server_that_forgot_its_scripts_is_told_them_again(
    redis: RealServer, opened: Callable[..., RedisLog]
) -> None:
    log = opened(redis)
    term = await made(log)
    await log.append([Batch(0, term, [b"a"])])
    redis.command("SCRIPT", "FLUSH")
    assert await log.append([Batch(0, term, [b"b"])]) == ["unknown"]
    assert await log.append([Batch(0, term, [b"b"])]) == [Position(term, 3)]


async def test_a_replica_tells_nothing(redis: RealServer, opened: Callable[..., RedisLog]) -> None:
    """It has the id of its primary, and less than that one has: also when it was the primary a moment ago."""
    log, late = opened(redis), opened(redis)
    term = await made(log)
    server = (await log.fences([0])).servers[0]
    redis.command("REPLICAOF", "127.0.0.1", 1)
    try:
        for one in (log, late):
            for _ in range(2):
                with pytest.raises(ServerAway, match="replica"):
                    await one.fences([0])
                with pytest.raises(ServerAway, match="replica"):
                    await one.ends([0])
            assert await one.append([Batch(0, term, [b"x"])]) == ["unknown"]
    finally:
        redis.command("REPLICAOF", "NO", "ONE")
    assert (await log.fences([0])).servers[0] != server
    assert await log.append([Batch(0, term, [b"x"])]) == ["fenced"]
    assert await datas(log) == [b""]


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
async def test_connections_that_are_closed_are_made_anew(
    redis: RealServer, opened: Callable[..., RedisLog], kind: str
) -> None:
    log = opened(redis)
    term = await made(log)
    await log.append([Batch(0, term, [b"a"])])
    redis.command("CLIENT", "KILL", "TYPE", kind)
    with trio.fail_after(PATIENCE_S):
        while await log.append([Batch(0, term, [b"b"])]) == ["unknown"]:
            pass
    assert await datas(log) == [b"", b"a", b"b"]


async def test_a_call_that_is_cancelled_returns_at_once_though_the_server_is_silent(
    redis: RealServer, opened: Callable[..., RedisLog]
) -> None:
    log = opened(redis)
    term = await made(log)
    redis.pause()
    try:
        with trio.fail_after(PATIENCE_S / 2):
            for call in (lambda: log.append([Batch(0, term, [b"x"])]), lambda: log.ends([0])):
                with trio.move_on_after(0.01) as scope:
                    await call()
                assert scope.cancelled_caught
    finally:
        redis.resume()
    with trio.fail_after(PATIENCE_S):
        assert await log.ends([0])


async def test_a_reading_that_is_cancelled_holds_up_nobody(redis: RealServer) -> None:
    log = RedisLog(secrets.token_hex(4), connector(redis.url, PATIENCE_S), read_wait_s=2 * PATIENCE_S)
    try:
        term = await made(log)
        with trio.fail_after(PATIENCE_S):
            assert await log.read({0: START}, 10)
            with trio.move_on_after(0.01):
                await log.read({0: Position(term, 1)}, 10)
            assert await log.read({0: START}, 10)
    finally:
        log.close()


async def test_closing_ends_what_waits(redis: RealServer, opened: Callable[..., RedisLog]) -> None:
    log = opened(redis)
    term = await made(log)
    redis.pause()
    try:
        with trio.fail_after(PATIENCE_S / 2):
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    with pytest.raises(ServerAway):
                        await log.ends([0])

                nursery.start_soon(ask)
                nursery.start_soon(ask)
                await trio.testing.wait_all_tasks_blocked()
                log.close()
        assert await log.append([Batch(0, term, [b"x"])]) == ["unknown"]
        with pytest.raises(ServerAway, match="closed"):
            await log.fences([0])
    finally:
        redis.resume()


async def test_a_server_that_is_not_there_is_away(own_redis: RealServer, opened: Callable[..., RedisLog]) -> None:
    log = opened(own_redis)
    with trio.fail_after(PATIENCE_S), pytest.raises(ServerAway):
        await log.fences([0])
    assert await log.append([Batch(0, 1, [b"x"])]) == ["unknown"]


async def test_a_beat_of_the_future_keeps_nobody_out(redis: RealServer) -> None:
    """The server's clock was put back, or it has the data of one that was ahead."""
    cluster = secrets.token_hex(4)
    bulletin = RedisBulletin(cluster, connector(redis.url, PATIENCE_S))
    try:
        at_ms = await bulletin.now() + 3_600_000
        redis.command("HSET", f"gc:{{{cluster}}}:nodes", "n", f"earlier {at_ms} info")
        assert not await bulletin.beat("n", "later", b"")
        assert await bulletin.beat("n", "later", b"", take=True)
        assert not await bulletin.beat("n", "earlier", b"", take=True), "this one is fresh"
    finally:
        bulletin.close()


async def test_a_silent_subscription_asks_whether_the_server_is_there(
    redis: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gochat.cluster.redis_bulletin._SILENCE_S", 0.01)
    bulletin = RedisBulletin(secrets.token_hex(4), connector(redis.url, HASTY_S))
    try:
        with trio.fail_after(PATIENCE_S):
            async with bulletin.subscribe(["soft"]) as subscription:
                redis.pause()
                with pytest.raises(ServerAway):
                    await subscription.receive()
    finally:
        redis.resume()
        bulletin.close()


async def test_a_silent_subscription_goes_on_where_the_server_answers(
    redis: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gochat.cluster.redis_bulletin._SILENCE_S", 0.01)
    redis.command("CONFIG", "RESETSTAT")
    bulletin = RedisBulletin(secrets.token_hex(4), connector(redis.url, PATIENCE_S))
    try:
        with trio.fail_after(PATIENCE_S):
            async with bulletin.subscribe(["soft"]) as subscription, trio.open_nursery() as nursery:

                async def publish_once_it_was_asked() -> None:
                    while b"cmdstat_ping:calls=" not in redis.command("INFO", "commandstats"):
                        await trio.sleep(0.01)
                    await bulletin.publish("soft", b"news")

                nursery.start_soon(publish_once_it_was_asked)
                assert await subscription.receive() == [("soft", b"news")]
    finally:
        bulletin.close()


# ---------------------------------------------------------------------------------------------- strange servers


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        yield listener


async def test_an_address_of_tcp_is_connected_to_and_a_half_answer_is_none() -> None:
    """A server that breaks off in the middle of an answer: no call hangs, and no later call gets the rest of it."""
    with listening() as listener:
        port = listener.getsockname()[1]
        thread = LinkThread("test", connector(f"redis://127.0.0.1:{port}", PATIENCE_S))

        def serve() -> bytes:
            peer, _ = listener.accept()
            with peer:
                asked = peer.recv(65536)
                peer.sendall(b"$100\r\nhalf")
            return asked

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, serve)
            with trio.fail_after(PATIENCE_S), pytest.raises(ServerAway):
                await thread.call(lambda link: link.call("PING"))
        thread.close()


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", "", "redis://h/0?colour=red", "redis://h:x/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        connector(url)


def test_a_password_stands_in_no_error(own_redis: RealServer) -> None:
    link = connector("redis://user:s3cret@127.0.0.1:1/", HASTY_S)()
    with pytest.raises((RedisError, OSError)) as caught:
        link.open()
    assert "s3cret" not in str(caught.value)


def test_a_node_without_a_cluster_does_not_load_redis_py() -> None:
    modules = "gochat.node, gochat.process, gochat.cluster.certify, gochat.cluster.memory"
    program = f"import sys, {modules}; print('redis' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, timeout=PATIENCE_S)
    assert told.stdout.strip() == b"False"


# ---------------------------------------------------------------------------------------------- what no node wrote


async def test_a_fence_that_no_node_wrote_is_none_and_is_mended(
    redis: RealServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with three_nodes(connector(redis.url)) as nodes:
        await nodes.some_more()
        for garbage in (b"\xff", b"abc", b"abc 1x", b"abc 99999999999999999999"):
            for partition in PARTITIONS:
                redis.command("SET", nodes.fence_key(partition), garbage)
            await nodes.some_more()
        texts = (b"", b" ", b" abc", b" 1x", b" 007", b" -5", b" " + b"9" * 20)
        await nodes.bear_spoilt_fences(lambda _: redis, *texts)
        for partition in PARTITIONS:
            assert f"{nodes.fence_key(partition)} holds" in caplog.text


async def test_a_fence_that_is_no_text_is_told_of_with_the_way_out(
    redis: RealServer, opened: Callable[..., RedisLog]
) -> None:
    log = opened(redis)
    await made(log)
    (key,) = redis.command("KEYS", "gc:*:fence")
    redis.command("DEL", key)
    redis.command("LPUSH", key, "x")
    with pytest.raises(Unreadable, match=rf"{re.escape(key.decode())}.*DEL"):
        await log.fences([0])
    redis.command("DEL", key)
    assert (await log.fences([0])).by_partition == {}


async def test_answers_that_no_node_gave_do_not_count_and_stop_no_repair(
    redis: RealServer, opened: Callable[..., RedisLog]
) -> None:
    log = opened(redis)
    await made(log)
    server, end = (await log.fences([0])).servers[0], (await log.ends([0]))[0]
    (key,) = redis.command("KEYS", "gc:*:fence")
    redis.command("DEL", key)
    assert await log.offer(0, server, "north", end, 2)
    (offers,) = redis.command("KEYS", "gc:*:offer:*")
    for number, garbage in enumerate((b"", b"x", b"1-2 x", b"1-2", b"1-2 9", b"1-2 9999999999 1", b"\xff")):
        redis.command("HSET", offers, b"%d" % number, garbage)
    assert await log.offer(0, server, "north", end, 2) == 2
    assert await log.seal(0, server, 2) == "wait"
    assert isinstance(await log.seal(0, server, 1), Fence)


async def test_signs_of_life_that_no_node_gave_are_passed_over(redis: RealServer) -> None:
    bulletin = RedisBulletin("c", connector(redis.url))
    for garbage in (b"", b"b", b"b x i", b"b 1"):
        redis.command("HSET", "gc:{c}:nodes", b"i", garbage)
        assert await bulletin.beat("i", "b", b"info")
    redis.command("HSET", "gc:{c}:nodes", b"\x1b[2J", b"b 1 i")
    for instance, value in ((b"x", b""), (b"y", b"boot then info"), (b"\xff", b"b 1 i"), (b"z", b"\xff 1 i")):
        redis.command("HSET", "gc:{c}:nodes", instance, value)
    assert [member.instance for member in await bulletin.members()] == ["i"]
    bulletin.close()


@pytest.mark.parametrize(
    "data", [(b"1-2", "e", b"x" * (MOST_BYTES + 1)), (b"%d-2" % (2**64 - 1), "e", b"x"), (b"1-2", "f", b"x")]
)
async def test_an_entry_that_no_node_can_have_written_is_told_of_and_not_recorded(
    redis: RealServer, opened: Callable[..., RedisLog], data: tuple[bytes | str, ...]
) -> None:
    log = opened(redis)
    await made(log)
    (key,) = redis.command("KEYS", "gc:*:log")
    redis.command("DEL", key)
    redis.command("XADD", key, *data)
    with trio.fail_after(PATIENCE_S), pytest.raises(Unreadable):
        await datas(log)
    with pytest.raises(Unreadable):
        await log.read({0: START}, 10, wait=False)


async def test_keys_of_another_kind_are_a_server_that_is_away(
    redis: RealServer, opened: Callable[..., RedisLog]
) -> None:
    log = opened(redis)
    await made(log)
    for key in redis.command("KEYS", "gc:*"):
        redis.command("DEL", key)
        redis.command("LPUSH", key, "x")
    for call in (log.fences([0]), log.ends([0]), log.begins([0]), log.read({0: START}, 10, wait=False)):
        with pytest.raises(ServerAway):
            await call
    assert await log.append([Batch(0, 1, [b"x"])]) == ["unknown"]
