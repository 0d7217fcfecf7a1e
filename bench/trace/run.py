"""Runs a traced node and sends it messages, one at a time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench import rulebook
from bench.faults import Broken
from bench.load.acquaint import befriend, settle
from bench.load.client import Client, signed_in
from bench.load.frames import decode
from bench.load.wire import Wire
from bench.server import Checkout, Cores, Gochat, data_folder
from bench.trace.path import Step

_NODE = Path(__file__).with_name("traced_node.py")
_WARM_UP = 3
_PATIENCE_S = 20.0
_QUIET_S = 0.05


Enough = Callable[[Sequence[Step]], bool]


def paths(
    checkout: Checkout, data: Path, wire: Wire, samples: int, enough: Enough, *, rules: bool = True
) -> list[list[Step]]:
    """The paths of so many messages in that checkout's node, or of fewer, if `enough` says so of one. Raises
    Broken, Fault."""
    with data_folder(data) as folder:
        out = folder / "trace"
        settings = {"BENCH_TRACE": str(out), **({} if rules else rulebook.OFF)}
        server = Gochat(wire, folder, Cores.split(), (str(_NODE), "serve"), settings, checkout)
        with (
            server.run() as running,
            signed_in(running.address, server.issuer, ["ann", "bob"]) as [(ann, _), (bob, _)],
        ):
            if not befriend([(ann, bob)]):
                raise Broken("the server knows nothing of contacts: nobody's message goes straight to the other")
            ports = " ".join(str(client.sock.getsockname()[1]) for client in (ann, bob))
            Path(f"{out}.ports").write_text(ports)
            found: list[list[Step]] = []
            for number in range(_WARM_UP + samples):
                settle([ann, bob])
                path = _trace_one(running.pid, out, ann, bob, number)
                if number >= _WARM_UP:
                    found.append(path)
                    if enough(path):
                        break
            return found


def _trace_one(pid: int, out: Path, ann: Client, bob: Client, number: int) -> list[Step]:
    lines = 2 * number
    time.sleep(_QUIET_S)  # The work that the message before left is done by then.
    os.kill(pid, signal.SIGUSR1)
    _await(lambda: _lines(out) > lines, "the node was not armed")
    ann.write(type="send", id=number + 1, to="user:bob", body=f"message {number}", key=str(number))
    ann.replies(1)
    while decode(bob.payload(), bob.name).type != "message":
        pass
    _await(lambda: _lines(out) > lines + 1, "the message arrived and its send was not seen")
    return msgspec.json.decode(out.read_bytes().splitlines()[-1], type=list[Step])


def _lines(out: Path) -> int:
    return out.read_bytes().count(b"\n") if out.exists() else 0


def _await(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(otherwise)
        time.sleep(0.005)
