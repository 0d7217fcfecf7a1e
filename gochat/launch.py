"""The programs that start gochat: states that a service manager is told, and signals that are told twice.

A state is a datagram to the socket that NOTIFY_SOCKET names, as sd_notify(3) has it. Without that variable, so in a
terminal or a container, nothing is told.
"""

from __future__ import annotations

import logging
import os
import socket
import time

log = logging.getLogger(__name__)

#: A signal that comes again within this is the same one: `timeout` and the parent of the one-file executable pass on
#: the signal that the whole group got already. People do not press Ctrl-C again so soon.
SAME_SIGNAL_S = 0.3

READY = "READY=1"
STOPPING = "STOPPING=1"


def reloading() -> str:
    """The state while settings are read again; `READY` ends it. The time tells systemd which reload is meant."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}"


def notify(state: str) -> None:
    """Tell the manager that `state` holds from now on. Does not wait, and never raises: a manager that can't be told
    is a line of the log. systemd takes a start that it never heard the end of for a failure (TimeoutStartSec)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # the abstract namespace of Linux
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            # The process that serves is not always the one that was started: the one-file executable has a parent.
            sender.sendto(f"{state}\nMAINPID={os.getpid()}".encode(), address)
    except OSError as error:
        log.warning("the service manager can't be told: %s", error.strerror, extra={"state": state.partition("\n")[0]})
