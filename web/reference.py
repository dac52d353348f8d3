"""The API's description for reading: the OpenAPI document as tables of operations, fields and shapes.

* Everything shown is taken from the document that the API serves, so the two cannot tell different things.
* A reference to a shape becomes a link to it; nothing is expanded twice, so a shape that holds itself is no danger.

>>> [group.title for group in groups()][:2]
['Tasks', 'Commands']
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from taskrepo.web import openapi
from taskrepo.web.present import API

Json = dict[str, Any]

_GROUPS: Final = (
    ("Tasks", "tasks"), ("Commands", "commands"), ("Files and archives", "files"), ("Versions", "versions"),
    ("Uploads", "uploads"), ("Work", "work"), ("Webhooks", "webhooks"), ("Actors and keys", "actors"),
    ("The exchange", "exchange"),
)  # fmt: skip
_WORDS: Final = {"string": "text", "integer": "whole number", "any": "anything", "boolean": "true or false"}
_SCHEMAS: Final = "#/components/schemas/"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be, in words; `shape` is the name of a shape to look up, or empty."""

    words: str
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter or a field: its name, kind, and what there is to say; `place` is path, query or header."""

    name: str
    kind: Kind
    required: bool
    about: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `takes` are the content types of its body, `body` the fields of a JSON one."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[Entry, ...]
    takes: tuple[str, ...]
    form: str
    body: tuple[Entry, ...]
    answers: tuple[tuple[str, str, Kind], ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that belong together."""

    title: str
    id: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A named shape of JSON."""

    name: str
    about: str
    fields: tuple[Entry, ...]


@cache
def groups() -> tuple[Group, ...]:
    """All operations, grouped."""
    sorted_in: dict[str, list[Operation]] = {ident: [] for _, ident in _GROUPS}
    for path, operations in openapi.document()["paths"].items():
        for method, described in operations.items():
            sorted_in[_group(path, method)].append(_operation(path, method, described))
    return tuple(Group(title, ident, tuple(sorted_in[ident])) for title, ident in _GROUPS)


@cache
def shapes() -> tuple[Shape, ...]:
    """The named shapes that answers and bodies are made of, by name."""
    known = openapi.document()["components"]["schemas"]
    named = sorted(name for name in known if not name.endswith("Body"))
    return tuple(Shape(name, known[name].get("description", ""), _fields(known[name])) for name in named)


def kind(schema: Json) -> Kind:
    """What a schema allows, in words.

    >>> kind({"type": ["string", "null"]}).words
    'text or null'
    >>> kind({"type": "array", "items": {"$ref": "#/components/schemas/File"}})
    Kind(words='list of File', shape='File')
    """
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(_SCHEMAS)
        return Kind(name, name)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            kinds = [kind(each) for each in schema[word]]
            words = " or ".join(dict.fromkeys(each.words for each in kinds))
            return Kind(words, next((each.shape for each in kinds if each.shape), ""))
    if "enum" in schema:
        return Kind(" | ".join("null" if value is None else str(value) for value in schema["enum"]))
    if "const" in schema:
        return Kind(str(schema["const"]))
    return _typed(schema)


def _typed(schema: Json) -> Kind:
    types = schema.get("type", "any")
    types = types if isinstance(types, list) else [types]
    if "array" in types:
        item = kind(schema.get("items", {}))
        return Kind(f"list of {item.words}" + (" or null" if "null" in types else ""), item.shape)
    if "object" in types and isinstance(schema.get("additionalProperties"), dict):
        item = kind(schema["additionalProperties"])
        return Kind(f"object of {item.words}", item.shape)
    return Kind(" or ".join(_WORDS.get(name, str(name)) for name in types) + _limits(schema))


def _limits(schema: Json) -> str:
    least = next((schema[name] for name in ("minimum", "minLength") if name in schema), None)
    most = next((schema[name] for name in ("maximum", "maxLength") if name in schema), None)
    unit = " characters" if "maxLength" in schema or "minLength" in schema else ""
    if most is not None:
        return f", {least if least is not None else 'up'} to {most}{unit}"
    return f", at least {least}{unit}" if least is not None else ""


def _group(path: str, method: str) -> str:
    parts = path.removeprefix(f"{API}/").split("/")
    if parts[0] == "tasks":
        if "archive" in parts[-1] or "files" in parts:
            return "files"
        if "versions" in parts:
            return "versions"
        return "commands" if method == "post" and len(parts) > 1 else "tasks"
    known = {"ingest": "tasks", "uploads": "uploads", "queue": "work", "events": "work", "stats": "work",
             "webhooks": "webhooks"}  # fmt: skip
    return known.get(parts[0], "actors" if parts[0] in ("me", "actors") else "exchange")


def _operation(path: str, method: str, described: Json) -> Operation:
    content = described.get("requestBody", {}).get("content", {})
    answers, errors = [], []
    for status, response in described["responses"].items():
        if status >= "400":
            errors.append(status)
        else:
            answers.append((status, response.get("description", ""), _answered(response)))
    form = content.get("multipart/form-data", {}).get("schema", {}).get("description", "")
    body = content.get("application/json", {}).get("schema", {})
    return Operation(
        described["operationId"], method.upper(), path, described["summary"], described.get("description", ""),
        tuple(_parameters(described)), tuple(content), form, _fields(_resolved(body)), tuple(answers),
        tuple(sorted(errors)),
    )  # fmt: skip


def _parameters(described: Json) -> Iterator[Entry]:
    for each in described.get("parameters", ()):
        schema = each["schema"]
        yield Entry(
            each["name"], kind(schema), bool(each.get("required")),
            each.get("description", "") or schema.get("description", ""), each["in"],
        )  # fmt: skip


def _answered(response: Json) -> Kind:
    for media_type, content in response.get("content", {}).items():
        schema = content.get("schema")
        return kind(schema) if schema else Kind("bytes" if media_type == "*/*" else media_type)
    return Kind("nothing")


def _fields(schema: Json) -> tuple[Entry, ...]:
    needed = schema.get("required", ())
    parts = (*map(_resolved, schema.get("allOf", ())), schema)
    properties = {name: each for part in parts for name, each in part.get("properties", {}).items()}
    return tuple(
        Entry(name, kind(each), name in needed, each.get("description", ""))
        for name, each in properties.items() if isinstance(each, dict)
    )  # fmt: skip


def _resolved(schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    named: Json = openapi.document()["components"]["schemas"][str(schema["$ref"]).removeprefix(_SCHEMAS)]
    return named
