"""JSON bodies become commands."""

from typing import Any

import pytest

from taskrepo import parse
from taskrepo.commands import (
    TASK_COMMANDS,
    AddActor,
    AddKey,
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    ChangeActor,
    Claim,
    Comment,
    Erase,
    Expire,
    Fail,
    Progress,
    Publish,
    Reject,
    Release,
    RenameKey,
    Reopen,
    RetireKey,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.errors import Invalid, Refused
from taskrepo.model import Capabilities, File, Manifest, Policy
from taskrepo.signing import Signer

ID = "4k7q2m9x"
FILE = File("a", "a", "text/plain", 1, "0" * 64)
SIGNER = Signer.of(bytes(32))
TAKES_FILES = {"revise", "progress", "ask", "answer", "submit", "comment"}
BODIES: dict[str, tuple[dict[str, Any], Any]] = {
    "revise": (
        {"manifest": {"title": "t", "description": "a\r\nb"}, "drop": ["input/a"]},
        Revise(ID, Manifest("t", "a\nb"), (), ("input/a",)),
    ),
    "publish": ({}, Publish(ID)),
    "claim": ({}, Claim(ID)),
    "start": ({"execution": 2}, Start(ID, 2)),
    "progress": ({"execution": 1, "percent": 0, "note": "n"}, Progress(ID, 1, 0, "n")),
    "ask": ({"text": "?\r\n!", "execution": 1}, Ask(ID, "?\n!", 1)),
    "answer": ({"text": "!"}, Answer(ID, "!")),
    "release": ({"execution": 1, "reason": "r"}, Release(ID, 1, "r")),
    "expire": ({}, Expire(ID)),
    "submit": ({"execution": 1, "summary": "s", "result": {"a": [1]}}, Submit(ID, 1, "s")),
    "approve": ({"reason": ""}, Approve(ID, "")),
    "reject": ({"reason": "r"}, Reject(ID, "r")),
    "rework": ({}, Rework(ID)),
    "reopen": ({"reason": "r"}, Reopen(ID, "r")),
    "fail": ({"execution": 1, "reason": "r", "fault": "task"}, Fail(ID, 1, "r", "task")),
    "cancel": ({"reason": "r"}, Cancel(ID, "r")),
    "archive": ({}, Archive(ID)),
    "erase": ({"reason": "r"}, Erase(ID, "r")),
    "comment": ({"text": "c"}, Comment(ID, "c")),
}


def _invalid(call: Any, *args: Any) -> str:
    with pytest.raises(Invalid) as caught:
        call(*args)
    return caught.value.where


def test_every_command_is_here() -> None:
    """Each task command has a body but `create`, which has an address of its own."""
    assert BODIES.keys() == TASK_COMMANDS.keys() - {"create"}


@pytest.mark.parametrize("name", BODIES)
def test_commands(name: str) -> None:
    """A body becomes its command; web forms' line ends become newlines."""
    body, command = BODIES[name]
    before = repr(body)
    assert parse.task_command(name, ID, body) == command
    assert repr(body) == before, "the caller's data is left alone"


@pytest.mark.parametrize("name", BODIES)
def test_commands_take_no_unknown_fields(name: str) -> None:
    """A field nobody knows is refused by its name, as is a body that is no object."""
    assert _invalid(parse.task_command, name, ID, {**BODIES[name][0], "shoe_size": 1}) == f"{name}.shoe_size"
    assert _invalid(parse.task_command, name, ID, []) == name


@pytest.mark.parametrize("name", BODIES)
def test_files_go_where_they_belong(name: str) -> None:
    """Files that came with a request are part of the commands that take them; others refuse them."""
    if name in TAKES_FILES:
        command: Any = parse.task_command(name, ID, BODIES[name][0], (FILE,))
        assert command.files == (FILE,)
        return
    with pytest.raises(Invalid) as caught:
        parse.task_command(name, ID, BODIES[name][0], (FILE,))
    assert (caught.value.code, caught.value.where, caught.value.message) == (
        "unexpected-files", name, f"{name}: takes no files"
    )  # fmt: skip


def test_a_body_that_came_with_its_files() -> None:
    """What it names as uploaded, and a result, are among its files by then; without files nothing is missed."""
    assert parse.task_command("comment", ID, {"text": "c", "uploads": []}) == Comment(ID, "c")
    assert parse.task_command("submit", ID, {"execution": 1, "summary": "s"}) == Submit(ID, 1, "s")


@pytest.mark.parametrize("name", ["create", "explode", "", "found", "x" * 10_000])
def test_other_names_are_not_found(name: str) -> None:
    """What no client may give, and what does not exist, is not found; the message stays short."""
    with pytest.raises(Refused) as caught:
        parse.task_command(name, ID, {})
    assert caught.value.code == "not-found"
    assert caught.value.message == f"{name[:40]} is not a command that can be given here"


@pytest.mark.parametrize(
    ("name", "body", "where"),
    [
        ("progress", {"percent": 5}, "progress.execution"),
        ("progress", {"execution": 0}, "progress.execution"),
        ("progress", {"execution": True}, "progress.execution"),
        ("progress", {"execution": 1, "percent": 101}, "progress.percent"),
        ("progress", {"execution": 1, "note": "a\nb"}, "progress.note"),
        ("submit", {"execution": 1, "summary": " \n "}, "submit.summary"),
        ("reject", {"reason": ""}, "reject.reason"),
        ("comment", {"text": "\x1b[2J"}, "comment.text"),
        ("comment", {"text": "x" * 20001}, "comment.text"),
        ("fail", {"execution": 1, "reason": "r", "fault": "you"}, "fail.fault"),
        ("revise", {"manifest": {"title": "t"}}, "revise.manifest.description"),
        ("revise", {"drop": [""]}, "revise.drop[0]"),
    ],
)
def test_bad_values(name: str, body: dict[str, Any], where: str) -> None:
    """A value that does not fit is refused by the path of its field."""
    assert _invalid(parse.task_command, name, ID, body) == where


def test_manifests() -> None:
    """A manifest is checked against its schema."""
    assert parse.manifest({"title": "t", "description": "d", "labels": ["a"]}).labels == ("a",)
    assert _invalid(parse.manifest, {"title": "t", "description": "d", "labels": ["a", 5]}) == "manifest.labels[1]"
    assert _invalid(parse.manifest, None) == "manifest"
    assert _invalid(parse.manifest, {"title": "t", "description": "d", "due_at": "2026-02-30T00:00:00Z"}) == (
        "manifest.due_at"
    )


def test_results() -> None:
    """A submission's result is a file of its own, also when it is null."""
    assert parse.result_json({"result": None}) == b"null\n"
    assert parse.result_json({"result": {"é": 1}}) == '{\n  "é": 1\n}\n'.encode()
    assert parse.result_json({}) is None
    assert parse.result_json([]) is None


def test_actors() -> None:
    """An actor's body becomes a command; what is left out takes its default, or stays."""
    assert parse.add_actor({"id": "bob", "type": "agent"}) == AddActor("bob", "agent")
    assert parse.add_actor(
        {"id": "bob", "type": "agent", "name": " B  b ", "capabilities": {"skills": ["x"]}, "grants": ["admin"]}
    ) == AddActor("bob", "agent", "B b", Capabilities(skills=("x",)), ("admin",))
    assert parse.change_actor("bob", {"active": False}) == ChangeActor("bob", active=False)
    assert parse.change_actor("bob", {"name": "B ", "capabilities": {}, "grants": []}) == ChangeActor(
        "bob", "B", Capabilities(), ()
    )
    assert _invalid(parse.add_actor, {"id": "Bob", "type": "agent"}) == "actor.id"
    assert _invalid(parse.change_actor, "bob", {}) == "actor"


def test_keys() -> None:
    """A public key is normalised and fingerprinted; something else is refused."""
    body = {"name": " my  laptop", "key": f"{SIGNER.public_line} bob@home"}
    assert parse.add_key("bob", body) == AddKey("bob", "my laptop", SIGNER.public_line, SIGNER.fingerprint)
    assert _invalid(parse.add_key, "bob", {"name": "x", "key": "ssh-rsa nonsense"}) == "key"
    assert parse.retire_key("bob", {"fingerprint": "SHA256:x"}) == RetireKey("bob", "SHA256:x")
    assert parse.rename_key("bob", "SHA256:x", {"name": " my  desk "}) == RenameKey("bob", "SHA256:x", "my desk")
    assert _invalid(parse.retire_key, "bob", {}) == "key.fingerprint"
    assert _invalid(parse.rename_key, "bob", "SHA256:x", {"name": "  "}) == "key.name"
    assert _invalid(parse.add_key, "bob", {**body, "name": " "}) == "key.name"


def test_a_key_has_a_name() -> None:
    """One that is blank is refused, with an example of what would do."""
    with pytest.raises(Invalid) as caught:
        parse.rename_key("bob", "SHA256:x", {"name": "  "})
    words = "key.name: is blank; say what the key is on, as laptop"
    assert (caught.value.code, caught.value.message) == ("invalid-field", words)


CONTEXT = {
    "origin": "email", "source_name": "Inbox", "source_context": "all\r\nof it",
    "tasks": [
        {"title": "a"}, {"title": "b", "description": "d", "external_id": "x", "source_name": "", "labels": ["l"]},
    ],
}  # fmt: skip


def test_a_context_becomes_tasks() -> None:
    """Each has what they share, unless it says otherwise; its title describes it where nothing else does."""
    first, second = parse.ingest(CONTEXT)
    shared = {"origin": "email", "source_name": "Inbox", "source_context": "all\nof it"}
    assert first == Manifest("a", "a", **shared, external_id=first.external_id)
    assert second == Manifest("b", "d", **shared, external_id="x", labels=("l",))


def test_a_task_of_a_context_is_named_by_what_it_says() -> None:
    """The same in whatever place of whichever call, and another where anything of it differs."""
    first, _ = parse.ingest(CONTEXT)
    assert first.external_id == "context:ab79531a976fd8b5ec025f268c636c1783f4469d"
    assert parse.ingest({**CONTEXT, "tasks": [{"title": "z"}, {"title": "a"}]})[1] == first
    assert parse.ingest({**CONTEXT, "origin": "chat"})[0].external_id != first.external_id


@pytest.mark.parametrize(("bent", "where"), [
    ({"tasks": 5}, "tasks"), ({"tasks": [{"title": "a"}, {"title": 5}]}, "tasks[1].title"), ({"colour": 1}, "colour"),
    ({"tasks": [{"title": "a"}, {"title": "b", "due_at": "2026-02-30T00:00:00Z"}]}, "tasks[1].due_at"),
])  # fmt: skip
def test_a_context_is_refused_by_its_field(bent: dict[str, Any], where: str) -> None:
    """Whether it is the context's own or that of one of its tasks."""
    assert _invalid(parse.ingest, {**CONTEXT, **bent}) == where


def test_newlines_of_forms_become_plain() -> None:
    """Wherever in a body they stand."""
    made = parse.manifest({"title": "t", "description": "a\r\nb", "acceptance": ["x\r\ny", {"text": "p\r\nq"}]})
    assert (made.description, [item.text for item in made.acceptance]) == ("a\nb", ["x\ny", "p\nq"])


def test_policies() -> None:
    """A policy changes in the fields that are named, and nothing else may be named."""
    changed = parse.changed_policy(Policy(max_files=7), {"self_review": True, "denied_suffixes": [".exe"]})
    assert changed == Policy(max_files=7, self_review=True, denied_suffixes=(".exe",))
    assert _invalid(parse.changed_policy, Policy(), {}) == "policy"
    assert _invalid(parse.changed_policy, Policy(), {"updated": {}}) == "policy.updated"
