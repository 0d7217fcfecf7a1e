"""A plan that fails becomes as small as it can be while it fails."""

from __future__ import annotations

from msgspec.structs import replace

from gochat.sim import Plan, draw, shrink
from gochat.sim.plan import Kill, Send


def unhurried(plan: Plan) -> Plan:
    """The plan with a pause before each step, which no fault here needs."""
    clients = [replace(client, steps=[replace(step, after_ms=50) for step in client.steps]) for client in plan.clients]
    return replace(plan, clients=clients, merge_at=7)


def test_only_the_needed_parts_are_left() -> None:
    def fails(plan: Plan) -> bool:
        sends = any(isinstance(step, Send) for client in plan.clients for step in client.steps)
        return sends and any(isinstance(trouble, Kill) for trouble in plan.troubles)

    drawn = map(draw, range(100))
    plan = unhurried(next(plan for plan in drawn if fails(plan) and len(plan.troubles) > 3 and len(plan.groups) > 1))
    smaller = shrink(plan, fails)
    assert [type(trouble) for trouble in smaller.troubles] == [Kill]
    (client,) = smaller.clients
    assert [type(step) for step in client.steps] == [Send]
    assert client.steps[0].after_ms == 0
    assert smaller.merge_at == 0
    room = getattr(client.steps[0], "room", None)
    assert [f"group:{name}" for name in smaller.groups] == [room] * (len(smaller.groups) > 0), "no group without a use"


def test_it_asks_no_more_often_than_it_may() -> None:
    asked = []

    def fails(plan: Plan) -> bool:
        asked.append(plan)
        return False

    plan = draw(1)
    assert shrink(plan, fails, tries=7) is plan
    assert len(asked) == 7


def test_its_tries_are_those_of_all_rounds_together() -> None:
    asked = []

    def fails(plan: Plan) -> bool:
        asked.append(plan)
        return len(asked) % 2 == 0

    shrink(draw(1), fails, tries=7)
    assert len(asked) == 7


def test_a_group_that_a_step_needs_stays() -> None:
    plan = next(plan for plan in map(draw, range(100)) if plan.groups)
    name = next(iter(plan.groups))

    def fails(plan: Plan) -> bool:
        rooms = {getattr(step, "room", None) for client in plan.clients for step in client.steps}
        return f"group:{name}" in rooms

    plan = next(plan for plan in map(draw, range(100)) if name in plan.groups and fails(plan))
    assert list(shrink(plan, fails).groups) == [name]
