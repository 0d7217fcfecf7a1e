"""Bounds of a turn in a cluster, where it becomes one entry of the log: mail beyond them waits for the next turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from gochat.actors.messages import Submit
from gochat.domain import commands
from gochat.domain.facts import AnyFact, Message
from gochat.domain.turn import Turn

#: A turn ends with the command that reaches one of these. All that a single command brings has room above them, below
#: the bounds of an entry (cluster/entry.py).
MOST_FACTS: Final = 1_000
MOST_SIDE_RECORDS: Final = 1_000
MOST_BYTES: Final = 1 << 19
#: The names of a message's fields, its numbers, and the lengths of its texts.
FIELDS: Final = 128
#: Mail that is read for at once: of more, nothing would be decided.
MOST_MAIL: Final = MOST_FACTS

_encode = msgspec.msgpack.Encoder().encode


def within_bounds(turn: Turn, batch: Sequence[Submit]) -> Iterator[Submit]:
    """The mail of the batch that the turn may decide. The caller decides each piece before it takes the next.

    It ends where the turn is large enough, and before a command that names a fact of this very turn: other nodes' facts
    may come first, and then the seq is another message's."""
    head = turn.draft.head
    facts = side_records = size = 0
    for mail in batch:
        if head < _named(mail.command) <= turn.draft.head:
            return
        yield mail
        if len(turn.facts) > facts:
            size += sum(map(most_bytes, turn.facts[facts:]))
            facts = len(turn.facts)
        if len(turn.side_records) > side_records:
            size += sum(len(_encode(record)) for record in turn.side_records[side_records:])
            side_records = len(turn.side_records)
        if facts >= MOST_FACTS or side_records >= MOST_SIDE_RECORDS or size >= MOST_BYTES:
            return


def most_bytes(fact: AnyFact) -> int:
    """No fewer than the fact takes in an entry. Messages, which are nearly all, are not encoded for it."""
    if type(fact) is not Message:
        return len(_encode(fact))
    body = fact.body or ""
    size = FIELDS + len(fact.room) + len(fact.sender)
    size += len(body) if body.isascii() else len(body.encode(errors="surrogatepass"))
    if fact.key is not None:
        size += 4 * len(fact.key)
    if fact.mentions is not None:
        size += sum(map(len, fact.mentions)) + 2 * len(fact.mentions)
    return size


def _named(command: commands.AnyCommand) -> int:
    """The seq of the message that the command is about; 0: none."""
    if isinstance(command, commands.OnMessage):
        return command.seq
    return (command.reply_to or 0) if isinstance(command, commands.Send) else 0
