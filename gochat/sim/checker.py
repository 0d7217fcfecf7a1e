"""The traces of a chat, judged from outside: the messages sent, acked and heard, and the history.

Pure: it knows no server and no socket. `violations` names each broken promise in words.

In a cluster a node may be given up that alone had recorded something. Then clients start anew, and whatever this node,
and no other, had told them may be lost (`Evidence.gone`).
"""

from __future__ import annotations

from gochat.sim.evidence import Asked, Evidence, Fact, Look, Name
from gochat.sim.judges import messages, permissions, readers
from gochat.sim.judges.messages import lost
from gochat.sim.judges.readers import has_heard_all

__all__ = ["Asked", "Evidence", "Fact", "Look", "Name", "has_heard_all", "lost", "violations"]

_JUDGES = (*messages.JUDGES, *readers.JUDGES, *permissions.JUDGES)


def violations(evidence: Evidence) -> list[str]:
    """Every broken promise; none: all is well."""
    return [*evidence.complaints, *(found for judge in _JUDGES for found in judge(evidence))]
