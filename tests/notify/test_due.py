"""Which message is told to whom, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gochat.domain.notices import Candidate, Notified, QuietHours, Reader, burst_key, notification_id, told_id
from gochat.notify import quiet
from gochat.notify.due import Timing, decide, still_due
from gochat.notify.notification import Notification, Templates, content, fill
from gochat.notify.retry import BASE_MS, CAP_MS, GIVE_UP_MS, next_try, pause_ms

AFTER = Timing(after_ms=300)


def messages(*ts: int, sender: str = "ann") -> list[Candidate]:
    """Messages at these times, the newest first; seq 1 is the oldest."""
    return [Candidate(seq, at, sender) for seq, at in enumerate(ts, 1)][::-1]


def reader(**fields: Any) -> Reader:
    return Reader(user="bob", **fields)


class TestDue:
    def test_a_message_is_due_when_its_time_has_passed(self) -> None:
        assert decide(reader(), messages(1000), 1299, AFTER) is None
        burst = decide(reader(), messages(1000), 1300, AFTER)
        assert burst is not None
        assert (burst.first.seq, burst.latest.seq, burst.after) == (1, 1, 0)

    def test_at_once_is_at_once(self) -> None:
        assert decide(reader(), messages(1000), 1000, Timing(after_ms=0)) is not None

    def test_a_burst_has_its_first_due_message_and_the_latest_of_all(self) -> None:
        burst = decide(reader(read=1, seen_ms=1001), messages(900, 1000, 1010, 1020, 1500), 1315, AFTER)
        assert burst is not None
        assert (burst.after, burst.first.seq, burst.latest.seq) == (1, 3, 5)

    @pytest.mark.parametrize(
        "change",
        [
            {"read": 2},
            {"seen_ms": 1002},
            {"seen_ms": 9_000},
            {"muted": True},
            {"refuses": frozenset({"ann"})},
            {"since": 3},
            {"notified": Notified(upto=2, read=0, ts=1200)},
        ],
    )
    def test_one_reason_is_enough_for_nothing(self, change: dict[str, Any]) -> None:
        told = messages(1000, 1001)
        assert decide(reader(), told, 2000, AFTER) is not None
        assert decide(reader(**change), told, 2000, AFTER) is None

    def test_nobody_is_told_of_their_own_words(self) -> None:
        assert decide(reader(), messages(1000, sender="bob"), 2000, AFTER) is None

    def test_a_message_of_somebody_else_is_told_where_the_latest_is_refused(self) -> None:
        told = [Candidate(3, 1002, "mal"), Candidate(2, 1001, "cy"), Candidate(1, 1000, "mal")]
        burst = decide(reader(refuses=frozenset({"mal"})), told, 2000, AFTER)
        assert burst is not None
        assert burst.latest.sender == "cy"

    def test_of_a_muted_room_mentions_are_told_to_those_who_want_them(self) -> None:
        told = [Candidate(3, 1002, "cy"), Candidate(2, 1001, "ann", mentions=["eve", "bob"]), Candidate(1, 1000, "cy")]
        wants = reader(muted=True, mentions=True)
        burst = decide(wants, told, 2000, AFTER)
        assert burst is not None
        assert (burst.first.seq, burst.latest.seq) == (2, 2)
        assert still_due(wants, told, burst.after, burst.first.ts) == told[1]
        for change in ({"mentions": False}, {"refuses": frozenset({"ann"})}, {"read": 2}):
            changed = msgspec.structs.replace(wants, **change)
            assert decide(changed, told, 2000, AFTER) is None
            assert still_due(changed, told, burst.after, burst.first.ts) is None
        heard = decide(reader(mentions=True), told, 2000, AFTER)
        assert heard is not None and heard.latest.seq == 3, "of a room that is not muted all is told"

    def test_the_room_is_quiet_until_it_is_read(self) -> None:
        notified = Notified(upto=2, read=1, ts=1400)
        later = messages(1000, 1001, 5000)
        assert decide(reader(read=1, notified=notified), later, 9000, AFTER) is None
        burst = decide(reader(read=2, notified=notified), later, 9000, AFTER)
        assert burst is not None
        assert (burst.after, burst.first.seq) == (2, 3)

    def test_or_until_the_time_has_passed_then_with_what_came_since(self) -> None:
        notified, timing = Notified(upto=2, read=0, ts=1400), Timing(300, again_ms=1000)
        told = messages(1000, 1001, 1900)
        assert decide(reader(notified=notified), told, 2399, timing) is None
        burst = decide(reader(notified=notified), told, 2400, timing)
        assert burst is not None
        assert (burst.after, burst.first.seq) == (2, 3)
        assert decide(reader(notified=notified), messages(1000, 1001), 2400, timing) is None, "nothing came since"

    def test_of_a_request_only_the_first_is_told(self) -> None:
        timing = Timing(300, again_ms=1)
        asked = {"asked_at": 0}
        assert decide(reader(**asked), messages(1000), 2000, timing) is not None
        notified = Notified(upto=1, read=0, ts=1300)
        assert decide(reader(**asked, notified=notified), messages(1000, 1500), 9000, timing) is None
        assert decide(reader(**asked, notified=notified, read=1), messages(1000, 1500), 9000, timing) is None


class TestStillDue:
    def test_it_tells_the_latest(self) -> None:
        latest = still_due(reader(), messages(1000, 2000), 0, 1000)
        assert latest is not None
        assert latest.seq == 2

    @pytest.mark.parametrize(
        "change", [{"read": 1}, {"seen_ms": 1001}, {"muted": True}, {"refuses": frozenset({"ann"})}]
    )
    def test_what_the_user_did_meanwhile_cancels_it(self, change: dict[str, Any]) -> None:
        assert still_due(reader(**change), messages(1000, 2000), 0, 1000) is None

    def test_so_does_the_deletion_of_all_its_messages(self) -> None:
        assert still_due(reader(), [], 0, 1000) is None


class Away(msgspec.Struct):
    """One user and one room, a step at a time; and the rule for them, said another way."""

    timing: Timing
    now: int = 1000
    told: list[Candidate] = []
    online_since: int | None = None
    sessions: list[tuple[int, int]] = []
    reads: list[int] = []
    """Up to where."""
    notices: list[tuple[int, Any]] = []

    def reader(self) -> Reader:
        last = self.notices[-1][1] if self.notices else None
        notified = Notified(last.latest.seq, last.read, self.notices[-1][0]) if last else None
        ended = self.sessions[-1][1] if self.sessions else 0
        seen = self.now + 1 if self.online_since is not None else ended
        return Reader(user="bob", read=self.read, seen_ms=seen, notified=notified)

    @property
    def read(self) -> int:
        return self.reads[-1] if self.reads else 0

    def look(self) -> None:
        burst = decide(self.reader(), self.told[::-1], self.now, self.timing)
        assert burst == decide(self.reader(), self.told[::-1], self.now, self.timing)
        self.check(burst)
        if burst is not None:
            self.notices.append((self.now, burst))

    def was_here(self, begin: int, end: int) -> bool:
        sessions = [*self.sessions, *([(self.online_since, self.now + 1)] if self.online_since is not None else [])]
        return any(came <= end and left > begin for came, left in sessions)

    def check(self, burst: Any) -> None:
        read = self.read
        since_read = [at for at, notice in self.notices if notice.read >= read]
        due = [
            message
            for message in self.told
            if message.seq > read
            and message.ts + self.timing.after_ms <= self.now
            and not self.was_here(message.ts, self.now)
        ]
        if since_read and not (self.timing.again_ms and self.now >= since_read[-1] + self.timing.again_ms):
            due = []
        elif since_read:
            upto = self.notices[-1][1].latest.seq
            due = [message for message in due if message.seq > upto]
        assert (burst is not None) == bool(due), (burst, due)
        if burst is not None:
            assert burst.first == due[0]
            assert burst.latest == self.told[-1]


STEPS = st.lists(
    st.tuples(st.sampled_from(["message", "sign in", "sign out", "read"]), st.integers(1, 400)), max_size=40
)


@given(STEPS, st.sampled_from([0, 1, 300]), st.sampled_from([0, 700]))
def test_the_rule_holds_whatever_the_user_does(steps: list[tuple[str, int]], after: int, again: int) -> None:
    away = Away(Timing(after, again))
    for step, pause in steps:
        away.now += pause
        if step == "message":
            away.told.append(Candidate(len(away.told) + 1, away.now, "ann"))
        elif step == "sign in" and away.online_since is None:
            away.online_since = away.now
        elif step == "sign out" and away.online_since is not None:
            away.sessions.append((away.online_since, away.now))
            away.online_since = None
        elif step == "read":
            away.reads.append(len(away.told))
        away.look()


def test_keys_of_neighbours_are_neighbours_and_name_the_same_as_ids() -> None:
    keys = [burst_key(7, user, 11) for user in ("ann", "bob", "cy")]
    assert keys == sorted(keys)
    assert told_id("e", "group:tea", keys[1]) == notification_id("e", "group:tea", "bob", 11)
    assert told_id("e", "group:tea", "ntf_5d0c") == "ntf_5d0c", "kept by an earlier node"


def test_ids_tell_bursts_apart_and_nothing_else() -> None:
    ids = {
        notification_id(epoch, room, user, first)
        for epoch in ("e", "f")
        for room in ("dm:ann:bob", "group:tea")
        for user in ("ann", "bob")
        for first in (1, 11)
    }
    assert len(ids) == 16
    assert notification_id("e", "group:tea", "bob", 1) in ids
    assert not any("bob" in each or "tea" in each for each in ids)


# ---------------------------------------------------------------------------------------------- tries


@given(st.integers(1, 1000), st.floats(0, 1), st.integers(0, 10**9))
def test_a_pause_has_full_jitter_and_a_cap(tries: int, chance: float, asked: int) -> None:
    pause = pause_ms(tries, chance, asked)
    assert min(asked, CAP_MS) <= pause <= CAP_MS
    assert pause_ms(tries, 0.0) == 0
    assert pause_ms(tries, 1.0) == min(CAP_MS, BASE_MS * 2 ** min(tries - 1, 20))


@given(st.integers(0, 1000), st.sampled_from([0.0, 0.5, 1.0]))
def test_it_is_tried_for_24_hours_to_the_end_and_no_longer(seed: int, least: float) -> None:
    now, tries, random = 0, 0, Random(seed)
    while now < GIVE_UP_MS:
        tries += 1
        following = next_try(0, now, tries, least or random.uniform(0.01, 1.0))
        assert following is not None
        assert now <= following <= GIVE_UP_MS
        now = following
    assert next_try(0, now, tries, 0.5) is None
    assert tries >= 10


# ---------------------------------------------------------------------------------------------- quiet hours


def ms(year: int, month: int, day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("span", "tz", "now", "until"),
    [
        ("22:00-07:00", "UTC", ms(2026, 5, 1, 21, 59), None),
        ("22:00-07:00", "UTC", ms(2026, 5, 1, 22), ms(2026, 5, 2, 7)),
        ("22:00-07:00", "UTC", ms(2026, 5, 2, 6, 59), ms(2026, 5, 2, 7)),
        ("22:00-07:00", "UTC", ms(2026, 5, 2, 7), None),
        ("22:00-07:00", "Europe/Vienna", ms(2026, 5, 1, 20), ms(2026, 5, 2, 5)),
        ("12:00-13:30", "Asia/Kolkata", ms(2026, 5, 1, 7), ms(2026, 5, 1, 8)),
        ("12:00-13:30", "Asia/Kolkata", ms(2026, 5, 1, 8), None),
        ("23:00-00:00", "UTC", ms(2026, 12, 31, 23, 30), ms(2027, 1, 1, 0)),
        # The clocks go forward at 2:00 to 3:00: 2:30 does not come, and half past three is the same moment.
        ("22:00-02:30", "Europe/Vienna", ms(2026, 3, 29, 0, 30), ms(2026, 3, 29, 1, 30)),
        # They go back at 3:00 to 2:00: the night is an hour longer, and 2:30 comes twice.
        ("22:00-02:30", "Europe/Vienna", ms(2026, 10, 24, 23), ms(2026, 10, 25, 0, 30)),
        ("22:00-02:30", "Europe/Vienna", ms(2026, 10, 25, 1, 10), ms(2026, 10, 25, 1, 30)),
    ],
)
def test_quiet_hours_end_by_the_users_clock(span: str, tz: str, now: int, until: int | None) -> None:
    assert quiet.quiet_until(quiet.parse(span, tz), now) == until


@given(
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.sampled_from(["UTC", "Europe/Vienna", "Australia/Lord_Howe", "America/St_Johns"]),
    st.integers(ms(2020, 1, 1, 0), ms(2030, 1, 1, 0)),
)
def test_quiet_hours_always_end_within_a_day(begin: int, end: int, tz: str, now: int) -> None:
    if begin == end:
        return
    hours = QuietHours(begin, end, tz)
    assert quiet.parse(str(hours), tz) == hours
    until = quiet.quiet_until(hours, now)
    if until is not None:
        assert now < until <= now + 25 * 3_600_000


@pytest.mark.parametrize(
    ("span", "tz"),
    [
        ("", "UTC"),
        ("22:00", "UTC"),
        ("24:00-07:00", "UTC"),
        ("22:60-07:00", "UTC"),
        ("22:00-22:00", "UTC"),
        ("\u0662\u0662:00-07:00", "UTC"),
        ("22:00-07:00", ""),
        ("22:00-07:00", "Mars/Olympus"),
        ("22:00-07:00", "../../etc/passwd"),
        ("22:00-07:00", "/etc/localtime"),
        ("22:00-07:00", "Europe"),
        ("22:00-07:00", "x" * 5000),
        ("22:00-07:00", "a\0b"),
        ("22:00-07:00\n", "UTC"),
    ],
)
def test_what_is_no_span_or_zone_is_refused(span: str, tz: str) -> None:
    with pytest.raises(ValueError, match=r"quiet: |tz: "):
        quiet.parse(span, tz)


# ---------------------------------------------------------------------------------------------- texts


def notification(**fields: Any) -> Notification:
    base: dict[str, Any] = {
        "id": "ntf_1",
        "user": "bob",
        "room": "group:tea",
        "sender": "ann",
        "sender_name": "Ann",
        "count": 2,
        "seq": 9,
        "ts": 1000,
        "body": "the body",
    }
    return Notification(**base | fields)


def test_templates_name_values_and_bodies_name_none() -> None:
    sly = notification(sender_name="{body} {user}", body="{from}", room_title="Tea\n{count}")
    assert fill("{from}|{room}|{count}|{body}|{user}|{else}", sly) == "{body} {user}|Tea {count}|2|{from}|bob|{else}"


def test_a_body_that_is_cut_turns_no_words_around() -> None:
    """Where a span of right-to-left text is cut off its end, what follows would be part of it."""
    cut = notification(body="x" * 100 + "\u2067" + "y" * 40 + "\u2069")
    text = fill("{body} in {room}", cut)
    assert "\u2067" not in text
    assert text.endswith("… in group:tea")


def test_the_default_texts_have_no_body() -> None:
    told = content(notification(), Templates())
    assert (told["title"], told["text"]) == ("Ann", "2 new in group:tea")
    assert "the body" not in msgspec.json.encode(told).decode()
    assert "request" not in told
    assert content(notification(request=True), Templates())["request"] is True


@given(st.text(max_size=2000), st.text(max_size=200))
def test_texts_are_one_line_and_not_endless(body: str, name: str) -> None:
    text = fill("{from}: {body}", notification(body=body, sender_name=name))
    assert len(text) <= 500
    assert text == " ".join(text.split())
