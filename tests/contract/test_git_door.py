"""The contract at the door of git: a pushed request gets the verdict that every other door gives it.

* All cells but those nobody can push: the exchange pushes nothing, and `expire` is the exchange's alone.
* Most are written and handed over in this process; some of every command go through a real `git push`, which comes to
  the same.
* What a refusal was about leaves nothing: `main` and the object store are as they were.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from taskrepo.reception import Reception
from taskrepo.verify import verify
from tests.contract.cells import (
    ACTORS,
    CELLS,
    COMMANDS,
    CREATE_CELLS,
    FEW,
    NONE,
    READERS,
    ROLES,
    STATES,
    WAITING,
    WAITING_CELLS,
    Cell,
    waiting_for,
)
from tests.contract.doors import GitDoor, Place
from tests.support.pens import Outlet, Pen, stand

PUSHED = tuple(command for command in COMMANDS if command != "expire")
WRITERS = tuple(role for role in ROLES if role != "exchange")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Pen]]:
    """An exchange that listens to git's hooks, and the keys of everybody in the cells."""
    folder = tmp_path_factory.mktemp("git-door")
    place = Place.make(folder)
    with place.exchange as exchange, Reception(exchange):
        yield place, Pen(exchange, folder, *(str(ACTORS[role]["id"]) for role in WRITERS))


def _judge(place: Place, door: GitDoor, cells: Sequence[Cell], tasks: dict[str, str]) -> list[str]:
    """The cells whose verdict, or whose effect, is another than the table's; `tasks` are left over, by state."""
    wrong = []
    for cell in cells:
        task = tasks.pop(cell.state, None) or place.bring(cell.state)
        before = place.exchange.store.head()
        verdict, _ = door.give(str(ACTORS[cell.role]["id"]), cell.command, task, cell.body)
        changed = place.exchange.store.head() != before
        held = place.exchange.snapshot().get(task)
        state = held.state if held else NONE
        if verdict != cell.verdict or changed != (verdict == "ok") or (verdict == "ok" and state != cell.after):
            wrong.append(f"{cell.state} × {cell.command} × {cell.role}: {verdict} ({state}), not {cell.verdict}")
        if not changed or cell.command in ("comment", "revise"):  # which leave the task as fit for the next cell
            tasks[cell.state] = task
    return wrong


def _cells(command: str) -> list[Cell]:
    """Those of a command that can be pushed, the refused ones first."""
    found = [cell for cell in (*CELLS, *WAITING_CELLS) if cell.command == command and cell.role in WRITERS]
    return sorted(found, key=lambda cell: cell.verdict == "ok")


@pytest.mark.parametrize("command", PUSHED)
def test_every_cell_that_can_be_pushed_gets_its_verdict(place: tuple[Place, Pen], command: str) -> None:
    """In all ten states, on no task, and with a question open, for all seven roles; refusals leave nothing behind."""
    site, pen = place
    cells = _cells(command)
    assert len(cells) == (len(STATES) + 2) * len(WRITERS)
    tasks = {state: site.bring(state) for state in (*STATES, WAITING, NONE)}
    refused = [cell for cell in cells if cell.verdict != "ok"]
    before = stand(site.exchange)
    assert _judge(site, GitDoor(pen), refused, tasks) == []
    assert stand(site.exchange) == before
    assert _judge(site, GitDoor(pen), cells[len(refused) :], tasks) == []


def test_expire_cannot_be_pushed(place: tuple[Place, Pen]) -> None:
    """A lease is ended by the exchange, and no message asks for that."""
    site, pen = place
    task = site.bring("claimed")
    for role in WRITERS:
        assert GitDoor(pen).give(str(ACTORS[role]["id"]), "expire", task, {})[0] == "bad-message"


def test_creating_gets_its_verdict(place: tuple[Place, Pen]) -> None:
    """Everybody who is not suspended may create a task by a push, of an id that is free."""
    site, pen = place
    made = ""
    for cell in CREATE_CELLS:
        if cell.role in WRITERS:
            verdict, made = GitDoor(pen).give(str(ACTORS[cell.role]["id"]), "create", "", cell.body)
            assert verdict == cell.verdict
            assert verdict != "ok" or site.exchange.snapshot().task(made).state == cell.after
    taken = site.bring("claimed")
    before = stand(site.exchange)
    assert GitDoor(pen).give("alice", "create", taken, CREATE_CELLS[0].body)[0] == "duplicate-id"
    assert stand(site.exchange) == before


