"""What comes as YAML or JSON: the ledger's documents, bodies of requests, schemas of results, cards of the index."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from taskrepo import canonical, cards, documents, lifecycle, package, parse, plain, results, roster, schema
from taskrepo.commands import TASK_COMMANDS, Approve, Ask, Claim, Comment, Create, Progress, Submit
from taskrepo.directory import Directory
from taskrepo.errors import Invalid, Refused
from taskrepo.model import Actor, Deliverable, File, Manifest, Policy, Stamp, Task
from taskrepo.personal import Reader
from taskrepo.web import api_request, lfs, lfs_format, lfs_locks, personal_body, policyform
from tests.fuzz.harness import Harness, parts, text
from tests.fuzz.of_ledger import KEYS

ROOT: Final = Path(__file__).parents[2]
ALICE, BOB = Actor("alice", "human", "Alice"), Actor("bob", "agent", "Bob")
FILE: Final = File("input/a.csv", "a.csv", "text/csv", 12, "a" * 64)
MANIFEST: Final = Manifest(
    "Count words: all", "In `input/`.\n\nThen more.\n", deliverables=(Deliverable("report", "artifacts/*.csv"),),
    result_schema='{"type": "object", "required": ["rows"]}', labels=("a", "b"), due_at=1_800_100_000,
)  # fmt: skip
DELIVERED: Final = (
    File("artifacts/a.csv", "a.csv", "text/csv", 1, "b" * 64, "submission_artifact"),
    File("result.json", "result.json", "application/json", 11, "c" * 64, "submission_artifact"),
)
READER: Final = Reader("alice", False)
_SCHEMAS: Final = ("actor", "entry", "files", "manifest", "policy", "problem", "record", "review", "sealed",
                   *(f"commands/{name}" for name in schema.load("commands")["$defs"]))
_LIMIT: Final = 1 << 20


def yaml(data: bytes) -> None:
    """A YAML document: what is read is written and read again the same, however it is read."""
    value = documents.load_yaml(data, limit=_LIMIT)
    assert repr(documents.load_yaml(documents.dump_yaml(value), limit=4 * _LIMIT)) == repr(value)


def canonical_yaml(data: bytes) -> None:
    """The short way of reading gives what the parser of all YAML gives, or nothing."""
    said = text(data).replace("\0", "")
    if (known := canonical.read(said)) is not None:
        assert repr(known) == repr(documents._read_generally(said, "document"))
    canonical.is_plain(said)
    canonical.resolved(said)


def json_value(data: bytes) -> None:
    """A JSON value, which is written and read again the same."""
    value = documents.load_json(data, limit=_LIMIT)
    assert repr(documents.load_json(documents.dump_json(value), limit=64 * _LIMIT)) == repr(value)


def manifest(data: bytes) -> None:
    """A manifest that somebody wrote; what is taken is written and read again the same."""
    with suppress(Invalid):
        package.read_manifest(data)
    read = package.parse_manifest(data)
    assert package.parse_manifest(documents.dump_yaml(plain.manifest_to(read))) == read


def record(data: bytes) -> None:
    """A task's record."""
    package.read_record(data, MANIFEST, (FILE,))


def files(data: bytes) -> None:
    """A list of files."""
    package.read_files(data)


def entry(data: bytes) -> None:
    """An entry of a discussion, a review and a summary."""
    for read in (package.read_review, package.read_summary):
        with suppress(Invalid):
            read(data)
    package.read_entry(data)


def actor(data: bytes) -> None:
    """An actor's record."""
    roster.read_actor(data)


def policy(data: bytes) -> None:
    """The policy, and the same stated again."""
    read = roster.read_policy(data)
    assert roster.read_policy(roster.restated(read, data)) == read


