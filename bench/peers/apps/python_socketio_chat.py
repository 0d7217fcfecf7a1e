"""A room and private messages with python-socketio, as its guide writes them. Nothing is stored."""

from __future__ import annotations

import sys
from typing import Any

import socketio
import uvicorn

sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], ping_interval=300)


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str]) -> None:
    await sio.save_session(sid, auth)
    await sio.enter_room(sid, f"user:{auth['user']}")


@sio.event
async def join(sid: str, data: dict[str, str]) -> str:
    await sio.enter_room(sid, data["room"])
    return "ok"


@sio.event
async def room(sid: str, data: dict[str, str]) -> str:
    session = await sio.get_session(sid)
    await sio.emit("message", {"from": session["user"], "body": data["body"]}, to=data["room"])
    return "ok"


@sio.event
async def direct(sid: str, data: dict[str, str]) -> str:
    session = await sio.get_session(sid)
    await sio.emit("message", {"from": session["user"], "body": data["body"]}, to=f"user:{data['to']}")
    return "ok"


if __name__ == "__main__":
    uvicorn.run(
        socketio.ASGIApp(sio),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws_ping_interval=None,
        backlog=2048,
        log_level="warning",
    )
