"""Schemas for results: which are taken, what they find wrong, and that neither can be made to cost much."""

import inspect
import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from taskrepo import parse, plain, results
from taskrepo.documents import dump_yaml
from taskrepo.errors import Invalid, Refused
from taskrepo.evaluator import EVALUATOR, MAX_FAULTS, MAX_STEPS, TooCostly, counting, measured
from taskrepo.model import Manifest
from taskrepo.package import parse_manifest, read_manifest
from taskrepo.results import MAX_DEPTH, MAX_PARTS, MAX_PATTERNS

WHERE = "manifest.result_schema"


def _text(schema: object) -> str:
    return json.dumps(schema)


def _told(schema: object, value: object) -> list[tuple[str, str]]:
    text = _text(schema)
    results.check_schema(text)
    return [(f.path, f.message) for f in results.faults(text, json.dumps(value).encode())]


def _refusal(text: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        results.check_schema(text)
    assert len(caught.value.message) < 600
    return caught.value


def _nested(keyword: str, times: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(times):
        schema = {keyword: schema}
    return schema


# ── schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("schema", "place", "told"),
    [
        ([], "", "must be an object"),
        ({"type": "strin"}, ".type", "'strin' is not one of array, boolean"),
        ({"type": []}, ".type", "must not be empty"),
        ({"type": ["null", "null"]}, ".type", "has an entry twice"),
        ({"type": [5]}, ".type[0]", "5 is not one of"),
        ({"properties": {"a b": {"minLength": -1}}}, '.properties["a b"].minLength', "-1 is less than 0"),
        ({"minItems": 1.5}, ".minItems", "must be a whole number"),
        ({"maxItems": True}, ".maxItems", "must be a whole number"),
        ({"maximum": "5"}, ".maximum", "must be a number"),
        ({"minimum": False}, ".minimum", "must be a number"),
        ({"multipleOf": 0}, ".multipleOf", "0 is not more than 0"),
        ({"uniqueItems": 1}, ".uniqueItems", "must be a boolean"),
        ({"required": "a"}, ".required", "must be a list"),
        ({"required": [1]}, ".required[0]", "must be text"),
        ({"required": ["a", "a"]}, ".required", "has an entry twice"),
        ({"dependentRequired": []}, ".dependentRequired", "must be an object"),
        ({"dependentRequired": {"a": 5}}, ".dependentRequired.a", "must be a list"),
        ({"properties": []}, ".properties", "must be an object"),
        ({"properties": {"a": 5}}, ".properties.a", "must be an object or a boolean"),
        ({"items": [{}]}, ".items", "must be an object or a boolean, not a list"),
        ({"allOf": []}, ".allOf", "must not be empty"),
        ({"anyOf": {}}, ".anyOf", "must be a list"),
        ({"enum": 5}, ".enum", "must be a list"),
        ({"title": 5}, ".title", "must be text"),
        ({"pattern": 5}, ".pattern", "must be text"),
        ({"pattern": "(?=a)"}, ".pattern", "look-ahead is not allowed"),
        ({"patternProperties": {"(a)\\1": {}}}, '.patternProperties["(a)\\\\1"]', "back-references are not allowed"),
        ({"$ref": 5}, ".$ref", "must be text"),
        ({"$ref": "#/$defs/a"}, ".$ref", "'#/$defs/a' leads to no schema in this document"),
        ({"$ref": "#/properties", "properties": {}}, ".$ref", "leads to no schema"),
        ({"$ref": "#/const", "const": {}}, ".$ref", "leads to no schema"),
        ({"$ref": "#nowhere"}, ".$ref", "leads to no schema"),
        ({"$ref": "https://example.org/schema"}, ".$ref", "leads to no schema"),
        ({"$ref": "#/allOf/x", "allOf": [{}]}, ".$ref", "leads to no schema"),
        ({"$ref": "#/title/0", "title": "t"}, ".$ref", "leads to no schema"),
        ({"$ref": "#/default", "default": {"type": 5}}, ".$ref", "leads to no schema"),
        ({"$ref": "other"}, ".$ref", "leads to no schema"),
        ({"items": {"$dynamicRef": "#node"}}, ".items.$dynamicRef", "its cost cannot be counted; use $ref"),
        ({"not": {"$dynamicAnchor": "a"}}, ".not.$dynamicAnchor", "its cost cannot be counted; use $anchor"),
        ({"unevaluatedItems": True}, ".unevaluatedItems", "use prefixItems and items"),
        ({"allOf": [{"unevaluatedProperties": True}]}, ".allOf[0].unevaluatedProperties", "use additionalProperties"),
        ({"$anchor": "1"}, ".$anchor", "'1' is not of the right form: it does not match ^[A-Za-z_]"),
        ({"items": {"$id": "x"}}, ".items.$id", "only the whole schema can have an $id"),
        ({"$id": 5}, ".$id", "must be text"),
        ({"$id": "x#y"}, ".$id", "is not of the right form: it does not match"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ".$schema", "can only stand at the top, and be"),
        ({"items": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}, ".items.$schema", "can only stand at"),
        ({"dependencies": {}}, ".dependencies", "older dialect; use dependentRequired or dependentSchemas"),
        ({"default": {"<<": 1}}, ".default", "has the key <<, which the ledger's YAML cannot hold"),
    ],
)  # fmt: skip
def test_what_is_no_schema_is_refused(schema: object, place: str, told: str) -> None:
    """A document that is no schema, or none that can be applied here, is refused by the place of what is wrong."""
    refused = _refusal(_text(schema))
    assert refused.where == WHERE + place
    assert told in refused.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "bad-json"),
        ('{"a": 1, "a": 2}', "bad-json"),
        ('{"maximum": NaN}', "bad-json"),
        ('{"title": "\ud800"}', "bad-encoding"),
        ('{"title": "' + "x" * 32768 + '"}', "too-long"),
        (_text(_nested("not", MAX_DEPTH)), "too-deep"),
        ('{"default":' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}", "too-deep"),
        ("[" * 5000, "too-deep"),
    ],
)
def test_bad_documents_are_refused(text: str, code: str) -> None:
    """A schema is strict JSON of at most 32 KiB and 32 levels."""
    assert _refusal(text).code == code


