"""Bounds of a turn in a cluster, where it becomes one entry of the log: mail beyond them waits for the next turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from gochat.actors.messages import Submit
from gochat.domain import commands
from gochat.domain.turn import Turn

#: A turn ends with the command that reaches one of these. What a single command brings has room above them, below the
#: bounds of an entry (cluster/entry.py).
MOST_FACTS: Final = 1_000
MOST_SIDE_RECORDS: Final = 1_000
MOST_BYTES: Final = 1 << 19
#: Mail that is read for at once: of more, nothing would be decided.
MOST_MAIL: Final = MOST_FACTS

_encode = msgspec.msgpack.Encoder().encode


def within_bounds(turn: Turn, batch: Sequence[Submit]) -> Iterator[Submit]:
    """The mail of the batch that the turn may decide, each piece of which is to be decided before the next is taken.

    It ends where the turn is large enough, and before a command that names a fact of this very turn: other nodes' facts
    may come first, and then the seq is another message's."""
    head = turn.draft.head
    facts = side_records = size = 0
    for mail in batch:
        if head < _named(mail.command) <= turn.draft.head:
            return
        yield mail
        size += sum(len(_encode(fact)) for fact in turn.facts[facts:])
        size += sum(len(_encode(record)) for record in turn.side_records[side_records:])
        facts, side_records = len(turn.facts), len(turn.side_records)
        if facts >= MOST_FACTS or side_records >= MOST_SIDE_RECORDS or size >= MOST_BYTES:
            return


def _named(command: commands.AnyCommand) -> int:
    """The seq of the message that the command is about; 0: none."""
    if isinstance(command, commands.OnMessage):
        return command.seq
    return (command.reply_to or 0) if isinstance(command, commands.Send) else 0
