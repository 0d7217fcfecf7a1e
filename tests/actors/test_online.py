"""The presence of a node that is alone keeps what the port promises."""

from __future__ import annotations

import pytest

from gochat.actors.online import LocalPresence
from gochat.ports.presence import Presence
from tests.contracts.presence import PresenceContract


class TestLocalPresence(PresenceContract):
    @pytest.fixture
    def presence(self) -> Presence:
        return LocalPresence()
