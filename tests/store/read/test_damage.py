"""A full disk and damaged pages: a read is right or fails, and the store says what is wrong."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat import store as stores
from gochat.errors import StoreError
from gochat.ports.archive import Viewer
from gochat.ports.journal import Committed
from gochat.store import Store
from gochat.store.portable.export_room import export_room
from gochat.store.portable.user_out import export_user
from gochat.store.write.committer import MergePace
from tests.appending import append_to
from tests.contracts.journal import DM, SOON, message

UNMERGED = MergePace(quiet_s=1e6, at=1 << 60, after_s=1e6, retry_s=1e6)
PAGE = 4096


async def talked(store: Store, room: str, bodies: list[str]) -> None:
    record = await store.journal.load(room)
    sender = room.split(":")[1]
    for body in bodies:
        done = await append_to(store.journal, record, [message(room, record.head + 1, body, sender=sender)])
        assert isinstance(done, Committed)
        record.head += 1


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, that is full soon."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], check=False).returncode:
        pytest.skip("only root can mount a small disk: run it as root, in a container with --cap-add SYS_ADMIN")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


async def test_on_a_full_disk_all_that_was_acked_is_read_or_the_read_fails(tmp_path: Path) -> None:
    """Also while the database is opened again and again, which needs space that there is not."""
    with small_disk(tmp_path / "disk", "6m") as disk:
        path = disk / "gochat.db"
        async with stores.open(path, pace=UNMERGED._replace(retry_s=0.001)) as store:
            (disk / "rest").write_bytes(bytes(5 << 20))
            record = await store.journal.load(DM)
            await append_to(store.journal, record, [message(DM, 1, "first")])
            head = 1
            with trio.fail_after(SOON):
                while True:
                    try:
                        await append_to(store.journal, record, [message(DM, head + 1, "x" * 1000)])
                    except StoreError:
                        break
                    head += 1
                read = 0
                for _ in range(50):
                    read += await right_or_failed(store, path, head, tmp_path)
                assert store.health.problem is not None and "full" in store.health.problem
                (disk / "rest").unlink()
                while store.health.problem is not None:
                    await trio.sleep(0.01)
                loaded = await store.journal.load(DM)
                await append_to(store.journal, loaded, [message(DM, loaded.head + 1)])
                assert await store.archive.head(DM) == loaded.head + 1 > head


async def right_or_failed(store: Store, path: Path, head: int, elsewhere: Path) -> int:
    """Every way to read the room, once; how many gave an answer."""
    archive, answers = store.archive, 0

    async def page() -> Any:
        facts = await archive.page(Viewer("ann"), DM, before=None, after=0, limit=10_000)
        assert facts is not None and facts.head >= head and len(facts.entries) >= min(head, 900)

    async def replay() -> Any:
        assert len(await archive.replay(DM, 0, head, 10_000)) >= min(head, 900)

    async def found() -> Any:
        entries, more = await archive.search_messages("ann", "x" * 1000, None, 200, None)
        assert len(entries) == 200 or (more is None and len(entries) >= head - 1)

    async def welcome() -> Any:
        (contact,) = (await archive.welcome("ann", 15, [DM])).contacts
        assert contact.head >= head and contact.last is not None and contact.last.seq == contact.head

    async def loaded() -> Any:
        assert (await store.journal.load(DM)).head >= head

    async def exported() -> Any:
        (elsewhere / "room").unlink(missing_ok=True)
        assert export_room(path, DM, elsewhere / "room", now_ms=1).facts >= head

    async def user_exported() -> Any:
        (elsewhere / "user").unlink(missing_ok=True)
        assert export_user(path, "ann", elsewhere / "user", now_ms=1).messages >= head

    for ask in (page, replay, found, welcome, loaded, exported, user_exported):
        with contextlib.suppress(StoreError):
            await ask()
            answers += 1
    return answers


async def test_while_it_can_not_be_opened_again_nothing_is_missing(tmp_path: Path) -> None:
    """The reader that comes while the writer begins anew looks at the table, and not at a memory that was emptied."""
    path = tmp_path / "gochat.db"
    async with stores.open(path, pace=UNMERGED) as store:
        await talked(store, DM, ["one", "two", "three"])
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as vandal:
            # Whatever is merged now fails: the writer can't begin.
            vandal.execute("CREATE TRIGGER full BEFORE INSERT ON fact BEGIN SELECT abs(-9223372036854775807 - 1); END")
            vandal.execute("ALTER TABLE tail RENAME TO gone")
            with pytest.raises(StoreError):
                await append_to(store.journal, await store.journal.load("dm:cat:dan"), [message("dm:cat:dan", 1)])
            vandal.execute("ALTER TABLE gone RENAME TO tail")
            for _ in range(2):
                with pytest.raises(StoreError):
                    await append_to(store.journal, await store.journal.load("dm:cat:dan"), [message("dm:cat:dan", 1)])
                assert await store.archive.head(DM) == 3
                with pytest.raises(StoreError, match="can't be searched"):
                    await store.archive.search_messages("ann", "two", None, 10, None)
            assert store.health.writing is not None
            vandal.execute("DROP TRIGGER full")
        await append_to(store.journal, await store.journal.load("dm:cat:dan"), [message("dm:cat:dan", 1)])
        assert store.health.problem is None


# ---------------------------------------------------------------------------------------------- damaged pages


ROOMS = [f"dm:ann:u{n:02}" for n in range(20)] + [f"dm:bob:u{n:02}" for n in range(20)]
BODIES = [f"word{n} " + "lorem ipsum " * (n % 40) for n in range(60)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of some hundred pages."""
    path = tmp_path_factory.mktemp("sound") / "gochat.db"

    async def fill() -> None:
        async with stores.open(path) as store:
            for room in ROOMS:
                record = await store.journal.load(room)
                facts = [message(room, seq, body, sender=room.split(":")[1]) for seq, body in enumerate(BODIES, 1)]
                assert isinstance(await append_to(store.journal, record, facts), Committed)
            store.journal.note_user("ann", name="Ann")
            await store.journal.flush_positions()
            with trio.fail_after(SOON):
                while store.commits.backlog or store.commits.unmerged:
                    await trio.sleep(0.01)

    trio.run(fill)
    return path


