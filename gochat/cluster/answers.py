"""The answers that a node gives below /internal/: how it sees the cluster, and to go on without a node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from gochat.cluster.ports import ServerAway
from gochat.errors import GochatError, Lives

if TYPE_CHECKING:  # Commands read the answers without all of a node.
    from gochat.cluster.journal import ClusterJournal
    from gochat.cluster.shared import Shared

Answer: TypeAlias = Callable[[bytes], Awaitable[bytes]]


class State(msgspec.Struct, frozen=True):
    """How the node sees the cluster."""

    instance: str
    here: list[str]
    """The nodes that a repair waits for, by instance."""
    problem: str | None
    """Why this node takes no messages now."""
    names: dict[str, str] = {}
    """Of the nodes that have given this one a sign of life since its start, by instance: a server that has lost its
    data knows none of those that are dead."""
    forgetting: list[str] = []
    """The nodes that this one is about to put out, by instance."""


class Forget(msgspec.Struct, frozen=True):
    """Go on without the node."""

    instance: str


class Forgotten(msgspec.Struct, frozen=True):
    """It is recorded that the cluster goes on without the node."""

    new_epoch: bool
    """Whether clients start anew, since the node may have had what no other has."""


def answers(journal: ClusterJournal, shared: Shared) -> Mapping[str, Answer]:
    """By path."""
    mine = shared.identity.instance

    async def state(_: bytes) -> bytes:
        problem = journal.problem or journal.behind or journal.registry.clock_problem
        names = dict(journal.registry.names)
        return msgspec.json.encode(State(mine, journal.waited_for, problem, names, journal.forgetting))

    async def forget(body: bytes) -> bytes:
        try:
            instance = msgspec.json.decode(body, type=Forget).instance
        except msgspec.MsgspecError as error:
            raise GochatError(f"not a question that this release knows: {error}") from None
        if instance == mine:
            raise GochatError("a node does not forget itself")
        if instance not in journal.waited_for:
            raise GochatError(f"no node {instance} counts")
        with suppress(ServerAway):
            # Entries count before the work is begun, not later: this node may then read old ones, if its disk was slow.
            if journal.registry.is_heard(instance) or await journal.registry.lives(instance):
                raise Lives(f"{', '.join(journal.registry.called([instance]))} lives: let it be, or stop it first")
        # Where the log is being repaired the node has not answered, and may have what no other has. The same holds
        # where it was repaired without the node, by one that died before that was recorded.
        lacking = journal.problem is not None or await journal.registry.may_lack(instance)
        return msgspec.json.encode(Forgotten(await journal.forget(instance, lacking=lacking)))

    return {"/internal/state": state, "/internal/forget": forget}
