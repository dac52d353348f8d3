"""Private tasks as the ledger holds them: what is sealed, what stays readable, and the gate before the tree."""

from dataclasses import fields, replace
from typing import Any

import pytest

from taskrepo import envelope, sealing
from taskrepo.commands import (
    Answer,
    Approve,
    Ask,
    Cancel,
    Claim,
    Command,
    Comment,
    Create,
    Erase,
    Fail,
    Progress,
    Reject,
    Release,
    Reopen,
    Revise,
    Submit,
)
from taskrepo.errors import Invalid
from taskrepo.events import Content
from taskrepo.model import Criterion, Deliverable, Execution, File, Manifest, Member, Stamp, Task

ID = "4k7q2m9x"
KEY = bytes(range(32))
FILE = File("input/SECRET.zip", "SECRET.zip", "application/zip", 9, "a" * 64, by="alice", at=7, lfs=True,
            inside=(Member("SECRET.exe", "application/x-secret"),))  # fmt: skip
STORED = File("input/SECRET.zip", "sealed", "x", 90, "b" * 64)
MANIFEST = Manifest(
    "SECRET title", "SECRET description", "agent_only", "high", "read_only", "medium", "fast",
    (Deliverable("SECRET"), Deliverable("SECRET", "SECRET.csv", "text/csv", True, 1, 2)), (Criterion("SECRET", "c"),),
    "carol", 1, 1_800_000_000, 1_790_000_000, ("SECRET",), 60, 3, "private", ("dave",), '{"title":"SECRET"}',
    ("77777777",), "SECRET", "SECRET", "https://SECRET", "SECRET", "SECRET-1",
)  # fmt: skip


def _task(**changes: Any) -> Task:
    base = Task(ID, "running", "alice", 1, MANIFEST, 1, Stamp("started", "bob", 9), (FILE,))
    return replace(base, **changes)


def _sealed_task(**changes: Any) -> Task:
    """The task as the ledger would hold it."""
    made = envelope.seal_command(Create(ID, MANIFEST, (FILE,)), KEY, {FILE.path: STORED}, None)
    return _task(manifest=made.manifest, files=tuple(replace(f, by="alice", at=7) for f in made.files), **changes)


def test_a_manifest_opens_as_it_was_and_says_only_what_the_rules_need() -> None:
    """All but the fields the rule book judges by is in the token."""
    sealed = envelope.seal_manifest(MANIFEST, KEY)
    assert "SECRET" not in repr(sealed)
    assert envelope.open_manifest(sealed, KEY) == MANIFEST
    shown = {f.name for f in fields(Manifest) if getattr(sealed, f.name) == getattr(MANIFEST, f.name)}
    assert shown == envelope.READABLE
    least = Manifest("t", "d", visibility="private")
    assert envelope.open_manifest(envelope.seal_manifest(least, KEY), KEY) == least


def test_a_task_opens_as_it_was() -> None:
    """Manifest, files, reasons and notes come back; each file knows what it is stored as."""
    said = sealing.seal_text(KEY, "text", "SECRET")
    attempt = Execution(1, "bob", 1, 3, "released", note=said, reason=said)
    sealed = _sealed_task(reason=said, executions=(attempt,))
    assert "SECRET" not in repr(sealed)
    opened = envelope.open_task(sealed, KEY)
    plain_attempt = replace(attempt, note="SECRET", reason="SECRET")
    assert opened == _task(reason="SECRET", executions=(plain_attempt,))
    assert opened.files[0].stored == sealed.files[0]


@pytest.mark.parametrize(
    "command",
    [
        Progress(ID, 1, 5, "SECRET", (FILE,)),
        Ask(ID, "SECRET", 1, (FILE,)),
        Answer(ID, "SECRET", (FILE,)),
        Comment(ID, "SECRET", (FILE,)),
        Release(ID, 1, "SECRET"),
        Submit(ID, 1, "SECRET", (FILE,)),
        Approve(ID, "SECRET"),
        Reject(ID, "SECRET"),
        Reopen(ID, "SECRET"),
        Fail(ID, 1, "SECRET", "task"),
        Cancel(ID, "SECRET"),
        Revise(ID, MANIFEST, (FILE,)),
        Create(ID, MANIFEST, (FILE,)),
    ],
)
def test_every_command_is_sealed_and_passes_the_gate(command: Command) -> None:
    """No text, name, type or hash of the plain content is left, and the rest of the command is as it was."""
    kind = {Create: "task_attachment", Revise: "task_attachment", Submit: "submission_artifact"}
    file = replace(FILE, kind=kind.get(type(command), "event_file"))
    if getattr(command, "files", ()):
        command = replace(command, files=(file,))  # type: ignore[call-arg]
    before = None if isinstance(command, Create) else envelope.open_task(_sealed_task(), KEY)
    sealed = envelope.seal_command(command, KEY, {FILE.path: STORED}, before)
    assert "SECRET" not in repr(sealed) and "a" * 64 not in repr(sealed) and type(sealed) is type(command)
    envelope.check(sealed, _sealed_task())
    with pytest.raises(Invalid) as caught:
        envelope.check(command, _sealed_task())
    assert caught.value.code == "unsealed"
    content = Content(str(getattr(sealed, "summary", "")), getattr(sealed, "files", ()))
    stamped = Content(content.text, tuple(replace(f, by="alice", at=7) for f in content.files))
    opened = envelope.open_content(stamped, KEY)
    assert opened.files == getattr(command, "files", ())


