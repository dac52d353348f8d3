"""The commands that keep an exchange safe: `taskrepo backup` and `taskrepo restore`.

* Neither changes anything in an exchange that is there: a backup only reads it, and nothing is restored over one.
* The exit code is 1 if there is a backup but something is missing or damaged in it, or in the exchange itself.

>>> backup(parsed("backup --data /srv/exchange /mnt/backup"), Terminal()).code          # doctest: +SKIP
0
"""

import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from taskrepo.administration import config_of
from taskrepo.backup import Made, back_up
from taskrepo.config import Config
from taskrepo.depot import Depot, Generation
from taskrepo.errors import Invalid
from taskrepo.intake import made as made_depot
from taskrepo.model import iso
from taskrepo.restore import Restored, restore, source_of
from taskrepo.soundness import check
from taskrepo.terminal import Answer, Json, Table, Terminal

_SHOWN: Final = 20
_PRIVATE: Final = {"here": "in it", "apart": "apart", "none": "left out"}


def backup(args: Namespace, terminal: Terminal) -> Answer:
    """Make a backup, list what there is, or check it."""
    target, name = source_of(args.target)
    if args.list and args.check:
        raise Invalid("usage", "--list", "and --check are two commands; give one of them")
    if args.list:
        return _listed(Depot(target))
    if args.check:
        return _checked(Depot(target), name, terminal)
    target = Path(args.target)
    if args.keep is not None and args.keep < 1:
        raise Invalid("usage", "--keep", "is at least 1: the backup that is made")
    if args.without_private and args.private_to:
        raise Invalid("usage", "--without-private", "and --private-to are two things; give one of them")
    config = config_of(args)
    places = [target, *([Path(args.private_to)] if args.private_to else [])]
    _check_places(config, places)
    depots = [made_depot(place) for place in places] if config.exists else [Depot(target)]
    with terminal.progress("Backing up") as progress:
        made = back_up(
            config, depots[0], now=int(time.time()), private=not args.without_private,
            apart=depots[1] if args.private_to else None, keep=args.keep, progress=progress,
        )  # fmt: skip
    return Answer(_made_data(made, target), tuple(_told(made, target, args)), 1 if made.faults else 0)


def _check_places(config: Config, places: list[Path]) -> None:
    """Raises `Invalid("inside-data")` for a target that the exchange would take for its own, or that is taken twice."""
    if not config.exists:
        raise Invalid("no-exchange", str(config.data), "holds no exchange; say which with --data FOLDER")
    data = config.data.resolve()
    for place in places:
        if place.resolve().is_relative_to(data):
            told = f"is inside {data}; a backup belongs elsewhere, best on another disk"
            raise Invalid("inside-data", str(place), told)
    if len({place.resolve() for place in places}) < len(places):
        raise Invalid("usage", "--private-to", "is the same folder as the backup's")


def _made_data(made: Made, target: Path) -> Json:
    return {
        "target": str(target), **_generation_data(made.generation), "new_files": made.fresh, "new_bytes": made.bytes,
        "expired": made.expired, "notes": made.notes,
    }  # fmt: skip


def _generation_data(found: Generation) -> Json:
    facts = found.facts
    return {
        "snapshot": found.name, "made_at": iso(found.made_at), "head": found.head, "tasks": facts.get("tasks"),
        "commits": facts.get("commits"), "files": len(found.pieces), "bytes": sum(p.size for p in found.pieces),
        "private": facts.get("private"), "faults": list(facts.get("faults", ())),
    }  # fmt: skip


def _told(made: Made, target: Path, args: Namespace) -> Iterator[str]:
    found = made.generation
    yield f"Backed up as {found.name}: {found.facts['tasks']:,} tasks, {found.facts['commits']:,} commits."
    size = sum(piece.size for piece in found.pieces)
    yield f"{made.bytes:,} of {size:,} bytes were new; all of that was read back and is right."
    if made.expired:
        yield f"{len(made.expired)} older ones went: {', '.join(made.expired[:_SHOWN])}."
    yield from made.notes
    if found.facts["private"] == "here":
        yield "It has `private` in it: whoever reads it can read every private task, and act as the exchange."
    elif found.facts["private"] == "none":
        yield "`private` is left out: what is restored from this alone can be read and checked, but not go on."
    yield from _faults(made.faults, "In the exchange itself")


