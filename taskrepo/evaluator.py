"""jsonschema with an end: JSON Schema 2020-12 for schemas and values of strangers, every step of it counted.

* A check costs at most `MAX_STEPS` steps, of a few microseconds each, and is at most `MAX_LEVELS` schemas deep; what
  needs more raises `TooCostly`. References in a circle end by the second bound.
* Regular expressions are matched by RE2, in linear time.
* An error quotes no list, object or long text: jsonschema writes what is wrong into every error, also into those that
  nobody reads, so `measured` values write themselves in a few characters.

>>> with counting({}):
...     EVALUATOR({"minimum": 2}).is_valid(measured(1))
False
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.validators import extend

from taskrepo.patterns import Pattern

MAX_STEPS: Final = 1_000_000
"""How many steps one check may cost: a few seconds at the worst."""
MATCHED: Final = 50
"""Characters that a step matches with a pattern of weight one: RE2 without its automaton takes 20 ns for each."""
MAX_LEVELS: Final = 128
"""How many keywords may be at work within each other."""
MAX_FAULTS: Final = 20
"""How many errors a keyword tells of one value."""
FORMATS: Final = ("date", "email", "ipv4", "ipv6", "uuid")
"""The formats that are asserted: those that jsonschema knows by itself, at a cost that is linear."""

_ERROR: Final = 10  # steps that it costs to make an error, and to keep it
_LONG: Final = 100  # characters of a text that is worth shortening

Found = Iterator[ValidationError]
Keyword = Callable[[Any, Any, Any, Any], Found]


class TooCostly(Exception):
    """A check that is at its end before it is done."""


@dataclass(slots=True)
class _Budget:
    """What a check may still cost."""

    patterns: Mapping[str, Pattern]
    left: int = MAX_STEPS
    level: int = 0
    weights: dict[int, int] = field(default_factory=dict)
    resolved: dict[str, Any] = field(default_factory=dict)

    def spend(self, steps: int) -> None:
        """Count steps. Raises `TooCostly`."""
        self.left -= steps
        if self.left < 0:
            raise TooCostly

    def weight(self, value: object) -> int:
        """What it costs to go through a part of the schema, or to write it into an error."""
        if (known := self.weights.get(id(value))) is None:
            known = self.weights[id(value)] = 1 + len(repr(value)) // 100
        return known

    def found(self, source: str, text: str) -> bool:
        """Whether a pattern occurs in the text."""
        pattern = self.patterns[source]
        self.spend(len(text) * pattern.weight // MATCHED)
        return pattern.within(text)


_BUDGET: Final[ContextVar[_Budget]] = ContextVar("budget")


@contextmanager
def counting(patterns: Mapping[str, Pattern], steps: int = MAX_STEPS) -> Iterator[None]:
    """Count what `EVALUATOR` and `measured` do in the block; `patterns` has all of the schema's, by their source."""
    token = _BUDGET.set(_Budget(patterns, steps))
    try:
        yield
    finally:
        _BUDGET.reset(token)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Entries(list[Any]):
    __slots__ = ()

    def __repr__(self) -> str:
        return "[…]"


class _Fields(dict[str, Any]):
    __slots__ = ()

    def __repr__(self) -> str:
        return "{…}"


