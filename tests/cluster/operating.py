"""Somebody who calls the commands of a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import cli
from gochat import store as stores
from gochat.store import folder
from tests.contracts.scribe import Scribe

SECRET = "s" * 32
CONFIG = '[cluster]\nurl = "{url}"\nsecret = "{secret}"\n[auth]\nsecret = "{secret}"\n'


class Operator:
    """Calls commands with the settings of a cluster."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.settings = folder / "config.toml"
        self.settings.write_text(CONFIG.format(url=url, secret=SECRET))

    def run(self, *arguments: str, code: int = 0) -> str:
        """The command's words on both outputs."""
        self._capsys.readouterr()
        assert cli.run([*arguments, "--config", str(self.settings)]) == code, self._capsys.readouterr().err
        out, err = self._capsys.readouterr()
        return out + err

    def json(self, *arguments: str) -> Any:
        self._capsys.readouterr()
        assert cli.run([*arguments, "--config", str(self.settings), "--json"]) == 0, self._capsys.readouterr().err
        return json.loads(self._capsys.readouterr().out)

    def data(self, name: str) -> str:
        return str(self.folder / name)


def fill(data: Path, *said: str) -> None:
    async def live() -> None:
        async with stores.open(folder.database(data)) as store:
            await (await Scribe.at(store, "dm:ann:bob")).said(*said)

    data.mkdir(exist_ok=True)
    trio.run(live)


def power_loss(*_: object) -> None:
    """In the place of a step of a command, which goes no further."""
    raise KeyboardInterrupt
