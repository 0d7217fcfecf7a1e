"""The journal while commits fail: what it keeps has a bound, and whoever waits for a suspension hears of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import outcome
import pytest
import trio

from gochat import store as stores
from gochat.domain.record import RoomRecord
from gochat.domain.side_records import AnyStanding, Revoked, Suspended
from gochat.errors import StoreError
from gochat.ports.ticks import Runnable
from gochat.store.write import journal as journals
from gochat.store.write.committer import Committer
from gochat.store.write.journal import SqliteJournal
from gochat.store.write.notes import Notes
from tests.contracts.journal import SOON


class Failing:
    """A committer that can't write until it is told to."""

    def __init__(self) -> None:
        self.tried: list[Notes] = []
        self.works = False

    def submit(self, job: Callable[[Any], Any], done: Callable[[Any], None]) -> None:
        done(outcome.capture(job, self))

    def commit(self, batches: list[Any], notes: Notes) -> list[int]:
        self.tried.append(notes)
        if not self.works:
            raise StoreError("the disk is full")
        return []


class Ticks:
    """Each entry has its turn as soon as it is added."""

    def add(self, entry: Runnable) -> None:
        trio.lowlevel.current_trio_token().run_sync_soon(entry.run_turn)


async def test_while_nothing_can_be_written_tries_are_few_and_notes_have_a_bound(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "MOST_NOTES", 20)
    monkeypatch.setattr(journals, "MOST_KEPT", 40)
    committer, parts = Failing(), dict[str, Any](readers=None, merged_reader=None)
    journal = SqliteJournal(committer, ticks=Ticks(), epoch="e", next_num=1, **parts)  # type: ignore[arg-type]
    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            for n in range(1000):
                record = RoomRecord(room=f"dm:ann:u{n}", room_pk=n + 1)
                journal.note_got(record, "ann", n + 1)
                journal.note_user(f"u{n}", last_seen=n)
                if n < 10:
                    journal.note_read(record, "ann", 1)
                    journal.note_user(f"u{n}", name="N")
                await trio.sleep(0.01)
            assert 5 <= len(committer.tried) <= 15, "ten seconds"
            await trio.sleep(2)
            committer.works = True
            await journal.flush_notes()
            nursery.cancel_scope.cancel()
    reads, users, got = committer.tried[-1]
    assert len(reads) == 10
    assert {user: noted for user, noted in users.items() if noted[0]} == {f"u{n}": ("N", None) for n in range(10)}
    assert len(reads) + len(users) + len(got) == 40
    assert users["u999"] == (None, 999), "the newest are kept"
    assert sum(1 for name, _ in users.values() if name is None) + len(got) == 20


async def test_an_exception_of_whoever_is_told_of_a_suspension_keeps_nobody_waiting(tmp_path: Path) -> None:
    def fail(_: AnyStanding) -> None:
        raise ValueError("a fault")

    async with stores.open(tmp_path / "gochat.db") as store:
        store.journal.enforce(fail)
        with trio.fail_after(SOON):
            await store.journal.append_side_records([Suspended("bob", True, 5)])


async def test_a_suspension_that_was_recorded_after_all_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[AnyStanding] = []
    heard = trio.Event()

    def hear(entry: AnyStanding) -> None:
        told.append(entry)
        heard.set()

    lost = [
        (False, Suspended("bob", True, 4)),
        (True, Suspended("cat", True, 5)),
        (True, Revoked("jti", "ticket:1", 6)),
    ]
    async with stores.open(tmp_path / "gochat.db") as store:
        store.journal.enforce(hear)
        monkeypatch.setattr(journals, "NOTES_S", 0.0)
        commit, problem = Committer.commit, StoreError("no answer came", unknown=True)
        for recorded, entry in lost:

            def commit_and_fail(self: Committer, batches: Any, notes: Any, recorded: bool = recorded) -> Any:
                if recorded:
                    commit(self, batches, notes)
                raise problem

            with monkeypatch.context() as patched:
                patched.setattr(Committer, "commit", commit_and_fail)
                with pytest.raises(StoreError):
                    await store.journal.append_side_records([entry])
        with trio.fail_after(SOON):
            await heard.wait()
            await store.journal.append_side_records([Suspended("dan", True, 7)])
        assert told == [Suspended("cat", True, 5), Suspended("dan", True, 7)]
