"""The AsyncAPI 3.0 document of the sockets: made from the structs that decode and encode frames, the conversation's
table, and the tables of errors and closes. Nothing of a frame is written here a second time.

WebSocket and TCP carry the same frames: they are two servers of one channel.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from gochat import __version__
from gochat.config import Http, Tcp
from gochat.domain import facts
from gochat.errors import CLOSES, CODES
from gochat.http.describe.examples import example
from gochat.http.describe.schemas import REF, Json, described, flat, structs
from gochat.http.upgrade import PATH
from gochat.protocol import replies
from gochat.protocol import requests as req
from gochat.protocol.catalogue import CATALOGUE
from gochat.protocol.codec import SUBPROTOCOLS

CLIENT, SERVER = "client.", "server."
"""Prefixes of a struct's name, by the side that sends it: both sides have a `Read`."""

REQUESTS: Final[tuple[type[req.AnyRequest], ...]] = typing.get_args(req.AnyRequest)
ANSWERS: Final[tuple[type[replies.Frame], ...]] = typing.get_args(replies.AnyReply)
FACTS: Final[tuple[type[facts.Fact], ...]] = typing.get_args(facts.AnyFact)
EVENTS: Final[tuple[type[msgspec.Struct], ...]] = (
    *(kind for kind in typing.get_args(replies.AnyEvent) if kind not in FACTS),
    replies.Error,
)

_CHANNEL: Final = "#/channels/session"
_ID: Final = "#/components/correlationIds/id"


@cache
def document() -> bytes:
    """The document as JSON; always the same bytes."""
    return msgspec.json.encode(build())


def build() -> Json:
    sent = list(dict.fromkeys((*ANSWERS, *FACTS, *EVENTS)))
    schemas = _schemas(REQUESTS, CLIENT) | _schemas(sent, SERVER)
    schemas[f"{SERVER}Error"]["properties"]["code"] = {"enum": [code.name for code in CODES]}
    messages = {key: _message(kind, key, schemas) for key, kind in _keys(REQUESTS, CLIENT) + _keys(sent, SERVER)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "gochat",
            "version": __version__,
            "description": "Private and group chat. A frame is an object with a `type`; a request with an `id` gets"
            " exactly one reply, which echoes it. `hello` comes first. Times are milliseconds since the Unix epoch,"
            " UTC.",
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": {"session": _channel(messages)},
        "operations": {
            **{_tag(kind): _request(kind) for kind in REQUESTS},
            **{f"event.{_tag(kind)}": _event(kind) for kind in (*FACTS, *EVENTS)},
        },
        "components": {
            "schemas": schemas,
            "messages": messages,
            "correlationIds": {"id": {"description": "A reply echoes it.", "location": "$message.payload#/id"}},
            "securitySchemes": {
                "bearer": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "In the handshake's Authorization header, or as a subprotocol entry `bearer.TOKEN`;"
                    " the `token` of `hello` does the same. Never in the URL.",
                }
            },
        },
    }  # fmt: skip


def _servers() -> Json:
    def host(bind: str) -> Json:
        return {"host": "{host}", "variables": {"host": {"default": bind, "description": "Host and port of the node."}}}

    return {
        "websocket": {
            **host(Http().bind),
            "pathname": PATH.decode(),
            "protocol": "ws",
            "description": "One frame a message, JSON as text or MessagePack as binary, as the subprotocol says; `wss`"
            " where there is TLS.",
            "security": [{"$ref": "#/components/securitySchemes/bearer"}],
        },
        "tcp": {
            **host(Tcp().bind),
            "protocol": "tcp",
            "description": "One frame a line, as JSON. The credential is the `token` of `hello`.",
        },
    }


