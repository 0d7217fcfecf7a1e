from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gochat.client.positions import RESUME_ROOMS, RESUME_WITHIN, Positions, Reset
from gochat.client.wire import Fact, Page, Unknown
from gochat.domain import facts
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.requests import Position

TEA, DM = "group:tea", "dm:ann:bob"


def message(seq: int, room: str = TEA) -> facts.Message:
    return facts.Message(room=room, seq=seq, ts=seq, sender="bob", body=f"m{seq}")


def member(seq: int, change: facts.Change, *users: str) -> facts.Member:
    return facts.Member(room=TEA, seq=seq, ts=seq, sender="eve", users=list(users), change=change)


def room(head: int, *, room: str = TEA, epoch: str = "e1", read: int = 0) -> replies.RoomEntry:
    return replies.RoomEntry(room=room, title="", role="member", epoch=epoch, head=head, read=read, unread=0)


def contact(head: int, *, read: int = 0, epoch: str = "e1") -> replies.ContactEntry:
    return replies.ContactEntry(
        user="bob", name="bob", online=True, room=DM, epoch=epoch, head=head, read=read, unread=head - read
    )


def request(head: int) -> replies.RequestEntry:
    last = replies.Last(seq=head, ts=head, sender="bob", body="hi")
    return replies.RequestEntry(user="bob", name="bob", room=DM, head=head, last=last)


def welcome(*entries: replies.RoomEntry | replies.ContactEntry | replies.RequestEntry) -> replies.Welcome:
    return replies.Welcome(
        user="ann", session="s", node="n", server="test", heartbeat_s=30, limits=replies.Limits(),
        requests=[entry for entry in entries if isinstance(entry, replies.RequestEntry)],
        contacts=[entry for entry in entries if isinstance(entry, replies.ContactEntry)],
        rooms=[entry for entry in entries if isinstance(entry, replies.RoomEntry)],
    )  # fmt: skip


def page(head: int, *seqs: int, epoch: str = "e1", complete: bool = True, room: str = TEA) -> Page:
    return Page(room=room, epoch=epoch, entries=[message(seq, room) for seq in seqs], head=head, complete=complete)


def at(head: int) -> Positions:
    positions = Positions()
    positions.resume(65_536)
    positions.welcomed(welcome(room(head)))
    return positions


def asked(positions: Positions) -> Any:
    assert positions.next_behind() == TEA
    request = positions.ask(TEA)
    assert request is not None
    return request


def seqs(result: tuple[list[Fact], Reset | None]) -> list[int]:
    assert result[1] is None
    return [fact.seq for fact in result[0]]


# ---------------------------------------------------------------------------------------------- live


def test_a_room_begins_after_the_head_of_its_welcome() -> None:
    positions = at(41)
    assert not positions.take(message(41))
    assert positions.take(message(42))


def test_repeats_are_dropped() -> None:
    positions = at(41)
    assert [positions.take(message(seq)) for seq in (42, 42, 43, 42)] == [True, False, True, False]
    assert not positions.waiting


def test_a_room_that_was_not_listed_begins_with_what_comes_first() -> None:
    positions = at(41)
    assert positions.take(message(7, DM))
    assert not positions.take(message(7, DM))
    assert positions.take(message(8, DM))


def test_a_fact_of_an_unknown_type_counts() -> None:
    positions = at(41)
    assert positions.take(Unknown(type="pin", room=TEA, seq=42, ts=1, sender="bob"))
    assert positions.take(message(43))


def test_a_gap_is_asked_for_and_closed() -> None:
    positions = at(41)
    assert not positions.take(message(44))
    request = asked(positions)
    assert request == req.Resume(room=TEA, seq=41, epoch="e1")
    positions.answered(request, replies.Ok(head=44))
    assert positions.ask(TEA) is None
    assert [positions.take(message(seq)) for seq in (42, 43, 44, 45)] == [True] * 4


def test_a_gap_that_a_resume_does_not_close_is_paged() -> None:
    """Someone who joined late may not see what came before: the log begins for them where the page does."""
    positions = at(10)
    positions.rewind(TEA, 0, None)
    request = asked(positions)
    positions.answered(request, replies.Ok(head=10))
    assert not positions.take(message(8))
    assert positions.next_behind() is None  # still ours
    request = positions.ask(TEA)
    assert request == req.History(room=TEA, after=0, limit=200)
    assert seqs(positions.answered(request, page(10, 8, 9, 10))) == [8, 9, 10]


