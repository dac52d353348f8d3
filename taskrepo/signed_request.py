"""A signed request ⇄ Command: what a commit that somebody pushed asks for.

* The message is `<command> <id>[ <argument>][: <words>]`, and perhaps an empty line and more. The argument is `60%` for
  progress, `draft` for create, and whose fault it is (`task`, `executor`) for fail.
* The words and what follows them are the command's text: its note, question, reason or summary. A submission may bring
  its summary as `summary.md` instead.
* The files it changes are the command's files, all in one folder of one task; whatever else changes is refused.
* Nothing is asked of anybody but the commit and the state it was written against, so that whoever has the ledger reads
  the same command from it.

>>> read_words("progress 4k7q 60%: parser done\\n")
Words(command='progress', task='4k7q', argument='60%', text='parser done')
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from taskrepo import guard, identity, package, parse
from taskrepo.commands import TASK_COMMANDS, Command, Create, Expire, Revise
from taskrepo.errors import Invalid
from taskrepo.history import Commit, read_commit
from taskrepo.model import File, FileKind, Manifest, Task
from taskrepo.trees import FILE_MODE, Entry

COMMANDS: Final = tuple(name for name, kind in TASK_COMMANDS.items() if kind is not Expire)
_FIRST: Final = re.compile(
    r"(?P<command>[a-z-]{1,20}) (?P<task>[0-9A-Za-z]{1,40})(?: (?P<argument>[0-9a-z%]{1,20}))?(?:: *(?P<words>.*))?"
)
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_PERCENT: Final = re.compile("(100|[1-9]?[0-9])%")
_LFS_LINE: Final = re.compile(
    rb'(?!\[attr\])(?:"[^"\n]*"|[^\s"#!][^\s"]*)[ \t]+filter=lfs[ \t]+diff=lfs[ \t]+merge=lfs[ \t]+-text[ \t]*'
)
_MAX_ATTRIBUTES: Final = 1 << 20
_TALK: Final = frozenset({"comment", "ask", "answer", "progress"})
_PACKAGE: Final = frozenset({"create", "revise"})
_TEXTS: Final[Mapping[str, str]] = {
    "progress": "note", "ask": "text", "answer": "text", "comment": "text", "submit": "summary", "approve": "reason",
    "reject": "reason", "release": "reason", "reopen": "reason", "fail": "reason", "cancel": "reason",
    "erase": "reason",
}  # fmt: skip
_DIGIT: Final = f"([{identity.ALPHABET}])"
_TASK: Final = rf"tasks/{_DIGIT}/{_DIGIT}/{_DIGIT}/\1\2\3{_DIGIT}{{5}}/"
_ROOTS: Final = {
    "package": re.compile(_TASK), "submit": re.compile(rf"{_TASK}submissions/[1-9][0-9]{{0,8}}/"),
    "talk": re.compile(rf"{_TASK}discussion/[0-9]{{4,9}}/"),
}  # fmt: skip
_SHOWN: Final = dict(zip(_ROOTS.values(), ("", "submissions/NUMBER/", "discussion/NUMBER/"), strict=True))
_EXECUTABLE: Final = 0o100755
_NEVER: Final = 1_000_000
_WRITTEN: Final = "is written by the exchange alone"


class Words(NamedTuple):
    """What a request's message says. `task` is the id as it was typed."""

    command: str
    task: str
    argument: str
    text: str


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A commit that asks for a command; `id` is its own, `parent` the commit it was written against."""

    id: str
    commit: Commit
    words: Words

    @property
    def parent(self) -> str:
        """The one commit it was written against."""
        return self.commit.parents[0]

    @property
    def actor(self) -> str:
        """Whose request it says it is: an actor's id."""
        return self.commit.author.id


class Change(NamedTuple):
    """A file of the tree that a request changed: its path, and its entry before and after."""

    path: str
    was: Entry | None
    now: Entry | None

    @property
    def blob(self) -> str:
        """The id of the file it puts there."""
        assert self.now is not None  # what is gone is no file
        return self.now[1]


@dataclass(frozen=True, slots=True)
class Brought:
    """The content of a request: the blobs of manifest and summary, and the other changes by path in the folder `root`.

    `drop` are the package's files it removed; `attributes` the blobs of `.gitattributes`, which say what is Git LFS's.
    """

    root: str = ""
    manifest: str = ""
    summary: str = ""
    files: Mapping[str, Change] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()


