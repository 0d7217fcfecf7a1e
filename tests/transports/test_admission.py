from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.transports.admission import Connections, Lease


@pytest.fixture
def handle() -> Iterator[socket.socket]:
    with socket.socket() as sock:
        yield sock


def books(capacity: int = 100, unauthenticated: int = 100, per_address: int = 100, **more: object) -> Connections:
    return Connections(capacity=capacity, unauthenticated=unauthenticated, per_address=per_address, **more)  # type: ignore[arg-type]


def admit(connections: Connections, handle: socket.socket, peer: str = "192.0.2.1") -> Lease | None:
    return connections.admit(handle, peer, loopback=False, direct=True)


def test_capacity_bounds_all(handle: socket.socket) -> None:
    connections = books(capacity=2)
    first, second = admit(connections, handle), admit(connections, handle)
    assert first is not None
    assert second is not None
    first.authenticated()
    assert admit(connections, handle) is None
    connections.release(first)
    assert admit(connections, handle) is not None
    assert connections.statistics().refused_capacity == 1


def test_only_strangers_count_against_the_caps_of_strangers(handle: socket.socket) -> None:
    connections = books(unauthenticated=1)
    first = admit(connections, handle)
    assert first is not None
    assert admit(connections, handle, "192.0.2.2") is None
    first.authenticated()
    first.authenticated()
    second = admit(connections, handle, "192.0.2.2")
    assert second is not None
    connections.release(second)
    connections.release(first)
    statistics = connections.statistics()
    assert (statistics.open, statistics.unauthenticated, statistics.addresses) == (0, 0, 0)
    assert (statistics.accepted, statistics.refused_unauthenticated) == (2, 1)


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
    assert admit(connections, handle, one) is not None
    assert (admit(connections, handle, other) is None) is same
    assert connections.statistics().refused_address == same


def test_a_proxy_has_no_cap_but_those_it_speaks_for_do(handle: socket.socket) -> None:
    connections = books(per_address=1, exempt={"10.0.0.1"})
    leases = [admit(connections, handle, "10.0.0.1") for _ in range(3)]
    first, second, third = (lease for lease in leases if lease is not None)
    assert first.count_as("198.51.100.7")
    assert not second.count_as("198.51.100.7")
    assert third.count_as("198.51.100.8")
    first.authenticated()
    assert second.count_as("198.51.100.7")
    assert first.count_as("198.51.100.8"), "who is signed in no longer counts"
    for lease in (first, second, third):
        connections.release(lease)
    assert connections.statistics().addresses == 0
    assert connections.statistics().unauthenticated == 0


@given(st.lists(st.tuples(st.sampled_from(["admit", "sign in", "move", "release"]), st.integers(0, 5)), max_size=60))
def test_the_counts_are_those_of_the_leases(steps: list[tuple[str, int]]) -> None:
    connections = books(capacity=4, unauthenticated=3, per_address=2)
    living: list[Lease] = []
    strangers: dict[Lease, str] = {}
    with socket.socket() as sock:
        for step, number in steps:
            address = f"192.0.2.{number % 3}"
            lease = living[number % len(living)] if living else None
            if step == "admit":
                new = admit(connections, sock, address)
                fits = len(living) < 4 and len(strangers) < 3 and list(strangers.values()).count(address) < 2
                assert (new is not None) is fits
                if new is not None:
                    living.append(new)
                    strangers[new] = address
            elif lease is not None and step == "sign in":
                lease.authenticated()
                strangers.pop(lease, None)
            elif lease is not None and step == "release":
                connections.release(lease)
                living.remove(lease)
                strangers.pop(lease, None)
            elif lease is not None and lease in strangers:
                del strangers[lease]
                moved = lease.count_as(address)
                assert moved is (list(strangers.values()).count(address) < 2)
                strangers[lease] = address if moved else f"refused {id(lease)}"
            statistics = connections.statistics()
            assert (statistics.open, statistics.unauthenticated) == (len(living), len(strangers))
            assert statistics.addresses == len({a for a in strangers.values() if not a.startswith("refused")})
