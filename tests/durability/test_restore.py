"""Backups of a node under load, put back while clients hold positions in the log that is no more."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from gochat.errors import StoreError
from gochat.sim.checker import Evidence, Fact
from gochat.store import setup
from gochat.store.portable import backup, cluster, restore
from tests import forked
from tests.durability.crowd import FACTS, PAGE, Sender, create_groups, dm, fact, history
from tests.durability.process import Served
from tests.durability.wire import Closed, Frame
from tests.waiting import until

SENDERS = ("s1", "s2", "s3", "s4")
ROOMS = ("group:tea", "group:oak", *(dm(sender, "r1") for sender in SENDERS))
WAIT_S = 60.0


async def gochat(served: Served, *arguments: str) -> str:
    """A command on the node's folder; what it says."""
    done = await trio.to_thread.run_sync(partial(forked.run, [*arguments, "--data", str(served.data)]))
    assert done.returncode == 0, done.stderr
    return done.stderr


class Device:
    """A client as the protocol wants one: it holds what it was told, room by room, and starts anew at `reset`. `shown`
    holds the facts that its user sees, `complaints` everything that should not be."""

    def __init__(self, transport: str) -> None:
        self.shown: dict[str, list[Fact]] = {room: [] for room in ROOMS}
        self.complaints: list[str] = []
        self.resets = 0
        self.welcomed = trio.Event()
        self._transport = transport
        self._epoch: str | None = None
        self._paging: dict[str, int] = {}
        """Rooms whose past is being read; the number of the request that ends it, once that is sent."""
        self._asked = 0
        self._link: Any = None

    def held(self, room: str) -> int:
        return self.shown[room][-1].seq if self.shown[room] else 0

    async def run(self, served: Served) -> None:
        while True:
            try:
                async with await served.connect(self._transport) as self._link:
                    self._paging.clear()
                    resume = {room: {"seq": self.held(room), "epoch": self._epoch} for room in ROOMS if self._epoch}
                    await self._link.send({"type": "hello", "token": served.token("r1"), "resume": resume})
                    while True:
                        await self._take(await self._link.receive())
            except Closed:
                continue

    async def _take(self, frame: Frame) -> None:
        kind, room = frame["type"], frame.get("room", "")
        if kind == "welcome":
            first = self._epoch is None
            self._epoch = next(entry["epoch"] for entry in [*frame["rooms"], *frame["contacts"]])
            self.welcomed.set()
            for room in ROOMS if first else ():
                await self._page(room)
        elif kind in FACTS and room in self.shown and room not in self._paging:
            if frame["seq"] != self.held(room) + 1:
                self.complaints.append(f"{room}:{frame['seq']} came after {self.held(room)}")
            self.shown[room].append(fact(frame))
        elif kind == "reset":
            self.resets += 1
            self._epoch = frame["epoch"]
            self.shown[room] = []
            await self._page(room)
        elif kind == "lag":
            await self._page(room)
        elif kind == "page":
            await self._paged(frame)
        elif kind == "ok":
            self._paging = {room: asked for room, asked in self._paging.items() if asked != frame["id"]}
        elif kind == "error" and frame["code"] != "unavailable":
            self.complaints.append(str(frame))

    async def _page(self, room: str) -> None:
        self._paging[room] = 0
        await self._link.send({"type": "history", "room": room, "after": self.held(room), "limit": PAGE})

    async def _paged(self, page: Frame) -> None:
        room = page["room"]
        self.shown[room] += map(fact, page["entries"])
        if page["entries"] and self.held(room) < page["head"]:
            await self._page(room)
            return
        self._asked += 1
        self._paging[room] = self._asked
        resume = {"room": room, "seq": self.held(room), "epoch": self._epoch}
        await self._link.send({"type": "resume", "id": self._asked, **resume})


@pytest.mark.parametrize("restores", [2, pytest.param(20, marks=pytest.mark.long)])
async def test_clients_of_the_old_log_skip_nothing_and_see_nothing_twice(tmp_path: Path, restores: int) -> None:
    """By turns a backup is restored, and a bare copy is put back."""
    rng = random.Random(7)
    served, evidence, devices = Served(tmp_path), Evidence(), [Device("tcp"), Device("ws")]
    groups = ["group:tea", "group:oak"]
    senders = [
        Sender(user, ("tcp", "ws")[n % 2], [*groups, dm(user, "r1")], evidence, random.Random(n))
        for n, user in enumerate(SENDERS)
    ]
    try:
        await served.start()
        await create_groups(served, {"tea": ["r1", *SENDERS], "oak": ["r1", *SENDERS]})
        async with trio.open_nursery() as nursery:
            for device in devices:
                nursery.start_soon(device.run, served)
            async with trio.open_nursery() as writing:
                stop = trio.Event()
                for sender in senders:
                    writing.start_soon(sender.run, served, stop)
                for number in range(restores):
                    await some_acks(senders)
                    await old_log_comes_back(served, tmp_path, bare=number % 2 == 1, rng=rng, senders=senders)
                await some_acks(senders)
                stop.set()
                writing.cancel_scope.deadline = trio.current_time() + WAIT_S
            truth = await history(served, "r1", list(ROOMS))
            with trio.move_on_after(WAIT_S):
                while any(device.held(room) < len(truth[room]) for device in devices for room in ROOMS):
                    await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
        for device in devices:
            assert not device.complaints, device.complaints[:5]
            assert device.shown == truth
            assert device.resets >= restores * len(groups)
        assert all(found.seq == seq for facts in truth.values() for seq, found in enumerate(facts, 1))
        assert "Traceback" not in served.log.read_text()
    finally:
        await served.aclose()