def test_bounds_of_schemas() -> None:
    """As many levels, patterns and parts as allowed are fine; one more is refused."""
    results.check_schema(_text(_nested("not", MAX_DEPTH - 1)))
    patterns = {"allOf": [{"pattern": f"a{n}"} for n in range(MAX_PATTERNS)]}
    results.check_schema(_text(patterns))
    assert "51 patterns; at most 50" in _refusal(_text({**patterns, "patternProperties": {"b": {}}})).message
    results.check_schema(_text({"enum": [True] * (MAX_PARTS - 2)}))
    assert "2001 lists, objects" in _refusal(_text({"enum": [True] * (MAX_PARTS - 1)})).message


def test_manifests_are_checked() -> None:
    """A manifest with a bad schema, too many wildcards or bounds the wrong way round is refused wherever it enters."""
    base = {"title": "t", "description": "d"}
    for wrong, where in (
        ({"result_schema": {"items": {"type": 5}}}, "manifest.result_schema.items.type"),
        ({"deliverables": ["words", {"path": "*?" * 20}]}, "manifest.deliverables[1].path"),
        ({"deliverables": [{"path": "a", "min_bytes": 2, "max_bytes": 1}]}, "manifest.deliverables[0].min_bytes"),
    ):
        for enter in (parse.manifest, lambda data: parse_manifest(dump_yaml(data))):
            with pytest.raises(Invalid) as caught:
                enter({**base, **wrong})
            assert caught.value.where == where
    fine = {**base, "deliverables": [{"path": "a", "min_bytes": 1, "max_bytes": 1}], "result_schema": {}}
    assert parse.manifest(fine).result_schema == "{}"


def test_the_deepest_schema_survives_the_ledger() -> None:
    """A schema of the greatest depth is read back from manifest.yaml as it was."""
    manifest = parse.manifest({"title": "t", "description": "d", "result_schema": _nested("not", MAX_DEPTH - 1)})
    written = dump_yaml(plain.manifest_to(manifest))
    assert read_manifest(written) == parse_manifest(written) == manifest


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────────

