"""A plan that fails becomes as small as it can be while it fails."""

from __future__ import annotations

from gochat.sim import Plan, draw, shrink
from gochat.sim.plan import Kill, Send


def test_only_the_needed_parts_are_left() -> None:
    def fails(plan: Plan) -> bool:
        sends = any(isinstance(step, Send) for client in plan.clients for step in client.steps)
        return sends and any(isinstance(trouble, Kill) for trouble in plan.troubles)

    plan = next(plan for plan in map(draw, range(100)) if fails(plan) and len(plan.troubles) > 3)
    smaller = shrink(plan, fails)
    assert [type(trouble) for trouble in smaller.troubles] == [Kill]
    (client,) = smaller.clients
    assert [type(step) for step in client.steps] == [Send]
    assert client.steps[0].after_ms == 0


def test_it_asks_no_more_often_than_it_may() -> None:
    asked = []

    def fails(plan: Plan) -> bool:
        asked.append(plan)
        return False

    plan = draw(1)
    assert shrink(plan, fails, tries=7) is plan
    assert len(asked) == 7
