"""The cost for others when a store is indexed anew beside them, and the time it takes.

    python -m bench.reindex [MESSAGES [RATE [SECONDS]]]

One process and one database: MESSAGES (1,000,000) that an older release has indexed, in 100 groups; RATE (200) messages
a second to them meanwhile, each its own commit, and a search twice a second. Told are the waits for commits and
searches, first for SECONDS (10) without and then with the work going on, and how long that took. Exit status: 0 all
was found, 1 not, 2 wrong usage.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import trio

from bench.prefill import body, fill, sentences, word
from gochat import store as stores
from gochat.domain import facts
from gochat.domain.record import RoomRecord
from gochat.store.schema import connect

_ROOMS = 100


class Waits:
    """How long things took, in milliseconds."""

    def __init__(self) -> None:
        self.commits: list[float] = []
        self.searches: list[float] = []

    def told(self) -> str:
        return f"commits {_quantiles(self.commits)}; searches {_quantiles(self.searches)}"


def _quantiles(waits: list[float]) -> str:
    ordered = sorted(waits)
    if not ordered:
        return "none"
    middle, high = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
    return f"{len(ordered)}: p50 {middle:.1f} ms, p99 {high:.1f} ms, worst {ordered[-1]:.1f} ms"


def _group(number: int) -> str:
    return f"group:g{number:03}"


async def _prepare(path: Path, messages: int) -> None:
    async with stores.open(path) as store:
        for number in range(_ROOMS):
            room = _group(number)
            member = facts.Member(
                room=room, seq=1, ts=1, sender="ann", users=["ann"], change="added", role="owner", title=""
            )
            await _append(store, await store.journal.load(room), member)
    texts = sentences(60)
    for number in range(_ROOMS):
        fill(path, _group(number), messages // _ROOMS, texts, index=True)


async def _append(store: stores.Store, record: RoomRecord, fact: facts.AnyFact) -> None:
    durable = trio.Event()
    store.journal.append(record, [fact], (), lambda _: durable.set())
    await durable.wait()


async def _run(path: Path, rate: float, waits: Waits, seconds: float | None) -> float:
    """Talk and search for so long, or, without `seconds`, until all is indexed anew. How long it took."""
    async with stores.open(path) as store:
        begun = time.perf_counter()
        records = {_group(number): await store.journal.load(_group(number)) for number in range(_ROOMS)}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_talk, store, records, rate, waits)
            nursery.start_soon(_search, store, waits)
            if seconds is None:
                while left := store.commits.reindexing:
                    print(f"\r{left} left ", end="", file=sys.stderr)
                    await trio.sleep(0.2)
            else:
                await trio.sleep(seconds)
            took = time.perf_counter() - begun
            nursery.cancel_scope.cancel()
        return took


async def _talk(store: stores.Store, records: dict[str, RoomRecord], rate: float, waits: Waits) -> None:
    """Each message when it is due, whether or not those before it are durable; of one room one after the other."""
    heads = {room: record.head for room, record in records.items()}
    turns = {room: trio.Lock() for room in records}
    begun, sent = time.perf_counter(), 0

    async def say(room: str, due: float) -> None:
        async with turns[room]:
            heads[room] += 1
            message = facts.Message(
                room=room,
                seq=heads[room],
                ts=time.time_ns() // 1_000_000,
                sender="ann",
                body=body(["new"], heads[room]),
            )
            await _append(store, records[room], message)
        waits.commits.append((time.perf_counter() - due) * 1000)

    async with trio.open_nursery() as nursery:
        while True:
            due = begun + sent / rate
            await trio.sleep(max(0.0, due - time.perf_counter()))
            nursery.start_soon(say, _group(sent % _ROOMS), due)
            sent += 1


async def _search(store: stores.Store, waits: Waits) -> None:
    asked = 0
    while True:
        begun = time.perf_counter()
        await store.archive.search_messages("ann", word(asked * 37), None, 50, None)
        waits.searches.append((time.perf_counter() - begun) * 1000)
        asked += 1
        await trio.sleep(0.5)


async def _found(path: Path, messages: int) -> bool:
    """Whether the oldest and the newest of what was there are found."""
    async with stores.open(path) as store:
        last = messages // _ROOMS + 1
        for number in range(0, _ROOMS, 9):
            for seq in 2, last:
                found, _ = await store.archive.search_messages("ann", f"{seq:08d}", _group(number), 5, None)
                if seq not in [entry.seq for entry in found]:
                    return False
    return True


def main(arguments: list[str]) -> int:
    try:
        messages, rate, seconds = (*map(int, arguments), *(1_000_000, 200, 10)[len(arguments) :])
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gochat-reindex-") as folder:
        path = Path(folder) / "gochat.db"
        trio.run(_prepare, path, messages)
        alone, side_records = Waits(), Waits()

        trio.run(_run, path, rate, alone, seconds)
        with closing(connect(str(path))) as connection:
            connection.execute("UPDATE folding SET version = version - 1")
        size = path.stat().st_size
        took = trio.run(_run, path, rate, side_records, None)
        print(f"\r{messages} messages indexed anew in {took:.0f} s beside {rate} messages/s")
        print(f"without: {alone.told()}\nwith:    {side_records.told()}")
        print(f"database: {size >> 20} MB before, {path.stat().st_size >> 20} MB after")
        return 0 if trio.run(_found, path, messages) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
