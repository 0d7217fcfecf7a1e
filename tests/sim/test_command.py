"""`gochat sim`, as a person or a script calls it."""

from __future__ import annotations

import json
from pathlib import Path

import click.testing
import msgspec
import pytest

import gochat.cli
import gochat.domain.relationship
from gochat.commands import EXIT_FAILED, EXIT_OK, EXIT_USAGE, CommandError
from gochat.commands.sim import sim
from gochat.sim import Plan, draw, play
from tests.cluster.planting import plant


def call(*arguments: str, code: int = EXIT_OK) -> list[str]:
    """The lines it prints."""
    # As `gochat` would: a command keeps the help option of its first call, and the reference shows it.
    settings = gochat.cli.gochat.context_settings
    done = click.testing.CliRunner().invoke(sim, arguments, standalone_mode=False, **settings)
    if done.exception is not None:
        raise done.exception
    assert done.return_value == code, done.output
    return done.output.splitlines()


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(
        monkeypatch,
        gochat.domain.relationship,
        "    if mine.blocked_at is not None or theirs.blocked_at is not None:\n",
        "    if False:\n",
    )


def test_some_seeds() -> None:
    (told,) = call("--seeds", "3", "--first", "7")
    assert told.startswith("3 seeds, ")
    assert told.endswith("all is well")


def test_one_seed_with_its_trace() -> None:
    *trace, seed, _ = call("--seed", "3", "--trace")
    assert seed.startswith("seed 3: all is well (trace ")
    assert any(' > {"id":' in line for line in trace)


def test_a_script_reads_objects() -> None:
    seed, total = map(json.loads, call("--seed", "3", "--json"))
    assert seed == {"seed": 3, "trace": seed["trace"], "violations": []}
    assert (total["seeds"], total["failed"]) == (1, [])


def test_a_seed_that_fails_is_told_with_a_smaller_plan(broken: None, tmp_path: Path) -> None:
    seed = next(seed for seed in range(200) if play(draw(seed)).violations)
    file = tmp_path / "plan.json"
    line, total = call("--seed", str(seed), "--json", "--tries", "40", "--save", str(file), code=EXIT_FAILED)
    told = json.loads(line)
    assert "stands above" in told["violations"][0]
    assert json.loads(total)["failed"] == [seed]
    smaller = Plan.from_json(file.read_bytes())
    assert told["plan"] == msgspec.to_builtins(smaller)
    assert len(smaller.to_json()) < len(draw(seed).to_json())
    again = call("--plan", str(file), "--tries", "0", code=EXIT_FAILED)
    assert again[0].startswith(f"seed {seed}: ")


def test_a_plan_that_can_not_be_saved_is_told_all_the_same(broken: None, tmp_path: Path) -> None:
    seed = next(seed for seed in range(200) if play(draw(seed)).violations)
    arguments = ["--seed", str(seed), "--json", "--tries", "0", "--save", str(tmp_path / "missing" / "plan.json")]
    done = click.testing.CliRunner().invoke(sim, arguments, standalone_mode=False)
    assert isinstance(done.exception, CommandError) and "no such file" in str(done.exception)
    assert json.loads(done.output)["plan"]["seed"] == seed


def test_a_plan_goes_to_a_file_wherever_a_link_leads(broken: None, tmp_path: Path) -> None:
    seed = next(seed for seed in range(200) if play(draw(seed)).violations)
    link, file = tmp_path / "link.json", tmp_path / "plan.json"
    link.symlink_to(file)
    call("--seed", str(seed), "--json", "--tries", "0", "--save", str(link), code=EXIT_FAILED)
    assert link.is_symlink() and Plan.from_json(file.read_bytes()).seed == seed
    call("--seed", str(seed), "--json", "--tries", "0", "--save", "/dev/null", code=EXIT_FAILED)
    assert Path("/dev/null").is_char_device()
    with pytest.raises(CommandError, match="/dev/full: the plan can't be written"):
        call("--seed", str(seed), "--json", "--tries", "0", "--save", "/dev/full")
    with pytest.raises(CommandError, match="standard output") as error:
        call("--seed", str(seed), "--save", "-")
    assert error.value.code == EXIT_USAGE


def test_a_file_that_is_no_plan(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    with pytest.raises(CommandError, match="no such file"):
        call("--plan", str(file))
    file.write_text("{}")
    with pytest.raises(CommandError, match="is no plan") as error:
        call("--plan", str(file))
    assert error.value.code == EXIT_USAGE