def test_what_is_said_of_a_private_task_is_not_pushed(place: tuple[Place, Pen]) -> None:
    """Words and files about a private task are refused to its readers; to others there is no such task."""
    site, pen = place
    door = GitDoor(pen)
    task, hidden = site.bring("claimed", READERS), site.bring("claimed", FEW)
    before = stand(site.exchange)
    wordy = [cell for cell in CELLS if cell.state == "claimed" and cell.role in ("executor", "other_ineligible")]
    for cell in wordy:
        if cell.command not in PUSHED:
            continue
        actor = str(ACTORS[cell.role]["id"])
        if cell.role == "other_ineligible":
            assert door.give(actor, cell.command, hidden, cell.body)[0] == "unknown-task"
        if set(cell.body) - {"execution"}:
            assert door.give(actor, cell.command, task, cell.body)[0] == "private-content"
    secret = {**CREATE_CELLS[0].body["manifest"], "visibility": "private", "readers": ["bob"]}
    assert door.give("alice", "create", "", {"manifest": secret, "state": "published"})[0] == "private-content"
    assert stand(site.exchange) == before


def test_what_says_nothing_of_a_private_task_is_pushed_like_anything(place: tuple[Place, Pen]) -> None:
    """Bare commands on a private task follow the table of every other door; what takes a reason is not a bare one."""
    site, pen = place
    door = GitDoor(pen)
    task = site.bring("published", READERS)
    for actor, command, verdict in (
        ("erin", "claim", "not-eligible"), ("bob", "claim", "ok"), ("dave", "start", "not-executor"),
        ("bob", "start", "ok"), ("alice", "cancel", "invalid-field"), ("alice", "erase", "invalid-field"),
    ):  # fmt: skip
        assert (actor, command, door.give(actor, command, task, {})[0]) == (actor, command, verdict)


def test_a_task_that_waits_for_others_is_judged_by_the_newest_state(place: tuple[Place, Pen]) -> None:
    """A claim written while the task was blocked is taken once it is not, and the other way round; all verifies."""
    site, pen = place
    door, first = GitDoor(pen), site.bring("submitted")
    verdict, task = door.give("alice", "create", "", waiting_for(first))
    assert verdict == "ok"
    assert door.give("alice", "create", "", waiting_for("zzzzzzzz"))[0] == "unknown-dependency"
    assert door.give("alice", "revise", task, waiting_for(task))[0] == "circular-dependency"
    early = pen.ask("bob", f"claim {task}")
    before = stand(site.exchange)
    assert pen.push(early).verdict == "blocked"
    assert stand(site.exchange) == before
    assert door.give("carol", "approve", first, {"reason": "right"})[0] == "ok"
    late = pen.ask("dave", f"claim {task}")
    assert door.give("carol", "reopen", first, {"reason": "one row is missing"})[0] == "ok"
    assert pen.push(late).verdict == "blocked"
    for command, actor, body in (("claim", "bob", {}), ("submit", "bob", {"execution": 2, "summary": "17 rows"}),
                                 ("approve", "carol", {"reason": "right"})):  # fmt: skip
        assert door.give(actor, command, first, body)[0] == "ok"
    assert pen.push(early).verdict == "ok"
    assert verify(site.config.repository).problem is None


# ── by stock git ────────────────────────────────────────────────────────────────────────────────────────────────────


def _some(command: str) -> list[Cell]:
    """An accepted and a refused cell of a command."""
    cells = [cell for cell in _cells(command) if cell.state != NONE]
    place = PUSHED.index(command)
    taken, refused = ([cell for cell in cells if (cell.verdict == "ok") == ok] for ok in (True, False))
    unlike = [cell for cell in refused if cell.role != "suspended"]
    return [*taken[:1], (unlike or refused)[place * 7 % len(unlike or refused)]]


@pytest.mark.parametrize("part", range(3))
def test_a_real_push_comes_to_the_same(place: tuple[Place, Pen], tmp_path: Path, part: int) -> None:
    """Of every command a cell that is accepted and one that is refused, by `git push`."""
    site, pen = place
    door = GitDoor(pen, Outlet.of(site.exchange, tmp_path))
    chosen = [cell for command in PUSHED[part::3] for cell in _some(command)]
    assert _judge(site, door, chosen, {}) == []


def test_a_real_push_creates_and_is_refused_alike(place: tuple[Place, Pen], tmp_path: Path) -> None:
    """What has no pair of cells of its own: creating, private tasks, nobody's task, and a suspended actor."""
    site, pen = place
    door = GitDoor(pen, Outlet.of(site.exchange, tmp_path))
    assert door.give("alice", "create", "", CREATE_CELLS[0].body)[0] == "ok"
    assert door.give("frank", "create", "", CREATE_CELLS[0].body)[0] == "actor-suspended"
    task = site.bring("published", READERS)
    assert door.give("bob", "claim", task, {})[0] == "ok"
    assert door.give("alice", "erase", task, {"reason": "he asked"})[0] == "private-content"
    assert door.give("bob", "claim", site.bring(NONE), {})[0] == "unknown-task"
    assert verify(site.config.repository).problem is None
