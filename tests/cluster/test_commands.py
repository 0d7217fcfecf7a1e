"""`gochat cluster create`, `join` and `leave`, on a real server."""

from __future__ import annotations

import errno
import json
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import cli
from gochat.cluster import identity, layout
from gochat.commands.cluster import survey
from gochat.errors import ConfigError, StoreError
from gochat.replication import Answer
from gochat.store import folder, schema
from gochat.store.portable import cluster as of_cluster
from gochat.store.portable.backup import check
from gochat.store.write import log_state
from tests.cluster.operating import CONFIG, SECRET, Operator, fill, power_loss
from tests.cluster.real import RealServer
from tests.forked import Process


def epoch(data: Path) -> str:
    return check(folder.database(data)).epoch


def test_a_new_folder_becomes_a_clusters_and_others_join_without_a_backup(operator: Operator) -> None:
    one = operator.json("cluster", "create", "--data", operator.data("one"))
    assert (one["name"], one["was_empty"], one["begun"]) == ("gochat", True, True)
    assert identity.read(operator.folder / "one") == (one["cluster"], one["instance"], "gochat", False)
    two = operator.json("cluster", "join", "--data", operator.data("two"))
    assert two["cluster"] == one["cluster"] and two["instance"] != one["instance"]
    assert identity.read(operator.folder / "two") == (two["cluster"], two["instance"], "gochat", True)
    assert epoch(operator.folder / "one") == epoch(operator.folder / "two")
    copies = [of_cluster.read(folder.database(operator.folder / name)) for name in ("one", "two")]
    assert copies[0] == copies[1] is not None


def test_creating_again_changes_nothing_and_begins_no_log_that_was_lost(operator: Operator, redis: RealServer) -> None:
    one = operator.json("cluster", "create", "--data", operator.data("one"))
    again = operator.json("cluster", "create", "--data", operator.data("one"))
    assert again == {**one, "begun": False}
    redis.command("FLUSHALL")
    assert operator.json("cluster", "create", "--data", operator.data("one"))["begun"] is False
    assert redis.command("GET", "gc:name:gochat") == one["cluster"].encode()
    assert redis.command("EXISTS", f"gc:{{{one['cluster']}.0}}:log") == 0


