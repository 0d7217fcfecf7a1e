"""A node that writes down what it does between the arrival of one user's bytes and the send to another's socket.

The harness starts it by its path, with the interpreter and the sources of the checkout that is traced, so it uses the
standard library and trio only. BENCH_TRACE names the file for what is seen. SIGUSR1 arms it, which it says by a line
`armed`; the next message that comes from the first port in the file BENCH_TRACE.ports and goes to the second is written
as a line of JSON (bench.trace.path.Step).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import trio
from callsite import is_step, resumed, stored

_COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>")


class Tracer(trio.abc.Instrument):
    """Off until it is armed. Then what happens is kept from the last return of trio's epoll before the writer's bytes
    are read, until the reader's socket is sent to."""

    def __init__(self, package: str, out: Path) -> None:
        self._package = package
        self._out = out
        self._armed = self._reading = False
        self._steps: list[dict[str, Any]] = []
        self._ports = (0, 0)

    def arm(self, *_: object) -> None:
        writer, reader = Path(f"{self._out}.ports").read_text().split()
        self._ports = (int(writer), int(reader))
        self._steps, self._reading, self._armed = [], False, True
        self._tell("armed")

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._armed:
            self._steps.append({"kind": "task", "name": task.name, "task": id(task)})

    def after_io_wait(self, timeout: float) -> None:
        if self._armed and not self._reading:
            self._steps.clear()

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """A profile function, in every thread."""
        if not self._armed:
            return
        if event == "call":
            if frame.f_code.co_filename.startswith(self._package):
                self._entered(frame)
        elif event == "c_call" and isinstance(getattr(argument, "__self__", None), socket.socket):
            self._socket(argument.__name__, argument.__self__)

    def _entered(self, frame: FrameType) -> None:
        depth, above = 0, frame.f_back
        while above is not None:
            depth += above.f_code.co_filename.startswith(self._package)
            above = above.f_back
        begins = "step" if is_step(frame) or frame.f_code.co_name in _COMPREHENSIONS else "call"
        kind = "resume" if resumed(frame) else begins
        step = {
            "kind": kind,
            "name": frame.f_code.co_qualname,
            "file": frame.f_code.co_filename[len(self._package) :],
            "depth": depth,
            "thread": threading.current_thread().name,
            "callback": stored(frame, self._package) if kind == "call" else "",
        }
        self._steps.append(step)

    def _socket(self, name: str, sock: socket.socket) -> None:
        writer, reader = self._ports
        if name.startswith("recv") and not self._reading:
            self._reading = _peer_port(sock) == writer
        elif name.startswith("send") and self._reading and _peer_port(sock) == reader:
            self._armed = False
            self._tell(json.dumps(self._steps))

    def _tell(self, line: str) -> None:
        with self._out.open("a", encoding="utf-8") as out:
            out.write(f"{line}\n")


def _peer_port(sock: socket.socket) -> int:
    try:
        return int(sock.getpeername()[1]) if sock.family == socket.AF_INET else 0
    except OSError:
        return 0


def main() -> None:
    # The folder of this script was needed for its neighbour only: the node must not find anything there.
    del sys.path[0]
    import gochat.cli

    tracer = Tracer(f"{Path(gochat.cli.__file__).parent}/", Path(os.environ["BENCH_TRACE"]))
    run = trio.run

    def traced(*arguments: Any, **named: Any) -> Any:
        return run(*arguments, **{"instruments": [tracer], **named})

    trio.run = traced
    signal.signal(signal.SIGUSR1, tracer.arm)
    threading.setprofile(tracer)
    sys.setprofile(tracer)
    sys.exit(gochat.cli.run(sys.argv[1:]))


if __name__ == "__main__":
    main()
