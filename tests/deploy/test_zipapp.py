"""The zipapp runs on each Python that is here, and says so where it can't."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import trio

from tests.deploy.program import Program
from tests.deploy.test_wheel import PYTHONS, interpreter
from tests.docs.pages import ROOT
from tests.docs.test_blocks import block, run

pytestmark = pytest.mark.long


@pytest.mark.parametrize("version", PYTHONS)
async def test_it_runs_on(version: str, dist: Path, tmp_path: Path) -> None:
    program = Program([interpreter(version), str(dist / "gochat.pyz")], tmp_path)
    with trio.fail_after(120):
        assert (await program.run("--version")).out.startswith("gochat ")
        async with program.serving() as node:
            await program.chats(node)
    assert (tmp_path / ".shiv").is_dir()


async def test_the_line_of_the_page(dist: Path, tmp_path: Path) -> None:
    script = block("install.md", "gochat.pyz").replace("python3", sys.executable)
    with trio.fail_after(120):
        said = await run(script, ROOT, {"PATH": "/usr/bin:/bin", "SHIV_ROOT": str(tmp_path)})
    assert re.fullmatch(r"gochat [\d.]+( \([0-9a-f]{12}(-dirty)?\))?\n", said)


async def test_another_python_is_told_what_it_needs(dist: Path, tmp_path: Path) -> None:
    old = sorted((Path.home() / ".pyenv" / "versions").glob("3.10.*/bin/python3"))
    if not old:
        pytest.skip("no Python 3.10: pyenv install 3.10")
    ran = await Program([str(old[0]), str(dist / "gochat.pyz")], tmp_path).run("--version")
    assert ran.code == 1
    assert ran.err.startswith("gochat: this file needs Python 3.11, ")
