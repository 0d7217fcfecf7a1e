"""Everything that is known of the batch in hand besides its mail.

The phases (`phases`) say what a room is doing; this says why it does so once more with the same batch. Most batches are
decided as they come, and have none of this. Others are decided, found lacking, and decided again:

- messages, or other users' relations to the askers, are to be read: `prepared` has them, until it is `outdated`;
- a send was refused whose key may be recorded: the store is asked, and `refused_keys` are not asked for again;
- a refusal follows from the room's state, and other nodes may have changed that: `freshness`; where nobody can tell,
  commands whose answers depend on it get the `refusal`, and others do not;
- other nodes' facts came first: the journal recorded nothing of the batch, which is `overtaken`.

All of it is dropped when the batch is answered, and when the room's state is.
"""

from __future__ import annotations

from typing import Final, NewType

from gochat.actors.prefetched import Prepared
from gochat.errors import Denied

Freshness = NewType("Freshness", str)

#: The room is taken as it is known here.
ASSUMED: Final = Freshness("assumed")
#: A refusal would follow from it: everything that was acknowledged on other nodes is to be heard of first.
WANTED: Final = Freshness("wanted")
#: That has been heard of, and what is decided now is told.
ASSURED: Final = Freshness("assured")
#: It can't be heard of now: answers that depend on it are not given, and all else is decided.
UNKNOWN: Final = Freshness("unknown")


class Attempt:
    """Of one batch, or, once the batch is back in the mailbox, of the next, which begins with it."""

    __slots__ = ("freshness", "outdated", "overtaken", "prepared", "refusal", "refused_keys")

    def __init__(self) -> None:
        self.prepared: Prepared | None = None
        """The data that was read for the batch; None: nothing."""
        self.outdated = False
        """Whether another node has changed what decisions read since `prepared` was read."""
        self.refused_keys: set[tuple[str, str]] = set()
        """(sender, key) of sends that were refused: the store is asked for them."""
        self.freshness = ASSUMED
        self.refusal: Denied | None = None
        """With UNKNOWN, the answer to commands that depend on it."""
        self.overtaken = 0
        """How often in a row the batch came too late."""

    def put_back(self) -> None:
        """The batch is decided again in another turn, perhaps with more mail: it is to be prepared anew."""
        self.prepared = None
        self.freshness, self.refusal = ASSUMED, None
