"""What a terminal shows of a push: what happened, or why nothing did and what to type instead.

* A few short lines of plain text without control characters, whatever a commit or a refusal held.
* A refusal gives the code, which is the same through every door, the reason, and the commit it is about.

>>> told(Verdict(error=Refused("wrong-ref", "refs/heads/main cannot be pushed to")))[0]
'refused: wrong-ref: refs/heads/main cannot be pushed to'
"""

from collections.abc import Mapping
from typing import Final

from taskrepo.errors import Refused as Refused
from taskrepo.errors import TaskrepoError
from taskrepo.history import clean_line
from taskrepo.judge import Outcome
from taskrepo.model import Task, iso
from taskrepo.pushes import Verdict
from taskrepo.signed_request import SignedRequest

_LONGEST: Final = 600  # characters of a line
_SHORT: Final = 12  # digits of a commit's id, enough for millions
_REWORD: Final = "git commit --amend -S, and say it like: claim 4k7q2m9x"
_FRESH: Final = "git branch kept; git fetch; git reset --hard origin/main; and ask again"
_HINTS: Final[Mapping[str, str]] = {
    "bad-commit": "sign plain commits: git config gpg.format ssh, git config commit.gpgsign true",
    "bad-message": _REWORD,
    "bad-signature": "sign with an SSH key: git config gpg.format ssh; git config user.signingkey FILE.pub",
    "wrong-key": "register the key first, on your account page, or sign with the one that is",
    "retired-key": "sign with a key that was not retired: git config user.signingkey FILE",
    "wrong-author": "git config user.name and user.email, then git commit --amend --reset-author -S",
    "foreign-request": "everybody pushes their own requests",
    "precondition-failed": f"look again: {_FRESH}",
    "stale-execution": f"look again: {_FRESH}",
    "wrong-state": f"look again: {_FRESH}",
    "unknown-commit": f"start from this ledger's main: {_FRESH}",
    "private-content": "use the browser, the API, or the taskrepo command",
    "unknown-file": "git lfs push --object-id origin SHA256 sends it, even if the ledger has it; then push again",
    "too-much": "git fetch first, or git config push.negotiate true, so that only what is new is sent",
}


def told(verdict: Verdict) -> tuple[str, ...]:
    """The lines that tell a person what their push came to."""
    if verdict.error is not None:
        return tuple(map(_line, _refused(verdict.error, verdict.request)))
    lines = [line for request, outcome in verdict.outcomes for line in _done(request, outcome, verdict.rehearsed)]
    last = "a rehearsal: nothing was written" if verdict.rehearsed else "git pull brings it to your clone"
    return tuple(map(_line, (*lines, last)))


def _refused(error: TaskrepoError, request: SignedRequest | None) -> list[str]:
    lines = [f"refused: {error.code}: {error.message}"]
    if request is not None:
        first = f"{request.words.command} {request.words.task}"
        lines.append(f"  in your commit {request.id[:_SHORT]}, {first}; nothing of the push was taken")
    if hint := _HINTS.get(error.code):
        lines.append(f"  {hint}")
    return lines


def _done(request: SignedRequest, outcome: Outcome, rehearsed: bool) -> list[str]:
    task = outcome.task
    line = f"{request.words.command} {task.id}: {'would be' if rehearsed else 'is'} {task.state}{_more(request, task)}"
    return [line] if rehearsed else [line, f"  ledger commit {outcome.commit[:_SHORT]}"]


def _more(request: SignedRequest, task: Task) -> str:
    """What whoever asked needs to know of the task as it is now."""
    if task.lease is not None and task.execution is not None:
        if task.lease.paused_at is not None:
            return f", execution {task.execution.number}; its lease stands still until the question is answered"
        return f", execution {task.execution.number}; its lease runs until {iso(task.lease.until)}"
    if request.words.command == "submit":
        return f", with submission {len(task.submissions)}"
    return ""


def _line(text: str) -> str:
    lead = len(text) - len(text.lstrip(" "))
    return f"{' ' * lead}{clean_line(text)[:_LONGEST]}"
