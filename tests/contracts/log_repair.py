"""The part of the suite of the cluster's `Log` that is about its repair: see `log`."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from gochat.cluster.ports import START, TERM_STEP, Batch, Element, Fence, Log, Position, ServerAway, ballot_of
from tests.contracts.log import ALL, PATIENCE_S, LogServer, answered, made, whole


async def repaired(log: Log, partition: int) -> Fence:
    """Have one node answer, and seal."""
    fence = await log.seal(partition, await answered(log, partition, "north"), 1)
    assert isinstance(fence, Fence)
    return fence


class LogRepairContract:
    async def test_a_repair_needs_answers(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.promote()
        id_ = await answered(log, 0, "north")
        assert await log.seal(0, id_, 2) == "wait"
        assert await log.offer(0, id_, "north", Position(terms[0], 1), 2)
        assert await log.seal(0, id_, 2) == "wait", "the same node's twice"
        assert await log.offer(0, id_, "south", Position(terms[0], 1), 2)
        assert await log.seal(0, id_, 3) == "wait"
        await log.withdraw(0, id_, "south")
        assert await log.seal(0, id_, 2) == "wait"
        assert await log.offer(0, id_, "south", Position(terms[0], 1), 2)
        fence = await log.seal(0, id_, 2)
        assert isinstance(fence, Fence)
        assert fence.server == id_
        assert 2 * TERM_STEP <= fence.term < 3 * TERM_STEP
        assert await whole(log, 0, Position(terms[0], 1)) == [Element(Position(fence.term, 2), b"")]
        assert (await log.fences(ALL)).by_partition[0] == fence
        assert await log.append([Batch(0, terms[0], [b"x"])]) == ["fenced"]
        assert await log.append([Batch(0, fence.term, [b"x"])]) == [Position(fence.term, 3)]

    async def test_answers_of_nodes_that_do_not_count_stand_for_no_other(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.promote()
        id_ = await answered(log, 0, "north")
        assert await log.offer(0, id_, "gone", Position(terms[0], 1), 2)
        assert await log.seal(0, id_, 2, {"north", "south"}) == "wait"
        assert await log.seal(0, id_, 1, set()) == "wait"
        assert await log.offer(0, id_, "south", Position(terms[0], 1), 2)
        assert isinstance(await log.seal(0, id_, 2, {"north", "south"}), Fence)

    async def test_old_answers_do_not_count(self, server: LogServer) -> None:
        log, _ = await made(server)
        await server.promote()
        id_ = await answered(log, 0, "north")
        assert await server.log("south", offer_life_s=0).seal(0, id_, 1) == "wait"
        assert isinstance(await log.seal(0, id_, 1), Fence)

    async def test_only_answers_in_the_latest_ballot_count(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.promote()
        id_ = (await log.fences([0])).servers[0]
        end = Position(terms[0], 1)
        assert await log.offer(0, id_, "north", end, 2) == 2
        assert await log.offer(0, id_, "south", end, 5) == 5
        assert await log.offer(0, id_, "west", end, 3) == 5, "that it may answer in it"
        assert await log.seal(0, id_, 2) == "wait"
        assert await log.seal(0, id_, 1, {"north", "west"}) == "wait"
        assert await log.offer(0, id_, "north", end, 5) == 5
        fence = await log.seal(0, id_, 2)
        assert isinstance(fence, Fence)
        assert ballot_of(fence.term) == 5

    async def test_a_ballot_that_has_a_term_already_begins_no_other(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.promote()
        id_ = (await log.fences([0])).servers[0]
        assert await log.offer(0, id_, "north", Position(terms[0], 1), 1)
        assert await log.seal(0, id_, 1) == "short"

    async def test_a_term_is_ended_before_the_next_begins(self, server: LogServer) -> None:
        log, terms = await made(server)
        fence = (await log.fences([0])).by_partition[0]
        assert not await log.end_term(0, Fence("0" * 40, fence.term))
        assert not await log.end_term(0, fence._replace(term=fence.term + 1))
        assert await log.append([Batch(0, terms[0], [b"x"])]) == [Position(terms[0], 2)]
        assert await log.end_term(0, fence)
        assert not await log.end_term(0, fence), "by then another one may have begun"
        assert await log.append([Batch(0, terms[0], [b"y"])]) == ["fenced"]
        fences = await log.fences(ALL)
        assert fences.by_partition.keys() == {1, 2, 3}
        assert (await repaired(log, 0)).term > fence.term
        assert await log.ends([0]) != {0: Position(terms[0], 2)}

    async def test_a_log_with_an_end_that_is_nobodys_is_dropped_and_put_back(self, server: LogServer) -> None:
        log, terms = await made(server)
        end = Position(terms[0], 2)
        assert await log.append([Batch(0, terms[0], [b"x"])]) == [end]
        fence = (await log.fences([0])).by_partition[0]
        assert not await log.drop(0, fence.server, end), "it is in order"
        assert await log.end_term(0, fence)
        assert not await log.drop(0, "0" * 40, end)
        assert not await log.drop(0, fence.server, Position(terms[0], 1)), "its end is elsewhere"
        assert await log.drop(0, fence.server, end)
        assert not await log.drop(0, fence.server, end)
        assert (await log.ends(ALL)).keys() == {1, 2, 3}
        assert await log.put_back(0, fence.server, None, [Element(Position(terms[0], 1), b"")]) == "done"
        assert (await repaired(log, 0)).term > fence.term

    async def test_what_is_sealed_is_sealed_once(self, server: LogServer) -> None:
        log, _ = await made(server)
        await server.promote()
        fence = await repaired(log, 0)
        assert await server.log("south").seal(0, fence.server, 99) == fence
        assert len(await whole(log, 0)) == 2

    async def test_answers_are_for_one_repair(self, server: LogServer) -> None:
        log, _ = await made(server)
        await server.promote()
        await repaired(log, 0)
        await server.lose_stream(0)
        id_ = (await log.fences([0])).servers[0]
        assert await log.seal(0, id_, 1) == "wait"

    async def test_a_log_that_is_shorter_than_an_answer_is_not_sealed(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.promote()
        id_ = await answered(log, 0, "north")
        assert await log.offer(0, id_, "south", Position(terms[0], 2), 2)
        assert await log.seal(0, id_, 2) == "short"
        assert await log.put_back(0, id_, Position(terms[0], 1), [Element(Position(terms[0], 2), b"x")]) == "done"
        assert isinstance(await log.seal(0, id_, 2), Fence)

    async def test_an_answer_of_a_later_term_is_longer(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"] * 5)])
        await server.promote()
        id_ = await answered(log, 0, "north")
        assert await log.offer(0, id_, "south", Position(terms[0] + 1, 2), 2)
        assert await log.seal(0, id_, 1) == "short"

    async def test_nothing_empty_is_sealed(self, server: LogServer) -> None:
        log = server.log("north")
        id_ = (await log.fences(ALL)).servers[0]
        assert await log.offer(0, id_, "north", START, 1)
        assert await log.seal(0, id_, 1) == "short"

    async def test_another_server_is_not_repaired(self, server: LogServer) -> None:
        log, terms = await made(server)
        old = await answered(log, 0, "north")
        await server.promote()
        assert not await log.offer(0, old, "north", Position(terms[0], 1), 2)
        assert await log.put_back(0, old, Position(terms[0], 1), [Element(Position(terms[0], 2), b"x")]) == "other"
        assert await log.seal(0, old, 0) == "other"
        assert await log.ends([0]) == {0: Position(terms[0], 1)}

    async def test_a_node_keeps_to_one_server(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.read({0: START}, 1)
        servers = (await log.fences(ALL)).servers
        await log.keep_to(servers)
        assert await log.append([Batch(0, terms[0], [b"x"])]) == [Position(terms[0], 2)]
        await log.keep_to(dict.fromkeys(ALL, "0" * 40))
        with trio.fail_after(PATIENCE_S):
            for _ in range(2):
                assert await log.append([Batch(0, terms[0], [b"y"])]) == ["unknown"]
                for wait in (True, False):
                    with pytest.raises(ServerAway):
                        await log.read({0: START}, 1, wait=wait)
                with pytest.raises(ServerAway):
                    await log.fences(ALL)
            await log.keep_to(None)
            assert await log.append([Batch(0, terms[0], [b"z"])]) == [Position(terms[0], 3)]
            assert (await log.fences(ALL)).servers == servers

    async def test_a_reading_that_waits_at_another_server_ends(self, server: LogServer) -> None:
        log, terms = await made(server)

        async def read() -> None:
            try:
                while True:
                    await log.read({0: Position(terms[0], 1)}, 1)
            except ServerAway:
                pass  # The end that the test waits for.

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                await log.keep_to({0: "0" * 40})

    async def test_history_is_put_back_where_it_was(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [bytes([n]) * n for n in range(1, 9)])])
        history = await whole(log, 0)
        await server.flush()
        id_ = (await log.fences(ALL)).servers[0]
        assert await log.put_back(0, id_, None, history[2:5]) == "done"
        assert await log.put_back(0, id_, history[4].position, history[5:]) == "done"
        assert await whole(log, 0) == history[2:]
        fence = await repaired(log, 0)
        assert await log.append([Batch(0, fence.term, [b"new"])]) == [Position(fence.term, 11)]
        later = await whole(server.log("south"), 0, history[-1].position)
        assert [element.data for element in later] == [b"", b"new"]

    async def test_history_of_several_terms_is_put_back(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"])])
        await server.promote()
        fence = await repaired(log, 0)
        await log.append([Batch(0, fence.term, [b"y"])])
        history = await whole(log, 0)
        await server.flush()
        assert await log.put_back(0, fence.server, None, history) == "done"
        assert await whole(log, 0) == history
        assert (await repaired(log, 0)).term >= 3 * TERM_STEP

    async def test_history_is_put_back_without_a_gap(self, server: LogServer) -> None:
        log, terms = await made(server)
        term = terms[0]
        await server.flush()
        id_ = (await log.fences(ALL)).servers[0]
        second, third = Element(Position(term, 2), b"x"), Element(Position(term, 3), b"y")
        assert await log.put_back(0, id_, Position(term, 1), [second]) == "not_next", "nothing is there"
        assert await log.put_back(0, id_, None, [second]) == "done"
        assert await log.put_back(0, id_, None, [second]) == "not_next", "another node was first"
        assert await log.put_back(0, id_, Position(term, 1), [second]) == "not_next"
        assert await log.put_back(0, id_, Position(term, 2), [third]) == "done"
        for previous, elements in (
            (Position(term, 3), [second]),
            (Position(term, 3), [Element(Position(term, 5), b"z")]),
            (Position(term, 3), [Element(Position(term - 1, 4), b"z")]),
            (None, [second, Element(Position(term, 4), b"z")]),
            (None, []),
        ):
            with pytest.raises(ValueError):
                await log.put_back(0, id_, previous, elements)
        assert await whole(log, 0) == [second, third]

    async def test_a_stream_that_is_lost_is_put_back(self, server: LogServer) -> None:
        log, terms = await made(server)
        await log.append([Batch(0, terms[0], [b"x"])])
        history = await whole(log, 0)
        await server.lose_stream(0)
        id_ = (await log.fences(ALL)).servers[0]
        assert await log.put_back(0, id_, None, history[:1]) == "done", "its fence is left, and is good for nothing"
        assert await log.append([Batch(0, terms[0], [b"y"])]) == ["fenced"], "not all of it is there"
        assert await log.put_back(0, id_, history[0].position, history[1:]) == "done"
        fence = await repaired(log, 0)
        assert await log.append([Batch(0, fence.term, [b"y"])]) == [Position(fence.term, 4)]

    async def test_nothing_is_put_back_where_all_is_in_order(self, server: LogServer) -> None:
        log, terms = await made(server)
        id_ = (await log.fences(ALL)).servers[0]
        element = Element(Position(terms[0], 2), b"x")
        assert await log.put_back(0, id_, Position(terms[0], 1), [element]) == "sealed"
        assert await log.ends([0]) == {0: Position(terms[0], 1)}

    async def test_partitions_are_repaired_by_themselves(self, server: LogServer) -> None:
        log, terms = await made(server)
        await server.promote()
        fence = await repaired(log, 0)
        results = await log.append([Batch(0, fence.term, [b"x"]), Batch(1, terms[1], [b"x"])])
        assert results == [Position(fence.term, 3), "fenced"]
