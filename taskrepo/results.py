"""What a manifest says about `result.json`, and what is wrong with one.

* Schemas are JSON Schema 2020-12, applied by jsonschema; what it cannot apply in countable steps is refused with the
  manifest, not with a submission. Nothing is ever fetched.
* The verdict on a result is a function of the schema's text and the result's bytes alone; bytes come from strangers.
* Every check has an end: `evaluator` counts what it costs, and stops it.

>>> faults('{"required":["count"]}', b"{}")
(Fault(path='result.count', message='is required'),)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from jsonschema_specifications import REGISTRY
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from taskrepo.documents import load_json
from taskrepo.errors import Invalid, Refused
from taskrepo.evaluator import EVALUATOR, MAX_FAULTS, TooCostly, counting, measured
from taskrepo.model import Manifest
from taskrepo.patterns import Pattern, check_glob, regex
from taskrepo.policy import RESULT
from taskrepo.schema import error_path, error_sentence, field_path, likeliest, unique_items

MAX_SCHEMA: Final = 32 << 10
"""How many bytes of JSON a schema may have."""
MAX_RESULT: Final = 16 << 20
"""How many bytes a result that is checked may have."""
MAX_DEPTH: Final = 32
"""How deep a schema may be nested."""
MAX_PARTS: Final = 2000
"""How many lists, objects, trues and falses a schema may hold."""
MAX_PATTERNS: Final = 50
"""How many regular expressions a schema may hold."""

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_UNCOUNTABLE: Final = "is not taken here, because its cost cannot be counted"
_REFUSED: Final = {
    "$dynamicRef": f"{_UNCOUNTABLE}; use $ref",
    "$dynamicAnchor": f"{_UNCOUNTABLE}; use $anchor",
    "unevaluatedProperties": f"{_UNCOUNTABLE}; use additionalProperties",
    "unevaluatedItems": f"{_UNCOUNTABLE}; use prefixItems and items",
    "dependencies": "is of an older dialect; use dependentRequired or dependentSchemas",
    "$id": "only the whole schema can have an $id; use $anchor",
    "$schema": f"can only stand at the top, and be {DIALECT}",
}

_WHOLE: Final = "schema"

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one place of a result, as `result.rows[3].name`, and a sentence that follows the path."""

    path: str
    message: str


def check_schema(text: str, where: str = "manifest.result_schema") -> None:
    """Raise `Invalid` naming the place if the text is not a schema (JSON Schema 2020-12) that can be applied here."""
    _read(text, where)


def check_manifest(manifest: Manifest, where: str = "manifest") -> None:
    """Raise `Invalid` if what a manifest asks of submissions cannot be checked: its schema, or a path of its list."""
    if manifest.result_schema:
        check_schema(manifest.result_schema, f"{where}.result_schema")
    for number, deliverable in enumerate(manifest.deliverables):
        place = f"{where}.deliverables[{number}]"
        check_glob(deliverable.path, f"{place}.path")
        least, most = deliverable.min_bytes, deliverable.max_bytes
        if least is not None and most is not None and least > most:
            raise Invalid("invalid-field", f"{place}.min_bytes", f"{least} is more than max_bytes, {most}")


def faults(schema: str, data: bytes) -> tuple[Fault, ...]:
    """What is wrong with the bytes of a `result.json`, at most 20 things, by a schema that `check_schema` took."""
    validator, patterns = _read(schema, "manifest.result_schema")
    found: list[Fault] = []
    try:
        value = load_json(data, "result", limit=MAX_RESULT)
        with counting(patterns):
            for error in islice(validator.iter_errors(measured(value)), MAX_FAULTS):
                found.append(_fault(error))  # those found before it becomes too costly are told as well
    except Invalid as invalid:
        return (Fault("result", invalid.message.removeprefix("result: ")),)
    except (TooCostly, RecursionError):
        found = [*found[: MAX_FAULTS - 1], Fault("result", "too costly to check: it is too large for this schema")]
    return tuple(found)


def check(manifest: Manifest, data: bytes | None) -> None:
    """Raise `Refused("result-mismatch")` with the faults of a submission's `result.json`.

    `None` says that there is none, which the rule book refuses among all deliverables that are missing. This is a rule
    of admission: `verify` does not check results, since those that are private or large cannot be read in a clone.
    """
    if not manifest.result_schema or data is None:
        return
    found = faults(manifest.result_schema, data)
    if found:
        told = "; ".join(f"{fault.path} {fault.message}" for fault in found)
        listed = [{"path": fault.path, "message": fault.message} for fault in found]
        raise Refused("result-mismatch", f"{RESULT} does not fit the manifest's schema: {told}", faults=listed)


def _fault(error: ValidationError) -> Fault:
    named = likeliest(error)
    message = error_sentence(named)
    if "propertyNames" in named.schema_path:
        message = f"one of its names {message}"
    return Fault(error_path("result", named), message)


# ── reading a schema ────────────────────────────────────────────────────────────────────────────────────────────────


