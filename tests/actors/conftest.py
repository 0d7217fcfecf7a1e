"""A house of actors, without sockets and without a disk."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.actors.house import House, keep_house


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with keep_house() as house:
        yield house


@pytest.fixture
async def small_house() -> AsyncIterator[House]:
    """A few sessions are many here, and eleven very many."""
    async with keep_house(slice_=1) as house:
        yield house
