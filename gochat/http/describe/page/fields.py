"""JSON schemas for people: a field's type in a few words, and the list of an object's fields."""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

from gochat.http.describe.page.markup import code, definitions, element, link, prose
from gochat.http.describe.schemas import Json

#: Beyond these a bound says only "as large as a number can be".
_MOST: Final = 2**53


def fields(schema: Json, anchors: str = "", *, told: bool = False) -> str:
    """The fields of an object; `anchors` stands before the name of a schema that is linked to. Fields that may be
    absent are marked in an object that the server sends, required fields in all others."""
    required = schema.get("required", ())
    return definitions(
        (
            (
                f"{code(name)} {kind(property_, anchors)}{needed(name in required, property_, told=told)}",
                prose(property_.get("description", "")),
            )
            for name, property_ in schema.get("properties", {}).items()
            if "const" not in property_  # A frame's type is its heading.
        ),
        class_="fields",
    )


def needed(required: bool, schema: Json, *, told: bool = False) -> str:
    """Whether a value is required, or its default; "" where there is nothing to say."""
    if told:
        return "" if required else " " + element("span", "may be absent", class_="kind")
    if required:
        return " " + element("span", "required", class_="needed")
    default = schema.get("default")
    return f" {element('span', f'default {code(json.dumps(default))}', class_='kind')}" if default is not None else ""


def kind(schema: Json, anchors: str = "") -> str:
    """The type of a value, in words."""
    return element("span", _kind(schema, anchors), class_="kind")


def _kind(schema: Json, anchors: str) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return link(f"#{anchors}{name}", escape(name.rpartition(".")[2]))
    if "anyOf" in schema:
        return " or ".join(_kind(one, anchors) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        most = f"up to {schema['maxItems']} " if "maxItems" in schema else ""
        return f"list of {most}{_kind(schema['items'], anchors)}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of string to {_kind(schema['additionalProperties'], anchors)}"
    return f"{schema.get('type', 'anything')}{_bounds(schema)}"


def _bounds(schema: Json) -> str:
    told = []
    if schema.get("type") == "string":
        told.append(_span(schema.get("minLength"), schema.get("maxLength"), " characters"))
        if "pattern" in schema:
            told.append(code(schema["pattern"]))
        if "format" in schema:
            told.append(escape(schema["format"]))
    else:
        told.append(_span(schema.get("minimum"), schema.get("maximum"), ""))
    said = ", ".join(part for part in told if part)
    return f", {said}" if said else ""


def _span(low: Any, high: Any, unit: str) -> str:
    low = None if low is not None and low <= -_MOST else low
    high = None if high is not None and high >= _MOST else high
    if low is not None and high is not None:
        return f"{low} to {high:,}{unit}"
    if high is not None:
        return f"up to {high:,}{unit}"
    return f"from {low}{unit}" if low else ""
