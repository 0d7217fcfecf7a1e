"""Every metric of a node, as a table: its name, what it tells, and where it is read when somebody asks.

Most numbers are kept by the parts themselves; nothing is counted twice. Reading takes well under a millisecond,
however many sessions there are.
"""

from __future__ import annotations

import os
import platform
import resource
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import trio

from gochat import __version__
from gochat.actors.supervisor import Supervisor
from gochat.cluster.journal import ClusterJournal
from gochat.cluster.soft import Soft
from gochat.errors import CLOSE_BY_NUMBER
from gochat.http.readiness import Readiness
from gochat.metrics import Commits, Family, Histogram, Kind, NotificationCounts, Samples, render
from gochat.session import Gateway
from gochat.store.health import Health
from gochat.transports.admission import EVICTED_FOR, Connections

V = TypeVar("V")


class Sources(NamedTuple):
    """The parts that are asked."""

    gateway: Gateway
    connections: Connections
    commits: Commits
    health: Health
    supervisors: tuple[Supervisor, ...]
    readiness: Readiness
    database: Path
    responses: Mapping[int, int]
    """HTTP responses by status."""
    notifications: NotificationCounts


class Metric(NamedTuple):
    """One row of the table. `read` gives None where the system does not tell."""

    name: str
    kind: Kind
    help: str
    read: Callable[[Sources], float | Samples | Histogram | None]
    labels: tuple[str, ...] = ()


def collect(sources: Sources) -> bytes:
    """All metrics in Prometheus' text format. Never waits."""
    return render(_families(sources))


def values(sources: Sources) -> dict[str, dict[str, float]]:
    """All metrics as plain numbers: by name, then by the values of their labels with commas between. Of a histogram its
    sum and its count. Never waits."""
    found: dict[str, dict[str, float]] = {}
    for family in _families(sources):
        if isinstance(family.values, Histogram):
            found[f"{family.name}_sum"] = {"": family.values.total}
            found[f"{family.name}_count"] = {"": sum(family.values.buckets)}
        else:
            found[family.name] = {",".join(labels): value for labels, value in family.values.items()}
    return found


def _families(sources: Sources) -> Iterator[Family]:
    for metric in METRICS:
        found = metric.read(sources)
        if found is not None:
            values: Samples | Histogram = {(): found} if isinstance(found, (int, float)) else found
            yield Family(metric.name, metric.kind, metric.help, metric.labels, values)


# ---------------------------------------------------------------------------------------------- reading


def _by(values: Iterable[tuple[object, float]]) -> Samples:
    """Samples of one label."""
    return {(str(label),): value for label, value in values}


def _evicted_connections(sources: Sources) -> Samples:
    evicted = sources.connections.statistics().evicted
    return _by((limit, evicted.get(limit, 0)) for limit in EVICTED_FOR)


def _registries(sources: Sources) -> tuple[tuple[str, int, int, int], ...]:
    rooms, users = sources.gateway.rooms, sources.gateway.users
    return ("room", len(rooms), rooms.activated, rooms.refused), ("user", len(users), users.activated, users.refused)


def _store_bytes(sources: Sources) -> Samples | None:
    found: dict[tuple[str, ...], float] = {}
    for label, suffix in ("database", ""), ("wal", "-wal"):
        try:
            found[(label,)] = os.stat(f"{sources.database}{suffix}").st_size  # noqa: PTH116 -- called often, and quicker
        except OSError:
            continue  # The WAL is there only while somebody has the database open.
    return found or None


def _free_bytes(sources: Sources) -> int | None:
    try:
        told = os.statvfs(sources.database.parent)
    except OSError:
        return None  # The folder is gone or unreachable, which the store finds, and logs.
    return told.f_bavail * told.f_frsize


def _of_cluster(read: Callable[[ClusterJournal], V]) -> Callable[[Sources], V | None]:
    """A value that only a node in a cluster has."""

    def found(sources: Sources) -> V | None:
        journal = sources.gateway.journal
        return read(journal) if isinstance(journal, ClusterJournal) else None

    return found


def _of_soft(read: Callable[[Soft], float]) -> Callable[[Sources], float | None]:
    """The same of what nodes tell each other besides the log."""

    def found(sources: Sources) -> float | None:
        soft = sources.gateway.live.ephemera
        return read(soft) if isinstance(soft, Soft) else None

    return found


def _of_partitions(read: Callable[[ClusterJournal], Sequence[float]]) -> Callable[[Sources], Samples | None]:
    """A number for each partition of the cluster's log."""
    return _of_cluster(lambda journal: _by(enumerate(read(journal))))


