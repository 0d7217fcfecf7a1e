"""The wheel, installed as the page says, freshly, on each Python that gochat runs on and that is here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from gochat.release import of_checkout
from tests.deploy.program import Program
from tests.docs.pages import ROOT
from tests.docs.test_blocks import block, run

pytestmark = pytest.mark.long

PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def interpreter(version: str) -> str:
    """One that can make environments: on the path, or where pyenv and the like keep theirs. Skips if there is none."""
    folders = [Path.home() / ".pyenv" / "versions", Path("/opt/python"), Path("/usr/local")]
    found = [
        shutil.which(f"python{version}"),
        *(str(path) for folder in folders for path in folder.glob(f"{version}*/bin/python3")),
    ]
    for python in filter(None, found):
        if (
            subprocess.run([python, "-c", "import venv, ensurepip, ssl"], capture_output=True, check=False).returncode
            == 0
        ):
            return str(Path(python).resolve())
    pytest.skip(f"no Python {version} with venv: pyenv install {version}")


@pytest.mark.parametrize("version", PYTHONS)
async def test_it_installs_outside_the_checkout(version: str, dist: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    place = tmp_path / "opt"
    script = block("install.md", "/opt/gochat").replace("/opt/gochat", str(place)).replace("python3 ", f"{python} ", 1)
    for name in ("requirements.lock", "dist/"):
        assert f" {name}" in script
        script = script.replace(f" {name}", f" {ROOT / name}" + "/" * name.endswith("/"))
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http", "HTTP"))}
    with trio.fail_after(300):
        said = await run(script, tmp_path, {"PATH": "/usr/bin:/bin", "HOME": str(Path.home()), **pip})
        program = Program([str(place / "bin" / "gochat")], tmp_path)
        script = "import gochat, platform; print(gochat.__file__, platform.python_version())"
        where = await trio.run_process([place / "bin" / "python", "-c", script], cwd=tmp_path, capture_stdout=True)
        file, exact = where.stdout.decode().split()
        print(f"the wheel on Python {exact}")
        assert exact.startswith(f"{version}.")
        assert Path(file).is_relative_to(place)
        commit = of_checkout(ROOT).removesuffix("-dirty")
        if commit:
            assert f" ({commit}" in said.splitlines()[-1]
        async with program.serving() as node:
            await program.chats(node)
