"""The commands, a module each, with their exit codes, and the error that carries its hint and its code.

A command prints its result on standard output, one fact a line; everything else goes to standard error.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from gochat.errors import GochatError

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 3
EXIT_AUTH = 4
EXIT_UNREACHABLE = 5
EXIT_UNDER_WAY = 6
EXIT_INTERNAL = 70
EXIT_TRY_AGAIN = 75
EXIT_INTERRUPTED = 130


class ExitCode(NamedTuple):
    number: int
    meaning: str


#: Every code a command ends with. 70 and 75 are EX_SOFTWARE and EX_TEMPFAIL of sysexits(3); 130 is the shells' code
#: for SIGINT.
EXIT_CODES = (
    ExitCode(EXIT_OK, "It is done."),
    ExitCode(EXIT_FAILED, "It can't be done; the line says why."),
    ExitCode(EXIT_USAGE, "The command line is wrong."),
    ExitCode(EXIT_CONFIG, "A setting is wrong; the line names the key and where it was set."),
    ExitCode(EXIT_AUTH, "The token was refused, or allows too little."),
    ExitCode(EXIT_UNREACHABLE, "The server can't be reached, or went away."),
    ExitCode(EXIT_UNDER_WAY, "It is not done yet, and may be later; it can't be taken back. The line says when."),
    ExitCode(EXIT_INTERNAL, "A fault of gochat itself; `gochat --debug` shows where."),
    ExitCode(EXIT_TRY_AGAIN, "The server refused it for now; the same may succeed later."),
    ExitCode(EXIT_INTERRUPTED, "Ended by Ctrl-C."),
)


class CommandError(GochatError):
    """Ends the command: one line with the problem, one with the way out, and an exit code."""

    def __init__(self, problem: str, *, hint: str = "", code: int = EXIT_FAILED) -> None:
        super().__init__(problem)
        self.hint = hint
        self.code = code


@contextmanager
def interrupt_alone() -> Iterator[None]:
    """Ctrl-C within the block is a KeyboardInterrupt for the caller, also where it came through nurseries, each of
    which puts it in a group. A group that holds another error too is raised as it is: that error would be hidden."""
    try:
        yield
    except BaseExceptionGroup as group:
        _, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise
        raise KeyboardInterrupt from group
