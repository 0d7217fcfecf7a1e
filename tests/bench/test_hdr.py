"""HdrHistogram's encoding, held against what its Python port made of the same values."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import hdr
from bench.results import Measure

#: Made by hdrhistogram 0.10.3: HdrHistogram(1, 3_600_000_000_000, 2).
VECTOR = "HISTFAAAAC14nJNpmSzMwMDAzQABTFCakYGB2c1gxwIG+w9QAab37GyveUVOc7EAAJCmBzk="
VALUES = {1: 1, 1000: 3, 123456: 10, 5_000_000: 2}


def decoded(text: str) -> dict[int, int]:
    """Counts by index, read as the format's description says."""
    data = base64.b64decode(text)
    cookie, size = struct.unpack_from(">ii", data)
    assert (cookie, size) == (0x1C849314, len(data) - 8)
    data = zlib.decompress(data[8:])
    cookie, size, _, digits, least, greatest, ratio = struct.unpack_from(">iiiiqqd", data)
    assert (cookie, size, digits, least, greatest, ratio) == (0x1C849313, len(data) - 40, 2, 1, 3_600_000_000_000, 1.0)
    counts: dict[int, int] = {}
    at, index = 40, 0
    while at < len(data):
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte if shift == 56 else byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 56:
                break
        count = (number >> 1) ^ -(number & 1)
        if count > 0:
            counts[index] = count
        index += max(1, -count)
    return counts


def test_the_encoding_is_the_ports() -> None:
    mine, other = (base64.b64decode(text)[8:] for text in (hdr.encode(VALUES), VECTOR))
    # The output of zlib may differ between its releases.
    assert zlib.decompress(mine) == zlib.decompress(other)


@pytest.mark.parametrize(("value", "index"), [(0, 0), (1, 1), (255, 255), (256, 256), (257, 256), (512, 384)])
def test_values_stand_where_the_format_has_them(value: int, index: int) -> None:
    assert decoded(hdr.encode({value: 7})) == {index: 7}


@given(st.dictionaries(st.integers(0, 1 << 45), st.integers(1, 1 << 40), max_size=40))
def test_every_count_is_there(buckets: dict[int, int]) -> None:
    assert sum(decoded(hdr.encode(buckets)).values()) == sum(buckets.values())


def test_the_log_has_a_line_for_each_latency_with_a_tag() -> None:
    measure = Measure(
        load="dm 4 pairs W=1",
        target="gochat",
        turn=2,
        value=1.0,
        unit="messages/s",
        seconds=1.5,
        latencies={"ack": VALUES, "deliver": {9: 1}},
    )
    *heads, ack, deliver = hdr.log([measure]).splitlines()
    assert heads[0] == "#[Histogram log format version 1.3]"
    assert ack.split(",") == ["Tag=dm_4_pairs_W=1/gochat/2/ack", "0.000", "1.500", "5.000", hdr.encode(VALUES)]
    assert deliver.startswith("Tag=dm_4_pairs_W=1/gochat/2/deliver,0.000,1.500,0.000,HISTFAAAA")
