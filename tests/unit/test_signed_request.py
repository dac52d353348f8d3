"""Reading what a pushed commit asks for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from taskrepo import signed_request
from taskrepo.commands import (
    TASK_COMMANDS,
    Approve,
    Ask,
    Claim,
    Command,
    Comment,
    Create,
    Fail,
    Progress,
    Publish,
    Release,
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


def refusal(act: Callable[[], object]) -> tuple[str, str, str]:
    """How something is refused: the code, the place, and the words about it."""
    with pytest.raises(Invalid) as refused:
        act()
    code, where, message = refused.value.code, refused.value.where, refused.value.message
    assert message.startswith(f"{where}: ")
    return code, where, message.removeprefix(f"{where}: ")


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
    (f"comment {ID}\n \t\n", Words("comment", ID, "", "")),
    (f"comment {ID}:   XX  \n\n\n  * indented\n\nXX \n\n", Words("comment", ID, "", "XX\n\n  * indented\n\nXX")),
    (f"comment {ID}\n\nXX\n", Words("comment", ID, "", "XX")),
    (f"progress {ID} 0%", Words("progress", ID, "0%", "")), (f"fail {ID} executor", Words("fail", ID, "executor", "")),
])  # fmt: skip
def test_a_message_is_a_command_a_task_and_words(message: str, words: Words) -> None:
    """The first line says what is asked of which task; the rest belongs to the text."""
    assert read_words(message) == words


FORM = "begins with a command and a task, like `claim 4k7q2m9x`"
KNOWN = (
    "is not a command that can be pushed; there are create, revise, publish, claim, start, progress, ask, answer, "
    "release, submit, approve, reject, rework, reopen, fail, cancel, archive, comment, erase"
)


@pytest.mark.parametrize(("message", "why"), [
    ("", FORM), ("Fix typo\n", FORM), ("claim\n", FORM), (f"claim  {ID}", FORM), (f"claim {ID} now then", FORM),
    (f"seize {ID}", f"seize {KNOWN}"), (f"expire {ID}", f"expire {KNOWN}"),
    (f"claim {ID}: a\nb\n", "needs an empty line after its first line"),
    (f"claim {ID}\n \nb\n", "needs an empty line after its first line"),
    (f"claim {ID} now", "claim takes nothing after the id, not 'now'"),
    (f"publish {ID} draft", "publish takes nothing after the id, not 'draft'"),
    (f"progress {ID} 101%", "progress takes `60%` after the id, not '101%'"),
    (f"progress {ID} 060%", "progress takes `60%` after the id, not '060%'"),
    (f"progress {ID} 60", "progress takes `60%` after the id, not '60'"),
    (f"create {ID} secret", "create takes `draft` after the id, not 'secret'"),
    (f"fail {ID} me", "fail takes `task` or `executor` after the id, not 'me'"),
    (f"comment {ID}: \x1b[31mred", "has the control character U+001B"),
    (f"comment {ID}: a\r\n", "has the control character U+000D"),
    (f"comment {ID}: a\u2028b", "has the control character U+2028"),
    (f"comment {ID}\n\na\x85b", "has the control character U+0085"),
])  # fmt: skip
def test_another_message_is_refused_with_the_reason(message: str, why: str) -> None:
    """What is wrong is said in a way that helps to write it right."""
    assert refusal(lambda: read_words(message)) == ("bad-message", "message", why)


def test_a_request_is_a_signed_commit_on_one_parent() -> None:
    """Its parent, its actor and its words are those of the commit; any time zone will do."""
    request = read(commit())
    assert request.id == object_id("commit", commit())
    assert (request.parent, request.actor, request.words.command) == ("1" * 40, "bob", "claim")
    assert request.commit.author.at == 1763690000


HEADERS = ("bad-commit", "commit", "has headers other than tree, parent, author, committer and one gpgsig")
NOT_BOB = ("bad-commit", "committer", "is not the author")
PERSON = "is not `Name <actor@taskrepo.invalid> seconds zone`"


@pytest.mark.parametrize(("raw", "how"), [
    (commit(parents=""), ("bad-commit", "parent", "are 0; a request has one, a commit of this ledger")),
    (commit(parents=f"parent {'1' * 40}\nparent {'2' * 40}\n"),
     ("bad-commit", "parent", "are 2; a request has one, a commit of this ledger")),
    (commit(author="bob <carol@taskrepo.invalid> 1 +0000"), NOT_BOB),
    (commit(author="Bob <bob@taskrepo.invalid> 1 +0000"), NOT_BOB),
    (commit(author="bob <bob@example.org> 1 +0000"), ("bad-commit", "author", PERSON)),
    (commit(committer="bob <bob@taskrepo.invalid> 1 UTC"), ("bad-commit", "committer", PERSON)),
    (commit().replace(b"gpgsig ", b"gpgsig-sha256 "), HEADERS),
    (commit().replace(b"\ngpgsig", b"\nencoding UTF-7\ngpgsig"), HEADERS),
    (commit(b"comment 4k7q: \x00\n"), HEADERS),
    (commit(b"comment 4k7q: \xff\n"), ("bad-message", "message", "is not UTF-8")),
])  # fmt: skip
def test_another_commit_is_refused(raw: bytes, how: tuple[str, str, str]) -> None:
    """Roots, merges, other people's and other addresses' commits, and anything git itself would not write here."""
    assert refusal(lambda: read(raw)) == how


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
    brought = sort("revise", gone(f"{ROOT}/input/a.csv"), gone(f"{ROOT}/.gitattributes"), put(f"{ROOT}/input/b.csv"))
    assert (brought.drop, list(brought.files), brought.manifest) == (("input/a.csv",), ["input/b.csv"], "")


def test_other_files_go_into_the_next_folder() -> None:
    """A submission has the next number, and so has what is said; there every name is a file's."""
    brought = sort("submit", put(f"{ROOT}/submissions/2/summary.md"), put(f"{ROOT}/submissions/2/logs/a/b.txt"))
    assert (brought.summary, list(brought.files)) == ("a" * 40, ["logs/a/b.txt"])
    assert sort("claim") == Brought()
    said = sort("comment", *(put(f"{ROOT}/discussion/0004/{name}") for name in ("manifest.yaml", "summary.md")))
    assert (sorted(said.files), said.manifest, said.summary) == (["manifest.yaml", "summary.md"], "", "")
    assert list(sort("submit", put(f"{ROOT}/submissions/1/result.json"), seen=None).files) == ["result.json"]
    assert list(sort("comment", put(f"{ROOT}/discussion/0001/a"), seen=None).files) == ["a"]
    kinds = [signed_request.kind_of(name) for name in ("create", "revise", "submit", "ask")]
    assert kinds == ["task_attachment", "task_attachment", "submission_artifact", "event_file"]
    assert [signed_request.folder_for("claim", seen) for seen in (None, SEEN)] == ["", ""]
    whole = sort("submit", put(f"{ROOT}/submissions/2/.gitattributes"), put(f"{ROOT}/submissions/2/logs/b"))
    assert whole == Brought(
        f"{ROOT}/submissions/2/", files={"logs/b": put(f"{ROOT}/submissions/2/logs/b")}, attributes=("a" * 40,)
    )  # fmt: skip


