"""Live facts do not say of which log they are: the `welcome` of their connection does."""

from __future__ import annotations

from typing import Any

from gochat.client.positions import Positions
from gochat.client.wire import Page
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.requests import Position
from tests.client.places import DM, TEA, member, message, page, request, room, welcome
from tests.client.test_positions import asked


def connected(positions: Positions, epoch: str | None, *entries: Any) -> dict[str, Position]:
    """The rooms that the `hello` of a connection names, whose `welcome` tells this epoch."""
    named = positions.resume(65_536)
    positions.welcomed(welcome(*entries, epoch=epoch))
    return named


def test_a_room_that_is_known_by_live_facts_alone_is_of_the_log_that_the_welcome_named() -> None:
    for full in (False, True):
        positions = Positions()
        connected(positions, "e1")
        positions.take(message(7, DM), full)
        assert positions.of(DM) == Position(6 if full else 7, "e1")
        assert connected(positions, "e2") == {DM: Position(6 if full else 7, "e1")}


def test_of_an_older_server_it_has_no_epoch_until_a_newer_one_goes_on_from_it() -> None:
    positions = Positions()
    connected(positions, None)
    positions.take(message(7, DM))
    assert connected(positions, "e1") == {DM: Position(7, None)}
    assert positions.of(DM) == Position(7, "e1") and positions.take(message(8, DM))


def test_a_kept_position_without_an_epoch_is_resumed_without_one_and_has_it_from_then_on() -> None:
    positions = Positions()
    positions.resume(65_536)
    assert positions.hold(TEA, 5, None, 9, "e1")
    positions.welcomed(welcome(room(9), epoch="e1"))
    question = asked(positions)
    assert question == req.Resume(room=TEA, seq=5)
    positions.answered(question, replies.Ok(head=9))
    assert positions.of(TEA) == Position(5, "e1")


def test_a_room_that_begins_again_without_an_epoch_has_it_from_its_next_fact_on() -> None:
    positions = Positions()
    connected(positions, "e1", room(9))
    positions.rewind(TEA, 0, None)
    assert positions.take(message(1)) and positions.of(TEA) == Position(1, "e1")


def test_of_a_room_that_waits_the_server_has_compared_nothing() -> None:
    positions = Positions()
    connected(positions, None)
    positions.take(message(7, DM))
    assert connected(positions, "e1", request(7)) == {DM: Position(7, None)}
    assert positions.of(DM) == Position(7, None)


def test_facts_of_another_log_are_not_handed_on_before_the_server_was_asked() -> None:
    """A frame names so many rooms: the others are asked for one by one, and their facts may come before that."""
    positions = Positions()
    connected(positions, "e1", room(9))
    positions.resume(0)
    positions.welcomed(welcome(epoch="e2"))
    assert not positions.take(message(10)) and not positions.take(message(3))
    assert asked(positions) == req.Resume(room=TEA, seq=9, epoch="e1")
    positions.reset(replies.Reset(room=TEA, epoch="e2", head=3))
    assert positions.take(message(4)) and positions.of(TEA) == Position(4, "e2")


def test_a_stay_that_ended_in_another_log_hides_no_new_one() -> None:
    positions = Positions()
    connected(positions, "e1", room(9))
    assert positions.take(member(10, "removed", "ann"))
    connected(positions, "e2")
    assert positions.take(member(4, "added", "ann")) and positions.of(TEA) == Position(4, "e2")


def test_a_server_that_changes_the_epoch_on_a_connection_is_not_asked_in_vain() -> None:
    """None does."""
    told: list[Any] = [
        replies.Reset(room=TEA, epoch="e2", head=4),
        replies.Lag(room=TEA, epoch="e2", head=4),
        page(4, epoch="e2"),
    ]
    for frame in told:
        positions = Positions()
        connected(positions, "e1", room(9))
        if isinstance(frame, Page):
            positions.rewind(TEA, 0, "e1")
            positions.refused(asked(positions))
            question = positions.ask(TEA)
            assert question is not None
            positions.answered(question, frame)
        else:
            (positions.lagging if isinstance(frame, replies.Lag) else positions.reset)(frame)
        assert positions.take(message(5)) and positions.of(TEA) == Position(5, "e2")