def test_the_answer_to_a_resume_does_not_hide_a_fact_that_was_passed_over() -> None:
    positions = at(0)
    positions.take(message(8))
    request = asked(positions)
    positions.take(message(9))
    positions.answered(request, replies.Ok(head=9))
    assert positions.ask(TEA) is not None


def test_without_space_a_room_falls_behind_and_nothing_is_lost() -> None:
    positions = at(41)
    assert not positions.take(message(42), full=True)
    assert not positions.take(message(43))
    assert asked(positions) == req.Resume(room=TEA, seq=41, epoch="e1")
    assert positions.take(message(42))


# ---------------------------------------------------------------------------------------------- lag and reset


def test_a_lag_far_from_the_head_is_paged_up_to_it_and_then_resumed() -> None:
    positions = at(0)
    assert positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700)) is None
    request = asked(positions)
    assert request == req.History(room=TEA, after=0, limit=200)
    assert seqs(positions.answered(request, page(700, *range(1, 201)))) == list(range(1, 201))
    request = positions.ask(TEA)
    assert request == req.History(room=TEA, after=200, limit=200)
    positions.answered(request, page(700, *range(201, 460)))
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=459, epoch="e1")
    assert 700 - 459 <= RESUME_WITHIN


def test_a_lag_that_comes_before_the_answer_to_a_resume_counts() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=100))
    request = asked(positions)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=600))
    positions.answered(request, replies.Ok(head=600))
    assert positions.ask(TEA) == req.History(room=TEA, after=0, limit=200)


def test_a_lag_of_a_room_of_which_nothing_is_known_starts_it_anew() -> None:
    positions = at(0)
    reset = positions.lagging(replies.Lag(room=DM, epoch="e1", head=100))
    assert reset == Reset(room=DM, epoch="e1", head=100)
    assert positions.take(message(101, DM))


def test_a_lag_of_another_log_is_a_reset() -> None:
    assert at(5).lagging(replies.Lag(room=TEA, epoch="e2", head=100)) is not None
    assert at(5).lagging(replies.Lag(room=TEA, epoch="e1", head=4)) is not None


def test_after_a_reset_facts_go_on_from_the_new_head() -> None:
    positions = at(41)
    assert positions.reset(replies.Reset(room=TEA, epoch="e2", head=30)) == Reset(room=TEA, epoch="e2", head=30)
    assert asked(positions) == req.Resume(room=TEA, seq=30, epoch="e2")
    assert positions.take(message(31))


def test_a_page_of_another_log_is_a_reset() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert positions.answered(asked(positions), page(30, 1, epoch="e2"))[1] == Reset(room=TEA, epoch="e2", head=30)


def test_a_page_of_a_log_that_is_shorter_is_a_reset() -> None:
    positions = at(5)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert positions.answered(asked(positions), page(3))[1] == Reset(room=TEA, epoch="e1", head=3)


def test_where_nothing_may_be_seen_the_room_goes_on_at_its_head() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert seqs(positions.answered(asked(positions), page(700))) == []
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=700, epoch="e1")


def test_an_answer_to_what_was_asked_before_a_rewind_is_stale() -> None:
    positions = at(500)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=900))
    request = asked(positions)
    positions.rewind(TEA, 0, None)
    assert seqs(positions.answered(request, page(900, 501))) == []
    assert positions.take(message(1))


def test_only_the_part_of_an_incomplete_page_that_connects_is_taken() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    assert seqs(positions.answered(asked(positions), page(700, 1, 2, 7, complete=False))) == [1, 2]


# ---------------------------------------------------------------------------------------------- coming and going


def test_a_removal_is_the_last_fact_and_an_addition_begins_anew() -> None:
    positions = at(41)
    assert positions.take(member(42, "removed", "bob", "ann"))
    assert positions.resume(65_536) == {}
    assert positions.take(member(57, "added", "ann"))
    assert positions.take(message(58))
    assert not positions.waiting


def test_the_removal_of_others_ends_nothing() -> None:
    positions = at(41)
    assert positions.take(member(42, "removed", "bob"))
    assert positions.resume(65_536) == {TEA: Position(42, "e1")}


def test_a_page_may_hold_the_end_of_one_stay_and_the_beginning_of_the_next() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700))
    entries: list[Fact] = [member(1, "removed", "ann"), member(9, "added", "ann"), message(10)]
    again = Page(room=TEA, epoch="e1", entries=entries, head=10, complete=True)
    assert seqs(positions.answered(asked(positions), again)) == [1, 9, 10]
    assert positions.ask(TEA) == req.Resume(room=TEA, seq=10, epoch="e1")


