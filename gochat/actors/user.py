"""A user: their connected sessions, how much they may still say, and the sessions that watch whether they are there.

A user's turn awaits nothing, so it runs in the caller whenever the actor is idle: mail is handled in the order it came
either way. Mail to other actors is put into their mailboxes, never run.
"""

from __future__ import annotations

import logging
from typing import NamedTuple, Protocol

import msgspec

from gochat.actors.actor import INTERNAL, Actor, Registry
from gochat.actors.live import Live
from gochat.actors.messages import Judged, Submit
from gochat.actors.phases import FINISHED, IDLE, TRANSITIONS, TURN
from gochat.actors.prefetched import ADDING
from gochat.actors.room import RoomActor
from gochat.domain import commands
from gochat.domain.jumps import Jumps
from gochat.domain.limits import SlidingWindow, TokenBucket
from gochat.domain.moderation import BY_RULE, LISTED_WORD, NO_EMOJI, Rules, Verdict
from gochat.domain.relationship import DAY_MS
from gochat.errors import Denied, Full, StoreError
from gochat.protocol.catalogue import COMMANDS

log = logging.getLogger(__name__)

#: How much larger than that of messages the bucket of actions is: its rate, and its burst.
ACTIONS_PER_MESSAGE, ACTION_BURST = 10, 100
LISTED_NAME = BY_RULE[LISTED_WORD]


class CurrentRules(Protocol):
    """The rules for words and links that hold now; another value after they were read anew."""

    current: Rules


class UserContext(NamedTuple):
    """The parts that all users of a node share."""

    live: Live
    rooms: Registry[RoomActor]
    clock: Jumps
    """Measures by its steady time, and moves along what is counted by the wall clock."""
    messages_per_s: float
    message_burst: int
    mailbox: int
    rules: CurrentRules
    asks_a_day: int = 20
    """Strangers that a user may ask within 24 hours."""
    adds_a_day: int = 0
    """Users whom one may add to groups within 24 hours without being their contact; 0: any number."""


class UserActor(Actor[Submit]):
    """Stays in memory while the user is connected, and until forgetting the buckets changes nothing."""

    __slots__ = ("_context", "actions", "adds", "asks", "bucket")

    def __init__(self, user: str, registry: Registry[UserActor], parts: UserContext) -> None:
        super().__init__(user, parts.mailbox, registry)
        self._context = parts
        self.bucket = TokenBucket(parts.messages_per_s, parts.message_burst)
        self.actions = TokenBucket(parts.messages_per_s * ACTIONS_PER_MESSAGE, parts.message_burst * ACTION_BURST)
        self.asks = SlidingWindow(parts.asks_a_day, DAY_MS, parts.clock)
        self.adds = SlidingWindow(parts.adds_a_day, DAY_MS, parts.clock) if parts.adds_a_day else None

    @property
    def busy(self) -> bool:
        now_ms = self._context.clock.steady_ms()
        return self.address in self._context.live.users or not (self.bucket.full(now_ms) and self.actions.full(now_ms))

    def is_prepared(self, waiting: list[Submit]) -> bool:
        return True

    async def load(self) -> None:
        """Nothing of a user's own is stored besides the name and the time last seen, which the actor does not need."""

    async def prefetch(self, batch: list[Submit]) -> None:
        """Limits are in memory."""

    def fail(self, batch: list[Submit], error: StoreError | Full) -> None:
        raise NotImplementedError("a user's turn reads nothing that could fail")

    def tell(self, mail: Submit) -> None:
        """Handle the mail at once, unless a turn is under way: what that tells others may come back here."""
        if self.phase != IDLE:
            super().tell(mail)
            return
        self.phase = TRANSITIONS[IDLE][TURN]
        try:
            self._handle(mail)
        except Exception:
            log.exception("%s: a command crashed", self.address)
            self.refuse(mail, INTERNAL)
        finally:
            self.phase = TRANSITIONS[self.phase][FINISHED]
            if self.mailbox.waiting:
                self.go_on()

    def decide(self, batch: list[Submit]) -> None:
        for mail in batch:
            try:
                self._handle(mail)
            except Exception:
                log.exception("%s: a command crashed", self.address)
                self.refuse(mail, INTERNAL)
        self.finish()

    def _handle(self, mail: Submit) -> None:
        """This user's own limits, then on to the room."""
        command = mail.command
        kind = type(command)
        row = COMMANDS[kind]
        if row.cost != "ephemeral":
            bucket = self.bucket if row.cost == "message" else self.actions
            wait_ms = bucket.take(self._context.clock.steady_ms())
            if not wait_ms:
                mail.bucket = bucket
            else:
                mail.refusal = Denied("rate_limited", "too much at once", retry_after_ms=wait_ms, rule="messages_per_s")
            if row.text is not None and mail.refusal is None:
                text = getattr(command, row.text)
                if row.name or (text and not self._context.rules.current.passes(text)):
                    self._judge(mail, row.text, names=row.name)
            if kind is commands.Send:
                mail.asks = self.asks
            elif kind in ADDING:
                mail.adds = self.adds
            elif isinstance(mail.command, commands.React) and mail.refusal is None:
                self._read_emoji(mail, mail.command)
        try:
            self._context.rooms.tell(command.room, mail)
        except Full as full:
            self.refuse(mail, Denied("busy", str(full), retry_after_ms=200))

    def _judge(self, mail: Submit, field: str, *, names: bool) -> None:
        """Ask the rules about the text in `field`, and with `names` about the name of the new room."""
        command = mail.command
        text = getattr(command, field)
        rules = self._context.rules.current
        if names:
            name = command.room.partition(":")[2]
            verdict = rules.check(name, contacts=False)
            mail.refusal = verdict.denied or (None if verdict.text == name else LISTED_NAME)
        if not text or mail.refusal is not None:
            return
        verdict = rules.check(text, contacts=True)
        if verdict.denied is not None or verdict.text is not text or verdict.flags:
            mail.command, mail.refusal, mail.flags = judged(command, field, verdict)
        if rules.links == "contacts" and mail.refusal is None:
            strict = rules.check(text, contacts=False)
            if strict != verdict:
                mail.if_strangers = judged(command, field, strict)

    def _read_emoji(self, mail: Submit, command: commands.React) -> None:
        """However it is written, an emoji is one reaction. Reactions recorded before this check can be taken off."""
        emoji = self._context.rules.current.reaction(command.emoji)
        if emoji is None:
            mail.refusal = NO_EMOJI if command.on else None
        elif emoji != command.emoji:
            forms = dict.fromkeys((command.emoji, *command.forms))
            mail.command = msgspec.structs.replace(command, emoji=emoji, forms=tuple(f for f in forms if f != emoji))

    def refuse(self, mail: Submit, denied: Denied) -> None:
        mail.reply(denied)
        mail.flush()


def judged(command: commands.AnyCommand, field: str, verdict: Verdict) -> Judged:
    """The command as the verdict lets it pass."""
    if verdict.text != getattr(command, field):
        command = msgspec.structs.replace(command, **{field: verdict.text})
    return Judged(command, verdict.denied, verdict.flags)
