"""The AsyncAPI document as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from gochat.http.describe.asyncapi import SERVER
from gochat.http.describe.page.fields import fields
from gochat.http.describe.page.markup import code, definitions, element, link, paragraph, prose, sample
from gochat.http.describe.page.rest import Part
from gochat.http.describe.schemas import Json


def parts(document: Json) -> Iterator[Part]:
    """Requests, replies, events, and the schemas they are made of. A frame's anchor is the key of its message."""
    messages, schemas = document["components"]["messages"], document["components"]["schemas"]
    operations = document["operations"].values()
    requests = {_sent(told): told for told in operations if told["action"] == "receive"}
    events = {_sent(told): told for told in operations if told["action"] == "send"}
    answers = {_key(ref): None for told in requests.values() for ref in told.get("reply", {"messages": ()})["messages"]}
    yield Part(
        "sockets.requests",
        "Requests",
        [(key, code(messages[key]["name"])) for key in requests],
        "".join(_frame(key, document, told) for key, told in requests.items()),
    )
    yield Part(
        "sockets.replies",
        "Replies",
        [(key, code(messages[key]["name"])) for key in answers],
        "".join(_frame(key, document) for key in answers),
    )
    yield Part(
        "sockets.events",
        "Events",
        [(key, code(messages[key]["name"])) for key in events],
        # Frames that are replies as well are described there.
        "".join(_frame(key, document, told) for key, told in events.items() if key not in answers),
    )
    rest = [key for key in schemas if key not in messages]
    yield Part(
        "sockets.parts",
        "Parts",
        [(key, code(key.rpartition(".")[2])) for key in rest],
        "".join(_part(key, schemas[key]) for key in rest),
    )


def _key(reference: Json) -> str:
    return str(reference["$ref"].rpartition("/")[2])


def _sent(operation: Json) -> str:
    return _key(operation["messages"][0])


def _frame(key: str, document: Json, operation: Json | None = None) -> str:
    message, schema = document["components"]["messages"][key], document["components"]["schemas"][key]
    answers = [_key(ref) for ref in (operation or {}).get("reply", {"messages": ()})["messages"]]
    text = operation["description"] if operation is not None else message.get("summary", "")
    arrow = f" <span class='kind'>→ {_frames(answers, document)}</span>" if answers else ""
    return element(
        "section",
        element("h4", code(message["name"]), arrow),
        paragraph(text),
        fields(schema, told=key.startswith(SERVER)),
        *(sample(each["payload"]) for each in message["examples"]),
        id=key,
    )


def _frames(keys: Iterable[str], document: Json) -> str:
    messages = document["components"]["messages"]
    return " or ".join(link(f"#{key}", code(messages[key]["name"])) for key in keys)


def _part(key: str, schema: Json) -> str:
    name = key.rpartition(".")[2]
    return element(
        "section",
        element("h4", code(name)),
        paragraph(schema.get("description", "")),
        fields(schema, told=key.startswith(SERVER)),
        id=key,
    )


def servers(document: Json) -> str:
    def entry(name: str, told: Json) -> tuple[str, str]:
        host = told["host"].replace("{host}", told["variables"]["host"]["default"])
        address = f"{told['protocol']}://{host}{told.get('pathname', '')}"
        return f"<b>{escape(name)}</b> {code(address)}", prose(told["description"])

    bearer = document["components"]["securitySchemes"]["bearer"]["description"]
    listed = definitions((entry(name, told) for name, told in document["servers"].items()), class_="fields")
    return f"{listed}{paragraph(f'The token goes {bearer[0].lower()}{bearer[1:]}')}"


def close_codes(document: Json) -> str:
    def entry(close: Json) -> tuple[str, str]:
        then = "connect again" if close["reconnect"] else "do not connect again"
        term = code(str(close["number"])) + element("span", f" {close['name']}: {then}", class_="kind")
        return term, prose(close["meaning"])

    return definitions(map(entry, document["channels"]["session"]["x-close-codes"]), class_="fields")