def test_a_lag_of_a_room_that_was_left_starts_it_anew() -> None:
    positions = at(41)
    positions.take(member(42, "left", "ann"))
    assert positions.lagging(replies.Lag(room=TEA, epoch="e1", head=700)) == Reset(room=TEA, epoch="e1", head=700)


def test_who_may_not_resume_pages_what_is_left_and_then_stops() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=100))
    positions.refused(asked(positions))
    request = positions.ask(TEA)
    assert request == req.History(room=TEA, after=0, limit=200)
    assert seqs(positions.answered(request, page(3, 1, 2, 3))) == [1, 2, 3]
    assert positions.ask(TEA) is None
    assert positions.resume(65_536) == {}


def test_who_may_not_page_either_stops() -> None:
    positions = at(0)
    positions.lagging(replies.Lag(room=TEA, epoch="e1", head=100))
    positions.refused(asked(positions))
    request = positions.ask(TEA)
    assert request is not None
    positions.refused(request)
    assert positions.ask(TEA) is None


# ---------------------------------------------------------------------------------------------- reconnecting


def test_a_named_room_goes_on_by_itself() -> None:
    positions = at(41)
    assert positions.resume(65_536) == {TEA: Position(41, "e1")}
    positions.welcomed(welcome(room(50)))
    assert not positions.waiting
    assert positions.take(message(42))


def test_a_group_that_is_new_begins_at_its_head_and_a_private_room_at_what_was_read() -> None:
    positions = Positions()
    positions.resume(65_536)
    positions.welcomed(welcome())
    positions.resume(65_536)
    positions.welcomed(welcome(room(50), contact(3, read=1)))
    assert positions.next_behind() == DM
    assert positions.ask(DM) == req.Resume(room=DM, seq=1, epoch="e1")
    assert positions.next_behind() is None
    assert positions.take(message(51))


def test_more_rooms_than_hello_may_name_are_resumed_one_by_one() -> None:
    positions = Positions()
    for number in range(RESUME_ROOMS + 50):
        positions.take(message(5, f"group:g{number}"))
    positions.take(message(6, "group:g0"))
    named = positions.resume(10**6)
    assert len(named) == RESUME_ROOMS
    assert {f"group:g{RESUME_ROOMS + 49}", "group:g0"} <= set(named)  # those with the latest facts first
    positions.welcomed(welcome())
    behind = [positions.next_behind() for _ in range(51)]
    assert behind[-1] is None
    assert set(behind[:-1]) == {f"group:g{number}" for number in range(1, 51)}


def test_hello_stays_within_a_frame() -> None:
    positions = Positions()
    for number in range(RESUME_ROOMS):
        name = f"group:{number:0>64}"
        positions.take(message(10**10, name))
        positions.lagging(replies.Lag(room=name, epoch="e" * 32, head=10**10))
    named = positions.resume(65_536)
    assert 100 < len(named) < RESUME_ROOMS
    assert len(msgspec.json.encode(named)) < 50_000


def test_a_room_that_was_not_named_is_compared_with_the_welcome() -> None:
    for head, epoch, expected in ((5, "e1", None), (9, "e1", 5), (3, "e1", 3), (5, "e2", 5)):
        positions = at(5)
        assert positions.resume(0) == {}
        resets = positions.welcomed(welcome(room(head, epoch=epoch)))
        assert bool(resets) is (epoch == "e2" or head < 5)
        room_behind = positions.next_behind()
        if expected is None:
            assert room_behind is None
        else:
            assert positions.ask(TEA) == req.Resume(room=TEA, seq=expected, epoch=epoch)


# ---------------------------------------------------------------------------------------------- requests of strangers


def test_a_request_that_is_accepted_begins_with_what_comes_next() -> None:
    positions = Positions()
    positions.welcomed(welcome(request(3)))
    positions.opened(DM)
    assert not positions.waiting
    assert positions.take(message(4, DM))
    assert not positions.waiting


def test_what_waited_follows_what_was_there_before() -> None:
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    positions.opened(DM)
    assert positions.next_behind() == DM
    asked = positions.ask(DM)
    assert asked == req.Resume(room=DM, seq=5, epoch="e1")
    positions.answered(asked, replies.Ok(head=7))
    assert positions.ask(DM) is None
    assert [positions.take(message(seq, DM)) for seq in (6, 7, 8)] == [True] * 3
    assert not positions.waiting


