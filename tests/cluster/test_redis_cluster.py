"""Nodes that keep their log in a Redis Cluster go on when slots move, and when a primary is replaced."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio
from redis.exceptions import AuthenticationError, RedisError

from gochat.cluster import layout
from gochat.cluster.fitness import risks, unfit
from gochat.cluster.identity import SLOTS, slot_of
from gochat.cluster.link import Link, ServerLink, connector
from gochat.cluster.link_thread import LinkThread
from gochat.cluster.ports import PARTITIONS, START, Batch, Element, Position, ServerAway
from gochat.cluster.redis_bulletin import RedisBulletin
from gochat.cluster.redis_cluster import RedisCluster
from gochat.cluster.redis_log import RedisLog
from gochat.cluster.slots import Address, SlotMap
from gochat.commands import CommandError
from gochat.commands.cluster.create import first_node
from gochat.commands.cluster.join import next_node
from gochat.commands.cluster.survey import survey
from gochat.commands.doctor import examine
from tests.certificates import localhost
from tests.cluster.primaries import Primaries
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.servers import HASTY_S
from tests.cluster.test_clustering import settings
from tests.cluster.test_layout import SECRET, drawn
from tests.cluster.three import three_nodes
from tests.ports import HOST, held_port
from tests.waiting import until

ALL = range(4)
#: A primary that is silent for so long is replaced.
DOWN_MS = 1_000
TRIES = 20


@pytest.fixture
def link(primaries: Primaries) -> Iterator[Link]:
    link = RedisCluster(primaries.url, PATIENCE_S)()
    link.open()
    yield link
    link.close()


@pytest.fixture
def replaced() -> Iterator[Primaries]:
    """One whose first primary has a replica."""
    with ExitStack() as stack:
        yield Primaries(stack, "--appendonly", "yes", "--appendfsync", "always", replicas=1, timeout_ms=DOWN_MS)


def test_all_primaries_are_looked_at(primaries: Primaries, link: Link) -> None:
    assert unfit(link) == []
    assert len(risks(link)) == 3, "none keeps a file"
    primaries.servers[2].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        (problem,) = unfit(link)
    finally:
        primaries.servers[2].command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert f"{primaries.ports[2]}: It may drop the log" in problem


def test_one_of_them_alone_is_no_server(primaries: Primaries) -> None:
    link = connector(primaries.servers[0].url, PATIENCE_S)()
    link.open()
    (problem,) = unfit(link)
    assert "redis+cluster://" in problem
    link.close()


def test_a_cluster_is_made_and_found(link: Link) -> None:
    made = drawn()
    sealed = layout.seal(made, SECRET)
    assert layout.create(link, made.cluster, "chat", sealed) == 16
    assert layout.create(link, made.cluster, "chat", sealed) == 0
    assert layout.find(link, "chat") == (made.cluster, sealed)
    assert layout.reaches_back(link, made.cluster, dict.fromkeys(range(16), 0))


def test_commands_reach_it(primaries: Primaries, tmp_path: Path) -> None:
    found = settings(tmp_path / "one", primaries.url)
    assert first_node(found).begun
    next_node(settings(tmp_path / "two", primaries.url), None)
    told = survey(found)
    assert told.broken == frozenset() and len(told.ends) == PARTITIONS
    assert told.problems == ["no node lives"]
    (finding,) = [one for one in examine(found) if one.check == "cluster"]
    assert finding.status == "warn" and str(primaries.ports[2]) in finding.hint, "it keeps no file"
    for server in primaries.servers:
        server.command("DEBUG", "CHANGE-REPL-ID")
    assert survey(found).broken == frozenset(range(PARTITIONS))
    for server in primaries.servers:
        for key in server.command("KEYS", "gc:*:fence"):
            server.command("DEL", key)
            server.command("LPUSH", key, "x")
    with pytest.raises(CommandError, match=r"the key gc:\{.*:fence .* delete it") as caught:
        survey(found)
    assert "somebody else" in caught.value.hint


def test_they_are_reached_by_the_names_that_their_certificates_have(tmp_path: Path) -> None:
    certificate = localhost(tmp_path)
    with ExitStack() as stack:
        port = stack.enter_context(held_port())
        files = [part for name in ("cert", "key", "ca-cert") for part in (f"--tls-{name}-file", str(certificate))]
        named = ("--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname")
        Primaries(
            stack, "--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cluster", "yes", *files, *named, count=1
        )
        link = RedisCluster(f"rediss+cluster://localhost:{port}?ssl_ca_certs={certificate}", PATIENCE_S)()
        link.open()
        assert [address for address, _ in link.primaries()] == [f"localhost:{port}"]
        assert link.call("SET", "key", "value") == b"OK"
        link.close()


async def test_nothing_is_lost_when_slots_move(primaries: Primaries) -> None:
    async with three_nodes(RedisCluster(primaries.url)) as nodes:
        slot = slot_of(f"{nodes.cluster}.0")
        first = primaries.place_of(0, nodes.cluster)
        for source, target in ((first, (first + 1) % 3), ((first + 1) % 3, first)):
            await nodes.some_more()
            await trio.to_thread.run_sync(primaries.move, slot, source, target)
        await nodes.some_more()


async def test_a_fence_that_no_node_wrote_is_mended(primaries: Primaries) -> None:
    async with three_nodes(RedisCluster(primaries.url)) as nodes:
        await nodes.bear_spoilt_fences(lambda p: primaries.servers[primaries.place_of(p, nodes.cluster)], b" abc")


async def answer(log: RedisLog) -> list[Element]:
    """The first entries of the first partition. On a busy machine a reading ends before the server has answered."""
    while not (found := await log.read({0: START}, 10)):
        pass
    return found[0]


async def test_a_slot_that_is_half_moved_takes_nothing(primaries: Primaries) -> None:
    cluster = primaries.spread_over(ALL)
    log = RedisLog(cluster, RedisCluster(primaries.url, PATIENCE_S), read_wait_s=0.05)
    slot, source = slot_of(f"{cluster}.0"), primaries.place_of(0, cluster)
    giver, taker = primaries.servers[source], primaries.servers[(source + 1) % 3]
    fence = await log.create(0)
    assert fence is not None
    batch = Batch(0, fence.term, [b"x"])
    try:
        taker.command("CLUSTER", "SETSLOT", slot, "IMPORTING", primaries.ids[source])
        giver.command("CLUSTER", "SETSLOT", slot, "MIGRATING", primaries.ids[(source + 1) % 3])
        assert await log.append([batch]) == [Position(fence.term, 2)], "no key has moved yet"
        port = primaries.ports[(source + 1) % 3]
        giver.command("MIGRATE", "127.0.0.1", port, f"gc:{{{cluster}.0}}:fence", 0, 5_000)
        assert await log.append([batch]) == ["unknown"]
        with pytest.raises(ServerAway):
            await log.fences([0])
        giver.command("MIGRATE", "127.0.0.1", port, f"gc:{{{cluster}.0}}:log", 0, 5_000)
        with pytest.raises(ServerAway):
            await answer(log)
        for place in ((source + 1) % 3, source, (source + 2) % 3):
            primaries.servers[place].command("CLUSTER", "SETSLOT", slot, "NODE", primaries.ids[(source + 1) % 3])
        while await log.append([batch]) == ["unknown"]:
            pass
        assert await log.append([batch]) == ["fenced"], "the fence names the slot's earlier server"
        fences = await log.fences([0])
        assert fences.by_partition[0] == fence and fences.servers[0] != fence.server
        assert [element.data for element in await answer(log)] == [b"", b"x"]
    finally:
        log.close()
        primaries.move(slot, (source + 1) % 3, source)


async def test_the_clock_is_that_of_the_primary_that_dates_the_beats(primaries: Primaries) -> None:
    cluster = primaries.spread_over(ALL)
    slot = slot_of(cluster)
    source = slot * 3 // SLOTS
    target = (source + 1) % 3
    bulletin = RedisBulletin(cluster, RedisCluster(primaries.url, PATIENCE_S))
    try:
        await bulletin.beat("i", "b", b"")
        await bulletin.now()
        primaries.move(slot, source, target)
        for server in primaries.servers:
            server.command("CONFIG", "RESETSTAT")
        with pytest.raises(ServerAway, match="Moved"):
            await bulletin.now()
        await bulletin.now()
        asked = [b"cmdstat_time:" in server.command("INFO", "commandstats") for server in primaries.servers]
        assert asked[target] and not asked[3 - source - target]
        (member,) = await bulletin.members()
        assert member.instance == "i"
    finally:
        bulletin.close()
        primaries.move(slot, target, source)


async def test_what_one_primary_does_not_answer_says_nothing_of_the_others(primaries: Primaries) -> None:
    cluster = primaries.spread_over(ALL)
    patient = RedisLog(cluster, RedisCluster(primaries.url, PATIENCE_S), read_wait_s=0.05)
    hasty = RedisLog(cluster, RedisCluster(primaries.url, HASTY_S), read_wait_s=0.05)
    silent = primaries.place_of(0, cluster)
    try:
        fences = [await patient.create(partition) for partition in ALL]
        terms = {partition: fence.term for partition, fence in enumerate(fences) if fence is not None}
        batches = [Batch(partition, term, [b"x"]) for partition, term in terms.items()]
        for _ in range(TRIES):
            while "unknown" in await hasty.append(batches):
                pass  # It has to be connected.
            ends = await patient.ends(ALL)
            primaries.servers[silent].pause()
            try:
                results = await hasty.append(batches)
            finally:
                primaries.servers[silent].resume()
            next_ends = [Position(terms[partition], ends[partition].n + 1) for partition in ALL]
            is_silent = [primaries.place_of(partition, cluster) == silent for partition in ALL]
            if results == ["unknown" if quiet else end for end, quiet in zip(next_ends, is_silent, strict=True)]:
                break  # On a busy machine another one may be as silent.
        else:
            pytest.fail(f"{results}")
    finally:
        hasty.close()
        patient.close()


@pytest.mark.long
async def test_nothing_is_lost_when_a_replica_takes_over(replaced: Primaries) -> None:
    async with three_nodes(RedisCluster(replaced.url)) as nodes:
        await nodes.some_more()
        replaced.servers[0].kill()
        await nodes.some_more()
        await trio.to_thread.run_sync(replaced.servers[0].start)
        await nodes.some_more()


@pytest.mark.long
async def test_nothing_is_lost_when_a_primary_comes_back_with_its_data(replaced: Primaries) -> None:
    async with three_nodes(RedisCluster(replaced.url)) as nodes:
        await nodes.some_more()
        replaced.servers[1].kill()
        await trio.to_thread.run_sync(replaced.servers[1].start)
        await nodes.some_more()


# ---------------------------------------------------------------------------------------------- what is no such cluster


def test_a_server_that_stands_alone_is_none(redis: RealServer) -> None:
    with held_port() as port:
        redis.command("CONFIG", "SET", "port", port)
        try:
            link = RedisCluster(f"redis+cluster://{HOST}:{port}", PATIENCE_S)()
            with pytest.raises(RedisError, match="cluster support disabled"):
                link.open()
        finally:
            redis.command("CONFIG", "SET", "port", 0)


def test_a_wrong_password_is_told_as_one(primaries: Primaries) -> None:
    url = f"redis+cluster://gochat@127.0.0.1:{primaries.ports[0]}"
    with pytest.raises(AuthenticationError) as caught:
        RedisCluster(url, PATIENCE_S, password="s3cret")().open()
    assert "s3cret" not in str(caught.value)


def test_hosts_that_are_not_there_are_an_error() -> None:
    with pytest.raises(RedisError, match="no node of the Redis Cluster says where its slots are") as caught:
        RedisCluster("redis+cluster://user:s3cret@127.0.0.1:1,127.0.0.1:2")().open()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis+cluster://",
        "redis+cluster://host/1",
        "redis+cluster://host,,other",
        "redis+cluster://host:x",
        "redis+cluster://host?colour=red",
    ],
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        RedisCluster(url)


# ---------------------------------------------------------------------------------------------- while one is away


class Counted:
    """A lock, and how many have come to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._come = threading.Semaphore(0)

    def __enter__(self) -> None:
        self._come.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def wait(self, count: int) -> None:
        for _ in range(count):
            assert self._come.acquire(timeout=PATIENCE_S)