def read(oid: str, raw: bytes) -> SignedRequest:
    """The request in a raw commit with the id `oid`. Raises `Invalid("bad-commit" | "bad-message")`."""
    commit = read_commit(raw, pushed=True)
    if len(commit.parents) != 1:
        raise Invalid("bad-commit", "parent", f"are {len(commit.parents)}; a request has one, a commit of this ledger")
    if commit.author.id != commit.committer.id or commit.author.name != commit.committer.name:
        raise Invalid("bad-commit", "committer", "is not the author")
    try:
        text = commit.message.decode()
    except UnicodeDecodeError:
        raise Invalid("bad-message", "message", "is not UTF-8") from None
    return SignedRequest(oid, commit, read_words(text))


def read_words(message: str) -> Words:
    """What a message asks for. Raises `Invalid("bad-message")`, which says what is wrong with it."""
    if bad := _UNPRINTABLE.search(message):
        raise Invalid("bad-message", "message", f"has the control character U+{ord(bad[0]):04X}")
    first, _, rest = message.partition("\n")
    found = _FIRST.fullmatch(first)
    if found is None:
        raise Invalid("bad-message", "message", "begins with a command and a task, like `claim 4k7q2m9x`")
    command, argument = found["command"], found["argument"] or ""
    if command not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise Invalid("bad-message", "message", f"{command} is not a command that can be pushed; there are {known}")
    if rest.strip() and not rest.startswith("\n"):
        raise Invalid("bad-message", "message", "needs an empty line after its first line")
    _check_argument(command, argument)
    text = "\n\n".join(part for part in ((found["words"] or "").strip(), rest.strip("\n").rstrip()) if part)
    return Words(command, found["task"], argument, text)


def _check_argument(command: str, argument: str) -> None:
    fits = {"progress": bool(_PERCENT.fullmatch(argument)), "create": argument == "draft",
            "fail": argument in ("task", "executor")}  # fmt: skip
    if argument and not fits.get(command, False):
        said = {"progress": "`60%`", "create": "`draft`", "fail": "`task` or `executor`"}.get(command, "nothing")
        raise Invalid("bad-message", "message", f"{command} takes {said} after the id, not {argument!r}")


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def kind_of(command: str) -> FileKind:
    """Which kind of file a command brings."""
    if command in _PACKAGE:
        return "task_attachment"
    return "submission_artifact" if command == "submit" else "event_file"


def folder_for(command: str, seen: Task | None) -> str:
    """Where in the task's folder a command brings files, ending in a slash if it is not the folder itself.

    `seen` is the task as it was for the author.
    """
    if command == "submit":
        return f"{package.submission_folder(len(seen.submissions) + 1 if seen else 1)}/"
    return f"{package.entry_folder(seen.discussion + 1 if seen else 1)}/" if command in _TALK else ""


def sort(words: Words, changes: Sequence[Change]) -> Brought:
    """What the changed files are to the request. Raises `Invalid` naming the first that has no place in it."""
    root = _root(words.command, changes[0].path) if changes else ""
    special: dict[str, str] = {}
    files: dict[str, Change] = {}
    drop: list[str] = []
    for change in changes:
        place = _place(words.command, change.path, root)
        if change.now is None:
            drop.append(_dropped(words.command, change.path, place))
            continue
        _check_mode(change.path, change.now[0])
        if place in (package.ATTRIBUTES, _own_document(words.command)):
            special[place] = change.now[1]
        else:
            files[place] = change
    dropped = tuple(name for name in drop if name != package.ATTRIBUTES)
    if words.command == "create" and package.MANIFEST not in special:
        raise Invalid("missing-manifest", f"{root}{package.MANIFEST}", "is missing: a new task needs its manifest")
    attributes = tuple(special[name] for name in (package.ATTRIBUTES,) if name in special)
    manifest, summary = special.get(package.MANIFEST, ""), special.get(package.SUMMARY, "")
    return Brought(root, manifest, summary, files, dropped, attributes)


def check_place(brought: Brought, words: Words, task: str, seen: Task | None) -> None:
    """Raise `Invalid("foreign-path")` unless the files are in the folder that the command has on this task."""
    wanted = f"{identity.task_path(task)}/{folder_for(words.command, seen)}"
    if brought.root not in ("", wanted):
        raise Invalid("foreign-path", brought.root, f"is not {wanted}, where this {words.command} puts its files")


