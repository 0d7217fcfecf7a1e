"""A user's actor: everything that is recorded is limited, and all that belongs to a user is let go of together."""

from __future__ import annotations

import typing
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from gochat.actors.actor import Registry
from gochat.actors.live import Live
from gochat.actors.messages import Submit
from gochat.actors.phases import PREPARING
from gochat.actors.run_queue import RunQueue
from gochat.actors.supervisor import Supervisor
from gochat.actors.timer_wheel import TimerWheel
from gochat.actors.user import ACTION_BURST, UserActor, UserContext
from gochat.domain import commands
from gochat.domain.jumps import Jumps
from gochat.domain.limits import UserLimits
from gochat.domain.turn import Outcome
from gochat.errors import REPLACED, SLOW, Denied
from tests.policies import NoRules

BASE: dict[str, Any] = {"room": "group:tea", "user": "ann"}
SAMPLES: list[commands.AnyCommand] = [
    commands.Send(**BASE, body="x"),
    commands.Edit(**BASE, seq=1, body="x"),
    commands.Delete(**BASE, seq=1),
    commands.React(**BASE, seq=1, emoji="👍", on=True),
    commands.Read(**BASE, seq=1),
    commands.Got(**BASE, seq=1),
    commands.Typing(**BASE),
    commands.Create(**BASE, title="Tea"),
    commands.Configure(**BASE, post="owner"),
    commands.Add(**BASE, users=("bob",)),
    commands.Remove(**BASE, users=("bob",)),
    commands.SetRole(**BASE, member="bob", role="member"),
    commands.Leave(**BASE),
    commands.Close(**BASE),
    commands.Mute(**BASE, member="bob"),
    commands.Unmute(**BASE, member="bob"),
    commands.Ban(**BASE, member="bob"),
    commands.Unban(**BASE, member="bob"),
    commands.Contact(**BASE, action="add"),
    commands.Report(**BASE, seq=1),
]
#: They are recorded nowhere, and so take no token here; a session counts them as reads.
EPHEMERAL = commands.EPHEMERAL
#: They count as messages said.
MESSAGES = (commands.Send, commands.Edit)


class Rooms:
    """Rooms that only take what they are told."""

    def __init__(self) -> None:
        self.told: list[Submit] = []

    def tell(self, room: str, mail: Submit) -> None:
        self.told.append(mail)

    def get(self, room: str) -> None:
        """None of them is in memory."""


