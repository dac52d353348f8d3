"""`taskrepo export`: the whole history as a file, and whether a file that somebody hands over is that history.

* The file is there whole or not at all; on standard output it comes as it is made.
* A file is checked byte for byte against what this clone exports: nothing in it has to be believed.
* The exit code is 1 if a commit cannot be read, a signature does not count, or a file says something else.

>>> export(parsed("export clone --format csv -o history.csv"), Terminal()).parts        # doctest: +SKIP
('history.csv: 1,003 records.',)
"""

import os
import re
import secrets
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from taskrepo import records
from taskrepo.clones import lacks
from taskrepo.errors import Invalid
from taskrepo.lineage import Line
from taskrepo.proof import subject
from taskrepo.records import Form, Record
from taskrepo.store import Store
from taskrepo.terminal import Answer, Progress, Terminal

_LONGEST: Final = 1 << 16
_OFTEN: Final = 200
_POSITION: Final = {"jsonl": re.compile(rb'{"position": ([1-9][0-9]{0,9}),'), "csv": re.compile(rb"([1-9][0-9]{0,9}),")}


def export(args: Namespace, terminal: Terminal) -> Answer:
    """Write the history, or check a file against it."""
    store = subject(args).clone
    head = store.head()
    if head is None:
        raise Invalid("no-ledger", str(store.found.top), "has no branch main")
    try:
        line, _ = Line.back(store, head)
    except Invalid as error:
        why = lacks(store.found)
        raise Invalid("incomplete-clone", str(store.found.top), why) if why else error from None
    if args.check:
        if args.format or args.output or args.since:
            raise Invalid("usage", "", "--check compares a file as it is: it goes with none of the other options")
        with terminal.progress("Checking") as progress:
            return _checked(Path(args.check), store, line, progress)
    return _exported(args, terminal, store, line)


def _exported(args: Namespace, terminal: Terminal, store: Store, line: Line) -> Answer:
    after = records.after_commit(line, args.since) if args.since else 0
    form: Form = args.format or "jsonl"
    unsound = 0
    # A bar between the lines on one terminal would help nobody.
    quiet = not args.output and sys.stdout.isatty()
    with replace(terminal, json=terminal.json or quiet).progress("Exporting") as progress, _output(args) as file:
        file.write(records.heading(form))
        for record in _told(records.records(store, line, after), line, progress):
            file.write(records.written(record, form))
            unsound += not records.sound(record)
    words = f"{unsound:,} of them cannot be read or have a signature that does not count; `taskrepo verify` says more."
    if not args.output:
        if unsound:
            terminal.say(f"{len(line) - after:,} records; {words}")
        return Answer(None, (), 1 if unsound else 0)
    data = {"file": args.output, "records": len(line) - after, "unsound": unsound, "head": line[len(line)]}
    said = f"{args.output}: {len(line) - after:,} records."
    return Answer(data, (said, words), 1) if unsound else Answer(data, (said,))


def _checked(path: Path, store: Store, line: Line, progress: Progress) -> Answer:
    """Whether every line of a file is what this history exports."""
    with path.open("rb") as file:
        form = _form(path, file)
        after, number = _before(file, form), 1 + bool(records.heading(form))
        for record in _told(records.records(store, line, after), line, progress):
            said = file.readline(_LONGEST)
            if not said:
                break
            if said != records.written(record, form):
                commit = record["commit"]
                words = f"{path}, line {number:,}, is not what this history has: commit {commit}, number {after + 1:,}."
                return Answer({"file": str(path), "same": False, "line": number, "commit": commit}, (words,), 1)
            after, number = after + 1, number + 1
        more = bool(file.read(1))
    if more:
        words = f"{path} goes on after {line[len(line)]}, the newest commit here; fetch what is new, and check again."
        return Answer({"file": str(path), "same": False, "line": number, "commit": None}, (words,), 1)
    count, rest = number - 1 - bool(records.heading(form)), len(line) - after
    data = {"file": str(path), "same": True, "records": count, "first": after - count + 1, "newer": rest}
    words = f"{path}: {count:,} records from number {after - count + 1:,} on, each as this history has it"
    return Answer(data, (f"{words}; {rest:,} newer commits are not in it." if rest else f"{words}, up to the newest.",))


def _form(path: Path, file: IO[bytes]) -> Form:
    """In which form a file is; what comes next in it is its first record."""
    start = file.readline(_LONGEST)
    if start == records.heading("csv"):
        return "csv"
    if not start.startswith(b'{"position": '):
        raise Invalid("bad-file", str(path), "is neither JSON lines nor CSV that was exported")
    file.seek(0)
    return "jsonl"


def _before(file: IO[bytes], form: Form) -> int:
    """The position before that of the first record; 0 if that cannot be told."""
    start = file.tell()
    found = _POSITION[form].match(file.readline(_LONGEST))
    file.seek(start)
    return int(found[1]) - 1 if found else 0


def _told(made: Iterator[Record], line: Line, progress: Progress) -> Iterator[Record]:
    """The records as they are made; `progress` hears of it."""
    for record in made:
        yield record
        if record["position"] % _OFTEN == 0 or record["position"] == len(line):
            progress(record["position"], len(line))


@contextmanager
def _output(args: Namespace) -> Iterator[IO[bytes]]:
    """Where the export goes: standard output, or a file that is there once it is whole."""
    if not args.output:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(args.output)
    if os.path.lexists(target) and not args.force:
        raise Invalid("file-exists", str(target), "is there already; --force replaces it")
    part = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
