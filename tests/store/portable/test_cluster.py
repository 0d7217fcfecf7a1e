"""A cluster's folder is changed by nothing but the cluster's log: the commands that write past a node refuse it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from gochat import cli
from gochat import store as stores
from gochat.commands.doctor import examine
from gochat.errors import ConfigError, StoreError
from gochat.node import running
from gochat.store import folder
from gochat.store.portable.delete_user import delete_user, release_user
from gochat.store.portable.export_room import export_room
from gochat.store.portable.import_room import import_room
from gochat.store.write.retention import expire_all
from tests.contracts.scribe import Scribe
from tests.e2e.conftest import make_settings

DM = "dm:ann:bob"
WRITING: dict[str, Callable[[Path], object]] = {
    "import": lambda database: import_room(database.parent / "room.sqlite", database),
    "delete": lambda database: delete_user(database, "ann", now_ms=9000),
    "release": lambda database: release_user(database, "ann", now_ms=9000),
    "expire": lambda database: expire_all(database, (1, 1), 1 << 42),
}


async def lived(path: Path) -> None:
    async with stores.open(path) as store:
        await (await Scribe.at(store, DM)).said("one", "two")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "gochat.db"
    trio.run(lived, path)
    export_room(path, DM, tmp_path / "room.sqlite", now_ms=5000)
    return path


@pytest.mark.parametrize("write", WRITING)
def test_commands_that_write_refuse_a_clusters_folder(database: Path, write: str) -> None:
    (database.parent / folder.CLUSTER).write_text("c1\n", encoding="ascii")
    before = hashlib.sha256(database.read_bytes()).digest()
    with pytest.raises(StoreError, match="belongs to a cluster"):
        WRITING[write](database)
    assert hashlib.sha256(database.read_bytes()).digest() == before


@pytest.mark.parametrize("write", ["delete", "expire", "import"])
def test_a_folder_of_its_own_is_written_to(database: Path, write: str) -> None:
    WRITING[write](database)


def test_reading_is_free(database: Path, tmp_path: Path) -> None:
    (database.parent / folder.CLUSTER).write_text("c1\n", encoding="ascii")
    assert export_room(database, DM, tmp_path / "again.sqlite", now_ms=5000).messages == 2


def test_a_node_that_knows_no_log_does_not_serve_it(database: Path) -> None:
    (database.parent / folder.CLUSTER).write_text("c1\n", encoding="ascii")
    before = hashlib.sha256(database.read_bytes()).digest()

    async def serve() -> None:
        async with running(make_settings(database.parent)):
            raise AssertionError("it serves")

    with pytest.raises(ConfigError, match="belongs to the cluster c1") as caught:
        trio.run(serve)
    assert "gochat restore" in caught.value.hint
    assert hashlib.sha256(database.read_bytes()).digest() == before
    copy, own = str(database.parent / "copy.db"), database.parent / "own"
    assert cli.run(["backup", copy, "--data", str(database.parent)]) == 0
    assert cli.run(["restore", copy, "--data", str(own)]) == 0
    folder.check_servable(own)


def test_the_doctor_says_so_too(tmp_path: Path) -> None:
    (tmp_path / folder.CLUSTER).write_text("c1\n", encoding="ascii")
    found = {finding.check: finding for finding in examine(make_settings(tmp_path))}["database"]
    assert found.status == "fail" and "belongs to the cluster c1" in found.detail and "gochat restore" in found.hint


def test_the_marker_is_the_nodes_own_and_holds_the_clusters_id(tmp_path: Path) -> None:
    assert folder.cluster(tmp_path) is None
    (tmp_path / folder.CLUSTER).write_text("c1\ninstance\nname\n", encoding="ascii")
    assert folder.cluster(tmp_path) == "c1"
    assert folder.owns(folder.CLUSTER)
    (tmp_path / folder.CLUSTER).write_bytes(b"\xff")
    with pytest.raises(StoreError, match="can't be read"):
        folder.check_alone(tmp_path / "gochat.db")
