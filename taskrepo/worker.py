"""`taskrepo work`: claims eligible work, runs a program on it, keeps the lease alive and delivers what it made.

* A claimed task never stays behind: it is submitted, failed or released, whatever ends the work.
* A side thread renews the lease. If the exchange says that it is lost, the program is stopped and nothing is sent.
* The program runs in a process group of its own, which is gone when its task is done, on every path.
* The program gets no API key unless `--pass-key` says so; a task's text never becomes part of a command line.

>>> Runner(desk, ("./solve.sh",), Terminal(), Path("work")).once()                      # doctest: +SKIP
Result(task='4k7q2m9x', execution=1, outcome='submitted', reason='')
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from typing import IO, Any, Final

from taskrepo import folders, remote
from taskrepo.desk import Desk, Json, Unreachable
from taskrepo.errors import Invalid, Refused, TaskrepoError
from taskrepo.terminal import Answer, Terminal

GRACE: Final = 5.0  # seconds between asking a program to end and ending it
TAIL: Final = 1500  # characters of standard error that a failure's reason quotes
MAX_RESULTS: Final = 1000
_TICK: Final = 0.1
_RETRY: Final = 5.0
_PASSING: Final = frozenset({"busy", "too-many-requests", "internal"})
_SECRETS: Final = ("TASKREPO_KEY", "TASKREPO_DATA")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one task: `outcome` is submitted, failed, released or lost."""

    task: str
    execution: int
    outcome: str
    reason: str = ""


def work(args: Namespace, desk: Desk, terminal: Terminal) -> Answer:
    """Do work until told to stop, or one task."""
    program = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not program:
        raise Invalid("usage", "", "which program shall do the work? taskrepo work -- CMD…")
    if args.poll < _TICK or args.give_up < 1:
        raise Invalid("usage", "", f"--poll is at least {_TICK} seconds, --give-up at least 1")
    program = [_found(program[0]), *program[1:]]
    root = Path(args.dir).resolve() if args.dir else None
    runner = Runner(desk, program, terminal, root, environment=_environment(args))
    with runner.stopped_by_signals():
        results = [runner.once()] if args.once else deque(_rounds(runner, args.poll, args.give_up), MAX_RESULTS)
    kept = [asdict(result) for result in results if result]
    if not args.once and not runner.stop.is_set():
        return Answer({"results": kept}, (f"Stopped after {args.give_up} failures in a row; see to the program.",), 1)
    return Answer({"results": kept}, (f"Worked on {len(kept)} {'task' if len(kept) == 1 else 'tasks'}.",))


def _rounds(runner: "Runner", poll: float, give_up: int) -> Iterator[Result | None]:
    """Task after task, until told to stop or `give_up` have failed in a row."""
    failures = 0
    while failures < give_up and not runner.stop.is_set():
        try:
            result = runner.once()
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.code != "nothing-to-claim" and error.code not in _PASSING:
                raise
            if error.code != "nothing-to-claim":
                runner.terminal.say(f"taskrepo: {error.code}: {error.message}")
            runner.stop.wait(poll)
            continue
        failures = failures + 1 if result and result.outcome == "failed" else 0
        yield result