def _channel(messages: Iterable[str]) -> Json:
    subprotocol = {"type": "string", "enum": list(SUBPROTOCOLS), "default": next(iter(SUBPROTOCOLS))}
    headers = {"type": "object", "properties": {"Sec-WebSocket-Protocol": subprotocol}}
    return {
        "address": None,
        "title": "A session",
        "description": "All rooms of the user that signed in: there is nothing to subscribe to.",
        "servers": [{"$ref": "#/servers/websocket"}, {"$ref": "#/servers/tcp"}],
        "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
        "bindings": {"ws": {"method": "GET", "headers": headers, "bindingVersion": "0.1.0"}},
        "x-close-codes": [
            {"number": close.number, "name": close.name, "reconnect": close.reconnect, "meaning": close.meaning}
            for close in CLOSES
        ],
    }


# ---------------------------------------------------------------------------------------------- operations


def _request(kind: type[req.AnyRequest]) -> Json:
    row = CATALOGUE[kind]
    needs = f"Needs the scope `{row.scope}`." if row.scope else "Needs no scope."
    when = "" if row.always_replies or not row.replies else " Without an `id` only a refusal is told."
    told: Json = {
        "action": "receive",
        "channel": {"$ref": _CHANNEL},
        "title": _tag(kind),
        "description": f"{_own_text(kind)} {needs}{when}".strip(),
        "messages": _messages([kind], CLIENT),
        "x-scope": row.scope,
    }
    if row.replies:
        told["reply"] = {"channel": {"$ref": _CHANNEL}, "messages": _messages([*row.replies, replies.Error], SERVER)}
    return told


def _event(kind: type[msgspec.Struct]) -> Json:
    what = "A fact: it has a `seq`, and comes once, in order." if kind in FACTS else "It has no `seq`."
    return {
        "action": "send",
        "channel": {"$ref": _CHANNEL},
        "title": _tag(kind),
        "description": f"{_own_text(kind)} {what}".strip(),
        "messages": _messages([kind], SERVER),
    }


def _messages(kinds: Sequence[type[msgspec.Struct]], prefix: str) -> list[Json]:
    return [{"$ref": f"{_CHANNEL}/messages/{key}"} for key, _ in _keys(kinds, prefix)]


# ---------------------------------------------------------------------------------------------- frames


def _message(kind: type[msgspec.Struct], key: str, schemas: Json) -> Json:
    schema = schemas[key]
    told: Json = {
        "name": _tag(kind),
        "title": _tag(kind),
        "payload": {"$ref": REF.format(name=key)},
        "examples": [{"payload": example(schema, schemas)}],
    }
    if "id" in schema["properties"]:
        told["correlationId"] = {"$ref": _ID}
    if _own_text(kind):
        told["summary"] = _own_text(kind)
    return told


def _schemas(kinds: Sequence[type[msgspec.Struct]], prefix: str) -> Json:
    found = described(kinds, prefix)
    for kind in structs(kinds):
        schema = found[f"{prefix}{kind.__name__}"]
        properties = schema["properties"]
        if not kind.__struct_config__.omit_defaults:
            schema["required"] = list(properties)
        for name, property_ in properties.items():
            properties[name] = _plain(property_, bool(kind.__struct_config__.omit_defaults))
    return found


def _plain(schema: Json, omitted: bool) -> Json:
    """The schema without the keywords that AsyncAPI's schemas, which are those of draft 7, do not know; and without
    null, where a field without a value is `omitted`."""
    if len(schema.get("enum", ())) == 1:
        return {"const": schema["enum"][0]}
    if "items" in schema:
        return schema | {"items": _plain(schema["items"], omitted)}
    if "anyOf" not in schema:
        return schema
    plain = {name: value for name, value in schema.items() if name != "discriminator"}
    if not omitted or schema.get("default", ...) is not None:
        return plain
    del plain["default"]
    kinds = [kind for kind in plain.pop("anyOf") if kind != {"type": "null"}]
    return plain | (kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def _keys(kinds: Iterable[type[msgspec.Struct]], prefix: str) -> list[tuple[str, Any]]:
    return [(f"{prefix}{kind.__name__}", kind) for kind in kinds]


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _own_text(kind: type[Any]) -> str:
    """A class's own docstring; a base's says nothing of it."""
    return flat(kind.__dict__.get("__doc__") or "")
