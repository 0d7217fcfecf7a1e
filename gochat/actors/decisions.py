"""The decision of one piece of a room's mail, by its verdict, and what the decision depended on."""

from __future__ import annotations

from typing import Final

from gochat.actors.messages import Submit
from gochat.domain import commands
from gochat.domain.ids import MAX_SEQ
from gochat.domain.turn import Done, Outcome, Turn

#: Refusals that the state of rooms gave, and another state would not.
_BY_STATE: Final = frozenset({"forbidden", "not_found", "not_member", "blocked", "declined", "conflict"})


def is_by_state(mail: Submit, outcome: Outcome) -> bool:
    """Whether nothing is recorded for the command because of what stands in the record, which may be out of date."""
    if isinstance(outcome, Done):
        return outcome.duplicate and not isinstance(mail.command, commands.Send)
    if mail.if_strangers is not None and outcome is mail.if_strangers[1]:
        return True  # Contacts may write this, and they may have become contacts on another node.
    return outcome.code in _BY_STATE and outcome is not mail.refusal


def is_ahead(mail: Submit, outcome: Outcome) -> bool:
    """Whether the command names a position above the record's head, which it is capped at and which may be out of
    date. Above MAX_SEQ there is nothing on any node."""
    command = mail.command
    if not (isinstance(command, commands.Read | commands.Got) and isinstance(outcome, Done)):
        return False
    return outcome.seq < command.seq <= MAX_SEQ


def decide_judged(turn: Turn, mail: Submit) -> Outcome:
    """Decide what the rules for words and links had something to say about."""
    command, refusal, flags = mail.command, mail.refusal, mail.flags
    if mail.if_strangers is not None and not turn.are_contacts(command.user):
        command, refusal, flags = mail.if_strangers
    outcome = turn.decide(command, refusal)
    if flags and isinstance(outcome, Done) and not outcome.duplicate:
        turn.flag(command, outcome.seq, flags)
    return outcome
