"""The age of waiting mail, told from two sides without a stamp on any of it."""

from __future__ import annotations

from typing import Any

import trio

from gochat.actors.mailbox import Mailbox
from gochat.actors.mailbox_watch import LOOK_S, MailboxWatch
from gochat.actors.phases import IDLE


class _Actor:
    """As much of an actor as is looked at."""

    phase = IDLE

    def __init__(self, address: str, waiting: int = 0) -> None:
        self.address = address
        self.mailbox: Mailbox[int] = Mailbox(address, 10)
        self.last_turn = trio.current_time()
        for number in range(waiting):
            self.mailbox.put(number)


async def test_the_fullest_come_first_and_empty_ones_not_at_all(autojump_clock: Any) -> None:
    actors: Any = [_Actor("a", 1), _Actor("b"), _Actor("c", 3)]
    found = MailboxWatch().look(actors)
    assert [(each.address, each.mailbox.waiting) for each in found] == [("c", 3), ("a", 1)]


async def test_mail_is_as_old_as_the_look_that_saw_it(autojump_clock: Any) -> None:
    watch, actor = MailboxWatch(), _Actor("a", 1)
    actors: Any = [actor]
    await trio.sleep(5)
    (first,) = watch.look(actors)
    assert (first.age_s, first.turn_s) == (0, 5)
    await trio.sleep(3)
    actor.mailbox.put(2)
    (second,) = watch.look(actors)
    assert (second.age_s, second.turn_s, second.mailbox.waiting) == (3, 8, 2)
    actor.mailbox.take()
    actor.mailbox.put(3)
    await trio.sleep(2)
    (third,) = watch.look(actors)
    assert third.age_s == 0, "the earlier mail was taken: this one is new"


async def test_a_look_is_repeated_for_a_second(autojump_clock: Any) -> None:
    watch, actor = MailboxWatch(), _Actor("a", 1)
    actors: Any = [actor]
    found = watch.look(actors)
    actor.mailbox.put(2)
    assert watch.look(actors) is found
    await trio.sleep(LOOK_S)
    assert watch.look(actors)[0].mailbox.waiting == 2