def test_a_room_that_is_live_before_that_is_known_is_a_gap() -> None:
    """The event `contact` may be lost: the first fact after what waited says the same."""
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    assert not positions.take(message(8, DM))
    assert positions.next_behind() == DM
    assert positions.ask(DM) == req.Resume(room=DM, seq=5, epoch="e1")


def test_a_room_that_waits_is_named_and_not_asked_for() -> None:
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    assert positions.resume(65_536) == {DM: Position(5, "e1")}
    positions.welcomed(welcome(request(7)))
    assert not positions.waiting
    positions.resume(0)  # no space to name it
    positions.welcomed(welcome(request(7)))
    assert not positions.waiting


def test_a_room_that_waits_is_paged_if_asked_for_and_then_goes_on() -> None:
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    positions.rewind(DM, 0, None)
    assert positions.next_behind() == DM
    asked = positions.ask(DM)
    assert isinstance(asked, req.Resume)
    positions.refused(asked)
    asked = positions.ask(DM)
    assert asked == req.History(room=DM, after=0, limit=200)
    assert seqs(positions.answered(asked, page(3, 1, 2, 3, room=DM))) == [1, 2, 3]
    assert positions.ask(DM) is None
    assert positions.resume(65_536) == {DM: Position(3, "e1")}
    assert not positions.take(message(5, DM))  # 4 waited too
    assert positions.next_behind() == DM


def test_an_accept_while_the_past_is_paged_resumes_after_it() -> None:
    """The server may wait for just that: it refused while the room waited."""
    positions = Positions()
    positions.welcomed(welcome(contact(5)))
    positions.lagging(replies.Lag(room=DM, epoch="e1", head=7))
    assert positions.next_behind() == DM
    asked = positions.ask(DM)
    assert isinstance(asked, req.Resume)
    positions.refused(asked)
    asked = positions.ask(DM)
    assert isinstance(asked, req.History)
    positions.opened(DM)
    assert seqs(positions.answered(asked, page(7, 6, 7, room=DM))) == [6, 7]
    assert positions.ask(DM) == req.Resume(room=DM, seq=7, epoch="e1")


# ---------------------------------------------------------------------------------------------- the whole law


class Server:
    """One room of a server that keeps the contract, with what is under way in both directions."""

    def __init__(self, room: str = TEA) -> None:
        self.room = room
        self.waits = False
        """The other of the two has asked, and has no answer."""
        self.head = 0
        self.epoch = 1
        self.hidden = 0
        """The user may see what lies above this."""
        self.live = True
        self.up: deque[req.Resume | req.History] = deque()
        self.down: deque[Any] = deque()

    def entry(self) -> replies.RoomEntry | replies.ContactEntry | replies.RequestEntry:
        if self.waits:
            return request(self.head)
        if self.room == DM:
            return contact(self.head, epoch=f"e{self.epoch}")
        return room(self.head, epoch=f"e{self.epoch}")

    def accept(self) -> None:
        self.waits = False
        self.down.append(replies.Contact(user="bob", state="contact"))

    def post(self, count: int) -> None:
        for _ in range(count):
            self.head += 1
            if self.live and not self.waits:
                self.down.append(message(self.head, self.room))

    def lag(self) -> None:
        self.live = False
        self.down.append(replies.Lag(room=self.room, epoch=f"e{self.epoch}", head=self.head))

    def go_on(self, position: Position) -> None:
        if position.epoch not in (None, f"e{self.epoch}") or position.seq > self.head:
            self.live = False
            self.down.append(replies.Reset(room=self.room, epoch=f"e{self.epoch}", head=self.head))
        elif self.head - position.seq > 500:
            self.lag()
        else:
            self.live = True
            self.down.extend(
                message(seq, self.room) for seq in range(position.seq + 1, self.head + 1) if seq > self.hidden
            )

    def serve(self, ok_first: bool) -> None:
        request = self.up.popleft()
        if isinstance(request, req.Resume) and self.waits:
            self.down.append((request, replies.Error(code="not_found", message="", temporary=False)))
        elif isinstance(request, req.Resume):
            ok = (request, replies.Ok(head=self.head))
            if ok_first:
                self.down.append(ok)
            self.go_on(Position(request.seq, request.epoch))
            if not ok_first:
                self.down.append(ok)
        else:
            assert request.after is not None
            found = range(max(request.after, self.hidden) + 1, self.head + 1)[: request.limit]
            self.down.append((request, page(self.head, *found, epoch=f"e{self.epoch}", room=self.room)))


