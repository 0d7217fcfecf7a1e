"""A node's part in a cluster: found from its folder and settings, or refused with the way out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gochat import clustering
from gochat.cluster import identity
from gochat.commands.cluster.create import first_node
from gochat.config import Auth, Cluster, Node, Settings
from gochat.errors import ConfigError, GochatError
from gochat.store import folder
from gochat.store.portable import cluster as of_cluster
from tests.cluster.real import PATIENCE_S, RealServer

SECRET = "s" * 32


def settings(data: Path, url: str, **changed: str) -> Settings:
    section = Cluster(**{"url": url, "secret": SECRET, **changed})  # type: ignore[arg-type]
    return Settings(node=Node(name="one", data=str(data)), auth=Auth(secret=SECRET), cluster=section)


@pytest.fixture
def made(redis: RealServer, tmp_path: Path) -> Settings:
    """The settings of a cluster's first node."""
    found = settings(tmp_path / "one", redis.url)
    first_node(found)
    return found


def refused(changed: Settings) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        clustering.part_of(changed)
    return caught.value


def test_a_folder_says_which_node_it_is(made: Settings) -> None:
    first, second = clustering.part_of(made), clustering.part_of(made)
    marker = identity.read(Path(made.node.data))
    assert marker is not None
    assert (first.identity.cluster, first.identity.instance) == (marker.cluster, marker.instance)
    assert first.identity.boot != second.identity.boot
    assert first.layout.above == first.identity.above == 0


def test_a_folder_of_no_cluster(redis: RealServer, tmp_path: Path) -> None:
    error = refused(settings(tmp_path, redis.url))
    assert error.key == "node.data" and "belongs to no cluster" in error.problem
    assert "gochat cluster create" in error.hint and "gochat cluster join" in error.hint


def test_another_name_and_another_secret(made: Settings) -> None:
    place = Path(made.node.data)
    error = refused(settings(place, made.cluster.url, name="other"))
    assert error.key == "cluster.name" and "gochat" in error.hint
    error = refused(settings(place, made.cluster.url, secret="t" * 32))
    assert error.key == "cluster.secret" and SECRET not in str(error)


@pytest.mark.parametrize("half", ["database", "begun", "row"])
def test_a_folder_that_became_a_clusters_by_half(made: Settings, half: str) -> None:
    database = folder.database(Path(made.node.data))
    copy = of_cluster.read(database)
    assert copy is not None
    if half == "database":
        database.unlink()
    elif half == "begun":
        of_cluster.mark(database, copy._replace(begun=False))
    else:
        of_cluster.release(database)
    assert "again" in refused(made).hint


def test_the_secret_may_be_a_file(made: Settings, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    in_file = settings(Path(made.node.data), made.cluster.url, secret="", secret_file=str(file))
    assert clustering.part_of(in_file).identity.secret == SECRET
    for content, said in (("", "one line"), ("short", "at least 32 bytes"), (f"{SECRET}\n{SECRET}", "one line")):
        file.write_text(content)
        error = refused(in_file)
        assert error.key == "cluster.secret_file" and said in error.problem
    file.unlink()
    assert "no such file" in refused(in_file).problem


async def test_a_server_that_is_fit_is_found(made: Settings) -> None:
    with trio.fail_after(PATIENCE_S):
        assert (await clustering.find_server(made)).identity.cluster


async def test_a_server_that_is_not_is_refused(made: Settings, redis: RealServer) -> None:
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with trio.fail_after(PATIENCE_S), pytest.raises(ConfigError) as caught:
            await clustering.find_server(made)
    finally:
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert caught.value.key == "cluster.url" and "set noeviction" in caught.value.hint


async def test_a_server_that_is_full_is_found(made: Settings, redis: RealServer) -> None:
    """A node that starts helps to trim it."""
    redis.command("CONFIG", "SET", "maxmemory", 1)
    with trio.fail_after(PATIENCE_S):
        assert (await clustering.find_server(made)).identity.cluster


async def test_a_server_that_comes_up_later_is_waited_for(own_redis: RealServer, tmp_path: Path) -> None:
    own_redis.start()
    made = settings(tmp_path / "one", own_redis.url)
    await trio.to_thread.run_sync(first_node, made)
    own_redis.kill()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, own_redis.start)
            await clustering.find_server(made)


async def test_a_server_that_does_not_come_ends_the_start(
    made: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "PATIENCE_S", 0.0)
    monkeypatch.setattr(clustering, "RETRY_S", 0.01)
    away = settings(Path(made.node.data), f"unix://{tmp_path}/absent")
    with trio.fail_after(PATIENCE_S), pytest.raises(GochatError, match=r"can't be used: .*; start it") as caught:
        await clustering.find_server(away)
    assert not isinstance(caught.value, ConfigError), "a supervisor would not start the node again"


async def test_name_and_layout_are_put_back_while_a_node_runs(
    made: Settings, redis: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clustering, "REGISTER_S", 0.01)
    with trio.fail_after(PATIENCE_S):
        part = await clustering.find_server(made)
        async with clustering.shared(made, part) as shared:
            assert (shared.identity, shared.name) == (part.identity, "one")
            assert shared.url == "http://127.0.0.1:8080"
            redis.command("FLUSHALL")
            while redis.command("GET", "gc:name:gochat") is None:
                await trio.sleep(0.01)
            assert await shared.log.fences([0]) is not None
    assert redis.command("GET", "gc:name:gochat") == part.identity.cluster.encode()


async def test_a_server_that_is_not_fit_any_more_is_told_of_while_a_node_runs(
    made: Settings, redis: RealServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clustering, "REGISTER_S", 0.01)
    monkeypatch.setattr(clustering, "LOOK_S", 0.01)
    with trio.fail_after(PATIENCE_S):
        async with clustering.shared(made, await clustering.find_server(made)) as shared:
            assert shared.watch is not None and shared.watch.problem is None
            redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            try:
                while shared.watch.problem is None:
                    await trio.sleep(0.01)
            finally:
                redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            assert "set noeviction" in caplog.text
            while shared.watch.problem is not None:
                await trio.sleep(0.01)


def test_where_others_reach_a_node(tmp_path: Path) -> None:
    assert (
        clustering.advertised(settings(tmp_path, "redis://a", advertise="https://chat.example/"))
        == "https://chat.example"
    )


def test_a_node_alone_loads_no_redis() -> None:
    code = "import gochat.process, sys; sys.exit(any(name.partition('.')[0] == 'redis' for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)
