"""`gochat doctor`: whether a node with these settings can run on this machine. It changes nothing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import click

from gochat.auth.secret import FILE_NAME
from gochat.auth.tokens import tokens
from gochat.commands import EXIT_FAILED, EXIT_OK
from gochat.commands.checks import why_not_here
from gochat.commands.options import config_option, data_option, load_settings
from gochat.config import Settings, binds
from gochat.errors import ConfigError, StoreError
from gochat.store import setup
from gochat.store.folder import check_servable, database, holder
from gochat.store.schema import KNOWN, WAL_RESET_BUG, has_wal_reset_bug

#: Open files beside connections: the store and its readers, listeners, logs.
SPARE_FILES = 100
#: Below this the disk fills before anyone looks; a message with its index takes less than 2 KB.
LOW_DISK_BYTES = 1 << 30
NO_DISK_BYTES = 100 << 20
#: A commit waits for one fsync; people notice answers from 100 ms on.
SLOW_FSYNC_S = 0.05
#: No machine that runs this release can be earlier than this: 2025-01-01.
EARLIEST_S = 1_735_689_600
FUTURE_S = 60
#: SQLite's WAL needs shared memory between its readers, which these do not have (sqlite.org/wal.html).
NETWORK_FILE_SYSTEMS = {"9p", "afs", "cifs", "fuse.sshfs", "nfs", "nfs4", "smb3", "smbfs"}


_FULL = "a full disk refuses messages until there is space"
_DISK_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "a node writes to its data folder: mount it writable, or name another (node.data)",
}


class Finding(NamedTuple):
    check: str
    status: Literal["ok", "warn", "fail"]
    detail: str
    hint: str = ""


@click.command()
@config_option
@data_option
@click.option("--json", "as_json", is_flag=True, help="Print one list of objects: check, status, detail, hint.")
def doctor(config: Path | None, data: str | None, as_json: bool) -> int:
    """Check whether a node can run here: open files, ports, database, disk, clock.

    Ends with 1 if a check fails; a warning is no failure.

    \b
    Examples:
      gochat doctor
      gochat doctor --data /var/lib/gochat
      gochat doctor --config /etc/gochat/config.toml --json
    """
    settings, _, _ = load_settings(config, {"node.data": data})
    findings = list(examine(settings))
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(f"{finding.status:<4}  {finding.check}: {finding.detail}")
            if finding.hint:
                click.echo(f"      {finding.hint}")
    return EXIT_FAILED if any(finding.status == "fail" for finding in findings) else EXIT_OK


def examine(settings: Settings) -> Iterator[Finding]:
    """Run every check."""
    folder = Path(settings.node.data).absolute()
    yield _software()
    yield _key(settings, folder)
    yield _open_files(settings.limits.connections)
    running = holder(folder)
    for path, text in binds(settings):
        yield _port(path, text, running)
    if settings.cluster.url:
        yield _cluster(settings)
    yield _database(folder, running, alone=not settings.cluster.url)
    yield _disk(folder)
    yield _clock(folder)


def _software() -> Finding:
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        full_text = memory.execute("SELECT sqlite_compileoption_used('ENABLE_FTS5')").fetchone()[0]
    detail = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    if not full_text:
        return Finding("software", "fail", f"{detail} without FTS5", "search needs an SQLite built with ENABLE_FTS5")
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        return Finding("software", "warn", detail, WAL_RESET_BUG)
    return Finding("software", "ok", detail)


def _key(settings: Settings, folder: Path) -> Finding:
    if not settings.auth.configured and not (folder / FILE_NAME).exists():
        return Finding("key", "ok", "none configured; the node will make a secret in its data folder")
    try:
        tokens(settings)
    except ConfigError as error:
        return Finding("key", "fail", str(error))
    if not settings.auth.configured:
        return Finding("key", "ok", f"the node's own secret, {folder / FILE_NAME}")
    return Finding("key", "ok", settings.auth.algorithm)


def _open_files(connections: int) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    possible = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    detail = f"{soft} now, {'unlimited' if possible == sys.maxsize else possible} for serve, which takes what it may"
    if possible >= connections + SPARE_FILES:
        return Finding("open files", "ok", detail)
    hint = f"limits.connections is {connections}: raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower it"
    return Finding("open files", "warn", detail, hint)


def _port(path: str, text: str, running: str | None) -> Finding:
    """Whether a node can listen there, or the one that runs in this folder does."""
    error = why_not_here(path, text)
    if error is None:
        return Finding(path, "ok", f"{text} is free")
    if error.errno != errno.EADDRINUSE:
        hint = f"set {path} to an address of this machine"
        return Finding(path, "fail", f"{text}: {(error.strerror or str(error)).lower()}", hint)
    if running is not None:
        return Finding(path, "ok", f"{text} is in use, while a node runs in this folder (process {running})")
    return Finding(path, "fail", f"{text}: {(error.strerror or '').lower()}", "is another program listening there?")


def _cluster(settings: Settings) -> Finding:
    """Whether the folder is a node's of the cluster, and the server can carry its log."""
    from redis.exceptions import RedisError  # only where there is a cluster

    from gochat.cluster.access import link_maker
    from gochat.cluster.fitness import risks
    from gochat.cluster.layout import UnfitServer, check_free, check_server
    from gochat.clustering import part_of

    url = settings.cluster.url
    try:
        part = part_of(settings)
        link = link_maker(settings.cluster)()
        try:
            link.open()
            check_server(link)
            check_free(link, part.copy.cluster, part.copy.name)
            found = risks(link)
        finally:
            link.close()
    except ConfigError as error:
        return Finding("cluster", "fail", str(error), error.hint)
    except UnfitServer as error:
        return Finding("cluster", "fail", f"{url}: {error}", error.hint)
    except StoreError as error:
        return Finding("cluster", "fail", str(error))
    except (RedisError, OSError) as error:
        return Finding(
            "cluster", "fail", f"{url} can't be used: {error}", "is the server running, and cluster.url right?"
        )
    node = f"node {part.identity.instance} of the cluster {part.copy.name} on {url}"
    return Finding("cluster", "warn" if found else "ok", node, " ".join(found))


