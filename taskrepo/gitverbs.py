"""`taskrepo do`: a command as a signed commit in a clone, pushed to the exchange; as by hand, but for the typing.

* A request is written against what the ledger has now. A decision about what somebody saw (approve, reject, answer,
  revise) is written against what their clone shows, so that nobody decides what they have not seen.
* Nothing of the clone changes until the exchange has taken the request; then the branch is fast-forwarded.
* Files are where the same module that judges a push looks for them; large ones go by Git LFS.
* `--show` does nothing, and shows the lines that do the same by hand.

>>> taskrepo do claim 4k7q                                                              # doctest: +SKIP
claim 4k7q2m9x: is claimed, execution 1; its lease runs until 2026-11-29T02:37:25Z
"""

import os
import re
import shlex
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from taskrepo import folders, guard, identity, package, plain, signed_request
from taskrepo.documents import MAX_BYTES, load_yaml
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.folders import Upload
from taskrepo.model import Policy, Task
from taskrepo.sending import sha256_of
from taskrepo.signed_request import COMMANDS
from taskrepo.terminal import Answer, Terminal
from taskrepo.workclone import TARGET, UPSTREAM, WorkClone

_DECISIONS: Final = frozenset({"approve", "reject", "answer", "revise"})
_PACKAGE: Final = frozenset({"create", "revise"})
_TEXTLESS: Final = frozenset({"claim", "start", "publish", "rework", "archive", "revise"})
_DOCUMENTS: Final = frozenset({package.MANIFEST, package.SUMMARY})
_SUBJECT: Final = 72  # characters that git's own lists show of a first line
_PERCENT: Final = re.compile("(100|[1-9]?[0-9])%")
_MEANT: Final = re.compile(rf"has the id ([{identity.ALPHABET}]{{{identity.LENGTH}}})")
_ADVICE: Final = "git pull brings"  # the exchange's advice to whoever pushes by hand; here it is done


@dataclass(frozen=True, slots=True)
class Content:
    """What a request brings: the caller's files by path in its folder, and the paths it removes."""

    files: tuple[Upload, ...] = ()
    drop: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.files or self.drop)


@dataclass(frozen=True, slots=True)
class Wish:
    """A request before it is a commit: its message, and its content, which lies in `folder` of the tree."""

    message: str
    folder: str
    content: Content
    large: tuple[Upload, ...] = ()


def do(args: Namespace, terminal: Terminal) -> Answer:
    """Ask the exchange for a command by a signed commit."""
    _check_usage(args)
    found = WorkClone.around(Path(args.clone))
    if not args.show:
        found.fetch()
    base = _base(found, args.name)
    content, task = _content(args), _task(found, base, args)
    wish = _wish(found, base, task, args, content)
    if args.show:
        lines = list(_by_hand(found, wish, args))
        return Answer({"task": task, "lines": lines}, ("\n".join(lines),))
    try:
        return _asked(found, base, task, wish, args)
    except Refused as refused:
        meant = _MEANT.search(refused.message) if refused.code == "wrong-id" else None
        if meant is None:
            raise
    wish = _wish(found, base, meant[1], args, content)
    return _asked(found, base, meant[1], wish, args)


def _asked(found: WorkClone, base: str, task: str, wish: Wish, args: Namespace) -> Answer:
    """Make the commit, and push it or leave it on the branch."""
    pointers = {file.path: found.put_large(file.source) for file in wish.large}
    if pointers and args.push:
        found.send_large(*(content for _, content in pointers.values()))
    changes = _changes(found, base, wish, {path: oid for path, (oid, _) in pointers.items()})
    request = found.make(base, wish.message, changes)
    told = {"task": task, "request": request, "commit": None, "rehearsed": args.dry_run, "lines": []}
    if not args.push:
        if not found.forward(request):
            raise Invalid("not-clean", str(found.top), "has changes in the way, or is on another branch; git status")
        return Answer(told, (f"{wish.message.splitlines()[0]}: made as {request[:12]}; git push asks for it",))
    lines = [line for line in found.push(request, rehearsed=args.dry_run) if not line.startswith(_ADVICE)]
    told |= {"lines": lines}
    if args.dry_run:
        return Answer(told, tuple(lines))
    with suppress(TaskrepoError):  # the request was taken, whatever happens now
        found.fetch()
    told |= {"commit": found.merged(request, base)}
    behind = () if found.forward() else ("Your branch was left where it is; to bring it up to date: git pull",)
    return Answer(told, (*lines, *behind))


# ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────────


