"""mixed and soak: against gochat what they count, against the stand-in what they catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import progress
from bench.faults import Broken, Fault
from bench.load.book import Book
from bench.load.community import Community
from bench.load.outcome import Length, Outcome
from bench.load.totals import Totals
from bench.scenarios import mixed
from bench.scenarios.stage import Stretch
from tests.bench.stages import SHORT, gochat, standin

OPTIONS = mixed.Options(SHORT._replace(seconds=1.5), users=24, rooms=6, rate=120.0)
#: The stand-in is no chat: no pages of what is being written, and little of what else there is.
TALK = OPTIONS._replace(actions={"group": 70, "dm": 30})
NAMED = {"load": "mixed", "target": "gochat", "turn": 1, "unit": "messages/s"}
WRONG = r"p\d+: (seq \d+ of \S+ (expected|has another)|no body|.* for others|message \S+)"
BACK = OPTIONS._replace(actions={"group": 60, "dm": 20, "reconnect": 20})


def test_the_community_is_the_same_each_time_and_its_groups_have_the_sizes_of_zipfs_law() -> None:
    users, groups = [f"u{number}" for number in range(60)], ["a", "b", "c", "d"]
    community = Community.make(users, groups)
    assert community == Community.make(users, groups)
    assert [len(set(members)) for members in community.rooms.values()] == [60, 30, 20, 15]
    assert all(one < other for one, other in community.pairs)
    assert len(community.members()) == 4 + len(community.pairs)


@pytest.mark.parametrize(("transport", "processes"), [("ws", 1), ("tcp", 2)])
def test_a_day_of_gochat_is_counted_and_agrees(tmp_path: Path, transport: str, processes: int) -> None:
    [measure] = mixed.run(gochat(tmp_path, transport, processes), OPTIONS).measures
    kinds = ("group", "dm", "typing", "read", "history", "reconnect")
    assert all(measure.counts[kind] for kind in kinds)
    assert measure.messages == measure.counts["group"] + measure.counts["dm"]
    assert measure.deliveries > 2 * measure.messages
    assert {"deliver", "ack", "page", "reconnect", "late"} <= measure.latencies.keys() == measure.hdr.keys()
    timed = sum(measure.latencies["deliver"].values())
    assert timed == measure.deliveries - measure.counts["replayed"]
    assert (measure.processes, measure.rate) == (processes, 120.0)
    assert measure.server_cpu_us_per_delivery > 0 < measure.switches_per_delivery


def test_soak_tells_of_the_growth_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_S", 0.1)
    options = OPTIONS._replace(length=Length(2.5, patience_s=5.0), rate=30.0, soak=True)
    found, memory = mixed.run(gochat(tmp_path), options).measures
    assert memory.load == found.load + ", memory"
    assert memory.unit == "MB/hour"
    assert len(memory.memory) >= 5


def test_who_comes_back_gets_what_they_missed(tmp_path: Path) -> None:
    [measure] = mixed.run(standin(tmp_path), BACK).measures
    assert measure.counts["reconnect"] > 10 < measure.counts["replayed"]


@pytest.mark.parametrize("options", [TALK, BACK], ids=["talk", "back"])
@pytest.mark.parametrize("fault", ["drop", "repeat", "swap", "body"])
def test_one_wrong_delivery_is_caught(tmp_path: Path, fault: str, options: mixed.Options) -> None:
    # In the midst of the run; where members come and go, fewer are there to get anything.
    nth = 700 if options is TALK else 100
    stage = standin(tmp_path, faults=f"--fault {fault} --nth {nth}")
    # The next message of the room shows that one was dropped or held back; where chance has it that none comes, the
    # end does.
    with pytest.raises(Fault, match=rf"{WRONG}|owed: 1 deliveries" if fault in ("drop", "swap") else WRONG):
        mixed.run(stage, options)


def test_an_ack_with_another_seq_is_caught(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"p\d+: message 3 was acked as seq \d+ of \S+ and is \d+"):
        mixed.run(standin(tmp_path, faults="--fault ack --at 3"), TALK)


def test_members_in_two_processes_who_get_other_facts_are_caught() -> None:
    totals = Totals(2, 2)
    for row in range(2):
        totals.facts[row][1], totals.crcs[row][1] = 7, 99
    totals.check(["group:a", "group:b"])
    totals.crcs[1][1] = 98
    with pytest.raises(Fault, match=r"group:b: members in different load processes got different facts"):
        totals.check(["group:a", "group:b"])


@pytest.mark.parametrize("rate", [0.0, 100.0])
def test_a_load_that_can_not_keep_its_plan_has_no_figure(rate: float) -> None:
    """How busy a load is depends on the machine: what is held here is what follows from it."""
    for cpu_s, waited_s in ((0.81, 0.0), (0.45, 0.5)):
        stretch = Stretch(Outcome(100, 1.0, cpu_s, Book(), waited_s=waited_s), Length(1.0, rate=rate))
        if not rate:
            assert stretch.measure(value=1.0, deliveries=100, **NAMED).value == 1.0
            continue
        with pytest.raises(Broken, match=r"the load took (81|90)% of its core, more than 80%: it can't keep its plan"):
            stretch.measure(value=1.0, deliveries=100, **NAMED)
    stretch = Stretch(Outcome(100, 1.0, 0.79, Book()), Length(1.0, rate=rate))
    assert stretch.measure(value=1.0, deliveries=100, **NAMED).generator_cpu == 0.79


def test_a_lost_last_message_is_missed(tmp_path: Path) -> None:
    length = Length(0.0, messages=20, patience_s=0.5)
    options = OPTIONS._replace(length=length, users=4, rooms=1, actions={"group": 1})
    # Each goes to 4; the warm-up sends a tenth and one.
    with pytest.raises(Fault, match=r"nothing came for 0\.5 s, owed: 1 deliveries"):
        mixed.run(standin(tmp_path, faults=f"--fault drop --nth {(20 + 3) * 4}"), options)
