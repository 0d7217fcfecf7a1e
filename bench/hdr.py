"""HdrHistogram's formats: the V2 encoding, compressed and in base64, and the log that its tools read.

The layout is described at https://github.com/HdrHistogram/HdrHistogram (V2EncodingCookieBase) and was checked against
the encoding that the Python port of HdrHistogram makes of the same values.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping

from bench.results import Measure

_V2, _V2_COMPRESSED = 0x1C849303 | 0x10, 0x1C849304 | 0x10  # The low nibble's neighbour: words of 8 bytes.
_DIGITS = 2  # 1 in 100 is finer than what is recorded, 1 in 32.
_SUB = 256  # The next power of two above 2 * 10^digits.
_SUB_HALF_BITS = 7
_LOWEST, _HIGHEST = 1, 3_600_000_000_000  # An hour in nanoseconds; greater values count as this one.


def encode(buckets: Mapping[int, int]) -> str:
    """Counts by value. Values above an hour count as an hour."""
    counts: dict[int, int] = {}
    for value, count in buckets.items():
        index = _index(min(value, _HIGHEST))
        counts[index] = counts.get(index, 0) + count
    payload = b"".join(_runs(counts))
    head = struct.pack(">iiiiqqd", _V2, len(payload), 0, _DIGITS, _LOWEST, _HIGHEST, 1.0)
    squeezed = zlib.compress(head + payload)
    return base64.b64encode(struct.pack(">ii", _V2_COMPRESSED, len(squeezed)) + squeezed).decode()


def log(measures: Iterable[Measure]) -> str:
    """A histogram log (format 1.3): a line for each latency of each measure, tagged with where it comes from."""
    lines = [
        "#[Histogram log format version 1.3]",
        "#[The unit is nanoseconds; the last field but one is the greatest value in milliseconds]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    start = 0.0
    for measure in measures:
        for name, buckets in measure.latencies.items():
            # A tag holds neither comma nor space.
            tag = f"{measure.load}/{measure.target}/{measure.turn}/{name}".replace(",", "").replace(" ", "_")
            greatest = max(buckets, default=0) / 1e6
            lines.append(f"Tag={tag},{start:.3f},{measure.seconds:.3f},{greatest:.3f},{encode(buckets)}")
        start += measure.seconds
    return "\n".join(lines) + "\n"


def _index(value: int) -> int:
    bucket = max(0, value.bit_length() - _SUB_HALF_BITS - 1)
    return (bucket << _SUB_HALF_BITS) + (value >> bucket)


def _runs(counts: Mapping[int, int]) -> Iterator[bytes]:
    """Each count, and the number of zeros before it as a negative one."""
    at = 0
    for index in sorted(counts):
        if index > at:
            yield _zig_zag(at - index)
        yield _zig_zag(counts[index])
        at = index + 1


def _zig_zag(number: int) -> bytes:
    """LEB128 with the sign in the lowest bit; a ninth byte is a whole one."""
    left = (number << 1) ^ (number >> 63)
    found = bytearray()
    while left >= 0x80 and len(found) < 8:
        found.append(0x80 | (left & 0x7F))
        left >>= 7
    found.append(left & 0xFF)
    return bytes(found)
