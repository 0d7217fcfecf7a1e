"""A user: their connected sessions, and the limits of what they may do and cost. All of it is let go of together.

A user's turn awaits nothing, so it runs in the caller whenever the actor is idle: mail is handled in the order it came
either way. Mail to other actors is put into their mailboxes, never run.
"""

from __future__ import annotations

import logging
from typing import NamedTuple, Protocol

import msgspec

from gochat.actors.actor import INTERNAL, Actor, Registry
from gochat.actors.live import Live
from gochat.actors.messages import JudgedCommand, Submit
from gochat.actors.phases import FINISHED, IDLE, TRANSITIONS, TURN
from gochat.actors.prefetched import ADDING
from gochat.actors.quota import Quota
from gochat.actors.room import RoomActor
from gochat.actors.subscriber import Subscriber
from gochat.actors.timer_wheel import TimerWheel
from gochat.domain import commands
from gochat.domain.jumps import Jumps
from gochat.domain.limits import SlidingWindow, TokenBucket, UserLimits
from gochat.domain.moderation import BY_RULE, LISTED_WORD, NO_EMOJI, Rules, Verdict
from gochat.domain.receipts import keeps_got
from gochat.domain.relationship import DAY_MS
from gochat.domain.turn import Done
from gochat.errors import REPLACED, SLOW, Denied, Full
from gochat.ports.journal import Journal
from gochat.protocol.catalogue import COMMANDS

log = logging.getLogger(__name__)

#: How much larger than that of messages the bucket of actions is: its rate, and its burst.
ACTIONS_PER_MESSAGE, ACTION_BURST = 10, 100
#: Reads by REST that a user may make at once; sockets have a burst of their own.
REST_READ_BURST = 200
LISTED_NAME = BY_RULE[LISTED_WORD]


class CurrentRules(Protocol):
    """The rules for words and links that hold now; another value after they were read anew."""

    current: Rules


class UserContext(NamedTuple):
    """The parts that all users of a node share."""

    live: Live
    rooms: Registry[RoomActor]
    journal: Journal
    clock: Jumps
    """Measures by its steady time, and moves along what is counted by the wall clock."""
    timer_wheel: TimerWheel
    limits: UserLimits
    rules: CurrentRules
    mailbox: int