ROWS = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.org/rows",
    "type": "object",
    "required": ["rows"],
    "properties": {"rows": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/row"}}},
    "additionalProperties": False,
    "$defs": {
        "row": {
            "type": "object",
            "required": ["name", "price"],
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "price": {"type": "number", "exclusiveMinimum": 0},
                "on": {"format": "date"},
            },
        }
    },
}


def test_faults_help() -> None:
    """Each fault says where it is, what is expected and what is there."""
    good = {"name": "gold", "price": 1.5, "on": "2026-12-01"}
    assert _told(ROWS, {"rows": [good]}) == []
    assert _told(ROWS, {"rows": [good, {"name": 5, "on": "soon"}, {"name": "", "price": 0}], "extra": 1}) == [
        ("result.rows[1].price", "is required"),
        ("result.rows[1].name", "must be text, not a whole number"),
        ("result.rows[1].on", "'soon' is not a valid date"),
        ("result.rows[2].name", "must not be empty"),
        ("result.rows[2].price", "0 is not more than 0"),
        ("result.extra", "is not a known field; known are rows"),
    ]
    assert _told(ROWS, {"rows": []}) == [("result.rows", "must not be empty")]
    assert _told(ROWS, []) == [("result", "must be an object, not a list")]


@pytest.mark.parametrize(
    ("schema", "value", "path", "told"),
    [
        (False, 1, "", "is not allowed here"),
        ({"type": ["string", "null"]}, {"a": 1}, "", "must be text or null, not an object"),
        ({"type": "integer"}, True, "", "must be a whole number, not a boolean"),
        ({"enum": ["a", 1, [2]]}, "b", "", "'b' is not one of a, 1, a list of 1 entries"),
        ({"enum": list(range(30))}, 99, "", "99 is not one of " + ", ".join(map(str, range(20))) + ", …"),
        ({"const": None}, 0, "", "must be null, not 0"),
        ({"const": True}, 1, "", "must be true, not 1"),
        ({"multipleOf": 0.1}, 0.35, "", "0.35 is not a multiple of 0.1"),
        ({"minimum": 3}, 2, "", "2 is less than 3"),
        ({"exclusiveMaximum": 3}, 3, "", "3 is not less than 3"),
        ({"maxLength": 2}, "x" * 999, "", "has 999 characters; at most 2 are allowed"),
        ({"maxItems": 0}, [1], "", "has 1 entries; at most 0 are allowed"),
        ({"minProperties": 2}, {}, "", "must have at least 2 fields"),
        ({"maxProperties": 0}, {"a": 1}, "", "has 1 fields; at most 0 are allowed"),
        ({"pattern": "^a"}, "b" * 999, "", "bbb… is not of the right form: it does not match ^a"),
        ({"pattern": "^a", "description": "A word."}, "b", "", "'b' is not of the right form: A word."),
        ({"format": "ipv6"}, "::g", "", "'::g' is not a valid ipv6"),
        ({"uniqueItems": True}, [1, {"a": [1.0]}, 1.0], "", "has an entry twice"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "", "'b' is a dependency of 'a'"),
        ({"dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}, ".b", "is required"),
        ({"propertyNames": {"maxLength": 2}}, {"a b c": 1}, "", "one of its names has 5 characters; at most 2"),
        ({"patternProperties": {"^n": {"type": "null"}}}, {"no": 1, "yes": 1}, ".no", "must be null, not a whole"),
        ({"additionalProperties": False}, {"a\n": 1}, '["a\\n"]', "is not a known field; known are none"),
        ({"additionalProperties": {"type": "null"}}, {"a": 1}, ".a", "must be null, not a whole number"),
        ({"prefixItems": [True, {"const": 2}]}, [1, 3, 4], "[1]", "must be 2, not 3"),
        ({"prefixItems": [True], "items": False}, [1, 3], "", "has 2 entries; at most 1 are allowed"),
        ({"contains": {"const": 1}}, [2], "", "has too few entries of the form asked for"),
        ({"contains": {"const": 1}, "maxContains": 1}, [1, 1], "", "has too many entries of the form asked for"),
        ({"not": {"type": "null"}}, None, "", "null has a form that is ruled out here"),
        ({"if": {"type": "null"}, "then": False}, None, "", "is not allowed here"),
        ({"if": {"type": "null"}, "else": {"const": 1}}, 2, "", "must be 1, not 2"),
        ({"allOf": [{"minimum": 1}, {"maximum": 0}]}, 2, "", "2 is more than 0"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, 1, "",
         "fits none of the forms it may have: must be null, not a whole number; or must be text, not a whole number"),
        ({"anyOf": [{"type": "null"}, {"type": "object", "required": ["a"]}]}, {}, ".a", "is required"),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, 2, "", "fits more than one of the forms of which it must have"),
    ],
)  # fmt: skip
def test_sentences(schema: object, value: object, path: str, told: str) -> None:
    """Every keyword has a sentence, short whatever the value holds."""
    ((where, message),) = _told({"properties": {"a": schema}}, {"a": value})
    assert where == f"result.a{path}"
    assert told in message and len(message) <= 300


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, 1),
        ({"type": "integer"}, 1.0),
        ({"enum": [1, True]}, 1.0),
        ({"multipleOf": 0.01}, 4.35),
        ({"multipleOf": 5e-324}, 1e308),
        ({"multipleOf": 2}, "no number"),
        ({"maximum": 1, "maxLength": 1, "maxItems": 1, "pattern": "a", "format": "date", "required": ["a"]}, True),
        ({"format": "date-time"}, "nobody checks this"),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}]),
        ({"uniqueItems": False}, [1, 1]),
        ({"contains": False, "minContains": 0}, []),
        ({"propertyNames": False, "items": False, "additionalProperties": False, "patternProperties": {"a": False}},
         "text"),
        ({"$ref": "#a", "$defs": {"x": {"$anchor": "a", "const": 1}}}, 1),
        ({"$ref": "#/default", "default": True}, 1),
        ({"$id": "urn:x", "$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"const": 1}}}, 1),
        ({"properties": {"child": {"$ref": "#"}}, "required": []}, {"child": {"child": {}}}),
        ({"not": {"not": {}}}, 1),
        ({"definitions": {"a": {}}, "x-own": [1], "contentSchema": False, "examples": [1], "default": 1}, 2),
        ({"properties": {"$id": {"const": 1}, "unevaluatedItems": {"const": 2}}}, {"$id": 1, "unevaluatedItems": 2}),
        ({"items": {"$ref": "#"}}, json.loads("[" * 64 + "]" * 64)),
    ],
)  # fmt: skip
def test_what_fits(schema: object, value: object) -> None:
    """What the standard takes for fitting has no fault."""
    assert _told(schema, value) == []