LAYOUT = "has no place here: a package holds README.md and files under input/, context/, acceptance/"
DELIVERED = "has no place here: a submission holds result.json and files under artifacts/, logs/"
WRITTEN = "is written by the exchange alone"
BELOW = "changes files below tasks/…/ID/"
GONE = "is gone, which this command does not ask for"
LINKS = "only plain files are taken, no links or modules"


@pytest.mark.parametrize(("command", "change", "why"), [
    ("claim", put(f"{ROOT}/input/a"), "claim changes no files"),
    ("approve", put(f"{ROOT}/submissions/1/review.yaml"), "approve changes no files"),
    *((command, put(path), f"{command} {BELOW} only")
      for command in ("create", "revise")
      for path in ("policy.yaml", ".gitattributes", "tasks/4/k/8/4k7q2m9x/input/a", "tasks/4/k/7/4k7q2m9/input/a")),
    ("submit", put(f"{ROOT}/input/a"), f"submit {BELOW}submissions/NUMBER/ only"),
    ("submit", put(f"{ROOT}/submissions/0/logs/a"), f"submit {BELOW}submissions/NUMBER/ only"),
    *((command, put(f"{ROOT}/discussion/0004.md"), f"{command} {BELOW}discussion/NUMBER/ only")
      for command in ("comment", "ask", "answer", "progress")),
    ("revise", put(f"{ROOT}/input/.gitattributes"), f"has no place here: put its lines into {ROOT}/.gitattributes"),
    ("comment", put(f"{ROOT}/discussion/0004/a/.gitattributes"),
     f"has no place here: put its lines into {ROOT}/discussion/0004/.gitattributes"),
    *(("revise", put(f"{ROOT}/{name}"), WRITTEN) for name in ("task.yaml", "files.yaml", "review.yaml")),
    *(("submit", put(f"{ROOT}/submissions/2/{name}"), WRITTEN) for name in ("task.yaml", "files.yaml", "review.yaml")),
    *(("revise", put(f"{ROOT}/{name}"), LAYOUT) for name in ("secret", "summary.md", "logs/a", "result.json")),
    *(("submit", put(f"{ROOT}/submissions/2/{name}"), DELIVERED) for name in ("README.md", "manifest.yaml", "input/a")),
    ("revise", gone(f"{ROOT}/manifest.yaml"), GONE), ("create", gone(f"{ROOT}/input/a"), GONE),
    ("submit", gone(f"{ROOT}/submissions/2/logs/a"), GONE), ("comment", gone(f"{ROOT}/discussion/0004/a"), GONE),
])  # fmt: skip
def test_nothing_else_changes(command: str, change: Change, why: str) -> None:
    """Files of the ledger, the exchange's own, other folders: each is named and refused."""
    assert refusal(lambda: sort(command, change)) == ("foreign-path", change.path, why)


