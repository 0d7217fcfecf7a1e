"""JSON schemas of the structs that decode and encode, with the description that the source gives of each field."""

from __future__ import annotations

import ast
import inspect
import sys
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec

Json: TypeAlias = dict[str, Any]

REF: Final = "#/components/schemas/{name}"


def described(kinds: Iterable[type[msgspec.Struct]], prefix: str = "") -> Json:
    """The schemas of `kinds`, and of all they are made of, by name. References are to `#/components/schemas/`, where
    each stands under `prefix` and its name. No two structs may share a name."""
    kinds = list(kinds)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REF.format(name=f"{prefix}{{name}}"))
    for kind in structs(kinds):
        notes = field_notes(kind)
        properties = schemas[kind.__name__]["properties"]
        for field in msgspec.structs.fields(kind):
            if field.name in notes and "$ref" not in properties[field.encode_name]:
                properties[field.encode_name]["description"] = notes[field.name]
    return {f"{prefix}{name}": schema for name, schema in schemas.items()}


def structs(kinds: Iterable[type[msgspec.Struct]]) -> dict[type[msgspec.Struct], None]:
    """`kinds` and all the structs that they are made of, in the order of their first use."""
    found: dict[type[msgspec.Struct], None] = {}
    for kind in kinds:
        if kind not in found:
            found[kind] = None
            parts = (leaf for hint in typing.get_type_hints(kind).values() for leaf in _leaves(hint))
            found.update(structs(part for part in parts if isinstance(part, type) and issubclass(part, msgspec.Struct)))
    return found


def _leaves(hint: Any) -> Iterator[Any]:
    arguments = typing.get_args(hint)
    if not arguments:
        yield hint
    for argument in arguments:
        yield from _leaves(argument)


@cache
def field_notes(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The strings below the fields of a class and of its bases; none where there is no source."""
    notes: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("gochat."):
            notes.update(_module_notes(base.__module__).get(base.__name__, {}))
    return notes


@cache
def _module_notes(module: str) -> dict[str, dict[str, str]]:
    """The notes of a module's classes: it is read and parsed once."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: dict(_notes_of(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def _notes_of(definition: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield field.target.id, flat(value.value)


def flat(text: str) -> str:
    return " ".join(text.split())