@pytest.mark.parametrize(
    ("text", "name", "fits"),
    [
        ("2026-02-29", "date", False),
        ("2024-02-29", "date", True),
        ("20240229", "date", False),
        ("a@b", "email", True),
        ("ab", "email", False),
        ("10.0.0.1", "ipv4", True),
        ("10.0.0.256", "ipv4", False),
        ("not a uuid", "uuid", False),
        ("f" * 200_000, "uuid", False),
    ],
)
def test_formats(text: str, name: str, fits: bool) -> None:
    """Five formats are asserted."""
    assert (_told({"format": name}, text) == []) is fits


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "Expecting value"),
        (b"{'a': 1}", "Expecting property name"),
        (b'{"a": 1, "a": 1}', "the key 'a' is given twice"),
        (b"NaN", "NaN is not JSON"),
        (b"\xff", "is not UTF-8"),
        (b"[" * 100, "is nested deeper than 64 levels"),
        (b" " * (results.MAX_RESULT + 1), "has 16777217 bytes"),
    ],
)
def test_what_is_no_json_has_one_fault(data: bytes, told: str) -> None:
    """Bytes that are not strict JSON, or too many of them, are one fault of the whole."""
    (fault,) = results.faults("{}", data)
    assert fault.path == "result" and told in fault.message