class UserActor(Actor[Submit]):
    """Stays in memory while the user is connected, and until forgetting the buckets changes nothing."""

    __slots__ = ("_context", "_rest_reads", "actions", "adds", "asks", "bucket", "quota", "sessions")

    def __init__(self, user: str, registry: Registry[UserActor], context: UserContext) -> None:
        super().__init__(user, context.mailbox, registry)
        self._context = context
        limits = context.limits
        self.sessions: dict[Subscriber, None] = {}
        """Those that have signed in on this node, the oldest first."""
        self.quota = Quota(limits, context.timer_wheel, context.live.counts, self.sessions)
        self.bucket = TokenBucket(limits.messages_per_s, limits.message_burst)
        self.actions = TokenBucket(limits.messages_per_s * ACTIONS_PER_MESSAGE, limits.message_burst * ACTION_BURST)
        self._rest_reads = TokenBucket(limits.reads_per_s, REST_READ_BURST)
        self.asks = SlidingWindow(limits.asks_a_day, DAY_MS, context.clock)
        self.adds = SlidingWindow(limits.adds_a_day, DAY_MS, context.clock) if limits.adds_a_day else None

    @property
    def busy(self) -> bool:
        if self.sessions or not self.quota.idle():
            return True
        now_ms = self._context.clock.steady_ms()
        return not all(bucket.full(now_ms) for bucket in (self.bucket, self.actions, self._rest_reads))

    # ------------------------------------------------------------------------------------------ sessions

    def enter(self, session: Subscriber) -> None:
        """A session begins. Older ones of the same device give way, and the oldest beyond the limit."""
        live, first = self._context.live, not self.sessions
        replaced = self._replaced_by(session) if self.sessions else ()
        self.sessions[session] = None
        live.users[self.address] = self.sessions
        session.window = self.quota.window
        # After the new one has come, so that the user does not seem to leave in between.
        for other in replaced:
            other.close(REPLACED, "a newer session took this one's place")
            other.ended()
        if first and live.presence.came(self.address):
            live.watches.tell(self.address)

    def _replaced_by(self, session: Subscriber) -> list[Subscriber]:
        same_device = [
            other for other in self.sessions if session.device is not None and other.device == session.device
        ]
        others = [other for other in self.sessions if other not in same_device]
        excess = len(others) + 1 - self._context.limits.sessions
        return [*same_device, *others[: max(0, excess)]]

    def leave(self, session: Subscriber) -> None:
        """A session has ended. With the last of them the user goes offline."""
        if session not in self.sessions:
            return
        del self.sessions[session]
        if self.sessions:
            return
        live = self._context.live
        del live.users[self.address]
        if live.presence.went(self.address):
            now_ms = self._context.clock.now_ms()
            self._context.journal.note_user(self.address, last_seen=now_ms)
            live.watches.note_last_seen(self.address, now_ms)
            live.watches.tell(self.address, now_ms)

    def debit(self, commands: int, *, are_messages: bool) -> None:
        """The user gave so many commands to another node: they count here, too."""
        bucket = self.bucket if are_messages else self.actions
        bucket.take_some(self._context.clock.steady_ms(), commands)

    def read_by_rest(self) -> int:
        """Take a token for a read by REST and return 0, or take none and return after how many milliseconds there will
        be one."""
        return self._rest_reads.take(self._context.clock.steady_ms())

    # ------------------------------------------------------------------------------------------ turns

    def tell(self, mail: Submit) -> None:
        """Handle the mail at once, unless a turn is under way: what that tells others may come back here."""
        if self.phase != IDLE:
            super().tell(mail)
            return
        self.phase = TRANSITIONS[IDLE][TURN]
        try:
            self._handle(mail)
        finally:
            self.phase = TRANSITIONS[self.phase][FINISHED]
            if self.mailbox.waiting:
                self.go_on()

    def decide(self, batch: list[Submit]) -> None:
        for mail in batch:
            self._handle(mail)
        self.finish()

    def _handle(self, mail: Submit) -> None:
        """This user's own limits, then on to the room. A command that crashes them is answered `internal`."""
        try:
            command = mail.command
            kind = type(command)
            row = COMMANDS[kind]
            if row.cost != "ephemeral":
                charged = row.cost == "message" or (row.charged and getattr(command, row.text or "") is not None)
                bucket = self.bucket if charged else self.actions
                wait_ms = bucket.take(self._context.clock.steady_ms())
                if not wait_ms:
                    mail.bucket = bucket
                else:
                    mail.refusal = Denied(
                        "rate_limited", "too much at once", retry_after_ms=wait_ms, rule="messages_per_s"
                    )
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
            elif isinstance(command, commands.Got):
                done = self._confirmed_for_nothing(command)
                if done is not None:
                    mail.reply(done)
                    mail.flush()
                    return
            self._context.rooms.tell(command.room, mail)
        except Full as full:
            self.refuse(mail, Denied("busy", str(full), retry_after_ms=200))
        except Exception:
            log.exception("%s: a command crashed", self.address)
            self.refuse(mail, INTERNAL)

    def _confirmed_for_nothing(self, command: commands.Got) -> Done | None:
        """The answer to a member of a large group. Each of them may confirm each message, and nothing of it is kept: so
        it costs the room no mail and no turn, and does not bring it into memory. None where only the room can say."""
        live, room = self._context.live, self._context.rooms.get(command.room)
        record = None if room is None else room.record
        if record is None:
            # Users who hear the group are in it.
            hears = not live.groups.get(command.room, {}).keys().isdisjoint(self.sessions)
            return Done(command.seq, 0) if hears and command.room in live.large else None
        if command.user not in record.members:
            return None
        large = not keeps_got(record)
        live.note_size(command.room, large)
        return Done(record.head, record.ts) if large else None

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

    def given_up(self) -> None:
        """The next actor of this address knows none of these sessions: they end, and their clients come again."""
        for session in list(self.sessions):
            session.close(SLOW, "a fault of the server; connect again")
            session.ended()


def judged(command: commands.AnyCommand, field: str, verdict: Verdict) -> JudgedCommand:
    """The command as the verdict lets it pass."""
    if verdict.text != getattr(command, field):
        command = msgspec.structs.replace(command, **{field: verdict.text})
    return JudgedCommand(command, verdict.denied, verdict.flags)
