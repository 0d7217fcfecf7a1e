from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.client.peer import Peer
from tests.client.peer import peer as open_peer


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A scripted server on a port of its own."""
    async with open_peer() as scripted:
        yield scripted