def test_those_who_look_for_the_primaries_at_once_share_a_question(
    primaries: Primaries, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = RedisCluster(primaries.url, PATIENCE_S)
    lock, asked, request_map = Counted(), [0], cluster._request_map
    monkeypatch.setattr(cluster, "_asking", lock)

    def first_waits(opened: Callable[[ServerLink], None]) -> SlotMap:
        asked[0] += 1
        if asked[0] == 1:
            lock.wait(1 + 5)
        return request_map(opened)

    monkeypatch.setattr(cluster, "_request_map", first_waits)
    links = [cluster() for _ in range(6)]
    threads = [threading.Thread(target=link.open) for link in links]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert asked == [2], "those who came while one asked do not take that answer, which may be older"
    assert all(len(link.primaries()) == 3 for link in links)
    links[0].open()
    assert asked == [3], "one that comes later asks anew"
    for link in links:
        link.close()


async def test_a_link_that_waits_for_another_ones_question_keeps_nobody_waiting() -> None:
    cluster = RedisCluster("redis+cluster://127.0.0.1:1", PATIENCE_S)
    thread = LinkThread("waits", cluster)
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            with cluster._asking:
                nursery.start_soon(away, thread)
                await until(lambda: thread._link is not None)
                await thread.keep_to({0: "another"})
    thread.close()


async def away(thread: LinkThread) -> None:
    with pytest.raises(ServerAway):
        await thread.call(lambda link: link.call("PING"))


def test_a_redis_cluster_that_does_not_serve_is_an_error() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gc")))
        port, bus = stack.enter_context(held_port()), stack.enter_context(held_port())
        server = RealServer(
            folder, "--port", str(port), "--bind", HOST, "--cluster-enabled", "yes", "--cluster-port", str(bus)
        )
        stack.callback(server.kill)
        server.start()
        with pytest.raises(RedisError, match="does not serve: cluster_state is fail"):
            RedisCluster(f"redis+cluster://{HOST}:{port}", PATIENCE_S)().open()


def test_a_primary_that_did_not_answer_lately_is_the_first_to_be_connected_to(primaries: Primaries) -> None:
    cluster = RedisCluster(primaries.url, PATIENCE_S)
    link = cluster()
    link.open()
    name = primaries.spread_over(ALL)
    keys = [f"gc:{{{name}.{partition}}}:log" for partition in ALL]
    asked: list[Address] = []
    link_to = cluster.link_to
    cluster.link_to = lambda address: asked.append(address) or link_to(address)  # type: ignore[method-assign,func-returns-value]
    doubtful = Address(HOST, primaries.ports[primaries.place_of(3, name)])
    cluster.failed(doubtful)
    link.read_streams(dict.fromkeys(keys, START), 10, 0.0)
    assert asked[0] == doubtful and len(asked) == len(keys)
    link.close()
