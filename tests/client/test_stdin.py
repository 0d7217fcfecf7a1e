"""The terminal client's standard input."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from gochat.client import ClientError
from gochat.client.terminal.stdin import LINE_BYTES, TERMINAL_BYTES, Lines, Unreadable


async def read(data: bytes) -> list[str | Unreadable]:
    reader, writer = os.pipe()
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, _write, writer, data)
                got = [line async for line in Lines(reader)]
    finally:
        os.close(reader)
    return got


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


async def test_lines_come_without_their_ends() -> None:
    assert await read(b"one\r\n\n" + "tee ☕".encode()) == ["one", "", "tee ☕"]
    assert await read(b"") == []


async def test_text_in_another_encoding_is_not_guessed_at() -> None:
    one, other, last = await read(b"one\ncaf\xe9\nlast\n")
    assert (one, last) == ("one", "last")
    assert isinstance(other, Unreadable)
    assert "byte 4 of the line is not UTF-8" in other.problem


@pytest.mark.parametrize("end", [b"\nend\n", b"\nend"])
async def test_an_endless_line_is_no_message_and_no_part_of_it_is(end: bytes) -> None:
    long, last = await read(b"x" * (3 * LINE_BYTES) + end)
    assert isinstance(long, Unreadable)
    assert last == "end"
    (alone,) = await read(b"x" * (3 * LINE_BYTES))
    assert isinstance(alone, Unreadable)


@pytest.mark.parametrize(("size", "whole"), [(100, True), (TERMINAL_BYTES - 1, True), (TERMINAL_BYTES + 900, False)])
async def test_a_line_that_the_terminal_has_cut_is_not_passed_off_as_whole(size: int, whole: bool) -> None:
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, b"x" * size + b"\n" + b"next\n")
        with trio.fail_after(60):
            lines = Lines(terminal)
            first, second = await anext(lines), await anext(lines)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert first == "x" * size if whole else isinstance(first, Unreadable)
    assert second == "next"


async def test_a_plain_file_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"one\ntwo\n")
    with file.open("rb") as opened:
        assert [line async for line in Lines(opened.fileno())] == ["one", "two"]


async def test_a_pipe_that_does_not_wait_is_waited_for() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    lines = Lines(reader)
    got: list[str | Unreadable] = []

    async def take() -> None:
        got.append(await anext(lines))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await trio.sleep(0.1)
            os.write(writer, b"late\n")
    os.close(writer)
    os.close(reader)
    assert got == ["late"]


async def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(ClientError, match="standard input can't be read: is a directory"):
        await anext(Lines(folder))
    os.close(folder)
