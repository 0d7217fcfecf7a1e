"""The peers, in the order of their turns."""

from __future__ import annotations

from bench.peers.base import Peer
from bench.peers.ejabberd import Ejabberd
from bench.peers.mosquitto import Mosquitto
from bench.peers.nats import Nats
from bench.peers.ngircd import Ngircd
from bench.peers.node_socketio import NodeSocketIO
from bench.peers.prosody import Prosody
from bench.peers.python_socketio import PythonSocketIO
from bench.peers.websockets import Websockets

_PEERS: tuple[Peer, ...] = (
    PythonSocketIO(),
    NodeSocketIO(),
    Websockets(),
    Ejabberd(),
    Prosody(),
    Ngircd(),
    Mosquitto(),
    Nats(),
)
PEERS: dict[str, Peer] = {peer.name: peer for peer in _PEERS}
