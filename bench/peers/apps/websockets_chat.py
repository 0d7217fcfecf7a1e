"""A room and private messages with the websockets library and its `broadcast`. Nothing is stored."""

from __future__ import annotations

import json
import sys
from collections import defaultdict

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

rooms: defaultdict[str, set[ServerConnection]] = defaultdict(set)
users: dict[str, ServerConnection] = {}


async def chat(connection: ServerConnection) -> None:
    hello = json.loads(await connection.recv())
    user, room = hello["user"], hello["room"]
    users[user] = connection
    rooms[room].add(connection)
    await connection.send(json.dumps({"type": "welcome"}))
    try:
        async for frame in connection:
            request = json.loads(frame)
            event = json.dumps({"type": "message", "from": user, "body": request["body"]})
            if request["type"] == "room":
                broadcast(rooms[request["room"]], event)
            else:
                await users[request["to"]].send(event)
            await connection.send(json.dumps({"type": "ack", "id": request["id"]}))
    finally:
        rooms[room].discard(connection)
        del users[user]


async def main() -> None:
    async with serve(chat, "127.0.0.1", int(sys.argv[1]), ping_interval=None, backlog=2048) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