def command(data: bytes) -> None:
    """The body of every command, of an ingest, and of what changes actors, keys and the policy."""
    body = documents.load_json(data, limit=_LIMIT)
    for name in TASK_COMMANDS:
        with suppress(Invalid, Refused):  # not every command has a body of its own
            parse.task_command(name, "4k7q2m9x", body)
    takers: tuple[Callable[[], object], ...] = (
        lambda: parse.manifest(body), lambda: parse.ingest(body), lambda: parse.result_json(body),
        lambda: parse.add_actor(body), lambda: parse.change_actor("bob", body), lambda: parse.add_key("bob", body),
        lambda: parse.retire_key("bob", body), lambda: parse.rename_key("bob", "SHA256:x", body),
        lambda: parse.changed_policy(Policy(), body),
    )  # fmt: skip
    for take in takers:
        with suppress(Invalid):
            take()


def schemas(data: bytes) -> None:
    """Any value against every schema of the exchange: a sentence names what is wrong, and where."""
    value = documents.load_json(data, limit=_LIMIT)
    for name in _SCHEMAS:
        with suppress(Invalid):
            schema.validate(name, value, "body")


def result(data: bytes) -> None:
    """A result against the schema that somebody gave for it."""
    wanted, made = parts(data, 2)
    results.check_schema(text(wanted))
    assert len(results.faults(text(wanted), made)) <= results.MAX_FAULTS


def personal(data: bytes) -> None:
    """The bodies of Personal Task Assistant's API."""
    body = documents.load_json(data, limit=_LIMIT)
    for read in (personal_body.new_task, personal_body.changes, personal_body.context):
        with suppress(Invalid):
            read(body, READER)  # type: ignore[operator]
    for value in body if isinstance(body, list) else [body]:
        for take in (lambda v: personal_body.moment(v, "at"), lambda v: personal_body.number(v, "n", 1, 9),
                     lambda v: personal_body.chosen(v, "word", ("a", "b"))):  # fmt: skip
            with suppress(Invalid):
                take(value)


def lfs_body(data: bytes) -> None:
    """A batch, and the wish for a lock, as git-lfs sends them."""
    value = documents.load_json(data, limit=_LIMIT)
    if not isinstance(value, dict):
        raise Invalid("invalid-field", "body", "is to be a JSON object")
    for name, kind, default in (("operation", str, ""), ("transfers", list, []), ("limit", int, 1), ("force", bool, 0)):
        with suppress(Invalid):
            lfs_format.field(value, name, kind, default)
    with suppress(Invalid):
        lfs_locks._limit(lfs_format.field(value, "limit", int, 1))
    for each in lfs._entries(value):
        lfs._answer(each, lambda wanted: dict([lfs._wanted(wanted)]))


def card(data: bytes) -> None:
    """A card of the index that was damaged, and figures of signatures."""
    cards.load(bytes.fromhex("6b" * 20) + data, "6b" * 20)
    assert cards.load(data, "6b" * 20) is None or data.startswith(b"k" * 20)


def policy_form(data: bytes) -> None:
    """What an admin types into the form of the policy."""
    name, typed = parts(data, 2)
    rule = policyform.RULES.get(text(name))
    for each in (rule,) if rule else policyform.RULES.values():
        with suppress(Invalid):
            policyform.meant(each, text(typed if rule else data))


def _body(data: bytes) -> Any:
    """A body as a request brings it."""
    return documents.load_json(data, limit=api_request.MAX_JSON)


def _one_command(data: bytes) -> None:
    """A body as that of the command that takes most."""
    parse.task_command("comment" if b'"text"' in data[:20] else "submit", "4k7q2m9x", _body(data))


# ── seeds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _folder() -> Iterator[tuple[str, bytes]]:
    """All that the exchange writes about a task that goes its way."""
    task: Task | None = None
    steps = (
        (Create("4k7q2m9x", MANIFEST, (FILE,)), ALICE), (Claim("4k7q2m9x"), BOB), (Ask("4k7q2m9x", "Which?"), BOB),
        (Progress("4k7q2m9x", 1, 50, "half: done", (FILE,)), BOB), (Comment("4k7q2m9x", "well"), ALICE),
        (Submit("4k7q2m9x", 1, "All.", DELIVERED), BOB),
        (Approve("4k7q2m9x", "clean"), ALICE),
    )  # fmt: skip
    for asked, by in steps:
        event = lifecycle.decide(task, asked, by, 1_800_000_000, Policy())
        before, task = task, lifecycle.evolve(task, event)
        yield from ((path, made) for path, made in package.render(event, before, task).items() if isinstance(made,
            bytes))