class _Text(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


def measured(value: Any) -> Any:
    """Plain data as `EVALUATOR` takes it: equal to what it was, with 1.0 as 1. Raises `TooCostly`."""
    if isinstance(value, str):
        return _Text(value) if len(value) > _LONG else value
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 63 else value
    if isinstance(value, dict | list):
        _BUDGET.get().spend(1 + len(value) // 16)
        if isinstance(value, list):
            return _Entries(map(measured, value))
        return _Fields((measured(name), measured(inner)) for name, inner in value.items())
    return value


# ── keywords ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _counted(keyword: str, function: Keyword) -> Keyword:
    def step(validator: Any, argument: Any, value: Any, schema: Any) -> Found:
        budget = _BUDGET.get()
        budget.spend(budget.weight(argument) + _breadth(keyword, argument, value))
        budget.level += 1
        if budget.level > MAX_LEVELS:
            raise TooCostly
        try:
            for error in islice(function(validator, argument, value, schema), MAX_FAULTS):
                if not error.schema_path:  # made here, not further in
                    budget.spend(_ERROR)
                yield error
        finally:
            budget.level -= 1

    return step


def _breadth(keyword: str, argument: Any, value: Any) -> int:
    """How many schemas a keyword applies at least, and how much of the value it goes through."""
    if keyword == "$ref":
        return 5
    if keyword in ("allOf", "anyOf", "oneOf"):
        return len(argument)
    if isinstance(value, str):
        return len(value) // 2000
    if isinstance(value, dict | list):
        if keyword in ("items", "contains", "additionalProperties", "propertyNames"):
            return len(value)
        if keyword == "patternProperties":
            return len(value) * len(argument)
        if keyword in ("properties", "dependentSchemas", "prefixItems"):
            return min(len(argument), len(value))
    return 0


def _ref(validator: Any, reference: str, value: object, schema: Any) -> Found:
    """Each reference is looked up once: all are of one document, and a look-up costs as much as thirty steps."""
    known = _BUDGET.get().resolved
    if (found := known.get(reference)) is None:
        found = known[reference] = validator._resolver.lookup(reference)
    yield from validator.descend(value, found.contents, resolver=found.resolver)


def _required(validator: Any, names: list[str], value: object, schema: Any) -> Found:
    """One error for each name, which says which."""
    if isinstance(value, dict):
        yield from (ValidationError("is required", validator_value=[n]) for n in names if n not in value)


def _additional(validator: Any, inner: Any, value: object, schema: Any) -> Found:
    """One error for each name, about it alone."""
    if not isinstance(value, dict):
        return
    known, sources = schema.get("properties", {}), tuple(schema.get("patternProperties", ()))
    found = _BUDGET.get().found
    for name in value:
        if name in known or any(found(source, name) for source in sources):
            continue
        if inner is False:
            yield ValidationError("is not a known field", instance={name: None})
        else:
            yield from validator.descend(value[name], inner, path=name)


def _pattern_properties(validator: Any, inner: dict[str, Any], value: object, schema: Any) -> Found:
    if isinstance(value, dict):
        found = _BUDGET.get().found
        for source, applied in inner.items():
            for name in value:
                if found(source, name):
                    yield from validator.descend(value[name], applied, path=name, schema_path=source)


def _pattern(validator: Any, source: str, value: object, schema: Any) -> Found:
    if isinstance(value, str) and not _BUDGET.get().found(source, value):
        yield ValidationError("is not of the right form")


def _unique(validator: Any, wanted: bool, value: object, schema: Any) -> Found:
    """In linear time, which jsonschema's own is not."""
    seen = set()
    for entry in value if wanted and isinstance(value, list) else ():
        text = json.dumps(entry, sort_keys=True)
        _BUDGET.get().spend(1 + len(text) // 100)
        if text in seen:
            yield ValidationError("has an entry twice")
            return
        seen.add(text)


def _multiple(validator: Any, factor: Any, value: Any, schema: Any) -> Found:
    """As decimal numbers, which is what people write: 0.3 is a multiple of 0.1."""
    if validator.is_type(value, "number") and (Fraction(str(value)) / Fraction(str(factor))).denominator != 1:
        yield ValidationError("is not a multiple")


def _format(validator: Any, name: str, value: object, schema: Any) -> Found:
    if isinstance(value, str) and name in FORMATS and not _FORMATS.conforms(value, name):
        yield ValidationError("is not of the format")


_FORMATS: Final = FormatChecker(FORMATS)
_OWN: Final[dict[str, Keyword]] = {
    "$ref": _ref,
    "required": _required,
    "additionalProperties": _additional,
    "patternProperties": _pattern_properties,
    "pattern": _pattern,
    "uniqueItems": _unique,
    "multipleOf": _multiple,
    "format": _format,
}
EVALUATOR: Final = extend(
    Draft202012Validator,
    {name: _counted(name, function) for name, function in {**Draft202012Validator.VALIDATORS, **_OWN}.items()},
)
"""jsonschema's class for the dialect, to be used while `counting`."""
