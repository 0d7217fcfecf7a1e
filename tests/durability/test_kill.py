"""kill -9 under load: what was acked is there, once, at its seq; all hear the same; a repeat is no second message."""

from __future__ import annotations

from pathlib import Path

import pytest

from gochat.sim.checker import violations
from tests.durability.campaign import Outcome, campaign
from tests.durability.process import Served


def judge(outcome: Outcome, log: Path) -> None:
    broken = violations(outcome.evidence)
    assert not broken, "\n".join(broken[:10])
    assert len(outcome.evidence.acks) > 100
    assert outcome.interrupted > 0, "nothing was in flight: the kills came at idle moments"
    assert "Traceback" not in log.read_text()


async def test_two_kills_lose_nothing(tmp_path: Path) -> None:
    served = Served(tmp_path)
    judge(await campaign(served, kills=2, seed=1), served.log)


@pytest.mark.long
@pytest.mark.parametrize("seed", [2, 3])
async def test_twenty_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    served = Served(tmp_path)
    outcome = await campaign(served, kills=20, seed=seed)
    judge(outcome, served.log)
    assert outcome.found_recorded > 0, "no kill came between a commit and its ack"