async def old_log_comes_back(
    served: Served, folder: Path, *, bare: bool, rng: random.Random, senders: list[Sender]
) -> None:
    copy = folder / "copy.db"
    if bare:
        assert await served.stop() == 0
        shutil.copy(served.data / "gochat.db", copy)
        await served.start()
    else:
        await gochat(served, "backup", str(copy), "--force")
    await some_acks(senders)
    await trio.sleep(rng.uniform(0.0, 0.3))
    if not bare:
        await served.kill()
        await gochat(served, "restore", str(copy), "--yes", "--discard")
    else:
        assert await served.stop() == 0
        shutil.copy(copy, served.data / "gochat.db")
    await served.start()
    if bare:
        assert "is a copy that was put back" in served.log.read_text()


async def some_acks(senders: list[Sender]) -> None:
    for sender in senders:
        sender.acked = trio.Event()
    with trio.fail_after(WAIT_S):
        for sender in senders:
            await sender.acked.wait()


def descriptors(pid: int, file: Path) -> list[int]:
    """How the process has the file open, each time."""
    found = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        if handle.exists() and handle.readlink() == file:
            flags = Path(f"/proc/{pid}/fdinfo/{handle.name}").read_text().split("flags:")[1].split()[0]
            found.append(int(flags, 8) & os.O_ACCMODE)
    return found


async def test_a_node_has_one_descriptor_that_can_write_to_its_database(tmp_path: Path) -> None:
    """Under load, with its readers, an export and a backup beside it."""
    served, evidence = Served(tmp_path), Evidence()
    senders = [Sender(user, "tcp", [dm(user, "r1")], evidence, random.Random(1)) for user in SENDERS]
    try:
        await served.start()
        async with trio.open_nursery() as nursery:
            for sender in senders:
                nursery.start_soon(sender.run, served, trio.Event())
            await some_acks(senders)
            await history(served, "r1", [dm(user, "r1") for user in SENDERS])
            await gochat(served, "backup", str(tmp_path / "copy.db"))
            await gochat(served, "room", "export", dm("s1", "r1"), str(tmp_path / "room.sqlite"))
            modes = descriptors(served.pid, served.data / "gochat.db")
            nursery.cancel_scope.cancel()
        assert modes.count(os.O_RDWR) == 1 and modes.count(os.O_RDONLY) >= 1, modes
    finally:
        await served.aclose()


async def test_acks_do_not_wait_for_a_backup(tmp_path: Path) -> None:
    """Every message that was acked before it began is in it; and while it runs acks come."""
    served, evidence = Served(tmp_path), Evidence()
    sender = Sender("s1", "tcp", [dm("r1", "s1")], evidence, random.Random(1), size=4000)
    try:
        await served.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run, served, trio.Event())
            await until(lambda: len(evidence.acks) >= 2000, pause_s=0.01)
            before = len(evidence.acks)
            told = await gochat(served, "backup", str(tmp_path / "copy.db"))
            assert len(evidence.acks) > before
            nursery.cancel_scope.cancel()
        assert "checked" in told and "auth.secret is not in it" in told
        other = Served(tmp_path / "other")
        other.data.mkdir(mode=0o700)
        shutil.copy(served.data / "auth.secret", other.data)
        await gochat(other, "restore", str(tmp_path / "copy.db"), "--yes")
        try:
            await other.start()
            found = await history(other, "r1", [dm("r1", "s1")])
        finally:
            await other.aclose()
        seqs = {each.key: each.seq for each in found[dm("r1", "s1")]}
        assert all(seqs.get(name.key) == seq for name, seq in evidence.acks[:before])
    finally:
        await served.aclose()


