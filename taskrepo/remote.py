"""The commands about tasks: what a person typed becomes a call of a desk, and its answer something to read.

* No rule is here: a command is sent as it was given, and the exchange says yes or no.
* `--execution` that was not given is the one the exchange says is the caller's; nothing else is guessed.
* `ID` may be the beginning of an id everywhere.

>>> command(parsed("claim 4k7q2m9x"), desk).parts[0]                                    # doctest: +SKIP
'4k7q2m9x is claimed, held by bob, execution 1, lease until 2026-11-21T04:06:26Z: Count words'
"""

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from taskrepo import folders
from taskrepo.desk import Desk, Json
from taskrepo.documents import load_json, load_yaml
from taskrepo.errors import Invalid
from taskrepo.folders import Upload
from taskrepo.query import states_listed
from taskrepo.terminal import Answer, Table, clean

_FENCED: Final = frozenset({"progress", "release", "submit", "fail"})
_FIELDS: Final = ("text", "reason", "note", "percent", "fault", "summary")
_FILTERS: Final = ("q", "state", "publisher", "assignee", "reviewer", "label", "priority", "sort", "limit", "cursor")
_STDIN_LIMIT: Final = 1 << 20
_ERASING: Final = """\
Erasing destroys the key of a private task for good, with its large files: nobody can read its title,
texts and files any more, here or in any clone. It cannot be undone, and it cannot take back what
somebody has downloaded, or a backup of the key. That it was there, who did what and when, and the
reason you give stay readable by everyone who may know of the task; the reason by all who have a clone."""
_ERASED: Final = (
    "Its content is gone for good; its history and your reason stay. Backups of the exchange's private folder that "
    "still have the key are to be destroyed by whoever keeps them."
)


def command(args: Namespace, desk: Desk) -> Answer:
    """Any command on a task that takes words, a number or files."""
    words = getattr(args, "words", None)
    if words is not None and args.text is not None:
        raise Invalid("usage", "", "give the text once: after the ID, or with -m")
    given = {**vars(args), **({} if words is None else {"text": words})}
    body = {name: given[name] for name in _FIELDS if given.get(name) is not None}
    uploads = folders.attachments(map(Path, getattr(args, "file", None) or ()))
    return _given(args, desk, {name: _from_stdin(value) for name, value in body.items()}, uploads)


def claim(args: Namespace, desk: Desk) -> Answer:
    """Claim a task, or the best one there is."""
    if args.next == bool(args.id):
        raise Invalid("usage", "", "claim takes either a task's ID or --next")
    if args.next and args.if_match:
        raise Invalid("usage", "", "--if-match is for a task that is named by its ID")
    if args.next:
        return changed(desk.claim_next(request_id=args.idempotency_key))
    return _given(args, desk, {}, ())


def submit(args: Namespace, desk: Desk) -> Answer:
    """Deliver a folder, or single files with a summary."""
    parcel = folders.gather(Path(args.folder)) if args.folder else folders.Parcel("")
    uploads = {upload.path: upload for upload in (*parcel.uploads, *_named(args))}
    summary = _from_stdin(args.summary) if args.summary is not None else parcel.summary
    if not summary:
        raise Invalid("no-summary", "summary", "is missing: give --summary TEXT, or a summary.md in the folder")
    return _given(args, desk, {"summary": summary}, tuple(uploads.values()))


def ingest(args: Namespace, desk: Desk) -> Answer:
    """Make tasks of a piece of context in a JSON file."""
    data = _stdin() if args.context == "-" else Path(args.context).read_bytes()
    found = desk.ingest(load_json(data, args.context, limit=_STDIN_LIMIT))
    parts = [_tasks(found["created"], "Nothing is new.")]
    known = found["duplicates"]
    return Answer(found, (*parts, *(("Already there:", _tasks(known)) if known else ())))


def erase(args: Namespace, desk: Desk) -> Answer:
    """Destroy what a private task says, once whoever asks for it has confirmed that it is this one."""
    if not args.yes:
        _confirm_erasure(desk.task(args.id))
    answered = _given(args, desk, {"reason": _from_stdin(args.reason)}, ())
    return Answer(answered.data, (*answered.parts, _ERASED))