def _nodes(journal: ClusterJournal) -> Samples:
    return _by((("here", len(journal.members)), ("alive", len(journal.registry.alive) + 1)))


def _build(sources: Sources) -> Samples:
    return {(__version__, platform.python_version(), sqlite3.sqlite_version, sources.gateway.node): 1}


# ---------------------------------------------------------------------------------------------- the process
# Where a system has no /proc, or keeps it from the node, its metrics are left out.

_PAGE: Final = resource.getpagesize()


# Where there is no /proc, as outside of Linux, these are None, and their metrics are left out.


def _memory(field: int) -> int | None:
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[field]) * _PAGE
    except OSError:
        return None


def _cpu_seconds(_: Sources) -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _open_files(_: Sources) -> int | None:
    try:
        # Linux 6.2 and later tell the number as the folder's size; counting 50,000 entries would take 20 ms.
        return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))  # noqa: PTH116, PTH208
    except OSError:
        return None


def _started() -> float | None:
    """Unix time, seconds."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        (boot,) = (line.split()[1] for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, ValueError):
        return None
    return int(boot) + ticks / os.sysconf("SC_CLK_TCK")


_STARTED: Final = _started()


# ---------------------------------------------------------------------------------------------- the table

METRICS: Final[tuple[Metric, ...]] = (
    Metric("gochat_build_info", "gauge", "Always 1; its labels say what runs.", _build,
           ("version", "python", "sqlite", "node")),
    Metric("gochat_ready", "gauge", "1 if /readyz says yes.",
           lambda s: int(all(check.problem is None for check in s.readiness()))),
    Metric("gochat_check", "gauge", "1 for each check of /readyz that is well.",
           lambda s: _by((check.name, int(check.problem is None)) for check in s.readiness()), ("check",)),

    Metric("gochat_connections", "gauge", "Open connections of every kind.",
           lambda s: s.connections.statistics().open),
    Metric("gochat_connections_unauthenticated", "gauge", "Those of them that have not signed in, HTTP included.",
           lambda s: s.connections.statistics().unauthenticated),
    Metric("gochat_connections_accepted_total", "counter", "Connections that were let in.",
           lambda s: s.connections.statistics().accepted),
    Metric("gochat_connections_refused_total", "counter", "Connections that were not: signed-in users take all places.",
           lambda s: s.connections.statistics().refused),
    Metric("gochat_connections_evicted_total", "counter",
           "Connections without sign-in that were closed to make room, by the limit that was reached.",
           _evicted_connections, ("limit",)),
    Metric("gochat_connections_unauthenticated_bytes", "gauge", "What is kept for connections that have not signed in.",
           lambda s: s.connections.statistics().unauthenticated_bytes),
    Metric("gochat_connections_failed_total", "counter", "Connections that a fault of the server ended; see the log.",
           lambda s: s.connections.statistics().failed),
    Metric("gochat_accept_pauses_total", "counter", "Pauses of accepting, for want of open files or memory.",
           lambda s: s.connections.statistics().exhausted),

    Metric("gochat_sessions", "gauge", "Signed-in sessions, by transport.",
           lambda s: _by(s.gateway.live.counts.sessions.items()), ("transport",)),
    Metric("gochat_users_online", "gauge", "Users with a session on this node.",
           lambda s: len(s.gateway.live.users)),
    Metric("gochat_hellos_total", "counter", "Sign-ins by what came of them: ok, or the code of the refusal.",
           lambda s: _by(s.gateway.live.counts.hellos.items()), ("result",)),
    Metric("gochat_closes_total", "counter", "Sessions that the server closed, by the name of the close code.",
           lambda s: _by((CLOSE_BY_NUMBER[number].name, count) for number, count in
                         s.gateway.live.counts.closes.items()), ("reason",)),
    Metric("gochat_users_slowed", "gauge",
           "Users whose requests wait because too many were refused, repeated or read (limits.refusals_per_s).",
           lambda s: s.gateway.live.counts.slowed),
    Metric("gochat_lags_total", "counter", "Times that a session fell behind a room because its outbox was full.",
           lambda s: s.gateway.live.counts.lags),

    Metric("gochat_commands_total", "counter", "Commands that rooms have answered: send, edit, read, group and others.",
           lambda s: s.gateway.live.counts.commands),
    Metric("gochat_room_turns_total", "counter", "Turns of rooms; each answers all the commands that waited.",
           lambda s: s.gateway.live.counts.turns),
    Metric("gochat_queries_total", "counter", "Requests for data on sockets, by type.",
           lambda s: _by(s.gateway.live.counts.queries.items()), ("type",)),
    Metric("gochat_denials_total", "counter", "Requests refused on sockets, by code; hellos included.",
           lambda s: _by(s.gateway.live.counts.denials.items()), ("code",)),
    Metric("gochat_refusals_total", "counter", "Requests that a rule refused, by its name; on sockets and by REST.",
           lambda s: _by(sorted(s.gateway.live.counts.rules.items())), ("rule",)),
    Metric("gochat_http_responses_total", "counter", "HTTP responses, by status.",
           lambda s: _by(sorted(s.responses.items())), ("status",)),

    Metric("gochat_facts_recorded_total", "counter", "Facts that are durable, messages included.",
           lambda s: s.commits.facts),
    Metric("gochat_messages_recorded_total", "counter", "Messages that are durable.",
           lambda s: s.commits.messages),
    Metric("gochat_deliveries_total", "counter", "Facts handed to live sessions: each counts once a session.",
           lambda s: s.gateway.live.counts.deliveries),

    Metric("gochat_commit_batches", "histogram", "Rooms in one commit; 0: only read positions and names.",
           lambda s: s.commits.batches),
    Metric("gochat_commit_seconds", "histogram", "What one commit took, with its fsync.",
           lambda s: s.commits.seconds),
    Metric("gochat_commits_failed_total", "counter", "Commits that failed; what waited was answered unavailable.",
           lambda s: s.commits.failed),
    Metric("gochat_store_problem", "gauge", "1 while the database can't be written or read as it should.",
           lambda s: int((s.health.problem or s.gateway.journal.problem) is not None)),
    Metric("gochat_store_damaged", "gauge", "1 once damage of the database was met; the log says where.",
           lambda s: int(s.health.damage is not None)),
    Metric("gochat_reads_failed_total", "counter", "Reads that failed; who asked was told.",
           lambda s: s.health.failed_reads),
    Metric("gochat_expired_messages_total", "counter", "Messages that lost their texts with their age; see retention.",
           lambda s: s.commits.expired),
    Metric("gochat_unmerged_messages", "gauge", "Durable messages that are not in their rooms' logs yet; see the tail.",
           lambda s: s.commits.unmerged),
    Metric("gochat_unmerged_bytes", "gauge", "Memory that those messages take; 32 MB at most.",
           lambda s: s.commits.unmerged_bytes),
    Metric("gochat_index_backlog", "gauge", "Rooms with facts that a search does not find yet.",
           lambda s: s.commits.backlog),
    Metric("gochat_reindex_left", "gauge",
           "Messages and users to be indexed anew after an upgrade; all are found meanwhile.",
           lambda s: s.commits.reindexing),
    Metric("gochat_store_bytes", "gauge", "Size of the database's files.", _store_bytes, ("file",)),
    Metric("gochat_store_free_bytes", "gauge", "What is free on the disk that the data is on.", _free_bytes),

    Metric("gochat_notifications_total", "counter",
           "Notifications that were looked at to be sent, by what came of it; cancelled: the user came back.",
           lambda s: {(channel, result): count for channel, results in s.notifications.results.items()
                      for result, count in results.items()}, ("channel", "result")),
    Metric("gochat_notifications_waiting", "gauge", "Notifications that wait for their channel; counted every 15 s.",
           lambda s: _by(s.notifications.waiting.items()), ("channel",)),
    Metric("gochat_notifications_dead", "gauge", "Notifications that were given up after 24 hours, and are kept.",
           lambda s: _by(s.notifications.dead.items()), ("channel",)),
    Metric("gochat_notification_rooms", "gauge", "Rooms with messages that may have to be notified of, in memory.",
           lambda s: s.notifications.rooms()),

    Metric("gochat_cluster_nodes", "gauge",
           "Nodes of the cluster: those that repairs wait for (here), and those that give a sign of life (alive).",
           _of_cluster(_nodes), ("state",)),
    Metric("gochat_cluster_waiting", "gauge", "Batches of this node that are on their way through the cluster's log.",
           _of_cluster(lambda journal: journal.waiting)),
    Metric("gochat_cluster_behind_entries", "gauge",
           "Entries of a partition that another node has recorded and this one has not.",
           _of_partitions(lambda journal: journal.registry.behind), ("partition",)),
    Metric("gochat_cluster_behind_seconds", "gauge", "Since this node last had all that the cluster's log had.",
           _of_cluster(lambda journal: journal.serving.behind_s)),
    Metric("gochat_cluster_appends_total", "counter",
           "Batches of one partition that were sent to the cluster's log, by their outcome; those that are not done are"
           " sent again.",
           _of_cluster(lambda journal: _by(journal.counts.appends.items())), ("result",)),
    Metric("gochat_cluster_append_entries", "histogram", "Entries in a batch that was sent to the cluster's log.",
           _of_cluster(lambda journal: journal.counts.batch_entries)),
    Metric("gochat_cluster_append_seconds", "histogram", "How long the server took to take what was sent together.",
           _of_cluster(lambda journal: journal.counts.append_seconds)),
    Metric("gochat_cluster_told_seconds", "histogram",
           "From a decision of this node until it was recorded here and told to its room, through the log and back.",
           _of_cluster(lambda journal: journal.counts.told_seconds)),
    Metric("gochat_cluster_barrier_seconds", "histogram",
           "How long sign-ins, resumes, reads by REST and refusals waited for what other nodes had acknowledged.",
           _of_cluster(lambda journal: journal.counts.barrier_seconds)),
    Metric("gochat_cluster_looks_total", "counter", "How often this node compared the fences of all partitions.",
           _of_cluster(lambda journal: journal.counts.looks)),
    Metric("gochat_cluster_put_back_total", "counter",
           "Entries that this node gave back to a server that had lost them.",
           _of_cluster(lambda journal: journal.counts.put_back)),
    Metric("gochat_cluster_term", "gauge",
           "The term of a partition's last entry here: a million more with each repair, and some chance.",
           _of_partitions(lambda journal: journal.terms), ("partition",)),
    Metric("gochat_cluster_ring_entries", "gauge",
           "Entries of a partition that this node keeps to put them back; counted every 10 s.",
           _of_partitions(lambda journal: journal.registry.trimming.ring), ("partition",)),
    Metric("gochat_cluster_window_entries", "gauge",
           "Entries of a partition that the server keeps; counted every 10 s.",
           _of_partitions(lambda journal: journal.registry.trimming.window), ("partition",)),
    Metric("gochat_cluster_entries_total", "counter",
           "Entries of the cluster's log by what they came to be; void ones are decided again by their node.",
           _of_cluster(lambda journal: _by(journal.verdicts.items())), ("verdict",)),
    Metric("gochat_cluster_repairs_total", "counter", "Partitions that this node saw repaired: each began a new term.",
           _of_cluster(lambda journal: journal.repairs)),
    Metric("gochat_cluster_clock_ahead_seconds", "gauge", "How far this node's clock is ahead of the server's.",
           _of_cluster(lambda journal: journal.registry.clock.ahead_ms / 1000)),
    Metric("gochat_cluster_differing_nodes", "gauge",
           "Nodes whose history differs from this one's, which must be 0: with two or more this one is wrong.",
           _of_cluster(lambda journal: journal.differing)),
    Metric("gochat_cluster_heard_nodes", "gauge", "Other nodes whose users' presence and typing come here.",
           _of_soft(lambda soft: soft.heard_nodes)),
    Metric("gochat_cluster_events_dropped_total", "counter",
           "Typing, reads and confirmations of users here that were too many to tell other nodes of.",
           _of_soft(lambda soft: soft.dropped)),
    Metric("gochat_cluster_refused_total", "counter",
           "Messages between nodes that are not signed with the cluster's secret, or can't be read.",
           _of_soft(lambda soft: soft.refused)),

    Metric("gochat_actors_awake", "gauge", "Rooms and users in memory.",
           lambda s: _by((kind, awake) for kind, awake, _, _ in _registries(s)), ("kind",)),
    Metric("gochat_actors_woken_total", "counter", "Times that one came into memory.",
           lambda s: _by((kind, woken) for kind, _, woken, _ in _registries(s)), ("kind",)),
    Metric("gochat_mailbox_refusals_total", "counter", "Mail refused because a mailbox was full; it is answered busy.",
           lambda s: _by((kind, refused) for kind, _, _, refused in _registries(s)), ("kind",)),
    Metric("gochat_crashes_total", "counter", "Tasks that crashed and were started again; each is in the log.",
           lambda s: _by((each.name, each.crashes) for each in s.supervisors), ("supervisor",)),
    Metric("gochat_tasks", "gauge", "Tasks of the scheduler.",
           lambda _: trio.lowlevel.current_statistics().tasks_living),

    Metric("process_resident_memory_bytes", "gauge", "Memory in use.", lambda _: _memory(1)),
    Metric("process_virtual_memory_bytes", "gauge", "Memory mapped.", lambda _: _memory(0)),
    Metric("process_cpu_seconds_total", "counter", "CPU time of all threads.", _cpu_seconds),
    Metric("process_open_fds", "gauge", "Open files, sockets included.", _open_files),
    Metric("process_max_fds", "gauge", "How many may be open.",
           lambda _: resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    Metric("process_start_time_seconds", "gauge", "When the process started; Unix time.", lambda _: _STARTED),
)  # fmt: skip
