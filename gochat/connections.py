"""The seam between a session and the transport of its peer, with the promises in words.

Every kind of connection passes the suite of tests/contracts/connection.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

from gochat.protocol.codec import Codec

#: Frames of one peer that are carried out before others get a turn: at 10 us each, a read full of the smallest frames
#: would otherwise hold up everybody for 30 ms.
BURST: Final = 256


class Outbox(Protocol):
    """Whole frames on their way to one peer, in order. `limit` bounds `size`, the bytes that wait. Nothing here waits
    or raises; when the peer is gone everything is taken and dropped."""

    size: int
    limit: int
    """May be changed at any time; what waits already stays."""
    broken: bool
    """Whether the peer is gone."""
    progress_at: float
    """When the peer last took something while `writing`; trio clock."""

    @property
    def writing(self) -> bool:
        """Whether frames wait because the peer does not take them."""

    @property
    def crowded(self) -> bool:
        """Whether more than half of `limit` waits: then nothing further is carried out for the peer. Code that asks for
        each frame compares the two itself, without the call."""

    def try_send(self, data: bytes) -> bool:
        """Send now, or behind what waits. False: `size` would pass `limit`, and nothing was taken."""

    def offer(self, data: bytes) -> bool:
        """The same, to leave with the next `flush`, which the caller sees to."""

    def put(self, data: bytes) -> None:
        """Queue an event that must arrive, whatever the limit, to leave with the next `flush`."""

    def reply(self, data: bytes) -> None:
        """Queue the reply to a request, whatever the limit: their number is bounded by the session's window. Where
        requests and replies come in pairs it leaves with the pair that it belongs to."""

    def flush(self) -> None:
        """Send what is queued, as far as the peer takes it."""

    def when_space(self, callback: Callable[[], None] | None) -> None:
        """Have it called whenever `size` has fallen to half of `limit` or less, and when the peer is gone; None: no
        more. An object that holds this outbox and gave one of its methods gives None at its end, or the two wait for
        the cycle collector together."""

    def when_blocked(self, callback: Callable[[], None] | None) -> None:
        """Have it called whenever `writing` begins; None: no more."""


class Connection(Protocol):
    """One peer, as its session sees it. The methods only ask, and may be called from anywhere and more than once; the
    connection's own task does the reading and the closing."""

    peer: str
    """The peer's address, without its port."""
    peer_answers: bool
    """Whether the peer is known to answer a ping: by what its transport says, or because it did."""
    closing: tuple[int, str] | None
    """The close code and reason, once somebody has asked for the end."""

    @property
    def outbox(self) -> Outbox:
        """The same for life."""

    @property
    def heard(self) -> float:
        """When the last byte came from the peer; trio clock."""

    @property
    def secret(self) -> str | None:
        """Where each request must show which session it belongs to: with this, which `welcome.session` tells, and
        which stands in no log, list or metric."""

    @property
    def transport(self) -> str:
        """A label for logs, metrics and lists. Nothing is decided by it."""

    @property
    def tells_close(self) -> bool:
        """Whether the transport itself tells the peer the close code. If not, the session's last frame does."""

    @property
    def max_silence_s(self) -> float | None:
        """None: the peer can be pinged, and reads what is sent. Else it is heard only when it asks, and a session that
        hears nothing for so many seconds is over."""

    def ping(self, codec: Codec) -> None:
        """Ask the peer for a sign of life. Does nothing where `max_silence_s` is set."""

    def signed_in(self) -> None:
        """The peer has proved its identity: it no longer counts against the caps for strangers."""

    def finish(self, number: int, reason: str) -> None:
        """Close in order: frames that wait are still sent. The first number counts."""

    def abort(self) -> None:
        """Drop the connection with all that waits."""


class Receiver(Protocol):
    """The session, as a transport sees it. Nothing here raises, and only what is named `wait_` waits."""

    burst_left: int
    """Frames it may still carry out before others get a turn; set to BURST with each read."""
    waiting: bool
    """Whether frames wait to be carried out. The transport then reads nothing more until `wait_readable` returns."""

    def receive(self, payload: bytes) -> None:
        """One whole data frame, its framing taken off."""

    async def wait_readable(self) -> None:
        """Return when every frame that was received has been carried out."""

    async def wait_settled(self) -> None:
        """Return when every request that was received has been carried out and answered; or as soon as that can't go
        on, because the peer must take what waits in the outbox first. Replays go on."""

    def wake(self) -> None:
        """Have `wait_settled` look again: more than half of the outbox's limit waits."""

    async def wait_answered(self) -> None:
        """The peer sends no more. Return when all that was received has been carried out and answered, and from then on
        hear of nothing; at once where nobody has signed in."""

    def too_large(self) -> None:
        """The peer's frame was over the limit."""

    def invalid_text(self) -> None:
        """A WebSocket's text was no UTF-8 (RFC 6455, section 8.1)."""

    def violated(self, problem: str) -> None:
        """The peer broke the rules of the transport."""

    def ended(self) -> None:
        """The connection is gone. The last call of all, and always made."""


Accept: TypeAlias = Callable[[Connection, Codec, str | None], Receiver]
"""Makes the session of a new connection: its codec, and the credential of the handshake, if there was one."""
