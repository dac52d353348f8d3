"""Reading what a pushed commit asks for."""

from dataclasses import replace

import pytest

from taskrepo import signed_request
from taskrepo.commands import (
    TASK_COMMANDS,
    Approve,
    Claim,
    Command,
    Comment,
    Create,
    Fail,
    Progress,
    Publish,
    Revise,
    Start,
    Submit,
)
from taskrepo.errors import Invalid
from taskrepo.history import add_signature, object_id
from taskrepo.model import Execution, File, Manifest, Stamp, Submission, Task
from taskrepo.signed_request import Brought, Change, Words, read_words
from taskrepo.signing import Signer

ID = "4k7q2m9x"
ROOT = f"tasks/4/k/7/{ID}"
TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
BOB = Signer.of(bytes(32))
PLAIN = 0o100644
SEEN = Task(
    ID, "running", "alice", 1, Manifest("t", "d"), 9, Stamp("started", "bob", 9), discussion=3,
    executions=(Execution(2, "bob", 1, 9, "active"),), submissions=(Submission(1, 1, "bob", 9, 0, 0),),
)  # fmt: skip


def commit(message: bytes = b"claim 4k7q\n", **other: str) -> bytes:
    """A signed commit as git writes it, with other headers where they are given."""
    bob = "bob <bob@taskrepo.invalid> 1763690000 +0130"
    parents = other.get("parents", f"parent {'1' * 40}\n")
    heads = f"tree {TREE}\n{parents}author {other.get('author', bob)}\ncommitter {other.get('committer', bob)}\n"
    payload = heads.encode() + b"\n" + message
    return add_signature(payload, BOB.sign(payload))


def refusal(message: str) -> str:
    """Why a message is not taken."""
    with pytest.raises(Invalid) as refused:
        read_words(message)
    assert refused.value.code == "bad-message"
    return refused.value.message


def read(raw: bytes) -> signed_request.SignedRequest:
    """The request in a commit."""
    return signed_request.read(object_id("commit", raw), raw)


@pytest.mark.parametrize(("message", "words"), [
    ("claim 4k7q2m9x\n", Words("claim", ID, "", "")),
    ("claim 4K7Q", Words("claim", "4K7Q", "", "")),
    (f"progress {ID} 60%: parser done\n", Words("progress", ID, "60%", "parser done")),
    (f"progress {ID} 100%\n", Words("progress", ID, "100%", "")),
    (f"create {ID} draft: Count\n", Words("create", ID, "draft", "Count")),
    (f"fail {ID} task: broken\n\nTwice.\n", Words("fail", ID, "task", "broken\n\nTwice.")),
    (f"submit {ID}\n\nAll.\n\n  * one\n", Words("submit", ID, "", "All.\n\n  * one")),
    (f"comment {ID}:a: b\n\n\n\nc\n\n", Words("comment", ID, "", "a: b\n\nc")),
    (f"comment {ID}:\n", Words("comment", ID, "", "")),
])  # fmt: skip
def test_a_message_is_a_command_a_task_and_words(message: str, words: Words) -> None:
    """The first line says what is asked of which task; the rest belongs to the text."""
    assert read_words(message) == words


@pytest.mark.parametrize(("message", "why"), [
    ("", "begins with a command"), ("Fix typo\n", "begins with a command"), ("claim\n", "begins with a command"),
    ("seize 4k7q2m9x", "is not a command"), ("expire 4k7q2m9x", "is not a command"),
    ("claim 4k7q2m9x: a\nb\n", "needs an empty line"), ("claim 4k7q2m9x now", "takes nothing after the id"),
    ("progress 4k7q2m9x 101%", "takes `60%`"), ("progress 4k7q2m9x 060%", "takes `60%`"),
    ("create 4k7q2m9x secret", "takes `draft`"), ("fail 4k7q2m9x me", "takes `task` or `executor`"),
    ("comment 4k7q2m9x: \x1b[31mred", "U+001B"), ("comment 4k7q2m9x: a\r\n", "U+000D"),
    ("comment 4k7q2m9x: a\u2028b", "U+2028"), ("comment 4k7q2m9x\n\na\x85b", "U+0085"),
])  # fmt: skip
def test_another_message_is_refused_with_the_reason(message: str, why: str) -> None:
    """What is wrong is said in a way that helps to write it right."""
    assert why in refusal(message)


def test_a_request_is_a_signed_commit_on_one_parent() -> None:
    """Its parent, its actor and its words are those of the commit; any time zone will do."""
    request = read(commit())
    assert (request.parent, request.actor, request.words.command) == ("1" * 40, "bob", "claim")
    assert request.commit.author.at == 1763690000