@pytest.mark.parametrize(("command", "path", "folder"), [
    ("revise", "tasks/4/k/7/4k7q2m9y/", f"{ROOT}/"), ("submit", f"{ROOT}/submissions/1/", f"{ROOT}/submissions/2/"),
    ("comment", f"{ROOT}/discussion/0003/", f"{ROOT}/discussion/0004/"),
])  # fmt: skip
def test_files_go_into_the_folder_of_the_command(command: str, path: str, folder: str) -> None:
    """Another task's folder and one that is written already are refused with the one that is meant."""
    name = "input/a" if command == "revise" else "logs/a"
    why = f"is not {folder}, where this {command} puts its files"
    assert refusal(lambda: sort(command, put(path + name))) == ("foreign-path", path, why)


@pytest.mark.parametrize(("mode", "why"), [
    (0o100755, f"is executable, which no file is here: git update-index --chmod=-x '{ROOT}/input/a'"),
    (0o120000, f"has the mode 120000; {LINKS}"), (0o160000, f"has the mode 160000; {LINKS}"),
    (0o100600, f"has the mode 100600; {LINKS}"),
])  # fmt: skip
def test_only_plain_files_are_taken(mode: int, why: str) -> None:
    """A program, a link and a module are refused, and a program with the command that makes it plain."""
    assert refusal(lambda: sort("revise", put(f"{ROOT}/input/a", mode))) == ("bad-tree", f"{ROOT}/input/a", why)


def test_a_new_task_needs_a_manifest() -> None:
    """It is named by the path it would have, as far as that can be known."""
    how = "is missing: a new task needs its manifest"
    assert refusal(lambda: sort("create", put(f"{ROOT}/input/a"))) == ("missing-manifest", f"{ROOT}/manifest.yaml", how)
    assert refusal(lambda: sort("create")) == ("missing-manifest", "manifest.yaml", how)


