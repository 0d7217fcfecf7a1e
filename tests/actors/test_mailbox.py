from __future__ import annotations

import pytest

from gochat.actors.mailbox import Mailbox
from gochat.errors import Full


def test_the_actor_gets_everything_that_waits_in_order() -> None:
    box: Mailbox[int] = Mailbox("ann", 10)
    for number in range(3):
        box.put(number)
    assert box.take() == [0, 1, 2]
    assert box.take() == []


def test_full_takes_nothing_and_is_counted() -> None:
    box: Mailbox[int] = Mailbox("ann", 2)
    box.put(1)
    box.put(2)
    with pytest.raises(Full, match="ann"):
        box.put(3)
    assert box.take() == [1, 2]
    assert box.statistics() == (0, 2, 2, 2, 1)
    box.put(4)


def test_mail_that_is_put_back_goes_first_and_never_finds_it_full() -> None:
    box: Mailbox[int] = Mailbox("ann", 2)
    box.put(1)
    box.put(2)
    mail = box.take()
    box.put(3)
    box.put(4)
    box.put_back(mail)
    assert box.take() == [1, 2, 3, 4]
