"""JSON Schema 2020-12 for every YAML and JSON document, and the one function that applies them.

* `NAME.json` beside this file is the whole truth about a document's shape: validation, help and OpenAPI read it.
* Nothing is ever fetched: a reference resolves to a file here or not at all.
* The first problem is reported, by the path of the field it is at.
* A path and a sentence about an error are short, whatever the schema and the value hold.

>>> validate("review", {"decision": "maybe", "by": "bob", "at": "2026-11-21T00:00:00Z"}, "review")
Traceback (most recent call last):
taskrepo.errors.Invalid: invalid-field: review.decision: 'maybe' is not one of approved, rejected
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT202012

from taskrepo.errors import Invalid

NAMES: Final = ("manifest", "sealed", "files", "record", "entry", "review", "actor", "policy", "commands", "problem")
_SHOWN: Final = 60
_MAX_PATH: Final = 240
_MAX_SENTENCE: Final = 300
_LISTED: Final = 20
_MOST_ERRORS: Final = 200
_OTHER_SHAPE: Final = ("type", "enum", "const")  # what says of a value that another shape was meant
_NAME: Final = re.compile(r"[\w$-]+")


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
        raise Invalid("invalid-field", error_path(where, error), error_sentence(error))


def unique_items(
    validator: Any, wanted: bool, items: object, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """`uniqueItems` in linear time: jsonschema's own compares all pairs as soon as the items are of several types."""
    if not wanted or not isinstance(items, list) or len(items) > schema.get("maxItems", len(items)):
        return
    if len({json.dumps(item, sort_keys=True) for item in items}) < len(items):
        yield ValidationError("has an entry twice")


