"""`gochat cluster join` into a folder that another node was, or still is."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gochat import clustering
from gochat.cluster import identity
from gochat.errors import ConfigError
from gochat.settings import read
from gochat.store import folder
from gochat.store.portable import cluster as of_cluster
from gochat.store.portable.backup import check
from tests.cluster.operating import Operator, fill, power_loss
from tests.cluster.real import PATIENCE_S, RealServer
from tests.forked import Process


@contextmanager
def serving(operator: Operator, name: str) -> Iterator[Process]:
    """A node of the cluster that counts, in a process of its own, which is killed at the end if it is still there."""
    marker = identity.read(operator.folder / name)
    assert marker is not None
    flags = ["--data", operator.data(name), "--config", str(operator.settings)]
    flags += ["--http", "127.0.0.1:0", "--tcp", "", "--nng", ""]
    output, theirs = os.pipe()
    with Path(os.devnull).open() as nothing, os.fdopen(output) as said:
        environ = {**os.environ, "GOCHAT_CLUSTER__ADVERTISE": "http://127.0.0.1:1"}
        process = Process(["serve", *flags], (nothing.fileno(), theirs, nothing.fileno()), env=environ)
        os.close(theirs)
        try:
            assert "listening" in said.readline()
            deadline = time.monotonic() + PATIENCE_S
            while not of_cluster.counts(folder.database(operator.folder / name), marker.instance):
                assert time.monotonic() < deadline and process.returncode is None
                time.sleep(0.01)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def operated_by_hand(monkeypatch: pytest.MonkeyPatch, answers: str) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answers))


def test_a_replaced_database_is_kept(operator: Operator) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    fill(operator.folder / "two", "hello")
    assert "--yes" in operator.run("cluster", "join", "--data", operator.data("two"), code=2)
    done = operator.json("cluster", "join", "--data", operator.data("two"), "--yes")
    assert check(Path(done["kept"])).facts == 1
    assert check(folder.database(operator.folder / "two")).facts == 0


def test_a_node_that_was_killed_is_replaced_only_where_that_is_asked_for(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, redis: RealServer
) -> None:
    one = operator.json("cluster", "create", "--data", operator.data("one"))
    place = operator.folder / "one"
    with serving(operator, "one"):
        pass
    files = [folder.database(place), place / identity.FILE_NAME]
    before = [file.read_bytes() for file in files]
    said = operator.run("cluster", "join", "--yes", "--data", operator.data("one"), code=1)
    assert f"is of node {one['instance']}, which counts" in said and "no other node has" in said
    assert "--replace-counting" in said and "gochat cluster forget" in said
    with monkeypatch.context() as patch:
        operated_by_hand(patch, "y\nn\n")
        said = operator.run("cluster", "join", "--data", operator.data("one"), code=130)
        assert "which counts" in said
    assert [file.read_bytes() for file in files] == before
    with monkeypatch.context() as patch:
        operated_by_hand(patch, "y\ny\n")
        joined = operator.json("cluster", "join", "--data", operator.data("one"))
    assert joined["instance"] != one["instance"]
    (operator.folder / "back").mkdir()
    for name, kept in zip(("gochat.db", "gochat.cluster"), (joined["kept"], joined["kept_marker"]), strict=True):
        Path(kept).rename(operator.folder / "back" / name)
    found = identity.read(operator.folder / "back")
    assert found is not None and found.instance == one["instance"]
    with serving(operator, "back") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_node_that_was_stopped_in_order_is_replaced_like_any_folder(operator: Operator) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    operator.run("cluster", "join", "--data", operator.data("two"))
    with serving(operator, "one"), serving(operator, "two") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    operator.run("cluster", "join", "--yes", "--data", operator.data("two"))


@pytest.mark.parametrize("broken", ["gochat.db", "gochat.cluster"])
def test_a_folder_that_can_not_be_read_may_be_of_a_node_that_counts(operator: Operator, broken: str) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    (operator.folder / "one" / broken).write_bytes(b"what the disk left of it\n")
    said = operator.run("cluster", "join", "--yes", "--data", operator.data("one"), code=1)
    assert "may be of a node that counts" in said
    done = operator.json("cluster", "join", "--yes", "--replace-counting", "--data", operator.data("one"))
    assert Path(done["kept"]).exists() and Path(done["kept_marker"]).exists()


@pytest.mark.parametrize(
    ("step", "is_old"),
    [("_sync", True), ("_aside", True), ("_marker_aside", True), ("sync_folder", False), ("newest.Note", False)],
)
@pytest.mark.parametrize("counts", [True, False])
def test_a_join_that_was_cut_short_leaves_no_node_that_another_one_was(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, step: str, is_old: bool, counts: bool
) -> None:
    """The folder is what it was, or refused with the way out; and the command may be run again."""
    operator.run("cluster", "create", "--data", operator.data("one"))
    place = operator.folder / "two"
    if counts:
        operator.run("cluster", "join", "--data", str(place))
        with serving(operator, "two"):
            pass
    else:
        fill(place, "hello")
    before = identity.read(place)

    command = ["cluster", "join", "--yes", "--replace-counting", "--data", str(place)]
    with monkeypatch.context() as patch:
        patch.setattr(f"gochat.store.portable.restore.{step}", power_loss)
        operator.run(*command, code=130)
    settings, _ = read(operator.settings, {}, {"node.data": str(place)})
    if is_old:
        assert identity.read(place) == before
    else:
        assert identity.read(place) is None
        with pytest.raises(ConfigError) as caught:
            clustering.part_of(settings.settings)
        assert "join --from BACKUP" in caught.value.hint and "cut short" in caught.value.hint
    if is_old and before is None:
        folder.check_servable(place)
    else:
        with pytest.raises(ConfigError):
            folder.check_servable(place)
    joined = operator.json(*command)
    assert joined["instance"] == clustering.part_of(settings.settings).identity.instance
    assert before is None or joined["instance"] != before.instance
    kept = [file.read_text().split() for file in place.glob("gochat.cluster.replaced-*")]
    old = [] if before is None else [[*before[:3], *(["joined"] if before.joined else [])]]
    assert kept == old, "by that the node may come back"
