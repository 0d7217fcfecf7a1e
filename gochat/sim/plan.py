"""A run as data: the clients with all that they will try to do, and the faults with their times.

A plan is drawn from a seed (drawing.py), can be written as JSON and read again, and is made smaller by leaving parts of
it out.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gochat.cluster.faults import AnyFault

# ---------------------------------------------------------------------------------------------- what clients do


class Step(msgspec.Struct, frozen=True, kw_only=True, tag_field="do", tag=str.lower):
    """A client does it so many milliseconds after the step before it was begun or, where the client waits for replies,
    done."""

    after_ms: int = 0


class Send(Step, frozen=True, kw_only=True):
    """`keyed`: the message has a key, and is sent again until it is acked. Without one it is sent once."""

    room: str
    keyed: bool = True


class Edit(Step, frozen=True, kw_only=True):
    """Of one of its own messages that were acked: the last, the one before, ..., as far as there are so many."""

    back: int


class Delete(Step, frozen=True, kw_only=True):
    """As Edit."""

    back: int


class React(Step, frozen=True, kw_only=True):
    """To the message of that seq, or the last below it that the client knows."""

    room: str
    seq: int
    on: bool


class Guess(Step, frozen=True, kw_only=True):
    """Sends a message, and edits it at once, at the seq that it will have if no other client writes."""

    room: str


GroupChange: TypeAlias = Literal["add", "remove", "leave", "mute", "unmute"]


class Group(Step, frozen=True, kw_only=True):
    group: str
    action: GroupChange
    user: str


ContactChange: TypeAlias = Literal["block", "unblock"]


class Contact(Step, frozen=True, kw_only=True):
    user: str
    action: ContactChange


class Look(Step, frozen=True, kw_only=True):
    """Reads the newest page of a room."""

    room: str


class Reconnect(Step, frozen=True, kw_only=True):
    """Closes its connection and makes another one."""

    node: str = ""
    """The machine that it tries first; empty: the one that it is connected to."""


class Resume(Step, frozen=True, kw_only=True):
    """Has a room that it hears told again from the last fact that it has, and takes nothing of it before that."""

    room: str


class Pause(Step, frozen=True, kw_only=True):
    """Reads nothing for so long."""

    for_ms: int


AnyStep: TypeAlias = Send | Edit | Delete | React | Guess | Group | Contact | Look | Reconnect | Resume | Pause


class ClientPlan(msgspec.Struct, frozen=True):
    name: str
    """Of the device; unique."""
    user: str
    node: str
    """The machine that it connects to first; when that fails, the others in turn."""
    steps: list[AnyStep]


# ---------------------------------------------------------------------------------------------- what befalls them


class Trouble(msgspec.Struct, frozen=True, kw_only=True, tag_field="fault", tag=str.lower):
    at_ms: int


class OnNode(Trouble, frozen=True, kw_only=True):
    node: str
    """The machine that it befalls."""


class Kill(OnNode, frozen=True, kw_only=True):
    """The machine loses power, and has some again after `down_ms`. `keep`: writes that were not synced survive by luck.
    `silent`: its clients are not told that their connections are gone."""

    down_ms: int
    keep: bool
    silent: bool


class Stop(OnNode, frozen=True, kw_only=True):
    """The node is stopped in order, and started again."""

    down_ms: int


class Stall(OnNode, frozen=True, kw_only=True):
    """The disk does nothing for so long."""

    for_ms: int


class Failing(OnNode, frozen=True, kw_only=True):
    """The next commits fail."""

    how: list[Literal["lost", "kept", "full"]]


class Sever(Trouble, frozen=True, kw_only=True):
    """A client's connection breaks, with what is on its way. `silent`: the node is not told."""

    client: str
    silent: bool


class Clock(OnNode, frozen=True, kw_only=True):
    """The machine's wall clock is set."""

    skew_ms: int


class Server(Trouble, frozen=True, kw_only=True):
    """Something befalls the server that holds a cluster's log, or the way to it."""

    what: AnyFault


class Blackout(Trouble, frozen=True, kw_only=True):
    """All machines lose power at one instant, and the server of the cluster's log with them."""

    down_ms: int
    keep: bool
    what: AnyFault


class Leave(OnNode, frozen=True, kw_only=True):
    """The node is stopped in order and its folder taken out of the cluster. With `back_ms` the machine comes back after
    so long, as a new node of the cluster."""

    back_ms: int | None


class Loss(OnNode, frozen=True, kw_only=True):
    """The machine loses power, and all that is on its disk. It comes back as a new node: from a backup of another one,
    or `empty`, where the log still has everything."""

    back_ms: int
    empty: bool


class Forget(OnNode, frozen=True, kw_only=True):
    """The node is put out of the cluster: one that lost power, or with `cut_off` one that lives and does not reach the
    log. Then its folder is started again for `back_ms`, as somebody might who does not know of it; at last the machine
    becomes a new node."""

    cut_off: bool
    back_ms: int


class Rollback(OnNode, frozen=True, kw_only=True):
    """The machine loses power, and its folder is put back to what it was when the node was started."""

    down_ms: int


class Join(OnNode, frozen=True, kw_only=True):
    """A machine that was none of the cluster's becomes a node of it."""

    empty: bool


Churn: TypeAlias = Leave | Loss | Forget | Rollback | Join
"""Changes of the nodes of a cluster."""
AnyTrouble: TypeAlias = Kill | Stop | Stall | Failing | Sever | Clock | Server | Blackout | Churn


class Plan(msgspec.Struct, frozen=True):
    seed: int
    """Of the scheduler, and of all that takes its time."""
    nodes: list[str]
    groups: dict[str, list[str]]
    """By name the users who are in it from the begin; the first owns it."""
    clients: list[ClientPlan]
    troubles: list[AnyTrouble]
    merge_at: int = 0
    """Messages that wait in the write buffer before they are merged; 0: none wait."""
    outbox_bytes: int = 1 << 20
    spares: list[str] = []
    """Machines that are none of the cluster's, until they join it."""
    linger_ms: int = 0
    """How long things go on after the last fault has come, before all faults end."""
    idle_ms: int = 0
    """After how long without a turn rooms and users are dropped from a node's memory; 0: never in a run."""
    tell_ms: float = 0.0
    """The mean of the time from the end of a job of a disk to the word of it; 0: the usual."""
    window: int = 0
    """Entries that each partition of a cluster's log keeps, and each node of it, once all have them; 0: as many as the
    product keeps, more than a run has."""

    @property
    def users(self) -> list[str]:
        """All who take part, and all to whom somebody writes."""
        users = {client.user for client in self.clients} | {user for each in self.groups.values() for user in each}
        rooms = {getattr(step, "room", "") for client in self.clients for step in client.steps}
        return sorted(users.union(*(room.split(":")[1:] for room in rooms if room.startswith("dm:"))))

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=1)

    @staticmethod
    def from_json(data: bytes) -> Plan:
        """Raises msgspec.ValidationError."""
        return msgspec.json.decode(data, type=Plan)


def dm(one: str, other: str) -> str:
    return "dm:" + ":".join(sorted((one, other)))