def test_faults_are_few_and_short() -> None:
    """However much is wrong, at most twenty faults are told, and none quotes much."""
    long = "x" * 999
    for schema, value in (
        ({"items": {"enum": [long] * 3}}, [{long: long}] * 99),
        ({"required": [f"{n:x<900}" for n in range(30)]}, {}),
        ({"additionalProperties": False}, {f"{long} {n}": 1 for n in range(99)}),
        ({"propertyNames": {"pattern": "^a{900}$"}}, {f"{long}{n}": 1 for n in range(99)}),
        ({"items": {"description": long, "pattern": "a"}}, [long] * 99),
        ({"items": {"anyOf": [{"const": [n, long]} for n in range(20)]}}, [long] * 99),
    ):
        told = _told(schema, value)
        assert len(told) == MAX_FAULTS
        assert all(len(path) < 260 and len(message) <= 320 for path, message in told)
    deep: Any = 5
    for _ in range(40):
        deep = {"a b" * 30: deep}
    ((path, _),) = _told({"additionalProperties": {"$ref": "#"}, "type": "object"}, deep)
    assert path.startswith('result["a b') and len(path) < 260


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────────────

COSTLY = ("result", "too costly to check: it is too large for this schema")
BIG = [[n] for n in range(100)]
FEW = 50_000
"""Steps enough to show what happens at their end; how long `MAX_STEPS` take is measured elsewhere."""


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that may cost `FEW` steps only."""
    assert inspect.signature(counting).parameters["steps"].default == MAX_STEPS > FEW
    monkeypatch.setattr(results, "counting", partial(counting, steps=FEW))


def _tree(depth: int, value: Any = 1) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"$ref": "#"}, 1),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"not": {"$ref": "#"}}}}, 1),
        ({"items": {"allOf": [{"allOf": [{"$ref": "#"}]}]}}, _tree(60)),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"items": {"$ref": "#/$defs/a"}}] * 3, "not": {"const": 1}}}},
         _tree(30)),
        ({"items": {"allOf": [{"pattern": "(a|aa)+$"}] * 50}}, ["a" * 200_000] * 30),
        ({"items": {}}, [1] * (FEW + 1)),
        ({"contains": {}}, [1] * (FEW + 1)),
        ({"type": "array"}, [[]] * (FEW + 1)),
        ({"allOf": [{"$ref": "#/$defs/a"}] * 900, "$defs": {"a": {"uniqueItems": True}}},
         [[n, "x" * 100] for n in range(600)]),
        ({"items": {"allOf": [{"$ref": "#/$defs/a"}] * 400},
          "$defs": {"a": {"enum": [*({"n": n} for n in range(900)), 1]}}}, [1] * 50),
        ({"items": {"not": {"anyOf": [{"items": {"type": "null"}}] * 20}}}, BIG * 40),
        ({"items": {"patternProperties": {f"^{n}": {} for n in range(50)}}}, [{str(n): 1 for n in range(200)}] * 200),
        ({"anyOf": [{"minLength": 9_000_000}] * 900}, "x" * 8_000_000),
    ],
)  # fmt: skip
def test_every_check_has_an_end(schema: dict[str, Any], value: Any, few_steps: None) -> None:
    """A value that costs too many steps, or goes too deep, is one fault at most beside those found before."""
    assert _told(schema, value)[-1] == COSTLY


def test_what_was_found_is_told(few_steps: None) -> None:
    """The faults found before a check became too costly are told as well."""
    schema = {"properties": {"a": {"type": "null"}, "b": {"items": {}}}}
    assert _told(schema, {"a": 1, "b": [1] * (FEW + 1)}) == [("result.a", "must be null, not a whole number"), COSTLY]


def test_errors_quote_little() -> None:
    """jsonschema's own words hold no list, object or long text of the result."""
    value = {"a" * 999: ["x" * 999] * 99}
    with counting({}):
        (error,) = EVALUATOR({"anyOf": [{"type": "null"}, {"additionalProperties": {"const": 1}}]}).iter_errors(
            measured(value)
        )
        assert measured([value, "b" * 999, 2.0]) == [value, "b" * 999, 2]
    assert error.message == "{…} is not valid under any of the given schemas"
    assert [each.message for each in error.context] == ["{…} is not of type 'null'", "1 was expected"]


def test_steps_are_counted() -> None:
    """The same value costs the same steps each time: one fewer is too few."""
    needed = next(n for n in range(100) if _fits_in(n))
    assert _fits_in(needed) and not _fits_in(needed - 1)
    assert 6 <= needed <= MAX_STEPS