def _database(folder: Path, running: str | None, *, alone: bool) -> Finding:
    """Whether a node would take the present database. One that a node works on is left alone."""
    path = database(folder)
    try:
        if alone:
            check_servable(folder)
    except ConfigError as error:
        return Finding("database", "fail", f"{path.parent} {error.problem}", error.hint)
    except StoreError as error:
        return Finding("database", "fail", str(error))
    if running is not None:
        return Finding("database", "ok", f"{path} is in use by the node that runs in this folder (process {running})")
    if not path.exists():
        return Finding("database", "ok", "none yet; the node will make one in its data folder")
    try:
        schema = setup.look(path)
    except (StoreError, sqlite3.Error) as error:
        told = str(error) if isinstance(error, StoreError) else f"{path} can't be used: {error}"
        return Finding("database", "fail", told, "`gochat restore FILE` puts a backup in its place")
    if schema is not None and schema < len(KNOWN):
        detail = f"{path} is of an older release: a node brings it from schema {schema} to {len(KNOWN)} at its start"
        return Finding("database", "warn", detail, "it is copied beside itself first, which takes as much disk again")
    return Finding("database", "ok", str(path))


def _disk(folder: Path) -> Finding:
    place = next(path for path in (folder, *folder.parents) if path.is_dir())
    kind = _file_system(place)
    try:
        took_s = _fsync_time(place)
    except OSError as error:
        hint = _DISK_HINTS.get(error.errno or 0, "give the user who runs the node a folder of its own (node.data)")
        return Finding("disk", "fail", f"{place}: {(error.strerror or str(error)).lower()}", hint)
    space = os.statvfs(place)
    free = space.f_bavail * space.f_frsize
    detail = f"{place}: {free / 2**30:.1f} GiB free, fsync {took_s * 1000:.1f} ms, {kind or 'unknown file system'}"
    if kind in NETWORK_FILE_SYSTEMS:
        return Finding("disk", "fail", detail, "the database must be on a local disk")
    if free < NO_DISK_BYTES:
        return Finding("disk", "fail", detail, _FULL)
    if free < LOW_DISK_BYTES:
        return Finding("disk", "warn", detail, _FULL)
    if took_s > SLOW_FSYNC_S:
        return Finding("disk", "warn", detail, "every acknowledged message waits for an fsync")
    return Finding("disk", "ok", detail)


def _fsync_time(folder: Path) -> float:
    """The median of five small writes that reach the disk, in seconds."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(5):
            started = time.perf_counter()
            file.write(b"x" * 4_096)
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    return sorted(times)[2]


def _file_system(folder: Path) -> str:
    """The kind of file system that `folder` is on; empty where /proc does not tell."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, mount_point, this_kind, *_ = line.split(" ")
        if folder.is_relative_to(mount_point) and len(mount_point) >= len(best):
            best, kind = mount_point, this_kind
    return kind


def _clock(folder: Path) -> Finding:
    now = time.time()
    detail = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    newest = max((path.stat().st_mtime for path in folder.glob("*")), default=0.0) if folder.is_dir() else 0.0
    if now < EARLIEST_S:
        return Finding("clock", "fail", detail, "the clock is behind this release: tokens can't be judged by it")
    if newest > now + FUTURE_S:
        ahead = f"the data is from {int(newest - now)} s ahead: was the clock set back?"
        return Finding("clock", "warn", detail, ahead)
    return Finding("clock", "ok", detail)
