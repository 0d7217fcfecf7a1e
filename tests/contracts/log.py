"""The suite of the cluster's `Log`. An implementation's tests give the fixture `server`, where nothing of the cluster
exists yet, and take the suite over as a subclass."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import pytest
import trio
import trio.testing

from gochat.cluster.ports import (
    MOST_BYTES,
    MOST_ENTRIES,
    START,
    TERM_STEP,
    Batch,
    Element,
    Log,
    Position,
    ServerAway,
    ballot_of,
)

#: For all that waits for a real server.
PATIENCE_S = 60
ALL = range(4)


class LogServer(Protocol):
    """A server, or several, and what can befall them."""

    is_many: bool

    def log(self, node: str, *, offer_life_s: float = 60) -> Log:
        """Another node's view of it. The node "hasty" waits for answers for a fraction of a second, others for long."""

    async def flush(self) -> None:
        """All data is gone, and no connection notices."""

    async def lose_stream(self, partition: int) -> None:
        """The entries of a partition are gone."""

    async def promote(self) -> None:
        """It was demoted and promoted again: its id is another one, its data and connections are the same."""

    async def fill(self) -> None:
        """There is no memory left."""

    async def make_room(self) -> None:
        """There is memory again."""

    def stalled(self, node: str) -> AbstractAsyncContextManager[None]:
        """Inside, calls of the node get no answer, and end; they are carried out after it."""


async def made(server: LogServer, node: str = "north") -> tuple[Log, dict[int, int]]:
    """A log that is in order, and the term of each partition."""
    log = server.log(node)
    fences = [await log.create(partition) for partition in ALL]
    return log, {p: fence.term for p, fence in enumerate(fences) if fence is not None}


async def whole(log: Log, partition: int, after: Position = START, limit: int = 1000) -> list[Element]:
    """All that is there, once there is something."""
    with trio.fail_after(PATIENCE_S):
        while True:
            found = await log.read({partition: after}, limit)
            if found:
                return found[partition]


async def answered(log: Log, partition: int, instance: str) -> str:
    """Offer all that is there; the server's id."""
    server = (await log.fences([partition])).servers[partition]
    end = (await log.ends([partition]))[partition]
    assert await log.offer(partition, server, instance, end, ballot_of(end.term) + 1)
    return server


