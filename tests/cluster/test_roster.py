"""The others' sessions are right after whatever gets lost, and old messages bring nobody back."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from gochat.cluster.news import Answer, EndRow, EventRow, News, SessionRow
from gochat.cluster.roster import ASK_AGAIN_S, DOUBT_S, FIRST_S, MOST_WAITING, SILENCE_S, Roster

MINE, OTHER = "mine", "other"


class Changes:
    """A roster, and the changes that it told of."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bool, bool]] = []
        self.roster = Roster(MINE, lambda user, had, has, at_ms: self.changes.append((user, had, has)))
        self.now = 0.0

    def news(self, counter: int, *began: str, ended: tuple[str, ...] = (), boot: str = "b1", **fields: Any) -> bool:
        rows = [SessionRow(user, 1) for user in began]
        news = News(OTHER, boot, counter, 0, rows, [EndRow(user, 1) for user in ended], **fields)
        return self.roster.take_news(news, self.now)

    def nonce(self) -> str:
        """Of the question that is asked now."""
        self.now += ASK_AGAIN_S
        ((instance, ask),) = self.roster.asks(self.now)
        assert instance == OTHER
        return ask.nonce

    def answer(self, nonce: str, counter: int, *users: str, part: int = 0, last: bool = True, boot: str = "b1") -> None:
        rows = [SessionRow(user, 1) for user in users]
        self.roster.take_answer(Answer(OTHER, boot, nonce, counter, 0, part, last, rows), self.now)

    def users(self) -> set[str]:
        return {user for user in "abcdefgh" if self.roster.has(user)}

    def drop(self) -> None:
        self.roster.find_silent(self.now)
        while self.roster.drop_some(1):
            pass


@pytest.fixture
def met() -> Changes:
    """The other node has answered, and told its news up to 3."""
    changes = Changes()
    assert not changes.news(3)
    changes.answer(changes.nonce(), 3, "a", "b")
    changes.changes.clear()
    return changes


def test_nothing_is_believed_before_an_answer() -> None:
    changes = Changes()
    assert not changes.news(1, "a")
    assert not changes.news(2, "b", events=[EventRow("typing", "group:tea", "a")])
    assert changes.users() == set()
    changes.answer("a guess", 2, "a", "b", "c")
    assert changes.users() == set()
    changes.answer(changes.nonce(), 1, "a")
    assert changes.users() == {"a", "b"}
    assert changes.changes == [("a", False, True), ("b", False, True)]


def test_events_before_the_first_answer_are_told_with_it_once_if_they_are_of_now() -> None:
    changes, roster = Changes(), Changes().roster
    typing = [EventRow("typing", "group:tea", "a")]

    def news(counter: int, now_ms: int, boot: str = "b1") -> bool:
        return roster.take_news(News(OTHER, boot, counter, now_ms, [], [], typing), changes.now)

    for counter, now_ms, boot in ((1, 7_999, "b1"), (3, 10_000, "b1"), (2, 9_000, "b1"), (9, 10_000, "b0")):
        assert not news(counter, now_ms, boot)
    ((_, ask),) = roster.asks(ASK_AGAIN_S)
    assert roster.take_answer(Answer(OTHER, "b1", "a guess", 2, 10_000, 0, True, []), 1) == []
    told = roster.take_answer(Answer(OTHER, "b1", ask.nonce, 2, 10_000, 0, True, []), 1)
    assert [each.counter for each in told] == [2, 3]
    assert not news(3, 10_000), "it comes once more"
    assert news(4, 10_100)
    assert roster.take_answer(Answer(OTHER, "b1", ask.nonce, 4, 10_200, 0, True, []), 2) == []


def test_the_first_question_is_to_all() -> None:
    changes = Changes()
    nonce = changes.roster.ask_all(0).nonce
    changes.answer(nonce, 5, "a", last=False)
    changes.answer(nonce, 5, "b", part=1)
    assert changes.users() == {"a", "b"}
    assert changes.news(6, "c")
    changes.news(7, leaving=True)
    changes.drop()
    assert changes.users() == set()
    changes.now = FIRST_S
    changes.answer(nonce, 5, "a", "b")
    assert changes.users() == set(), "that was caught, and is sent once more"


def test_changes_are_applied_in_order(met: Changes) -> None:
    assert met.news(4, "c", ended=("a",))
    assert met.news(5, "a", ended=("c",))
    assert met.users() == {"a", "b"}
    assert met.changes == [("c", False, True), ("a", True, False), ("a", False, True), ("c", True, False)]


