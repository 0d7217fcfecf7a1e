"""The stage that all scenarios share: the servers that are measured, and the way a stretch of load is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from bench import hdr, procfs, rulebook
from bench.counting import Counted, count_syscalls
from bench.faults import Broken, Misused
from bench.load.book import NAMES, Book
from bench.load.fleet import Drives, Make, fleet
from bench.load.frames import Bodies
from bench.load.outcome import Length, Outcome
from bench.load.wire import Wire
from bench.progress import Progress, Watch
from bench.remote import Place, Remote
from bench.results import Measure
from bench.rulebook import Sentences
from bench.server import HERE, Checkout, Cores, Gochat, Running, data_folder

Server: TypeAlias = Gochat | Remote

#: Above this share of its core an open loop does not keep its plan, and its latencies are its own.
BUSY_OPEN = 0.8
#: From here on a load's own delay is worth a remark.
_LATE_MS = 5.0


class Stage(NamedTuple):
    """Where the servers of a run get their cores and their data, how gochat is started and spoken to, and what else
    holds for all scenarios."""

    data: Path
    cores: Cores
    wire: Wire
    program: Sequence[str]
    processes: int = 1
    rules: str = "default"
    """"full" and "off" set what the server checks; "default" leaves it to the server."""
    place: Place | None = None
    """A server that runs already."""
    syscalls: bool = False
    rest: bool = False
    """Send by POST /v1/messages."""
    progress: Progress = Progress()
    checkout: Checkout = HERE
    """The tree whose server is started."""

    def targets(self) -> list[tuple[str, str]]:
        """Names of the servers that take turns, each with its rules."""
        if self.rules == "full":
            return [("gochat", "full"), ("gochat, rules off", "off")]
        return [("gochat" if self.rules == "default" else f"gochat, rules {self.rules}", self.rules)]

    def bodies(self, size: int) -> Bodies | Sentences:
        """The same for all servers of a run."""
        return Bodies(size) if self.rules == "default" else Sentences(size)

    @contextmanager
    def server(self, rules: str = "default", **settings: str) -> Iterator[Server]:
        """A server of its own, or the one that runs already. `settings` are GOCHAT_ names without that, in
        lower case."""
        if self.place is not None:
            if rules != "default":
                raise Misused("--rules needs a server that the harness starts: leave --url out")
            yield Remote(self.place)
            return
        with data_folder(self.data) as folder:
            own: Mapping[str, str] = {f"GOCHAT_{name.upper()}": value for name, value in settings.items()}
            own = {**own, **(rulebook.full(folder) if rules == "full" else rulebook.OFF if rules == "off" else {})}
            yield Gochat(self.wire, folder, self.cores, self.program, own, self.checkout)

    def own(self, what: str) -> None:
        """Raises Broken where the server is not the harness' own."""
        if self.place is not None:
            raise Misused(f"{what} needs a server that the harness starts: leave --url out")

    @contextmanager
    def rig(self, running: Running, make: Make, label: str) -> Iterator[Rig]:
        """The load on a server: as many processes as were asked for, all connected."""
        watch = Watch(self.progress, label, running.pid)
        watch.begin(0.0)
        try:
            with fleet(self.processes, make, watch) as drives:
                yield Rig(drives, running.pid, watch, self.syscalls)
        finally:
            self.progress.clear()


