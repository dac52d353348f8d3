"""JSON Schema 2020-12 for every YAML and JSON document, and the one function that applies them.

* `NAME.json` beside this file is the whole truth about a document's shape: validation, help and OpenAPI read it.
* Nothing is ever fetched: a reference resolves to a file here or not at all.
* The first problem is reported, by the path of the field it is at.

>>> validate("review", {"decision": "maybe", "by": "bob", "at": "2026-11-21T00:00:00Z"}, "review")
Traceback (most recent call last):
taskrepo.errors.Invalid: invalid-field: review.decision: 'maybe' is not one of approved, rejected
"""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT202012

from taskrepo.errors import Invalid

NAMES: Final = ("manifest", "files", "record", "entry", "review", "actor", "policy", "commands", "problem")
_SHOWN: Final = 60


@cache
def load(name: str) -> dict[str, Any]:
    """The schema document `NAME.json`, parsed."""
    text = files(__name__).joinpath(f"{name}.json").read_text("utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def validate(name: str, data: object, where: str) -> None:
    """Check plain data against a schema: `manifest`, or a definition within one as `commands/claim`.

    Raises `Invalid("invalid-field", "where.field")` for the first problem, shallowest first.
    """
    error = _first(_validator(name).iter_errors(data))
    if error is not None:
        raise Invalid("invalid-field", _path(where, error), _sentence(error))


def _unique_items(validator: Any, wanted: bool, items: object, schema: object) -> Iterator[ValidationError]:
    """`uniqueItems` in linear time: jsonschema's own compares all pairs as soon as the items are of several types."""
    if wanted and isinstance(items, list) and len({json.dumps(i, sort_keys=True) for i in items}) < len(items):
        yield ValidationError("has an entry twice")


_VALIDATOR: Final = extend(Draft202012Validator, {"uniqueItems": _unique_items})


@cache
def _validator(name: str) -> Any:
    document, _, definition = name.partition("/")
    reference = f"{document}#/$defs/{definition}" if definition else document
    return _VALIDATOR({"$ref": reference}, registry=_registry())


@cache
def _registry() -> Registry[Any]:
    def refuse(uri: str) -> Resource[Any]:
        raise NoSuchResource(ref=uri)  # type: ignore[call-arg]

    # A document that names its dialect would be applied by jsonschema's own class for it, not by the one here.
    plain = ((name, {k: v for k, v in load(name).items() if k != "$schema"}) for name in NAMES)
    documents = ((name, DRAFT202012.create_resource(contents)) for name, contents in plain)
    registry: Registry[Any] = Registry(retrieve=refuse)  # type: ignore[call-arg]
    return registry.with_resources(documents)


def _first(errors: Iterable[ValidationError]) -> ValidationError | None:
    """The shallowest problem; where a value may have one of several shapes, the problem within the likeliest."""
    error = min(errors, key=lambda e: len(e.absolute_path), default=None)
    while error is not None and error.validator == "anyOf" and error.context:
        fitting = [e for e in error.context if e.validator != "type" or len(e.absolute_path) > len(error.absolute_path)]
        if not fitting:
            break
        error = min(fitting, key=lambda e: len(e.absolute_path))
    return error


def _path(where: str, error: ValidationError) -> str:
    path = where
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    extra = _culprit(error)
    return f"{path}.{extra}" if extra and path else extra or path


def _culprit(error: ValidationError) -> str:
    """The field that is missing or unknown, which the path itself does not reach."""
    if error.validator == "required":
        return str(next(name for name in error.validator_value if name not in error.instance))
    if error.validator == "additionalProperties":
        return str(_unknown(error))[:_SHOWN]
    return ""


def _unknown(error: ValidationError) -> object:
    return next(name for name in error.instance if name not in error.schema.get("properties", {}))


def _sentence(error: ValidationError) -> str:
    limit = error.validator_value
    match error.validator:
        case "required":
            return "is required"
        case "additionalProperties":
            return f"is not a known field; known are {', '.join(sorted(error.schema.get('properties', {}))) or 'none'}"
        case "enum":
            return f"{_show(error.instance)} is not one of {', '.join(map(str, limit))}"
        case "type":
            return f"must be {_type(limit)}, not {_type(_type_of(error.instance))}"
        case "minLength" | "minItems" | "minProperties":
            return "must not be empty" if limit == 1 else f"must have at least {limit} {_unit(error)}"
        case "maxLength" | "maxItems":
            return f"has {len(error.instance)} {_unit(error)}; at most {limit} are allowed"
        case "minimum":
            return f"{_show(error.instance)} is less than {limit}"
        case "maximum":
            return f"{_show(error.instance)} is more than {limit}"
        case "pattern":
            return f"{_show(error.instance)} is not of the right form{_hint(error)}"
        case "uniqueItems":
            return "has an entry twice"
    return str(error.message)[:200]


def _hint(error: ValidationError) -> str:
    described = error.schema.get("description", "")
    return f": {described}" if described else " (control characters and blank values are not allowed)"


def _unit(error: ValidationError) -> str:
    return {"Length": "characters", "Items": "entries", "Properties": "field"}[str(error.validator)[3:]]


def _type(name: object) -> str:
    names = {"object": "an object", "array": "a list", "string": "text", "integer": "a whole number", "null": "empty"}
    return names.get(str(name), f"a {name}")


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    pairs = ((bool, "boolean"), (dict, "object"), (list, "array"), (str, "string"), (int, "integer"), (float, "number"))
    return next((name for kind, name in pairs if isinstance(value, kind)), type(value).__name__)


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