def test_what_comes_twice_or_late_changes_nothing(met: Changes) -> None:
    assert met.news(4, "c")
    assert met.news(5, ended=("c",))
    for _ in range(2):
        assert not met.news(4, "c")
        assert not met.news(5, ended=("c",))
        assert not met.news(0, "d")
    assert met.users() == {"a", "b"}
    assert not met.roster.has_asks(met.now)


def test_after_a_gap_everything_is_asked_for(met: Changes) -> None:
    assert met.news(6, "d"), "its events may be told all the same"
    assert met.users() == {"a", "b"}
    nonce = met.nonce()
    assert met.news(7, "e", ended=("d",))
    met.answer(nonce, 6, "b", "c", "d")
    assert met.users() == {"b", "c", "e"}
    assert not met.roster.has_asks(met.now + 60)


def test_a_gap_behind_an_answer_is_asked_for_again(met: Changes) -> None:
    met.news(6, "d")
    nonce = met.nonce()
    met.news(9, "e")
    met.answer(nonce, 7, "b", "c", "d")
    assert met.users() == {"b", "c", "d"}
    met.answer(met.nonce(), 9, "e")
    assert met.users() == {"e"}
    assert met.news(10, "f")
    assert met.users() == {"e", "f"}


def test_a_session_that_is_over_by_news_that_wait_is_not_begun_by_an_answer_or_by_those(met: Changes) -> None:
    """A newer one of the user here might give way to it."""
    met.news(5, "c")
    nonce = met.nonce()
    met.news(6, "d", "e")
    met.news(7, ended=("b", "c", "d"))
    assert met.users() == {"a"}, "an end holds whatever is missing before it"
    met.answer(nonce, 5, "a", "b", "c")
    assert met.users() == {"a", "e"}
    assert met.changes == [("b", True, False), ("e", False, True)]


def test_an_answer_of_which_a_part_is_missing_is_asked_for_again(met: Changes) -> None:
    met.news(6)
    nonce = met.nonce()
    met.answer(nonce, 6, "c", last=False)
    met.answer(nonce, 6, "e", part=2)
    assert met.users() == {"a", "b", "c"}, "it says who is there, and not yet who is not"
    met.answer(met.nonce(), 6, "d")
    met.answer(nonce, 6, "f", part=1)
    assert met.users() == {"d"}


def test_a_long_answer_is_waited_for_as_long_as_its_parts_come(met: Changes) -> None:
    met.news(6)
    nonce = met.nonce()
    for part, user in enumerate("bcdefg"):
        met.now += 0.9 * ASK_AGAIN_S
        assert not met.roster.has_asks(met.now) and not met.roster.asks(met.now)
        met.answer(nonce, 6, user, part=part, last=user == "g")
    assert met.users() == set("bcdefg")
    assert not met.roster.has_asks(met.now + 60)


def test_an_answer_that_comes_to_a_stop_is_asked_for_again(met: Changes) -> None:
    met.news(6)
    nonce = met.nonce()
    met.now += 0.9 * ASK_AGAIN_S
    met.answer(nonce, 6, "c", last=False)
    met.now += 0.5 * ASK_AGAIN_S
    met.answer(nonce, 6, "c", last=False)
    met.answer("a guess", 6, "d", part=1)
    met.now += 0.5 * ASK_AGAIN_S
    assert met.roster.has_asks(met.now), "parts that do not follow are no progress"
    ((_, ask),) = met.roster.asks(met.now)
    assert ask.nonce != nonce


def test_a_long_answer_to_the_first_question_is_waited_for_too() -> None:
    changes = Changes()
    nonce = changes.roster.ask_all(0).nonce
    for part, user in enumerate("abc"):
        changes.answer(nonce, 5, user, part=part, last=user == "c")
        assert not changes.roster.asks(changes.now)
        changes.now += 0.9 * ASK_AGAIN_S
    assert changes.users() == set("abc")
    assert changes.news(6, "d")


