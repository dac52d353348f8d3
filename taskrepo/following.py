"""The ledger's events on the command line: a page of them, or each as it happens, whatever becomes of the server.

* `--follow` goes on after the last event it has shown, so that a cut, or a restart, loses and repeats none.
* A server that cannot be reached is asked again and again; a key that counts no more ends it.
* With `--json` each event is one line of JSON, pure ASCII.

>>> line({"at": "2026-11-21T02:06:00Z", "event": "claimed", "task": "4k7q2m9x", "actor": "bob", "words": None})
'2026-11-21T02:06:00Z  claimed 4k7q2m9x by bob'
"""

import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Final

from taskrepo import remote
from taskrepo.desk import Desk, Json, Unreachable
from taskrepo.errors import Refused
from taskrepo.terminal import Answer, Table, Terminal, clean

WAIT: Final = 50
"""Seconds a server is asked to wait for the next event."""
_PAUSES: Final = (1, 2, 4, 8, 15)
_HASTE: Final = 1.0
_CROWDED: Final = 4.0


def events(args: Namespace, desk: Desk, terminal: Terminal) -> Answer:
    """A task's history, the exchange's latest events, those after one, or those to come."""
    if args.id and not (args.follow or args.filter or args.after):
        return remote.events(args, desk)
    about = f"task:{desk.task(args.id)['id']} " if args.id else ""
    wanted = about + (args.filter or "")
    if args.follow:
        _show_all(follow(desk, wanted, args.after, terminal.say), args.count, terminal)
        return Answer(None)
    page = desk.feed(_query(wanted, args.after, limit=str(args.count or 100)))
    rows = [(e["at"], e["event"], e["task"] or e["record"], e["actor"], e["words"] or "", e["via"], e["commit"][:12])
            for e in page["events"]]  # fmt: skip
    table = Table(("when", "event", "task", "who", "words", "via", "commit"), rows, "No event matches.")
    more = (f"There is more: --after {page['next']}",) if page["next"] else ()
    return Answer(page, (table, *more))


def follow(desk: Desk, wanted: str, after: str | None, say: Callable[[str], object]) -> Iterator[Json]:
    """The wanted events after a commit, or from now on, for as long as the caller likes."""
    position = after or _again(lambda: desk.feed({"limit": "1"}), say)["events"][-1]["commit"]
    while True:
        began = time.monotonic()
        page = _again(lambda: desk.feed(_query(wanted, position, wait=str(WAIT))), say)  # noqa: B023 — it is called at once
        yield from page["events"]
        position = page["next"] or (page["events"][-1]["commit"] if page["events"] else position)
        if not page["events"] and not page["next"] and time.monotonic() - began < _HASTE:
            time.sleep(_CROWDED)  # the server has no place for one more to wait


def line(event: Json) -> str:
    """An event in words."""
    about = event["task"] or event["record"]
    return f"{event['at']}  {event['event']} {about} by {event['actor']}" + (
        f": {event['words']}" if event["words"] else ""
    )


def _again(ask: Callable[[], Json], say: Callable[[str], object]) -> Json:
    """The answer, asked for until there is one."""
    attempt = 0
    while True:
        try:
            return ask()
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.code not in ("busy", "too-many-requests", "internal"):
                raise
            if attempt == 0:
                say(f"taskrepo: {error.message}; trying again")
        time.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
        attempt += 1


def _show_all(found: Iterator[Json], count: int | None, terminal: Terminal) -> None:
    for shown, event in enumerate(found, 1):
        text = json.dumps(event, separators=(",", ":")) if terminal.json else clean(line(event))
        terminal.out.write(text + "\n")
        terminal.out.flush()
        if shown == count:
            return


def _query(wanted: str, after: str | None, **more: str) -> dict[str, str]:
    given = {"filter": wanted.strip(), "after": after or "", **more}
    return {name: value for name, value in given.items() if value}