def _written(*names: str) -> Callable[[], Iterator[bytes]]:
    return lambda: (made for path, made in _folder() if any(name in path for name in names))


def _people() -> Iterator[bytes]:
    stamp = Stamp("actor-added", "admin", 1_800_000_000)
    made = {actor.id: replace(actor, created_at=1_800_000_000, updated=stamp, keys=KEYS) for actor in (ALICE, BOB)}
    directory = Directory(made, Policy(updated=stamp, max_claims=3))
    for path, made in roster.render(None, directory).items():
        if path.endswith(".yaml"):
            yield made


def _manifests() -> Iterator[bytes]:
    yield from _written("manifest.yaml")()
    for path in sorted((ROOT / "data" / "examples").glob("*/manifest.yaml")):
        yield path.read_bytes()


def _bodies() -> Iterator[bytes]:
    bodies: tuple[Any, ...] = (
        {}, {"title": "t", "description": "d", "labels": ["a"],
              "blocked_by": ["4k7q2m9x"], "due_at": "2026-12-01T09:00:00Z"},
        {"manifest": plain.manifest_to(MANIFEST), "state": "draft"}, {"execution": 1, "percent": 50, "note": "n"},
        {"execution": 1, "summary": "s", "result": {"rows": []}}, {"text": "t"}, {"reason": "r", "fault": "task"},
        {"id": "dora", "type": "agent", "name": "Dora", "capabilities": {"reasoning_tier": "high", "skills": ["sql"]}},
        {"name": "laptop", "key": "ssh-ed25519 AAAA"}, {"fingerprint": "SHA256:x"}, {"lease_seconds": 60},
        {"source": "mail", "origin": "mail", "tasks": [{"title": "t", "external_id": "1"}]}, {"grants": ["admin"]},
        {"uploads": [{"path": "input/a", "sha256": "a" * 64, "name": "a"}], "drop": ["input/a.csv"]},
    )  # fmt: skip
    yield from (json.dumps(body).encode() for body in bodies)


def _results() -> Iterator[bytes]:
    row = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "pattern": "^a+$",
        "format": "date"}}}
    wanted = {"type": "object", "properties": {"rows": {"type": "array", "items": {"$ref": "#/$defs/row"},
              "uniqueItems": True, "maxItems": 9}}, "$defs": {"row": row},
              "anyOf": [{"minProperties": 1}, {"const": 1}]}
    yield json.dumps(wanted).encode() + b"\0|\0" + json.dumps({"rows": [{"a": "aaa"}, {"a": "b"}, 1]}).encode()
    yield b'{"type": "integer", "multipleOf": 3}\0|\x007'


def _personal() -> Iterator[bytes]:
    yield b'{"title": "Call", "status": "in_progress", "assignee": "me", "priority": 2, "due_at": "2026-12-01T10:00Z"}'
    yield b'{"origin": "mail", "source_name": "inbox", "tasks": [{"title": "a", "external_id": "x"}, {"title": "b"}]}'
    yield b'[1, "2", null, 1764547200000, "2026-12-01T10:00:00+02:00", -1, 1e30, true]'


def _lfs() -> Iterator[bytes]:
    yield json.dumps({"operation": "upload", "transfers": ["basic"], "ref": {"name": "refs/heads/main"}, "objects": [
        {"oid": "a" * 64, "size": 12}, {"oid": "b", "size": -1}], "hash_algo": "sha256"}).encode()
    yield b'{"path": "tasks/4/k/7/4k7q2m9x/input/a.bin", "limit": 5, "cursor": "3", "force": true}'


