"""The text that a task is found by: what its package says, and what was said of the work.

* Title, description, labels, README, the latest summaries and the latest of the discussion; reports of progress are
  not part of it, since each would have the text written anew.
* Everything is bounded: a task of endless talk is found by what was said last.
* What was read of public tasks is remembered, because an event has the whole text looked at again; of private tasks
  nothing is. What cannot be read, for it was erased or its key is lost, is left out.

>>> text_of(view, task)                                                                 # doctest: +SKIP
'Count words\\nIn `input/`.\\nlinguistics\\n# How\\n…'
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from taskrepo.errors import Invalid, Refused
from taskrepo.model import Task
from taskrepo.recent import Recent
from taskrepo.view import View

README: Final = "README.md"
MOST: Final = 32_768
"""Bytes of a README, and characters of a summary or a remark, that are looked at."""
SUMMARIES: Final = 5
REMARKS: Final = 50
_SAID: Final = frozenset({"comment", "question", "answer"})
_KEPT: Final = 8 << 20

Known = Recent[str]


def known() -> Known:
    """A memory of texts that were read."""
    return Recent(_KEPT)


def text_of(view: View, task: Task, memory: Known) -> str:
    """All of it, part by part. `task` is opened; `view` must be of somebody who may read it."""
    manifest = task.manifest
    parts = (manifest.title, manifest.description, " ".join(manifest.labels), *_content(view, task, memory))
    return "\n".join(filter(None, parts))


def _content(view: View, task: Task, memory: Known) -> Iterator[str]:
    yield _readme(view, task)
    for number in range(max(1, len(task.submissions) - SUMMARIES + 1), len(task.submissions) + 1):
        yield _read(task, memory, f"summary {number}", partial(_summary, view, task, number))
    for number in range(max(1, task.discussion - REMARKS + 1), task.discussion + 1):
        yield _read(task, memory, f"remark {number}", partial(_remark, view, task, number))


def _readme(view: View, task: Task) -> str:
    for file in task.files:
        if file.path == README:
            with suppress(Refused, Invalid, OSError):
                return view.content(task, "", file, MOST).decode("utf-8", "replace")
    return ""


def _summary(view: View, task: Task, number: int) -> str:
    return view.delivery(task, number).summary


def _remark(view: View, task: Task, number: int) -> str:
    remark = view.remark(task, number)
    return remark.content.text if remark.kind in _SAID else ""


def _read(task: Task, memory: Known, part: str, read: Callable[[], str]) -> str:
    """A part that never changes once it is there."""
    key = f"{task.id} {part}"
    text = None if task.manifest.private else memory.get(key)
    if text is None:
        with suppress(Refused, Invalid):
            text = read()[:MOST]
        text = text or ""
        if not task.manifest.private:
            memory.put(key, text, 64 + len(text))
    return text
