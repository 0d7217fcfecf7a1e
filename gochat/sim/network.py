"""The connections between clients and nodes, in memory: they take their time, break, and lose what is on the way.

The frames are those of the wire protocol, a line of JSON each, and a node's end is
`transports.memory.MemoryConnection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Final

import trio

from gochat.connections import Accept
from gochat.sim.determinism import sleep_until
from gochat.transports.memory import MemoryConnection, MemoryPeer
from gochat.transports.outbox import WaitingBytes

#: The mean of the time that a frame travels.
LATENCY_S: Final = 0.002


class Gone(Exception):
    """The connection is over. `code` is the number that the node gave, if it gave one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class Wire:
    """One connection. `run` is the node's half, and runs on the node's machine."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._up_send, self._up = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        self._down_send, self._down = trio.open_memory_channel[bytes](math.inf)
        self._travelling = trio.CancelScope()
        self._connection: MemoryConnection | None = None
        self._arrives_at = 0.0
        self._lost = False
        self.reading = trio.Event()
        """Not set: the client takes nothing."""
        self.reading.set()
        self.code: int | None = None
        """Of the close, once the client has been told."""
        self.instance = ""
        """The node that it leads to: its folder's name, so that another node on the same machine is another one."""

    # ------------------------------------------------------------------------------------------ the client's end

    def send(self, frame: bytes) -> None:
        """Raises Gone where the client knows that the connection is over."""
        if self._lost:
            raise Gone
        self._arrives_at = max(self._arrives_at, trio.current_time() + self._latency())
        self._up_send.send_nowait((self._arrives_at, frame))

    async def receive(self) -> bytes:
        """The next frames, a line each. Raises Gone."""
        try:
            return await self._down.receive()
        except trio.EndOfChannel:
            raise Gone(self.code) from None

    def close(self) -> None:
        """Send no more, and hear no more."""
        self._lost = True
        self._up_send.close()
        self._down_send.close()

    # ------------------------------------------------------------------------------------------ the network

    def sever(self, *, client_told: bool = True, node_told: bool = True) -> None:
        """Lose all that is on its way, and carry nothing more."""
        self._travelling.cancel()
        if client_told:
            self._lost = True
            self._down_send.close()
        if node_told and self._connection is not None:
            self._connection.abort()

    def _latency(self) -> float:
        return self._chance.expovariate(1 / LATENCY_S)

    # ------------------------------------------------------------------------------------------ the node's end

    async def run(self, accept: Accept, frame_bytes: int, outbox_bytes: int, waiting: WaitingBytes) -> None:
        self._connection = connection = MemoryConnection(peer="sim", outbox_bytes=outbox_bytes, waiting=waiting)
        peer = MemoryPeer(connection)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._travel, peer)
            await connection.serve(accept, frame_bytes)

    async def _travel(self, peer: MemoryPeer) -> None:
        with self._travelling:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._carry_up, peer)
                await self._carry_down(peer)
                nursery.cancel_scope.cancel()

    async def _carry_up(self, peer: MemoryPeer) -> None:
        try:
            async for at, frame in self._up:
                await sleep_until(at)
                await peer.send(frame)
        except trio.BrokenResourceError:
            return  # The node has closed.
        peer.close()

    async def _carry_down(self, peer: MemoryPeer) -> None:
        while True:
            await self.reading.wait()
            data = await peer.receive()
            await sleep_until(trio.current_time() + self._latency())
            if not data:
                self.code = peer.close_code
                self._down_send.close()
                return
            if not self._lost:
                self._down_send.send_nowait(data)


Connect = Callable[[str], Wire]
"""A new connection to the machine of that name. Raises Gone where nothing listens there."""
