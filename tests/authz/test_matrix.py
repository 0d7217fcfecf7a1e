"""Every set of scopes, operation, door and relation: a running node answers as the specification says."""

from __future__ import annotations

import re
import typing
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio

from gochat.auth.claims import SCOPES
from gochat.http.rest.table import OPERATIONS as ROWS
from gochat.node import Node, running
from gochat.protocol.requests import AnyRequest
from tests.authz import expected
from tests.authz.expected import RELATIONS, SCOPE_SETS, STATUS, Answer
from tests.authz.operations import OPERATIONS
from tests.authz.stage import KEEPER, Line, Shared, Stage, World
from tests.e2e.conftest import make_settings
from tests.e2e.peer import Peer, TcpPeer

SOCKETS = ("ws", "tcp")
DOORS = (*SOCKETS, "rest")
#: Columns that are set up and asked at a time.
AT_A_TIME = 24
#: Far above what one column asks.
COLUMN_S = 60


class Cell(NamedTuple):
    door: str
    scopes: str
    place: str
    relation: str
    operation: str

    def expected(self, *, after_leaving: bool = True) -> Answer:
        return expected.answer(self.operation, self.place, self.relation, self.scopes, after_leaving=after_leaving)


def columns() -> Iterator[tuple[str, str, str, str]]:
    for place, relations in RELATIONS.items():
        for relation in relations:
            for scopes in SCOPE_SETS:
                for door in DOORS:
                    yield door, scopes, place, relation


