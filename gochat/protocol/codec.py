"""Frames to bytes and back: one codec for each way that a frame travels, made once and kept for life.

A codec's `encode` gives a whole frame, framed for its transport, so that a batch is encoded once per codec and the
same bytes go to every session of that codec.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, get_args

import msgspec

from gochat.protocol import websocket
from gochat.protocol.problems import DECODING, sentence
from gochat.protocol.replies import ReplyId
from gochat.protocol.requests import AnyRequest, Id

Decoder: TypeAlias = Callable[[type[Any]], Callable[[bytes], Any]]
"""Gives the function that decodes a payload to a type."""

#: Payloads whose frame header is kept.
SHORT = 1024
#: The requests by what `type` says.
_KINDS: dict[str, type[msgspec.Struct]] = {str(kind.__struct_config__.tag): kind for kind in get_args(AnyRequest)}


class BadFrame(msgspec.Struct, frozen=True):
    """A payload that is no request. `id` is the request's, if it could be read; `frame` says whether the payload had at
    least the form of a frame: an object with a string `type`."""

    problem: str
    id: ReplyId = None
    frame: bool = False


class _Envelope(msgspec.Struct):
    """The part of a frame that can be read although its other fields are wrong."""

    type: str
    id: Id | None = None


class Codec(ABC):
    """One encoding (JSON or msgpack) in one framing. `name` is for logs and counters."""

    def __init__(self, name: str, decoder: Decoder) -> None:
        self.name = name
        self.decode_request: Callable[[bytes], AnyRequest] = decoder(AnyRequest)  # type: ignore[arg-type]
        """One request from one payload. Raises one of DECODING, for which `bad_frame` has the answer."""
        self._decode_envelope: Callable[[bytes], _Envelope] = decoder(_Envelope)

    @abstractmethod
    def encode(self, frame: msgspec.Struct) -> bytes:
        """The frame, whole."""

    @abstractmethod
    def encode_all(self, frames: Sequence[msgspec.Struct]) -> bytes:
        """All of them, one behind the other."""

    def decode(self, payload: bytes) -> AnyRequest | BadFrame:
        """One request from one payload. Never raises: depth, numbers, surrogates and bad UTF-8 all give a BadFrame."""
        try:
            return self.decode_request(payload)
        except DECODING as error:
            return self.bad_frame(payload, error)

    def bad_frame(self, payload: bytes, error: Exception) -> BadFrame:
        """Why the payload is no request. `error` is what `decode_request` raised."""
        failed = error.with_traceback(None)  # It would hold the caller's frame, which holds it: a cycle.
        try:
            envelope = self._decode_envelope(payload)
        except DECODING:
            return BadFrame(sentence(failed, "frame"))
        return BadFrame(sentence(failed, "frame", _KINDS.get(envelope.type)), envelope.id, frame=True)


class LineCodec(Codec):
    """JSON, a frame a line."""

    def encode(self, frame: msgspec.Struct) -> bytes:
        return _json.encode(frame) + b"\n"

    def encode_all(self, frames: Sequence[msgspec.Struct]) -> bytes:
        return _json.encode_lines(frames)


class WebSocketCodec(Codec):
    """Frames of one opcode. Nearly all are short: their headers are made once."""

    def __init__(self, name: str, encoder: Callable[[Any], bytes], decoder: Decoder, opcode: int) -> None:
        super().__init__(name, decoder)
        self._encode = encoder
        self._opcode = opcode
        self._headers = [websocket.frame(opcode, bytes(size))[: -size or None] for size in range(SHORT)]

    def encode(self, frame: msgspec.Struct) -> bytes:
        payload = self._encode(frame)
        size = len(payload)
        return self._headers[size] + payload if size < SHORT else websocket.frame(self._opcode, payload)

    def encode_all(self, frames: Sequence[msgspec.Struct]) -> bytes:
        if len(frames) == 1:
            payload = self._encode(frames[0])
            size = len(payload)
            return self._headers[size] + payload if size < SHORT else websocket.frame(self._opcode, payload)
        headers, opcode = self._headers, self._opcode
        return b"".join(
            [
                headers[len(payload)] + payload if len(payload) < SHORT else websocket.frame(opcode, payload)
                for payload in map(self._encode, frames)
            ]
        )


def _json_decoder(kind: type[Any]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(kind).decode


def _msgpack_decoder(kind: type[Any]) -> Callable[[bytes], Any]:
    return msgspec.msgpack.Decoder(kind).decode


_json = msgspec.json.Encoder()

WS_JSON = WebSocketCodec("ws-json", _json.encode, _json_decoder, websocket.TEXT)
WS_MSGPACK = WebSocketCodec("ws-msgpack", msgspec.msgpack.Encoder().encode, _msgpack_decoder, websocket.BINARY)
LINE_JSON = LineCodec("line-json", _json_decoder)

#: The WebSocket subprotocols, in the server's order of preference (protocol.md, "Transports").
SUBPROTOCOLS = {"gochat.v1.json": WS_JSON, "gochat.v1.msgpack": WS_MSGPACK}