class LogContract:
    # ------------------------------------------------------------------------------------------ creating

    async def test_at_first_there_is_nothing(self, server: LogServer) -> None:
        log = server.log("north")
        fences = await log.fences(ALL)
        assert fences.servers.keys() == set(ALL) and all(fences.servers.values())
        assert fences.by_partition == {}
        assert await log.ends(ALL) == {}
        assert await log.append([Batch(0, 1, [b"x"])]) == ["fenced"]
        assert await log.trim(0, Position(1, 1), 1, 1) == 0

    async def test_a_partition_begins_with_the_marker_of_its_term(self, server: LogServer) -> None:
        log = server.log("north")
        fence = await log.create(2)
        assert fence is not None
        assert TERM_STEP <= fence.term < 2 * TERM_STEP
        fences = await log.fences(ALL)
        assert fences.servers[2] == fence.server
        assert fences.by_partition == {2: fence}
        assert await whole(log, 2) == [Element(Position(fence.term, 1), b"")]

    async def test_the_ends_come_between_two_looks_at_the_fences(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"])])
        fences = await log.fences([0, 1])
        assert await log.fenced_ends([0, 1]) == (fences, {0: Position(terms[0], 2), 1: Position(terms[1], 1)}, fences)

    async def test_what_exists_is_not_created_again(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"])])
        assert await server.log("south").create(0) is None
        assert (await log.fences([0])).by_partition[0].term == terms[0]
        assert len(await whole(log, 0)) == 2
        await server.lose_stream(1)
        assert await log.create(1) is None, "whose fence is left was lost, and is to be repaired"

    # ------------------------------------------------------------------------------------------ appending, reading

    async def test_entries_come_back_as_they_were(self, server: LogServer) -> None:
        log, terms = await made(server)
        entries = [bytes(range(256)), b"\r\n$5\r\n", b"0", b"x" * (MOST_BYTES // 2)]
        end = Position(terms[0], 5)
        assert await log.append([Batch(0, terms[0], entries)]) == [end]
        assert await log.ends(ALL) == {0: end, **{p: Position(terms[p], 1) for p in (1, 2, 3)}}
        elements = await whole(log, 0)
        assert [element.data for element in elements] == [b"", *entries]
        assert [element.position for element in elements] == [Position(terms[0], n) for n in range(1, 6)]

    async def test_a_call_appends_to_several_partitions(self, server: LogServer) -> None:
        log, terms = await made(server)
        results = await log.append(
            [Batch(0, terms[0], [b"a", b"b"]), Batch(1, terms[1] + 1, [b"c"]), Batch(3, terms[3], [b"d"])]
        )
        assert results == [Position(terms[0], 3), "fenced", Position(terms[3], 2)]
        after = {p: Position(terms[p], 1) for p in ALL}
        read = await log.read(after, 10)
        assert read.keys() == {0, 3} or server.is_many
        with trio.fail_after(PATIENCE_S):
            while len(read) < 2:
                read |= await log.read({p: position for p, position in after.items() if p not in read}, 10)
        assert {p: [element.data for element in found] for p, found in read.items()} == {0: [b"a", b"b"], 3: [b"d"]}

    @pytest.mark.parametrize(
        "entries", [[], [b""], [b"x", b""], [b"x"] * (MOST_ENTRIES + 1), [b"x" * MOST_BYTES, b"y"]]
    )
    async def test_a_batch_has_its_bounds(self, server: LogServer, entries: list[bytes]) -> None:
        log, terms = await made(server)
        with pytest.raises(ValueError):
            await log.append([Batch(1, terms[1], [b"x"]), Batch(0, terms[0], entries)])
        assert await log.ends([0, 1]) == {0: Position(terms[0], 1), 1: Position(terms[1], 1)}

    async def test_the_largest_batch_is_taken(self, server: LogServer) -> None:
        log, terms = await made(server)
        entries = [b"x" * (MOST_BYTES // MOST_ENTRIES)] * MOST_ENTRIES
        assert await log.append([Batch(0, terms[0], entries)]) == [Position(terms[0], MOST_ENTRIES + 1)]

    async def test_another_term_appends_nothing(self, server: LogServer) -> None:
        log, terms = await made(server)
        for term in (terms[0] - 1, terms[0] + 1, 0):
            assert await log.append([Batch(0, term, [b"x"])]) == ["fenced"]
        assert await log.ends([0]) == {0: Position(terms[0], 1)}

    async def test_nodes_that_append_at_once_get_one_order(self, server: LogServer) -> None:
        north, terms = await made(server)
        south = server.log("south")
        logs = {b"n": north, b"s": south}
        ends: dict[bytes, list[Position]] = {b"n": [], b"s": []}

        async def append(name: bytes) -> None:
            for i in range(50):
                (end,) = await logs[name].append(
                    [Batch(0, terms[0], [b"%s%d" % (name, 2 * i), b"%s%d" % (name, 2 * i + 1)])]
                )
                assert isinstance(end, Position)
                ends[name].append(end)

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(append, b"n")
                nursery.start_soon(append, b"s")
            elements = await whole(north, 0)
            assert elements == await whole(south, 0)
        assert [element.position.n for element in elements] == list(range(1, 202))
        at = {element.data: element.position for element in elements}
        for name in (b"n", b"s"):
            places = [at[b"%s%d" % (name, i)] for i in range(100)]
            assert places == sorted(places)
            assert places[1::2] == ends[name]

    async def test_a_reading_goes_on_where_it_was(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"%d" % i for i in range(10)])])
        first = await whole(log, 0, START, 4)
        assert len(first) == 4
        assert log.leaves_more
        rest = await whole(log, 0, first[-1].position, 100)
        assert not log.leaves_more
        assert [element.data for element in first + rest] == [b"", *(b"%d" % i for i in range(10))]

    @pytest.mark.parametrize("wait", [True, False])
    async def test_a_reading_has_a_bound_in_bytes(self, server: LogServer, wait: bool) -> None:
        log, terms = await made(server)
        written = {p: [bytes([p, n]) * (MOST_BYTES // 5) for n in range(1, 8)] for p in (0, 2)}
        for p, entries in written.items():
            assert await log.append([Batch(p, terms[p], entries[:2])]) == [Position(terms[p], 3)]
            for entry in entries[2:]:
                await log.append([Batch(p, terms[p], [entry])])
        read: dict[int, list[Element]] = {0: [], 2: []}
        with trio.fail_after(PATIENCE_S):
            while any(len(elements) < 8 for elements in read.values()):
                after = {p: elements[-1].position if elements else START for p, elements in read.items()}
                found = await log.read(after, 1_000, wait=wait)
                if wait:
                    behind = any(elements[-1].position.n < 8 for elements in found.values())
                    assert log.leaves_more or not behind
                for p, elements in found.items():
                    assert sum(len(element.data) for element in elements[:-1]) < MOST_BYTES
                    read[p] += elements
        assert {p: [element.data for element in elements[1:]] for p, elements in read.items()} == written
        assert [element.position.n for element in read[2]] == list(range(1, 9))

    async def test_a_reading_waits_for_news(self, server: LogServer) -> None:
        log, terms = await made(server)
        other = server.log("south")
        found: dict[int, list[Element]] = {}

        async def read() -> None:
            after = {p: Position(terms[p], 1) for p in ALL}
            while not found:
                found.update(await log.read(after, 10))

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                await other.append([Batch(3, terms[3], [b"news"])])
        assert found == {3: [Element(Position(terms[3], 2), b"news")]}

    async def test_a_reading_without_news_ends_empty(self, server: LogServer) -> None:
        log, terms = await made(server)
        with trio.fail_after(PATIENCE_S):
            assert await log.read({0: Position(terms[0], 1), 1: Position(terms[1], 7)}, 10) == {}

    async def test_a_look_waits_for_nothing(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"])])
        after = {0: Position(terms[0], 1), 1: Position(terms[1], 1)}
        assert await log.read(after, 10, wait=False) == {0: [Element(Position(terms[0], 2), b"x")]}
        assert await log.read({1: after[1]}, 10, wait=False) == {}

    async def test_a_reading_that_is_cancelled_loses_nothing(self, server: LogServer) -> None:
        log, terms = await made(server)
        after = {0: Position(terms[0], 1)}
        with trio.fail_after(PATIENCE_S):
            for i in range(3):
                with trio.move_on_after(0.01) as scope:
                    await log.read(after, 10)
                assert scope.cancelled_caught
                assert (await log.append([Batch(0, terms[0], [b"%d" % i])])) == [Position(terms[0], 2 + i)]
                (element,) = await whole(log, 0, after[0])
                assert element.data == b"%d" % i
                after = {0: element.position}

    # ------------------------------------------------------------------------------------------ trimming

    async def test_trimming_drops_what_all_have(self, server: LogServer) -> None:
        log, terms = await made(server)
        term = terms[0]
        await log.append([Batch(0, term, [b"%d" % n for n in range(2, 11)])])
        assert await log.trim(0, Position(term, 4), 2, 100) == 3
        assert [element.position.n for element in await whole(log, 0)] == [4, 5, 6, 7, 8, 9, 10]
        assert await log.trim(0, Position(term, 4), 2, 100) == 0
        assert await log.trim(0, Position(term, 99), 2, 100) == 5, "the last two are kept"
        assert await log.trim(0, Position(term, 99), 0, 100) == 1, "one is always kept"
        assert await log.ends([0]) == {0: Position(term, 10)}
        assert await log.append([Batch(0, term, [b"11"])]) == [Position(term, 11)]
        assert [element.position.n for element in await whole(log, 0, Position(term, 3))] == [10, 11]

    async def test_what_is_over_the_cap_goes_whoever_needs_it(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"] * 9)])
        assert await log.trim(0, Position(terms[0], 1), 2, 4) == 6
        assert [element.position.n for element in await whole(log, 0)] == [7, 8, 9, 10]

    # ------------------------------------------------------------------------------------------ what is lost

    async def test_after_everything_is_lost_nobody_appends(self, server: LogServer) -> None:
        log, terms = await made(server)
        servers = (await log.fences(ALL)).servers
        await server.flush()
        assert await log.fences(ALL) == (servers, {})
        assert await log.ends(ALL) == {}
        assert await log.append([Batch(0, terms[0], [b"x"])]) == ["fenced"]

    async def test_a_stream_that_is_lost_takes_its_fence_along(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.lose_stream(0)
        assert (await log.fences(ALL)).by_partition.keys() == {1, 2, 3}, "also where nobody appends"
        assert await log.append([Batch(0, terms[0], [b"x", b"y"]), Batch(1, terms[1], [b"x"])]) == [
            "lost",
            Position(terms[1], 2),
        ]
        assert (await log.fences(ALL)).by_partition.keys() == {1, 2, 3}
        assert await log.append([Batch(0, terms[0], [b"x"])]) == ["fenced"]
        assert await log.ends([0]) == {}

    async def test_a_server_that_was_demoted_is_another(self, server: LogServer) -> None:
        log, terms = await made(server)
        before = await log.fences(ALL)
        await server.promote()
        after = await log.fences(ALL)
        assert all(after.servers[partition] != before.servers[partition] for partition in ALL)
        assert after.by_partition == before.by_partition
        assert await log.append([Batch(0, terms[0], [b"x"])]) == ["fenced"]

    async def test_a_full_server_takes_nothing_and_can_be_trimmed(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"] * 9)])
        await server.fill()
        assert await log.append([Batch(0, terms[0], [b"y", b"z"]), Batch(1, terms[1], [b"y"])]) == ["unknown"] * 2
        with pytest.raises(ServerAway):
            await log.offer(0, (await log.fences([0])).servers[0], "north", Position(terms[0], 10), 2)
        assert (await log.begins([0]))[0].n == 1
        assert await log.trim(0, Position(terms[0], 9), 1, 100) == 8
        assert await log.begins([0, 1]) == {0: Position(terms[0], 9), 1: Position(terms[1], 1)}
        assert await log.ends([0, 1]) == {0: Position(terms[0], 10), 1: Position(terms[1], 1)}, "nothing half done"
        await server.make_room()
        assert await log.append([Batch(0, terms[0], [b"y"])]) == [Position(terms[0], 11)]

    async def test_what_got_no_answer_may_be_done_later(self, server: LogServer) -> None:
        log, terms = await made(server)
        hasty = server.log("hasty")
        with trio.fail_after(PATIENCE_S):
            while await hasty.append([Batch(0, terms[0], [b"early"])]) == ["unknown"]:
                pass  # It has to be connected.
            async with server.stalled("hasty"):
                assert await hasty.append([Batch(0, terms[0], [b"late"])]) == ["unknown"]
            found: list[Element] = []
            while not found or found[-1].data != b"late":
                found += await whole(log, 0, found[-1].position if found else Position(terms[0], 1))
        assert [element.data for element in found].count(b"late") == 1, "and done once"
