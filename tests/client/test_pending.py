from __future__ import annotations

import pytest

from gochat.client.pending import Pending, repeatable
from gochat.protocol import requests as req
from gochat.protocol.requests import AnyRequest


def opened(pending: Pending, *requests: AnyRequest) -> list[int]:
    numbers = []
    for request in requests:
        numbers.append(pending.next_id())
        pending.open(numbers[-1], request, f"{numbers[-1]}".encode())
    return numbers


def send(key: str | None = "k") -> req.Send:
    return req.Send(to="user:bob", body="hi", key=key)


def test_each_request_is_taken_once_and_in_order() -> None:
    pending = Pending()
    opened(pending, send(), send())
    assert pending.take() == [b"1", b"2"]
    opened(pending, send())
    assert pending.take() == [b"3"]


def test_after_a_break_what_was_sent_goes_before_what_was_not() -> None:
    pending = Pending()
    opened(pending, send(), send())
    pending.take()
    opened(pending, send())
    assert pending.broken() == []
    assert pending.take() == [b"1", b"2", b"3"]


def test_what_is_answered_is_not_repeated() -> None:
    pending = Pending()
    first, _, third = opened(pending, send(), send(), send())
    pending.take()
    pending.close(first)
    pending.close(third)
    pending.close(third)
    pending.broken()
    assert pending.take() == [b"2"]
    assert len(pending) == 1


def test_what_is_not_safe_to_repeat_is_lost_once_sent_but_not_before() -> None:
    pending = Pending()
    create = req.GroupAction(name="tea", action="create")
    opened(pending, create)
    assert pending.broken() == []
    pending.take()
    assert pending.broken() == [1]
    assert pending.take() == []


@pytest.mark.parametrize(
    ("request_", "safe"),
    [
        (send(), True),
        (send(key=None), False),
        (req.Edit(room="group:tea", seq=1, body="x"), True),
        (req.History(room="group:tea"), True),
        (req.Resume(room="group:tea", seq=1), False),
        (req.GroupAction(name="tea", action="add", users=["bob"]), True),
        (req.GroupAction(name="tea", action="create"), False),
        (req.GroupAction(name="tea", action="leave"), False),
        (req.GroupAction(name="tea", action="delete"), False),
        (req.GroupAction(name="tea", action="mute", user="bob", seconds=60), False),
        (req.GroupAction(name="tea", action="unban", user="bob"), True),
        (req.ContactAction(user="bob", action="accept"), True),
        (req.Report(room="group:tea", seq=1), True),
        (req.CloseReport(report=1), True),
        (req.AdminAction(action="suspend", user="bob"), False),
    ],
)
def test_which_requests_are_safe_to_repeat(request_: AnyRequest, safe: bool) -> None:
    assert repeatable(request_) is safe
