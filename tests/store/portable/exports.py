"""How tests export a room: see the fixture `export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Export = Callable[..., Path]
