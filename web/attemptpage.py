"""The page that compares two submissions of a task.

* Both are read through the visitor's view; who may not read the task meets the same page as for one that is not there.
* Nothing a submission holds is more than text here, but pictures, which come from their download addresses.
* Its size is bounded whatever was submitted: what is left out is counted and said.

>>> ROUTES[0][:2]
('GET', '/tasks/<id>/submissions/compare')
"""

import re
from collections import Counter
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo import attempts
from taskrepo.attempts import Attempt, Comparison
from taskrepo.errors import Refused
from taskrepo.model import Task
from taskrepo.package import submission_folder
from taskrepo.web import contrasts, diffs, present
from taskrepo.web.previews import HEAD
from taskrepo.web.visit import Handler, Visit, member, page, redirect

MAX_CHOICES: Final = 200
_NUMBER: Final = re.compile(r"[0-9]{1,6}")


@member
def choose(visit: Visit, id: str) -> HTTPResponse:
    """GET /tasks/<id>/submissions/compare?old=&new=&split=, as the form of the page asks."""
    task = visit.view.task(visit.view.resolve(id))
    old, new = (_number(visit.query(name)) for name in ("old", "new"))
    return redirect(visit, address(task, old, new, bool(visit.query("split"))))


@member
def compare(visit: Visit, id: str, old: str, new: str) -> HTTPResponse:
    """GET /tasks/<id>/submissions/<old>/compare/<new>?split="""
    task = visit.view.task(visit.view.resolve(id))
    found = attempts.compare(visit.view, task, _number(old), _number(new))
    split, room = bool(visit.query("split")), contrasts.Room()
    before, after = (_files(visit, task, each.submission.number) for each in (found.old, found.new))
    summary = diffs.difference(found.summary.text, room.text, "Summary", split=split) if found.summary.text else ""
    return page(
        visit,
        "attempts",
        task=task,
        sides=[_side(task, each) for each in (found.old, found.new)],
        split=split,
        summary=summary,
        too_long=found.summary.omitted,
        files=contrasts.listed(found.contrasts, before, after, room, split=split),
        more_files=max(0, len(found.contrasts) - contrasts.MAX_LISTED),
        counts=Counter(item.change.change for item in found.contrasts),
        same=found.same,
        max_listed=contrasts.MAX_LISTED,
        ways=_ways(task, found, split),
        choices=list(range(len(task.submissions), 0, -1))[:MAX_CHOICES],
        marks=contrasts.MARKS,
        exposed=diffs.exposed,
    )


def address(task: Task, old: int, new: int, split: bool = False) -> str:
    """Where submission `new` is compared with submission `old`."""
    return f"/tasks/{task.id}/submissions/{old}/compare/{new}{'?split=1' if split else ''}"


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Refused("unknown-submission", f"{text[:40]!r} is not the number of a submission")
    return int(text)


def _side(task: Task, item: Attempt) -> dict[str, Any]:
    """One of the two submissions, for its card."""
    made = present.submission(item.submission)
    run = present.execution(item.execution)
    return {**made, "version": run["version"], "summary": item.content.summary, "reason": item.content.reason}


def _ways(task: Task, found: Comparison, split: bool) -> dict[str, str]:
    """Where to go from here: to the pairs before and after, the other way round, to the other layout."""
    old, new = found.old.submission.number, found.new.submission.number
    ways = {
        "round": address(task, new, old, split),
        "here": address(task, old, new, split),
        "layout": address(task, old, new, not split),
    }
    if min(old, new) > 1:
        ways["before"] = address(task, old - 1, new - 1, split)
    if max(old, new) < len(task.submissions):
        ways["after"] = address(task, old + 1, new + 1, split)
    return ways


def _files(visit: Visit, task: Task, number: int) -> contrasts.Side:
    """The files of one of the two."""
    folder = f"{submission_folder(number)}/"
    return contrasts.Side(f"/tasks/{task.id}/{folder}files/", lambda file: visit.view.content(task, folder, file, HEAD))


_PLACE: Final = "/tasks/<id>/submissions"
ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", f"{_PLACE}/compare", choose),
    ("GET", f"{_PLACE}/<old:re:[0-9]{{1,6}}>/compare/<new:re:[0-9]{{1,6}}>", compare),
)
"""The pages of comparisons: method, Bottle path, handler."""
