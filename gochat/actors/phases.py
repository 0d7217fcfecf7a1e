"""The life of an actor as a table: which event leads from which phase to which.

IDLE        nothing is to be done, or turns are held back until deliveries have drained
QUEUED      the run queue will take the actor's next turn
PREPARING   a task of the actor's own reads what the batch needs: the state, messages that are named, refused keys
DECIDING    the rules decide the batch
RECORDING   the journal has the batch and has not answered yet

Only PREPARING awaits. The other phases begin and end within plain calls in the loop's thread, so nothing changes
between a decision and the moment the journal takes it. An event that a phase does not list raises KeyError: that is a
bug.
"""

from __future__ import annotations

from typing import Final, NewType

Phase = NewType("Phase", str)
Event = NewType("Event", str)

IDLE: Final = Phase("idle")
QUEUED: Final = Phase("queued")
PREPARING: Final = Phase("preparing")
DECIDING: Final = Phase("deciding")
RECORDING: Final = Phase("recording")

#: There is mail, or the state has to be rebuilt.
MAIL: Final = Event("mail")
#: The batch is decided now.
TURN: Final = Event("turn")
#: Something has to be read first. After a crash that is the whole state.
LACKING: Final = Event("lacking")
#: The journal took the batch.
APPENDED: Final = Event("appended")
#: The batch is answered, or is back in the mailbox.
FINISHED: Final = Event("finished")

TRANSITIONS: Final[dict[Phase, dict[Event, Phase]]] = {
    # An actor whose turns need nothing from outside takes them without a place in the run queue.
    IDLE: {MAIL: QUEUED, TURN: DECIDING},
    QUEUED: {TURN: DECIDING, LACKING: PREPARING},
    PREPARING: {TURN: DECIDING, FINISHED: IDLE},
    DECIDING: {LACKING: PREPARING, APPENDED: RECORDING, FINISHED: IDLE},
    RECORDING: {FINISHED: IDLE},
}