def _closed(validator: Any, allowed: object, data: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """`additionalProperties`, true or false as it stands here: jsonschema's own sorts and spells out all it finds."""
    if not allowed and isinstance(data, dict) and not data.keys() <= schema.get("properties", {}).keys():
        yield ValidationError("has an unknown field")


def _items(validator: Any, items: object, data: object, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """`items`, where there are no more than `maxItems`: of a list that is too long none has to be looked at."""
    if not isinstance(data, list) or len(data) <= schema.get("maxItems", len(data)):
        yield from _ITEMS(validator, items, data, schema)


_ITEMS: Final = Draft202012Validator.VALIDATORS["items"]


def _is_integer(checker: object, value: object) -> bool:
    """Whether it is one in Python as well: JSON Schema takes 7.0 for an integer, and the rules would count with it."""
    return isinstance(value, int) and not isinstance(value, bool)


_TYPES: Final = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
_OWN: Final = {"uniqueItems": unique_items, "additionalProperties": _closed, "items": _items}
_VALIDATOR: Final = extend(Draft202012Validator, _OWN, type_checker=_TYPES)


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
    """The likeliest of the shallowest problems, among the first: a long list may have one in each entry."""
    error = min(islice(errors, _MOST_ERRORS), key=lambda e: len(e.absolute_path), default=None)
    return error and likeliest(error)


def likeliest(error: ValidationError) -> ValidationError:
    """The problem itself; where a value may have one of several shapes, the problem within the likeliest."""
    while error.validator in ("anyOf", "oneOf") and error.context:
        inside = len(error.absolute_path)
        fitting = [e for e in error.context if e.validator not in _OTHER_SHAPE or len(e.absolute_path) > inside]
        if not fitting:
            break
        error = min(fitting, key=lambda e: len(e.absolute_path))
    return error


def error_path(where: str, error: ValidationError) -> str:
    """The path of the field an error is about, as `field_path` has it."""
    extra = _culprit(error)
    return field_path(where, [*error.absolute_path, *([extra] if extra else [])])


def field_path(where: str, steps: Iterable[str | int]) -> str:
    """The path of a field, from `where` on, as `where.rows[3].name`: at most 250 characters beside `where`."""
    path = ""
    for step in steps:
        if isinstance(step, str) and _NAME.fullmatch(step):
            path += f".{step[:_SHOWN]}" if path or where else step[:_SHOWN]
        else:
            path += f"[{_cut(json.dumps(step[:_SHOWN], ensure_ascii=False)) if isinstance(step, str) else step}]"
    return where + (path if len(path) <= _MAX_PATH else f"{path[: _MAX_PATH // 2]}…{path[-_MAX_PATH // 2 :]}")


def error_sentence(error: ValidationError) -> str:
    """What is expected and what is there, as follows the path: at most 300 characters."""
    return _sentence(error)[:_MAX_SENTENCE]


def _culprit(error: ValidationError) -> str:
    """The field that is missing or unknown, which the path itself does not reach."""
    if error.validator == "required":
        return str(next(name for name in error.validator_value if name not in error.instance))
    if error.validator == "additionalProperties":
        return str(_unknown(error))
    return ""


def _unknown(error: ValidationError) -> object:
    return next(name for name in error.instance if name not in error.schema.get("properties", {}))


def _sentence(error: ValidationError) -> str:
    limit = error.validator_value
    match error.validator:
        case None:
            return "is not allowed here"
        case "required":
            return "is required"
        case "additionalProperties":
            return f"is not a known field; known are {_listed(sorted(error.schema.get('properties', {}))) or 'none'}"
        case "enum":
            return f"{_show(error.instance)} is not one of {_listed(limit)}"
        case "const":
            return f"must be {_show(limit)}, not {_show(error.instance)}"
        case "type":
            return f"must be {_types(limit)}, not {_types(_type_of(error.instance))}"
        case "pattern":
            return f"{_show(error.instance)} is not of the right form{_hint(error)}"
        case "uniqueItems":
            return "has an entry twice"
        case "not" if not limit:
            return "is not allowed here"
        case "not":
            return f"{_show(error.instance)} has a form that is ruled out here"
        case "anyOf" | "oneOf":
            return _no_form(error)
    return _limit_sentence(error)


def _limit_sentence(error: ValidationError) -> str:
    """About a bound that a number or a size is over or under."""
    limit = error.validator_value
    match error.validator:
        case "minLength" | "minItems" | "minProperties":
            return "must not be empty" if limit == 1 else f"must have at least {limit} {_unit(error)}"
        case "maxLength" | "maxItems" | "maxProperties":
            return f"has {len(error.instance)} {_unit(error)}; at most {limit} are allowed"
        case "items":  # the schema is false: there may only be those that `prefixItems` names
            allowed = len(error.schema.get("prefixItems", ()))
            return f"has {len(error.instance)} entries; at most {allowed} are allowed"
        case "contains" | "minContains":
            return "has too few entries of the form asked for"
        case "maxContains":
            return "has too many entries of the form asked for"
    relation = _RELATIONS.get(str(error.validator))
    return f"{_show(error.instance)} {relation} {limit}" if relation else str(error.message)[:200]


_RELATIONS: Final = {
    "minimum": "is less than",
    "maximum": "is more than",
    "exclusiveMinimum": "is not more than",
    "exclusiveMaximum": "is not less than",
    "multipleOf": "is not a multiple of",
    "format": "is not a valid",
}


def _no_form(error: ValidationError) -> str:
    if not error.context:
        return "fits more than one of the forms of which it must have one"
    told = dict.fromkeys(_sentence(inner) for inner in error.context[:_LISTED])
    return f"fits none of the forms it may have: {'; or '.join(told)}"


def _hint(error: ValidationError) -> str:
    described = error.schema.get("description", "")
    if not described and "\\u0000" not in error.validator_value:
        return f": it does not match {_cut(error.validator_value)}"
    return f": {described}" if described else " (control characters and blank values are not allowed)"


def _unit(error: ValidationError) -> str:
    return {"Length": "characters", "Items": "entries", "Properties": "fields"}[str(error.validator)[3:]]


def _types(name: str | list[str]) -> str:
    names = {"object": "an object", "array": "a list", "string": "text", "integer": "a whole number"}
    names |= {"null": "null", "empty": "empty"}
    return " or ".join(names.get(each, f"a {each}") for each in ([name] if isinstance(name, str) else name))


def _type_of(value: object) -> str:
    if value is None:
        return "empty"
    pairs = ((bool, "boolean"), (dict, "object"), (list, "array"), (str, "string"), (int, "integer"), (float, "number"))
    return next((name for kind, name in pairs if isinstance(value, kind)), type(value).__name__)


def _listed(values: list[Any]) -> str:
    shown = [value[:_SHOWN] if isinstance(value, str) else _show(value) for value in values[:_LISTED]]
    return ", ".join(shown + ["…"] * (len(values) > _LISTED))


def _show(value: object) -> str:
    """A value in few words: a list or an object by its size, the beginning of a text."""
    if isinstance(value, dict | list):
        kind, parts = ("an object", "fields") if isinstance(value, dict) else ("a list", "entries")
        return f"{kind} of {len(value)} {parts}"
    return _cut(repr(str(value[: _SHOWN + 1])) if isinstance(value, str) else json.dumps(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
