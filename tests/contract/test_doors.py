"""One contract, every door: each (state × command × role) cell gets the same verdict whichever way it comes in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.contract.cells import (
    ACTORS,
    CELLS,
    COMMANDS,
    CREATE_CELLS,
    FEW,
    OUTSIDE_CELLS,
    PRIVATE_CELLS,
    READERS,
    ROLES,
    STATES,
    WAITING,
    WAITING_CELLS,
    Cell,
    waiting_for,
)
from tests.contract.doors import CommandLineDoor, Door, ExchangeDoor, HttpDoor, Place, serving

DOORS = ("exchange", "http", "command line")


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Place, dict[str, Door]]]:
    """An exchange with all its doors open."""
    place = Place.make(folder)
    with place.exchange, serving(place.exchange) as url:
        yield place, {
            "exchange": ExchangeDoor(place.exchange),
            "http": HttpDoor(url, place.keys),
            "command line": CommandLineDoor(url, place.keys, folder),
        }


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, dict[str, Door]]]:
    """One exchange for all commands."""
    with opened(tmp_path_factory.mktemp("doors")) as place_and_ways:
        yield place_and_ways


@pytest.fixture
def own_doors(
    command: str, doors: tuple[Place, dict[str, Door]], tmp_path: Path
) -> Iterator[tuple[Place, dict[str, Door]]]:
    """The same; erasing has one of its own, because what it costs grows with the tasks that there are."""
    with opened(tmp_path) if command == "erase" else nullcontext(doors) as place_and_ways:
        yield place_and_ways


def _judge(
    place: Place, door: Door, cells: Sequence[Cell], readers: tuple[str, ...] | None = None
) -> list[str]:
    """The cells whose verdict, or whose effect, is another than the table's."""
    waiting: dict[str, str] = {}
    wrong = []
    for cell in cells:
        task = waiting.pop(cell.state, None) or place.bring(cell.state, readers)
        before = place.exchange.snapshot().commit
        verdict, _ = door.give(str(ACTORS[cell.role]["id"]), cell.command, task, cell.body)
        after = place.exchange.snapshot()
        held = after.get(task)
        state = held.state if held else "none"
        changed = after.commit != before
        if verdict != cell.verdict or changed != (verdict == "ok") or (verdict == "ok" and state != cell.after):
            wrong.append(f"{cell.state} × {cell.command} × {cell.role}: {verdict} ({state}), not {cell.verdict}")
        if not changed:
            waiting[cell.state] = task  # a refusal leaves the task as it was, fit for the next cell
    return wrong


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_cell_of_a_command_gets_its_verdict(
    doors: tuple[Place, dict[str, Door]], door: str, command: str
) -> None:
    """In all ten states, on no task, and with a question open, for all eight roles, the verdict is the table's."""
    place, ways = doors
    cells = [cell for cell in (*CELLS, *WAITING_CELLS) if cell.command == command]
    assert len(cells) == (len(STATES) + 2) * len(ROLES)
    assert _judge(place, ways[door], cells) == []


def _half(cells: Sequence[Cell], odd: int) -> list[Cell]:
    """Every other one, so that each command meets each role, and each state, in half of its cells."""
    states = (*STATES, WAITING)
    return [cell for cell in cells if (states.index(cell.state) + ROLES.index(cell.role)) % 2 == odd]


@pytest.mark.parametrize(
    ("door", "command"), [*(("http", c) for c in COMMANDS), ("exchange", "claim"), ("command line", "claim")]
)
def test_cells_of_a_private_task_get_their_verdicts(
    own_doors: tuple[Place, dict[str, Door]], door: str, command: str
) -> None:
    """To its readers a private task is as a public one, save that it can be erased, and to others there is none.

    Half of the cells go over HTTP; the rule book itself is asked all of them elsewhere.
    """
    place, ways = own_doors
    for cells, readers in ((PRIVATE_CELLS, READERS), (OUTSIDE_CELLS, FEW)):
        chosen = _half([cell for cell in cells if cell.command == command], odd=int(door == "http"))
        assert _judge(place, ways[door], chosen, readers) == []


@pytest.mark.parametrize("door", DOORS)
def test_creating_gets_its_verdict(doors: tuple[Place, dict[str, Door]], door: str) -> None:
    """Everybody who is not suspended may create a task."""
    place, ways = doors
    for cell in CREATE_CELLS:
        verdict, task = ways[door].give(str(ACTORS[cell.role]["id"]), "create", "", cell.body)
        assert verdict == cell.verdict
        if verdict == "ok":
            assert place.exchange.snapshot().task(task).state == cell.after


def test_the_cells_are_complete() -> None:
    """The cells are complete: every command of the rule book but `create`, which has cells of its own."""
    from taskrepo.lifecycle import RULES

    assert {kind.name for kind in RULES} == {*COMMANDS, "create"}
    assert {cell.state for cell in CELLS} == {*STATES, "none"}


@pytest.mark.parametrize("door", DOORS)
def test_a_task_that_waits_for_others_gets_its_verdicts(doors: tuple[Place, dict[str, Door]], door: str) -> None:
    """It is blocked to everybody who could claim it until what it waits for is approved, and to the others refused."""
    place, ways = doors
    way, first = ways[door], place.bring("submitted")
    verdict, task = way.give("alice", "create", "", waiting_for(first))
    assert verdict == "ok"
    assert way.give("alice", "create", "", waiting_for("zzzzzzzz"))[0] == "unknown-dependency"
    for actor, code in (("bob", "blocked"), ("erin", "not-eligible"), ("frank", "actor-suspended")):
        assert (actor, way.give(actor, "claim", task, {})[0]) == (actor, code)
    circle = {"manifest": waiting_for(task)["manifest"]}
    assert way.give("alice", "revise", task, circle)[0] == "circular-dependency"
    assert way.give("carol", "approve", first, {"reason": "right"})[0] == "ok"
    assert way.give("bob", "claim", task, {})[0] == "ok"
