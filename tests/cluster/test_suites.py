"""The suites of one node, played against three nodes of a cluster, every client on another one."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import trio

from tests.authz import test_matrix
from tests.cluster.joining import running_anywhere
from tests.conformance import stage as stages
from tests.conformance.clustered import ClusterStage
from tests.conformance.stage import WAIT_S
from tests.conformance.transcript import MAY_BE_LATE, SCRIPT, Step, steps
from tests.conformance.wires import WIRES

STEPS = list(steps(SCRIPT.read_text(encoding="utf-8")))
#: The daily run plays so many of them.
SOME = 60


@pytest.fixture(autouse=True)
def nodes_are_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_matrix, "running", running_anywhere)
    monkeypatch.setattr(stages, "running", running_anywhere)


async def plays(stage: ClusterStage, step: Step) -> None:
    """Messages of the last second may be missing in what a search finds, and positions in lists and pages."""
    deadline = trio.current_time() + WAIT_S
    while (told := await stage.play(step)) != stage.expects(step):
        if stage.differs(step):
            return
        late = step.send is not None and step.send["type"] in MAY_BE_LATE
        if not late or trio.current_time() > deadline:
            assert list(map(str, told)) == list(map(str, stage.expects(step)))


async def play(wire: str, folder: Path, chosen: list[Step]) -> None:
    async with stages.staged(WIRES[wire], folder, ClusterStage) as stage:
        for step in chosen:
            try:
                await plays(stage, step)
            except Exception as error:
                error.add_note(f"{SCRIPT.name}, line {step.line}: {step.text.splitlines()[-1]}")
                raise


async def test_the_beginning_of_the_script(tmp_path: Path) -> None:
    await play("tcp", tmp_path, STEPS[:SOME])


@pytest.mark.long
@pytest.mark.parametrize("wire", WIRES)
async def test_the_whole_script(wire: str, tmp_path: Path) -> None:
    await play(wire, tmp_path, STEPS)


async def test_some_permissions(tmp_path: Path) -> None:
    """A column now and then, of every kind of room, on every way to ask."""
    chosen = list(islice(test_matrix.some_columns(), 0, None, 151))
    assert await test_matrix.asked(tmp_path / "data", chosen) > 30


@pytest.mark.long
async def test_all_permissions(tmp_path: Path) -> None:
    assert await test_matrix.asked(tmp_path / "data", test_matrix.columns()) > 16_000
