from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest

from gochat.auth.secret import FILE_NAME, make_secret, own_secret
from gochat.errors import ConfigError


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    assert make_secret(folder)
    secret = own_secret(folder)
    assert len(secret) == 64
    assert not make_secret(folder)
    assert own_secret(folder) == secret
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    make_secret(tmp_path / "other")
    assert own_secret(tmp_path / "other") != secret


def test_to_read_it_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no secret here") as caught:
        own_secret(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "gochat serve" in caught.value.hint and "--data" in caught.value.hint
    with pytest.raises(ConfigError, match="there is no such folder"):
        own_secret(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def _start(folder: Path, barrier: multiprocessing.synchronize.Barrier, secrets: multiprocessing.Queue[str]) -> None:
    barrier.wait(10)
    make_secret(folder)
    secrets.put(own_secret(folder))


def test_starters_at_once_get_the_same_one(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier, secrets = spawn.Barrier(3), spawn.Queue()
    starters = [spawn.Process(target=_start, args=(tmp_path / "data", barrier, secrets)) for _ in range(3)]
    for starter in starters:
        starter.start()
    assert len({secrets.get(timeout=60) for _ in starters}) == 1
    for starter in starters:
        starter.join(10)
        assert starter.exitcode == 0
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660])
def test_one_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    make_secret(tmp_path)
    secret = own_secret(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        own_secret(tmp_path)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("content", ["", "short", "\n" * 100])
def test_a_damaged_one_is_refused_and_kept(tmp_path: Path, content: str) -> None:
    file = tmp_path / FILE_NAME
    file.touch(mode=0o600)
    file.write_text(content)
    with pytest.raises(ConfigError, match="damaged"):
        own_secret(tmp_path)
    assert file.read_text() == content


def test_a_folder_that_is_a_file_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ConfigError, match="file exists"):
        make_secret(tmp_path / "data")
    with pytest.raises(ConfigError, match="not a directory"):
        own_secret(tmp_path / "data")
