"""A group with something of everything, and its export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import store as stores
from gochat.domain import commands
from gochat.store.portable.export_room import export_room
from tests.contracts.scribe import Scribe
from tests.store.portable.exports import Export
from tests.store.test_histories import TEA


@pytest.fixture
def tea(tmp_path: Path) -> Scribe:
    """A group with something of everything; its database is closed."""

    async def live() -> Scribe:
        async with stores.open(tmp_path / "gochat.db") as store:
            scribe = await Scribe.at(store, TEA)
            await scribe.made(commands.Create, title="Tea", users=("bob", "cat"))
            await scribe.said("green tea", "Äpfel", "北京大学", user="bob")
            await scribe.made(commands.Send, body="with a key", key="k", reply_to=4)
            await scribe.made(commands.React, "cat", seq=4, emoji="👍", on=True)
            await scribe.made(commands.Edit, "bob", seq=3, body="black tea")
            await scribe.made(commands.Delete, "bob", seq=4)
            await scribe.made(commands.Leave, "cat")
        return scribe

    return trio.run(live)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    def run(file: str = "tea.sqlite", **options: Any) -> Path:
        export_room(tmp_path / "gochat.db", TEA, tmp_path / file, now_ms=7, **options)
        return tmp_path / file

    return run
