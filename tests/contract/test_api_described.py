"""Calls that are generated from the API's own description, on a real exchange behind a real server.

`TASKREPO_TEST_TORTURE=deep` makes over twenty thousand, as an admin, a person and an agent, that follow from another.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from taskrepo.web import openapi
from tests.support.waiting import PATIENCE

ROOT: Final = Path(__file__).parents[2]
DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
SHORT: Final = ("--examples", "2", "--actors", "alice", "--phases", "fuzzing")
LONG: Final = ("--examples", "100")


def test_the_server_does_what_its_description_says() -> None:
    """No call fails in the server; each is answered as described, malformed ones refused, well-formed ones taken."""
    command = [sys.executable, str(ROOT / "tools" / "fuzz.py"), "api", "--json", *(LONG if DEEP else SHORT)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=(1000 if DEEP else 50) * PATIENCE)
    told: dict[str, Any] = json.loads(said.stdout)
    assert told["failures"] == 0, "\n".join(text for run in told["runs"] for text in run["told"])
    assert said.returncode == 0, told
    assert told["cases"] >= (20_000 if DEEP else 2 * 70)


def _operations() -> list[tuple[str, str, Any]]:
    return [
        (method, path, operation)
        for path, operations in openapi.document()["paths"].items()
        for method, operation in operations.items()
    ]


def test_links_lead_to_calls() -> None:
    """Each call that an answer is said to lead to is one of the document, and is given all that its path needs."""
    known = {operation["operationId"]: (path, operation) for _, path, operation in _operations()}
    found = 0
    for _, _, operation in _operations():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                found += 1
                path, target = known[link["operationId"]]
                needed = {each["name"] for each in target["parameters"] if each["in"] == "path"}
                assert link["parameters"].keys() == needed, path
    assert found > 40


@pytest.mark.parametrize(("body", "required"), [
    ("post-tasks", ["manifest"]), ("post-tasks-task-submit", ["execution", "summary"]),
    ("post-tasks-task-answer", ["text"]), ("post-tasks-task-revise", None),
])  # fmt: skip
def test_forms_are_described_by_their_fields(body: str, required: list[str] | None) -> None:
    """A form is described with the fields of the JSON body, those it needs, and files by their paths."""
    operation = next(found for _, _, found in _operations() if found["operationId"] == body)
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema.get("required") == required
    assert set(required or ()) <= schema["properties"].keys()
    assert schema["patternProperties"]["^[^/]+/.+$"]["format"] == "binary"