class ReplyTo:
    """Remembers its answer."""

    outcome: Outcome | None = None

    def reply(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def flush(self) -> None: ...


class Journal:
    """Remembers when users were last seen."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def note_user(self, user: str, *, last_seen: int) -> None:
        self.seen.append(user)


class Session:
    """A session that only ends when it is closed."""

    def __init__(self, user: UserActor, device: str | None = None) -> None:
        self.user = user
        self.device = device
        self.window = -1
        self.closed = 0
        user.enter(self)  # type: ignore[arg-type]

    def close(self, number: int, reason: str) -> None:
        self.closed = number

    def ended(self) -> None:
        self.user.leave(self)  # type: ignore[arg-type]

    def pump(self) -> None: ...


def registry(rooms: Rooms, journal: Journal | None = None, **limits: Any) -> Registry[UserActor]:
    context = UserContext(
        Live(),
        rooms,  # type: ignore[arg-type]
        journal or Journal(),  # type: ignore[arg-type]
        Jumps(lambda: 0, lambda: 0),
        TimerWheel(),
        UserLimits(**{"messages_per_s": 1.0, **limits}),
        NoRules(),
        10_000,
    )
    return Registry(Supervisor("actors"), RunQueue(), partial(UserActor, context=context), 10)


def actor(rooms: Rooms) -> UserActor:
    return registry(rooms).at("ann")


def test_there_is_a_sample_of_each_command() -> None:
    assert {type(command) for command in SAMPLES} == {*typing.get_args(commands.AnyCommand)} - {commands.Withdraw}


@pytest.mark.parametrize("command", SAMPLES, ids=lambda command: type(command).__name__)
async def test_whatever_is_recorded_has_a_limit(command: commands.AnyCommand, autojump_clock: MockClock) -> None:
    rooms = Rooms()
    ann = actor(rooms)
    many = 2 * ACTION_BURST
    for _ in range(many):
        ann.tell(Submit(command, ReplyTo()))
    limited = [mail for mail in rooms.told if mail.refusal is not None and mail.refusal.code == "rate_limited"]
    allowed = many if isinstance(command, EPHEMERAL) else 1 if isinstance(command, MESSAGES) else ACTION_BURST
    assert len(rooms.told) == many
    assert len(rooms.told) - len(limited) == allowed


async def test_a_new_title_counts_as_a_message_since_all_members_read_it(autojump_clock: MockClock) -> None:
    rooms = Rooms()
    ann = actor(rooms)
    say = commands.Send(**BASE, body="hello")
    for command in (commands.Configure(**BASE, title="Tea"), say, commands.Configure(**BASE, post="owner")):
        ann.tell(Submit(command, ReplyTo()))
    codes = [None if mail.refusal is None else mail.refusal.code for mail in rooms.told]
    assert codes == [None, "rate_limited", None]


async def test_a_command_that_the_catalogue_does_not_have_is_not_carried_out(autojump_clock: MockClock) -> None:
    rooms, reply_to = Rooms(), ReplyTo()
    actor(rooms).tell(Submit(commands.Withdraw(**BASE), reply_to))
    assert isinstance(reply_to.outcome, Denied) and reply_to.outcome.code == "internal"
    assert rooms.told == []


# ---------------------------------------------------------------------------------------------- sessions


async def test_sessions_of_the_same_device_and_the_oldest_give_way(autojump_clock: MockClock) -> None:
    ann = registry(Rooms(), sessions=3, window=7).at("ann")
    one, phone, two = Session(ann), Session(ann, "phone"), Session(ann)
    again = Session(ann, "phone")
    assert (one.closed, phone.closed, two.closed) == (0, REPLACED, 0)
    last = Session(ann)
    assert (one.closed, two.closed, again.closed) == (REPLACED, 0, 0)
    assert list(ann.sessions) == [two, again, last]
    assert {session.window for session in (one, phone, two, again, last)} == {7}


async def test_a_user_is_online_while_there_is_a_session_whichever(autojump_clock: MockClock) -> None:
    journal = Journal()
    ann = registry(Rooms(), journal, sessions=1).at("ann")
    live = ann._context.live
    first, second = Session(ann), Session(ann)
    assert live.users == {"ann": ann.sessions} and live.presence.is_online("ann") and not journal.seen
    first.ended()
    assert live.presence.is_online("ann"), "the first one was replaced: its end is no news"
    second.ended()
    assert live.users == {} and not live.presence.is_online("ann")
    assert journal.seen == ["ann"] and list(live.watches.last_seen) == ["ann"]


async def test_a_user_without_sessions_is_forgotten_but_not_what_they_owe(autojump_clock: MockClock) -> None:
    users = registry(Rooms(), refusals_per_s=1, refusal_burst=10, reads_per_s=1, read_burst=10)
    debts: dict[str, Callable[[UserActor], object]] = {
        "nobody": lambda user: None,
        "said": lambda user: user.bucket.take(0),
        "refused": lambda user: user.quota.refused(),
        "read": lambda user: user.quota.read(),
        "by rest": lambda user: user.read_by_rest(),
    }
    for name, owe in debts.items():
        owe(users.at(name))
    session = Session(users.at("here"))
    await trio.sleep(0.5)
    assert users.passivate_idle(trio.current_time()) == 1
    assert {user.address for user in users} == {*debts, "here"} - {"nobody"}
    await trio.sleep(1)
    assert users.passivate_idle(trio.current_time()) == 2, "quotas go by trio's clock, buckets by the steady one"
    session.ended()
    assert users.passivate_idle(trio.current_time()) == 1


async def test_an_actor_that_is_given_up_ends_its_sessions(autojump_clock: MockClock) -> None:
    users = registry(Rooms())
    ann = users.at("ann")
    sessions = [Session(ann), Session(ann)]
    ann.phase = PREPARING
    ann._give_up()
    assert [session.closed for session in sessions] == [SLOW, SLOW]
    assert ann._context.live.users == {}
    assert users.at("ann") is not ann and not users.at("ann").sessions