def _root(command: str, path: str) -> str:
    """The folder that a command's files are in, as one of its paths has it."""
    form = _ROOTS["submit" if command == "submit" else "talk" if command in _TALK else "package"]
    if command != "submit" and command not in _TALK and command not in _PACKAGE:
        raise Invalid("foreign-path", path, f"{command} changes no files")
    found = form.match(path)
    if found is None:
        raise Invalid("foreign-path", path, f"{command} changes files below tasks/…/ID/{_SHOWN[form]} only")
    return found[0]


def _place(command: str, path: str, root: str) -> str:
    """The path in the folder for the command's files, if it has a place there."""
    if not path.startswith(root):
        raise Invalid("foreign-path", path, f"{command} changes files below {root} only")
    place = path.removeprefix(root)
    if place.endswith(f"/{package.ATTRIBUTES}"):
        raise Invalid("foreign-path", path, f"has no place here: put its lines into {root}{package.ATTRIBUTES}")
    if place == package.ATTRIBUTES or command in _TALK:
        return place
    layout = guard.PACKAGE if command in _PACKAGE else guard.SUBMISSION
    if place != _own_document(command) and not layout.holds(place):
        why = _WRITTEN if place in (package.FILES, package.RECORD, package.REVIEW) else f"has no place here: {layout}"
        raise Invalid("foreign-path", path, why)
    return place


def _own_document(command: str) -> str:
    """The file that says what the command's other files are; empty if there is none."""
    if command in _PACKAGE:
        return package.MANIFEST
    return package.SUMMARY if command == "submit" else ""


def _dropped(command: str, path: str, place: str) -> str:
    if command != "revise" or place == package.MANIFEST:
        raise Invalid("foreign-path", path, "is gone, which this command does not ask for")
    return place


def _check_mode(path: str, mode: int) -> None:
    if mode == _EXECUTABLE:
        raise Invalid("bad-tree", path, f"is executable, which no file is here: git update-index --chmod=-x '{path}'")
    if mode != FILE_MODE:
        raise Invalid("bad-tree", path, f"has the mode {mode:o}; only plain files are taken, no links or modules")


def check_attributes(data: bytes) -> None:
    """Raise `Invalid("bad-attributes")` unless a `.gitattributes` only says which files are Git LFS's."""
    if len(data) > _MAX_ATTRIBUTES:
        raise Invalid("bad-attributes", package.ATTRIBUTES, f"is longer than {_MAX_ATTRIBUTES:,} bytes")
    for line in data.split(b"\n"):  # as git reads it: to git a lone carriage return is a space
        line = line.removesuffix(b"\r")
        if line.strip() and not line.startswith(b"#") and not _LFS_LINE.fullmatch(line):
            message = f"{line[:60]!r} is not `PATTERN filter=lfs diff=lfs merge=lfs -text`, the only line it may have"
            raise Invalid("bad-attributes", package.ATTRIBUTES, message)


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────


def command_of(
    words: Words, task: str, seen: Task | None, brought: Brought, *, manifest: Manifest | None, summary: str,
    files: tuple[File, ...],
) -> Command:  # fmt: skip
    """The command that a request asks for, on the task with the whole id `task`, `seen` as it was for the author.

    `manifest`, `summary` and `files` are what its `brought` came to. Raises `Invalid` for a text that does not fit.
    """
    if words.command == "create":
        assert manifest is not None  # `sort` asks for one
        return Create(task, manifest, files, words.argument == "draft")
    if words.command == "revise":
        return Revise(task, manifest, files, brought.drop)
    body: dict[str, Any] = {}
    if (text := summary or words.text) and words.command in _TEXTS:
        body[_TEXTS[words.command]] = text
    if words.command == "progress" and words.argument:
        body["percent"] = int(words.argument.removesuffix("%"))
    if words.command == "fail" and words.argument:
        body["fault"] = words.argument
    body |= _fence(words.command, seen)
    return parse.task_command(words.command, task, body, files)


def _fence(command: str, seen: Task | None) -> dict[str, int]:
    """The execution that the author believed to be in: the latest of the task as they saw it."""
    fields = TASK_COMMANDS[command].__dataclass_fields__
    if "execution" not in fields:
        return {}
    if seen is not None and seen.execution is not None:
        return {"execution": seen.execution.number}
    # Whoever must cite one cites one that never is: there was none, and one that came later they have not seen.
    return {"execution": _NEVER} if command in ("progress", "release", "submit", "fail") else {}