def _confirm_erasure(task: Json) -> None:
    """Ask for the id on the terminal. Raises `Invalid("not-confirmed")`; a public task the exchange will refuse."""
    if task["visibility"] != "private":
        return
    if not sys.stdin.isatty():
        raise Invalid("not-confirmed", "--yes", "is needed where nobody can be asked; nothing was erased")
    title = clean(task["title"])
    sys.stderr.write(f"{_ERASING}\n\nTo erase {task['id']} ({title}), type its id: ")
    sys.stderr.flush()
    if sys.stdin.readline(100).strip() != task["id"]:
        raise Invalid("not-confirmed", "", "that is not its id; nothing was erased")


def revise(args: Namespace, desk: Desk) -> Answer:
    """Another version of the package; files that are not given stay."""
    body: Json = {"drop": args.drop} if args.drop else {}
    uploads: tuple[Upload, ...] = ()
    if args.package:
        package = folders.pack(Path(args.package))
        body["manifest"], uploads = load_yaml(package.manifest, "manifest.yaml"), package.uploads
    return _given(args, desk, body, uploads)


def listing(args: Namespace, desk: Desk) -> Answer:
    """One page of tasks: the live ones, unless a state is asked for or `--all`."""
    if args.all and args.state:
        raise Invalid("usage", "", "give --all or --state, not both")
    query = {name: str(value) for name in _FILTERS if (value := getattr(args, name)) not in (None, "")}
    if args.mine:
        query["assignee"] = "me"
    for role in ("publisher", "assignee", "reviewer"):
        if query.get(role) == "me":
            query[role] = desk.me()["actor"]["id"]
    if live := () if args.all or args.state else states_listed(args.q or ""):
        query["state"] = ",".join(live)
    found = desk.listing(query)
    more = (f"There are more: --cursor {found['next']}",) if found.get("next") else ()
    meant = tuple(f"Did you mean -q {shlex.quote(q)}?" for q in found.get("suggestions", ()))
    left_out = _left_out(desk, query) if live and not args.cursor else ()
    return Answer(found, (_tasks(found["tasks"], "No task matches."), *more, *meant, *left_out))


def _left_out(desk: Desk, query: Mapping[str, str]) -> tuple[str, ...]:
    """A line on how many archived tasks match too; none if none does."""
    archived = desk.listing({**query, "state": "archived", "limit": "1"})["total"]
    what = "1 archived task is" if archived == 1 else f"{archived:,} archived tasks are"
    return (f"{what} left out: --all lists everything, --state archived only those",) if archived else ()


def show(args: Namespace, desk: Desk) -> Answer:
    """Everything about a task."""
    task = desk.task(args.id)
    return Answer(task, tuple(_shown(task)))


def events(args: Namespace, desk: Desk) -> Answer:
    """A task's history."""
    found = desk.events(args.id)
    rows = [
        (e["at"], e["event"], e["actor"], e["to"] or "", e["words"] or "", e["via"], e["signature"], e["commit"][:12])
        for e in found["events"]
    ]
    return Answer(found, (Table(("when", "event", "who", "state", "words", "via", "signature", "commit"), rows),))


def files(args: Namespace, desk: Desk) -> Answer:
    """All files of a task."""
    task = desk.task(args.id)
    found = [{**file, "path": path} for path, _, file in held(task)]
    rows = [(f["path"], f["media_type"], f"{f['size']:,}", f["by"], f["sha256"][:12]) for f in found]
    heads = ("path", "type", "bytes", "by", "sha256")
    return Answer({"files": found}, (Table(heads, rows, "The task has no files."),))


def queue(args: Namespace, desk: Desk) -> Answer:
    """What waits for the caller."""
    found = desk.queue()
    titles = {
        "to_do": "To do", "to_review": "To review", "to_answer": "To answer", "ready": "Ready to claim",
        "waiting": "Waiting for others", "blocked": "Blocked", "overdue": "Overdue", "due_soon": "Due soon",
        "untriaged": "Your drafts",
    }  # fmt: skip
    parts: list[str | Table] = []
    for name, title in titles.items():
        if tasks := found.get(name):
            parts += [f"{title}:", _tasks(tasks), ""]
    return Answer(found, tuple(parts[:-1]) or ("Nothing waits for you.",))


def reminders(args: Namespace, desk: Desk) -> Answer:
    """What the caller is to be reminded of; with `--sent` it is acknowledged."""
    found = desk.reminders()
    rows = [(r["task"]["id"], r["kind"], r["at"], r["task"]["state"], r["task"]["title"]) for r in found["reminders"]]
    if args.sent:
        for reminder in found["reminders"]:
            desk.reminded(reminder["task"]["id"], reminder["at"])
    return Answer(found, (Table(("id", "kind", "at", "state", "title"), rows, "There is no reminder."),))


