"""The suite of the cluster's `Bulletin`. An implementation's tests give the fixture `server`, where nothing of the
cluster exists yet, and take the suite over as a subclass."""

from __future__ import annotations

from typing import Protocol

import pytest
import trio
import trio.testing

from gochat.cluster.ports import Bulletin, ServerAway, Subscription

PATIENCE_S = 60


class BulletinServer(Protocol):
    def bulletin(self, node: str, *, beat_life_s: float = 60) -> Bulletin:
        """Another node's view of it."""

    async def flush(self) -> None:
        """All data is gone, and no connection notices."""

    async def break_subscriptions(self) -> None:
        """Whoever has subscribed is cut off."""

    async def promote(self) -> None:
        """The server is another one, and no connection notices."""


async def received(subscription: Subscription, count: int) -> list[tuple[str, bytes]]:
    messages: list[tuple[str, bytes]] = []
    with trio.fail_after(PATIENCE_S):
        while len(messages) < count:
            messages += await subscription.receive()
    return messages


class BulletinContract:
    async def test_the_clock_is_the_servers(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        times = [await north.now(), await south.now(), await north.now()]
        assert times == sorted(times)

    # ------------------------------------------------------------------------------------------ members

    async def test_those_who_have_beaten_are_members(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        assert await north.members() == []
        assert await south.beat("s", "boot1", b"")
        assert await north.beat("n", "boot1", b"one")
        assert await north.beat("n", "boot1", b"two words \x00\xff\r\n")
        members = await south.members()
        assert [member._replace(age_ms=0) for member in members] == [
            ("n", "boot1", 0, b"two words \x00\xff\r\n"),
            ("s", "boot1", 0, b""),
        ]
        assert all(0 <= member.age_ms < PATIENCE_S * 1000 for member in members)

    async def test_those_who_leave_are_no_members(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        await north.beat("n", "boot1", b"")
        await north.leave("n", "boot2")
        assert len(await north.members()) == 1, "that was another boot"
        await north.leave("n", "boot1")
        await north.leave("n", "boot1")
        assert await north.members() == []

    async def test_a_place_is_one_boots(self, server: BulletinServer) -> None:
        first, second = server.bulletin("north"), server.bulletin("north")
        assert await first.beat("n", "boot1", b"first", take=True)
        assert not await second.beat("n", "boot2", b"second")
        assert not await second.beat("n", "boot2", b"second", take=True)
        assert await first.beat("n", "boot1", b"first")
        assert [member.info for member in await second.members()] == [b"first"]

    async def test_a_boot_that_is_silent_is_replaced_for_good(self, server: BulletinServer) -> None:
        first, second = server.bulletin("north"), server.bulletin("north", beat_life_s=0)
        assert await first.beat("n", "boot1", b"first", take=True)
        assert not await second.beat("n", "boot2", b"second"), "nobody is replaced by the way"
        with trio.fail_after(PATIENCE_S):
            while not await second.beat("n", "boot2", b"second", take=True):
                await trio.sleep(0.001)
        assert not await first.beat("n", "boot1", b"first")
        await first.leave("n", "boot1")
        assert [member.info for member in await second.members()] == [b"second"]

    async def test_a_place_that_was_lost_is_the_firsts_to_beat(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        await north.beat("n", "boot1", b"")
        await server.flush()
        assert await north.members() == []
        assert await north.beat("n", "boot1", b"")
        assert not await north.beat("n", "boot2", b"")

    # ------------------------------------------------------------------------------------------ leases

    async def test_a_lease_is_one_holders(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        assert await north.hold("work", "n", 60)
        assert await north.hold("work", "n", 60), "and may be kept"
        assert not await south.hold("work", "s", 60)
        assert await south.hold("other work", "s", 60)
        await south.release("work", "s")
        assert not await south.hold("work", "s", 60), "that was not its own to give back"
        await north.release("work", "n")
        await north.release("work", "n")
        assert await south.hold("work", "s", 60)
        assert not await north.hold("work", "n", 60)

    async def test_a_lease_ends_where_it_is_not_kept(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        assert await north.hold("work", "n", 60)
        assert not await south.hold("work", "s", 60)
        assert await north.hold("work", "n", 0.02), "the latest word counts"
        with trio.fail_after(PATIENCE_S):
            while not await south.hold("work", "s", 60):
                await trio.sleep(0.001)
        assert not await north.hold("work", "n", 60)

    async def test_a_server_that_lost_its_data_gives_a_lease_to_the_first_who_asks(
        self, server: BulletinServer
    ) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        assert await north.hold("work", "n", 60)
        await server.flush()
        assert await south.hold("work", "s", 60)
        assert not await north.hold("work", "n", 60)

    # ------------------------------------------------------------------------------------------ channels

    async def test_messages_arrive_in_order_as_they_were(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        sent = [("soft", b"%d" % i) for i in range(100)]
        sent += [("look", bytes(range(256))), ("soft", b""), ("soft", b"x" * 100_000)]
        async with south.subscribe(["soft", "look"]) as first, north.subscribe(["soft", "look"]) as second:
            for channel, message in sent:
                await north.publish(channel, message)
            assert await received(first, len(sent)) == sent
            assert await received(second, len(sent)) == sent

    async def test_only_what_was_subscribed_to_arrives(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        await north.publish("soft", b"before")
        async with north.subscribe(["soft"]) as subscription:
            await north.publish("look", b"other")
            await north.publish("soft", b"mine")
            assert await received(subscription, 1) == [("soft", b"mine")]

    async def test_a_message_wakes_who_waits(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        found: list[tuple[str, bytes]] = []

        async def receive(subscription: Subscription) -> None:
            found.extend(await subscription.receive())

        async with north.subscribe(["soft"]) as subscription, trio.open_nursery() as nursery:
            nursery.start_soon(receive, subscription)
            await trio.testing.wait_all_tasks_blocked()
            await north.publish("soft", b"news")
            with trio.fail_after(PATIENCE_S):
                while not found:
                    await trio.sleep(0.001)
        assert found == [("soft", b"news")]

    async def test_a_subscription_that_broke_says_so_for_ever(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        async with north.subscribe(["soft"]) as subscription:
            await server.break_subscriptions()
            await north.publish("soft", b"missed")
            for _ in range(2):
                with trio.fail_after(PATIENCE_S), pytest.raises(ServerAway):
                    await subscription.receive()
        async with north.subscribe(["soft"]) as subscription:
            await north.publish("soft", b"heard")
            assert await received(subscription, 1) == [("soft", b"heard")]

    async def test_a_waiting_that_is_cancelled_ends_at_once(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        with trio.fail_after(PATIENCE_S):
            async with north.subscribe(["soft"]) as subscription:
                with trio.move_on_after(0.01) as scope:
                    await subscription.receive()
                assert scope.cancelled_caught

    # ------------------------------------------------------------------------------------------ servers

    async def test_it_says_which_server_told_the_members(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        assert north.server is None
        await north.members()
        await south.members()
        before = north.server
        assert before is not None and south.server == before
        await server.promote()
        await north.members()
        assert north.server not in (None, before)

    async def test_subscriptions_break_where_another_server_answers(self, server: BulletinServer) -> None:
        north = server.bulletin("north")
        async with north.subscribe(["soft"]) as subscription:
            for _ in range(2):
                await north.members()
            await north.publish("soft", b"heard")
            assert await received(subscription, 1) == [("soft", b"heard")]
            await server.promote()
            await north.members()
            with trio.fail_after(PATIENCE_S), pytest.raises(ServerAway):
                await subscription.receive()

    async def test_all_goes_on_by_connections_that_are_made_anew(self, server: BulletinServer) -> None:
        north, south = server.bulletin("north"), server.bulletin("south")
        north.renew()
        assert await north.beat("n", "boot1", b"one")
        async with north.subscribe(["soft"]) as subscription:
            for _ in range(2):
                north.renew()
                assert await north.beat("n", "boot1", b"two")
            with trio.fail_after(PATIENCE_S), pytest.raises(ServerAway):
                await subscription.receive()
        async with north.subscribe(["soft"]) as subscription:
            await south.publish("soft", b"heard")
            assert await received(subscription, 1) == [("soft", b"heard")]
        assert [member.info for member in await south.members()] == [b"two"]