def flipped(sound: Path, to: Path, number: int) -> Path:
    """A copy of which every bit of one page is flipped."""
    content = bytearray(sound.read_bytes())
    at = number * PAGE
    content[at : at + PAGE] = bytes(byte ^ 0xFF for byte in content[at : at + PAGE])
    to.write_bytes(content)
    return to


class Look:
    """The result of every way of reading, by its name: an answer, or the error."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.errors: dict[str, StoreError] = {}

    async def at(self, name: str, ask: Callable[[], Awaitable[Any]]) -> None:
        try:
            self.answers[name] = await ask()
        except StoreError as error:
            self.errors[name] = error


async def looked(store: Store) -> Look:
    look, archive = Look(), store.archive
    for room in ROOMS:
        user = room.split(":")[1]
        await look.at(f"page {room}", lambda r=room, u=user: page_of(archive, u, r))
        await look.at(f"load {room}", lambda r=room: record_of(store, r))
        await look.at(f"head {room}", lambda r=room: archive.head(r))
    for user in ("ann", "bob"):
        await look.at(f"welcome {user}", lambda u=user: contacts_of(archive, u))
        await look.at(f"search {user}", lambda u=user: found_by(archive, u))
        await look.at(f"acquainted {user}", lambda u=user: archive.acquainted(u, ["u01", "u02"]))
        await look.at(f"names {user}", lambda u=user: archive.names(Viewer(u), ["u01", "u02"]))
        await look.at(f"users {user}", lambda u=user: archive.users([u]))
    return look


async def page_of(archive: Any, user: str, room: str) -> list[Any]:
    return list((await archive.page(Viewer(user), room, before=None, after=0, limit=200)).entries)


async def record_of(store: Store, room: str) -> int:
    return (await store.journal.load(room)).head


class Contacts(list[Any]):
    """Equal to what is whole, where it holds all of that but for the rooms that it says it left out."""

    unreadable: frozenset[str] = frozenset()

    def __eq__(self, whole: object) -> bool:
        if not self.unreadable:
            return super().__eq__(whole)
        assert isinstance(whole, Contacts)
        kept = [entry for entry in whole if entry[0] not in self.unreadable]
        return self[: len(kept)] == kept and self.unreadable.isdisjoint(entry[0] for entry in self)

    __hash__ = None  # type: ignore[assignment]


async def contacts_of(archive: Any, user: str) -> Contacts:
    snapshot = await archive.welcome(user, 15, [])
    found = Contacts((c.room, c.head, c.unread, c.last) for c in snapshot.contacts)
    found.unreadable = frozenset(snapshot.unreadable)
    return found


async def found_by(archive: Any, user: str) -> list[Any]:
    entries, _ = await archive.search_messages(user, "word59", None, 50, None)
    return sorted((fact.room, fact.seq) for fact in entries)


@pytest.mark.parametrize("count", [8, pytest.param(100, marks=pytest.mark.long)])
def test_of_flipped_pages_every_read_is_right_or_fails(sound: Path, tmp_path: Path, count: int) -> None:
    """And what fails is told. Nobody else's room is the worse for it."""
    dice = random.Random(5)
    pages = sound.stat().st_size // PAGE
    numbers = dice.sample(range(pages), min(pages, count))
    started = 0

    async def right() -> Look:
        async with stores.open(sound) as store:
            return await looked(store)

    truth = trio.run(right)
    assert not truth.errors

    async def look_at(path: Path, number: int) -> None:
        nonlocal started
        async with stores.open(path) as store:
            started += 1
            look = await looked(store)
            for name, answer in look.answers.items():
                assert answer == truth.answers[name], f"page {number}: {name}"
            left_out = any(look.answers[name].unreadable for name in look.answers if name.startswith("welcome "))
            if look.errors or left_out:
                assert store.health.problem is not None, look.errors
            sent = 0
            for room in ROOMS:
                with contextlib.suppress(StoreError):
                    await talked(store, room, ["more"])
                    sent += 1
            assert sent >= len(ROOMS) // 2 or store.health.problem is not None
            if sent < len(ROOMS):
                assert store.health.problem is not None

    for number in numbers:
        path = flipped(sound, tmp_path / "gochat.db", number)
        try:
            trio.run(look_at, path, number)
        except (StoreError, BaseExceptionGroup) as error:
            problem = only(error)
            assert isinstance(problem, StoreError) and "gochat.db" in str(problem), f"page {number}: {error!r}"
        for left in tmp_path.iterdir():
            left.unlink()
    assert started > count // 2, "a node starts, as long as what it must know is whole"


def only(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def leaf_of(path: Path, word: bytes) -> int:
    """The first page that has the word."""
    return path.read_bytes().index(word) // PAGE