class Stretch(NamedTuple):
    """The findings of one stretch of load."""

    outcome: Outcome
    length: Length
    server_cpu_s: float = 0.0
    server_rss_mb: float = 0.0
    switches: int = 0
    syscalls: Counted = Counted()
    memory: Sequence[tuple[float, float]] = ()

    def cpu_us(self, count: float) -> float:
        """The server's CPU time over `count`, in microseconds."""
        return self.server_cpu_s * 1e6 / count if count else 0.0

    def throughput(self, deliveries: int, unit: str, latency: str, **fields: Any) -> Measure:
        """The measure of something that was counted, a second: `unit` is like "messages/s". As `measure`."""
        value = deliveries / self.outcome.seconds
        return self.measure(value=value, unit=unit, deliveries=deliveries, latency=latency, **fields)

    def measure(self, *, value: float, deliveries: int, latency: str = "", **fields: Any) -> Measure:
        """The measure that goes into the report. `latency` names the latency that stands in the first table;
        `fields` are the rest of a Measure. Raises Broken if nothing was sent, or if an open loop could not keep
        its plan."""
        outcome = self.outcome
        if not outcome.messages:
            raise Broken("nothing was sent in the time given: give it more --seconds")
        if self.length.rate and outcome.generator_cpu > BUSY_OPEN:
            share = f"{outcome.generator_cpu:.0%} of its core, more than {BUSY_OPEN:.0%}"
            raise Broken(f"the load took {share}: it can't keep its plan; lower --rate, or raise --processes")
        book, calls = {name: found.buckets() for name, found in outcome.book.items() if found.count}, self.syscalls
        return Measure(
            **{"latency_of": NAMES.get(latency, latency), **fields},
            value=value,
            messages=outcome.messages,
            deliveries=deliveries,
            seconds=outcome.seconds,
            latency_ns=book.get(latency, {}),
            latencies=book,
            hdr={name: hdr.encode(buckets) for name, buckets in book.items()},
            timeline=_rates(outcome.timeline),
            memory=[(round(at, 1), round(megabytes, 1)) for at, megabytes in self.memory],
            counts=dict(outcome.counts),
            processes=outcome.processes,
            rate=self.length.rate,
            generator_cpu=outcome.generator_cpu,
            server_cpu_us_per_message=self.cpu_us(outcome.messages),
            server_cpu_us_per_delivery=self.cpu_us(deliveries),
            server_rss_mb=self.server_rss_mb,
            switches_per_delivery=self.switches / deliveries if deliveries else 0.0,
            syscalls_per_delivery=calls.calls / calls.deliveries if calls.deliveries else 0.0,
            remarks=[*filter(None, [calls.remark, _lateness(outcome.book)])],
        )


class Rig(NamedTuple):
    drives: Drives
    pid: int
    watch: Watch
    syscalls: bool

    def measure(self, length: Length) -> Stretch:
        """Warm up, then measure; then count system calls, where that is wanted."""
        self.drives.drive(length.warm_up())
        stretch = self.plain(length)
        if self.syscalls:
            counted = count_syscalls(self.pid, lambda: self.drives.drive(length.warm_up()).deliveries)
            stretch = stretch._replace(syscalls=counted)
        return stretch

    def plain(self, length: Length) -> Stretch:
        """Measure without warming up."""
        self.watch.begin(length.seconds)
        pid = self.pid
        cpu_s, switches = (procfs.cpu_s(pid), sum(procfs.switches(pid))) if pid else (0.0, 0)
        outcome = self.drives.drive(length)
        stretch = Stretch(outcome, length)
        if pid:
            cpu_s, switches = procfs.cpu_s(pid) - cpu_s, sum(procfs.switches(pid)) - switches
            stretch = Stretch(
                outcome, length, cpu_s, procfs.rss_bytes(pid) / 1e6, switches, Counted(), self.watch.memory
            )
        return stretch


def _lateness(book: Book) -> str:
    """The remark on a load that was itself late, as where other programs share its core."""
    late = book["late"].percentile(99) / 1e6
    return f"p99 of the load's own delay is {late:.0f} ms" if late > _LATE_MS else ""


def _rates(timeline: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    """How many a second, between each two points that are at least a fifth of a second apart."""
    rates: list[tuple[float, float]] = []
    before, count = timeline[0] if timeline else (0, 0)
    for at, total in timeline:
        if at - before >= 200_000_000:
            rates.append((round(at / 1e9, 3), round((total - count) * 1e9 / (at - before), 1)))
            before, count = at, total
    return rates