@pytest.mark.parametrize("raw", [
    commit(parents=""), commit(parents=f"parent {'1' * 40}\nparent {'2' * 40}\n"),
    commit(author="carol <carol@taskrepo.invalid> 1 +0000"), commit(author="Bob <bob@taskrepo.invalid> 1 +0000"),
    commit(author="bob <bob@example.org> 1 +0000"), commit(committer="bob <bob@taskrepo.invalid> 1 UTC"),
    commit().replace(b"gpgsig ", b"gpgsig-sha256 "), commit().replace(b"\ngpgsig", b"\nencoding UTF-7\ngpgsig"),
    commit(b"comment 4k7q: \xff\n"), commit(b"comment 4k7q: \x00\n"),
])  # fmt: skip
def test_another_commit_is_refused(raw: bytes) -> None:
    """Roots, merges, other people's and other addresses' commits, and anything git itself would not write here."""
    with pytest.raises(Invalid) as refused:
        read(raw)
    assert refused.value.code in ("bad-commit", "bad-message")


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def put(path: str, mode: int = PLAIN) -> Change:
    """A file that was put at a path of the tree."""
    return Change(path, None, (mode, "a" * 40))


def gone(path: str) -> Change:
    """A file that was removed."""
    return Change(path, (PLAIN, "a" * 40), None)


def sort(command: str, *changes: Change, seen: Task | None = SEEN) -> Brought:
    """What changes are to a command on this task, as its author saw it."""
    words = Words(command, ID, "", "")
    brought = signed_request.sort(words, changes)
    signed_request.check_place(brought, words, ID, seen)
    return brought


def test_a_package_is_the_tasks_own_folder() -> None:
    """Manifest, README and the files of its folders; a revision may remove some."""
    attributes, manifest = put(f"{ROOT}/.gitattributes"), put(f"{ROOT}/manifest.yaml")
    brought = sort("create", manifest, put(f"{ROOT}/input/a.csv"), put(f"{ROOT}/README.md"), attributes, seen=None)
    assert (brought.manifest, sorted(brought.files), brought.attributes) == (
        "a" * 40, ["README.md", "input/a.csv"], ("a" * 40,)
    )  # fmt: skip
    brought = sort("revise", gone(f"{ROOT}/input/a.csv"), gone(f"{ROOT}/.gitattributes"))
    assert (brought.drop, brought.files, brought.manifest) == (("input/a.csv",), {}, "")


def test_other_files_go_into_the_next_folder() -> None:
    """A submission has the next number, and so has what is said; there every name is a file's."""
    brought = sort("submit", put(f"{ROOT}/submissions/2/summary.md"), put(f"{ROOT}/submissions/2/logs/a/b.txt"))
    assert (brought.summary, list(brought.files)) == ("a" * 40, ["logs/a/b.txt"])
    assert sort("claim") == Brought()
    assert sorted(sort("comment", put(f"{ROOT}/discussion/0004/manifest.yaml")).files) == ["manifest.yaml"]
    assert list(sort("submit", put(f"{ROOT}/submissions/1/result.json"), seen=None).files) == ["result.json"]
    assert list(sort("comment", put(f"{ROOT}/discussion/0001/a"), seen=None).files) == ["a"]
    kinds = [signed_request.kind_of(name) for name in ("create", "submit", "ask")]
    assert kinds == ["task_attachment", "submission_artifact", "event_file"]


@pytest.mark.parametrize(("command", "change", "code"), [
    ("claim", put(f"{ROOT}/input/a"), "foreign-path"), ("revise", put("tasks/4/k/8/4k7q2m9x/input/a"), "foreign-path"),
    ("revise", put(f"{ROOT}/input/.gitattributes"), "foreign-path"),
    ("comment", put(f"{ROOT}/discussion/0004/a/.gitattributes"), "foreign-path"),
    ("approve", put(f"{ROOT}/submissions/1/review.yaml"), "foreign-path"),
    ("revise", put("tasks/4/k/7/4k7q2m9y/input/a"), "foreign-path"), ("revise", put("policy.yaml"), "foreign-path"),
    ("revise", put(".gitattributes"), "foreign-path"), ("revise", put(f"{ROOT}/task.yaml"), "foreign-path"),
    ("revise", put(f"{ROOT}/files.yaml"), "foreign-path"), ("revise", put(f"{ROOT}/secret"), "foreign-path"),
    ("revise", gone(f"{ROOT}/manifest.yaml"), "foreign-path"),
    ("submit", gone(f"{ROOT}/submissions/2/logs/a"), "foreign-path"),
    ("submit", put(f"{ROOT}/submissions/1/logs/a"), "foreign-path"),
    ("submit", put(f"{ROOT}/submissions/2/files.yaml"), "foreign-path"),
    ("comment", put(f"{ROOT}/discussion/0003/a"), "foreign-path"),
    ("comment", put(f"{ROOT}/discussion/0004.md"), "foreign-path"),
    ("revise", put(f"{ROOT}/input/a", 0o100755), "bad-tree"), ("revise", put(f"{ROOT}/input/a", 0o120000), "bad-tree"),
    ("revise", put(f"{ROOT}/input/a", 0o160000), "bad-tree"), ("create", put(f"{ROOT}/input/a"), "missing-manifest"),
])  # fmt: skip
def test_nothing_else_changes(command: str, change: Change, code: str) -> None:
    """Files of other tasks, the exchange's own, other folders, other modes: each is named and refused."""
    with pytest.raises(Invalid) as refused:
        sort(command, change)
    assert (refused.value.code, refused.value.where.startswith(change.path[:8])) == (code, True)