@pytest.mark.parametrize("good", [
    b"", b"\n# large\n", b"*.bin filter=lfs diff=lfs merge=lfs -text\n",
    b'"/input/a b" filter=lfs diff=lfs merge=lfs -text\n',
    b"/input/a.bin\tfilter=lfs  diff=lfs merge=lfs -text",
    b"# of Windows\r\n\r\n \t\n*.bin filter=lfs diff=lfs merge=lfs -text\r\n", b"#".ljust(1 << 20),
])  # fmt: skip
def test_attributes_may_say_what_is_large(good: bytes) -> None:
    """The line that `git lfs track` writes."""
    signed_request.check_attributes(good)


@pytest.mark.parametrize("bad", [
    b"* filter=evil", b"* text=auto", b"*.bin filter=lfs diff=lfs merge=lfs -text eol=crlf",
    b"[attr]lfs filter=lfs diff=lfs merge=lfs -text", b"*.bin filter=lfs", b"\xff", b" # indented",
    b"!a filter=lfs diff=lfs merge=lfs -text", b"a" * 100, b"*.bin filter=lfs diff=lfs merge=lfs -text\r\r",
])  # fmt: skip
def test_attributes_say_nothing_else(bad: bytes) -> None:
    """Other filters, macros and line ends would change what other people's git does."""
    line = "`PATTERN filter=lfs diff=lfs merge=lfs -text`, the only line it may have"
    why = f"{bad.removesuffix(bytes([13]))[:60]!r} is not {line}"
    for data in (bad, b"# large\n" + bad + b"\n"):
        how = refusal(lambda: signed_request.check_attributes(data))  # noqa: B023 — it is called at once
        assert how == ("bad-attributes", ".gitattributes", why)


def test_attributes_have_a_size() -> None:
    """A megabyte of them is enough."""
    how = refusal(lambda: signed_request.check_attributes(b"#".ljust((1 << 20) + 1)))
    assert how == ("bad-attributes", ".gitattributes", "is longer than 1,048,576 bytes")


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
    (f"fail {ID}: broken", NEW, Fail(ID, 1_000_000, "broken")), (f"submit {ID}: a", NEW, Submit(ID, 1_000_000, "a")),
    (f"release {ID}: ill", None, Release(ID, 1_000_000, "ill")), (f"release {ID}: ill", SEEN, Release(ID, 2, "ill")),
    (f"ask {ID}: why?", SEEN, Ask(ID, "why?", 2)), (f"ask {ID}: why?", NEW, Ask(ID, "why?")),
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
    assert refusal(lambda: made(f"claim {ID}")) == ("unexpected-files", "claim", "takes no files")


def test_a_reason_that_is_missing_is_named() -> None:
    """What every door asks for, this one does too, by the same name."""
    words = read_words(f"reject {ID}")
    how = refusal(
        lambda: signed_request.command_of(words, ID, SEEN, Brought(), manifest=None, summary="", files=())
    )
    assert how == ("invalid-field", "reject.reason", "is required")


def test_every_command_but_expire_can_be_pushed() -> None:
    """What the exchange does by itself nobody asks for."""
    assert set(TASK_COMMANDS) - set(signed_request.COMMANDS) == {"expire"}


def test_all_changes_are_in_one_folder() -> None:
    """A request that begins in one task and goes on in another is refused at the first path that is elsewhere."""
    other = "tasks/4/k/7/4k7q2m9y/input/a"
    how = refusal(lambda: sort("revise", put(f"{ROOT}/input/a"), put(other)))
    assert how == ("foreign-path", other, f"revise changes files below {ROOT}/ only")


def test_a_change_knows_its_blob() -> None:
    """The file that a change puts into the tree."""
    assert put("a").blob == "a" * 40
