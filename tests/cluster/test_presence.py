"""Every node knows who is online: also when messages get lost, come twice or late, and nodes die without a word."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest
import trio
from trio.testing import MockClock

from gochat.cluster import faults
from gochat.cluster.memory import MemoryBulletin
from gochat.cluster.news import MOST_CHANGES
from gochat.cluster.presence import ClusterPresence
from gochat.cluster.roster import SILENCE_S
from gochat.ports.presence import Presence
from tests.cluster.real import PATIENCE_S, RealServer
from tests.cluster.servers import OnRedis
from tests.cluster.stations import EPOCH_MS, LIMIT, Lossy, Station, Town, keep_town
from tests.contracts.presence import PresenceContract

NAMES = ("north", "south", "west")
#: Until something that was told has come everywhere.
SOON_S = 0.3


@pytest.fixture
async def town(autojump_clock: MockClock) -> AsyncIterator[Town]:
    async with keep_town(*NAMES) as town:
        yield town


class TestPresenceInMemory(PresenceContract):
    @pytest.fixture
    async def presence(self) -> AsyncIterator[Presence]:
        async with keep_town(*NAMES, settle_s=0.01) as town:
            yield town.stations["north"].presence


@pytest.fixture
async def on_redis(redis: RealServer, nursery: trio.Nursery) -> AsyncIterator[list[Station]]:
    """Three nodes over a real server."""
    server = OnRedis.alone(redis)
    stations = [Station(name, server.bulletin(name)) for name in NAMES]
    async with trio.open_nursery() as own:
        for station in stations:
            own.start_soon(station.run)
        yield stations
        own.cancel_scope.cancel()
    server.close()


class TestPresenceOnRedis(PresenceContract):
    @pytest.fixture
    def presence(self, on_redis: list[Station]) -> Presence:
        return on_redis[0].presence


async def test_users_come_and_go_over_a_real_server(on_redis: list[Station]) -> None:
    north, south, west = on_redis
    with trio.fail_after(PATIENCE_S):
        phone = north.begin("ann", "phone")
        while not (south.presence.is_online("ann") and west.presence.is_online("ann")):
            await trio.sleep(0.01)
        south.begin("ann", "phone")
        while phone in north.sessions:
            await trio.sleep(0.01)
        for session in list(south.sessions):
            south.end(session)
        while north.presence.is_online("ann") or west.presence.is_online("ann"):
            await trio.sleep(0.01)
    assert [user for user, _ in south.noted] == ["ann"]
    assert [last_seen is None for _, last_seen in west.told] == [True, False]


# ------------------------------------------------------------------------------------------ coming and going


async def test_a_user_is_online_everywhere_until_the_last_session_anywhere_ends(
    town: Town, autojump_clock: MockClock
) -> None:
    north, south, west = town.stations.values()
    first = north.begin("ann")
    await trio.sleep(SOON_S)
    second = south.begin("ann")
    assert south.told == [("ann", None)], "it was known here"
    await trio.sleep(SOON_S)
    assert west.presence.count("ann") == 2
    north.end(first)
    await trio.sleep(SOON_S)
    assert all(station.presence.is_online("ann") for station in town.stations.values())
    assert not north.noted
    south.end(second)
    went_ms = EPOCH_MS + int(trio.current_time() * 1000)
    await trio.sleep(SOON_S)
    assert not any(station.presence.is_online("ann") for station in town.stations.values())
    assert south.noted == [("ann", went_ms)]
    assert not west.noted
    for station in town.stations.values():
        assert [user for user, _ in station.told] == ["ann", "ann"], station.name
        assert station.told[0] == ("ann", None)
        last_seen = station.told[1][1]
        assert last_seen is not None
        assert 0 <= last_seen - went_ms <= SOON_S * 1000


async def test_a_node_that_stood_still_takes_nobody_for_gone(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    north.begin("ann")
    await trio.sleep(SOON_S)
    for _ in range(3):
        autojump_clock.jump(2 * SILENCE_S)
        await trio.sleep(SOON_S)
    assert north.told == south.told == west.told == [("ann", None)]


async def test_a_node_that_died_while_another_stood_still_is_found_silent(
    town: Town, autojump_clock: MockClock
) -> None:
    north, south, _ = town.stations.values()
    north.begin("ann")
    await trio.sleep(SOON_S)
    town.kill("north")
    autojump_clock.jump(2 * SILENCE_S)
    await trio.sleep(SILENCE_S + 1)
    assert [last_seen is None for _, last_seen in south.told] == [True, False]


async def test_a_user_who_changes_nodes_is_not_told_to_have_gone(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    first = north.begin("ann")
    await trio.sleep(SOON_S)
    south.begin("ann")
    await trio.sleep(SOON_S)
    north.end(first)
    await trio.sleep(SOON_S)
    assert north.told == south.told == west.told == [("ann", None)]


async def test_where_the_last_sessions_end_at_once_the_time_is_noted_all_the_same(
    town: Town, autojump_clock: MockClock
) -> None:
    north, south, west = town.stations.values()
    one, other = north.begin("ann"), south.begin("ann")
    await trio.sleep(SOON_S)
    north.end(one)
    south.end(other)
    assert not north.noted
    assert not south.noted
    await trio.sleep(SOON_S)
    assert [user for user, _ in north.noted] == ["ann"]
    for station in (north, south, west):
        assert station.shown() == {"ann": False}


async def test_who_comes_and_goes_between_two_messages_is_not_told(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    await trio.sleep(0.95)
    north.begin("bob")
    await trio.sleep(0.01)
    north.end(north.begin("ann"))
    await trio.sleep(SOON_S)
    assert south.told == [("bob", None)]


async def test_a_node_that_stops_takes_its_users_along_at_once(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    north.begin("ann")
    await trio.sleep(SOON_S)
    town.stop("north")
    await trio.sleep(0.6)
    assert not south.presence.is_online("ann")
    assert south.shown() == {"ann": False}
    assert len(south.presence.roster) == 1


async def test_a_node_that_starts_knows_who_is_online_elsewhere(town: Town, autojump_clock: MockClock) -> None:
    for name in ("north", "south"):
        for number in range(MOST_CHANGES + 200):  # More than a message holds.
            town.stations[name].begin(f"{name}{number}")
    await trio.sleep(1)
    east = town.open("east")
    await trio.sleep(SOON_S)
    assert len(east.told) == 2 * (MOST_CHANGES + 200)
    assert east.presence.count(f"south{MOST_CHANGES}") == 1


# ------------------------------------------------------------------------------------------ ghosts


async def test_ghosts_are_gone_within_ten_seconds(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    ann = north.begin("ann")
    south.begin("bob")
    north.begin("bob")
    await trio.sleep(SOON_S)
    town.kill("north")
    died_ms = EPOCH_MS + int(trio.current_time() * 1000)
    await trio.sleep(SILENCE_S - 1.5)
    assert south.presence.is_online("ann"), "it may only be slow"
    assert south.presence.count("ann") == 0, "but takes nobody's place"
    await trio.sleep(2.5)
    assert not south.presence.is_online("ann")
    assert not west.presence.is_online("ann")
    assert south.presence.is_online("bob")
    for station in (south, west):
        (last_seen,) = [at_ms for user, at_ms in station.told if user == "ann" and at_ms is not None]
        assert died_ms - 1_100 <= last_seen <= died_ms
        assert station.shown() == {"ann": False, "bob": True}
    assert ann in north.sessions, "nobody told it to end"


async def test_a_node_that_comes_back_has_only_its_new_users(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    north.begin("ann")
    north.begin("bob")
    await trio.sleep(SOON_S)
    town.kill("north")
    await trio.sleep(3)
    town.revive("north").begin("bob")
    await trio.sleep(1.5)
    assert south.online(("ann", "bob")) == {"bob"}
    assert south.shown() == {"ann": False, "bob": True}
    await trio.sleep(30)
    assert south.shown() == {"ann": False, "bob": True}


async def test_a_node_that_was_cut_off_is_online_again_with_all_of_its_users(
    town: Town, autojump_clock: MockClock
) -> None:
    north, south, _ = town.stations.values()
    gone, stays = north.begin("ann"), north.begin("bob")
    await trio.sleep(SOON_S)
    town.server.strike(faults.Unreachable(node="north"))
    await trio.sleep(5)
    north.end(gone)
    north.begin("cat")
    await trio.sleep(10)
    assert not south.online(("ann", "bob", "cat"))
    town.server.strike(faults.Mended(node="north"))
    await trio.sleep(3)
    assert stays in north.sessions
    assert south.online(("ann", "bob", "cat")) == {"bob", "cat"}
    assert north.soft.problem is None


# ------------------------------------------------------------------------------------------ sessions give way


async def test_the_newest_session_of_a_device_stays(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    first = north.begin("ann", "phone")
    other = north.begin("ann", "laptop")
    await trio.sleep(SOON_S)
    second = south.begin("ann", "phone")
    await trio.sleep(SOON_S)
    assert first not in north.sessions
    assert other in north.sessions
    third = west.begin("ann", "phone")
    await trio.sleep(SOON_S)
    assert second not in south.sessions
    assert third in west.sessions
    assert west.presence.count("ann") == 2


async def test_a_clock_that_is_wrong_lets_no_old_session_stay(autojump_clock: MockClock) -> None:
    async with keep_town() as town:
        ahead = town.open("ahead", skew_ms=3_600_000)
        late = town.open("late", skew_ms=-3_600_000)
        await trio.sleep(2)
        first = ahead.begin("ann", "phone")
        await trio.sleep(SOON_S)
        second = late.begin("ann", "phone")
        await trio.sleep(SOON_S)
        assert first not in ahead.sessions
        assert second in late.sessions
        late.end(second)
        await trio.sleep(SOON_S)
        assert (ahead.shown(), late.shown()) == ({"ann": False}, {"ann": False})
        ((_, last_seen),) = [told for told in ahead.told if told[1] is not None]
        assert last_seen is not None
        assert last_seen <= EPOCH_MS + 3_600_000 + trio.current_time() * 1000


async def test_a_session_that_ended_before_anybody_could_be_told_of_it_takes_nobodys_place(
    autojump_clock: MockClock,
) -> None:
    """Its node was cut off, and its clock is ahead: by that the session was the newer one."""
    async with keep_town() as town:
        ahead, other = town.open("ahead", skew_ms=3_600_000), town.open("other")
        await trio.sleep(2)
        town.server.strike(faults.Unreachable(node="ahead"))
        first, stays = ahead.begin("ann", "phone"), ahead.begin("bob")
        await trio.sleep(5)
        ahead.end(first)
        second = other.begin("ann", "phone")
        await trio.sleep(1)
        town.server.strike(faults.Mended(node="ahead"))
        await trio.sleep(3)
        assert second in other.sessions and stays in ahead.sessions
        assert other.online(("ann", "bob")) == ahead.online(("ann", "bob")) == {"ann", "bob"}


async def test_of_two_sessions_that_begin_at_once_one_stays(town: Town, autojump_clock: MockClock) -> None:
    north, south, _ = town.stations.values()
    one, other = north.begin("ann", "phone"), south.begin("ann", "phone")
    await trio.sleep(SOON_S)
    assert (one in north.sessions) != (other in south.sessions)


async def test_a_users_sessions_are_limited_on_all_nodes_together(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    old = [north.begin("ann"), south.begin("ann")]
    await trio.sleep(SOON_S)
    new = []
    for _ in range(LIMIT):
        new.append(west.begin("ann"))
        await trio.sleep(SOON_S)
    north.begin("bob")
    assert not any(session in station.sessions for session in old for station in (north, south))
    assert all(session in west.sessions for session in new)
    assert south.presence.count("ann") == LIMIT


async def test_ghosts_take_nobodys_place(town: Town, autojump_clock: MockClock) -> None:
    """Whose node died comes again on others, and has not more sessions than before."""
    north, south, west = town.stations.values()
    living = south.begin("ann")
    await trio.sleep(SOON_S)
    for _ in range(LIMIT - 1):
        north.begin("ann")
    await trio.sleep(SOON_S)
    town.kill("north")
    await trio.sleep(4)
    for _ in range(LIMIT - 1):
        west.begin("ann")
        await trio.sleep(SOON_S)
    await trio.sleep(20)
    assert living in south.sessions
    assert len(west.sessions) == LIMIT - 1


async def test_sessions_count_again_when_their_node_is_heard_again(town: Town, autojump_clock: MockClock) -> None:
    north, south, west = town.stations.values()
    oldest = north.begin("ann")
    await trio.sleep(SOON_S)
    south.begin("ann")
    west.begin("ann")
    await trio.sleep(SOON_S)
    town.server.strike(faults.Unreachable(node="west"))
    await trio.sleep(4)
    south.begin("ann")
    await trio.sleep(SOON_S)
    assert oldest in north.sessions, "as far as it is known there are three"
    town.server.strike(faults.Mended(node="west"))
    await trio.sleep(2)
    assert oldest not in north.sessions
    assert west.presence.count("ann") == LIMIT


async def test_a_session_that_nobody_was_told_of_is_in_no_answer() -> None:
    """Its end would be told to nobody."""
    presence = ClusterPresence("north", LIMIT, note=lambda user, last_seen: None, now_ms=lambda: EPOCH_MS)
    presence.came("ann")
    presence.entered("s1", "ann", None)
    assert list(presence.all_sessions()) == [[]]
    presence.left("s1")
    assert presence.take_changes() == ([], [])
    presence.entered("s2", "ann", "phone")
    began, _ = presence.take_changes()
    assert list(presence.all_sessions()) == [began]
    presence.left("s2")
    assert list(presence.all_sessions()) == [[]]
    (end,) = presence.take_changes()[1]
    assert (end.user, end.since) == ("ann", began[0].since)


# ------------------------------------------------------------------------------------------ whatever happens


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(4, 200))])
async def test_in_the_end_all_nodes_know_who_is_there(autojump_clock: MockClock, seed: int) -> None:
    random = Random(seed)
    users, devices = ("ann", "bob", "cat", "dan"), (None, "phone", "laptop")
    async with keep_town() as town:
        lossy = {}
        for name in NAMES:
            lossy[name] = Lossy(MemoryBulletin(town.server, name), random)
            town.open(name, lossy[name], skew_ms=random.choice((0, 0, -4_000, 4_000)))
        for _ in range(150):
            station = random.choice(list(town.stations.values()))
            chance = random.random()
            if chance < 0.5:
                station.begin(random.choice(users), random.choice(devices))
            elif chance < 0.85 and station.sessions:
                station.end(random.choice(list(station.sessions)))
            elif chance < 0.9:
                town.server.strike(random.choice((faults.ReplyLost(calls=2), faults.Late(), faults.RequestLost())))
            elif chance < 0.92:
                town.server.strike(faults.Unsubscribed())
            elif chance < 0.94:
                town.server.strike(faults.EverythingLost(restarted=True))
            elif chance < 0.96 and len(town.stations) > 1:
                name = random.choice(list(town.stations))
                town.kill(name) if random.random() < 0.5 else town.stop(name)
            elif missing := [name for name in NAMES if name not in town.stations]:
                town.revive(random.choice(missing), skew_ms=random.choice((0, -4_000, 4_000)))
            await trio.sleep(random.choice((0, 0.01, 0.05, 0.2, 1, 3)))
        for each in lossy.values():
            each.share = 0
        await trio.sleep(30)
        there = {user for station in town.stations.values() for user in station.users}
        for station in town.stations.values():
            assert station.online(users) == there, station.name
            shown = station.shown()
            assert {user for user in users if shown.get(user)} == there, station.name
            sessions = [place for each in town.stations.values() for place in each.sessions.values()]
            for user in users:
                assert station.presence.count(user) == sum(place[0] == user for place in sessions) <= LIMIT
            named = [place for place in sessions if place[1] is not None]
            assert len(named) == len(set(named)), "one session a device"


async def test_a_node_whose_answer_takes_seconds_is_known_in_the_end(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with 100,000 sessions, of which each message holds a thousand: here a message holds five."""
    users = [f"u{number:03}" for number in range(100)]
    async with keep_town("north") as town:
        for user in users:
            town.stations["north"].begin(user)
        await trio.sleep(SOON_S)
        monkeypatch.setattr("gochat.cluster.presence.MOST_CHANGES", 5)
        town.server.strike(faults.Slow(node="north", delay_s=0.3))
        south = town.open("south")
        await trio.sleep(1.5 * 0.3 * len(users) / 5)
        assert south.online(users) == set(users)
        town.stations["north"].end(next(iter(town.stations["north"].sessions)))
        await trio.sleep(0.3 * len(users) / 5 + 2)  # It was asked twice, and says nothing else meanwhile.
        assert south.online(users) == set(users[1:]), "and it is not asked for ever"
