"""Makes a plan that fails smaller: clients, faults and steps that it fails without are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from gochat.sim.plan import Plan

T = TypeVar("T")

#: Plans that are tried at most.
TRIES: Final = 400


def shrink(plan: Plan, fails: Callable[[Plan], bool], tries: int = TRIES) -> Plan:
    """A smaller plan that fails too, or `plan` itself. `fails` is asked at most `tries` times."""
    left = tries
    while left > 0:
        found = None
        for smaller in islice(_smaller(plan), left):
            left -= 1
            if fails(smaller):
                found = smaller
                break
        if found is None:
            break
        plan = found
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Plans with less in them, those with least first."""
    for troubles in _shorter(plan.troubles):
        yield replace(plan, troubles=troubles)
    for clients in _shorter(plan.clients):
        if clients:
            yield replace(plan, clients=clients)
    for name in plan.groups:
        if not _uses(plan, f"group:{name}", name):
            yield replace(plan, groups={other: users for other, users in plan.groups.items() if other != name})
    for number, client in enumerate(plan.clients):
        for steps in _shorter(client.steps):
            yield _with_client(plan, number, steps=steps)
    if plan.merge_at:
        yield replace(plan, merge_at=0)
    for number, client in enumerate(plan.clients):
        for position, step in enumerate(client.steps):
            if step.after_ms:
                steps = [*client.steps[:position], replace(step, after_ms=0), *client.steps[position + 1 :]]
                yield _with_client(plan, number, steps=steps)


def _with_client(plan: Plan, number: int, **changes: Any) -> Plan:
    changed = replace(plan.clients[number], **changes)
    return replace(plan, clients=[*plan.clients[:number], changed, *plan.clients[number + 1 :]])


def _uses(plan: Plan, room: str, group: str) -> bool:
    return any(
        getattr(step, "room", None) == room or getattr(step, "group", None) == group
        for client in plan.clients
        for step in client.steps
    )


def _shorter(items: Sequence[T]) -> Iterator[list[T]]:
    """Without a half, a quarter, ..., one of them."""
    size = len(items)
    while size:
        for start in range(0, len(items), size):
            yield [*items[:start], *items[start + size :]]
        size = size // 2 if size > 1 else 0
