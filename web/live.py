"""The pages' line to the ledger: what has happened since a page was made, told as soon as it happens.

* Nothing is told of a task that the visitor may not read, not even that something happened.
* Who finds no place to wait is answered at once and told when to ask again.
* The answer comes when the listing index shows what it tells of, so a page fetched next is up to date.

>>> ROUTES[0][:2]
('GET', '/live')
"""

import json
import re
from typing import Any, Final

from bottle import HTTPResponse

from taskrepo.ledger import Happening
from taskrepo.web import waiting
from taskrepo.web.visit import Handler, Visit, guest, words
from taskrepo.web.waiting import AGAIN, FULL, PAUSE, Verdict, Wait

MAX_WAIT: Final = 30
_MOST: Final = 50
_NAMED: Final = 3


@guest
def live(visit: Visit) -> HTTPResponse:
    """GET /live?after=<commit>&wait=<seconds>&task=<id>: the events after a commit, when there are any."""
    after, asked = visit.query("after"), visit.query("wait")
    wait = min(int(asked), MAX_WAIT) if re.fullmatch("[0-9]{1,3}", asked) else 0
    visit, verdict = _awaited(visit, waiting.begun(visit.request, wait), after)
    return _answer(_told(visit, after, visit.query("task"), PAUSE if verdict == FULL else 0))


def _awaited(visit: Visit, wait: Wait, after: str) -> tuple[Visit, Verdict]:
    """The visit as soon as there is an event for the visitor after the commit, or when the time is over.

    What the visitor may not know of ends no wait: when an answer comes would tell of it.
    """
    while True:
        events, following = visit.view.after(wait.passed or after, 1)
        if events:
            visit.exchange.follower.catch_up()
        if events or following:
            return visit.renewed(), AGAIN
        wait.passed = visit.view.commit  # nothing up to here is for them, and need not be looked at each time
        arm = waiting.listening(visit.request, visit.actor, wait.passed)
        verdict = waiting.pause(visit.exchange, visit.request, visit.actor, wait, arm)
        visit = visit.renewed()
        if verdict != AGAIN:
            return visit, verdict


def _told(visit: Visit, after: str, about: str, pause: int) -> dict[str, Any]:
    events, following = visit.view.after(after, _MOST)
    relevant = [event for event in events if event.entry.task == about] if about else events
    # Beyond the commit of this view nothing has been looked at; up to it everything has, if there is no more.
    return {
        "commit": following or (events[-1].id if events else after),
        "events": [_event(event) for event in relevant],
        "more": following is not None,
        "said": _said(visit, relevant, about),
        "pause": pause,
    }


def _event(item: Happening) -> dict[str, Any]:
    entry = item.entry
    return {"commit": item.id, "event": entry.event, "task": entry.task, "actor": entry.actor}


def _said(visit: Visit, events: list[Happening], about: str) -> str:
    """The events in words, for who does not see the page change; those of the visitor need none."""
    others = [event.entry for event in events if event.entry.actor != visit.actor.id]
    named = []
    for entry in others[-_NAMED:]:
        task = visit.view.get(entry.task) if entry.task and not about else None
        named.append(f"{words(entry.event)} by {entry.actor}" + (f": {task.manifest.title}" if task else ""))
    more = len(others) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def _answer(data: dict[str, Any]) -> HTTPResponse:
    return HTTPResponse(json.dumps(data) + "\n", 200, {"Content-Type": "application/json"})


ROUTES: Final[tuple[tuple[str, str, Handler], ...]] = (("GET", "/live", live),)