def me(args: Namespace, desk: Desk) -> Answer:
    """The caller."""
    found = desk.me()
    actor = found["actor"]
    profile = ", ".join(f"{k} {_inline(v)}" for k, v in actor["capabilities"].items() if v)
    workload = found["workload"]
    return Answer(found, (
        f"{actor['id']} ({actor['name']}), {actor['type']}; {profile}",
        f"Work: {_inline(workload['counts'])}",
        f"Figures: {_inline(found['figures'])}",
        *((_tasks(workload["held"]),) if workload["held"] else ()),
    ))


def why(args: Namespace, desk: Desk) -> Answer:
    """Why the caller cannot claim a task, or that he can."""
    task = desk.task(args.id)
    reasons = list(task["why_not"])
    can = any(action["command"] == "claim" for action in task["next_actions"])
    if not can and not reasons:
        holder = f", held by {task['assignee']}" if task["assignee"] else ""
        reasons = [f"it is {task['state']}{holder}; only a published task can be claimed"]
    head = f"You can claim {task['id']}." if can else f"You cannot claim {task['id']}:"
    data = {"task": task["id"], "claimable": can, "reasons": reasons}
    return Answer(data, (head, *(f"- {reason}" for reason in reasons)))


def held(task: Json) -> Iterator[tuple[str, str, Json]]:
    """Every file of a task's full JSON: its path in the task's folder, the folder it is listed in, and itself."""
    for file in task["files"]:
        yield file["path"], "", file
    for folder, items in (("submissions/{}", task["submissions"]), ("discussion/{:04d}", task["discussion"])):
        for item in items:
            base = folder.format(int(item["number"]))
            for file in item["files"]:
                yield f"{base}/{file['path']}", base, file


def fetch(desk: Desk, task: str, root: Path, path: str, folder: str, file: Json, *, replace: bool = False) -> Path:
    """Put one file of a task down below `root`, checked against its size and hash."""
    return folders.put_down(
        root,
        path,
        lambda: desk.content(task, folder, file["path"]),
        size=int(file["size"]),
        sha256=str(file["sha256"]),
        replace=replace,
    )


def manifest_yaml(task: Json) -> bytes:
    """The manifest in a task's full JSON as `manifest.yaml`."""
    from taskrepo.documents import dump_yaml

    return dump_yaml(task["manifest"])


def execution_of(task: Json) -> int:
    """The number to cite: the current execution, else the last one, which the exchange will call stale."""
    numbers = [e["number"] for e in task["executions"]]
    return int(task["execution"] or max(numbers, default=1))


# ── giving commands ─────────────────────────────────────────────────────────────────────────────────────────────────


def _given(args: Namespace, desk: Desk, body: Json, uploads: tuple[Upload, ...]) -> Answer:
    name: str = args.verb
    execution = getattr(args, "execution", None)
    if execution is None and name in _FENCED:
        execution = execution_of(desk.task(args.id))
    if execution is not None:
        body = {"execution": execution, **body}
    answer = desk.command(name, args.id, body, uploads, request_id=args.idempotency_key, if_match=args.if_match)
    return changed(answer)


def changed(answer: Json) -> Answer:
    """What a command's answer says: the task as it is now, and what the caller may do next."""
    task = answer["task"]
    holder = f", held by {task['assignee']}" if task["state"] in ("claimed", "running") else ""
    execution = f", execution {task['execution']}" if task["execution"] else ""
    until = f", lease until {task['lease']['until']}" if task["lease"] else ""
    then = ", ".join(action["command"] for action in answer["next_actions"])
    parts = [f"{task['id']} is {task['state']}{holder}{execution}{until}: {task['title']}"]
    return Answer(answer, (*parts, *([f"You may now: {then}"] if then else [])))


def _named(args: Namespace) -> Iterator[Upload]:
    if args.result:
        yield folders.check_result(Path(args.result))
    yield from folders.attachments(map(Path, args.artifact or ()), "artifacts/")
    yield from folders.attachments(map(Path, args.log or ()), "logs/")


def _from_stdin(value: Any) -> Any:
    """What stands on standard input if the value is `-`."""
    if value != "-":
        return value
    try:
        return _stdin().decode().strip("\n")
    except UnicodeDecodeError:
        raise Invalid("bad-encoding", "stdin", "is not UTF-8 text") from None


