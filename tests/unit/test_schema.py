"""The schemas, and the sentences that say what is wrong."""

import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator, ValidationError

from taskrepo import model, schema
from taskrepo.commands import TASK_COMMANDS
from taskrepo.errors import Invalid
from taskrepo.schema import NAMES, load, validate

MINIMAL = {"title": "t", "description": "d"}


def _told(name: str, data: object, where: str = "doc") -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        validate(name, data, where)
    assert caught.value.code == "invalid-field"
    assert len(caught.value.message) < 700
    return caught.value.where, caught.value.message.removeprefix(f"{caught.value.where}: ")


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_schemas(name: str) -> None:
    """Each document is valid JSON Schema 2020-12 and named as its file."""
    document = load(name)
    Draft202012Validator.check_schema(document)
    assert document["$id"] == name


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_closed_and_bounded(name: str) -> None:
    """No object takes unknown fields, and every text has a limit or a form that bounds it."""
    for node in _nodes(load(name)):
        if node.get("type") == "object" and "properties" in node and name != "problem":
            assert node.get("additionalProperties") is False, node
        if node.get("type") == "string" and name != "problem":
            assert {"maxLength", "enum", "pattern", "format"} & node.keys(), node
        if "pattern" in node:
            re.compile(node["pattern"])


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(inner)


@pytest.mark.parametrize(
    ("name", "noun", "beside"),
    [
        ("manifest", model.Manifest, {"id"}),
        ("policy", model.Policy, set()),
        ("actor", model.Actor, set()),
    ],
)
def test_schemas_know_the_model(name: str, noun: Any, beside: set[str]) -> None:
    """A document's fields are those of its noun, and nothing that is not known to be beside them."""
    known = {f.name for f in fields(noun)}
    assert known <= load(name)["properties"].keys() <= known | beside


def test_schemas_know_the_words() -> None:
    """States and value sets are those of the model; every command has a body."""
    record, manifest = load("record")["properties"], load("manifest")["properties"]
    assert tuple(record["state"]["enum"]) == model.STATES
    assert tuple(manifest["reasoning_tier"]["enum"]) == get_args(model.Tier)
    assert tuple(manifest["executor_constraints"]["enum"]) == get_args(model.Constraint)
    outcomes = record["executions"]["items"]["properties"]["outcome"]["enum"]
    assert tuple(outcomes) == get_args(model.Outcome)
    assert TASK_COMMANDS.keys() <= load("commands")["$defs"].keys()


@pytest.mark.parametrize(
    ("name", "data", "where", "sentence"),
    [
        ("manifest", {"title": "t"}, "doc.description", "is required"),
        ("manifest", {**MINIMAL, "titel": "x"}, "doc.titel", "is not a known field; known are acceptance,"),
        ("commands/claim", {"a": 1}, "doc.a", "is not a known field; known are none"),
        ("manifest", {**MINIMAL, "reasoning_tier": "epic"}, "doc.reasoning_tier", "'epic' is not one of low, medium"),
        ("manifest", [], "doc", "must be an object, not a list"),
        ("manifest", None, "doc", "must be an object, not empty"),
        ("manifest", {**MINIMAL, "title": 5}, "doc.title", "must be text, not a whole number"),
        ("manifest", {**MINIMAL, "title": 0.5}, "doc.title", "must be text, not a number"),
        ("manifest", {**MINIMAL, "title": True}, "doc.title", "must be text, not a boolean"),
        ("manifest", {**MINIMAL, "title": {}}, "doc.title", "must be text, not an object"),
        ("manifest", {**MINIMAL, "title": object()}, "doc.title", "must be text, not an object"),
        ("manifest", {**MINIMAL, "labels": "a"}, "doc.labels", "must be a list, not text"),
        ("manifest", {**MINIMAL, "title": ""}, "doc.title", "must not be empty"),
        ("manifest", {**MINIMAL, "title": "x" * 241}, "doc.title", "has 241 characters; at most 240 are allowed"),
        ("manifest", {**MINIMAL, "acceptance": ["x"] * 101}, "doc.acceptance", "has 101 entries; at most 100"),
        ("commands/change-actor", {}, "doc", "must not be empty"),
        ("commands/progress", {"execution": 0}, "doc.execution", "0 is less than 1"),
        ("commands/progress", {"execution": 1, "percent": 101}, "doc.percent", "101 is more than 100"),
        ("manifest", {**MINIMAL, "title": "a\nb"}, "doc.title", "'a\\nb' is not of the right form: One line that says"),
        ("commands/comment", {"text": " \n"}, "doc.text", "' \\n' is not of the right form (control characters"),
        ("manifest", {**MINIMAL, "labels": ["a", "a"]}, "doc.labels", "has an entry twice"),
        ("manifest", {**MINIMAL, "labels": ["a", 1]}, "doc.labels[1]", "must be text, not a whole number"),
        ("manifest", {**MINIMAL, "acceptance": [{"id": "x"}]}, "doc.acceptance[0].text", "is required"),
        ("manifest", {**MINIMAL, "acceptance": [5]}, "doc.acceptance[0]", "fits none of the forms it may have: must"),
        ("manifest", {**MINIMAL, "deliverables": [{"path": 5}]}, "doc.deliverables[0].path", "must be text"),
        ("manifest", {**MINIMAL, "deliverables": [""]}, "doc.deliverables[0]", "must not be empty"),
        ("manifest", {**MINIMAL, "x" * 99: 1}, f"doc.{'x' * 60}", "is not a known field"),
    ],
)
def test_sentences(name: str, data: object, where: str, sentence: str) -> None:
    """The first problem is told by the path of its field and a sentence for people."""
    told = _told(name, data)
    assert told[0] == where
    assert told[1].startswith(sentence)