def _check_usage(args: Namespace) -> None:
    """Raise `Invalid("usage")` for words that do not go together."""
    name = args.name
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(COMMANDS)}"
        raise Invalid("usage", "", f"{name!r} is not a command that can be pushed; {hint}")
    args.percent = ""
    if name == "progress" and args.words and (percent := _PERCENT.fullmatch(args.words[0])):
        args.percent, args.words = percent[0], args.words[1:]
    if args.words and args.message is not None:
        raise Invalid("usage", "", "say it once: after the ID, or with -m")
    if args.dry_run and not args.push:
        raise Invalid("usage", "", "--dry-run asks the exchange, --no-push does not; give one of them")
    if (args.words or args.message) and name in _TEXTLESS:
        raise Invalid("usage", "", f"{name} takes no words")
    only = {"folder": ("submit", "revise"), "result": ("submit",), "log": ("submit",), "drop": ("revise",),
            "draft": ("create",), "fault": ("fail",), "file": ("submit", "comment", "ask", "answer", "progress")}
    for option, commands in only.items():  # fmt: skip
        if getattr(args, option) and name not in commands:
            flag = "from" if option == "folder" else option
            raise Invalid("usage", "", f"--{flag} is for {', '.join(commands)}")


def _base(found: WorkClone, command: str) -> str:
    """The commit a request is written against: where the ledger stands, or what the clone shows (see above).

    Commits of the clone's own that nobody has pushed yet are requests that come first.
    """
    tip, own = found.commit(UPSTREAM), found.commit("HEAD")
    assert tip is not None  # `around` has seen it
    if own is None or (found.is_ancestor(own, tip) and command not in _DECISIONS):
        return tip
    return own


def _task(found: WorkClone, base: str, args: Namespace) -> str:
    """The id of the task that is meant. Raises `Refused("unknown-task" | "ambiguous-id")` as the exchange would."""
    if args.name == "create":
        return identity.from_bytes(os.urandom(5))
    prefix = identity.typed_prefix(args.id)
    starting = [name for name in found.names(base, f"tasks/{'/'.join(prefix[:3])}") if name.startswith(prefix)]
    if len(starting) > 1:
        raise Refused("ambiguous-id", f"{prefix} may be {', '.join(starting[:5])}", candidates=starting[:20])
    if not starting:
        where = "what your clone shows; git pull may bring it" if args.name in _DECISIONS else "the ledger"
        raise Refused("unknown-task", f"no task's id starts with {prefix} in {where}")
    return starting[0]


def _wish(found: WorkClone, base: str, task: str, args: Namespace, content: Content) -> Wish:
    message = _message(args, task, content)
    if not content:
        return Wish(message, "", content)
    below = signed_request.folder_for(args.name, _seen(found, base, task) if args.name not in _PACKAGE else None)
    limit = _policy(found, base).large_file_bytes
    large = tuple(file for file in content.files if file.size >= limit and file.path not in _DOCUMENTS)
    return Wish(message, f"{identity.task_path(task)}/{below or ''}", content, large)


def _message(args: Namespace, task: str, content: Content) -> str:
    """The commit's message: what is short is said in its first line, the rest below."""
    argument = "draft" if args.draft else args.fault or args.percent
    text = "\n".join((args.message or " ".join(args.words)).splitlines()).strip()
    if args.name == "create" and not text:
        text = _title(content)
    first = f"{args.name} {task}{f' {argument}' if argument else ''}"
    if not text or ("\n" not in text and len(first) + len(text) + 2 <= _SUBJECT):
        return f"{first}: {text}\n" if text else f"{first}\n"
    return f"{first}\n\n{text}\n"


def _title(content: Content) -> str:
    """What the ledger's own commits say of a new task, if it is short enough to say."""
    (manifest,) = (file.source for file in content.files if file.path == package.MANIFEST)
    document = load_yaml(folders.read_bounded(manifest, MAX_BYTES), str(manifest))
    title = document.get("title") if isinstance(document, dict) else None
    return " ".join(title.split()) if isinstance(title, str) and len(title) < _SUBJECT - 24 else ""


def _seen(found: WorkClone, base: str, task: str) -> Task:
    """The task as the clone has it, read as the exchange reads it."""
    record, manifest, files = (
        found.read(base, f"{identity.task_path(task)}/{name}")
        for name in (package.RECORD, package.MANIFEST, package.FILES)
    )
    if record is None or manifest is None:
        raise Invalid("unknown-task", task, "has no record where your clone stands; git pull")
    listed = package.read_files(files, strict=False) if files else ()
    return package.read_record(record, package.read_manifest(manifest, strict=False), listed, strict=False)


