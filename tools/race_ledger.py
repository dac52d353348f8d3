"""What a race has left, read for the witness: the logs of its clients, and the ledger by stock git alone.

* Nothing of the product's store, caches or index is asked: commits and records come from `git log` and `git cat-file`.
* A call of the log becomes the command of the rule book that its door would have made of it.

>>> history_of(Path("data/exchange/exchange.git")).last                                 # doctest: +SKIP
4711
"""

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import Any, Final

from taskrepo import package, parse, signed_request
from taskrepo.commands import Command, Create, Progress
from taskrepo.identity import task_path
from taskrepo.model import Manifest, Task
from tools.witness_calls import Alive, Answer, Call, Head, Listed, Refusal, Seen, Stored
from tools.witness_history import Commit, History

_TRAILERS: Final = ("Task", "Event", "Actor", "Request-Id", "Request", "Execution", "Previous", "From", "To")
_FORM: Final = "%x1f".join(("%H", *(f"%(trailers:key={name},valueonly,separator=)" for name in _TRAILERS)))
_PACKAGE: Final = frozenset({"created", "revised"})
_NUMBERED: Final = frozenset({"claim", "start", "progress", "rework"})


def history_of(repository: Path) -> History:
    """The whole ledger, oldest first."""
    log = ["git", "-C", str(repository), "log", "--first-parent", "--reverse", f"--format={_FORM}", "main"]
    lines = subprocess.run(log, capture_output=True, check=True, text=True).stdout.splitlines()
    parts = [line.split("\x1f") for line in lines]
    return History([*_commits(parts, repository)])


def _commits(parts: Iterable[list[str]], repository: Path) -> Iterator[Commit]:
    with _Objects(repository) as objects:
        packages: dict[str, tuple[Manifest, Any]] = {}
        for oid, task, event, actor, key, request, execution, previous, source, target in parts:
            after = objects.task(oid, task, event, packages) if task else None
            yield Commit(oid, task, event, actor, key, request, int(execution or 0), previous, source, target, after)


class _Objects:
    """`git cat-file --batch` of a repository."""

    def __init__(self, repository: Path) -> None:
        self._process = subprocess.Popen(
            ["git", "-C", str(repository), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> "_Objects":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def task(self, commit: str, task: str, event: str, packages: dict[str, tuple[Manifest, Any]]) -> Task:
        """The task after a commit. Its package changes with few events, and is kept for the others."""
        root = f"{commit}:{task_path(task)}"
        if event in _PACKAGE:
            manifest, files = self._read(f"{root}/{package.MANIFEST}"), self._read(f"{root}/{package.FILES}")
            listed = package.read_files(files, strict=False) if files else ()
            packages[task] = package.read_manifest(manifest or b"", strict=False), listed
        return package.read_record(self._read(f"{root}/{package.RECORD}") or b"", *packages[task], strict=False)

    def _read(self, name: str) -> bytes | None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(name.encode() + b"\n")
        self._process.stdin.flush()
        head = self._process.stdout.readline().split()
        if head[-1] == b"missing":
            return None
        data = self._process.stdout.read(int(head[2]))
        self._process.stdout.read(1)
        return data


# ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def calls_of(logs: Iterable[Path], history: History) -> list[Call]:
    """Every call that the logs have; the last line of a process that was killed may be half of one."""
    asked: dict[int, Mapping[str, Any]] = {}
    heard: dict[int, Mapping[str, Any]] = {}
    for path in logs:
        for line in path.read_text().splitlines():
            try:
                told = json.loads(line)
            except ValueError:
                continue
            (asked if "call" in told else heard)[told.get("call", told.get("answer"))] = told
    prefixes = {commit.id[:12]: commit.id for commit in history.commits}
    return [_call(told, heard.get(number), history, prefixes) for number, told in asked.items()]


def _call(told: Mapping[str, Any], heard: Mapping[str, Any] | None, history: History, ids: Mapping[str, str]) -> Call:
    answer = _answer(told, heard, ids) if heard else None
    task = told["task"]
    if told["what"] == "create" and isinstance(answer, Stored):
        task = heard["task"] if heard else ""
    return Call(
        told["call"], told["client"], told["door"], told["actor"], told["what"], task, told["called"],
        heard["returned"] if heard else inf, answer, _command(told, history), told.get("key", ""),
        told.get("if_match", ""), told.get("base", ""),
    )  # fmt: skip


def _command(told: Mapping[str, Any], history: History) -> Command | None:
    """What the door makes of it."""
    what, task = told["what"], told["task"]
    if what in ("show", "list", "head"):
        return None
    if what == "heartbeat":
        return Progress(task, told["body"]["execution"])
    if what == "create":
        return Create("", parse.manifest(told["body"]))
    if told["door"] == "git":
        words = signed_request.read_words(told["text"] + "\n")
        seen = history.at(task, history.position.get(told["base"], -1))
        none = signed_request.Brought()
        return signed_request.command_of(words, task, seen, none, manifest=None, summary="", files=())
    return parse.task_command(what, task, told["body"], ())


def _answer(told: Mapping[str, Any], heard: Mapping[str, Any], ids: Mapping[str, str]) -> Answer:
    match heard["kind"]:
        case "stored":
            number = heard.get("execution", 0) if told["what"] in _NUMBERED else 0
            commit = ids.get(heard["commit"][:12], heard["commit"])
            return Stored(commit, heard["replayed"], heard.get("state", ""), number)
        case "refusal":
            return Refusal(heard["code"], heard["details"])
        case "seen":
            return Seen(heard["commit"], heard.get("state", ""), heard.get("assignee", ""), heard.get("execution", 0))
        case "listed":
            rows = tuple((row[0], row[1], row[2]) for row in heard["rows"])
            return Listed(rows, told["publisher"], told["state"], heard["whole"])
        case "head":
            return Head(heard["commit"])
        case "alive":
            return Alive()
    raise ValueError(f"an answer of no known kind: {heard}")
