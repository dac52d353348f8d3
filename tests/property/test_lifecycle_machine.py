"""The rule book under any sequence of commands: what always holds, and that every event can be read back.

`TASKREPO_TEST_TORTURE=deep` tries a million commands, in ten thousand sequences of up to fifty steps.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from taskrepo import dependencies, lifecycle, package
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
from taskrepo.errors import REFUSALS, Refused
from taskrepo.events import Event
from taskrepo.model import (
    EXCHANGE,
    HELD,
    STATES,
    Actor,
    Capabilities,
    Deliverable,
    File,
    Manifest,
    Policy,
    Stamp,
    State,
    Task,
)

DEEP: Final = os.environ.get("TASKREPO_TEST_TORTURE") == "deep"
SEQUENCES, STEPS, TRIED = (10_000, 50, 1_000_000) if DEEP else (80, 40, 20_000)
ID = "4k7q2m9x"
OTHER = "77777777"
ACTORS = (
    Actor("alice", "human", "Alice"),
    Actor("bob", "agent", "Bob", Capabilities("high")),
    Actor("carol", "human", "Carol", grants=("admin",)),
    Actor("dave", "agent", "Dave", active=False),
    Actor(EXCHANGE, "service", "Exchange"),
)
POLICIES = (
    Policy(),
    Policy(lease_seconds=20, max_attempts=2, max_submissions=2, max_discussion=6, self_review=True),
    Policy(large_file_bytes=1024, max_files=3, max_task_bytes=10_000),
)

actors = st.sampled_from(ACTORS)
spans = st.integers(0, 300)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), min_size=1, max_size=30)
lines = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)
numbers = st.integers(1, 3)


def _files(*folders: str) -> st.SearchStrategy[tuple[File, ...]]:
    one = st.builds(
        lambda folder, name, size, digit: File(folder + name, name, "text/plain", size, digit * 64),
        st.sampled_from(folders),
        st.sampled_from(["a", "b b", "e[f]", "ü"]),
        st.integers(0, 3000),
        st.sampled_from("01"),
    )
    return st.lists(one, max_size=3, unique_by=lambda f: f.path).map(tuple)


package_files = _files("input/", "context/")
manifests = st.builds(
    Manifest,
    texts.map(lambda t: " ".join(t.split()) or "t"),
    texts,
    review=st.sampled_from(["publisher", "carol", "anyone", "none", "bob"]),
    deliverables=st.sampled_from([(), (Deliverable("", "a"),), (Deliverable("w"), Deliverable("d", "a", "", False))]),
    reasoning_tier=st.sampled_from(["low", "high"]),
    lease_seconds=st.sampled_from([None, 10, 100]),
    max_attempts=st.sampled_from([None, 1, 2]),
    labels=st.lists(st.sampled_from(["x", "y"]), unique=True).map(tuple),
    blocked_by=st.sampled_from([(), (), (OTHER,)]),
)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "create": st.builds(Create, st.just(ID), manifests, package_files, st.booleans()),
    "revise": st.builds(
        Revise,
        st.just(ID),
        st.none() | manifests,
        package_files,
        st.lists(st.sampled_from(["input/a", "input/b b", "context/ü", "input/zz"]), max_size=2).map(tuple),
    ),
    "publish": st.just(Publish(ID)),
    "claim": st.just(Claim(ID)),
    "start": st.builds(Start, st.just(ID), st.none() | numbers),
    "progress": st.builds(
        Progress, st.just(ID), numbers, st.none() | st.sampled_from([0, 50, 100]), lines, _files("", "shots/")
    ),
    "ask": st.builds(Ask, st.just(ID), texts, st.none() | numbers, _files("")),
    "answer": st.builds(Answer, st.just(ID), texts, _files("")),
    "release": st.builds(Release, st.just(ID), numbers, texts),
    "expire": st.just(Expire(ID)),
    "submit": st.builds(Submit, st.just(ID), numbers, texts, _files("artifacts/", "logs/")),
    "approve": st.builds(Approve, st.just(ID), st.just("") | texts),
    "reject": st.builds(Reject, st.just(ID), texts),
    "rework": st.builds(Rework, st.just(ID), st.none() | numbers),
    "reopen": st.builds(Reopen, st.just(ID), texts),
    "fail": st.builds(Fail, st.just(ID), numbers, texts, st.sampled_from(["task", "executor"])),
    "cancel": st.builds(Cancel, st.just(ID), texts),
    "archive": st.just(Archive(ID)),
    "comment": st.builds(Comment, st.just(ID), texts, _files("", "shots/")),
}
commands: st.SearchStrategy[Command] = st.one_of(*KINDS.values())
# What ends a task early is drawn seldom, or no sequence would get far.
RARE = frozenset({"archive", "cancel", "fail", "comment", "revise"})


HAPPENED: Counter[str] = Counter()
VERDICTS: Counter[str] = Counter()


class Folder:
    """The task's folder in the ledger's tree, as the events wrote it."""

    def __init__(self) -> None:
        self.content: dict[str, bytes | File] = {}

    def write(self, writes: package.Writes) -> None:
        for path, content in writes.items():
            if content is None:
                del self.content[path]
            else:
                self.content[path] = content

    def read(self, path: str) -> bytes:
        held = self.content[path]
        assert isinstance(held, bytes)
        return held

    def task(self) -> Task:
        files = package.read_files(self.read("files.yaml")) if "files.yaml" in self.content else ()
        return package.read_record(self.read("task.yaml"), package.read_manifest(self.read("manifest.yaml")), files)


def _heard(before: Task | None, after: Task) -> Task | None:
    """The task before the event, with the heartbeat the event recorded: all that a replay has to go by."""
    if before is None or before.execution is None:
        return before
    return lifecycle.with_heartbeat(before, after.executions[len(before.executions) - 1].heartbeat_at)


class Lifecycle(RuleBasedStateMachine):
    """One task, any commands by anybody, with time passing and heartbeats between."""

    def __init__(self) -> None:
        super().__init__()
        self.task: Task | None = None
        self.folder = Folder()
        self.now = 1_800_000_000
        self.policy = POLICIES[0]
        self.beat: int | None = None
        self.others: dict[str, Task] = {}
        self.tries: list[Command] = []

    @rule(state=st.sampled_from(["draft", "running", "approved", "approved", "failed"]), gone=st.integers(0, 9))
    def elsewhere(self, state: State, gone: int) -> None:
        """What the task may wait for is in another state, or not there at all."""
        other = Task(OTHER, state, "alice", 1, Manifest("t", "d"), 0, Stamp("", "", 0))
        self.others = {OTHER: other} if gone else {}

    @rule(policy=st.sampled_from(POLICIES))
    def amend(self, policy: Policy) -> None:
        self.policy = policy

    @rule(span=spans)
    def wait(self, span: int) -> None:
        self.now += span

    @rule(number=numbers, actor=actors)
    @precondition(lambda self: self.task is not None and self.task.state in HELD)
    def heartbeat(self, number: int, actor: Actor) -> None:
        assert self.task is not None
        try:
            beaten = lifecycle.beat(self.task, number, actor, self.now, self.policy)
        except Refused as refused:
            assert refused.code in REFUSALS
            return
        assert beaten.lease is not None
        assert self.task.lease is not None
        assert beaten.lease.until >= self.task.lease.until
        self.beat = self.now

    @rule(command=commands, actor=actors)
    def anything(self, command: Command, actor: Actor) -> None:
        self._give(command, actor)

    @initialize(manifest=manifests, files=package_files, tries=st.lists(commands, min_size=5, max_size=20))
    def begin(self, manifest: Manifest, files: tuple[File, ...], tries: list[Command]) -> None:
        self.tries = tries
        self._give(Create(ID, manifest, files), ACTORS[0])

    @rule(data=st.data(), steps=st.integers(1, 6))
    def what_is_allowed(self, data: st.DataObject, steps: int) -> None:
        """Commands that `allowed` offers, with the current fence: most random ones would be refused."""
        for _ in range(steps):
            if self.task is None:
                return
            offers = [(c, a) for a in ACTORS for c in lifecycle.allowed(self.task, a, self.now, self.policy)]
            names = sorted({name for name, _ in offers})
            if not names:
                return  # archived, and its discussion is full
            name = data.draw(st.sampled_from([n for n in names if n not in RARE] * 4 + names))
            command = data.draw(KINDS[name])
            if getattr(command, "execution", None) is not None and self.task.execution:
                command = replace(command, execution=self.task.execution.number)
            self._give(command, data.draw(st.sampled_from([a for n, a in offers if n == name])))

    @rule()
    @precondition(lambda self: self.task is not None and self.task.state == "archived")
    def another_task(self) -> None:
        self.task, self.folder = None, Folder()

    @rule()
    @precondition(lambda self: self.task is not None and self.task.lease is not None)
    def time_out(self) -> None:
        assert self.task is not None and self.task.lease is not None
        self.now = max(self.now, self.task.lease.until)
        self._give(Expire(ID), ACTORS[-1])

    def _give(self, command: Command, actor: Actor) -> None:
        before = lifecycle.with_heartbeat(self.task, self.beat) if self.task else None
        directory = {a.id for a in ACTORS}
        try:
            happened = lifecycle.decide(
                before, command, actor, self.now, self.policy, directory, self._needed(before, command)
            )
        except Refused as refused:
            assert refused.code in REFUSALS
            return
        HAPPENED[happened.name] += 1
        after = lifecycle.evolve(before, happened)
        assert lifecycle.evolve(self.task, happened) == after, "the event carries the heartbeat itself"
        self._check_reading_back(happened, after, actor)
        self.task = after
        if after.lease is None:
            self.beat = None

    def _check_reading_back(self, happened: Event, after: Task, actor: Actor) -> None:
        self.folder.write(package.render(happened, self.task, after))
        assert self.folder.task() == after
        content = package.content_of(self.task, after, self.folder.read)
        inferred = lifecycle.infer(self.task, after, content)
        heard = _heard(self.task, after)
        again = lifecycle.decide(
            heard, inferred, actor, self.now, self.policy, None, self._needed(heard, inferred)
        )
        assert again == happened
        assert not (isinstance(inferred, Claim) and dependencies.blockers(after, self.others.get))

    def _needed(self, task: Task | None, command: Command) -> Mapping[str, Task]:
        return dependencies.needed(task, command, self.others.get)

    @invariant()
    def whatever_is_tried_is_decided_or_refused(self) -> None:
        """In each state that comes up, and nothing but a refusal is ever raised."""
        for command, actor in product(self.tries, ACTORS):
            try:
                happened = lifecycle.decide(
                    self.task, command, actor, self.now, self.policy, None, self._needed(self.task, command)
                )
            except Refused as refused:
                assert refused.code in REFUSALS
                VERDICTS[refused.code] += 1
            else:
                assert lifecycle.evolve(self.task, happened).state in STATES
                VERDICTS[happened.name] += 1

    @invariant()
    def someone_holds_it_or_nobody(self) -> None:
        if self.task is None:
            return
        active = [e for e in self.task.executions if e.outcome == "active"]
        held = self.task.state in HELD
        assert len(active) == held
        assert (self.task.lease is not None) == held
        assert self.task.holder is None or self.task.holder is self.task.executions[-1]
        assert self.task.holder is None or self.task.assignee == self.task.holder.actor
        assert not active or active[0] is self.task.executions[-1]

    @invariant()
    def a_question_and_a_paused_lease_go_together(self) -> None:
        if self.task is None:
            return
        paused = self.task.lease is not None and self.task.lease.paused_at is not None
        assert paused == (self.task.waiting is not None)
        if self.task.lease is not None and self.task.lease.paused_at is not None:
            assert self.task.lease.until == self.task.lease.paused_at + self.task.lease.seconds

    @invariant()
    def numbers_are_dense(self) -> None:
        if self.task is None:
            return
        assert [e.number for e in self.task.executions] == list(range(1, len(self.task.executions) + 1))
        assert [s.number for s in self.task.submissions] == list(range(1, len(self.task.submissions) + 1))
        entries = [p for p in self.folder.content if p.startswith("discussion/") and p.count("/") == 1]
        assert sorted(entries) == [package.entry_path(n + 1) for n in range(self.task.discussion)]
        if self.task.waiting:
            assert 1 <= self.task.waiting.entry <= self.task.discussion

    @invariant()
    def each_state_has_what_it_stands_for(self) -> None:
        task = self.task
        if task is None:
            return
        last = task.submissions[-1] if task.submissions else None
        assert task.state in STATES
        assert task.state != "submitted" or (last is not None and last.review is None)
        assert task.state != "rejected" or (last is not None and last.review is not None)
        assert (task.closed_at is not None) <= (task.state in ("approved", "failed", "cancelled", "archived"))
        assert (task.closed_at is not None) >= (task.state in ("approved", "failed", "cancelled"))
        assert [f.path for f in task.files] == sorted({f.path for f in task.files})

    @invariant()
    def the_tree_holds_what_the_record_names(self) -> None:
        if self.task is None:
            return
        roots = ("input/", "context/", "acceptance/")
        assert {p for p in self.folder.content if p.startswith(roots)} == {f.path for f in self.task.files}
        for file in self.task.files:
            held = self.folder.content[file.path]
            assert held == package.pointer(file) if file.lfs else isinstance(held, File) and held.sha256 == file.sha256
        assert (".gitattributes" in self.folder.content) == any(f.lfs for f in self.task.files)


def test_the_invariants_hold() -> None:
    """Under any commands the invariants hold, and each event can be read back from what it wrote."""
    HAPPENED.clear()
    VERDICTS.clear()
    profile = settings(
        max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck),
        derandomize=not DEEP,
    )  # fmt: skip
    run_state_machine_as_test(Lifecycle, settings=profile)
    assert len(HAPPENED) >= 10, "the sequences must get beyond the first steps to mean anything"
    assert VERDICTS.total() >= TRIED and len(VERDICTS) >= 20


@given(commands, actors, st.sampled_from(POLICIES))
@settings(deadline=None, max_examples=100)
def test_a_command_on_nothing_is_refused_or_creates(command: Command, actor: Actor, policy: Policy) -> None:
    """Without a task, everything but `create` is refused; nothing else is ever raised."""
    try:
        happened = lifecycle.decide(None, command, actor, 1, policy)
    except Refused as refused:
        assert refused.code in REFUSALS
    else:
        assert isinstance(command, Create)
        assert lifecycle.evolve(None, happened).id == ID


def _ask_then_answer(start: int, seconds: int, ask: int, answer: int) -> tuple[Task, Task]:
    manifest = Manifest("t", "d", lease_seconds=seconds)
    task: Task | None = None
    steps: list[tuple[Command, Actor, int]] = [
        (Create(ID, manifest), ACTORS[0], start),
        (Claim(ID), ACTORS[1], start),
        (Ask(ID, "?"), ACTORS[1], start + ask),
        (Answer(ID, "!"), ACTORS[0], start + ask + answer),
    ]
    seen = []
    for command, actor, at in steps:
        task = lifecycle.evolve(task, lifecycle.decide(task, command, actor, at, Policy()))
        seen.append(task)
    return seen[-2], seen[-1]


@given(st.integers(0, 2**33), st.integers(10, 10**5), st.integers(0, 10**6), st.integers(0, 10**8))
def test_waiting_costs_nothing(start: int, seconds: int, ask: int, answer: int) -> None:
    """However long an answer takes, the executor has a whole lease from then on."""
    asked, answered = _ask_then_answer(start, seconds, ask, answer)
    assert asked.lease is not None
    assert answered.lease is not None
    assert asked.lease.until - start - ask == seconds
    assert answered.lease.until == start + ask + answer + seconds
    assert answered.lease.paused_at is None


@given(st.lists(st.integers(0, 10**6), max_size=8))
def test_heartbeats_commute(beats: list[int]) -> None:
    """In whatever order heartbeats become known, the lease runs from the latest sign of life."""
    created = lifecycle.evolve(None, lifecycle.decide(None, Create(ID, Manifest("t", "d")), ACTORS[0], 0, Policy()))
    task = lifecycle.evolve(created, lifecycle.decide(created, Claim(ID), ACTORS[1], 500, Policy()))
    for at in beats:
        task = lifecycle.with_heartbeat(task, at)
    assert task.lease is not None
    assert task.lease.until == max([500, *beats]) + 7200
    assert (task.executions[0].heartbeat_at or 0) == max([0, *beats])


@given(command=commands, actor=actors)
@settings(deadline=None, max_examples=50)
def test_deciding_is_pure(command: Command, actor: Actor) -> None:
    """Deciding twice gives the same event or the same refusal."""
    task = lifecycle.evolve(None, lifecycle.decide(None, Create(ID, Manifest("t", "d")), ACTORS[0], 0, Policy()))
    assert _verdict(task, command, actor) == _verdict(task, command, actor)


def _verdict(task: Task, command: Command, actor: Actor) -> object:
    try:
        return lifecycle.decide(task, command, actor, 5, Policy())
    except Refused as refused:
        return refused.code, refused.message, refused.details
