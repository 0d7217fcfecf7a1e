"""Overviews of nodes, for tests that need none."""

from __future__ import annotations

from typing import Any

from gochat.client.top.reading import Look
from gochat.protocol import replies
from gochat.protocol.entries import Check

NOON = 1_700_000_000_000


def overview(ts_s: float = 0.0, **fields: Any) -> replies.Overview:
    """Of a node, so many seconds after noon."""
    given: dict[str, Any] = {
        "node": "n1",
        "server": "gochat/0",
        "ready": True,
        "checks": [Check(check="store")],
        "metrics": {},
        "supervisors": [],
        **fields,
    }
    return replies.Overview(ts=int(NOON + ts_s * 1000), **given)


def counted(ts_s: float, **counts: float) -> replies.Overview:
    """With these metrics, which have no labels."""
    return overview(ts_s, metrics={name: {"": value} for name, value in counts.items()})


def seen(now: replies.Overview, **lists: Any) -> Look:
    return Look(**{"overview": now, "slow": [], "mailboxes": [], **lists})
