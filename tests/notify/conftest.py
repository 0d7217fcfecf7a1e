from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio

from gochat import store as stores
from tests.notify.receivers import HttpReceiver
from tests.notify.town import Build, Town


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    async with stores.open_inline(":memory:", notices=True) as store, trio.open_nursery() as inner:
        yield lambda **rules: Town(store, inner, **rules)
        inner.cancel_scope.cancel()


@pytest.fixture
async def receiver() -> HttpReceiver:
    return HttpReceiver()


@pytest.fixture
async def serving(receiver: HttpReceiver) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(receiver.serve)
        yield
        nursery.cancel_scope.cancel()
