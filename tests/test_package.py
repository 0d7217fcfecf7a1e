"""The package for people who install gochat: the licence, the types, the files that it reads at run time."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from gochat.release import COMMIT_FILE

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def timer_wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_names_its_licence_and_holds_its_text(timer_wheel: zipfile.ZipFile) -> None:
    [name] = [name for name in timer_wheel.namelist() if name.endswith("/METADATA")]
    metadata = Parser().parsestr(timer_wheel.read(name).decode())
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    [text] = [timer_wheel.read(name) for name in timer_wheel.namelist() if name.endswith("/LICENSE")]
    assert text == (ROOT / "LICENSE").read_bytes()


def test_type_checkers_of_other_projects_may_read_the_wheel(timer_wheel: zipfile.ZipFile) -> None:
    assert "gochat/py.typed" in timer_wheel.namelist()


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(timer_wheel: zipfile.ZipFile) -> None:
    package = {path for path in (ROOT / "gochat").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    held = {ROOT / name for name in timer_wheel.namelist() if ".dist-info/" not in name}
    assert held - {ROOT / "gochat" / COMMIT_FILE} == package
