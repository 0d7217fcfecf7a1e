"""The OpenAPI 3.1 document of REST: made from the table of operations, the structs that decode and encode, and the one
error table. Nothing of an operation is written here a second time."""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus
from typing import Final

import msgspec

from gochat import __version__
from gochat.domain.ids import MAX_SEQ, NAME_PATTERN
from gochat.errors import BY_NAME, CODES
from gochat.http.describe.schemas import REF, Json, described
from gochat.http.problems import MEDIA_TYPE
from gochat.http.rest.refused import ProblemDetails
from gochat.http.rest.resource import JSON, Operation
from gochat.http.rest.shapes import ROOM_PATTERN, GroupChange, Query, Revocation
from gochat.http.rest.table import OPERATIONS
from gochat.protocol.catalogue import CATALOGUE
from gochat.protocol.requests import Key

_NAME: Final = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
#: The parameters of paths.
_PATH: Final[dict[str, Json]] = {
    "group": {"description": "The group's name.", "schema": _NAME},
    "user": {"description": "The user's id.", "schema": _NAME},
    "report": {"description": "The report's number.", "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,15}$"}},
    "handle": {
        "description": "The device's `handle`, which `/v1/devices` tells.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    },
    "other": {"description": "The other user's id; one's own is refused.", "schema": _NAME},
    "message": {
        "description": f"The room's id (of a private room with its users in byte order), a colon, and the message's"
        f" seq, at most {MAX_SEQ}.",
        "schema": {"type": "string", "pattern": f"^{ROOM_PATTERN}:[1-9][0-9]{{0,10}}$"},
        "example": "group:tea:42",
    },
}
_TAGS: Final = {"type": "string", "description": 'Entity tags, or "*".'}
#: A tag as the server makes them, and most others. Bytes above ASCII are let pass too, but no JSON string can say them.
_TAG: Final = '(W/)?"[!#-~]*"'
_HEADERS: Final[dict[str, Json]] = {
    "Idempotency-Key": {
        "description": "Names the message among its sender's in that room: a repeat makes no second one.",
        "schema": msgspec.json.schema(Key) | {"pattern": "^[ -~]+$"},
    },
    "If-Match": {
        "description": "Go on only if it is still what one of these tags names.",
        "schema": _TAGS | {"pattern": rf"^(\*|{_TAG}([ \t]*,[ \t]*{_TAG})*)$"},
    },
    "If-None-Match": {"description": "Answer 304 if it is still what one of these tags names.", "schema": _TAGS},
}
_TOLD: Final[dict[str, Json]] = {
    "Location": {"description": "Where it is.", "schema": {"type": "string", "format": "uri-reference"}},
    "Link": {"description": 'The next page, as rel="next", if there is one.', "schema": {"type": "string"}},
    "ETag": {"description": "Changes whenever the representation does.", "schema": {"type": "string"}},
    "Idempotent-Replayed": {"description": "`true`: the key was recorded before.", "schema": {"type": "string"}},
    "Gochat-Incomplete": {
        "description": "`?1`: the node is cut off from the others, or behind them. Facts, rooms and entries of lists"
        " that they acknowledged may be missing.",
        "schema": {"type": "string", "const": "?1"},
    },
    "Content-Disposition": {"description": "A name for the file.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "What the token lacks (RFC 6750).", "schema": {"type": "string"}},
}
_NARROWER: Final = {
    412: "It is no longer what `If-Match` names.",
    415: f"The body is not {JSON}, or has a Content-Encoding.",
}


@cache
def document() -> bytes:
    """The document as JSON; always the same bytes."""
    return msgspec.json.encode(build())


def build() -> Json:
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gochat",
            "version": __version__,
            "description": "Private and group chat. The same commands and rules as over WebSocket and TCP; times are"
            " milliseconds since the Unix epoch, UTC. An integer is written without a fraction: 69, not 69.0.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _schemas() -> Json:
    kinds: dict[type, None] = {ProblemDetails: None}
    for operation in OPERATIONS:
        kinds.update({kind: None for kind in (operation.returns, operation.body) if kind is not None})
    schemas = described(kinds)
    schemas[ProblemDetails.__name__]["properties"]["code"]["enum"] = [code.name for code in CODES]
    schemas[GroupChange.__name__]["anyOf"] = [_given(name) for name in GroupChange.__struct_fields__]
    schemas[Revocation.__name__]["oneOf"] = [_given("user"), _given("token")]
    return schemas


def _given(name: str) -> Json:
    """That an object has this field: null is as good as left out."""
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def _operation(operation: Operation) -> Json:
    scope = None if operation.means is None else CATALOGUE[operation.means].scope
    needs = f"Needs the scope `{scope}`." if scope else "Needs a token, whatever its scopes."
    told: Json = {
        "operationId": _operation_id(operation),
        "summary": operation.summary,
        "description": needs if operation.means is not None else "Needs no token.",
        "tags": [operation.path.split("/")[2]],
        "security": [{"bearer": [scope] if scope else []}] if operation.means is not None else [],
        "parameters": [*_path(operation.path), *_query(operation.query), *_heeded(operation)],
        "responses": {
            **{str(status): _success(operation, status) for status in operation.statuses},
            **{str(status): _failure(status, codes) for status, codes in sorted(_failures(operation).items())},
        },
    }
    if operation.body is not None:
        content = {JSON: {"schema": {"$ref": REF.format(name=operation.body.__name__)}}}
        told["requestBody"] = {"required": operation.body_needed, "content": content}
    return told


def _operation_id(operation: Operation) -> str:
    """Such as `groups_create`: the name that a client made from the document calls it by."""
    module = operation.handler.__module__.rpartition(".")[2]
    return f"{module}_{operation.handler.__name__}"


def _path(path: str) -> list[Json]:
    found = []
    for name in re.findall(r"{(\w+)}", path):
        kind = "message" if path.startswith("/v1/messages") else "user"
        what = name if name in ("group", "report", "handle") else kind
        what = "other" if what == "user" and not path.startswith("/v1/groups") else what
        found.append({"name": name, "in": "path", "required": True, **_PATH[what]})
    return found


def _query(kind: type[Query]) -> list[Json]:
    schema = described([kind])[kind.__name__]
    found = []
    for name, property_ in schema["properties"].items():
        told = {"name": name, "in": "query", "required": name in schema["required"], "schema": property_}
        if "description" in property_:
            told["description"] = property_.pop("description")
        found.append(told)
    return found


def _heeded(operation: Operation) -> list[Json]:
    return [{"name": name, "in": "header", "required": False, **_HEADERS[name]} for name in operation.headers]


def _success(operation: Operation, status: int) -> Json:
    names = []
    if status == 201:
        names.append("Location")
    if "Idempotency-Key" in operation.headers:
        names.append("Idempotent-Replayed")
    if "limit" in operation.query.__struct_fields__:
        names.append("Link")
    if status != 204 and {"If-Match", "If-None-Match"}.intersection(operation.headers):
        names.append("ETag")
    if operation.media is not None and status == 200:
        names.append("Content-Disposition")
    asks_data = operation.means is not None and CATALOGUE[operation.means].to_command is None
    if asks_data or "If-Match" in operation.headers:
        names.append("Gochat-Incomplete")
    told: Json = {"description": HTTPStatus(status).phrase}
    if names:
        told["headers"] = {name: _TOLD[name] for name in names}
    if operation.media is not None and status == 200:
        told["content"] = {operation.media: {"schema": {"type": "string", "format": "binary"}}}
    if operation.returns is not None and status in (200, 201):
        told["content"] = {JSON: {"schema": {"$ref": REF.format(name=operation.returns.__name__)}}}
    return told


def _failures(operation: Operation) -> dict[int, list[str]]:
    """Statuses and the codes that come with them."""
    codes = {"bad_request", "unauthorized", "too_large", "unavailable", "internal", *operation.errors}
    row = CATALOGUE[operation.means] if operation.means is not None else None
    if row is not None and row.scope is not None:
        codes.add("forbidden")
    if row is not None and row.to_command is None:
        codes.add("rate_limited")
    if operation.method != "GET":
        codes.add("busy")
    found: dict[int, list[str]] = {}
    for code in CODES:
        if code.name in codes:
            found.setdefault(code.http, []).append(code.name)
    if operation.body is not None:
        found[415] = ["bad_request"]
    if "If-Match" in operation.headers:
        found[412] = ["conflict"]
    return found


def _failure(status: int, codes: list[str]) -> Json:
    text = _NARROWER.get(status) or " ".join(f"`{code}`: {BY_NAME[code].meaning}" for code in codes)
    told: Json = {
        "description": text,
        "content": {MEDIA_TYPE: {"schema": {"$ref": REF.format(name="ProblemDetails")}}},
    }
    names = ["WWW-Authenticate"] * (status in (401, 403)) + ["Retry-After"] * (status in (429, 503))
    if names:
        told["headers"] = {name: _TOLD[name] for name in names}
    return told
