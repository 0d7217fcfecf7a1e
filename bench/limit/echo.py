"""The limit of trio-websocket, with no work but the echo: every message goes back where it came from."""

from __future__ import annotations

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket


async def echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except ConnectionClosed:
        return  # The client is done.


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, echo, "127.0.0.1", 0, None)
        print(f"listening on 127.0.0.1:{server.port}", flush=True)


if __name__ == "__main__":
    trio.run(main)