def _stdin() -> bytes:
    data = sys.stdin.buffer.read(_STDIN_LIMIT + 1)
    if len(data) > _STDIN_LIMIT:
        raise Invalid("too-long", "stdin", f"has more than {_STDIN_LIMIT:,} bytes")
    return data


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tasks(tasks: list[Json], empty: str = "") -> Table:
    heads = ("id", "state", "title", "publisher", "assignee", "priority", "due", "updated", "visibility")
    return Table(heads, [_row(task) for task in tasks], empty)


def _row(task: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("id", "state", "title", "publisher", "assignee", "priority", "due_at", "updated_at", "visibility")
    return tuple("" if task.get(name) is None else str(task[name]) for name in names)


def _shown(task: Json) -> Iterator[str | Table]:
    yield f"{task['id']}  {task['title']}"
    yield _summary(task)
    yield f"\n{task['manifest']['description']}\n"
    for name, line in (("deliverables", _deliverable), ("acceptance", _criterion)):
        if items := task["manifest"].get(name):
            yield "\n".join((f"{name.capitalize()}:", *(f"- {line(item)}" for item in items), ""))
    if paths := [path for path, _, _ in held(task)]:
        yield "\n".join(("Files:", *(f"- {path}" for path in paths), ""))
    yield from map(_submission, task["submissions"])
    yield from (f"[{e['kind']} {e['number']}] {e['by']}, {e['at']}: {e['text']}" for e in task["discussion"])
    yield f"You may now: {', '.join(a['command'] for a in task['next_actions']) or 'nothing'}"


def _deliverable(item: str | Json) -> str:
    if isinstance(item, str):
        return item
    notes = ", ".join(filter(None, (item.get("media_type"), "" if item.get("required", True) else "optional")))
    words = " — ".join(filter(None, (item.get("path"), item.get("description"))))
    return f"{words} ({notes})" if notes else words


def _criterion(item: str | Json) -> str:
    return item if isinstance(item, str) else f"[{item['id']}] {item['text']}"


def _summary(task: Json) -> str:
    lease = task["lease"]
    erased = task["erased_at"]
    facts = {
        "erased": f"{erased}: nobody can read its content any more" if erased else None,
        "private": _readers(task) if task["visibility"] == "private" else None,
        "state": task["state"] + (" (waiting for an answer)" if task["waiting"] else ""),
        "publisher": task["publisher"],
        "assignee": task["assignee"],
        "lease": f"until {lease['until']}{' (paused)' if lease['paused'] else ''}" if lease else None,
        "progress": _percent(task),
        "reviewer": task["reviewer"],
        "priority": task["priority"],
        "labels": ", ".join(task["labels"]),
        "waits for": _waits_for(task["waits_for"]),
        "due": _due(task),
        "reason": task["reason"],
    }
    return "\n".join(f"{name + ':':<11}{value}" for name, value in facts.items() if value)


def _due(task: Json) -> str | None:
    """When it is due, or about when it should be, while that matters."""
    if task["due_at"] or task["state"] in ("approved", "cancelled", "archived"):
        return task["due_at"] or None
    return f"about {task['due_by'][:10]}, estimated by its priority"


def _waits_for(told: Json) -> str:
    """What a task still waits for, on one line."""
    known = [f"{each['id']} ({each['state'] or 'not here'})" for each in told["tasks"]]
    return ", ".join([*known, *([f"{told['hidden']} you may not see"] if told["hidden"] else [])])


def _readers(task: Json) -> str:
    named = ", ".join(task["manifest"].get("readers", ()))
    return f"only its people and admins may know of it{f'; readers: {named}' if named else ''}"


def _percent(task: Json) -> str:
    last = task["executions"][-1] if task["executions"] else None
    if last is None or last["percent"] is None:
        return ""
    return f"{last['percent']} %{': ' + last['note'] if last['note'] else ''}"


def _submission(item: Json) -> str:
    review = item["review"]
    judged = f"{review['decision']} by {review['by']}" if review else "not reviewed yet"
    reason = f"\n  {item['reason']}" if item["reason"] else ""
    return f"Submission {item['number']} by {item['by']}, {item['at']} ({judged}){reason}\n{item['summary']}\n"


def texts(task: Json) -> Iterator[tuple[str, bytes]]:
    """The summaries of a task's submissions, each by its path in the task's folder."""
    for item in task["submissions"]:
        yield f"submissions/{int(item['number'])}/summary.md", f"{item['summary']}\n".encode()


def _inline(value: Any) -> str:
    """Plain data on one line, for people."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {_inline(v)}" for k, v in value.items() if v not in (None, "", [], {}))
    return ", ".join(map(_inline, value)) if isinstance(value, list) else str(value)
