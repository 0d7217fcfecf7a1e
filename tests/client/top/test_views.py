"""The views of `gochat top` that need no node: rows from an overview."""

from __future__ import annotations

from gochat.client.screen.picture import plain
from gochat.client.top.views import Shown, rows
from gochat.protocol.entries import Child, Crash, SupervisorEntry
from tests.client.top.build import NOON, overview, seen


def test_supervisors_tell_what_crashed_what_was_given_up_and_what_begins_again() -> None:
    well = SupervisorEntry(name="node", crashes=0, children=[Child(name="poller", since=NOON)])
    ill = SupervisorEntry(
        name="actors",
        crashes=3,
        given_up=1,
        children=[Child(name="group:tea", since=NOON, restarts=2, pausing=True), Child(name="presence", since=NOON)],
        more=7,
        latest=[Crash(name="group:tea", ts=NOON, error="ValueError")],
    )
    shown = Shown(seen(overview(supervisors=[well, ill])), None, 79)
    lines = [plain(row) for row in rows("supervisors", shown)]
    since = lines[1].partition("  since ")[2]
    assert lines == [
        "node  0 crashes",
        f"└─ poller  since {since}",
        "",
        "actors  3 crashes, 1 task given up",
        f"├─ group:tea  2 restarts  starts again soon  since {since}",
        f"├─ presence  since {since}",
        "└─ and 7 more",
        f"   {since} group:tea crashed: ValueError",
        "",
    ]
