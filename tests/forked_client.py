"""`gochat` in a shell of a test: asks the server of tests/forked.py for the process, and stands for it.

python -I -S forked_client.py NAME [ARGUMENTS]...
"""

import json
import os
import signal
import socket
import struct
import sys

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def main() -> None:
    told, theirs = os.pipe()
    request = {"arguments": sys.argv[2:], "env": dict(os.environ), "cwd": os.getcwd()}  # noqa: PTH109 -- pathlib takes as long to load as all the rest
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(f"\0{sys.argv[1]}")
        socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2, theirs])
    os.close(theirs)
    (pid,) = struct.unpack("i", os.read(told, 4))
    for number in PASSED_ON:
        signal.signal(number, lambda number, _: os.kill(pid, number))
    for descriptor in (0, 1, 2):
        os.close(descriptor)  # They are the command's alone, so that readers see their end when it ends.
    (status,) = struct.unpack("i", os.read(told, 4))
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