def _fits_in(steps: int) -> bool:
    try:
        with counting({}, steps):
            schema = {"items": {"type": "integer", "enum": [1, 2]}, "uniqueItems": True}
            return bool(EVALUATOR(schema).is_valid(measured([1, 2])))
    except TooCostly:
        return False


def test_check() -> None:
    """A result is refused with the list of its faults; without a schema, or a result, there is nothing to check."""
    manifest = Manifest("t", "d", result_schema=_text({"required": ["a", "b"]}))
    results.check(manifest, b'{"a": 1, "b": 2}')
    results.check(manifest, None)
    results.check(replace(manifest, result_schema=""), b"anything")
    with pytest.raises(Refused) as caught:
        results.check(manifest, b"{}")
    assert (caught.value.code, caught.value.details) == ("result-mismatch", {
        "faults": [{"path": "result.a", "message": "is required"}, {"path": "result.b", "message": "is required"}]
    })  # fmt: skip
    assert caught.value.message.endswith("schema: result.a is required; result.b is required")


# ── the same as others ──────────────────────────────────────────────────────────────────────────────────────────────

SMALL = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, -2.0]), st.sampled_from("abc")
)
VALUES = st.recursive(
    SMALL, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
COUNTS = st.integers(0, 3)
NAMES = st.lists(st.sampled_from("abc"), unique=True, max_size=2)
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some, named = st.lists(inner, min_size=1, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    return st.fixed_dictionaries({}, optional={
        "type": TYPES, "enum": st.lists(SMALL, min_size=1, max_size=3), "const": VALUES, "multipleOf": st.just(2),
        "minimum": COUNTS, "exclusiveMaximum": COUNTS, "maxLength": COUNTS, "pattern": st.sampled_from(["^a", "b|c"]),
        "minItems": COUNTS, "maxItems": COUNTS, "minProperties": COUNTS, "required": NAMES,
        "uniqueItems": st.booleans(), "dependentRequired": st.dictionaries(st.sampled_from("abc"), NAMES, max_size=2),
        "allOf": some, "anyOf": some, "oneOf": some, "not": inner, "if": inner, "then": inner, "else": inner,
        "dependentSchemas": named, "properties": named, "additionalProperties": inner, "propertyNames": inner,
        "patternProperties": st.dictionaries(st.sampled_from(["^a", "b|c"]), inner, max_size=2),
        "prefixItems": some, "items": inner, "contains": inner, "minContains": COUNTS, "maxContains": COUNTS,
    })  # fmt: skip


SCHEMAS = _schemas(st.recursive(st.booleans(), _schemas, max_leaves=6))


@given(SCHEMAS, VALUES)
def test_the_verdict_is_that_of_jsonschema(schema: dict[str, Any], value: Any) -> None:
    """A value fits here exactly if the reference implementation says so."""
    Draft202012Validator.check_schema(schema)
    assert (_told(schema, value) == []) is Draft202012Validator(schema).is_valid(value)


NEARLY = st.recursive(VALUES, _schemas, max_leaves=8)
JUNK = st.dictionaries(
    st.sampled_from(["type", "enum", "items", "allOf", "properties", "required", "minLength", "$anchor", "title",
                     "$defs", "if", "uniqueItems", "dependentRequired", "prefixItems", "multipleOf", "$comment"]),
    NEARLY, max_size=4,
)  # fmt: skip


@given(JUNK)
def test_no_schema_is_taken_that_the_standard_refuses(schema: dict[str, Any]) -> None:
    """Whatever is taken for a schema here is one by the standard's own meta-schema."""
    try:
        results.check_schema(_text(schema))
    except Invalid:
        return
    Draft202012Validator.check_schema(schema)


@given(st.binary(max_size=40) | VALUES.map(lambda v: json.dumps(v).encode()), SCHEMAS)
def test_any_bytes_have_a_verdict(data: bytes, schema: dict[str, Any]) -> None:
    """Whatever bytes come, the answer is a list of faults, the same each time."""
    assert results.faults(_text(schema), data) == results.faults(_text(schema), data)
