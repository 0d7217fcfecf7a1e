"""A room with a long past costs no more than a young one: to open, to page, to hold in memory, to search."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from gochat import store as stores
from gochat.domain import facts
from gochat.ports.archive import Viewer
from gochat.store import schema, setup
from gochat.store.listing import relist
from gochat.store.rows import WRITTEN, written
from gochat.store.schema import SEQ_BITS
from gochat.store.search import index
from tests.appending import append_to

DM, NUM = "dm:ann:bob", 1
#: Opens the store, loads the room, pages here and there; says how much memory that took, in KiB.
READER = """
import resource, sys
import trio
from gochat import store as stores
from gochat.ports.archive import Viewer

async def main():
    async with stores.open(sys.argv[1]) as store:
        record = await store.journal.load("dm:ann:bob")
        for n in range(200):
            before = 1 + record.head * n // 200
            await store.archive.page(Viewer("ann"), "dm:ann:bob", before=before, after=None, limit=50)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

trio.run(main)
"""


def body(seq: int) -> str:
    return f"针{seq}号 in the haystack" if seq % 1000 == 7 else f"straw {seq} of many, 草"


def fill(path: Path, size: int) -> None:
    """Write the room through the schema, as so many appends would have."""
    with contextlib.closing(schema.connect(str(path))) as connection:
        setup.migrate(connection, str(path))
        connection.execute("PRAGMA synchronous = OFF")
        marks = ", ".join("?" * len(WRITTEN.split(",")))
        for first in range(1, size + 1, 10_000):
            seqs = range(first, min(first + 10_000, size + 1))
            connection.execute("BEGIN")
            connection.executemany(
                f"INSERT INTO fact ({WRITTEN}) VALUES ({marks})",
                (
                    written(
                        NUM << SEQ_BITS,
                        facts.Message(room=DM, seq=seq, ts=1000 + seq, sender="ann", body=body(seq), key=f"k{seq}"),
                        seq,
                    )
                    for seq in seqs
                ),
            )
            index.put(connection, [(NUM << SEQ_BITS | seq, body(seq)) for seq in seqs])
            connection.execute("COMMIT")
        connection.execute(
            "INSERT INTO room (num, id, head, ts, messages, last, indexed) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (NUM, DM, size, 1000 + size, size, size, size),
        )
        connection.executemany(
            "INSERT INTO seat (user, num, role, since_seq, since_ts, read) VALUES (?, ?, 'dm', 1, 1001, 0)",
            [("ann", NUM), ("bob", NUM)],
        )
        relist(connection, NUM, DM)


def peak_memory(path: Path) -> int:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", READER, str(path)], capture_output=True, text=True, check=True, cwd=root
    )
    return int(done.stdout)


async def search(store: stores.Store, q: str) -> list[int]:
    found, _ = await store.archive.search_messages("bob", q, None, 5, None)
    return [fact.seq for fact in found]


@pytest.mark.parametrize(
    ("size", "ready_s", "page_ms"),
    [pytest.param(50_000, 30, 500, id="short"), pytest.param(1_000_000, 3, 5, id="long", marks=pytest.mark.long)],
)
def test_a_long_past_costs_nothing(tmp_path: Path, size: int, ready_s: float, page_ms: float) -> None:
    path, small = tmp_path / "gochat.db", tmp_path / "small.db"
    fill(path, size)
    fill(small, 2_000)

    async def main() -> None:
        dice = random.Random(1)
        begun = time.perf_counter()
        async with stores.open(path) as store:
            record = await store.journal.load(DM)
            (contact,) = (await store.archive.welcome("bob", 15, [DM])).contacts
            assert time.perf_counter() - begun < ready_s
            assert (record.head, contact.head, contact.unread) == (size, size, size)
            took: list[float] = []
            for before in [1, 51, size + 1, *(dice.randrange(2, size) for _ in range(1000))]:
                begun = time.perf_counter()
                page = await store.archive.page(Viewer("ann"), DM, before=before, after=None, limit=50)
                took.append(time.perf_counter() - begun)
                assert page is not None
                assert [fact.seq for fact in page.entries] == list(range(max(1, before - 50), before))
            assert sorted(took)[len(took) * 99 // 100] * 1000 < page_ms
            needles = [seq for seq in range(1, size + 1) if seq % 1000 == 7][::-1]
            assert await search(store, "针") == needles[:5]
            assert await search(store, f"针{needles[3]}号 hay") == [needles[3]]
            assert await search(store, "hay 号 stack") == []
            assert await search(store, "草") == [seq for seq in range(size, size - 6, -1) if seq % 1000 != 7][:5]
            begun = time.perf_counter()
            batch = [facts.Message(room=DM, seq=size + 1, ts=1 << 40, sender="bob", body="针 new", key="k1")]
            await append_to(store.journal, record, batch)
            with trio.fail_after(20):
                while (await search(store, "针"))[0] != size + 1:
                    await trio.sleep(0.01)

    trio.run(main)
    assert peak_memory(path) < peak_memory(small) + 80_000, "four caches of 16 MiB, and not the room"