class Client:
    """Positions, and what a session does around them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.positions = Positions()
        self.last = 0
        self.hole = 0
        """Facts up to here may be missing: the server does not show them."""
        self.asking = False
        self.caught: str | None = None
        self.connect()

    def connect(self) -> None:
        server = self.server
        server.up.clear()
        server.down.clear()
        named = self.positions.resume(65_536)
        server.live = True
        self.asking, self.caught = False, None
        if server.room in named and not server.waits:
            server.go_on(named[server.room])
        for reset in self.positions.welcomed(welcome(server.entry())):
            self.restart(reset)

    def restart(self, reset: Reset) -> None:
        self.last = reset.head

    def hand_on(self, fact: Fact) -> None:
        assert fact.seq == self.last + 1 or (self.last < self.server.hidden and fact.seq == self.server.hidden + 1)
        self.last = fact.seq

    def receive(self, full: bool) -> None:
        frame = self.server.down.popleft()
        match frame:
            case replies.Lag():
                if (reset := self.positions.lagging(frame)) is not None:
                    self.restart(reset)
            case replies.Reset():
                self.restart(self.positions.reset(frame))
            case replies.Contact():
                self.positions.opened(self.server.room)
            case (request, replies.Error()):
                self.asking = False
                self.positions.refused(request)
            case (request, reply):
                self.asking = False
                fresh, reset = self.positions.answered(request, reply)
                for fact in fresh:
                    self.hand_on(fact)
                if reset is not None:
                    self.restart(reset)
            case _:
                if self.positions.take(frame, full):
                    self.hand_on(frame)

    def ask(self) -> None:
        if self.asking:
            return
        self.caught = self.caught or self.positions.next_behind()
        if self.caught is not None:
            request = self.positions.ask(self.caught)
            if request is None:
                self.caught = None
            else:
                self.asking = True
                self.server.up.append(request)

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(10_000):
            if self.server.down:
                self.receive(full=False)
            elif self.server.up:
                self.server.serve(ok_first=True)
            else:
                self.ask()
                if not self.server.up and self.caught is None and not self.positions.waiting:
                    return
        pytest.fail("the client never stops asking")


STEPS = st.sampled_from(
    ["post", "post many", "receive", "receive", "receive all", "receive full", "ask", "serve", "serve late", "lag",
     "drop", "cut", "roll back", "rewind"]
)  # fmt: skip


def do(step: str, server: Server, client: Client) -> None:
    match step:
        case "post":
            server.post(1)
        case "post many":
            server.post(280)
        case "receive" | "receive full" if server.down:
            client.receive(full=step == "receive full")
        case "receive all":
            while server.down:
                client.receive(full=False)
        case "ask":
            client.ask()
        case "serve" | "serve late" if server.up:
            server.serve(ok_first=step == "serve")
        case "lag":
            server.lag()
        case "drop" if server.down and isinstance(server.down[-1], facts.Message):
            server.down.pop()  # what no server should do
        case "cut":
            client.connect()
        case "roll back" if server.head > server.hidden + 5:
            server.head -= 5
            server.epoch += 1
            client.connect()
        case "rewind":
            client.positions.rewind(server.room, 0, None)
            client.last = 0


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=60), st.sampled_from([0, 0, 3, 300]))
def test_whatever_happens_all_facts_come_once_and_in_order(steps: list[str], hidden: int) -> None:
    server = Server()
    server.hidden = hidden
    server.head = hidden
    client = Client(server)
    client.last = server.head
    for step in steps:
        do(step, server, client)
    client.settle()
    server.post(1)  # a gap at the very end shows with the next fact
    client.settle()
    assert client.last == server.head


@settings(max_examples=400)
@given(st.lists(STEPS | st.sampled_from(["stranger", "accept"]), max_size=60))
def test_and_so_they_do_in_a_room_that_now_and_then_waits_for_an_answer(steps: list[str]) -> None:
    server = Server(DM)
    client = Client(server)
    for step in steps:
        if step == "stranger":
            server.waits = True
        elif step == "accept" and server.waits:
            server.accept()
        elif step != "lag" or not server.waits:  # no fact of a room that waits could be left out
            do(step, server, client)
    client.settle()
    if server.waits:
        server.accept()
        client.settle()
    server.post(1)
    client.settle()
    assert client.last == server.head
