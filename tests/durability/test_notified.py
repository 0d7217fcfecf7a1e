"""kill -9 around the times at which users are to be notified: each burst is told at least once and under one id, and
none to a user who came back in time. The judge is judged too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.durability.away import Outcome, Plan, campaign
from tests.durability.notified import Burst, Evidence, Notice, Return, missing, repeated, violations
from tests.durability.process import Served
from tests.notify.receivers import HttpReceiver

TEA, DM = "group:tea", "dm:ann:bob"


async def run(tmp_path: Path, plan: Plan) -> Outcome:
    served = Served(tmp_path)
    receiver = HttpReceiver()
    async with trio.open_nursery() as nursery:
        await nursery.start(receiver.serve)
        outcome = await campaign(served, receiver, plan)
        nursery.cancel_scope.cancel()
    broken = violations(outcome.evidence)
    assert not broken, "\n".join(broken[:10])
    assert "Traceback" not in served.log.read_text()
    return outcome


async def test_a_kill_as_notifications_become_due_loses_and_doubles_none(tmp_path: Path) -> None:
    outcome = await run(tmp_path, Plan(users=120, kills=1, seed=1, faults=False))
    assert len(outcome.evidence.notices) > 90


@pytest.mark.long
async def test_fifty_kills_around_due_times_lose_and_double_none(tmp_path: Path) -> None:
    outcome = await run(tmp_path, Plan(users=1_000, kills=50, seed=2))
    assert len(outcome.evidence.notices) > 4_000
    assert outcome.interrupted > 1_000, "the kills came when nothing was due"
    assert repeated(outcome.evidence) > 0, "no kill came between a delivery and its record"
    again = [burst for burst in outcome.evidence.bursts if burst.first > 1 and burst.room.startswith("dm:")]
    assert len(again) > 20, "hardly anybody read and was written to again"


# ---------------------------------------------------------------------------------------------- the judge


def evidence() -> Evidence:
    """Bob and cy are told of a group's message, bob twice; dan came back in time. Bob reads, and is told of another."""
    return Evidence(
        after_ms=1_000,
        bursts=[
            *(Burst(user, TEA, 5, 5, 10_000, 10_010) for user in ("bob", "cy", "dan")),
            Burst("bob", DM, 1, 2, 10_000, 10_020),
            Burst("bob", DM, 3, 3, 20_000, 20_010),
        ],
        returns={"bob": [Return(15_000, 15_010)], "dan": [Return(10_500, 10_510)]},
        notices=[
            Notice("n1", "bob", TEA, 5, 11_100),
            Notice("n1", "bob", TEA, 5, 13_100),
            Notice("n2", "cy", TEA, 5, 11_100),
            Notice("n3", "bob", DM, 2, 11_200),
            Notice("n4", "bob", DM, 3, 21_100),
        ],
    )


def test_what_is_as_promised_is_no_violation() -> None:
    assert violations(evidence()) == []
    assert repeated(evidence()) == 1
    assert missing(evidence()) == set()


def test_a_user_who_was_cut_off_may_be_told_or_not_of_what_was_sent_before() -> None:
    found = evidence()
    found.returns["cy"] = [Return(10_400, 10_500, welcomed=False)]
    assert violations(found) == []
    lose_one(found)
    assert violations(found) == []
    found.returns["cy"] = [Return(9_000, 9_500, welcomed=False)]
    assert len(violations(found)) == 1


def lose_one(found: Evidence) -> None:
    del found.notices[2]


def lose_the_second_burst(found: Evidence) -> None:
    del found.notices[4]


def tell_under_two_ids(found: Evidence) -> None:
    found.notices.append(Notice("n9", "cy", TEA, 5, 14_000))


def tell_too_early(found: Evidence) -> None:
    found.notices[2] = found.notices[2]._replace(at_ms=10_999)


def tell_a_user_who_came_back(found: Evidence) -> None:
    found.notices.append(Notice("n9", "dan", TEA, 5, 11_100))


def tell_a_stranger(found: Evidence) -> None:
    found.notices.append(Notice("n9", "eve", TEA, 5, 11_100))


def tell_of_nothing(found: Evidence) -> None:
    found.notices.append(Notice("n9", "cy", TEA, 6, 11_100))


def complain(found: Evidence) -> None:
    found.complaints.append("a forged one")


@pytest.mark.parametrize(
    "fault",
    [
        lose_one,
        lose_the_second_burst,
        tell_under_two_ids,
        tell_too_early,
        tell_a_user_who_came_back,
        tell_a_stranger,
        tell_of_nothing,
        complain,
    ],
)
def test_each_fault_is_seen(fault: Callable[[Evidence], None]) -> None:
    found = evidence()
    fault(found)
    assert len(violations(found)) == 1, violations(found)