def _faults(faults: list[str], where: str) -> Iterator[str]:
    if faults:
        more = f" and {len(faults) - _SHOWN:,} more" if len(faults) > _SHOWN else ""
        yield "\n".join([f"{where} {len(faults):,} things are wrong{more}:", *(f"  {f}" for f in faults[:_SHOWN])])


def _listed(depot: Depot) -> Answer:
    rows, data = [], []
    for name in depot.names():
        try:
            told = _generation_data(depot.generation(name))
        except Invalid as error:
            told = {"snapshot": name, "faults": [error.message]}
        data.append(told)
        rows.append((
            name, f"{told.get('tasks', '?'):,}" if told.get("tasks") is not None else "?",
            f"{told['bytes']:,}" if "bytes" in told else "?", _PRIVATE.get(str(told.get("private")), "?"),
            f"{len(told['faults'])} wrong" if told["faults"] else "",
        ))  # fmt: skip
    table = Table(("snapshot", "tasks", "bytes", "private", ""), rows, "There are no backups yet.")
    return Answer({"target": str(depot.folder), "snapshots": data}, (table,))


def _checked(depot: Depot, name: str, terminal: Terminal) -> Answer:
    wanted = [depot.find(name).name] if name else []
    with terminal.progress("Checking") as progress:
        found = check(depot, wanted, progress)
    told = f"{found.generations:,} backups of {found.contents:,} files, {found.bytes:,} bytes"
    rows = [(what, ", ".join(names[:3]) + (", …" if len(names) > 3 else "")) for what, names in found.faults]
    verdict = f"{len(rows):,} things are wrong; the next backup writes anew what the exchange still has"
    data = {
        "target": str(depot.folder), "ok": not rows, "snapshots": found.generations, "files": found.contents,
        "bytes": found.bytes, "faults": [{"fault": what, "snapshots": list(names)} for what, names in found.faults],
    }  # fmt: skip
    parts = (Table(("wrong", "in"), rows), f"{told}: {verdict if rows else 'all is well'}.")
    return Answer(data, parts, 1 if rows else 0)


def restore_backup(args: Namespace, terminal: Terminal) -> Answer:
    """Make an exchange of a backup, in an empty folder."""
    if not getattr(args, "data", None):
        raise Invalid("usage", "--data", "is missing: the new folder that the exchange is restored into")
    folder, name = source_of(args.source)
    depot, config = Depot(folder), config_of(args)
    apart = Depot(Path(args.private_from)) if args.private_from else None
    generation = depot.find(name)
    done = restore(
        generation, depot, config, now=int(time.time()), apart=apart, judge=not args.unjudged,
        salvage=args.salvage, stage=terminal.progress,
    )  # fmt: skip
    data = {
        "data": str(config.data), "snapshot": generation.name, "made_at": iso(generation.made_at), "head": done.head,
        "commits": done.commits, "judged": done.judged, "tasks": done.tasks, "large_files": done.large,
        "bytes": done.bytes, "serves": done.serves, "without_keys": done.keyless, "sealed_away": done.sealed,
        "faults": done.faults, "notes": done.notes,
    }  # fmt: skip
    return Answer(data, tuple(_told_of_restoring(done, generation, config)), 1 if done.faults else 0)


def _told_of_restoring(done: Restored, generation: Generation, config: Config) -> Iterator[str]:
    yield f"Restored {generation.name}, made at {iso(generation.made_at)}, in {config.data}."
    yield f"{done.tasks:,} tasks, {done.commits:,} commits, {done.large:,} large files; the head is {done.head}."
    if done.judged:
        yield f"All {done.judged:,} commits were judged again by the rules."
    else:
        yield f"The history was not judged: taskrepo verify --data {config.data} does that."
    if done.keyless:
        names = ", ".join(done.keyless[:_SHOWN]) + (", …" if len(done.keyless) > _SHOWN else "")
        yield f"Nobody has a key, a password or a session here; these need new ones (taskrepo key add): {names}."
    if done.sealed:
        yield f"{done.sealed:,} private tasks cannot be read: their keys are in `private`, which was not restored."
    yield from done.notes
    yield from _faults(done.faults, "In this exchange")
    if done.serves:
        yield f"Now run: taskrepo serve --data {config.data}"
    else:
        yield (
            f"There is no signing key that this ledger knows, so nothing can be added to it: it can be cloned, read, "
            f"verified and exported. To go on with it, put the exchange's `private` into {config.private}: with "
            f"--private-from, or from wherever you keep it. Without that key only a new exchange can be founded."
        )
