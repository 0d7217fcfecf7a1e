"""A node's news of itself, told with each beat.

They are signed with the secret of the cluster. The other nodes ask a node over HTTP at the address that it tells, with
names of users in the question, and keep in the log what it lacks. Programs that may merely write to Redis must not lead
them elsewhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from gochat.cluster.ports import PARTITIONS, Member

MAC_BYTES: Final = 16
#: The news of one node are no longer.
MOST_BYTES: Final = 16_384
#: Names and addresses are printed in terminals.
_LINE: Final = r"^[^\x00-\x1f\x7f-\x9f]*\Z"
_UNPRINTED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

Number: TypeAlias = Annotated[int, Meta(ge=0, lt=1 << 62)]


class Info(msgspec.Struct, array_like=True, frozen=True):
    """The news."""

    name: Annotated[str, Meta(pattern=_LINE)]
    url: Annotated[str, Meta(pattern=_LINE)]
    reads: Number
    """The highest version of entries that it reads."""
    seen: Mapping[Annotated[int, Meta(ge=0, lt=PARTITIONS)], tuple[Number, Number]]
    """By partition, up to where it has recorded: term and n."""
    ahead_ms: Annotated[int, Meta(gt=-(1 << 62), lt=1 << 62)] = 0
    """How far its clock is ahead of the server's."""
    rules: Annotated[str, Meta(pattern=_LINE)] = ""
    """Names the rules and limits of its settings."""
    writes: Number = 1
    """The version of entries that it writes now (entry.py). A later release may also change the fields before this one,
    which stays where it is. Releases that do not tell it write the first version."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Info).decode
_decode_any = msgspec.msgpack.Decoder(list[Any]).decode
_WRITES: Final = Info.__struct_fields__.index("writes")


class BeatCodec:
    """Writes and reads the news of one cluster's nodes."""

    def __init__(self, cluster: str, secret: str) -> None:
        """`cluster`: the cluster's id. `secret`: what its nodes share, of any length."""
        key = hashlib.blake2b(secret.encode(), digest_size=64, person=b"gochat secret").digest()
        self._keyed = hashlib.blake2b(_encode(cluster), key=key, digest_size=MAC_BYTES, person=b"gochat beat")

    def encode(self, instance: str, boot: str, info: Info) -> bytes:
        """For that start of that node, and no other. Characters that nobody can print are replaced."""
        name, url, rules = (_UNPRINTED.sub("?", text) for text in (info.name, info.url, info.rules))
        body = _encode(msgspec.structs.replace(info, name=name, url=url, rules=rules))
        return self._mac(instance, boot, body) + body

    def decode(self, member: Member) -> Info | None:
        """The news that the node told; None where nobody who knows the cluster's secret wrote them for this start of
        it, or they can't be read."""
        body = self._signed(member)
        try:
            return None if body is None else _decode(body)
        except msgspec.MsgspecError:
            return None

    def writes(self, member: Member) -> int | None:
        """The version of entries that the node writes now, also where the rest of its news is of a form that can't be
        read. None where nobody who knows the cluster's secret wrote them, or they do not tell."""
        body = self._signed(member)
        try:
            fields = [] if body is None else _decode_any(body)
            return None if len(fields) <= _WRITES else msgspec.convert(fields[_WRITES], Number)
        except (msgspec.MsgspecError, ValueError):  # Text that is no UTF-8, in a field that is passed over.
            return None

    def _signed(self, member: Member) -> bytes | None:
        mac, body = member.info[:MAC_BYTES], member.info[MAC_BYTES:]
        if len(body) > MOST_BYTES or not compare_digest(mac, self._mac(member.instance, member.boot, body)):
            return None
        return body

    def _mac(self, instance: str, boot: str, body: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(_encode([instance, boot]))
        keyed.update(body)
        return keyed.digest()
