"""The OpenAPI document as HTML."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from http import HTTPStatus
from typing import Final, NamedTuple

from gochat.http.describe.examples import example
from gochat.http.describe.page.fields import fields, kind, needed
from gochat.http.describe.page.markup import code, definitions, element, link, paragraph, prose, sample
from gochat.http.describe.schemas import Json

#: Before the name of a schema of the document, in its anchor.
ANCHORS: Final = "rest."


class Part(NamedTuple):
    """A heading in the table of contents, its entries as (anchor, markup), and the content below it."""

    anchor: str
    title: str
    entries: list[tuple[str, str]]
    content: str


def parts(document: Json) -> Iterator[Part]:
    """The operations by tag, then the schemas they are made of."""
    schemas = document["components"]["schemas"]
    by_tag: dict[str, list[tuple[str, str, Json]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    for tag, operations in by_tag.items():
        entries = [(f"{ANCHORS}{told['operationId']}", _short(method, path)) for method, path, told in operations]
        content = "".join(_operation(method, path, told, schemas) for method, path, told in operations)
        yield Part(f"{ANCHORS}{tag}", tag.capitalize(), entries, content)
    entries = [(f"{ANCHORS}{name}", code(name)) for name in schemas]
    asked = {name for methods in document["paths"].values() for told in methods.values() for name, _ in _bodies(told)}
    yield Part(
        f"{ANCHORS}schemas",
        "Schemas",
        entries,
        "".join(_schema(name, schemas[name], name not in asked) for name in schemas),
    )
    yield Part(f"{ANCHORS}headers", "Response headers", [], _headers(document))


def _short(method: str, path: str) -> str:
    return f"{_method(method)} {code(path.removeprefix('/v1'))}"


def _method(method: str) -> str:
    return element("span", method, class_=f"method {method.lower()}")


def _operation(method: str, path: str, told: Json, schemas: Json) -> str:
    return element(
        "section",
        element("h4", _method(method), " ", code(path)),
        paragraph(told["summary"], class_="summary"),
        paragraph(told["description"]),
        _parameters(told["parameters"]),
        _body(told, schemas),
        _responses(told["responses"]),
        id=f"{ANCHORS}{told['operationId']}",
    )


def _parameters(parameters: list[Json]) -> str:
    entries = []
    for parameter in parameters:
        schema = parameter["schema"]
        where = element("span", f"{parameter['in']} ·", class_="kind")
        term = f"{code(parameter['name'])} {where} {kind(schema, ANCHORS)}{needed(parameter['required'], schema)}"
        entries.append((term, prose(parameter.get("description", ""))))
    return f"<h5>Parameters</h5>{definitions(entries, class_='fields')}" if entries else ""


def _bodies(told: Json) -> list[tuple[str, str]]:
    """The schemas of an operation's body, each with its media type."""
    content = told.get("requestBody", {}).get("content", {})
    return [(body["schema"]["$ref"].rpartition("/")[2], media) for media, body in content.items()]


def _body(told: Json, schemas: Json) -> str:
    content = ""
    for name, media in _bodies(told):
        optional = "" if told["requestBody"]["required"] else ", may be left out"
        content += element("p", code(media), ": ", link(f"#{ANCHORS}{name}", escape(name)), optional)
        content += paragraph(schemas[name].get("description", "")) + fields(schemas[name], ANCHORS)
        content += sample(example(schemas[name], schemas))
    return f"<h5>Body</h5>{content}" if content else ""


def _responses(responses: Json) -> str:
    well = {status: told for status, told in responses.items() if status < "400"}
    refused = {status: told for status, told in responses.items() if status >= "400"}
    return (
        f"<h5>Responses</h5>{definitions(map(_response, well.items()), class_='fields')}"
        f"<details><summary>Refusals: {', '.join(refused)}</summary>"
        f"{definitions(map(_response, refused.items()), class_='fields')}</details>"
    )


def _response(entry: tuple[str, Json]) -> tuple[str, str]:
    status, told = entry
    phrase = HTTPStatus(int(status)).phrase
    bodies = " ".join(
        kind(body["schema"], ANCHORS) if "schema" in body else code(media)
        for media, body in told.get("content", {}).items()
    )
    text = prose(told["description"]) if told["description"] != phrase else ""
    if told.get("headers"):
        text = f"{text} Headers: {', '.join(code(name) for name in told['headers'])}.".strip()
    return f"<b>{status}</b> {escape(phrase)} {bodies}", text


def _schema(name: str, schema: Json, told: bool) -> str:
    return element(
        "section",
        element("h4", code(name)),
        paragraph(schema.get("description", "")),
        fields(schema, ANCHORS, told=told) or element("p", kind(schema, ANCHORS)),
        id=f"{ANCHORS}{name}",
    )


def _headers(document: Json) -> str:
    """The meaning of each header that responses carry."""
    told: dict[str, Json] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                told.update(response.get("headers", {}))
    return definitions(((code(name), prose(told[name]["description"])) for name in sorted(told)), class_="fields")
