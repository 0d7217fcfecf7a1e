"""Plans are data: drawn the same each time, and the same after a way through a file."""

from __future__ import annotations

import msgspec
import pytest

from gochat.sim import Plan, draw


@pytest.mark.parametrize("seed", range(50))
def test_a_plan_survives_its_file(seed: int) -> None:
    plan = draw(seed)
    assert Plan.from_json(plan.to_json()) == plan == draw(seed)


@pytest.mark.parametrize("seed", range(2, 60, 3))
def test_so_does_one_of_a_cluster_in_a_situation(seed: int) -> None:
    plan = draw(seed, 3)
    assert Plan.from_json(plan.to_json()) == plan == draw(seed, 3)


def test_seeds_differ() -> None:
    assert len({draw(seed).to_json() for seed in range(50)}) == 50


def test_another_file_is_no_plan() -> None:
    with pytest.raises(msgspec.ValidationError):
        Plan.from_json(b'{"seed": 1}')
