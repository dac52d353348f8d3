"""The whole history as a table: one record for each commit, oldest first, as JSON lines or CSV.

* A record says what its commit says, and what its signatures are worth by the keys that counted at its place; so it is
  the same in every clone, for ever, and whoever has a clone can make the file again and compare.
* A commit that is not of the ledger's grammar has a record too, with its `problem` and what else is known of it: none
  is left out.
* Records are made one by one; what is held of the history is 20 bytes a commit.
* In CSV no cell begins like a formula, nor does any part of one that a spreadsheet may split off: a `'` stands before
  it, which `unguarded` takes away again. A record is one line.

>>> guarded("=1+1; -2"), unguarded("'=1+1; '-2")
("'=1+1; '-2", '=1+1; -2')
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

from taskrepo.attestation import Signature
from taskrepo.errors import Refused, TaskrepoError
from taskrepo.history import clean_line, read_commit, read_message
from taskrepo.ledger import Happening, Ledger
from taskrepo.lineage import Line
from taskrepo.model import iso
from taskrepo.store import Store

Form = Literal["jsonl", "csv"]
Record = Mapping[str, Any]
FIELDS: Final = (
    "position", "commit", "at", "actor", "command", "event", "task", "record", "from", "to", "execution", "previous",
    "via", "request_id", "request", "exchange_signature", "exchange_key", "actor_signature", "actor_key", "words",
    "problem",
)  # fmt: skip
"""The fields of a record, and the columns of the CSV."""
PREFIX: Final = re.compile("[0-9a-f]{7,40}")
_LONGEST: Final = 300
# What makes a formula of a cell, also in the full width of East Asian keyboards, and the mark itself. Programs that
# expect another separator than the comma split cells at theirs.
_FORMULA: Final = re.compile(r"""(^|[;|,"])([ \u00a0]*)(?=[=+\-@'＝＋－＠])""")
_MARKED: Final = re.compile(r"""(^|[;|,"])([ \u00a0]*)'(?=[=+\-@'＝＋－＠])""")


def records(store: Store, line: Line, after: int = 0) -> Iterator[Record]:
    """The records of a whole line, from the position next to `after` on."""
    ledger = Ledger(store)
    for position in range(after + 1, len(line) + 1):
        yield _record(ledger, position, line[position])


def written(record: Record, form: Form) -> bytes:
    """A record as one line of the file."""
    if form == "jsonl":
        return json.dumps(record).encode() + b"\n"  # ASCII, so that nothing in it steers a terminal
    return _row([_cell(record[name]) for name in FIELDS])


def heading(form: Form) -> bytes:
    """What stands before the first record."""
    return _row(FIELDS) if form == "csv" else b""


def after_commit(line: Line, prefix: str) -> int:
    """The position of the one commit whose id starts like this. Raises `Refused("unknown-commit" | "ambiguous-id")`."""
    found = line.starting(prefix) if PREFIX.fullmatch(prefix) else []
    if not found:
        raise Refused("unknown-commit", f"main has no commit {prefix[:40]}; give seven hex digits of its id or more")
    if len(found) > 1:
        raise Refused("ambiguous-id", f"{prefix} may be {', '.join(found[:5])}", candidates=found[:20])
    return line.position(found[0])


def guarded(text: str) -> str:
    """Text for a cell, that no spreadsheet takes for a formula."""
    return _FORMULA.sub(r"\1\2'", text)


def unguarded(text: str) -> str:
    """The text of a cell, as it was before it was guarded."""
    return _MARKED.sub(r"\1\2", text)


def sound(record: Record) -> bool:
    """Whether its commit is of the grammar and every signature of it counts. The rules are `verify`'s to judge."""
    signatures = record["exchange_signature"], record["actor_signature"]
    return record["problem"] is None and all(code in ("good", None) for code in signatures)


def _record(ledger: Ledger, position: int, oid: str) -> Record:
    known: dict[str, Any] = {**dict.fromkeys(FIELDS), "position": position, "commit": oid}
    try:
        commit = read_commit(ledger.store.read(oid, "commit"))
        known["at"] = iso(commit.committer.at)
        entry = read_message(commit.message)
        known |= {
            "actor": entry.actor, "command": entry.command, "event": entry.event, "task": entry.task,
            "record": entry.record, "from": entry.source, "to": entry.target, "execution": entry.execution,
            "previous": entry.previous, "via": entry.via, "request_id": entry.request_id, "request": entry.request,
            "words": entry.words or None,
        }  # fmt: skip
        made = ledger.attestation(Happening(oid, commit, entry))
        known |= _signature("exchange", made.exchange) | (_signature("actor", made.actor) if made.actor else {})
    except TaskrepoError as error:
        known["problem"] = clean_line(f"{error.code}: {error.message}")[:_LONGEST]
    except Exception as error:  # hostile records may break a reader in ways nobody listed
        known["problem"] = clean_line(f"unreadable: {type(error).__name__}: {error}")[:_LONGEST]
    return known


def _signature(whose: str, made: Signature) -> dict[str, str | None]:
    return {f"{whose}_signature": made.code, f"{whose}_key": made.fingerprint or None}


def _cell(value: Any) -> str:
    return "" if value is None else guarded(clean_line(str(value)))


def _row(cells: tuple[str, ...] | list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "replace")