class Runner:
    """Does tasks of one desk with one program. `root` keeps the folders; without it they are temporary."""

    def __init__(
        self,
        desk: Desk,
        program: Sequence[str],
        terminal: Terminal,
        root: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.terminal = terminal
        self.stop = Event()
        self._desk, self._program, self._root = desk, tuple(program), root
        self._environment = dict(os.environ if environment is None else environment)

    def once(self) -> Result | None:
        """Claim the best task and do it; `None` if told to stop before. Raises `Refused("nothing-to-claim")`."""
        if self.stop.is_set():
            return None
        task = self._desk.claim_next()["task"]
        self.terminal.say(f"{task['id']}: claimed, execution {task['execution']}: {task['title']}")
        result = self._settled(task)
        self.terminal.say(f"{task['id']}: {result.outcome}{': ' + result.reason if result.reason else ''}")
        return result

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """Within the block SIGINT and SIGTERM stop the work in order instead of ending the process."""
        if current_thread() is not main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [(number, signal.signal(number, lambda *_: self.stop.set())) for number in numbers]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def _settled(self, task: Json) -> Result:
        """Do a claimed task; what goes wrong with us, not with the program, gives it back."""
        try:
            return self._done(task)
        except TaskrepoError as error:
            return self._give_back(task, f"the worker failed: {error}")
        except BaseException:
            self._give_back(task, "the worker failed")
            raise

    def _done(self, task: Json) -> Result:
        with self._folder(task) as folder, _Lease(self._desk, task) as lease:
            self._lay_out(task, folder)
            if self.stop.is_set():
                return self._give_back(task, "the worker was stopped")
            self._desk.command("start", task["id"], {"execution": task["execution"]})
            code, tail = self._run(task, folder, lease)
            if lease.lost:
                return _result(task, "lost", lease.lost)
            if code is None:
                return self._give_back(task, "the worker was stopped")
            return self._deliver(task, folder, lease) if code == 0 else self._fail(task, _reason(code, tail))

    def _run(self, task: Json, folder: Path, lease: "_Lease") -> tuple[int | None, str]:
        """The program's exit code, `None` if it had to be stopped, and the end of its standard error."""
        with _Process(self._program, folder, self._told(task)) as process:
            while not (process.ended() or self.stop.is_set() or lease.lost):
                self.stop.wait(_TICK)
            stopped = not process.ended()
            code = process.end()
        return None if stopped else code, process.tail

    def _deliver(self, task: Json, folder: Path, lease: "_Lease") -> Result:
        """Submit what the program left; if that cannot be submitted, the attempt has failed."""
        try:
            parcel = folders.gather(folder / "submission")
            if not parcel.summary:
                raise Invalid("no-summary", "submission/summary.md", "is missing")
            self._submit(task, parcel, lease)
        except (Unreachable, Refused) as error:
            if isinstance(error, Unreachable) or error.code in _PASSING:
                return _result(task, "lost", f"the submission could not be sent: {error}")
            return self._fail(task, f"the submission was refused: {error}")
        except Invalid as error:
            return self._fail(task, f"the submission cannot be sent: {error}")
        return _result(task, "submitted")

    def _submit(self, task: Json, parcel: folders.Parcel, lease: "_Lease") -> None:
        """Send the submission, and again while the exchange is away, for as long as the lease may last."""
        body = {"execution": task["execution"], "summary": parcel.summary}
        request_id, deadline = str(uuid.uuid4()), time.monotonic() + task["lease"]["seconds"]
        while True:
            try:
                self._desk.command("submit", task["id"], body, parcel.uploads, request_id=request_id)
                return
            except (Unreachable, Refused) as error:
                passing = isinstance(error, Unreachable) or error.code in _PASSING
                if not passing or lease.lost or self.stop.is_set() or time.monotonic() > deadline:
                    raise
            self.stop.wait(_RETRY)

    def _fail(self, task: Json, reason: str) -> Result:
        body = {"execution": task["execution"], "reason": _sayable(reason), "fault": "executor"}
        return self._told_exchange(task, "fail", body, "failed")

    def _give_back(self, task: Json, reason: str) -> Result:
        body = {"execution": task["execution"], "reason": _sayable(reason)}
        return self._told_exchange(task, "release", body, "released")

    def _told_exchange(self, task: Json, command: str, body: Json, outcome: str) -> Result:
        try:
            self._desk.command(command, task["id"], body)
        except TaskrepoError as error:
            return _result(task, "lost", f"{command} was not taken: {error}")
        return _result(task, outcome, body["reason"])

    @contextmanager
    def _folder(self, task: Json) -> Iterator[Path]:
        """A fresh folder for an execution."""
        name = f"{task['id']}-{task['execution']}"
        if self._root is None:
            with tempfile.TemporaryDirectory(prefix=f"taskrepo-{name}-", ignore_cleanup_errors=True) as made:
                yield Path(made)
            return
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._root))
        except OSError as error:
            raise Invalid("unwritable-file", str(self._root), str(error.strerror)) from error
        yield folder

    def _lay_out(self, task: Json, folder: Path) -> None:
        folders.put_bytes(folder, "manifest.yaml", remote.manifest_yaml(task))
        for file in task["files"]:
            remote.fetch(self._desk, task["id"], folder, file["path"], "", file)

    def _told(self, task: Json) -> dict[str, str]:
        return {
            **self._environment,
            "TASKREPO_TASK": str(task["id"]),
            "TASKREPO_EXECUTION": str(task["execution"]),
        }