def _cards() -> Iterator[bytes]:
    task: Task | None = None
    event = lifecycle.decide(None, Create("4k7q2m9x", MANIFEST, (FILE,)), ALICE, 1_800_000_000, Policy())
    made = cards.dump("6b" * 20, lifecycle.evolve(task, event))
    yield made
    yield made[20:]


_YAML: Final = (b": ", b"- ", b"\n  ", b"|\n", b"|2-\n", b">\n", b'"', b"'", b"&a ", b"*a", b"!!python/object ",
    b"<<: ",
                b"---\n", b"...\n", b"? ", b"{", b"[", b"}", b"]", b"#", b"%YAML 1.2\n", b"~", b"0x1F", b".nan", b"1e3",
                b"\xc2\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\t", b"\r\n", b"012", b"2026-12-01")
_JSON: Final = (b"{", b"}", b"[", b"]", b'"', b"\\u", b"\\ud800", b"\\", b"1e999", b"-0", b"NaN", b"null", b"true",
    b",",
                b":", b"99999999999999999999999", b'"a":', b"0.1", b"[[[[[[[[", b"\xc3\xa9", b"1e-999", b'"\\u0000"')
_FIELDS: Final = tuple(f'"{name}"'.encode() for name in sorted({*schema.load("manifest")["properties"], "execution",
                       "summary", "result", "percent", "text", "reason", "uploads", "drop", "key", "grants", "tasks"}))
_RULES: Final = (b'"type"', b'"$ref"', b'"#/$defs/row"', b'"#"', b'"pattern"', b'"allOf"', b'"not"', b'"if"',
    b'"items"',
                 b'"properties"', b'"uniqueItems"', b'"multipleOf"', b'"$dynamicRef"', b'"format"', b'"(a+)+$"',
                 b'"enum"',
                 b'"dependentSchemas"', b'"propertyNames"', b'"unevaluatedProperties"', b'"prefixItems"', b'"contains"')

HARNESSES: Final = (
    Harness("yaml", yaml, lambda: (made for _, made in _folder()), _YAML, parse=documents.load_yaml),
    Harness("canonical", canonical_yaml, lambda: (made for _, made in _folder()), _YAML,
            parse=lambda data: documents.load_yaml(data, limit=package.MAX_DOCUMENT), seconds=1.0),
    Harness("json", json_value, _bodies, _JSON, parse=_body),
    Harness("manifest", manifest, _manifests, _YAML, parse=package.parse_manifest),
    Harness("record", record, _written("task.yaml"), _YAML, seconds=1.0),
    Harness("files", files, _written("files.yaml"), _YAML, seconds=1.0),
    Harness("entry", entry, _written("discussion/", "review.yaml", "summary.md"), _YAML, seconds=1.0),
    Harness("actor", actor, _people, _YAML, seconds=1.0),
    Harness("policy", policy, _people, _YAML, parse=roster.read_policy, seconds=1.0),
    Harness("command", command, _bodies, _JSON + _FIELDS, parse=_one_command),
    Harness("schemas", schemas, _bodies, _JSON + _FIELDS, parse=lambda data: parse.manifest(_body(data))),
    Harness("result", result, _results, _JSON + _RULES + (b"\0|\0",), seconds=2.0),  # its steps are counted instead
    Harness("personal", personal, _personal, _JSON,
            parse=lambda data: personal_body.context(_body(data), READER)),
    Harness("lfs-body", lfs_body, _lfs, _JSON, (Invalid, Refused)),
    Harness("card", card, _cards, _JSON),
    Harness("policy-form", policy_form, lambda: (b"lease_seconds\0|\x0090 minutes", b"self_review\0|\0yes", b"10 MiB",
            b"denied_types\0|\0text/html, a"), (b" ", b"MiB", b"days", b".", b"1", b",", b"\xd9\xa3")),
)  # fmt: skip
