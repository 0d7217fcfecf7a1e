"""For all tests: no settings from the developer's own environment, and few but unhurried examples."""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gochat.store import schema, setup

# Compiled code is kept, whatever the environment says: without it each of the many processes that tests start would
# compile all of gochat first, which takes a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A command that is in no hurry, as `gochat backup`, lowers the priority of its process for good. Where a test calls it
# within its own process, that is a worker, which would get hardly a core beside the others from then on.
os.nice = lambda increment: 0
# Whoever starts the tests in the background of a shell has Ctrl-C ignored, and so would all processes that they start:
# a test that waits for the end of one would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Before anybody imports it: the suites of the ports are asserted in as tests are.
pytest.register_assert_rewrite("tests.contracts", "tests.conformance")

# Machines are shared, so no example is judged by its time; `HYPOTHESIS_PROFILE=long` looks harder.
settings.register_profile("short", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=5_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


#: Where the daily tests keep their files, if so much is free there: a commit that waits for a disk shows them nothing,
#: as no test takes the machine's power away. The long tests use the disk.
_MEMORY, _MEMORY_BYTES = Path("/dev/shm"), 2 << 30
#: The parts of the suite whose tests take seconds each. They run first, so that no core is left alone with one of them.
_LONG_FIRST = ("browser", "bench", "cluster", "docs", "authz", "durability", "hostile", "deploy", "sim")


def pytest_configure(config: pytest.Config) -> None:
    daily = config.option.markexpr.startswith("not long")
    if daily and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_BYTES:
        # Of child processes too; it must be known before the first temporary file is made.
        os.environ.setdefault("TMPDIR", str(_MEMORY))
        tempfile.tempdir = None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """All that is imported and collected stays until the end: the garbage collector need not look at it again and again
    while it grows, nor afterwards."""
    gc.disable()
    try:
        if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            _import_own_share()
        return (yield)
    finally:
        gc.enable()


def _import_own_share() -> None:
    """Each worker begins with other modules, so that in a fresh clone each compiles its share of them, and not each of
    them all. A module that can't be imported is told by the collection."""
    worker, workers = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers == 1:
        return
    root = Path(__file__).parent.parent
    # Folders with an __init__.py are no part of the package `tests`: pytest gives their modules other names.
    files = [
        file for file in sorted(Path(__file__).parent.rglob("test_*.py")) if not (file.parent / "__init__.py").exists()
    ]
    for file in files[int(worker.removeprefix("gw")) :: workers]:
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(file.relative_to(root).with_suffix("").parts))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with its share of the long tests: xdist gives as many tests to each, one after the other in
    this order, and when a worker has none left, the last ones of another."""
    here = str(Path(__file__).parent) + os.sep
    long: dict[str, list[pytest.Item]] = {part: [] for part in _LONG_FIRST}
    short: list[pytest.Item] = []
    for item in items:
        long.get(str(item.path).removeprefix(here).partition(os.sep)[0], short).append(item)
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    left, ordered, begin = iter(short), [], 0
    for worker in range(workers):
        end = begin + (len(items) - begin) // (workers - worker)
        for part in _LONG_FIRST[worker::workers]:
            ordered += long[part]
        ordered += itertools.islice(left, max(0, end - len(ordered)))
        begin = end
    items[:] = ordered


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GOCHAT_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def new_databases_are_copies() -> Iterator[None]:
    """The migrations make one empty database in each process, and each new one is its copy, with an epoch of its own:
    1 ms and not 9. Databases of older releases are migrated as ever. A node may be in a thread."""
    apply, empty = setup._apply, sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    one_at_a_time = threading.Lock()

    def copied(connection: sqlite3.Connection, path: Path, applied: set[str] | None, *, keep: bool) -> None:
        if applied is not None:
            apply(connection, path, applied, keep=keep)
            return
        with one_at_a_time:
            if not empty.execute("SELECT 1 FROM sqlite_master").fetchone():
                apply(empty, path, None, keep=keep)
            empty.backup(connection)
        connection.execute("UPDATE meta SET epoch = ?", (schema.new_epoch(),))

    with closing(empty), pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "_apply", copied)
        yield


#: Actions that change a database, its log file, or how the two go together.
_WRITES = frozenset(
    getattr(sqlite3, f"SQLITE_{name}")
    for name in (
        "INSERT",
        "UPDATE",
        "DELETE",
        "CREATE_TABLE",
        "CREATE_INDEX",
        "CREATE_VIEW",
        "CREATE_TRIGGER",
        "DROP_TABLE",
        "DROP_INDEX",
        "ALTER_TABLE",
        "ATTACH",
        "REINDEX",
    )
)
_CHECKPOINTS = frozenset(("wal_checkpoint", "wal_autocheckpoint", "journal_mode", "locking_mode"))


@pytest.fixture(autouse=True)
def one_connection_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In no test does a connection of gochat that reads do anything else. That there is one which writes is seen to by
    `schema.connect` itself, in tests and out of them."""
    broken: list[tuple[object, ...]] = []
    opened = schema._opened

    def judge(action: int, first: str | None, second: str | None, place: str | None, _: str | None) -> int:
        # The declaration of a virtual table is told as a change of sqlite_master, and changes nothing.
        wrote = action in _WRITES and place != "temp" and first != "sqlite_master"
        if wrote or (action == sqlite3.SQLITE_PRAGMA and first in _CHECKPOINTS):
            broken.append((action, first, second, place))
        return sqlite3.SQLITE_OK

    def watched(path: str, *, read_only: bool) -> sqlite3.Connection:
        connection = opened(path, read_only=read_only)
        if read_only:
            connection.set_authorizer(judge)
        return connection

    monkeypatch.setattr(schema, "_opened", watched)
    yield
    assert not broken, broken