@pytest.mark.parametrize("good", [
    b"", b"\n# large\n", b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
    b'"/input/a b" filter=lfs diff=lfs merge=lfs -text\n',
    b"/input/a.bin\tfilter=lfs  diff=lfs merge=lfs -text",
])  # fmt: skip
def test_attributes_may_say_what_is_large(good: bytes) -> None:
    """The line that `git lfs track` writes."""
    signed_request.check_attributes(good)


@pytest.mark.parametrize("bad", [
    b"* filter=evil\n", b"* text=auto\n", b"*.bin filter=lfs diff=lfs merge=lfs -text eol=crlf\n",
    b"[attr]lfs filter=lfs diff=lfs merge=lfs -text\n", b"*.bin filter=lfs\n", b"\xff\n",
    b"a\n" * (1 << 20), b"!a filter=lfs diff=lfs merge=lfs -text\n",
])  # fmt: skip
def test_attributes_say_nothing_else(bad: bytes) -> None:
    """Other filters, macros and line ends would change what other people's git does."""
    with pytest.raises(Invalid, match="bad-attributes"):
        signed_request.check_attributes(bad)


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────────

FILE = File("logs/a", "a", "text/plain", 1, "b" * 64)
NEW = replace(SEEN, executions=())


@pytest.mark.parametrize(("message", "seen", "command"), [
    (f"claim {ID}: please", SEEN, Claim(ID)), (f"publish {ID}", SEEN, Publish(ID)),
    (f"start {ID}", SEEN, Start(ID, 2)), (f"start {ID}", NEW, Start(ID)),
    (f"progress {ID} 60%: half", SEEN, Progress(ID, 2, 60, "half")),
    (f"progress {ID}: half", NEW, Progress(ID, 1_000_000, None, "half")),
    (f"submit {ID}: done", SEEN, Submit(ID, 2, "done")), (f"approve {ID}", SEEN, Approve(ID)),
    (f"approve {ID}: good", SEEN, Approve(ID, "good")),
    (f"comment {ID}\n\nThank\nyou.", None, Comment(ID, "Thank\nyou.")),
    (f"fail {ID} task: broken", SEEN, Fail(ID, 2, "broken", "task")),
    (f"fail {ID}: broken", SEEN, Fail(ID, 2, "broken")),
])  # fmt: skip
def test_the_command_is_what_the_words_say(message: str, seen: Task | None, command: Command) -> None:
    """Its text is in the words, its fence in what the author saw."""
    words = read_words(message)
    assert signed_request.command_of(words, ID, seen, Brought(), manifest=None, summary="", files=()) == command


def test_files_come_with_the_command() -> None:
    """A package, a revision and a submission are made of the files; a summary of its own goes before the words."""
    manifest = Manifest("t", "d")

    def made(message: str, brought: Brought = Brought(), summary: str = "") -> Command:  # noqa: B008 — it is frozen
        words = read_words(message)
        return signed_request.command_of(
            words, ID, SEEN, brought, manifest=manifest, summary=summary, files=(FILE,)
        )

    assert made(f"create {ID} draft") == Create(ID, manifest, (FILE,), draft=True)
    assert made(f"create {ID}: t") == Create(ID, manifest, (FILE,))
    assert made(f"revise {ID}", Brought(drop=("input/a",))) == Revise(ID, manifest, (FILE,), ("input/a",))
    assert made(f"submit {ID}: words", summary="whole") == Submit(ID, 2, "whole", (FILE,))
    with pytest.raises(Invalid, match="takes no files"):
        made(f"claim {ID}")


def test_a_reason_that_is_missing_is_named() -> None:
    """What every door asks for, this one does too, by the same name."""
    with pytest.raises(Invalid) as refused:
        signed_request.command_of(Words("reject", ID, "", ""), ID, SEEN, Brought(), manifest=None, summary="", files=())
    assert "reason" in refused.value.message


def test_every_command_but_expire_can_be_pushed() -> None:
    """What the exchange does by itself nobody asks for."""
    assert set(TASK_COMMANDS) - set(signed_request.COMMANDS) == {"expire"}


def test_all_changes_are_in_one_folder() -> None:
    """A request that begins in one task and goes on in another is refused at the first path that is elsewhere."""
    with pytest.raises(Invalid) as refused:
        sort("revise", put(f"{ROOT}/input/a"), put("tasks/4/k/7/4k7q2m9y/input/a"))
    assert refused.value.where == "tasks/4/k/7/4k7q2m9y/input/a"


def test_a_change_knows_its_blob() -> None:
    """The file that a change puts into the tree."""
    assert put("a").blob == "a" * 40