def test_a_new_boot_replaces_the_old_one(met: Changes) -> None:
    assert not met.news(1, "c", boot="b2")
    assert met.users() == {"a", "b"}
    nonce = met.nonce()
    met.news(2, "d", boot="b2")
    met.answer(nonce, 1, "b", "c", boot="b2")
    assert met.users() == {"b", "c", "d"}
    assert [change for change in met.changes if change[0] == "b"] == []
    assert not met.news(4, "e", boot="b1"), "a message of the old boot"
    assert met.news(3, boot="b2")
    met.answer(met.nonce(), 3, "b", boot="b2")
    assert met.users() == {"b"}


def test_a_silent_node_is_dropped_piece_by_piece(met: Changes) -> None:
    heard_at = met.now
    met.now = heard_at + DOUBT_S - 0.1
    assert [session.since for session in met.roster.sessions("a", met.now)] == [1]
    met.now = heard_at + DOUBT_S
    assert not list(met.roster.sessions("a", met.now))
    met.now = heard_at + SILENCE_S - 0.1
    met.drop()
    assert met.users() == {"a", "b"}
    met.now = heard_at + SILENCE_S
    met.roster.find_silent(met.now)
    assert met.roster.drop_some(1)
    assert met.users() == {"b"}
    met.drop()
    assert met.users() == set()
    assert met.changes == [("a", True, False), ("b", True, False)]


def test_a_node_that_is_heard_while_it_is_dropped_stays(met: Changes) -> None:
    met.now += SILENCE_S
    met.roster.find_silent(met.now)
    met.roster.drop_some(1)
    assert met.news(4)
    met.drop()
    assert met.users() == {"b"}
    met.answer(met.nonce(), 4, "a", "b")
    assert met.users() == {"a", "b"}


def test_a_node_that_answers_nothing_is_forgotten_and_costs_little(met: Changes) -> None:
    for counter in range(10, 10 + 3 * MOST_WAITING):
        met.news(counter, "c")
    peer = met.roster._peers[OTHER]
    assert len(peer.waiting) <= MOST_WAITING
    assert len(met.roster.asks(met.now + 60)) == 1
    assert not met.roster.asks(met.now + 60)


def test_a_nodes_own_messages_are_nobodys() -> None:
    changes = Changes()
    assert not changes.roster.take_news(News(MINE, "b1", 1, 0, [SessionRow("a", 1)]), 0)
    nonce = changes.roster.ask_all(0).nonce
    changes.roster.take_answer(Answer(MINE, "b1", nonce, 1, 0, 0, True, [SessionRow("a", 1)]), 0)
    assert changes.users() == set()
    assert len(changes.roster) == 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_gets_lost_the_roster_comes_to_be_right(seed: int) -> None:
    """A node's messages, some of them lost, doubled, or put into another order; questions and answers too."""
    random, changes = Random(seed), Changes()
    truth: set[tuple[str, int]] = set()
    since, counter = 0, 0
    sent: list[News | Answer] = []
    for step in range(400):
        quiet = step >= 380
        began, ended = [], []
        if not quiet:
            if random.random() < 0.6:
                since += 1
                began.append(SessionRow(random.choice("abcd"), since))
                truth.add((began[0].user, since))
            if truth and random.random() < 0.5:
                ended.append(EndRow(*random.choice(sorted(truth))))
                truth.discard((ended[0].user, ended[0].since))
        counter += 1
        sent.append(News(OTHER, "b1", counter, 0, began, ended))
        changes.now += 0.3
        for _, ask in changes.roster.asks(changes.now):
            if quiet or random.random() < 0.7:
                rows = [SessionRow(*place) for place in sorted(truth)]
                cut = random.randrange(len(rows) + 1)
                sent.append(Answer(OTHER, "b1", ask.nonce, counter, 0, 0, False, rows[:cut]))
                sent.append(Answer(OTHER, "b1", ask.nonce, counter, 0, 1, True, rows[cut:]))
        if not quiet:
            random.shuffle(sent) if random.random() < 0.2 else None
            if random.random() < 0.1:
                continue
        arriving, sent = sent, []
        for message in arriving:
            for _ in range(1 if quiet else random.choice((0, 1, 1, 1, 1, 1, 2))):
                if isinstance(message, News):
                    changes.roster.take_news(message, changes.now)
                else:
                    changes.roster.take_answer(message, changes.now)
    for user in "abcd":
        found = {(user, session.since) for session in changes.roster.sessions(user, changes.now)}
        assert found == {place for place in truth if place[0] == user}
        told = [has for name, _, has in changes.changes if name == user]
        assert (told[-1] if told else False) == bool(found)
