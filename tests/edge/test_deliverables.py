"""What a manifest asks of submissions, as clients, people at a terminal and people at a form meet it."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskrepo import parse
from taskrepo.errors import Invalid
from taskrepo.judge import Prospect
from taskrepo.model import Deliverable, Manifest
from taskrepo.web.forms import manifest_body, manifest_values
from tests.support.http import Site, running
from tests.support.person import Person
from tests.support.shell import Shell

WANTED = [
    {"path": "report.md", "min_bytes": 10},
    {"path": "data/*.csv", "media_type": "text/csv"},
    {"path": "log.txt", "required": False, "max_bytes": 2},
]
LACKING = [
    {"path": "report.md", "problem": "too small (2 bytes; at least 10)"},
    {"path": "data/*.csv", "problem": "missing"},
    {"path": "log.txt", "problem": "too large (3 bytes; at most 2)"},
    {"path": "result.json", "problem": "missing; the manifest has a result_schema"},
]
SCHEMA = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A served exchange with alice (human) and bob (agent)."""
    with running(tmp_path) as running_site:
        yield running_site


def _claimed(site: Site, **manifest: Any) -> str:
    task = site.task(deliverables=WANTED, result_schema=SCHEMA, **manifest)
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    return task


def _shell(site: Site) -> Shell:
    return Shell({"TASKREPO_URL": site.url, "TASKREPO_KEY": site.keys["bob"]})


def _submission(folder: Path) -> Path:
    (folder / "artifacts").mkdir(parents=True)
    (folder / "summary.md").write_text("Done.")
    (folder / "artifacts" / "report.md").write_text("x\n")
    (folder / "artifacts" / "log.txt").write_text("abc")
    return folder


def test_the_list_over_http(site: Site) -> None:
    """A submission that lacks things is refused with the whole list, and nothing has changed."""
    task = _claimed(site)
    fields = [
        ("summary", "Done."),
        ("execution", "1"),
        ("artifacts", ("report.md", b"x\n", "text/markdown")),
        ("artifacts", ("log.txt", b"abc", "text/plain")),
    ]
    head = site.head()
    refused = site.post("bob", f"/tasks/{task}/submissions", fields=fields)
    assert (refused.status, refused.code, refused.json["missing"]) == (422, "missing-deliverable", LACKING)
    assert "report.md: too small (2 bytes; at least 10); data/*.csv: missing" in refused.json["detail"]
    assert site.head() == head
    assert site.get("bob", f"/tasks/{task}").json["state"] == "claimed"


def test_the_list_at_the_terminal(site: Site, tmp_path: Path) -> None:
    """Each thing that is missing has a line of its own; `--json` gives the list as data."""
    task, folder = _claimed(site), str(_submission(tmp_path / "submission"))
    said = _shell(site)("submit", task, folder)
    assert said.code == 1
    assert said.err.splitlines() == [
        "taskrepo: missing-deliverable: the submission lacks what the manifest asks for:",
        *(f"  {lack['path']}: {lack['problem']}" for lack in LACKING),
    ]
    assert _shell(site)("--json", "submit", task, folder).json["missing"] == LACKING


def test_one_thing_is_told_in_one_line(site: Site, tmp_path: Path) -> None:
    """A single problem needs no list."""
    task = site.task(deliverables=[{"path": "a.csv"}])
    site.post("bob", f"/tasks/{task}/claim")
    said = _shell(site)("submit", task, str(_submission(tmp_path / "submission")))
    sentence = "the submission lacks what the manifest asks for: a.csv: missing"
    assert said.err == f"taskrepo: missing-deliverable: {sentence}\n"


def test_the_list_of_a_worker(site: Site, tmp_path: Path) -> None:
    """A program whose submission lacks things has failed, and the reason is the list."""
    task = site.task(deliverables=WANTED, result_schema=SCHEMA)
    program = "from pathlib import Path; Path('submission').mkdir(); Path('submission/summary.md').write_text('Done.')"
    _shell(site)("work", "--once", "--", "python3", "-c", program)
    reason = site.get("alice", f"/tasks/{task}").json["executions"][0]["reason"]
    assert "report.md: missing; data/*.csv: missing; result.json: missing" in reason


