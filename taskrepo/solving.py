"""Python functions as executors: a function gets a task, and what it returns is submitted.

* The lease is kept alive while the function runs; an exception fails the attempt, with its words as the reason.
* What a task says was written by others. It is data: `Task.untrusted`, and files below `Task.folder`.
* A function cannot be stopped from outside; a long one looks at `Task.over` now and then.

>>> def solve(task: Task) -> Submission:
...     rows = (task.folder / "input" / "a.csv").read_text().splitlines()
...     task.progress(50, "read it")
...     return Submission(f"{len(rows)} rows.", result={"rows": len(rows)})
>>> with Client(url, key) as client:                                                    # doctest: +SKIP
...     for result in work(client, solve, root=Path("work")):
...         print(result.task, result.outcome)
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

from taskrepo import folders
from taskrepo.briefing import TASK
from taskrepo.delivery import SUBMISSION, Result
from taskrepo.desk import Desk
from taskrepo.errors import TaskrepoError
from taskrepo.executing import STOPPED, Attempt, Doing, Executor, Say
from taskrepo.jobbook import Ending

POLL: Final = 10.0
Content = bytes | str | Path


class CannotDo(Exception):
    """Raised by a function that cannot do its task; `fault` says whose it is: `task` or `executor`."""

    def __init__(self, reason: str, fault: str = "executor") -> None:
        super().__init__(reason)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Submission:
    """What a function delivers. Files by name: bytes, text, or the path of a file; `result` becomes result.json."""

    summary: str
    result: Any = None
    artifacts: Mapping[str, Content] = field(default_factory=dict)
    logs: Mapping[str, Content] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Task:
    """A claimed task. `folder` holds its package; everything in `untrusted` and in the files was written by others."""

    id: str
    execution: int
    folder: Path
    untrusted: Mapping[str, Any]
    _attempt: Attempt = field(repr=False)

    def progress(self, percent: int, note: str = "") -> None:
        """Say how far the work is; sent by and by, the latest always before the end. Returns at once."""
        self._attempt.keepalive.report(max(0, min(100, percent)), note)

    @property
    def over(self) -> bool:
        """Whether to leave off: told to stop, or the lease is lost. What is returned then is not sent."""
        return self._attempt.over()


Solve = Callable[[Task], Submission]


def work(
    desk: Desk,
    solve: Solve,
    *,
    root: Path | None = None,
    labels: Sequence[str] = (),
    once: bool = False,
    poll: float = POLL,
    origin: str = "",
    stop: Event | None = None,
    say: Say = lambda sentence: None,
) -> Iterator[Result]:
    """Claim tasks and let `solve` do them, one after another, until `stop` is set; what became of each.

    With `root` a folder, a worker that was killed is followed by one that settles what it had in hand; `origin` names
    the exchange where several share it. `once` is one task, and raises `Refused("nothing-to-claim")` if there is none.
    """
    doing = solved_by(solve)
    with Executor(desk, doing, root=root, origin=origin, labels=labels, say=say, stop=stop) as executor:
        if not once:
            yield from executor.rounds(poll)
            return
        yield from executor.settled()
        if result := executor.once():
            yield result


def solved_by(solve: Solve) -> Doing:
    """The function as a way to work on an attempt."""

    def doing(attempt: Attempt) -> Ending:
        told = json.loads((attempt.folder / TASK).read_bytes())
        task = Task(attempt.job.task, attempt.job.execution, attempt.folder, told["untrusted"], attempt)
        try:
            made = solve(task)
            if attempt.keepalive.lost:
                return STOPPED
            put_down(made, attempt.folder / SUBMISSION)
        except CannotDo as error:
            return Ending("fail", str(error) or "it cannot be done", error.fault)
        except TaskrepoError as error:
            return Ending("fail", str(error))
        except Exception as error:
            return Ending("fail", f"{type(error).__name__}: {error}")
        return Ending("submit")

    return doing


def put_down(made: Submission, folder: Path) -> None:
    """Write a submission into a folder. Raises `Invalid`."""
    files: dict[str, Content] = {"summary.md": made.summary}
    if made.result is not None:
        files["result.json"] = json.dumps(made.result, ensure_ascii=False, indent=2) + "\n"
    files |= {f"artifacts/{name}": content for name, content in made.artifacts.items()}
    files |= {f"logs/{name}": content for name, content in made.logs.items()}
    for path, content in files.items():
        data = content.read_bytes() if isinstance(content, Path) else content
        folders.put_bytes(folder, path, data.encode() if isinstance(data, str) else data, replace=True)
