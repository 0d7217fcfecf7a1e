"""The faults that end a run: of the server, or of its surroundings. A run with a fault has no figure."""

from __future__ import annotations


class Fault(Exception):
    """The server did not do what the contract says. The text is one line and names who saw what."""


class Gone(Fault):
    """The server ended a connection without a word: it may have ended altogether."""


class Broken(Exception):
    """The run could not be made: a process did not start, a folder or a limit is missing. The text says what to do."""


class Misused(Broken):
    """The options do not fit each other, or a file that they name is not what it should be."""