@lru_cache(maxsize=32)
def _read(text: str, where: str) -> tuple[Any, dict[str, Pattern]]:
    """What applies a schema, and its patterns by their source. Raises `Invalid`."""
    document = load_json(text.encode("utf-8", "surrogatepass"), where, limit=MAX_SCHEMA)
    if not isinstance(document, dict):
        raise Invalid("bad-schema", where, "must be an object")
    _check_size(document, where)
    if str(document.get("$schema", DIALECT)).removesuffix("#") != DIALECT:
        raise _no_schema(where, ("$schema",), _REFUSED["$schema"])
    error = next(_META.iter_errors(document), None)
    if error is not None:
        named = likeliest(error)
        raise Invalid("bad-schema", error_path(where, named), error_sentence(named))
    # Without these two, references stay inside, and jsonschema stays with the evaluator that counts.
    top = {key: value for key, value in document.items() if key not in ("$schema", "$id")}
    schemas = _schemas(top)
    places = {id(value): place for place, value in _parts(top)}
    for schema in schemas:
        if keyword := next((each for each in schema if each in _REFUSED), None):
            raise _no_schema(where, (*places[id(schema)], keyword), _REFUSED[keyword])
    registry: Registry[Any] = Registry().with_resource(_WHOLE, DRAFT202012.create_resource(top)).crawl()
    known = {id(schema) for schema in schemas}
    for schema in schemas:
        if "$ref" in schema and not _leads_to(registry, schema["$ref"], known):
            message = f"{schema['$ref'][:60]!r} leads to no schema in this document"
            raise _no_schema(where, (*places[id(schema)], "$ref"), message)
    sources = {source: (*places[id(schema)], *step) for schema in schemas for source, step in _sources(schema)}
    if len(sources) > MAX_PATTERNS:
        raise Invalid("bad-schema", where, f"has {len(sources)} patterns; at most {MAX_PATTERNS} are allowed")
    patterns = {source: regex(source, field_path(where, place)) for source, place in sources.items()}
    return EVALUATOR({"$ref": _WHOLE}, registry=registry), patterns


def _parts(document: object) -> Iterator[tuple[Place, Any]]:
    """Every value in the document, and its place."""
    waiting: list[tuple[Place, Any]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        yield place, value
        if len(place) <= MAX_DEPTH and isinstance(value, dict | list):
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*place, step), each) for step, each in inner]


def _check_size(document: object, where: str) -> None:
    count = 0
    for place, value in _parts(document):
        count += isinstance(value, dict | list | bool)
        if len(place) >= MAX_DEPTH and isinstance(value, dict | list):
            raise Invalid("too-deep", where, f"is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict) and "<<" in value:
            raise _no_schema(where, place, "has the key <<, which the ledger's YAML cannot hold")
    if count > MAX_PARTS:
        raise Invalid("bad-schema", where, f"has {count} lists, objects, trues and falses; at most {MAX_PARTS} may be")


def _schemas(top: dict[str, Any]) -> list[dict[str, Any]]:
    """The schema and all that are in it, but for those that are only true or false."""
    found = [top]
    for schema in found:
        for keyword in {"properties", "patternProperties"} & schema.keys():
            # jsonschema does not say where the value is that a schema of `false` forbids
            schema[keyword] = {k: {"not": {}} if inner is False else inner for k, inner in schema[keyword].items()}
        found += [inner for inner in DRAFT202012.subresources_of(schema) if isinstance(inner, dict)]
    return found


def _leads_to(registry: Registry[Any], reference: str, known: set[int]) -> bool:
    """Whether a reference leads to a known schema of the document."""
    if not reference.startswith("#"):
        return False
    try:
        target = registry.resolver(_WHOLE).lookup(reference).contents
    except (Unresolvable, LookupError, TypeError, ValueError):  # a pointer into a list or a text may be anything
        return False
    return isinstance(target, bool) or id(target) in known


def _sources(schema: dict[str, Any]) -> Iterator[tuple[str, Place]]:
    """The regular expressions of one schema, and where they are in it."""
    if "pattern" in schema:
        yield schema["pattern"], ("pattern",)
    for source in schema.get("patternProperties", {}):
        yield source, ("patternProperties", source)


def _no_schema(where: str, place: Place, message: str) -> Invalid:
    return Invalid("bad-schema", field_path(where, place), message)


def _meta() -> Any:
    # The documents of the dialect name it, and would be applied by jsonschema's own class for it, which compares the
    # entries of a list pair by pair.
    plain = ((uri, {k: v for k, v in REGISTRY.contents(uri).items() if k != "$schema"}) for uri in REGISTRY)
    ours = ((uri, DRAFT202012.create_resource(document)) for uri, document in plain if "/2020-12/" in uri)
    registry: Registry[Any] = Registry().with_resources(ours).crawl()
    return extend(Draft202012Validator, {"uniqueItems": unique_items})({"$ref": DIALECT}, registry=registry)


_META: Final = _meta()
