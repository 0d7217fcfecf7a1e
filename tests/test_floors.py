"""The house has floors: an import only goes down. Read from the source, so that a lazy import counts as any other."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "gochat"

#: From the ground up. Rooms on one floor do not see each other.
FLOORS = (
    ("durable", "errors", "launch", "log", "looking", "metrics", "release", "wall_clock", ""),
    ("config",),
    ("settings",),
    ("domain",),
    ("protocol",),
    ("ports", "connections", "replication"),
    ("actors", "store", "cluster", "auth", "policy", "notify", "transports", "client"),
    ("session", "http"),
    ("bounds", "endpoints", "collector", "notifying", "clustering", "neighbours", "housekeeping", "demo"),
    ("listening", "overview"),
    ("node",),
    ("process", "sim"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
ACTORS = LEVEL["actors"]
#: The client is what a stranger could have written: it shares words with the server, not parts.
CLIENT_SEES = {"client", "protocol", "domain", "errors", "log", ""}
#: The names of what `pyproject.toml` asks for, where they differ from what is imported.
IMPORTED_AS = {"trio-websocket": "trio_websocket", "sqlite-utils": "sqlite_utils", "pyjwt": "jwt"}
#: They bring files that are read; their code is not imported.
DATA = {"publicsuffixlist", "emoji", "tzdata"}
#: pyjwt[crypto] brings it, and the verifier needs its key types.
EXTRAS = {"cryptography"}

FILES = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = {name.removesuffix(".__init__"): path for name, path in FILES.items()}


def room_of(module: str) -> str:
    """The part of the house that a module stands in: `auth` of gochat.auth.keys, "" of gochat itself."""
    return module.split(".")[1] if "." in module else ""


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported anywhere in the tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module, node


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports_of(module: str) -> list[tuple[str, ast.stmt]]:
    return list(imports(tree_of(module)))


@cache
def imported_by(module: str) -> frozenset[str]:
    return frozenset(name for name, _ in imports_of(module))


def edges() -> dict[str, frozenset[str]]:
    """The imports of each module."""
    return {module: imported_by(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_floor_and_imports_only_from_below(module: str) -> None:
    room = room_of(module)
    assert room in LEVEL, f"{module} is on no floor"
    for name in imported_by(module):
        if name.split(".")[0] == "gochat" and room_of(name) != room:
            assert LEVEL[room_of(name)] < LEVEL[room], f"{module} imports {name}, which is not below it"


def test_the_client_sees_only_the_words() -> None:
    for module, names in edges().items():
        if room_of(module) == "client":
            seen = {room_of(name) for name in names if name.split(".")[0] == "gochat"}
            assert seen <= CLIENT_SEES, f"{module} imports from {seen - CLIENT_SEES}"


def test_there_are_no_circles() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done and module in MODULES:
            for name in sorted(imported_by(module) & MODULES.keys()):
                visit(name, (*path, module))
            done.add(module)

    for module in MODULES:
        visit(module, ())


def third_parties(names: Set[str]) -> set[str]:
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names) - {"gochat"}


def test_below_the_actors_msgspec_is_the_only_guest() -> None:
    for module, names in edges().items():
        if LEVEL[room_of(module)] < ACTORS:
            assert third_parties(names) <= {"msgspec"}, module


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {entry.split(">")[0].split("[")[0] for entry in project["dependencies"]}
    declared = {IMPORTED_AS.get(name, name) for name in names}
    imported = set().union(*map(third_parties, edges().values()))
    assert imported - EXTRAS == declared - DATA


#: Modules that load others where they are needed: sqlite-utils, pynng (node and client), channels of notifications, a
#: part in a cluster.
LATE = {"gochat.client.links", "gochat.listening", "gochat.notifying", "gochat.process", "gochat.store.setup"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_stand_at_the_top(module: str) -> None:
    """Only what must start fast may import late; anywhere else it would hide a circle."""
    if room_of(module) in ("cli", "commands") or module in LATE:
        return
    top = set(tree_of(module).body)
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            top |= set(node.body)
    for name, node in imports_of(module):
        assert node in top, f"{module} line {node.lineno} imports {name} late"


def test_all_locks_hold_the_same_versions_with_hashes_and_without_addresses() -> None:
    names = ("requirements.lock", "requirements-dev.lock", "requirements-dist.lock")
    locks = [(ROOT / name).read_text().splitlines() for name in names]
    runtime, *larger = [{line.split("==")[0]: line.split()[0] for line in lines if "==" in line} for lines in locks]
    for pins in larger:
        assert runtime.items() <= pins.items()
    for lines in [*locks, (ROOT / "requirements-uv.lock").read_text().splitlines()]:
        assert not [line for line in lines if "://" in line or "find-links" in line or line.startswith("--")]
        assert sum("==" in line for line in lines) <= sum("--hash=sha256:" in line for line in lines)


def test_only_what_fills_a_screen_loads_what_draws_it() -> None:
    """A node, and every other command, starts as fast and stays as small as without it."""
    drawing = {"urwid", "wcwidth"}
    drawn = ("gochat.client.screen", "gochat.client.top")
    for module, names in edges().items():
        if drawing & third_parties(names):
            assert module.startswith("gochat.client.screen"), module
        if any(name.startswith(drawn) for name in names):
            assert module.startswith(drawn) or module in ("gochat.commands.chat", "gochat.commands.top"), module
    for command in ("gochat.commands.chat", "gochat.commands.top"):
        at_once = [node for node in tree_of(command).body if isinstance(node, ast.ImportFrom)]
        assert not any(name.startswith(drawn) for node in at_once for name, _ in imports(node)), command
    assert [module for module, names in edges().items() if "urwid" in third_parties(names)] == [
        "gochat.client.screen.display"
    ]