def some_columns() -> Iterator[tuple[str, str, str, str]]:
    """Each by REST and on one of the sockets. These take turns, so that each has all relations and sets of scopes."""
    for number, column in enumerate(columns()):
        row, place = divmod(number, len(DOORS))
        turn = (row // len(SCOPE_SETS) + row % len(SCOPE_SETS)) % len(SOCKETS)
        if DOORS[place] not in SOCKETS or place == turn:
            yield column


def cells(door: str, scopes: str, place: str, relation: str) -> list[Cell]:
    return [
        Cell(door, scopes, place, relation, name)
        for name, operation in OPERATIONS.items()
        if (operation.call if door == "rest" else operation.frame) is not None
    ]


# ------------------------------------------------------------------------------------------------ what there is


def test_every_frame_and_every_action_is_asked() -> None:
    asked = set()
    stage = Stage(World(None, None, None), "group", "owner", "ann")  # type: ignore[arg-type]
    for operation in OPERATIONS.values():
        if operation.frame is not None:
            frame = operation.frame(stage)
            asked.add((frame["type"], frame.get("action")))
    there = set()
    for kind in typing.get_args(AnyRequest):
        action = typing.get_type_hints(kind).get("action")
        there |= {(kind.__struct_config__.tag, each) for each in (typing.get_args(action) if action else [None])}
    assert asked == there


def test_every_row_of_rest_is_asked() -> None:
    asked = {operation.row for operation in OPERATIONS.values() if operation.call is not None}
    assert asked == {(row.method, row.path) for row in ROWS if row.means is not None} | {("GET", "/metrics")}
    stage = Stage(World(None, None, None), "private", "contact", "ann")  # type: ignore[arg-type]
    for name, operation in OPERATIONS.items():
        if operation.call is not None and operation.row is not None:
            method, path, _ = operation.call(stage)
            form = re.sub(r"{\w+}", "[^/]+", operation.row[1])
            assert method == operation.row[0] and re.fullmatch(form, path.partition("?")[0]), name


def test_the_specification_names_every_cell_and_nothing_else() -> None:
    assert {name for held in SCOPE_SETS.values() for name in held} == SCOPES
    assert set(expected.SCOPE_OF) == set(OPERATIONS)
    for column in columns():
        for cell in cells(*column):
            assert cell.expected() in {expected.NO_SCOPE, *expected.ANSWERS.values()}
    for unnamed in (
        ("shout", "group", "owner", "admin"), ("send", "group", "guest", "admin"), ("send", "hall", "owner", "admin"),
        ("send", "group", "owner", "chat:shout"), ("ping", "group", "guest", "none"),
        ("send", "group", "guest", "none"),
    ):  # fmt: skip
        with pytest.raises(expected.Unnamed):
            expected.answer(*unnamed)


# ------------------------------------------------------------------------------------------------ what happens


class Matrix:
    """Asks a node everything and keeps what differs."""

    def __init__(self, world: World, nursery: trio.Nursery, *, after_leaving: bool = True) -> None:
        self._after_leaving = after_leaving
        self._world = world
        self._nursery = nursery
        self._lines: list[Line] = [Line(world.node) for _ in range(AT_A_TIME)]
        self._free = trio.Semaphore(AT_A_TIME)
        self.asked = 0
        self.differ: list[str] = []

    async def column(self, door: str, scopes: str, place: str, relation: str) -> None:
        async with self._free:
            line = self._lines.pop()
            try:
                with trio.fail_after(COLUMN_S):
                    await self._column(line, door, scopes, place, relation)
            finally:
                self._lines.append(line)

    async def _column(self, line: Line, door: str, scopes: str, place: str, relation: str) -> None:
        world = self._world
        asker = f"a{world.number()}"
        token = world.token(asker, SCOPE_SETS[scopes])
        shared = await Stage(world, place, relation, asker).set_up(line, bare=False)
        asked: list[tuple[Cell, Stage]] = []
        for cell in cells(door, scopes, place, relation):
            stage = shared
            if place in OPERATIONS[cell.operation].spends and self._expected(cell).code is None:
                stage = await Stage(world, place, relation, asker).set_up(line, bare=True)
            stage.token, stage.strange_token = token, world.token("somebody")
            asked.append((cell, stage))
        if door == "rest":
            found = await self._by_rest(line, token, asked)
        else:
            found = await self._by_socket(door, token, asked)
        for (cell, stage), (code, rule, told) in zip(asked, found, strict=True):
            self.asked += 1
            if (code, rule) != self._expected(cell):
                self.differ.append(f"{cell}: expected {self._expected(cell)}, got {told} ({stage.room}, {stage.asker})")

    def _expected(self, cell: Cell) -> Answer:
        return cell.expected(after_leaving=self._after_leaving)

    async def _by_rest(self, line: Line, token: str, asked: list[tuple[Cell, Stage]]) -> list[tuple[Any, Any, Any]]:
        calls = []
        for cell, stage in asked:
            call = OPERATIONS[cell.operation].call
            assert call is not None
            calls.append(call(stage))
        found: list[tuple[Any, Any, Any]] = []
        for call, (status, body) in zip(calls, await line.ask(token, calls), strict=True):
            while status == 503 and body["code"] == "busy":
                # A node makes one export at a time.
                [(status, body)] = await line.ask(token, [call])
            code = body["code"] if status >= 400 else None
            assert code is None or STATUS[code] == status, (status, body)
            found.append((code, body.get("rule") if code else None, body))
        return found

    async def _by_socket(self, door: str, token: str, asked: list[tuple[Cell, Stage]]) -> list[tuple[Any, Any, Any]]:
        peer = await Peer.open(self._world.node, door, self._nursery)
        welcome = await peer.ask("hello", token=token)
        assert welcome["type"] == "welcome", welcome
        frames = []
        for number, (cell, stage) in enumerate(asked):
            frame = OPERATIONS[cell.operation].frame
            assert frame is not None
            frames.append({**frame(stage), "id": f"cell-{number}"})
        frames.append({"type": "ping", "id": "last"})

        async def send() -> None:
            for frame in frames:
                await peer.send(frame)

        silent = [number for number, (cell, _) in enumerate(asked) if OPERATIONS[cell.operation].silent]
        replies: dict[str, dict[str, Any]] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            while len(replies) < len(frames) - len(silent):
                reply = await peer.receive()
                if "id" in reply:
                    assert reply["id"] not in replies, "a second reply"
                    replies[reply["id"]] = reply
        await peer.aclose()
        assert not {f"cell-{number}" for number in silent} & replies.keys()
        told = [replies.get(f"cell-{number}", {"type": "nothing"}) for number in range(len(asked))]
        return [(reply.get("code"), reply.get("rule"), reply) for reply in told]

    async def aclose(self) -> None:
        for line in self._lines:
            await line.aclose()


@asynccontextmanager
async def inhabited(folder: Path, nursery: trio.Nursery, **sections: Any) -> AsyncIterator[World]:
    """A node of default rules, in which nobody has said or asked for too much."""
    policy = {"strangers": "request", "request_budget": 1_000_000, "add_budget": 0}
    async with running(make_settings(folder, policy=policy, **sections)) as node:
        keeper = await _signed_in(node, nursery, KEEPER, "all three")
        yield World(node, keeper, await _signed_in(node, nursery, "root", "admin"))


async def _signed_in(node: Node, nursery: trio.Nursery, user: str, scopes: str) -> Shared:
    peer = await Peer.open(node, "tcp", nursery)
    assert isinstance(peer, TcpPeer)
    token = World(node, None, None).token(user, SCOPE_SETS[scopes])  # type: ignore[arg-type]
    assert (await peer.ask("hello", token=token))["type"] == "welcome"
    shared = Shared(peer)
    nursery.start_soon(shared.listen)
    return shared


async def asked(folder: Path, chosen: Iterable[tuple[str, str, str, str]], *, after_leaving: bool = True) -> int:
    """Ask a new node all cells of the columns; how many they were. Fails with all those that differ."""
    history = {"after_leaving": after_leaving}
    async with trio.open_nursery() as nursery, inhabited(folder, nursery, history=history) as world:
        matrix = Matrix(world, nursery, after_leaving=after_leaving)
        try:
            async with trio.open_nursery() as asking:
                for column in chosen:
                    asking.start_soon(matrix.column, *column)
        finally:
            await matrix.aclose()
            nursery.cancel_scope.cancel()
    assert not matrix.differ, "\n".join([f"{len(matrix.differ)} of {matrix.asked}", *sorted(matrix.differ)])
    return matrix.asked


@pytest.mark.parametrize(
    ("chosen", "least"),
    [(some_columns, 10_000), pytest.param(columns, 16_000, marks=pytest.mark.long)],
    ids=["on either socket", "on every socket"],
)
async def test_every_cell(
    tmp_path: Path, chosen: Callable[[], Iterator[tuple[str, str, str, str]]], least: int
) -> None:
    number = await asked(tmp_path / "data", chosen())
    print(number, "cells")
    assert number == sum(len(cells(*column)) for column in chosen()) > least


def test_the_sockets_take_turns_with_every_set_of_scopes_and_every_relation() -> None:
    found = set(some_columns())
    for door in SOCKETS:
        assert {scopes for each, scopes, *_ in found if each == door} == set(SCOPE_SETS)
        assert {tuple(rest) for each, _, *rest in found if each == door} == {tuple(rest) for _, _, *rest in columns()}
    assert {column for column in columns() if column[0] == "rest"} < found


async def test_the_past_may_be_closed_to_former_members(tmp_path: Path) -> None:
    chosen = [column for column in columns() if column[3] in expected.FORMER and column[1] in ("chat:read", "admin")]
    assert await asked(tmp_path / "data", chosen, after_leaving=False) > 500
