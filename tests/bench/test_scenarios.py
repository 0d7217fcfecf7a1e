"""The scenarios, run against a stand-in server in a process of its own: what they measure, and what they catch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import bench.limit
from bench.faults import Broken, Fault
from bench.load.outcome import Length
from bench.load.wire import WIRES
from bench.scenarios import dm, fanout, idle
from bench.scenarios.stage import Stage
from tests.bench.stages import SHARED, STANDIN

ROOT = Path(__file__).parent.parent.parent
LENGTH = Length(1.0, messages=60, patience_s=30.0)
#: For faults that nothing but a silence shows.
IMPATIENT = LENGTH._replace(patience_s=0.3)
FANOUT = fanout.Options(LENGTH, members=60, window=16, turns=1, yardsticks=False)
DM = dm.Options(LENGTH, pairs=4, windows=(1, 16), turns=1, yardsticks=False)


def stage(folder: Path, transport: str = "ws", faults: str = "") -> Stage:
    return Stage(folder, SHARED, WIRES[transport], (STANDIN, *faults.split()))


@pytest.mark.parametrize("transport", WIRES)
def test_fanout_counts_every_delivery(tmp_path: Path, transport: str) -> None:
    ((measure,), _) = fanout.run(stage(tmp_path, transport), FANOUT)
    assert measure.messages == 60
    assert measure.value == pytest.approx(60 * 60 / measure.seconds)
    assert measure.latency_ns
    assert max(measure.latency_ns) < measure.seconds * 1e9
    assert measure.server_rss_mb > 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("transport", WIRES)
def test_dm_counts_what_is_acked_and_delivered_at_each_window(tmp_path: Path, transport: str) -> None:
    measures, _ = dm.run(stage(tmp_path, transport), DM)
    assert [(measure.load, measure.messages) for measure in measures] == [
        ("dm 4 pairs W=1", 60),
        ("dm 4 pairs W=16", 60),
    ]


def test_the_yardsticks_run_in_turn_with_the_server(tmp_path: Path) -> None:
    drawn = fanout.run(stage(tmp_path), FANOUT._replace(yardsticks=True, turns=2))
    turns = [(measure.target, measure.turn) for measure in drawn.measures]
    assert turns == [(name, turn) for turn in (1, 2) for name in ("gochat", "limit", "limit, single sends")]
    drawn = dm.run(stage(tmp_path), DM._replace(yardsticks=True))
    assert [measure.target for measure in drawn.measures] == ["gochat", "gochat", "echo", "echo"]
    assert {bound.at_least for bound in drawn.bounds} == {0.45, 2.0}


def test_idle_makes_its_data_and_measures_memory_for_each_user(tmp_path: Path) -> None:
    ((measure,), (bound,)) = idle.run(stage(tmp_path), idle.Options(users=8, turns=1, settle_s=0.1))
    assert (measure.unit, bound.at_most) == ("KB/user", 25.0)
    assert measure.value > 0


def test_idle_catches_a_server_that_forgot_the_rooms(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"expected 1 group and 3 private rooms, welcome told of \(0, 0\)"):
        idle.run(stage(tmp_path, faults="--fault forget"), idle.Options(users=4, turns=1, settle_s=0.1))


@pytest.mark.parametrize("victim", ["u0000", "u0059"])
@pytest.mark.parametrize("fault", ["drop", "repeat", "swap", "body"])
def test_fanout_catches_one_wrong_message(tmp_path: Path, fault: str, victim: str) -> None:
    options = FANOUT
    with pytest.raises(Fault, match=r"u00\d\d: .*\b[34]\d\b"):
        fanout.run(stage(tmp_path, faults=f"--fault {fault} --at 30 --victim {victim}"), options)


@pytest.mark.parametrize(
    ("fault", "victim"), [("drop", "b0002"), ("repeat", "a0000"), ("swap", "b0002"), ("body", "a0000")]
)
def test_dm_catches_one_wrong_message(tmp_path: Path, fault: str, victim: str) -> None:
    # With one message in flight no other message of the pair is there to be swapped with, or to show a loss.
    options = DM._replace(windows=(8,))
    with pytest.raises(Fault, match=victim):
        dm.run(stage(tmp_path, faults=f"--fault {fault} --at 7 --victim {victim}"), options)


@pytest.mark.parametrize(
    ("victim", "owed"), [("u0003", r"some to 1 of them \['u0003'\]"), ("u0000", "1 facts to the sender")]
)
def test_fanout_misses_a_lost_last_message(tmp_path: Path, victim: str, owed: str) -> None:
    with pytest.raises(Fault, match=owed):
        fanout.run(stage(tmp_path, faults=f"--fault drop --at 67 --victim {victim}"), FANOUT._replace(length=IMPATIENT))


def test_dm_misses_a_lost_message_where_none_follows(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"1 acks or deliveries, in the pairs of 1 senders \['a0002'\]"):
        dm.run(
            stage(tmp_path, faults="--fault drop --at 2 --victim b0002"), DM._replace(length=IMPATIENT, windows=(1,))
        )


def test_dm_misses_the_senders_own_copy_of_the_last_message(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"in the pairs of 1 senders \['a0000'\]"):
        dm.run(
            stage(tmp_path, faults="--fault drop --at 67 --victim a0000"),
            DM._replace(length=IMPATIENT, pairs=1, windows=(4,)),
        )


@pytest.mark.parametrize(("fault", "said"), [("ack", "expected for id 30"), ("refuse", "error busy: a queue is full")])
def test_a_wrong_answer_to_the_sender_is_caught(tmp_path: Path, fault: str, said: str) -> None:
    with pytest.raises(Fault, match=f"u0000: .*{said}"):
        fanout.run(stage(tmp_path, faults=f"--fault {fault} --at 30"), FANOUT)


def test_a_server_that_dies_is_named_with_its_status(tmp_path: Path) -> None:
    with pytest.raises(
        Broken, match=r"the server ended with status -9; the server's last words:\nlistening on http://127"
    ):
        fanout.run(stage(tmp_path, faults="--fault die --at 30"), FANOUT)


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=r"(?s)status 2 before it was ready.*unrecognized arguments: --nonsense"):
        fanout.run(stage(tmp_path, faults="--nonsense"), FANOUT)


def test_the_yardsticks_stay_small() -> None:
    for path in Path(bench.limit.__file__).parent.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path


def bench_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_the_command_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    arguments = ["--messages", "50", "--turns", "1", "--data", str(tmp_path), "--out", str(out), "--program", STANDIN]
    done = bench_command("dm", "--pairs", "4", "--window", "2", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "dm 4 pairs W=2  gochat" in done.stdout
    run = json.loads(out.read_text())
    assert [(row["target"], row["unit"]) for row in run["rows"]] == [("gochat", "messages/s"), ("echo", "messages/s")]
    assert {"cpu", "cores", "python", "sqlite", "commit", "durable", "data"} <= run["environment"].keys()


def test_the_command_prints_no_figure_for_a_server_at_fault(tmp_path: Path) -> None:
    program = f"{STANDIN} --fault drop --at 3 --victim u0001"
    done = bench_command("fanout", "--members", "60", "--turns", "1", "--data", str(tmp_path), "--program", program)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no figure: u0001: ")
    assert "seq 4 " in done.stderr.splitlines()[0]
    assert "the server's last words:\nlistening on http://127.0.0.1:" in done.stderr
    assert "Traceback" not in done.stderr
