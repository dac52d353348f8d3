"""Reading the command back from a change of a task's record: the inverse of `decide` and `evolve`.

* The answer is only a claim. It is proven by deciding it again and comparing what comes out; a change that no command
  makes either has no answer here or fails that proof.

>>> from dataclasses import replace
>>> from taskrepo.model import Manifest, Stamp
>>> before = Task("4k7q2m9x", "draft", "alice", 1, Manifest("t", "d"), 9, Stamp("created", "alice", 9))
>>> after = replace(before, state="published", updated=Stamp("published", "alice", 10))
>>> infer(before, after, Content()).name
'publish'
"""

from collections.abc import Callable
from typing import Final

from taskrepo.commands import (
    Answer,
    Approve,
    Archive,
    Ask,
    Cancel,
    Claim,
    Command,
    Comment,
    Create,
    Erase,
    Expire,
    Fail,
    Progress,
    Publish,
    Reject,
    Release,
    Reopen,
    Revise,
    Rework,
    Start,
    Submit,
)
from taskrepo.errors import Refused
from taskrepo.events import Content
from taskrepo.model import Execution, Task


def infer(before: Task | None, after: Task, content: Content) -> Command:
    """The command that turned `before` into `after`, with the text and files the event wrote.

    Raises `Refused("wrong-state")` if no command can have done it. The answer is only a claim: it is proven by deciding
    it again and comparing what comes out.
    """
    reader = _INFER.get(after.updated.event)
    if reader is None or (before is None) != (after.updated.event == Create.event):
        raise Refused("wrong-state", f"no command makes a task {after.updated.event}")
    return reader(before, after, content)


def _infer_create(before: Task | None, after: Task, content: Content) -> Command:
    return Create(after.id, after.manifest, after.files, after.state == "draft")


def _infer_revise(before: Task | None, after: Task, content: Content) -> Command:
    assert before is not None
    old, new = {f.path: f for f in before.files}, {f.path: f for f in after.files}
    put = tuple(f for p, f in new.items() if old.get(p) != f)
    drop = tuple(sorted(p for p in old if p not in new))
    return Revise(after.id, after.manifest if after.manifest != before.manifest else None, put, drop)


def _infer_progress(before: Task | None, after: Task, content: Content) -> Command:
    last, old = _last(after), before.execution if before else None
    percent = last.percent
    if old and old.percent == percent and (last.note or content.files):
        percent = None
    return Progress(after.id, last.number, percent, last.note, content.files)


def _last(task: Task) -> Execution:
    return task.execution or _NO_ATTEMPT


_NO_ATTEMPT: Final = Execution(0, "", 0, 0, "active")
_INFER: Final[dict[str, Callable[[Task | None, Task, Content], Command]]] = {
    Create.event: _infer_create,
    Revise.event: _infer_revise,
    Publish.event: lambda b, a, c: Publish(a.id),
    Claim.event: lambda b, a, c: Claim(a.id),
    Start.event: lambda b, a, c: Start(a.id),
    Progress.event: _infer_progress,
    Ask.event: lambda b, a, c: Ask(a.id, c.text, None, c.files),
    Answer.event: lambda b, a, c: Answer(a.id, c.text, c.files),
    Release.event: lambda b, a, c: Release(a.id, _last(a).number, _last(a).reason),
    Expire.event: lambda b, a, c: Expire(a.id),
    Submit.event: lambda b, a, c: Submit(a.id, _last(a).number, c.text, c.files),
    Approve.event: lambda b, a, c: Approve(a.id, c.text),
    Reject.event: lambda b, a, c: Reject(a.id, c.text),
    Rework.event: lambda b, a, c: Rework(a.id),
    Reopen.event: lambda b, a, c: Reopen(a.id, a.reason),
    Fail.event: lambda b, a, c: Fail(a.id, _last(a).number, _last(a).reason, _last(a).fault),
    Cancel.event: lambda b, a, c: Cancel(a.id, a.reason),
    Archive.event: lambda b, a, c: Archive(a.id),
    Comment.event: lambda b, a, c: Comment(a.id, c.text, c.files),
    Erase.event: lambda b, a, c: Erase(a.id, a.reason),
}