def _policy(found: WorkClone, base: str) -> Policy:
    return plain.policy_from(load_yaml(found.read(base, "policy.yaml") or b"", "policy.yaml"))


# ── its files ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _content(args: Namespace) -> Content:
    """What the arguments bring. Raises `Invalid` for what has no place in the request."""
    if args.name == "create":
        return _package(Path(args.id), ())
    if args.name == "revise":
        drop = tuple(guard.check_path(path, "--drop") for path in args.drop or ())
        return _package(Path(args.folder), drop) if args.folder else Content(drop=drop)
    named = folders.attachments(map(Path, args.file or ()), "artifacts/" if args.name == "submit" else "")
    if args.name != "submit":
        return Content(files=named)
    parcel = folders.gather(Path(args.folder)) if args.folder else folders.Parcel("")
    logs = folders.attachments(map(Path, args.log or ()), "logs/")
    result = (folders.check_result(Path(args.result)),) if args.result else ()
    files = {file.path: file for file in (*parcel.uploads, *named, *logs, *result)}
    if parcel.summary:
        files[package.SUMMARY] = _document(Path(args.folder) / package.SUMMARY, package.SUMMARY)
    elif not (args.words or args.message):
        raise Invalid("no-summary", "summary", "is missing: say what you did after the ID, or in summary.md")
    return Content(tuple(files.values()))


def _package(source: Path, drop: tuple[str, ...]) -> Content:
    manifest = _document(source / package.MANIFEST if source.is_dir() else source, package.MANIFEST)
    return Content((manifest, *folders.pack(source).uploads), drop)


def _document(source: Path, path: str) -> Upload:
    return replace(folders.single(source), path=path)


def _changes(found: WorkClone, base: str, wish: Wish, pointers: dict[str, str]) -> dict[str, str | None]:
    """The contents that a wish puts into the tree, stored in the clone: path → id, or `None` for what it removes."""
    small = [file for file in wish.content.files if file not in wish.large]
    ids = found.put_files(file.source for file in small)
    placed: dict[str, str | None] = {file.path: oid for file, oid in zip(small, ids, strict=True)}
    placed |= dict.fromkeys(wish.content.drop)
    if pointers:
        held = found.read(base, wish.folder + package.ATTRIBUTES) or b""
        placed |= {**pointers, package.ATTRIBUTES: found.put(held + package.attributes(pointers))}
    return {wish.folder + path: oid for path, oid in placed.items()}


# ── the same by hand ────────────────────────────────────────────────────────────────────────────────────────────────


def _by_hand(found: WorkClone, wish: Wish, args: Namespace) -> Iterator[str]:
    """The lines for a POSIX shell that do the same with stock git."""
    yield f"cd {shlex.quote(str(found.top))}"
    if args.name not in _DECISIONS:
        yield "git pull --ff-only"
    places = [wish.folder + file.path for file in wish.content.files]
    if places:
        yield f"mkdir -p {_words(sorted({path.rpartition('/')[0] for path in places}))}"
    if wish.large:
        lines = package.attributes(file.path for file in wish.large).decode()
        yield f"printf %s {shlex.quote(lines)} >> {shlex.quote(wish.folder + package.ATTRIBUTES)}"
        places.append(wish.folder + package.ATTRIBUTES)
    for file in wish.content.files:
        yield f"cp {_words([str(file.source.absolute()), wish.folder + file.path])}"
    if wish.content.drop:
        yield f"git rm --quiet -- {_words([wish.folder + path for path in wish.content.drop])}"
    if places:
        plain_mode = "--chmod=-x " if any(os.access(file.source, os.X_OK) for file in wish.content.files) else ""
        yield f"git add {plain_mode}-- {_words(places)}"
    subject, _, body = wish.message.rstrip("\n").partition("\n\n")
    said = f"-m {shlex.quote(subject)}" + (f" -m {shlex.quote(body)}" if body else "")
    yield f"git commit --quiet -S --allow-empty {said}"
    if args.push and wish.large:
        yield f"git lfs push --object-id origin {' '.join(map(sha256_of, wish.large))}"
    if args.push:
        yield f"git push {'-o dry-run ' if args.dry_run else ''}origin HEAD:{TARGET}"
        yield "git reset --quiet --hard HEAD~1" if args.dry_run else "git pull --ff-only"


def _words(words: list[str]) -> str:
    return " ".join(map(shlex.quote, words))
