"""`taskrepo work`: claims eligible work, runs a program on it, keeps the lease alive and delivers what it made.

* Several tasks at a time are as many threads of one process; the exchange is asked for work by one of them at a time.
* The program finds the task as files, and ids in its environment; it gets no API key unless `--pass-key` says so.
* SIGINT and SIGTERM stop the work in order: programs are ended, tasks given back. The second one ends it at once.

>>> main(["work", "--jobs", "4", "--time-limit", "600", "--", "./solve.sh"])            # doctest: +SKIP
0
"""

import os
import signal
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Lock, current_thread, main_thread
from typing import Any, Final

from taskrepo import program
from taskrepo.captured import Log, Output
from taskrepo.delivery import LOG, SUBMISSION, Result
from taskrepo.desk import Desk
from taskrepo.errors import Invalid
from taskrepo.executing import STOPPED, Attempt, Doing, Executor
from taskrepo.jobbook import Ending
from taskrepo.terminal import Answer, Terminal

MAX_RESULTS: Final = 1000
MAX_JOBS: Final = 64


def work(args: Namespace, desk: Desk, terminal: Terminal) -> Answer:
    """Do work until told to stop, or one task."""
    words = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not words:
        raise Invalid("usage", "", "which program shall do the work? taskrepo work -- CMD…")
    if args.poll < program.TICK or args.give_up < 1:
        raise Invalid("usage", "", f"--poll is at least {program.TICK} seconds, --give-up at least 1")
    if not 1 <= args.jobs <= MAX_JOBS or (args.time_limit is not None and args.time_limit <= 0):
        raise Invalid("usage", "", f"--jobs is 1 to {MAX_JOBS}, --time-limit more than 0 seconds")
    doing = run_by([program.located(words[0]), *words[1:]], environment(args), args.time_limit)
    with (
        Executor(desk, doing, root=_root(args), origin=origin(args), labels=args.label, say=terminal.say) as executor,
        stopped_by_signals(executor),
    ):
        team = Team(executor, args.give_up)
        results = team.once() if args.once else team.until_stopped(args.jobs, args.poll)
    kept = [asdict(result) for result in results]
    if team.gave_up:
        return Answer({"results": kept}, (f"Stopped after {args.give_up} failures in a row; see to the program.",), 1)
    return Answer({"results": kept}, (f"Worked on {len(kept)} {'task' if len(kept) == 1 else 'tasks'}.",))


class Team:
    """Threads that share one executor. They stop when `give_up` tasks have failed in a row."""

    def __init__(self, executor: Executor, give_up: int) -> None:
        self._executor, self._give_up = executor, give_up
        self._results: deque[Result] = deque(maxlen=MAX_RESULTS)
        self._failures, self._lock = 0, Lock()
        self.gave_up = False

    def once(self) -> Sequence[Result]:
        """What was left, and one task more."""
        self._results += self._executor.settled()
        if result := self._executor.once():
            self._results.append(result)
        return self._results

    def until_stopped(self, jobs: int, poll: float) -> Sequence[Result]:
        """As many tasks at a time as there are jobs; the latest results. What ends one thread ends all."""
        with ThreadPoolExecutor(jobs, thread_name_prefix="job") as threads:
            running = [threads.submit(self._run, poll) for _ in range(jobs)]
            wait(running, return_when=FIRST_EXCEPTION)
            self._executor.stop.set()
        for each in running:
            each.result()
        return self._results

    def _run(self, poll: float) -> None:
        for result in self._executor.rounds(poll):
            with self._lock:
                self._results.append(result)
                self._failures = self._failures + 1 if result.outcome == "failed" else 0
                if self._failures >= self._give_up:
                    self.gave_up = True
                    self._executor.stop.set()


def run_by(words: Sequence[str], inherited: Mapping[str, str], time_limit: float | None = None) -> Doing:
    """A program as a way to work on an attempt. `time_limit` in seconds."""

    def doing(attempt: Attempt) -> Ending:
        log = Log(attempt.folder / LOG)
        output = Output(log, lambda line: attempt.say(f"{attempt.job.task}| {line}"), attempt.keepalive.report)
        told = {**inherited, **ids(attempt)}
        ends = time.monotonic() + (time_limit or float("inf"))
        with program.Program(words, attempt.folder, told, output.feed) as running:
            while not (running.ended() or attempt.over() or time.monotonic() > ends):
                attempt.stop.wait(program.TICK)
            cut = not running.ended()
            code = running.end()
        output.close()
        if cut and attempt.over():
            return STOPPED
        if cut:
            return Ending("fail", _reason(f"time limit of {time_limit:g} seconds", log))
        return Ending("submit") if code == 0 else Ending("fail", _reason(_ended(code), log))

    return doing


def ids(attempt: Attempt) -> dict[str, str]:
    """What a program is told in its environment: ids and places, nothing that others wrote."""
    return {
        "TASKREPO_TASK": attempt.job.task,
        "TASKREPO_EXECUTION": str(attempt.job.execution),
        "TASKREPO_FOLDER": str(attempt.folder),
        "TASKREPO_SUBMISSION": str(attempt.folder / SUBMISSION),
    }


def environment(args: Namespace) -> dict[str, str]:
    """What the program inherits."""
    inherited = program.environment(os.environ, args.env)
    if args.pass_key:
        given: dict[str, Any] = {
            "TASKREPO_URL": getattr(args, "url", None) or os.environ.get("TASKREPO_URL"),
            "TASKREPO_KEY": getattr(args, "key", None) or os.environ.get("TASKREPO_KEY"),
        }
        inherited |= {name: value for name, value in given.items() if value}
    return inherited


def origin(args: Namespace) -> str:
    """Which exchange it is, as this machine knows it."""
    if getattr(args, "actor_id", None):
        return f"data:{getattr(args, 'data', None) or os.environ.get('TASKREPO_DATA', '')}"
    return str(getattr(args, "url", None) or os.environ.get("TASKREPO_URL", "")).rstrip("/")


@contextmanager
def stopped_by_signals(executor: Executor) -> Iterator[None]:
    """Within the block the first SIGINT or SIGTERM stops the work in order, and the second ends the process."""
    if current_thread() is not main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        executor.stop.set()
        for each in before:
            signal.signal(each, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _root(args: Namespace) -> Path | None:
    return Path(args.dir).resolve() if args.dir else None


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by signal {-code}"


def _reason(what: str, log: Log) -> str:
    words = log.last_words()
    return f"{what}: {words}" if words else what