def test_the_list_on_the_page(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The form comes back with the list beside the files, and with what was typed."""
    task = _claimed(site)
    person = sign_in("bob")
    page = person.submit(person.get(f"/tasks/{task}"), f"/tasks/{task}/submit", {"summary": "Typed."})
    assert page.status == 422
    for told in ("report.md: missing", "data/*.csv: missing", "result.json: missing; the manifest has a result_schema"):
        assert told in page.html
    assert page.form(f"/tasks/{task}/submit").fields["summary"] == "Typed."


@pytest.mark.parametrize(
    ("manifest", "where"),
    [
        ({"result_schema": {"properties": {"a": {"type": "strin"}}}}, "manifest.result_schema.properties.a.type"),
        ({"result_schema": {"pattern": "(?=a)"}}, "manifest.result_schema.pattern"),
        ({"result_schema": {"$ref": "https://example.org/x"}}, "manifest.result_schema.$ref"),
        ({"result_schema": "{}"}, "manifest.result_schema"),
        ({"deliverables": [{"path": "*?" * 20}]}, "manifest.deliverables[0].path"),
        ({"deliverables": [{"path": "a", "min_bytes": -1}]}, "manifest.deliverables[0].min_bytes"),
    ],
)
def test_what_cannot_be_checked_is_refused_with_the_task(site: Site, manifest: dict[str, Any], where: str) -> None:
    """A schema or path that could not be applied to a submission never becomes part of a task."""
    head = site.head()
    refused = site.post("alice", "/tasks", {"title": "t", "description": "d", **manifest})
    assert (refused.status, refused.json["where"]) == (400, where)
    assert site.head() == head


def _submitted(site: Site, task: str, result: bytes | None) -> Any:
    fields: list[Any] = [("summary", "Done."), ("execution", "1")]
    if result is not None:
        fields.append(("result", ("result.json", result, "application/json")))
    return site.post("bob", f"/tasks/{task}/submissions", fields=fields)


@pytest.mark.parametrize("visibility", ["public", "private"])
def test_results_over_http(site: Site, visibility: str) -> None:
    """A result that does not fit is refused with its faults, and nothing has changed; one that fits is taken."""
    task = site.task(result_schema=SCHEMA, visibility=visibility, readers=["bob"] if visibility == "private" else [])
    assert site.post("bob", f"/tasks/{task}/claim").status == 200
    head = site.head()
    absent = _submitted(site, task, None)
    assert (absent.status, absent.code) == (422, "missing-deliverable")
    refused = _submitted(site, task, b'{"count": "two"}')
    assert (refused.status, refused.code) == (422, "result-mismatch")
    assert refused.json["faults"] == [{"path": "result.count", "message": "must be a whole number, not text"}]
    assert site.head() == head
    assert _submitted(site, task, b'{"count": 2}').status == 200
    assert site.get("alice", f"/tasks/{task}").json["state"] == "submitted"


def test_state_and_role_come_first(site: Site) -> None:
    """Whoever may not submit hears why, and nothing about the result."""
    task = site.task(result_schema=SCHEMA)
    assert _submitted(site, task, b"{}").code == "stale-execution"
    site.post("carol", f"/tasks/{task}/claim")
    assert _submitted(site, task, b"{}").code == "not-executor"
    hidden = site.task(result_schema=SCHEMA, visibility="private")
    assert _submitted(site, hidden, b"{}").code == "unknown-task"
    assert _submitted(site, "00000000", b"{}").code == "unknown-task"


def test_a_repeated_submission_is_answered_again(site: Site) -> None:
    """The answer to a submission is repeatable, also where its result was checked."""
    task = site.task(result_schema=SCHEMA)
    site.post("bob", f"/tasks/{task}/claim")
    result = ("result", ("result.json", b'{"count": 1}', "application/json"))
    fields = [("summary", "Done."), ("execution", "1"), result]
    made = [
        site.post("bob", f"/tasks/{task}/submissions", fields=fields, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert [answer.status for answer in made] == [200, 200]
    assert made[0].json["commit"] == made[1].json["commit"]


def test_a_task_that_changes_meanwhile_is_not_submitted_unchecked(site: Site) -> None:
    """A submission that became possible only after its result was looked at is to be sent again."""
    task = _claimed(site)
    site.exchange._judge.foresee = lambda *_: Prospect()  # type: ignore[method-assign]
    files = (("report.md", b"0123456789", "text/markdown"), ("data/a.csv", b"a\n", "text/csv"))
    parts = [("artifacts", file) for file in files]
    result = ("result", ("result.json", b'{"count": 1}', "application/json"))
    fields = [("summary", "Done."), ("execution", "1"), *parts, result]
    answer = site.post("bob", f"/tasks/{task}/submissions", fields=fields)
    assert (answer.status, answer.code) == (503, "busy")


def test_faults_at_the_terminal(site: Site, tmp_path: Path) -> None:
    """Each fault has a line of its own."""
    schema = {"required": ["a", "b"]}
    task, folder = site.task(result_schema=schema), _submission(tmp_path / "submission")
    site.post("bob", f"/tasks/{task}/claim")
    (folder / "result.json").write_text("{}")
    said = _shell(site)("submit", task, str(folder))
    assert said.code == 1
    assert said.err.splitlines()[1:] == ["  result.a: is required", "  result.b: is required"]


def test_faults_on_the_page(site: Site, sign_in: Callable[[str], Person]) -> None:
    """The form comes back with the faults beside the result, and with what was typed."""
    task = site.task(result_schema=SCHEMA)
    site.post("bob", f"/tasks/{task}/claim")
    person = sign_in("bob")
    typed = {"summary": "Typed.", "result": '{"count": null}'}
    page = person.submit(person.get(f"/tasks/{task}"), f"/tasks/{task}/submit", typed)
    assert page.status == 422
    assert "result.count must be a whole number, not empty" in page.html
    assert page.form(f"/tasks/{task}/submit").fields["summary"] == "Typed."


@pytest.mark.parametrize(
    ("schema", "result", "told"),
    [
        ({"pattern": "^(a+)+$"}, json.dumps("a" * 100_000 + "!").encode(), "is not of the right form"),
        ({"$ref": "#"}, b"1", "too costly to check"),
        ({"items": {"$ref": "#"}}, b"[" * 65 + b"]" * 65, "is nested deeper than 64 levels"),
        ({"anyOf": [{"minimum": n} for n in range(1, 1500)]}, b"0", "is less than"),
    ],
    ids=["ReDoS", "circle", "deep", "many forms"],
)
def test_hostile_checks_are_answered(site: Site, schema: dict[str, Any], result: bytes, told: str) -> None:
    """Whatever schema and result are made to cost much, the answer is a refusal that says why."""
    task = site.task(result_schema=schema)
    site.post("bob", f"/tasks/{task}/claim")
    refused = _submitted(site, task, result)
    assert refused.status in (400, 422), refused.body
    assert told in refused.json["detail"]


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b"[" + b"1," * 1_100_000 + b"1]", "result-mismatch", "result too costly to check"),
        (b"[" + b"[]," * 400_000 + b"1]", "result-mismatch", "result too costly to check"),
        (b" " * (16 << 20) + b"[]", "file-too-large", "over the limit"),
    ],
    ids=["long", "wide", "too large"],
)
def test_large_results_are_answered(site: Site, data: bytes, code: str, told: str) -> None:
    """A large result that was uploaded ahead is checked, or refused, like any other."""
    task, sha256 = site.task(result_schema={"items": {"type": ["number", "array"]}}), hashlib.sha256(data).hexdigest()
    site.post("bob", f"/tasks/{task}/claim")
    assert site.call("bob", "PUT", f"/uploads/{sha256}", data).status in (200, 201)
    body = {"execution": 1, "summary": "Done.", "uploads": [{"path": "result.json", "sha256": sha256}]}
    refused = site.post("bob", f"/tasks/{task}/submit", body)
    assert refused.code == code
    assert told in refused.json["detail"]


def test_hostile_schemas_are_answered(site: Site) -> None:
    """A schema that is made to cost much never becomes part of a task."""
    deep: dict[str, Any] = {}
    for _ in range(60):
        deep = {"not": deep}
    mixed = [*range(3000), *map(str, range(3000))]
    for schema in ({"anyOf": [{}] * 10_000}, deep, {"type": mixed}, {"title": "x" * 40_000}):
        refused = site.post("alice", "/tasks", {"title": "t", "description": "d", "result_schema": schema})
        assert refused.status in (400, 413), refused.body
        assert len(refused.json["detail"]) < 700


def test_the_form_writes_what_manifests_ask() -> None:
    """The form shows bounds and schema as people write them, and writes back the same manifest."""
    manifest = Manifest("t", "d", result_schema=json.dumps(SCHEMA, separators=(",", ":")), deliverables=(
        Deliverable("the rows", "a.csv", "text/csv", False, 1, 2), Deliverable("", "b", max_bytes=5),
        Deliverable("", "c", min_bytes=0), Deliverable("", "e", required=False),
    ))  # fmt: skip
    values = manifest_values(manifest)
    assert values["deliverables"].splitlines()[0] == (
        "a.csv | the rows | text/csv | optional, at least 1 bytes, at most 2 bytes"
    )
    assert values["result_schema"].startswith('{\n  "type": "object",')
    assert parse.manifest(manifest_body(values)) == manifest
    assert parse.manifest(manifest_body({**values, "result_schema": " "}, manifest)).result_schema == ""
    typed = {**values, "deliverables": "a |  | | at most 10 bytes\r\nb | | | \r\nc"}
    made = parse.manifest(manifest_body(typed, manifest)).deliverables
    assert made == (Deliverable(path="a", max_bytes=10), Deliverable(path="b"), Deliverable("c"))
    for line in ("a | | | never", "a | | | optional at least 1 bytes", "a | | | at least x bytes", "a|b|c|d|e"):
        with pytest.raises(Invalid, match="is not path"):
            manifest_body({**values, "deliverables": line})
    with pytest.raises(Invalid, match=r"manifest\.result_schema: "):
        manifest_body({**values, "result_schema": "{"})


def test_a_bad_schema_is_told_beside_its_field(sign_in: Callable[[str], Person]) -> None:
    """Whoever types a schema that is none reads what is wrong where it was typed."""
    person = sign_in("alice")
    for typed in ("{", '{"type": "strin"}', "[]"):
        values = {"title": "t", "description": "kept", "result_schema": typed}
        page = person.submit(person.get("/tasks/new"), "/tasks/new", values)
        assert page.status == 400
        assert 'id="new-result_schema-error"' in page.html
        assert page.form("/tasks/new").fields["result_schema"].strip() == typed
