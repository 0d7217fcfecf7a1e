"""A reader that stops reading: it costs its outbox and nobody's time, and misses nothing when it wakes."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import trio

from gochat.sim.checker import Evidence, Name, violations
from tests.durability.crowd import Reader, create_groups, history
from tests.durability.process import Served
from tests.durability.wire import Link

ROOM = "group:hall"
WRITERS = [f"w{number}" for number in range(4)]
READERS = [f"r{number}" for number in range(4)]
SLEEPER = "sleeper"
#: 12 KB of UTF-8, so that the kernel's buffer (4 MB to send) is full in a moment.
BODY = "\N{TEACUP WITHOUT HANDLE}" * 3_990
#: From one message of a writer to its next: 3 MB/s for each reader, which a reader in Python keeps up with.
PACE_S = 0.02
OUTBOX = 1 << 20
#: The bytes by which the allocator and the database's caches may differ between two runs.
SLACK = 4 << 20


class Writer:
    """Writes at set times, whether or not the acks come, and notes how late each came, from the set time on."""

    def __init__(self, user: str, evidence: Evidence) -> None:
        self.late_s: list[float] = []
        self._user = user
        self._evidence = evidence
        self._written = 0

    async def run(self, served: Served, count: int, every_s: float) -> None:
        begin = trio.current_time()
        due = {self._written + number: begin + number * every_s for number in range(count)}
        self._written += count
        self.late_s = []
        async with await served.sign_in(self._user) as link, trio.open_nursery() as nursery:
            nursery.start_soon(self._write, link, due)
            while len(self.late_s) < count:
                frame = await link.receive()
                if frame["type"] == "ack":
                    self.late_s.append(trio.current_time() - due[frame["id"]])
                    self._evidence.acks.append((self._name(frame["id"]), frame["seq"]))
                assert frame["type"] != "error", frame

    async def _write(self, link: Link, due: dict[int, float]) -> None:
        for number, when in due.items():
            await trio.sleep_until(when)
            name = self._name(number)
            self._evidence.sent[name] = body = f"{number}:{BODY}"
            await link.send({"type": "send", "id": number, "to": ROOM, "body": body, "key": name.key})

    def _name(self, number: int) -> Name:
        return Name(ROOM, self._user, f"{self._user}-{number}")


class Run:
    """The effect of one load on the others, and on the server's memory."""

    def __init__(self) -> None:
        self.p99_s = 0.0
        self.grown = 0
        self.lags = 0


async def run(folder: Path, *, asleep: bool, count: int, every_s: float, outbox: int = OUTBOX, warm: int = 40) -> Run:
    """`count` messages of each writer into a room whose readers all read, or all but one; then that one wakes. Before
    them come `warm` of each that all read. Where memory is compared these are as many: the allocator and the caches
    have then grown to what the load takes by itself."""
    found, evidence = Run(), Evidence()
    # On a machine that has much else to do, this process takes its time between a connection and its hello.
    served = Served(folder, env={"GOCHAT_LIMITS__OUTBOX_BYTES": str(outbox), "GOCHAT_LIMITS__HELLO_S": "60"})
    await served.start()
    try:
        await create_groups(served, {"hall": [*WRITERS, *READERS, SLEEPER]})
        async with trio.open_nursery() as nursery:
            readers = {user: Reader(user, user, "tcp", [ROOM], evidence) for user in (*READERS, SLEEPER)}
            for reader in readers.values():
                nursery.start_soon(reader.run, served)
                await reader.welcomed.wait()
            sleeper = readers[SLEEPER]
            writers = [Writer(user, evidence) for user in WRITERS]
            await _load(served, writers, warm, PACE_S)
            if asleep:
                sleeper.stop_reading()
            before = served.rss
            found.p99_s = await _load(served, writers, count, every_s)
            found.grown = served.rss - before
            sleeper.reading.set()
            evidence.history = await history(served, "host", [ROOM])
            with trio.move_on_after(30):
                while not all(reader.holds({ROOM: len(evidence.history[ROOM])}) for reader in readers.values()):
                    await trio.sleep(0.02)
            found.lags = sleeper.lags
            nursery.cancel_scope.cancel()
        assert await served.stop() == 0
    finally:
        if served.up.is_set():
            await served.aclose()
    broken = violations(evidence)
    assert not broken, "\n".join(violation[:200] for violation in broken[:10])
    return found


async def _load(served: Served, writers: list[Writer], count: int, every_s: float) -> float:
    """Have all write; the 99th percentile of their waits, in seconds."""
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for writer in writers:
                nursery.start_soon(writer.run, served, count, every_s)
    return statistics.quantiles([late for writer in writers for late in writer.late_s], n=100)[98]


async def test_who_wakes_is_told_of_the_lag_and_misses_nothing(tmp_path: Path) -> None:
    found = await run(tmp_path / "run", asleep=True, count=150, every_s=PACE_S)
    assert found.lags > 0, "all that was written fitted into the buffers"


@pytest.mark.long
async def test_a_sleeper_costs_its_outbox_and_nobodys_time(tmp_path: Path) -> None:
    runs: dict[bool, list[Run]] = {False: [], True: []}
    for number in range(3):
        for asleep, found in runs.items():
            folder = tmp_path / f"{number} {asleep}"
            found.append(await run(folder, asleep=asleep, count=300, every_s=PACE_S, warm=300))
    grown, p99_s = (
        {asleep: statistics.median(getattr(each, figure) for each in found) for asleep, found in runs.items()}
        for figure in ("grown", "p99_s")
    )
    assert grown[True] <= grown[False] + OUTBOX + SLACK
    assert p99_s[True] <= 2 * p99_s[False]


@pytest.mark.long
async def test_without_a_bound_the_sleeper_would_cost_more(tmp_path: Path) -> None:
    """The control: the measure above can fail."""
    reading = await run(tmp_path / "reading", asleep=False, count=300, every_s=PACE_S, warm=300)
    asleep = await run(tmp_path / "asleep", asleep=True, count=300, every_s=PACE_S, warm=300, outbox=1 << 28)
    assert asleep.grown > reading.grown + OUTBOX + SLACK
