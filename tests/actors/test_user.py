"""The limits of a user's actor: everything that is recorded is limited, whichever command asks for it."""

from __future__ import annotations

import typing
from functools import partial
from typing import Any

import pytest
from trio.testing import MockClock

from gochat.actors.actor import Registry
from gochat.actors.live import Live
from gochat.actors.messages import Submit
from gochat.actors.run_queue import RunQueue
from gochat.actors.supervisor import Supervisor
from gochat.actors.user import ACTION_BURST, UserActor, UserContext
from gochat.domain import commands
from gochat.domain.jumps import Jumps
from gochat.domain.turn import Outcome
from gochat.errors import Denied
from tests.policies import NoRules

BASE: dict[str, Any] = {"room": "group:tea", "user": "ann"}
SAMPLES: list[commands.AnyCommand] = [
    commands.Send(**BASE, body="x"),
    commands.Edit(**BASE, seq=1, body="x"),
    commands.Delete(**BASE, seq=1),
    commands.React(**BASE, seq=1, emoji="👍", on=True),
    commands.Read(**BASE, seq=1),
    commands.Typing(**BASE),
    commands.Create(**BASE, title="Tea"),
    commands.Configure(**BASE, title="Tea"),
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
EPHEMERAL = (commands.Read, commands.Typing)
#: They count as messages said.
MESSAGES = (commands.Send, commands.Edit)


class Rooms:
    """Rooms that only take what they are told."""

    def __init__(self) -> None:
        self.told: list[Submit] = []

    def tell(self, room: str, mail: Submit) -> None:
        self.told.append(mail)


class ReplyTo:
    """Remembers its answer."""

    outcome: Outcome | None = None

    def reply(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def flush(self) -> None: ...


def actor(rooms: Rooms) -> UserActor:
    parts = UserContext(Live(), rooms, Jumps(lambda: 0, lambda: 0), 1.0, 1, 10_000, NoRules())  # type: ignore[arg-type]
    users: Registry[UserActor] = Registry(Supervisor("actors"), RunQueue(), partial(UserActor, parts=parts), 1)
    return users.at("ann")


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


async def test_a_command_that_the_catalogue_does_not_have_is_not_carried_out(autojump_clock: MockClock) -> None:
    rooms, reply_to = Rooms(), ReplyTo()
    actor(rooms).tell(Submit(commands.Withdraw(**BASE), reply_to))
    assert isinstance(reply_to.outcome, Denied) and reply_to.outcome.code == "internal"
    assert rooms.told == []
