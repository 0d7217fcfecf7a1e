"""The suite of `notify.channel.Channel`. An implementation's tests give the fixture `stage`."""

from __future__ import annotations

from typing import Any, Protocol

import trio

from gochat.notify.channel import DELIVERED, Channel, Gone, Retry, Target
from tests.notify.receivers import NOTIFICATION

#: For what must come; generous, since machines are shared.
SOON = 60


class Stage(Protocol):
    """A channel and its receiver, both under the test's hand."""

    channel: Channel
    target: Target
    secrets: tuple[str, ...]
    """Texts that no reason may contain."""
    forgets: bool
    """Whether a receiver may be forgotten."""

    def ids(self) -> list[str]:
        """The ids of the notifications that the receiver took."""

    def then(self, what: str) -> None:
        """Choose the receiver's next answer: "refuse", "gone", "silent", "close"."""

    def calm(self) -> None:
        """The receiver takes everything from now on, whatever `then` said."""

    async def vanish(self) -> None:
        """Nobody listens any more."""


class ChannelContract:
    async def send(self, stage: Stage) -> Any:
        with trio.fail_after(SOON):
            return await stage.channel.send(NOTIFICATION, stage.target)

    async def test_what_is_delivered_was_received_once(self, stage: Stage) -> None:
        assert await self.send(stage) == DELIVERED
        assert stage.ids() == [NOTIFICATION.id]

    async def test_the_same_again_has_the_same_id(self, stage: Stage) -> None:
        assert (await self.send(stage), await self.send(stage)) == (DELIVERED, DELIVERED)
        assert stage.ids() == [NOTIFICATION.id] * 2

    async def test_a_receiver_that_refuses_is_tried_again(self, stage: Stage) -> None:
        stage.then("refuse")
        self.check_retry(stage, await self.send(stage))
        assert await self.send(stage) == DELIVERED

    async def test_a_receiver_that_is_gone_is_forgotten_if_it_may_be(self, stage: Stage) -> None:
        stage.then("gone")
        result = await self.send(stage)
        if stage.forgets:
            assert isinstance(result, Gone)
            self.check_reason(stage, result.reason)
        else:
            self.check_retry(stage, result)

    async def test_a_silent_receiver_is_given_up_in_time(self, stage: Stage) -> None:
        stage.then("silent")
        self.check_retry(stage, await self.send(stage))
        assert await self.send(stage) == DELIVERED

    async def test_a_receiver_that_hangs_up_is_tried_again(self, stage: Stage) -> None:
        stage.then("close")
        self.check_retry(stage, await self.send(stage))
        assert await self.send(stage) == DELIVERED

    async def test_where_nobody_listens_it_is_tried_again(self, stage: Stage) -> None:
        await stage.vanish()
        self.check_retry(stage, await self.send(stage))

    async def test_cancelled_it_ends_at_once(self, stage: Stage) -> None:
        stage.then("silent")
        with trio.move_on_after(0.05) as scope:
            await stage.channel.send(NOTIFICATION, stage.target)
        assert scope.cancelled_caught
        stage.calm()
        assert await self.send(stage) == DELIVERED

    def check_retry(self, stage: Stage, result: Any) -> None:
        assert isinstance(result, Retry), result
        assert result.reason
        self.check_reason(stage, result.reason)

    def check_reason(self, stage: Stage, reason: str) -> None:
        assert not [secret for secret in (*stage.secrets, NOTIFICATION.body) if secret in reason]
