"""The limit of pynng, with no work but the echo: every request is its own reply."""

from __future__ import annotations

import pynng
import trio

CONTEXTS = 64


async def echo(context: pynng.Context) -> None:
    while True:
        await context.asend(await context.arecv())


async def main() -> None:
    with pynng.Rep0(listen="tcp://127.0.0.1:0", async_backend="trio") as server:
        print(f"listening on {server.listeners[0].local_address}", flush=True)
        async with trio.open_nursery() as nursery:
            for _ in range(CONTEXTS):
                nursery.start_soon(echo, server.new_context())


if __name__ == "__main__":
    trio.run(main)
