"""The process around a node: signals, what it prints when it is ready, and how Python is tuned for a long life."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import trio

from gochat import launch
from gochat.cluster.shared import Shared
from gochat.config import Settings
from gochat.errors import GochatError
from gochat.listening import TRANSPORTS
from gochat.node import Node, running_in_locked
from gochat.store import folder
from gochat.store.schema import WAL_RESET_BUG, has_wal_reset_bug

log = logging.getLogger(__name__)

#: Runs beside a node from the moment it listens until it begins to drain, with a function that prints a line.
Companion: TypeAlias = Callable[[Node, Callable[[str], None]], Awaitable[None]]


def run(settings: Settings, companion: Companion | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C, then drain. Returns the exit code. An exception of `companion` ends the node."""
    _raise_open_files()
    _tune_collector()
    try:
        return trio.run(_main, settings, companion, strict_exception_groups=True)
    except BaseExceptionGroup as group:
        failure = _only(group)
        if failure is None:
            raise
    raise failure


def _only(error: BaseException) -> GochatError | None:
    """Why a node can't start is one error, whatever nurseries it came through."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, GochatError) else None


async def _main(settings: Settings, companion: Companion | None) -> int:
    data = Path(settings.node.data)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        if not settings.cluster.url:
            folder.make(data)
            with folder.locked(data):
                await _serve(settings, companion, signals, None)
            return 0
        from gochat import clustering  # redis-py: only where there is a cluster

        clustering.part_of(settings)  # Nothing is made, and nothing locked, in a folder that is none of a cluster's.
        # The server may be waited for: meanwhile no command takes the folder out of its cluster, or makes it anew.
        with folder.locked(data):
            found: list[clustering.Part] = []  # Nothing, where a signal came before the server was there.
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_cancel_at_signal, signals, waiting.cancel_scope)
                found.append(await clustering.find_server(settings))
                waiting.cancel_scope.cancel()
            for part in found:
                async with clustering.shared(settings, part) as shared:
                    await _serve(settings, companion, signals, shared)
    return 0


async def _serve(
    settings: Settings, companion: Companion | None, signals: AsyncIterator[int], shared: Shared | None
) -> None:
    """The folder is locked."""
    async with trio.open_nursery() as nursery:
        async with running_in_locked(settings, shared) as node:
            if has_wal_reset_bug(sqlite3.sqlite_version_info):
                log.info("SQLite %s: %s", sqlite3.sqlite_version, WAL_RESET_BUG)
            for name, address in node.addresses:
                _tell(_ready_line(name, address))
            launch.notify(launch.READY)
            async with trio.open_nursery() as companions:
                if companion is not None:
                    companions.start_soon(companion, node, _tell)
                number = await _wait_for_the_end(signals, node)
                log.info("%s: draining", signal.Signals(number).name)
                launch.notify(launch.STOPPING)
                nursery.start_soon(_force, signals, number)
                companions.cancel_scope.cancel()
        nursery.cancel_scope.cancel()


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            scope.cancel()
            return


async def _wait_for_the_end(signals: AsyncIterator[int], node: Node) -> int:
    """Return the signal that ends the node; read files again for those that ask for that."""
    in_terminal = os.isatty(0)
    async for number in signals:
        # A terminal that was closed sends SIGHUP too: a node that went on would hold its ports unseen.
        if number != signal.SIGHUP or (in_terminal and not os.isatty(0)):
            return number
        launch.notify(launch.reloading())
        await trio.to_thread.run_sync(node.reload)  # The log says what came of it.
        launch.notify(launch.READY)
    raise AssertionError("signals do not end")


async def _force(signals: AsyncIterator[int], first: int) -> None:
    """A second signal ends the process at once. Everything that was acked is durable all the same."""
    same_until = trio.current_time() + launch.SAME_SIGNAL_S
    async for number in signals:
        if number == first and trio.current_time() < same_until:
            continue
        if number != signal.SIGHUP:
            log.warning("stopped at once")
            os._exit(1)


def _tell(line: str) -> None:
    """Print what people and scripts wait for. A reader that has gone (`serve | head -1`) is no reason to end."""
    try:
        print(line, flush=True)
    except OSError as error:
        log.warning("standard output can't be written: %s", error.strerror)
        # The rest of the output goes nowhere: Python would try again at the end, and call the end a failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ready_line(name: str, address: str) -> str:
    for row in TRANSPORTS:
        if name in row.schemes:
            return f"gochat is listening on {row.schemes[name]}://{address}"
    if name == "metrics":
        return f"gochat tells its metrics on {address}"
    ws = "wss" if name == "https" else "ws"
    return f"gochat is listening on {name}://{address} (WebSocket: {ws}://{address}/v1/ws)"


def _tune_collector() -> None:
    """Nearly all garbage here dies by reference count; looking for the rest is what costs. With Python's own thresholds
    the collector took a third of the main thread's time under 1:1 load. Imported modules are never garbage; the 2,500
    small objects that importing leaves behind are not worth the 30 ms of finding them.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def _raise_open_files() -> None:
    """Each connection is an open file; the soft limit is often 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # Then the soft limit holds, which `gochat doctor` tells.
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
