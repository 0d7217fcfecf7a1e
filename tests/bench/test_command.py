"""The command line: files, thresholds, statuses, help."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.progress import Progress, Watch
from bench.server import ROOT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


def test_a_run_writes_its_files_and_judges_its_thresholds(tmp_path: Path) -> None:
    out, page, log = (tmp_path / name for name in ("run.json", "run.html", "run.hlog"))
    arguments = ["mixed", "--users", "12", "--rooms", "3", "--rate", "60", "--seconds", "1", "--data", str(tmp_path)]
    files = ["--out", str(out), "--html", str(page), "--hdr", str(log)]
    done = bench(*arguments, *files, "--threshold", "deliver.p99<20s", "--threshold", "value>1e12")
    assert (done.returncode, done.stderr) == (3, "")
    *_, good, bad = done.stdout.splitlines()
    assert good.startswith("holds: deliver.p99<20s: mixed 12 users 60/s, gochat: ")
    assert bad.startswith("DOES NOT HOLD: value>1e12: mixed 12 users 60/s, gochat: ")
    run = json.loads(out.read_text())
    assert run["schema"] == "gochat-bench/1"
    assert {"p50", "p90", "p99", "p99.9", "max"} == run["rows"][0]["latencies"]["deliver"].keys()
    assert run["measures"][0]["hdr"]["deliver"] in log.read_text()
    assert "<svg" in page.read_text()
    assert CliRunner().invoke(main, ["compare", str(out), str(out)]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fanout", "--transport", "rest"], "only dm sends by REST"),
        (["dm", "--threshold", "fast"], "write it as deliver.p99<50ms"),
        (["slow-readers", "--members", "5", "--slow", "4"], "at least two members must read"),
        (["compare", "one.json"], "Missing argument 'AFTER'"),
        (["compare", "none.json", "none.json"], "none.json: "),
        (["dm", "--url", "http://127.0.0.1:1"], "give ws://HOST:PORT"),
        (["dm", "--url", "ws://127.0.0.1:1"], "--url needs --secret"),
        (["dm", "--url", "ws://127.0.0.1:1", "--secret", "s" * 32, "--rules", "full"], "--rules needs a server"),
        (["idle", "--url", "ws://127.0.0.1:1", "--secret", "s" * 32], "needs a server that the harness starts"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_explains_itself_with_examples(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"python -m bench {command}" in result.output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_only() -> None:
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        Watch(Progress(stream), "dm, gochat, turn 1", 0).begin(5.0)
    assert "dm, gochat, turn 1" in terminal.getvalue()
    assert file.getvalue() == ""
