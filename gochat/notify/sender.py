"""Sends what waits for one channel: a few at a time, again after failures, and nothing that is no longer to be told."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import trio

from gochat.domain.notices import Attempt, Bounds, WaitingNotice, told_id
from gochat.errors import StoreError
from gochat.notify.channel import Channel, Delivered, Gone, Result, Target
from gochat.notify.due import still_due
from gochat.notify.notification import Notification
from gochat.notify.notifier import seen_now
from gochat.notify.quiet import quiet_until
from gochat.notify.retry import next_try
from gochat.notify.wait_budget import PAUSE_MS, WaitBudget
from gochat.ports.notices import Notices

log = logging.getLogger(__name__)

#: Sends of one channel at a time, and of one user among them: somebody's devices that answer slowly are waited for by
#: that user alone.
TOGETHER: Final = 16
OF_ONE_USER: Final = 2
#: After a failure of the store, and how long the last results are waited for at the end.
AGAIN_S: Final = 1.0
#: The wall clock may be set, and another program may have dead letters tried again: no sleep is longer.
NAP_S: Final = 30.0
#: How often it is looked for more while something is being sent.
LOOK_S: Final = 1.0
#: How often a node that is not fit to notify looks whether it is again.
UNFIT_S: Final = 0.25
#: Notices that are read in one go, and the time from the beginning of one send to that of the next: each takes 0.4 ms
#: of the loop's time. Of what is due at once no more is sent than leaves time for everybody's messages: 200 a second at
#: most, 100,000 in eight minutes.
AT_ONCE, PAUSE_S = 4, 0.005

Key = tuple[str, int]

#: Outcomes that stay true. The others were decided by the time, and by what was known then.
_FACTS: Final = ("delivered", "gone")


class Sender:
    """One for each channel. `run` must be running; `wake` says that there may be something new."""

    def __init__(
        self,
        notices: Notices,
        channel: Channel,
        *,
        seen: Callable[[str], int],
        shut_out: Callable[[str], bool],
        now_ms: Callable[[], int],
        bounds: Bounds,
        results: dict[str, int],
        is_fit: Callable[[], bool] = lambda: True,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`shut_out`: whether a user may not sign in any more. In `results` it is counted what comes of tries.
        `is_fit`: whether this node's clock is right, and it knows what users did on other nodes. While it is not fit,
        nothing is sent and nothing is decided."""
        self.channel = channel
        self._results = results
        self._notices = notices
        self._seen = seen
        self._shut_out = shut_out
        self._now_ms = now_ms
        self._bounds = bounds
        self._is_fit = is_fit
        self._chance = chance
        self._wait_budget = WaitBudget()
        self._under_way: dict[Key, str] = {}
        """The user of each notice that is being sent, or whose result is not kept yet."""
        self._attempts: list[Attempt] = []
        self._wake = trio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Send as notices become due, for ever. After it was cancelled it may be run again."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._wake = trio.Event()
                    try:
                        await self._finish()
                        now_ms = self._fit_ms()
                        if now_ms is None:
                            await trio.sleep(UNFIT_S)
                        elif not await self._start(nursery, now_ms):
                            await self._nap()
                    except StoreError as error:
                        log.warning("%s: notifications wait: %s", self.channel.name, error)
                        await trio.sleep(AGAIN_S)
        finally:
            # Results that are not kept cost a second send at the next start.
            with trio.move_on_after(AGAIN_S, shield=True):
                try:
                    await self._finish()
                except StoreError as error:
                    log.warning("%s: results are lost: %s", self.channel.name, error)
            # Another node may try before this is run again. A decision of this one would undo what that one records.
            self._attempts = [attempt for attempt in self._attempts if attempt.outcome in _FACTS]
            # The rest was cancelled while it was being sent.
            unfinished = {(attempt.id, attempt.target) for attempt in self._attempts}
            self._under_way = {key: user for key, user in self._under_way.items() if key in unfinished}

    async def _finish(self) -> None:
        attempts, self._attempts = self._attempts, []
        if not attempts:
            return
        try:
            await self._notices.finish(attempts, self._bounds)
        except BaseException:
            self._attempts[:0] = attempts
            raise
        for attempt in attempts:
            del self._under_way[attempt.id, attempt.target]

    def _fit_ms(self) -> int | None:
        """The time; None while nothing may be decided by it, since this node is not fit."""
        now_ms = self._now_ms()  # Read first: a clock that is set between the two is found by the question.
        return now_ms if self._is_fit() else None

    async def _start(self, nursery: trio.Nursery, now_ms: int) -> bool:
        """Begin to send what is due, one after the other. Whether anything was begun; then the time for AT_ONCE of them
        is over, however few there were."""
        free = min(AT_ONCE, TOGETHER - len(self._under_way))
        if free <= 0:
            return False
        users = Counter(self._under_way.values())
        busy = [user for user, count in users.items() if count >= OF_ONE_USER]
        found = await self._notices.due(self.channel.name, now_ms, free, busy, self._under_way)
        pauses = AT_ONCE
        for notice in found:
            if users[notice.user] < OF_ONE_USER:
                users[notice.user] += 1
                self._under_way[notice.id, notice.target] = notice.user
                nursery.start_soon(self._send, notice)
                pauses -= 1
                await trio.sleep(PAUSE_S)
        if pauses == AT_ONCE:
            return False
        await trio.sleep(pauses * PAUSE_S)
        return True

    async def _nap(self) -> None:
        if self._under_way:
            pause = LOOK_S  # They are the ones that are due next.
        else:
            next_ms = await self._notices.next_due(self.channel.name)
            pause = NAP_S if next_ms is None else min(NAP_S, max(0.0, (next_ms - self._now_ms()) / 1000))
        with trio.move_on_after(pause):
            await self._wake.wait()

    async def _send(self, notice: WaitingNotice) -> None:
        try:
            attempt = await self._tried(notice)
        except Exception:
            log.exception("%s: a notification crashed", self.channel.name)
            attempt = await self._again(notice, "a fault of the server; it has been logged", 0)
        if attempt is None:
            del self._under_way[notice.id, notice.target]
        else:
            self._results[attempt.outcome] = self._results.get(attempt.outcome, 0) + 1
            self._attempts.append(attempt)
        self._wake.set()

    async def _tried(self, notice: WaitingNotice) -> Attempt | None:
        """Send it, unless that is not to be done now or any more. Decided at the last moment. None: nothing is decided,
        since this node is not fit; the notice is still due."""
        now_ms = self._fit_ms()
        if now_ms is None:
            return None
        notification = None if self._shut_out(notice.user) else self._notification(notice)
        if notification is None or (notice.target and notice.device is None):
            return Attempt(notice.id, notice.channel, notice.target, "cancelled", now_ms)
        until = quiet_until(notice.quiet, now_ms) if notice.quiet is not None else None
        if until is not None:
            return Attempt(notice.id, notice.channel, notice.target, "wait", now_ms, notice.tries, until)
        if notice.target and not self._wait_budget.has(notice.user, trio.current_time()):
            return await self._again(notice, "the user's devices answer too slowly", PAUSE_MS)
        result = await self._delivered(notice, notification)
        if isinstance(result, Gone) and result.reason:
            log.warning("%s: nothing more is sent there for %s: %s", self.channel.name, notice.user, result.reason)
        if isinstance(result, Delivered | Gone):
            return Attempt(
                notice.id,
                notice.channel,
                notice.target,
                "delivered" if isinstance(result, Delivered) else "gone",
                self._now_ms(),
                notice.tries + 1,
            )
        return await self._again(notice, result.reason, result.after_ms)

    async def _delivered(self, notice: WaitingNotice, notification: Notification) -> Result:
        target: Target = notice.device if notice.target else notice.address
        begun = trio.current_time()
        result = await self.channel.send(notification, target)
        if notice.target:
            # Users name their devices' push services themselves, and no others.
            now = trio.current_time()
            self._wait_budget.took(notice.user, now - begun, now)
        return result

    async def _again(self, notice: WaitingNotice, reason: str, after_ms: int) -> Attempt:
        """Try it again later, or give it up. Decided once this node is fit: by a clock that was set forward, a first
        failure would be the last."""
        while True:
            now_ms = self._fit_ms()
            if now_ms is not None:
                break
            await trio.sleep(UNFIT_S)
        tries = notice.tries + 1
        next_ms = next_try(notice.made_ts, now_ms, tries, self._chance(), after_ms)
        if next_ms is None:
            log.warning("%s: a notification is given up after 24 hours: %s", self.channel.name, reason)
            return Attempt(notice.id, notice.channel, notice.target, "dead", now_ms, tries, now_ms, reason)
        return Attempt(notice.id, notice.channel, notice.target, "retry", now_ms, tries, next_ms, reason)

    def _notification(self, notice: WaitingNotice) -> Notification | None:
        """The notification as it is now; None where it is not to be told any more."""
        if notice.reader is None:
            return None
        reader = seen_now(notice.reader, self._seen)
        latest = still_due(reader, notice.messages, notice.after, notice.first_ts)
        if latest is None:
            return None
        return Notification(
            id=told_id(notice.epoch, notice.room, notice.id),
            user=notice.user,
            room=notice.room,
            sender=latest.sender,
            sender_name=notice.names.get(latest.sender, latest.sender),
            room_title=notice.title,
            count=notice.total,
            seq=latest.seq,
            ts=latest.ts,
            body=latest.body,
            request=reader.asked_at is not None,
        )