def test_replaced_and_dropped_files_go_by_their_stored_paths() -> None:
    """A revision of a plain path removes what that path was stored as."""
    before = envelope.open_task(_sealed_task(), KEY)
    stored = before.files[0].stored
    assert stored is not None
    fresh = replace(FILE, sha256="c" * 64)
    for command in (Revise(ID, None, (fresh,)), Revise(ID, None, (), (FILE.path,))):
        sealed = envelope.seal_command(command, KEY, {FILE.path: replace(STORED, sha256="d" * 64)}, before)
        assert sealed.drop == (stored.path,)


def test_nothing_stays_nothing_and_a_public_word_stays_public() -> None:
    """Empty texts are not sealed; the reason of an erasure is for everybody; other commands pass as they are."""
    assert envelope.seal_command(Progress(ID, 1, 5), KEY, {}, None) == Progress(ID, 1, 5)
    assert envelope.seal_command(Claim(ID), KEY, {}, None) == Claim(ID)
    assert envelope.seal_command(Erase(ID, "asked for"), KEY, {}, None) == Erase(ID, "asked for")
    assert envelope.open_text("", KEY) == ""


def test_without_its_key_a_task_says_so() -> None:
    """What is left is who, when and which state, and for an erased one the reason."""
    sealed = _sealed_task(reason="asked for", executions=(Execution(1, "bob", 1, 3, "active", note="x", reason="y"),))
    lost = envelope.closed(sealed)
    assert (lost.manifest.title, lost.files, lost.reason) == ("Sealed task", (), "")
    assert (lost.executions[0].note, lost.executions[0].reason) == ("", "")
    erased = envelope.closed(replace(sealed, erased_at=9))
    assert (erased.manifest.title, erased.reason, erased.publisher) == ("Erased task", "asked for", "alice")
    assert erased.manifest.readers == ("dave",) and erased.manifest.private


@pytest.mark.parametrize(
    "changes",
    [
        {"manifest": MANIFEST},
        {"manifest": replace(envelope.seal_manifest(MANIFEST, KEY), labels=("x",))},
        {"manifest": replace(envelope.seal_manifest(MANIFEST, KEY), title="x")},
        {"manifest": replace(envelope.seal_manifest(MANIFEST, KEY), description="x")},
        {"files": (FILE,)},
        {"reason": "x"},
        {"executions": (Execution(1, "bob", 1, 3, "active", note="x"),)},
        {"executions": (Execution(1, "bob", 1, 3, "active", reason="x"),)},
    ],
)
def test_the_gate_lets_nothing_through(changes: Any) -> None:
    """One thing in the clear anywhere in the task after a command is enough."""
    with pytest.raises(Invalid) as caught:
        envelope.check(Claim(ID), replace(_sealed_task(), **changes))
    assert caught.value.code == "unsealed"


@pytest.mark.parametrize(
    "change", [{"path": "input/x"}, {"name": "x"}, {"media_type": "x"}, {"inside": (Member("a", "b"),)}, {"seal": "x"}]
)
def test_the_gate_looks_at_each_word_of_a_file(change: Any) -> None:
    """Path, name, type, members and seal of a stored file tell nothing."""
    sealed = _sealed_task()
    with pytest.raises(Invalid):
        envelope.check(Claim(ID), replace(sealed, files=(replace(sealed.files[0], **change),)))


def test_the_gate_after_an_erasure() -> None:
    """The reason given for it is readable; nothing else becomes so."""
    envelope.check(Erase(ID, "asked for"), replace(_sealed_task(), reason="asked for", erased_at=9))
    with pytest.raises(Invalid):
        envelope.check(Erase(ID, "asked for"), _task(erased_at=9))


def test_a_public_task_has_nothing_sealed() -> None:
    """A sealed file in a public task is refused, so that what looks readable is."""
    public = _task(manifest=Manifest("t", "d"))
    envelope.check(Claim(ID), public)
    with pytest.raises(Invalid):
        envelope.check(Claim(ID), replace(public, files=_sealed_task().files))


def test_another_tasks_key_opens_nothing() -> None:
    """Each task's content is under its own key."""
    with pytest.raises(Invalid) as caught:
        envelope.open_task(_sealed_task(), bytes(32))
    assert caught.value.code == "bad-seal"
