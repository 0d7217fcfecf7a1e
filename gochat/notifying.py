"""A node's notifications: the notifier, one sender for each channel, and what sessions need of them."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import trio

from gochat.actors.live import Live
from gochat.actors.observer import Observer
from gochat.auth.standing import Standing
from gochat.config import Settings
from gochat.domain.notices import Addressed, Bounds, Route
from gochat.errors import Full, StoreError
from gochat.metrics import NotificationCounts
from gochat.notify.context import NotifyContext
from gochat.ports.journal import Journal
from gochat.ports.notices import Notices
from gochat.ports.tokens import Identity

if TYPE_CHECKING:
    from gochat.notify.channels import Channels
    from gochat.notify.notifier import Notifier
    from gochat.notify.sender import Sender

log = logging.getLogger(__name__)

#: How long connections to receivers may take to be closed.
CLOSE_S = 1.0
#: How often it is counted how many wait.
COUNT_S = 15.0
#: How long a sign-in waits for its user's address to be kept.
ADDRESS_S = 2.0
#: How often addresses that are not kept are told in the log.
COMPLAIN_AGAIN_S = 60.0


class Lead(Protocol):
    """Says which node of a cluster notifies: `cluster.lease.Lease`."""

    def is_fit(self) -> bool:
        """Whether this node may notify now. Known at once where its clock was set forward."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have the work done while it is this node's."""


class Notifying:
    """Made before the rooms, which it observes, and started with the services."""

    def __init__(
        self,
        settings: Settings,
        notices: Notices,
        journal: Journal,
        live: Live,
        standing: Standing,
        now_ms: Callable[[], int],
        lead: Lead | None = None,
        push_secret: bytes | None = None,
    ) -> None:
        """`lead` and `push_secret`: for a cluster, whose nodes push with one key, and where one at a time notifies.
        Raises GochatError where a channel can't be used."""
        self._settings = settings.notify
        self._notices = notices
        self._journal = journal
        self._live = live
        self._now_ms = now_ms
        self._lead = lead
        self._is_fit = lead.is_fit if lead is not None else lambda: True
        self._bounds = Bounds(settings.notify.waiting, settings.notify.dead_letters)
        self._complained_at = float("-inf")
        self._channels: Channels | None = None
        self._notifier: Notifier | None = None
        self.senders: list[Sender] = []
        self.counts = NotificationCounts()
        if self._settings.channels:
            # Nobody else pays for what they import.
            from gochat.notify.channels import Channels

            self._channels = Channels(self._settings, Path(settings.node.data), now_ms, push_secret)
            self._notifier = self._make_notifier(self._channels)
            self.counts.rooms = self._notifier.rooms
            self.senders = self._make_senders(self._channels, standing)

    @property
    def observers(self) -> tuple[Observer, ...]:
        return () if self._notifier is None else (self._notifier,)

    @property
    def context(self) -> NotifyContext:
        return NotifyContext(
            notices=self._notices,
            channels=self._settings.channels,
            push_key=None if self._channels is None else self._channels.push_key,
            wake=self._wake,
            signed_in=self._note_address,
        )

    def _make_notifier(self, channels: Channels) -> Notifier:
        from gochat.notify.due import MINUTE_MS, Timing
        from gochat.notify.notifier import NoticeRules, Notifier

        wanted = self._settings
        rules = NoticeRules(
            Timing(int(wanted.after_minutes * MINUTE_MS), int(wanted.again_minutes * MINUTE_MS)),
            [Route(channel.name, channel.everybody) for channel in channels.all],
            self._bounds,
        )
        return Notifier(
            self._notices,
            rules,
            seen=self._seen,
            now_ms=self._now_ms,
            flush_positions=self._journal.flush_positions,
            added=self._wake,
            is_fit=self._is_fit,
        )

    def _make_senders(self, channels: Channels, standing: Standing) -> list[Sender]:
        from gochat.notify.sender import Sender

        return [
            Sender(
                self._notices,
                channel,
                seen=self._seen,
                shut_out=standing.shut_out,
                now_ms=self._now_ms,
                bounds=self._bounds,
                results=self.counts.results.setdefault(channel.name, {}),
                is_fit=self._is_fit,
            )
            for channel in channels.all
        ]

    def _seen(self, user: str) -> int:
        return self._now_ms() + 1 if self._live.presence.is_online(user) else self._live.watches.last_seen.get(user, 0)

    def _wake(self) -> None:
        for sender in self.senders:
            sender.wake()

    async def _note_address(self, identity: Identity) -> None:
        """Keep the address that the token names; where that is off, whatever an earlier one named stays unused. An
        address that can't be recorded now keeps nobody out: the user's next sign-in names it again."""
        if "mail" not in self._settings.channels or identity.mail is None:
            return
        problem = "it takes too long"
        try:
            with trio.move_on_after(ADDRESS_S):
                # Each entry costs all nodes of a cluster, and few tokens name another address than the one before.
                if await self._notices.address(identity.user) != identity.mail:
                    await self._journal.append_side_records([Addressed(identity.user, identity.mail)])
                return
        except (Full, StoreError) as error:
            problem = str(error)
        now = trio.current_time()
        if now >= self._complained_at + COMPLAIN_AGAIN_S:
            self._complained_at = now
            log.warning("mail addresses that tokens name can't be kept now, as that of %s: %s", identity.user, problem)

    async def run(self) -> None:
        """Notify, until this is cancelled. Without a channel it ends at once."""
        await self._keep_only()
        if self._notifier is None or self._channels is None:
            return
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._count)
                if self._lead is None:
                    await self._notify()
                else:
                    nursery.start_soon(self._notifier.stand_by)
                    await self._lead.run(self._notify)
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await self._channels.aclose()

    async def _notify(self) -> None:
        assert self._notifier is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notifier.run)
            for sender in self.senders:
                nursery.start_soon(sender.run)

    async def _count(self) -> None:
        """For the metrics, which read nothing from the store themselves."""
        while True:
            try:
                found = await self._notices.counts()
            except StoreError as error:
                log.warning("notifications are not counted: %s", error)
            else:
                for channel in self._settings.channels:
                    self.counts.waiting[channel] = found.get((channel, "waiting"), 0)
                    self.counts.dead[channel] = found.get((channel, "dead"), 0)
            await trio.sleep(COUNT_S)

    async def _keep_only(self) -> None:
        try:
            await self._notices.keep_only(self._settings.channels)
        except StoreError as error:
            log.warning("notifications of channels that are off stay: %s", error)