def test_commands_refuse_what_would_lose_something(tmp_path: Path) -> None:
    data = tmp_path / "data"

    def run(*arguments: str, code: int) -> str:
        done = forked.run([*arguments, "--data", str(data)])
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        return done.stderr

    copy = tmp_path / "copy.db"
    assert f"there is no file {data / 'gochat.db'}" in run("backup", str(copy), code=1)
    data.mkdir()
    setup.prepare(str(data / "gochat.db"))
    run("backup", str(copy), code=0)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "--force replaces it" in run("backup", str(copy), code=1)
    run("backup", str(copy), "--force", code=0)
    assert "own files" in run("backup", str(data / "gochat.db"), "--force", code=1)
    assert "--yes" in run("restore", str(copy), code=2)
    assert "own database" in run("restore", str(data / "gochat.db"), "--yes", code=1)
    copy.write_bytes(copy.read_bytes()[:-9000])
    before = (data / "gochat.db").read_bytes()
    assert "malformed" in run("restore", str(copy), "--yes", code=1)
    assert (data / "gochat.db").read_bytes() == before
    assert not [left for left in [*tmp_path.iterdir(), *data.iterdir()] if ".part" in left.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from gochat.store.portable.restore import staged
from gochat.store.schema import connect
with staged(Path(sys.argv[1]), Path(sys.argv[2])) as copy:
    connect(str(copy.part)).execute("UPDATE meta SET epoch = epoch")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_copy_of_a_restore_that_was_killed_goes_with_the_next_one(tmp_path: Path) -> None:
    data, copy = tmp_path / "data", tmp_path / "copy.db"
    data.mkdir()
    setup.prepare(str(data / "gochat.db"))
    backup.back_up(data / "gochat.db", copy)
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED, str(copy), str(data / "gochat.db")], timeout=60)
        assert done.returncode == -signal.SIGKILL
    left = sorted(data.glob(".restore-*"))
    assert [file.suffix for file in left] == [".part", ".part-shm", ".part-wal"], "the second took the first one's away"
    with restore.staged(copy, data / "gochat.db") as staged:
        assert list(data.glob(".restore-*.part")) == [staged.part]
    assert not list(data.glob(".restore-*"))


def test_a_copy_that_was_left_can_be_restored_itself(tmp_path: Path) -> None:
    data, left = tmp_path / "data", tmp_path / "data" / ".restore-abc.part"
    data.mkdir()
    setup.prepare(str(data / "gochat.db"))
    backup.back_up(data / "gochat.db", left)
    with restore.staged(left, data / "gochat.db"):
        assert left.exists()
    assert left.exists()


MADE_UP = [
    "DELETE FROM meta",
    "UPDATE meta SET epoch = x'00'",
    "DELETE FROM clock",
    "UPDATE clock SET commits = 'many'",
    "DELETE FROM boot",
    "UPDATE boot SET number = 'first'",
    "INSERT INTO room (num, id, head, ts, messages, last) VALUES (1, 'group:tea', 0, 'soon', 0, 0)",
    "INSERT INTO room (num, id, head, ts, messages, last) VALUES (1, 'group:tea', 'all', 5, 0, 0)",
    "INSERT INTO tail (number, messages) VALUES (1, 'text')",
    "INSERT INTO tail (number, messages) VALUES (1, x'c1')",
    "DELETE FROM folding",
    "DROP TABLE meta",
    "DELETE FROM _sqlite_migrations WHERE name = 'm003_tail'",
]


@pytest.mark.parametrize("change", MADE_UP)
def test_a_backup_that_is_made_up_is_refused_in_a_sentence(tmp_path: Path, change: str) -> None:
    copy, data = tmp_path / "copy.db", tmp_path / "data"
    data.mkdir()
    setup.prepare(str(copy))
    with closing(sqlite3.connect(copy)) as db:
        db.execute(change)
        db.commit()
    with (
        pytest.raises(StoreError, match=r"copy\.db is damaged|copy\.db can't be|can't be used"),
        restore.staged(copy, data / "gochat.db"),
    ):
        pass
    assert not list(data.iterdir())


@pytest.mark.parametrize("change", ["DELETE FROM boot", "UPDATE boot SET number = 'first'", "DROP TABLE boot"])
def test_a_database_that_is_damaged_can_be_replaced(tmp_path: Path, change: str) -> None:
    copy, database = tmp_path / "copy.db", tmp_path / "gochat.db"
    for file in (copy, database):
        setup.prepare(str(file))
    with closing(sqlite3.connect(database)) as db:
        db.execute(change)
        db.commit()
    with restore.staged(copy, database) as staged:
        assert restore.put_in_place(staged, database) is not None
    assert backup.check(database).boot == 1


@pytest.mark.parametrize(
    ("table", "values", "looks"),
    [
        ("cluster", "1, x'00', 'tea', x'00', 1", cluster.read),
        ("cluster", "1, 'c', x'01', x'00', 1", cluster.read),
        ("cluster", "1, 'c', 'tea', 'layout', 1", cluster.read),
        ("log_position", "0, 1, 'far', x'00', 0, '[]'", cluster.positions),
        ("log_position", "17, 1, 1, x'00', 0, '[]'", cluster.positions),
    ],
)
def test_a_backup_of_a_made_up_cluster_or_position_is_refused(
    tmp_path: Path, table: str, values: str, looks: Callable[[Path], object]
) -> None:
    setup.prepare(str(tmp_path / "copy.db"))
    with closing(sqlite3.connect(tmp_path / "copy.db")) as db:
        db.execute(f"INSERT INTO {table} VALUES ({values})")
        db.commit()
    with pytest.raises(StoreError, match=r"copy\.db is damaged"):
        looks(tmp_path / "copy.db")
