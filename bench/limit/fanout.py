"""The least a fan-out in Python costs: an epoll loop that checks and keeps nothing, one `recv`, one join, and one
`send` a socket for each batch; with `--single` one `send` a message, as naive servers do. Every connection is a
member. Lines in, the bytes of WebSocket frames out: for each line an ack to its sender and a fact to everyone.
"""

from __future__ import annotations

import argparse
import select
import socket
import struct
import time


def frame(payload: bytes) -> bytes:
    size = len(payload)
    return (struct.pack(">BB", 0x81, size) if size < 126 else struct.pack(">BBH", 0x81, 126, size)) + payload


def answer(lines: list[bytes], head: int) -> tuple[list[bytes], list[bytes]]:
    acks, facts = [], []
    ts = int(time.time() * 1000)
    for seq, line in enumerate(lines, head + 1):
        start, _, tail = line.partition(b'"body":')
        number = start.split(b",", 2)[1]
        where = b'"room":"group:bench","seq":%d' % seq
        acks.append(frame(b'{"type":"ack",%s,%s,"epoch":"0","ts":%d}' % (number, where, ts)))
        facts.append(frame(b'{"type":"message",%s,"ts":%d,"from":"u0000","body":%s' % (where, ts, tail)))
    return acks, facts


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--single", action="store_true")
    args = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(f"listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    members = [listener.accept()[0] for _ in range(args.members)]
    by_fd = {member.fileno(): member for member in members}
    poll = select.epoll()
    for fd, member in by_fd.items():
        member.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(fd, select.EPOLLIN)
    seq, rest = 0, b""
    while True:
        for fd, _ in poll.poll():
            if not (data := by_fd[fd].recv(65_536)):
                return
            *lines, rest = (rest + data).split(b"\n")
            acks, facts = answer(lines, seq)
            seq += len(lines)
            by_fd[fd].sendall(b"".join(acks))
            for piece in facts if args.single else [b"".join(facts)]:
                for member in members:
                    member.sendall(piece)


if __name__ == "__main__":
    main()
