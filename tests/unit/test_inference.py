"""Reading the command back from a change of a task's record: what a command says is what has changed, and no more."""

from dataclasses import replace

import pytest

from taskrepo.commands import Command, Fail, Progress, Release, Revise, Submit
from taskrepo.errors import Refused
from taskrepo.events import Content
from taskrepo.inference import infer
from taskrepo.model import Execution, File, Manifest, Stamp, Task

ID = "4k7q2m9x"
A, B, OTHER_B, C = (
    File(f"input/{name}", name, "text/plain", 1, digit * 64) for name, digit in zip("abbc", "1121", strict=True)
)
DRAFT = Task(ID, "draft", "alice", 1, Manifest("t", "d"), 9, Stamp("created", "alice", 9), files=(A, B))
HALF = Execution(1, "bob", 1, 9, "active", percent=50)
RUNNING = replace(DRAFT, state="running", executions=(HALF,))


def after(task: Task, event: str, **fields: object) -> Task:
    """The task once more, as this event left it."""
    return replace(task, updated=Stamp(event, "bob", 20), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(("before", "event"), [
    (DRAFT, "exploded"), (DRAFT, ""), (None, "claimed"), (DRAFT, "created"), (None, "erased"),
])  # fmt: skip
def test_a_change_that_no_command_makes_is_refused(before: Task | None, event: str) -> None:
    """An event of no command, a second beginning, and anything else as a beginning: it says which event it is."""
    with pytest.raises(Refused) as caught:
        infer(before, after(DRAFT, event), Content())
    assert (caught.value.code, caught.value.details) == ("wrong-state", {})
    assert caught.value.message == f"no command makes a task {event}"


@pytest.mark.parametrize(("manifest", "files", "command"), [
    (Manifest("t", "d"), (A, OTHER_B, C), Revise(ID, None, (OTHER_B, C))),
    (Manifest("t", "d"), (C,), Revise(ID, None, (C,), ("input/a", "input/b"))),
    (Manifest("t2", "d"), (B, A), Revise(ID, Manifest("t2", "d"))),
    (Manifest("t2", "d"), (B,), Revise(ID, Manifest("t2", "d"), (), ("input/a",))),
])  # fmt: skip
def test_a_revision_says_only_what_differs(manifest: Manifest, files: tuple[File, ...], command: Command) -> None:
    """Files that stayed as they were are not put again, nor is the manifest; what is gone was dropped."""
    assert infer(DRAFT, after(DRAFT, "revised", manifest=manifest, files=files, version=2), Content()) == command


@pytest.mark.parametrize(("percent", "note", "files", "said"), [
    (50, "half", (), None), (50, "", (A,), None), (50, "half", (A,), None), (50, "", (), 50), (60, "more", (A,), 60),
])  # fmt: skip
def test_progress_says_a_percentage_if_it_moved(
    percent: int, note: str, files: tuple[File, ...], said: int | None
) -> None:
    """One that stays where it was is left out, unless there is nothing else to say."""
    now = after(RUNNING, "progressed", executions=(replace(HALF, percent=percent, note=note),))
    assert infer(RUNNING, now, Content(files=files)) == Progress(ID, 1, said, note, files)


@pytest.mark.parametrize(("event", "command"), [
    ("progressed", Progress(ID, 0)), ("released", Release(ID, 0, "")), ("submitted", Submit(ID, 0, "")),
    ("failed", Fail(ID, 0, "", "")),
])  # fmt: skip
def test_without_an_attempt_none_is_cited(event: str, command: Command) -> None:
    """The first attempt is number 1, so the fence never lets the command through that a forged record gives."""
    assert infer(DRAFT, after(DRAFT, event), Content()) == command