def test_a_creation_that_was_cut_short_goes_on(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, redis: RealServer
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("gochat.cluster.layout.create", power_loss)
        operator.run("cluster", "create", "--data", operator.data("one"), code=130)
    with pytest.raises(ConfigError, match="belongs to the cluster"):
        folder.check_servable(operator.folder / "one")
    done = operator.json("cluster", "create", "--data", operator.data("one"))
    assert done["begun"] is True
    assert redis.command("GET", "gc:name:gochat") == done["cluster"].encode()


def test_a_folder_that_held_something_needs_a_backup(operator: Operator) -> None:
    fill(operator.folder / "one", "hello")
    before = epoch(operator.folder / "one")
    made = operator.json("cluster", "create", "--data", operator.data("one"))
    assert made["was_empty"] is False and epoch(operator.folder / "one") == before
    said = operator.run("cluster", "join", "--data", operator.data("two"), code=1)
    assert "a backup is needed" in said and "gochat backup" in said
    assert identity.read(operator.folder / "two") is None
    copy = operator.data("copy.db")
    operator.run("backup", copy, "--data", operator.data("one"))
    two = operator.json("cluster", "join", "--from", copy, "--data", operator.data("two"))
    assert epoch(operator.folder / "two") == before and two["kept"] is None
    found = check(folder.database(operator.folder / "two"))
    assert found.facts == check(folder.database(operator.folder / "one")).facts == 1


def test_new_numbers_count_from_above_all_that_were_there(operator: Operator) -> None:
    fill(operator.folder / "one", "hello")
    found = of_cluster.contents(folder.database(operator.folder / "one"))
    assert not found.is_empty and found.greatest == 1


def test_a_node_that_joins_has_answered_no_server(operator: Operator) -> None:
    """The node that its backup is of may have: it is made in the midst of a repair."""
    operator.run("cluster", "create", "--data", operator.data("one"))
    with closing(schema.connect(str(folder.database(operator.folder / "one")))) as connection:
        log_state.save_answers(connection, {0: Answer("a server", 2)})
    copy = operator.data("copy.db")
    operator.run("backup", copy, "--data", operator.data("one"))
    operator.run("cluster", "join", "--from", copy, "--data", operator.data("two"))
    with closing(schema.connect(str(folder.database(operator.folder / "two")))) as connection:
        assert log_state.answers(connection) == {}


def test_a_backup_from_before_is_refused(operator: Operator) -> None:
    fill(operator.folder / "one", "hello")
    copy = operator.data("copy.db")
    operator.run("backup", copy, "--data", operator.data("one"))
    operator.run("cluster", "create", "--data", operator.data("one"))
    said = operator.run("cluster", "join", "--from", copy, "--data", operator.data("two"), code=1)
    assert "made before `gochat cluster create`" in said
    assert not folder.database(operator.folder / "two").exists()


def test_a_backup_that_the_log_has_outrun_is_refused(operator: Operator, redis: RealServer) -> None:
    made = operator.json("cluster", "create", "--data", operator.data("one"))
    copy = operator.data("copy.db")
    operator.run("backup", copy, "--data", operator.data("one"))
    stream = f"gc:{{{made['cluster']}.3}}:log"
    (last,) = redis.command("XREVRANGE", stream, "+", "-", "COUNT", 1)
    term = last[0].partition(b"-")[0].decode()
    for _ in range(4):
        redis.command("XADD", stream, f"{term}-*", "e", "x")
    redis.command("XTRIM", stream, "MAXLEN", 2)
    for arguments in (["--from", copy], []):
        said = operator.run("cluster", "join", *arguments, "--data", operator.data("two"), code=1)
        assert "the log has dropped" in said and "gochat backup" in said


def test_another_cluster_of_the_name_is_refused(operator: Operator) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    said = operator.run("cluster", "create", "--data", operator.data("other"), code=1)
    assert "another cluster of the name gochat" in said and "cluster.name" in said
    assert identity.read(operator.folder / "other") is None
    folder.check_servable(operator.folder / "other")


def test_of_two_that_create_a_cluster_at_once_one_is_told_the_way_out(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(operator.folder / "late", "hello")
    before = epoch(operator.folder / "late")
    create = layout.create

    def after_another(*of: Any) -> int:
        monkeypatch.setattr(layout, "create", create)
        assert cli.run(["cluster", "create", "--config", str(operator.settings), "--data", operator.data("one")]) == 0
        return create(*of)

    monkeypatch.setattr(layout, "create", after_another)
    said = operator.run("cluster", "create", "--data", operator.data("late"), code=1)
    assert "another cluster of the name gochat" in said and "cluster.name" in said and "gochat cluster join" in said
    folder.check_servable(operator.folder / "late")
    assert epoch(operator.folder / "late") == before
    text = operator.settings.read_text()
    operator.settings.write_text(text.replace("[cluster]\n", '[cluster]\nname = "other"\n'))
    assert operator.json("cluster", "create", "--data", operator.data("late"))["begun"] is True


def test_a_creation_that_was_cut_short_can_be_given_up(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(layout, "create", power_loss)
        operator.run("cluster", "create", "--data", operator.data("one"), code=130)
    text = operator.settings.read_text()
    operator.settings.write_text(text.replace("[cluster]\n", '[cluster]\nname = "other"\n'))
    said = operator.run("cluster", "create", "--data", operator.data("one"), code=1)
    assert "set cluster.name to gochat, or give that cluster up" in said and "gochat cluster leave" in said
    operator.run("cluster", "leave", "--yes", "--data", operator.data("one"))
    operator.run("cluster", "create", "--data", operator.data("one"))


@pytest.mark.parametrize("command", [["cluster", "create"], ["cluster", "join"], ["cluster", "status"]])
def test_a_wrong_secret_is_found(operator: Operator, command: list[str]) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    operator.settings.write_text(
        operator.settings.read_text().replace(f'secret = "{SECRET}"', f'secret = "{"t" * 32}"', 1)
    )
    said = operator.run(*command, "--data", operator.data("one" if command[1] == "create" else "two"), code=1)
    assert "cluster.secret must be the same on all nodes" in said
    assert SECRET not in said and "t" * 32 not in said


def test_without_an_address_it_says_how(operator: Operator) -> None:
    operator.settings.write_text("")
    for command in ("create", "join", "status"):
        said = operator.run("cluster", command, "--data", operator.data("one"), code=3)
        assert "cluster.url is not set" in said and "--cluster redis://" in said


def test_a_server_that_is_not_there(operator: Operator) -> None:
    operator.settings.write_text(CONFIG.format(url=f"unix://{operator.folder}/absent", secret=SECRET))
    for command in ("create", "join", "status"):
        said = operator.run("cluster", command, "--data", operator.data("one"), code=5)
        assert "can't be reached" in said
    assert identity.read(operator.folder / "one") is None


@pytest.mark.parametrize("making", ["mkdtemp", "mkstemp"])
def test_a_disk_that_is_full_is_not_told_as_a_server_that_is_away(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, making: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{operator.data('two')}/.x")

    operator.run("cluster", "create", "--data", operator.data("one"))
    with monkeypatch.context() as patch:
        patch.setattr(f"tempfile.{making}", full)
        said = operator.run("cluster", "join", "--data", operator.data("two"), code=1)
    assert operator.data("two") in said and "no space left on device" in said.lower()
    assert "can't be reached" not in said and "cluster.url" not in said


def test_a_wrong_password(operator: Operator, redis: RealServer) -> None:
    redis.command("CONFIG", "SET", "requirepass", "right")
    try:
        redis.command("AUTH", "right")
        said = operator.run("cluster", "create", "--data", operator.data("one"), code=4)
        assert "GOCHAT_CLUSTER__PASSWORD" in said
        password = operator.folder / "password"
        password.write_text("right\n")
        text = operator.settings.read_text()
        operator.settings.write_text(text.replace("[cluster]\n", f'[cluster]\npassword_file = "{password}"\n'))
        operator.run("cluster", "create", "--data", operator.data("one"))
    finally:
        redis.command("CONFIG", "SET", "requirepass", "")


def test_who_leaves_has_a_chat_of_its_own_with_a_new_epoch(operator: Operator) -> None:
    fill(operator.folder / "one", "hello")
    operator.run("cluster", "create", "--data", operator.data("one"))
    before = epoch(operator.folder / "one")
    assert "--yes" in operator.run("cluster", "leave", "--data", operator.data("one"), code=2)
    assert operator.json("cluster", "leave", "--data", operator.data("one"), "--yes")["left"] == "gochat"
    folder.check_servable(operator.folder / "one")
    assert of_cluster.read(folder.database(operator.folder / "one")) is None
    assert epoch(operator.folder / "one") != before
    assert check(folder.database(operator.folder / "one")).facts == 1
    assert "belongs to no cluster" in operator.run("cluster", "leave", "--data", operator.data("one"), "--yes", code=1)


def test_no_command_takes_the_folder_of_a_node_that_waits_for_its_server(operator: Operator) -> None:
    """Its folder stays as the node read it, until it serves."""
    operator.run("cluster", "create", "--data", operator.data("one"))
    operator.settings.write_text(CONFIG.format(url=f"unix://{operator.folder}/absent", secret=SECRET))
    command = ["serve", "--data", operator.data("one"), "--config", str(operator.settings)]
    output, theirs = os.pipe()
    with Path(os.devnull).open() as nothing, os.fdopen(output) as said:
        process = Process(command, (nothing.fileno(), theirs, theirs))
        os.close(theirs)
        try:
            assert any("can't be used yet" in line for line in said)
            for taking in (["leave", "--yes"], ["join", "--yes"], ["create"]):
                refused = operator.run("cluster", *taking, "--data", operator.data("one"), code=3)
                assert f"another gochat works in this folder (process {process.pid})" in refused
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 0
    operator.run("cluster", "leave", "--yes", "--data", operator.data("one"))


def test_a_copied_database_is_served_by_nobody_alone(operator: Operator) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    (operator.folder / "copy").mkdir()
    folder.database(operator.folder / "one").rename(folder.database(operator.folder / "copy"))
    with pytest.raises(ConfigError, match="holds a copy of the cluster") as caught:
        folder.check_servable(operator.folder / "copy")
    assert "gochat cluster join" in caught.value.hint
    said = operator.run("cluster", "create", "--data", operator.data("copy"), code=1)
    assert "was copied from a node" in said


def test_restoring_makes_a_chat_of_its_own_and_spares_a_clusters_folder(operator: Operator) -> None:
    fill(operator.folder / "one", "hello")
    operator.run("cluster", "create", "--data", operator.data("one"))
    copy = operator.data("copy.db")
    operator.run("backup", copy, "--data", operator.data("one"))
    said = operator.run("restore", copy, "--data", operator.data("one"), "--yes", code=1)
    assert "belongs to a cluster" in said and "gochat cluster join" in said
    operator.run("restore", copy, "--data", operator.data("own"))
    folder.check_servable(operator.folder / "own")
    assert identity.read(operator.folder / "own") is None
    assert of_cluster.read(folder.database(operator.folder / "own")) is None
    own, cluster = epoch(operator.folder / "own"), epoch(operator.folder / "one")
    assert own != cluster


def test_all_that_is_there_for_a_clusters_sake_is_taken_away(tmp_path: Path) -> None:
    """A table with such a name that TABLES does not have would stay behind in databases that have left."""
    of_cluster.contents(tmp_path / "gochat.db")
    connection = schema.connect(str(tmp_path / "gochat.db"))
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert set(of_cluster.TABLES) <= tables
    assert {name for name in tables if name.startswith(("cluster", "log_"))} <= set(of_cluster.TABLES)


def test_the_doctor_looks_at_the_cluster(operator: Operator, redis: RealServer) -> None:
    def finding() -> dict[str, str]:
        operator._capsys.readouterr()
        cli.run(["doctor", "--json", "--config", str(operator.settings), "--data", operator.data("one")])
        found = {each["check"]: each for each in json.loads(operator._capsys.readouterr().out)}
        assert found["database"]["status"] == "ok", found["database"]
        return dict(found["cluster"])

    assert finding()["status"] == "fail" and "gochat cluster create" in finding()["hint"]
    operator.run("cluster", "create", "--data", operator.data("one"))
    assert finding()["status"] == "warn" and "set appendonly yes" in finding()["hint"]
    redis.command("CONFIG", "SET", "appendonly", "yes")
    try:
        assert finding()["status"] == "ok"
    finally:
        redis.command("CONFIG", "SET", "appendonly", "no")
    redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        assert "set noeviction" in finding()["hint"]
    finally:
        redis.command("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_status_of_a_cluster_without_nodes(operator: Operator) -> None:
    made = operator.json("cluster", "create", "--data", operator.data("one"))
    said = operator.run("cluster", "status", code=1)
    assert f"cluster gochat ({made['cluster']}) takes no messages" in said and "no node lives" in said


def test_ctrl_c_while_nodes_are_asked_ends_the_status(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    operator.run("cluster", "create", "--data", operator.data("one"))
    nodes = [survey.Node(f"i{n}", f"n{n}", f"http://{n}", 100, 0, True) for n in (1, 2)]
    monkeypatch.setattr(survey, "_told", lambda *_: (nodes, []))
    monkeypatch.setattr(survey.Peers, "ask", interrupted)
    assert operator.run("cluster", "status", code=130) == ""


def test_a_damaged_marker_is_no_folder_alone(operator: Operator) -> None:
    operator.run("cluster", "create", "--data", operator.data("one"))
    (operator.folder / "one" / identity.FILE_NAME).write_text("x\n")
    with pytest.raises(StoreError, match="is damaged"):
        identity.read(operator.folder / "one")