@pytest.mark.parametrize(("name", "data", "where"), [
    ("manifest", {**MINIMAL, "priority": 2.0}, "doc.priority"),
    ("commands/progress", {"execution": 1.0}, "doc.execution"),
    ("commands/set-policy", {"max_claims": 3.0}, "doc.max_claims"),
    ("commands/queue-claim", {"count": True}, "doc.count"),
])  # fmt: skip
def test_an_integer_is_one_to_the_rules_as_well(name: str, data: object, where: str) -> None:
    """7.0, which JSON Schema takes for an integer, is none here: it would go through the rules into the ledger."""
    assert _told(name, data)[0] == where


def test_a_blank_is_the_same_to_every_reader() -> None:
    """To ECMA-262, by which clients read our patterns, U+0085 is no space; so it is named beside them."""
    for text in re.findall(r'"pattern": "(.*)"', (Path(schema.__file__).parent / "commands.json").read_text("utf-8")):
        assert "\\\\S)" not in text
    assert _told("manifest", {**MINIMAL, "labels": ["a\u0085"]})[0] == "doc.labels[0]"


def test_the_shallowest_problem_comes_first() -> None:
    """Of several problems the one nearest the root is told."""
    assert _told("manifest", {"title": "t", "labels": [5]})[0] == "doc.description"


def test_no_where() -> None:
    """Without a name for the whole, the path begins with the field."""
    assert _told("manifest", {"title": "t"}, "")[0] == "description"
    assert _told("manifest", {**MINIMAL, "labels": [5]}, "")[0] == "labels[0]"
    with pytest.raises(Invalid) as caught:
        validate("manifest", 5, "")
    assert caught.value.where == ""


def test_long_values_are_cut() -> None:
    """A value is shown at most sixty characters long."""
    assert _told("manifest", {**MINIMAL, "reasoning_tier": "x" * 5000})[1].startswith(f"'{'x' * 59}… is not one of")
    assert _told("commands/progress", {"execution": -(10**80)})[1].startswith("-1000")


def test_doubles_are_found_in_linear_time() -> None:
    """Many items of many types, which cannot be sorted, are compared by what they are, not pair by pair."""
    labels: list[Any] = [1, *(f"label {n}" for n in range(40_000)), None]
    assert _told("manifest", {**MINIMAL, "labels": labels})[0] in ("doc.labels", "doc.labels[0]")
    assert _told("manifest", {**MINIMAL, "labels": [{"b": 1, "a": 2}, {"a": 2, "b": 1}]})[0] == "doc.labels"
    validate("manifest", {**MINIMAL, "labels": ["a", "b"]}, "doc")


def test_nothing_is_fetched() -> None:
    """A reference to anything outside this folder is refused, not looked up."""
    with pytest.raises(Exception, match=r"example\.org") as caught:
        schema._registry().resolver().lookup("https://example.org/schema")
    assert "Unresolvable" in type(caught.value).__name__ or "Unretrievable" in type(caught.value).__name__


def test_other_keywords_have_a_sentence_too() -> None:
    """A keyword without a sentence of its own is told in the validator's words, cut to length."""
    assert schema.error_sentence(ValidationError("x" * 999, validator="dependentRequired")) == "x" * 200