class _Lease:
    """Keeps an execution's lease alive while entered. `lost` says why, once the exchange says that it is over."""

    def __init__(self, desk: Desk, task: Json) -> None:
        self._desk, self._task, self._execution = desk, task["id"], task["execution"]
        self._every = float(task["lease"]["renew_after"])
        self._done = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self.lost = ""

    def __enter__(self) -> "_Lease":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        pause = self._every
        while not self._done.wait(pause):
            pause = self._every
            try:
                self._desk.heartbeat(self._task, self._execution)
            except TaskrepoError as error:
                # A heartbeat that failed is no lost lease; only the exchange can say that.
                if isinstance(error, Refused) and error.code not in _PASSING:
                    self.lost = str(error)
                    return
                pause = min(self._every, _RETRY)


class _Process:
    """A program running in its own process group while entered; its standard error is passed on, its end kept."""

    def __init__(self, program: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._program, self._folder, self._environment = program, folder, environment
        self._end = b""
        self._process: subprocess.Popen[bytes]
        self._pump: Thread

    def __enter__(self) -> "_Process":
        try:
            self._process = subprocess.Popen(
                self._program,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                # Our own standard output belongs to the answer.
                stdout=sys.__stderr__,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise Invalid("unusable-program", self._program[0], str(error.strerror)) from error
        self._pump = Thread(target=self._pass_on, args=(self._process.stderr,), name="stderr", daemon=True)
        self._pump.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def tail(self) -> str:
        """The end of what it wrote to standard error."""
        return self._end.decode("utf-8", "replace").strip()[-TAIL:]

    def ended(self) -> bool:
        """Whether it has ended. It is not reaped yet, so its process group's number stays its own."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def end(self) -> int:
        """Its exit code, once the whole group is gone; a group still running is asked to end, and then ended."""
        if self._process.returncode is None:
            if not self.ended():
                self._signal(signal.SIGTERM)
                waited = Event()
                for _ in range(int(GRACE / _TICK)):
                    if self.ended():
                        break
                    waited.wait(_TICK)
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._pump.join(GRACE)
        return self._process.returncode

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _pass_on(self, stream: IO[bytes]) -> None:
        out = getattr(sys.__stderr__, "buffer", None)
        with stream:
            while data := os.read(stream.fileno(), 1 << 16):
                self._end = (self._end + data)[-4 * TAIL :]
                with suppress(OSError, ValueError):
                    if out is not None:
                        out.write(data)
                        out.flush()


def _found(program: str) -> str:
    """The program's full path, looked up before anything is claimed."""
    found = shutil.which(program)
    if found is None:
        raise Invalid("unusable-program", program, "is not a program that can be run here")
    return str(Path(found).absolute())


def _environment(args: Namespace) -> dict[str, str]:
    """What the program inherits."""
    environment = {name: value for name, value in os.environ.items() if name not in _SECRETS}
    if args.pass_key:
        given: dict[str, Any] = {
            "TASKREPO_URL": getattr(args, "url", None) or os.environ.get("TASKREPO_URL"),
            "TASKREPO_KEY": getattr(args, "key", None) or os.environ.get("TASKREPO_KEY"),
        }
        environment |= {name: value for name, value in given.items() if value}
    return environment


def _result(task: Json, outcome: str, reason: str = "") -> Result:
    return Result(task["id"], task["execution"], outcome, reason)


def _reason(code: int, tail: str) -> str:
    ended = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
    return f"{ended}: {tail}" if tail else ended


def _sayable(text: str) -> str:
    """The text as a command's reason can hold it."""
    from taskrepo.terminal import clean

    return clean(text, lines=True).strip()[:2000]
