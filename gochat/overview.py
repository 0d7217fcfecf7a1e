"""The overview of a node for its operators: its checks, its metrics, and its supervisors with their restarts.

It tells nothing of what was said, and no private room by its id.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import trio

import gochat
from gochat.actors.supervisor import Crash, SupervisedTask, Supervisor
from gochat.collector import Sources, values
from gochat.domain.ids import is_dm
from gochat.protocol import entries, replies
from gochat.protocol.entries import Check, Child, SupervisorEntry
from gochat.wall_clock import wall_ms

#: Tasks of a supervisor that are told: a node has a dozen services, and for moments as many rooms as are loaded.
TOLD: Final = 50


def overview(sources: Sources) -> replies.Overview:
    """The state of the node now. Never waits; takes well under a millisecond, however many sessions there are."""
    checks = [Check(check=name, problem=problem) for name, problem in sources.readiness()]
    return replies.Overview(
        node=sources.gateway.node,
        server=f"gochat/{gochat.__version__}",
        ts=wall_ms(),
        ready=all(check.problem is None for check in checks),
        checks=checks,
        metrics=values(sources),
        supervisors=supervisors(sources.supervisors),
    )


def supervisors(kept: Iterable[Supervisor]) -> list[SupervisorEntry]:
    """Each supervisor with its tasks: those that crashed first, then the oldest."""
    return [_supervisor(each) for each in kept]


def _supervisor(supervisor: Supervisor) -> SupervisorEntry:
    children = sorted(supervisor, key=lambda child: (not child.pausing, -child.restarts, child.since))
    return SupervisorEntry(
        name=supervisor.name,
        crashes=supervisor.crashes,
        given_up=supervisor.given_up,
        children=[_child(child) for child in children[:TOLD]],
        more=max(0, len(children) - TOLD),
        latest=[_crash(crash) for crash in reversed(supervisor.latest)],
    )


def _child(child: SupervisedTask) -> Child:
    return Child(
        name=_shown(child.spec.name), since=_wall_ms(child.since), restarts=child.restarts, pausing=child.pausing
    )


def _crash(crash: Crash) -> entries.Crash:
    return entries.Crash(name=_shown(crash.name), ts=_wall_ms(crash.at), error=crash.error)


def _shown(name: str) -> str:
    """The name of a task; that of a private room would tell that its two users talk."""
    return "a private room" if is_dm(name) else name


def _wall_ms(moment: float) -> int:
    """A moment of trio's clock on the wall clock."""
    return int((time.time() + moment - trio.current_time()) * 1000)
