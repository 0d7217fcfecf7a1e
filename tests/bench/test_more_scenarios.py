"""The other scenarios, each of them small: against gochat what they count, against the stand-in what they catch."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults import Broken, Fault
from bench.scenarios import connect, dm, fanout, history, notify, scaling, slow
from tests.bench.stages import SHORT, gochat, standin

CONNECT = connect.Options(SHORT, users=20, places=8, missed=5, turns=1)
PAGES = history.Options(SHORT, clients=4, messages=2000, turns=1)


@pytest.mark.parametrize("transport", ["ws", "tcp"])
def test_connect_counts_sign_ins_new_and_resuming(tmp_path: Path, transport: str) -> None:
    new, resuming = connect.run(gochat(tmp_path, transport), CONNECT).measures
    assert (new.load, resuming.load) == ("connect new x8", "connect resuming x8")
    assert new.deliveries == new.messages == sum(new.latencies["connect"].values())
    assert resuming.deliveries == sum(resuming.latencies["resume"].values())
    assert new.value == pytest.approx(new.deliveries / new.seconds)


def test_connect_works_with_several_processes(tmp_path: Path) -> None:
    new, _ = connect.run(gochat(tmp_path, processes=2), CONNECT).measures
    assert new.processes == 2


def test_connect_catches_a_replay_that_lacks_a_message(tmp_path: Path) -> None:
    # The stand-in replays what it kept; a head that is wrong makes it replay one too few.
    with pytest.raises(Fault, match=r"nothing came for .* owed: welcomes or missed messages to"):
        connect.run(standin(tmp_path, faults="--fault short"), CONNECT._replace(length=SHORT._replace(patience_s=0.5)))


def test_connect_catches_a_server_that_forgot_the_rooms(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"1 rooms expected, welcome told of 0"):
        connect.run(standin(tmp_path, faults="--fault forget"), CONNECT)


@pytest.mark.parametrize("transport", ["ws", "tcp"])
def test_history_reads_what_was_stored(tmp_path: Path, transport: str) -> None:
    [measure] = history.run(gochat(tmp_path, transport), PAGES).measures
    assert (measure.load, measure.unit) == ("history 2,000 stored x4", "pages/s")
    assert measure.deliveries == 50 * measure.messages
    assert sum(measure.latencies["page"].values()) == measure.messages


def test_search_finds_what_was_stored(tmp_path: Path) -> None:
    [measure] = history.run(gochat(tmp_path), PAGES._replace(what="search", limit=20)).measures
    assert measure.unit == "searches/s"
    assert 1 <= measure.deliveries / measure.messages <= 20
    assert sum(measure.latencies["results"].values()) == measure.messages


def test_notifications_go_out_beside_pairs_that_chat(tmp_path: Path) -> None:
    options = notify.Options(SHORT, due=100, pairs=2, rate=50.0, turns=1, after_s=0.2)
    alone, beside = notify.run(gochat(tmp_path), options).measures
    assert (alone.load, beside.load) == (
        "dm beside 0 notifications due, 50/s",
        "dm beside 100 notifications due, 50/s",
    )
    ratio, told = beside.remarks[-2:]
    assert "times as long as without notifications" in ratio
    assert "were told meanwhile" in told


def test_slow_readers_are_told_and_the_others_are_timed(tmp_path: Path) -> None:
    options = slow.Options(SHORT, members=8, slow=3, rate=100.0, turns=1)
    awake, asleep = slow.run(gochat(tmp_path), options).measures
    assert (awake.load, asleep.load) == ("slow-readers 0 of 8 100/s", "slow-readers 3 of 8 100/s")
    assert (awake.messages, asleep.messages) == (50, 50)
    assert asleep.deliveries == 5 * 50
    assert sum(asleep.counts[f"slow: {end}"] for end in slow.ENDS) == 3
    assert asleep.latencies["deliver"]


def test_what_slow_readers_find_is_checked(tmp_path: Path) -> None:
    options = slow.Options(SHORT, members=8, slow=3, rate=100.0, turns=1)
    both = 55 * 8  # Deliveries while all read; later every eighth is to the last member, who does not.
    with pytest.raises(Fault, match=r"u0007: .*group:bench"):
        slow.run(standin(tmp_path, faults=f"--fault body --nth {both + 20 * 8}"), options._replace(slow=1))


def test_scaling_gives_marginal_costs_and_the_others_acks(tmp_path: Path) -> None:
    options = scaling.Options(SHORT, members=(10, 40), messages=64, stored=(1000,), big=30, pairs=2, rate=20.0)
    measures = {measure.load: measure for measure in scaling.run(gochat(tmp_path), options).measures}
    assert list(measures) == [
        "scaling fanout 10 members",
        "scaling fanout 40 members",
        "scaling dm 1,000 stored",
        "scaling page 1,000 stored",
        "scaling others' acks, quiet",
        "scaling others' acks, a message to 30",
    ]
    assert measures["scaling fanout 40 members"].messages == 256
    assert measures["scaling dm 1,000 stored"].unit == "us/message"
    # The others are differences of two measures: so short a run does not tell which of them is larger.
    for load in ("scaling dm 1,000 stored", "scaling page 1,000 stored", "scaling others' acks, quiet"):
        assert measures[load].value > 0


@pytest.mark.parametrize("processes", [1, 3])
def test_fanout_and_dm_have_the_same_checks_in_several_processes(tmp_path: Path, processes: int) -> None:
    length = SHORT._replace(messages=60)
    stage = standin(tmp_path)._replace(processes=processes)
    fan = fanout.Options(length, members=12, turns=1, yardsticks=False)
    [measure] = fanout.run(stage, fan).measures
    assert (measure.messages, measure.deliveries, measure.processes) == (60, 720, processes)
    [talk] = dm.run(stage, dm.Options(length, pairs=6, windows=(4,), turns=1, yardsticks=False)).measures
    assert talk.messages == sum(talk.latencies["deliver"].values()) == 60
    wrong = standin(tmp_path, faults="--fault swap --at 30 --victim u0007")._replace(processes=processes)
    with pytest.raises(Fault, match=r"u0007: .*\b3\d\b"):
        fanout.run(wrong, fan)


def test_an_open_loop_sends_what_was_planned(tmp_path: Path) -> None:
    options = fanout.Options(SHORT, members=5, turns=1, rate=100.0)
    [measure] = fanout.run(standin(tmp_path), options).measures
    assert (measure.messages, measure.rate, measure.load) == (50, 100.0, "fanout 5 100/s")
    [talk] = dm.run(standin(tmp_path), dm.Options(SHORT, pairs=3, turns=1, rate=100.0)).measures
    assert (talk.messages, talk.load) == (50, "dm 3 pairs 100/s")


def test_dm_sends_by_rest(tmp_path: Path) -> None:
    stage = gochat(tmp_path)._replace(rest=True)
    [measure] = dm.run(stage, dm.Options(SHORT, pairs=3, windows=(1,), turns=1, yardsticks=False)).measures
    assert measure.load == "dm 3 pairs W=1 REST"
    assert measure.messages == sum(measure.latencies["ack"].values()) > 3


def test_rules_are_measured_in_turn_with_none(tmp_path: Path) -> None:
    stage = gochat(tmp_path)._replace(rules="full")
    drawn = dm.run(stage, dm.Options(SHORT, pairs=3, windows=(4,), turns=2))
    assert [measure.target for measure in drawn.measures] == ["gochat", "gochat, rules off"] * 2
    [bound] = drawn.bounds
    assert (bound.against, str(bound)) == ("gochat, rules off", "")


def test_system_calls_are_counted_or_it_is_said_why_not(tmp_path: Path) -> None:
    stage = gochat(tmp_path)._replace(syscalls=True)
    [measure] = dm.run(stage, dm.Options(SHORT, pairs=2, windows=(1,), turns=1, yardsticks=False)).measures
    assert measure.syscalls_per_delivery > 0.5 or "system calls not counted" in measure.remarks[0]


def test_what_needs_a_server_of_its_own_says_so(tmp_path: Path) -> None:
    from bench.load.client import Address
    from bench.load.wire import LINES
    from bench.remote import Place
    from bench.tokens import Issuer

    stage = gochat(tmp_path)._replace(place=Place(Address("127.0.0.1", 1, LINES), ("", 0), Issuer(), 0))
    with pytest.raises(Broken, match="leave --url out"):
        scaling.run(stage, scaling.Options(SHORT))
