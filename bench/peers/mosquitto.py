"""Mosquitto with MQTT 3.1.1, QoS 1 on both ways: each message is acked to the broker by every one who gets it.

Here the bytes must be read packet by packet, since each PUBACK names its packet. But the packets of a run are all
equally long, so a read of many of them is cut by slices, and its acks are put together by slices.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from bench.faults import Fault
from bench.peers.base import MARK, Inbox, Running, Settings, Step, body, check, step
from bench.peers.process import absent, debian_version, program, running
from bench.server import Cores

_PUBLISH, _PUBACK = 0x32, 0x40  # MQTT 3.1.1 sections 3.3 and 3.4; QoS 1, neither DUP nor RETAIN.
_CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
max_queued_messages 0
set_tcp_nodelay true
log_type error
"""


def packet(first: int, rest: bytes) -> bytes:
    """Rest of up to 16,383 bytes."""
    size = len(rest)
    head = bytes((first, size)) if size < 128 else bytes((first, size & 0x7F | 0x80, size >> 7))
    return head + rest


def text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


class Mosquitto:
    name = "mosquitto"
    settings = Settings(
        stored="in memory until acked (persistence off)",
        settled="PUBACK (QoS 1); receivers ack too",
        setup="no cap on messages in flight or queued, TCP_NODELAY, log at errors",
    )
    room_copy = True
    room_acks = True
    direct_acks = True

    def missing(self) -> str | None:
        return absent("mosquitto", "mosquitto")

    def version(self) -> str:
        return debian_version("mosquitto")

    def serve(self, folder: Path, cores: Cores) -> AbstractContextManager[Running]:
        def arguments(port: int) -> list[str | Path]:
            config = folder / "mosquitto.conf"
            config.write_text(_CONFIG.format(port=port))
            return [program("mosquitto") or "mosquitto", "-c", config]

        return running(arguments, folder, cores)

    def greeting(self, user: str, room: str | None) -> list[Step]:
        connect = packet(0x10, text("MQTT") + b"\4\2\0\0" + text(user))  # Level 4, clean session, no keep-alive.
        topics = [f"user/{user}", *([f"room/{room}"] if room else [])]
        subscribe = packet(0x82, b"\0\1" + b"".join(text(topic) + b"\1" for topic in topics))
        granted = bytes((0x90, 2 + len(topics), 0, 1)) + b"\1" * len(topics)
        return [step(connect, rb"^\x20\x02\x00\x00$"), step(subscribe, b"^" + granted + b"$")]

    def to_room(self, room: str, number: int) -> bytes:
        return _publish(f"room/{room}", number)

    def to_user(self, user: str, number: int) -> bytes:
        return _publish(f"user/{user}", number)

    def inbox(self) -> Inbox:
        return Packets()


def _publish(topic: str, number: int) -> bytes:
    return packet(_PUBLISH, text(topic) + (number % 65_535 + 1).to_bytes(2, "big") + body(number))


class Packets:
    """Counts PUBLISH and PUBACK, and acks each PUBLISH."""

    __slots__ = ("_rest", "acked", "delivered")

    def __init__(self) -> None:
        self.delivered = 0
        self.acked = 0
        self._rest = b""

    def take(self, piece: bytes) -> bytes:
        data = self._rest + piece
        at, answers = 0, []
        while (end := _end(data, at)) and end <= len(data):
            if data[at] == _PUBLISH:
                size = end - at
                count = _alike(data, at, size)
                at += size * count
                answers.append(self._published(data[at - size * count : at], size, count))
            elif data[at] == _PUBACK:
                self.acked += 1
                at = end
            else:
                raise Fault(f"not a packet that a broker may send here: first byte 0x{data[at]:02x}")
        self._rest = data[at:]
        return b"".join(answers)

    def _published(self, packets: bytes, size: int, count: int) -> bytes:
        """The PUBACKs for so many PUBLISH packets of one size."""
        if packets.count(MARK) != count:
            raise Fault(f"{count} packets hold {packets.count(MARK)} messages")
        self.delivered += count
        at = packets.rfind(MARK)
        check(packets[at - 8 : at], self.delivered)
        start = 2 if packets[1] < 128 else 3
        ident = start + 2 + int.from_bytes(packets[start : start + 2], "big")
        acks = bytearray(b"\x40\x02\x00\x00" * count)
        acks[2::4] = packets[ident::size]
        acks[3::4] = packets[ident + 1 :: size]
        return bytes(acks)


def _end(data: bytes, at: int) -> int:
    """Where the packet at `at` ends; 0 while its head is not whole."""
    if len(data) < at + 3:
        # The shortest packet of those that come is a PUBACK, of four bytes.
        return 0
    first, second = data[at + 1], data[at + 2]
    return at + 2 + first if first < 128 else at + 3 + (first & 0x7F) + (second << 7)


def _alike(data: bytes, at: int, size: int) -> int:
    """How many whole packets at `at` begin as the first does, kind, size and topic, each `size` bytes after another."""
    head = data[at : at + 8]
    most = (len(data) - at) // size
    count = 1
    while count < most and data.startswith(head, at + count * size):
        count += 1
    return count
