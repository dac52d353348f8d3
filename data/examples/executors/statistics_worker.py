#!/usr/bin/env python3
"""An executor that is a Python function: it does packages like `planets/` by the functions of `summarise.py`.

    TASKREPO_URL=… TASKREPO_KEY=… data/examples/executors/statistics_worker.py [--once] [FOLDER]

The lease is kept alive while `solve` runs; what it returns is submitted, and what it raises fails the attempt. FOLDER
keeps the tasks, and what the worker had in hand should it be killed.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from summarise import report, summarise

from taskrepo.client import Client
from taskrepo.solving import CannotDo, Submission, Task, work


def solve(task: Task) -> Submission:
    """The statistics of the table in `input/`, which was written by others and is read as data."""
    tables = sorted((task.folder / "input").glob("*.csv"))
    if len(tables) != 1:
        raise CannotDo("there must be one table in input/", fault="task")
    result, log = summarise(tables[0].read_bytes())
    task.progress(60, f"read {result['rows']} rows")
    return Submission(
        f"Statistics of {len(result['columns'])} columns over {result['rows']} rows.",
        result=result,
        artifacts={"report.md": report(result)},
        logs={"run.log": log},
    )


def main() -> None:
    """Do one task, or one after another until interrupted."""
    words = [word for word in sys.argv[1:] if word != "--once"]
    root = Path(words[0]).resolve() if words else None
    url = os.environ["TASKREPO_URL"]
    with Client(url, os.environ["TASKREPO_KEY"]) as client:
        for result in work(client, solve, root=root, once="--once" in sys.argv, labels=("statistics",), origin=url):
            print(result.task, result.outcome, result.reason, flush=True)


if __name__ == "__main__":
    main()
