"""`gochat cluster join` into a folder that another node was, or still is."""

from __future__ import annotations

import errno
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


#: Does after an error what nobody does after a loss of power.
PUT_BACK = "gochat.store.portable.restore._put_back"


@contextmanager
def ended_before_the_database_goes(
    monkeypatch: pytest.MonkeyPatch, place: Path, error: BaseException, *, with_log: bool
) -> Iterator[None]:
    """Have the step fail that puts another database in its place. `with_log`: the old one's log is not brought into it
    before, as where the disk is full."""
    replace = Path.replace

    def fail(path: Path, target: Path | str) -> Path:
        if Path(target) == folder.database(place):
            raise error
        return replace(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        if with_log:
            patch.setattr("gochat.store.portable.restore._checkpoint", lambda _: None)
        yield


def contents(place: Path) -> dict[str, bytes]:
    """The node's database, its log and the node's name, and whatever was kept of them."""
    found = {file.name: file.read_bytes() for file in place.glob("gochat.*") if not file.name.endswith("-shm")}
    return {name: content for name, content in found.items() if content}  # A look inside leaves an empty log.


@pytest.fixture
def killed(operator: Operator) -> identity.Marker:
    """A node that counts and was killed, in the folder two; one serves no more either."""
    operator.run("cluster", "create", "--data", operator.data("one"))
    operator.run("cluster", "join", "--data", operator.data("two"))
    with serving(operator, "two"):
        pass
    marker = identity.read(operator.folder / "two")
    assert marker is not None
    return marker


@pytest.mark.usefixtures("killed")
@pytest.mark.parametrize("with_log", [True, False])
@pytest.mark.parametrize(
    ("error", "code"), [(OSError(errno.EIO, os.strerror(errno.EIO)), 1), (KeyboardInterrupt(), 130)]
)
def test_a_join_that_fails_leaves_the_node_as_it_was(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, with_log: bool
) -> None:
    place = operator.folder / "two"
    before = contents(place)
    with ended_before_the_database_goes(monkeypatch, place, error, with_log=with_log):
        operator.run("cluster", "join", "--yes", "--replace-counting", "--data", str(place), code=code)
    after = contents(place)
    if with_log:
        assert after == before and len(before["gochat.db-wal"]) > 0
    else:
        assert after.keys() == before.keys() - {"gochat.db-wal"}
    with serving(operator, "two") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.parametrize(("with_log", "log_is_aside"), [(True, True), (True, False), (False, False)])
def test_a_join_that_was_cut_short_before_the_database_went_loses_no_node_that_counts(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, killed: identity.Marker, with_log: bool, log_is_aside: bool
) -> None:
    """No command takes it for a folder that is no node's, and all name the files by which it is a node again."""
    place = operator.folder / "two"
    backup = operator.data("copy.db")
    operator.run("backup", backup, "--data", operator.data("one"))
    before = contents(place)

    def cut_short() -> None:
        error = KeyboardInterrupt()
        with (
            ended_before_the_database_goes(monkeypatch, place, error, with_log=with_log),
            monkeypatch.context() as patch,
        ):
            patch.setattr(PUT_BACK, power_loss)
            if not log_is_aside:
                patch.setattr("gochat.store.portable.restore._log_aside", power_loss)
            operator.run("cluster", "join", "--yes", "--replace-counting", "--data", str(place), code=130)
        assert identity.read(place) is None and folder.cut_short(place) is not None

    cut_short()
    left = contents(place)
    (kept_marker,) = place.glob("gochat.cluster.replaced-*")
    logs = [*place.glob("gochat.db.replaced-*-wal")]
    assert len(logs) == log_is_aside
    settings, _ = read(operator.settings, {}, {"node.data": str(place)})
    refusals = [
        operator.run(*command, "--data", str(place), code=3)
        for command in (["cluster", "leave", "--yes"], ["cluster", "create"], ["restore", backup, "--yes"])
    ]
    for look in (lambda: folder.check_servable(place), lambda: clustering.part_of(settings.settings)):
        with pytest.raises(ConfigError) as caught:
            look()
        refusals.append(f"{caught.value} {caught.value.hint}")
    for said in refusals:
        assert "cut short" in said and all(str(file) in said for file in (kept_marker, *logs))
        assert "gochat cluster join" in said and "--from BACKUP" not in said
    assert "belongs to a cluster" in operator.run("user", "delete", "ann", "--yes", "--data", str(place), code=1)
    with monkeypatch.context() as patch:
        operated_by_hand(patch, "y\nn\n")
        assert "which counts" in operator.run("cluster", "join", "--data", str(place), code=130)
        assert folder.cut_short(place) is not None
    assert contents(place) == left

    said = operator.run("cluster", "join", "--yes", "--data", str(place), code=1)
    assert f"is of node {killed.instance}, which counts" in said
    assert identity.read(place) == killed
    if with_log:
        assert contents(place) == before
    assert contents(place).keys() == before.keys() - (set() if with_log else {"gochat.db-wal"})

    cut_short()
    for file in place.glob("gochat.*.replaced-*"):
        stem, _, rest = file.name.partition(".replaced-")
        if stem == "gochat.cluster" or rest.endswith("-wal"):
            file.rename(place / (stem + ("-wal" if rest.endswith("-wal") else "")))
    with serving(operator, "two") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_join_that_was_cut_short_goes_on_and_keeps_the_node(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, killed: identity.Marker
) -> None:
    place = operator.folder / "two"
    command = ["cluster", "join", "--yes", "--replace-counting", "--data", str(place)]
    error = KeyboardInterrupt()
    with ended_before_the_database_goes(monkeypatch, place, error, with_log=True), monkeypatch.context() as patch:
        patch.setattr(PUT_BACK, power_loss)
        operator.run(*command, code=130)
    joined = operator.json(*command)
    assert identity.read_file(Path(joined["kept_marker"])) == killed
    assert of_cluster.counts(Path(joined["kept"]), killed.instance)
    assert [*place.glob("gochat.db.replaced-*Z")] == [Path(joined["kept"])]


@pytest.mark.parametrize(
    ("step", "is_old"),
    [("_sync", True), ("_aside", True), ("_marker_aside", True), ("newest.Note", False)],
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
        patch.setattr(PUT_BACK, power_loss)
        operator.run(*command, code=130)
    settings, _ = read(operator.settings, {}, {"node.data": str(place)})
    if is_old:
        assert identity.read(place) == before
    else:
        assert identity.read(place) is None and folder.cut_short(place) is None
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
