from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.transports.admission import Connections, Slot


@pytest.fixture
def handle() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        yield sock


def books(capacity: int = 100, unauthenticated: int = 100, per_address: int = 100, **more: object) -> Connections:
    return Connections(capacity=capacity, unauthenticated=unauthenticated, per_address=per_address, **more)  # type: ignore[arg-type]


def admit(connections: Connections, handle: socket.socket, peer: str = "192.0.2.1") -> Slot:
    slot = connections.admit(handle, peer, direct=True)
    assert slot is not None
    return slot


def test_capacity_bounds_all(handle: socket.socket) -> None:
    connections = books(capacity=2)
    first, second = admit(connections, handle), admit(connections, handle)
    first.authenticated()
    third = admit(connections, handle)
    assert not second.stranger, "it was closed to make room"
    third.authenticated()
    connections.release(second)
    assert connections.admit(handle, "192.0.2.2", direct=True) is None
    connections.release(first)
    admit(connections, handle)
    told = connections.statistics()
    assert (told.refused, told.evicted) == (1, {"capacity": 1})


def test_only_strangers_count_against_the_caps_of_strangers(handle: socket.socket) -> None:
    connections = books(unauthenticated=1)
    first = admit(connections, handle)
    first.authenticated()
    first.authenticated()
    second = admit(connections, handle, "192.0.2.2")
    assert second.stranger
    connections.release(second)
    connections.release(first)
    statistics = connections.statistics()
    assert (statistics.open, statistics.unauthenticated, statistics.addresses) == (0, 0, 0)
    assert (statistics.accepted, statistics.evicted) == (2, {})


def test_the_oldest_of_the_address_with_most_goes_first(handle: socket.socket) -> None:
    connections = books(unauthenticated=5)
    lone = admit(connections, handle, "192.0.2.9")
    crowd = [admit(connections, handle, "192.0.2.1") for _ in range(4)]
    crowd.append(admit(connections, handle, "192.0.2.1"))
    assert [slot.stranger for slot in crowd] == [False, True, True, True, True]
    newcomers = [admit(connections, handle, f"198.51.100.{number}") for number in range(3)]
    assert [slot.stranger for slot in crowd] == [False, False, False, False, True]
    assert lone.stranger and all(slot.stranger for slot in newcomers)
    assert connections.statistics().unauthenticated == 5


def test_a_request_in_flight_with_a_good_token_is_closed_last(handle: socket.socket) -> None:
    connections = books(unauthenticated=3)
    asking, idle, other = (admit(connections, handle) for _ in range(3))
    asking.answering = True
    admit(connections, handle)
    assert asking.stranger and not idle.stranger
    other.answering = True
    for _ in range(3):
        admit(connections, handle).answering = True
    assert connections.statistics().unauthenticated == 3, "who holds only such requests shuts nobody out"


def test_bytes_are_bounded_for_all_strangers_together_and_the_biggest_goes(handle: socket.socket) -> None:
    connections = books(unauthenticated_bytes=1000)
    small, big, third = (admit(connections, handle) for _ in range(3))
    small.hold(300)
    big.hold(500)
    third.hold(200)
    assert connections.statistics().unauthenticated_bytes == 1000
    small.hold(100)
    assert (small.stranger, big.stranger, third.stranger) == (True, False, True)
    big.hold(900)
    assert connections.statistics().unauthenticated_bytes == 600, "who is closed holds nothing"
    small.authenticated()
    small.hold(5000)
    assert connections.statistics().unauthenticated_bytes == 200, "nor is it asked of those who are in"
    third.hold(900)
    assert not third.stranger, "alone it may not pass the bound either"
    for slot in (small, big, third):
        connections.release(slot)
    told = connections.statistics()
    assert (told.unauthenticated_bytes, told.open, told.evicted) == (0, 0, {"bytes": 2})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%lo", "fe80::2%lo", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_address_is_a_customer(handle: socket.socket, one: str, other: str, same: bool) -> None:
    connections = books(per_address=1)
    first = admit(connections, handle, one)
    assert admit(connections, handle, other).stranger
    assert first.stranger is not same
    assert connections.statistics().evicted == ({"address": 1} if same else {})


def test_a_proxy_has_no_cap_but_those_it_speaks_for_do(handle: socket.socket) -> None:
    connections = books(per_address=1, exempt={"10.0.0.1"})
    first, second, third = (admit(connections, handle, "10.0.0.1") for _ in range(3))
    first.count_as("198.51.100.7")
    assert first.stranger
    second.count_as("198.51.100.7")
    assert second.stranger and not first.stranger
    second.count_as("198.51.100.7")
    assert second.stranger, "it does not give way to itself"
    third.authenticated()
    third.count_as("198.51.100.7")
    assert second.stranger, "who is signed in no longer counts"
    for slot in (first, second, third):
        connections.release(slot)
    assert connections.statistics().addresses == 0
    assert connections.statistics().unauthenticated == 0


STEPS = ["admit", "sign in", "move", "hold", "release"]


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 5)), max_size=80))
def test_the_books_hold_their_bounds_whatever_comes(steps: list[tuple[str, int]]) -> None:
    connections = books(capacity=6, unauthenticated=4, per_address=2, unauthenticated_bytes=1000)
    living: dict[Slot, str] = {}
    with socket.socket() as sock:
        for step, number in steps:
            address = f"192.0.2.{number % 3}"
            slot = list(living)[number % len(living)] if living else None
            if step == "admit":
                new = connections.admit(sock, address, direct=True)
                assert (new is None) is (len(living) >= 6 and not any(one.stranger for one in [*living, new] if one))
                if new is not None:
                    assert new.stranger
                    living[new] = address
            elif slot is not None and step == "sign in":
                slot.authenticated()
            elif slot is not None and step == "release":
                connections.release(slot)
                del living[slot]
            elif slot is not None and step == "hold":
                slot.hold(number * 150)
            elif slot is not None:
                slot.count_as(address)
                living[slot] = address
            told = connections.statistics()
            strangers = [one for one in living if one.stranger]
            most = Counter(living[one] for one in strangers)
            assert (told.open, told.unauthenticated) == (len(living), len(strangers))
            assert told.addresses == len(most)
            assert max(most.values(), default=0) <= 2
            assert len(strangers) <= 4
            assert told.unauthenticated_bytes == sum(one.held for one in strangers) <= 1000
