"""Socket.IO on Node: the npm package socket.io with bufferutil, in .build/peers/node."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path

from bench.peers.base import Running
from bench.peers.process import APPS, BUILD, program, running, said
from bench.peers.socketio import SocketIO
from bench.server import Cores

_NODE = BUILD / "node"


class NodeSocketIO(SocketIO):
    name = "socketio-node"

    def missing(self) -> str | None:
        if not program("node"):
            return "node is not installed (Debian package nodejs)"
        return None if (_NODE / "node_modules/socket.io").is_dir() else "socket.io (npm) is not in .build/peers/node"

    def version(self) -> str:
        package = json.loads((_NODE / "node_modules/socket.io/package.json").read_text())
        return f"{package['version']}, Node {said(['node', '--version'])}"

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        # The app looks for its packages in the folder that it is run in.
        def arguments(port: int) -> list[str | Path]:
            return [program("node") or "node", APPS / "socketio_chat.js", str(port)]

        (folder / "node_modules").symlink_to(_NODE / "node_modules")
        return running(arguments, folder, cores, {"NODE_ENV": "production"})
